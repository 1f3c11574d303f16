//! One place of a node's value: what it is made of, until the chain computes it.

use super::step::plain;
use crate::{
    pallet::*,
    play::{hasher, GameOf, Move, Next},
    types::*,
};
use aipow_exact::{
    arbitrate, decode,
    geometry::is_canonical_tile,
    opening::{claim_hash, leaf_hash},
    Agreed, Opening, Outcome, Place,
};
use frame_support::ensure;
use sp_core::H256;

impl<T: Config> Pallet<T> {
    /// The defender posts a tile that is made of elements.
    pub(crate) fn show_tile(id: GameId, game: &GameOf<T>, data: TileBytes) -> Move {
        ensure!(game.stage == Stage::Tile, Error::<T>::WrongStage);
        let Some(PlaceClaim { place: Place::Tile(tile), hash }) = game.place else {
            return Err(Error::<T>::WrongStage.into());
        };
        let form = Self::node_of(id)?.node.output;
        let is_claimed = leaf_hash(hasher, &data) == hash.0;
        ensure!(is_claimed && is_canonical_tile(&form, tile, &data), Error::<T>::BadTile);
        Tiles::<T>::insert(id, data);
        Self::deposit_event(Event::TilePosted { game: id, tile });
        Ok(Next::challenger(Stage::TilePick))
    }

    /// The defender posts the hashes of the lower places from which the place follows.
    pub(crate) fn show_claims(id: GameId, game: &GameOf<T>, claims: Claimed) -> Move {
        ensure!(game.stage == Stage::Claims, Error::<T>::WrongStage);
        let place = game.place.ok_or(Error::<T>::WrongStage)?.place;
        ensure!(Self::claims_of(&Self::node_of(id)?, place)?.len() == claims.len(), Error::<T>::BadClaims);
        Claims::<T>::insert(id, &claims);
        Self::deposit_event(Event::ClaimsPosted { game: id, place, claims });
        Ok(Next::challenger(Stage::ClaimsPick))
    }

    /// The chain computes: a place from what is agreed, or whether an input tile ends the unit.
    pub(crate) fn compute_place(id: GameId, game: &GameOf<T>, opening: &[u8]) -> Move {
        let claimed = match game.stage {
            Stage::Arbitration => Some(game.place.ok_or(Error::<T>::WrongStage)?),
            Stage::Ends => None,
            _ => return Err(Error::<T>::WrongStage.into()),
        };
        let opening: Opening = decode(opening).map_err(Self::refused)?;
        let place = opening.statement.place;
        let is_asked = match claimed {
            Some(claim) => place == claim.place,
            None => matches!(place, Place::Check { .. }),
        };
        ensure!(is_asked, Error::<T>::WrongPlace);
        let spec = Self::spec_of(game)?;
        let agreed = Agreed {
            graph_root: spec.graph_root.0,
            node_count: spec.node_count,
            node_index: game.node.ok_or(Error::<T>::WrongStage)?,
            input_roots: plain(&Self::node_of(id)?.input_roots),
            claims: plain(&Claims::<T>::get(id)),
        };
        let outcome = arbitrate(hasher, &agreed, &opening).map_err(Self::refused)?;
        let computed = match outcome {
            Outcome::Value(data) => Answer::Value(H256(claim_hash(hasher, &place, &data))),
            Outcome::Ends(ending) => Answer::Ends(ending),
        };
        Self::deposit_event(Event::Settled { game: id, place, computed });
        let is_right = match (claimed, computed) {
            (Some(claim), computed) => computed == Answer::Value(claim.hash),
            (None, computed) => matches!(computed, Answer::Value(_)),
        };
        Ok(Next::decided(is_right))
    }
}
