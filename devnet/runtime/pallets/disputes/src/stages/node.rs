//! One node: what it is, what it reads, and where its value comes from if it is an input of the graph.

use super::step::{bounded, small_root, state_leaf};
use crate::{
    pallet::*,
    play::{hasher, root_over, GameOf, Move, Next},
    types::*,
};
use aipow_exact::{
    decode, is_made_of_elements,
    node::{check, check_input},
    opening::tensor_root,
    philox::derive_key,
    required, Error as Refusal, Form, InputKind, Node, Op, Place, Source, Statement,
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::ensure;
use pallet_verification::merkle::hash_leaf;
use sp_core::H256;

/// The node in question, decoded.
pub struct NodeInPlay {
    /// The node.
    pub node: Node,
    /// Tensor root of its value.
    pub root: H256,
    /// Root of the tree of tiles of its value.
    pub inner_root: H256,
    /// Forms of its inputs.
    pub inputs: Vec<Form>,
    /// Tensor roots of its inputs.
    pub input_roots: Vec<H256>,
    /// Claims that stand for the rest of the game.
    pub accepted: Accepted,
}

impl NodeInPlay {
    /// Whether it is an input of the graph.
    pub fn is_input(&self) -> bool {
        matches!(self.node.op, Op::Input { .. })
    }

    /// The question of a place's value.
    pub fn statement(&self, place: Place) -> Statement {
        Statement { node: self.node.clone(), inputs: self.inputs.clone(), place }
    }
}

impl<T: Config> Pallet<T> {
    /// The defender shows which node it is and the forms of what it reads.
    pub(crate) fn show_node(id: GameId, game: &mut GameOf<T>, opening: NodeOpening) -> Move {
        let Stage::Node { index, leaf } = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let spec = Self::spec_of(game)?;
        let node = Self::verify_in_graph(&spec, &opening.node, index, &opening.siblings)?;
        let inputs: Vec<Form> = decode(&opening.input_forms).map_err(Self::refused)?;
        ensure!(inputs.len() == opening.input_inner_roots.len(), Self::refused(Refusal::BadForm));
        let roots = inputs.iter().zip(&opening.input_inner_roots);
        let input_roots = bounded(roots.map(|(form, inner)| tensor_root(hasher, form, &inner.0)).collect());
        let root = H256(tensor_root(hasher, &node.output, &opening.inner_root.0));
        ensure!(hash_leaf(root.as_bytes()) == leaf, Error::<T>::BadProof);
        let next = match node.op {
            Op::Input { .. } => Self::follow_input(game, &node, root)?,
            _ => {
                let statement = Statement { node: node.clone(), inputs, place: Place::Tile(0) };
                check(&statement).map_err(Self::refused)?;
                Next::challenger(Stage::NodePick)
            }
        };
        let op = BoundedOpName::truncate_from(node.op.name().as_bytes().to_vec());
        let NodeOpening { node, inner_root, input_forms, .. } = opening;
        let accepted = Accepted::new();
        Nodes::<T>::insert(id, OpenedNode { node, root, inner_root, input_forms, input_roots, accepted });
        game.node = Some(index);
        Self::deposit_event(Event::NodeOpened { game: id, index, op });
        Ok(next)
    }

    /// Where the value of an input of the graph must come from. Seed and step the chain computes itself.
    fn follow_input(game: &GameOf<T>, node: &Node, root: H256) -> Move {
        let expected = match check_input(node).map_err(Self::refused)? {
            InputKind::State => return Ok(Next::defender(Stage::StateInput)),
            InputKind::Batch => return Ok(Next::challenger(Stage::NodePick)),
            InputKind::Seed => derive_key(hasher, &Self::seed_of(game)?.0, b"step/v1").encode(),
            InputKind::Step => Self::step_number(game)?.encode(),
        };
        Ok(Next::decided(root == small_root(&node.output, &expected)))
    }

    /// Number of the step over the unit.
    pub(crate) fn step_number(game: &GameOf<T>) -> Result<u64, Error<T>> {
        let steps = u64::from(Self::spec_of(game)?.steps_per_segment);
        let first = u64::from(game.segment).saturating_mul(steps);
        Ok(first.saturating_add(Self::step_of(game)?.index.into()))
    }

    /// The defender shows that an input of kind state is a tensor of the state before the step.
    pub(crate) fn show_state_input(id: GameId, game: &GameOf<T>, index: u32, siblings: &Siblings) -> Move {
        ensure!(game.stage == Stage::StateInput, Error::<T>::WrongStage);
        let opened = Self::node_of(id)?;
        let Op::Input { name, .. } = &opened.node.op else { return Err(Error::<T>::BadNode.into()) };
        let count = Self::spec_of(game)?.state_count;
        let root = root_over(state_leaf(name.as_bytes(), &opened.root), index, count, siblings);
        ensure!(root == Some(Self::step_of(game)?.before), Error::<T>::BadProof);
        Ok(Next::decided(true))
    }

    /// The defender shows that what the node reads is the trace's value of the node that it names, which is before it.
    pub(crate) fn show_link(id: GameId, game: &GameOf<T>, siblings: &Siblings) -> Move {
        let Stage::Link(number) = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let opened = Self::node_of(id)?;
        let number = usize::from(number);
        let (Some(source), Some(root), Some(index)) =
            (opened.node.inputs.get(number), opened.input_roots.get(number), game.node)
        else {
            return Err(Error::<T>::BadNode.into());
        };
        ensure!(*source < index, Error::<T>::BadNode);
        let count = Self::spec_of(game)?.node_count;
        let found = root_over(hash_leaf(root.as_bytes()), *source, count, siblings);
        ensure!(found == Some(Self::step_of(game)?.trace_root), Error::<T>::BadProof);
        Ok(Next::decided(true))
    }

    /// The node in question.
    pub(crate) fn node_of(id: GameId) -> Result<NodeInPlay, Error<T>> {
        let OpenedNode { node, root, inner_root, input_forms, input_roots, accepted } =
            Nodes::<T>::get(id).ok_or(Error::<T>::WrongStage)?;
        Ok(NodeInPlay {
            node: decode(&node).map_err(Self::refused)?,
            root,
            inner_root,
            inputs: decode(&input_forms).map_err(Self::refused)?,
            input_roots: input_roots.into_inner(),
            accepted,
        })
    }

    /// Goes on with a place of the node's value, of which the defender claims `hash`: a tile or claims are to be posted,
    /// or it needs none but accepted ones and is computed.
    pub(crate) fn enter_place(id: GameId, game: &mut GameOf<T>, place: Place, hash: H256) -> Move {
        game.place = Some(PlaceClaim { place, hash });
        let opened = Self::node_of(id)?;
        let is_tile = matches!(place, Place::Tile(_));
        if is_tile && (opened.is_input() || is_made_of_elements(&opened.node)) {
            return Ok(Next::defender(Stage::Tile));
        }
        if opened.is_input() {
            return Ok(Next::defender(Stage::Data));
        }
        let find = |place: Place| opened.accepted.iter().find(|(known, _)| *known == place).map(|(_, hash)| *hash);
        let known: Option<Vec<H256>> = Self::claims_of(&opened, place)?.into_iter().map(find).collect();
        let Some(known) = known else { return Ok(Next::defender(Stage::Claims)) };
        Claims::<T>::insert(id, Claimed::truncate_from(known));
        Ok(Next::defender(Stage::Arbitration))
    }

    /// The places on which a place's value rests, in the order of `aipow_exact::required`.
    pub(crate) fn claims_of(opened: &NodeInPlay, place: Place) -> Result<Vec<Place>, Error<T>> {
        let needed = required(&opened.statement(place)).map_err(Self::refused)?;
        let claims = needed.into_iter().filter_map(|need| match need.source {
            Source::Claim(place) => Some(place),
            Source::Input { .. } => None,
        });
        Ok(claims.collect())
    }
}
