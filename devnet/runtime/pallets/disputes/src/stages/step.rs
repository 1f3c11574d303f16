//! One step: its trace, and that loss, gradient norm and new state are outputs of it.

use crate::{
    pallet::*,
    play::{hasher, root_over, GameOf, Move, Next},
    types::*,
};
use aipow_exact::{
    decode,
    json::canonical_json,
    opening::{leaf_hash, tensor_root},
    Dtype, Form, Node, Op, OutputKind,
};
use alloc::{string::String, vec::Vec};
use frame_support::{ensure, BoundedVec};
use pallet_tasks::TaskSpec;
use pallet_verification::merkle::hash_leaf;
use sp_core::H256;

/// Leaf hash of a tensor in a state root: "state/v1" ‖ length of the name u16 ‖ name ‖ tensor root.
pub fn state_leaf(name: &[u8], root: &H256) -> H256 {
    let mut bytes = b"state/v1".to_vec();
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend(name);
    bytes.extend(root.as_bytes());
    hash_leaf(&bytes)
}

/// Tensor root of an array that fits into one tile.
pub fn small_root(form: &Form, data: &[u8]) -> H256 {
    let mut tile = data.to_vec();
    tile.resize(form.tile_bytes(), 0);
    H256(tensor_root(hasher, form, &leaf_hash(hasher, &tile)))
}

/// Form of a scalar f32.
fn scalar() -> Form {
    Form { dtype: Dtype::F32, shape: Vec::new() }
}

impl<T: Config> Pallet<T> {
    /// The defender commits to all values of the step's graph, and says in which state the step began.
    pub(crate) fn commit_to_trace(
        id: GameId,
        game: &mut GameOf<T>,
        after: StepLeaf,
        before: Option<(StepLeaf, Siblings)>,
        trace_root: H256,
    ) -> Move {
        let Stage::Step { index, leaf } = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        ensure!(after.hash() == leaf, Error::<T>::BadProof);
        let steps = Self::spec_of(game)?.steps_per_segment;
        let before = match (index.checked_sub(1), before) {
            (None, None) => game.start,
            (Some(last), Some((before, siblings))) => {
                let root = root_over(before.hash(), last, steps, &siblings);
                ensure!(root.is_some() && root == game.history_root, Error::<T>::BadProof);
                before.state
            }
            _ => return Err(Error::<T>::BadPrevious.into()),
        };
        game.step = Some(StepClaim { index, before, after, trace_root });
        Self::deposit_event(Event::TraceCommitted { game: id, step: index, after, trace_root });
        Ok(Next::challenger(Stage::StepPick))
    }

    /// The defender shows that the claimed number is the value of the graph's output of that kind.
    pub(crate) fn show_output(game: &GameOf<T>, link: &OutputLink) -> Move {
        let Stage::Output(which) = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let step = Self::step_of(game)?;
        let (kind, bits) = match which {
            Scalar::Loss => (OutputKind::Loss, step.after.loss),
            Scalar::GradNorm => (OutputKind::GradNorm, step.after.grad_norm),
        };
        let spec = Self::spec_of(game)?;
        Self::verify_output(&spec, link, kind)?;
        let value = small_root(&scalar(), &bits.to_le_bytes());
        ensure!(Self::is_in_trace(&spec, &step, link, value), Error::<T>::BadProof);
        Ok(Next::decided(true))
    }

    /// The challenger shows that the graph has a gradient norm, and the trace a value of it that is not +0.
    pub(crate) fn refute_zero(game: &GameOf<T>, link: &OutputLink, value: H256) -> Move {
        ensure!(game.stage == Stage::OutputRefute, Error::<T>::WrongStage);
        let (step, spec) = (Self::step_of(game)?, Self::spec_of(game)?);
        Self::verify_output(&spec, link, OutputKind::GradNorm)?;
        ensure!(Self::is_in_trace(&spec, &step, link, value), Error::<T>::BadProof);
        ensure!(value != small_root(&scalar(), &[]), Error::<T>::NothingToRefute);
        Ok(Next::decided(false))
    }

    /// The defender shows that a tensor of the new state is an output of the trace, or says that it did not change.
    pub(crate) fn show_state(game: &GameOf<T>, opening: StateOpening, link: Option<&OutputLink>) -> Move {
        let Stage::StateLeaf { index, leaf } = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let (step, spec) = (Self::step_of(game)?, Self::spec_of(game)?);
        let StateOpening { name, root, before_root, before_siblings } = opening;
        ensure!(state_leaf(&name, &root) == leaf, Error::<T>::BadProof);
        let before = root_over(state_leaf(&name, &before_root), index, spec.state_count, &before_siblings);
        ensure!(before == Some(step.before), Error::<T>::BadProof);
        let Some(link) = link else {
            ensure!(root == before_root, Error::<T>::BadProof);
            return Ok(Next::challenger(Stage::StateRefute { name, root }));
        };
        let found = Self::verify_output(&spec, link, OutputKind::State)?;
        ensure!(found.as_bytes() == name.as_slice(), Error::<T>::BadNode);
        ensure!(Self::is_in_trace(&spec, &step, link, root), Error::<T>::BadProof);
        Ok(Next::decided(true))
    }

    /// The challenger shows that the trace has another value for a tensor that the defender says did not change.
    pub(crate) fn refute_unchanged(game: &GameOf<T>, link: &OutputLink, value: H256) -> Move {
        let Stage::StateRefute { name, root } = &game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let (step, spec) = (Self::step_of(game)?, Self::spec_of(game)?);
        let found = Self::verify_output(&spec, link, OutputKind::State)?;
        ensure!(found.as_bytes() == name.as_slice(), Error::<T>::BadNode);
        ensure!(Self::is_in_trace(&spec, &step, link, value), Error::<T>::BadProof);
        ensure!(value != *root, Error::<T>::NothingToRefute);
        Ok(Next::decided(false))
    }

    /// Name of an output of the graph; `BadNode` for a node of another kind, `BadProof` for one that is not in the graph.
    fn verify_output(spec: &TaskSpec, link: &OutputLink, wanted: OutputKind) -> Result<String, Error<T>> {
        let node = Self::verify_in_graph(spec, &link.node, link.index, &link.node_siblings)?;
        let is_number = node.output == scalar() || wanted == OutputKind::State;
        match node.op {
            Op::Output { kind, name } if kind == wanted && is_number => Ok(name),
            _ => Err(Error::<T>::BadNode),
        }
    }

    /// The node that stands at `index` in the task's graph.
    pub(crate) fn verify_in_graph(
        spec: &TaskSpec,
        bytes: &NodeBytes,
        index: u32,
        siblings: &Siblings,
    ) -> Result<Node, Error<T>> {
        let node: Node = decode(bytes).map_err(Self::refused)?;
        let leaf = hash_leaf(&canonical_json(&node));
        let root = root_over(leaf, index, spec.node_count, siblings);
        ensure!(root == Some(spec.graph_root), Error::<T>::BadProof);
        Ok(node)
    }

    /// Whether the trace has `value` as the tensor root of the link's node.
    fn is_in_trace(spec: &TaskSpec, step: &StepClaim, link: &OutputLink, value: H256) -> bool {
        let root = root_over(hash_leaf(value.as_bytes()), link.index, spec.node_count, &link.trace_siblings);
        root == Some(step.trace_root)
    }
}

/// Hashes as the arbiter takes them.
pub fn plain(hashes: &[H256]) -> Vec<[u8; 32]> {
    hashes.iter().map(|hash| hash.0).collect()
}

/// Hashes as storage keeps them, as many as fit.
pub fn bounded<S: frame_support::traits::Get<u32>>(hashes: Vec<[u8; 32]>) -> BoundedVec<H256, S> {
    BoundedVec::truncate_from(hashes.into_iter().map(H256).collect())
}
