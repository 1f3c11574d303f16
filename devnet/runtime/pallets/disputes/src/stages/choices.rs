//! What a challenger may call wrong at each stage.

use crate::{
    pallet::*,
    play::{hasher, GameOf, Move, Next},
    types::*,
};
use aipow_exact::{opening::claim_hash, Place};
use alloc::vec::Vec;
use sp_core::H256;

impl<T: Config> Pallet<T> {
    /// Goes where the challenger points; `BadChoice` for what the stage does not offer.
    pub(crate) fn follow_choice(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        let next = match game.stage {
            Stage::HistoryPick => Self::choose_of_history(id, game, choice),
            Stage::StepPick => Self::choose_of_step(id, game, choice),
            Stage::NodePick => Self::choose_of_node(id, game, choice),
            Stage::TilePick => Self::choose_element(id, game, choice),
            Stage::ClaimsPick => Self::choose_claim(id, game, choice),
            _ => Err(Error::<T>::WrongStage.into()),
        }?;
        Self::deposit_event(Event::Chosen { game: id, choice });
        Ok(next)
    }

    fn choose_of_history(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        match choice {
            Choice::Descend => {
                let root = game.history_root.ok_or(Error::<T>::WrongStage)?;
                let steps = Self::spec_of(game)?.steps_per_segment;
                Self::narrow_from(id, game, Level::History, Cursor::root(steps, root))
            }
            Choice::Witness => Ok(Next::defender(Stage::Witness)),
            _ => Err(Error::<T>::BadChoice.into()),
        }
    }

    fn choose_of_step(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        let step = Self::step_of(game)?;
        let spec = Self::spec_of(game)?;
        match choice {
            Choice::Descend => {
                Self::narrow_from(id, game, Level::Trace, Cursor::root(spec.node_count, step.trace_root))
            }
            Choice::State => {
                Self::narrow_from(id, game, Level::State, Cursor::root(spec.state_count, step.after.state))
            }
            Choice::Loss => Ok(Next::defender(Stage::Output(Scalar::Loss))),
            // Of a graph without a gradient norm +0 is right, and the defender could not show an output.
            Choice::GradNorm if step.after.grad_norm == 0 => Ok(Next::challenger(Stage::OutputRefute)),
            Choice::GradNorm => Ok(Next::defender(Stage::Output(Scalar::GradNorm))),
            _ => Err(Error::<T>::BadChoice.into()),
        }
    }

    fn choose_of_node(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        let opened = Self::node_of(id)?;
        let node = &opened.node;
        match choice {
            Choice::Descend => {
                let tiles = u32::try_from(node.output.tile_count()).map_err(|_| Error::<T>::BadNode)?;
                Self::narrow_from(id, game, Level::Tiles, Cursor::root(tiles, opened.inner_root))
            }
            Choice::Input(number) if usize::from(number) < node.inputs.len() => Ok(Next::defender(Stage::Link(number))),
            Choice::Ends if !opened.is_input() => Ok(Next::challenger(Stage::Ends)),
            _ => Err(Error::<T>::BadChoice.into()),
        }
    }

    /// One element of the tile that the defender has posted.
    fn choose_element(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        let Choice::Part(number) = choice else { return Err(Error::<T>::BadChoice.into()) };
        let Some(PlaceClaim { place: Place::Tile(tile), .. }) = game.place else {
            return Err(Error::<T>::WrongStage.into());
        };
        let form = Self::node_of(id)?.node.output;
        let (element, at) = form.region(tile).element(&form, number).ok_or(Error::<T>::BadChoice)?;
        let data = Tiles::<T>::take(id).ok_or(Error::<T>::WrongStage)?;
        let size = form.dtype.size();
        let bytes = data.chunks_exact(size).nth(at).ok_or(Error::<T>::BadTile)?;
        let place = Place::Element(element);
        Self::enter_place(id, game, place, H256(claim_hash(hasher, &place, bytes)))
    }

    /// One of the claims that the defender has posted, or what follows from them.
    fn choose_claim(id: GameId, game: &mut GameOf<T>, choice: Choice) -> Move {
        let number = match choice {
            Choice::Result => return Ok(Next::defender(Stage::Arbitration)),
            Choice::Part(number) => number as usize,
            _ => return Err(Error::<T>::BadChoice.into()),
        };
        let at = game.place.ok_or(Error::<T>::WrongStage)?.place;
        let places = Self::claims_of(&Self::node_of(id)?, at)?;
        let claims: Vec<(Place, H256)> = places.into_iter().zip(Claims::<T>::take(id)).collect();
        let (place, hash) = *claims.get(number).ok_or(Error::<T>::BadChoice)?;
        if matches!(at, Place::Tile(_) | Place::Element(_)) {
            let passed = Accepted::truncate_from(claims.into_iter().take(number).collect());
            Nodes::<T>::mutate(id, |node| node.iter_mut().for_each(|node| node.accepted = passed.clone()));
        }
        Self::enter_place(id, game, place, hash)
    }
}
