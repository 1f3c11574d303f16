//! Types of the disputes pallet: what a game is, what its moves carry, and what the chain remembers of it.

use aipow_exact::Place;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use pallet_stakes::{Balance, BlockNumber};
use pallet_tasks::{TaskId, UnitIndex};
use pallet_verification::{AttesterList, SegmentRecord, Segments, MAX_PROOF};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::Permill;

/// Number of a game, in order of opening.
pub type GameId = u32;
/// Most open games of a unit: 2^7 (= 128).
pub const MAX_GAMES: u32 = 1 << 7;
/// Levels of a tree that one round of narrowing goes down: 2^4 (= 16) children at most.
pub const NARROWING: u8 = 4;
/// Most children of one round of narrowing: 2^4 (= 16).
pub const MAX_CHILDREN: u32 = 1 << NARROWING;
/// Longest proof in a tree of at most 2^32 leaves.
pub const MAX_SIBLINGS: u32 = 32;
/// Most claims that a place needs and that are posted as such: the children of a partial (= 16).
pub const MAX_CLAIMS: u32 = 1 << 4;
/// Most bytes of a node, SCALE-encoded: 2^12 (= 4,096); 256 inputs and a name of 256 bytes are under 1,400.
pub const MAX_NODE_BYTES: u32 = 1 << 12;
/// Most bytes of the forms of a node's inputs: 2^14 (= 16,384); 256 forms of 34 bytes and a length are 8,706.
pub const MAX_FORMS_BYTES: u32 = 1 << 14;
/// Most inputs of a node (= 256, `aipow_exact::node::MAX_INPUTS`).
pub const MAX_INPUTS: u32 = 1 << 8;
/// Most bytes of a tile: 1,024 elements of 8 bytes (= 8,192).
pub const MAX_TILE_BYTES: u32 = 1 << 13;
/// Most bytes of a tensor's name.
pub const MAX_NAME_BYTES: u32 = 1 << 8;
/// Most bytes of an opening for the arbiter (= 65,536, `aipow_exact::MAX_OPENING_BYTES`).
pub const MAX_OPENING_BYTES: u32 = 1 << 16;
/// Most dimensions of an array of a data set.
pub const MAX_RANK: u32 = 8;
/// Bonds held for one game: of its opening and of the levels node and tile.
pub const LEVELS: Balance = 3;

/// Sibling hashes from a leaf up to a root; a level at which the node is promoted has none.
pub type Siblings = BoundedVec<H256, ConstU32<MAX_SIBLINGS>>;
/// Nodes of a tree that one round of narrowing lays open.
pub type Children = BoundedVec<H256, ConstU32<MAX_CHILDREN>>;
/// A node of a graph, SCALE-encoded as `aipow_exact::Node`.
pub type NodeBytes = BoundedVec<u8, ConstU32<MAX_NODE_BYTES>>;
/// Forms of a node's inputs, SCALE-encoded as a list of `aipow_exact::Form`.
pub type FormsBytes = BoundedVec<u8, ConstU32<MAX_FORMS_BYTES>>;
/// A name of a tensor, UTF-8.
pub type Name = BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>;
/// A padded tile.
pub type TileBytes = BoundedVec<u8, ConstU32<MAX_TILE_BYTES>>;
/// Claim hashes of a place's operands that are claims, in the order of `aipow_exact::required`.
pub type Claimed = BoundedVec<H256, ConstU32<MAX_CLAIMS>>;
/// Claims with their places.
pub type Accepted = BoundedVec<(Place, H256), ConstU32<MAX_CLAIMS>>;
/// What a history's leaves are, all of them.
pub type StepLeaves = BoundedVec<StepLeaf, ConstU32<{ pallet_tasks::MAX_STEPS }>>;
/// An opening for the arbiter, SCALE-encoded as `aipow_exact::Opening`.
pub type OpeningBytes = BoundedVec<u8, ConstU32<MAX_OPENING_BYTES>>;
/// The open games of a unit.
pub type GameList = BoundedVec<GameId, ConstU32<MAX_GAMES>>;

/// The two parties of a game.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Side {
    /// Stands by the claim.
    Defender,
    /// Says that it is wrong.
    Challenger,
}

/// Which tree is narrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Level {
    /// The segment's steps, under the history root.
    History,
    /// The graph's nodes, under the trace root of the step.
    Trace,
    /// The tensors of the state after the step, under its root.
    State,
    /// The tiles of the node's value, under its inner root.
    Tiles,
}

/// A node of a binary Merkle tree whose promoted nodes keep their place: at height h it covers the leaves from
/// index · 2^h on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Cursor {
    /// Leaves of the tree.
    pub count: u32,
    /// Height of the node above the leaves.
    pub height: u8,
    /// Its place among the nodes of that height.
    pub index: u32,
    /// Its hash, as the defender has committed to it.
    pub hash: H256,
}

/// What a segment's history says of one step; the leaf of its tree is the SCALE encoding, 40 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StepLeaf {
    /// Root of the state after the step.
    pub state: H256,
    /// Bits of the loss, f32.
    pub loss: u32,
    /// Bits of the gradient norm, f32; those of +0 for a graph without one.
    pub grad_norm: u32,
}

/// A segment record with its proof under the transcript root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct OpenedRecord {
    /// The committed record.
    pub record: SegmentRecord,
    /// Sibling hashes from the record to the transcript root.
    pub proof: BoundedVec<H256, ConstU32<MAX_PROOF>>,
}

/// Two f32 numbers that a step records beside its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Scalar {
    /// The loss.
    Loss,
    /// The norm of the gradient.
    GradNorm,
}

/// What a challenger calls wrong, or where it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Choice {
    /// A part of what is committed to: narrow it (history, trace, tiles).
    Descend,
    /// The segment's witness is not that of the history.
    Witness,
    /// The step's loss is not the trace's.
    Loss,
    /// The step's gradient norm is not the trace's.
    GradNorm,
    /// The state after the step is not made of the trace's outputs.
    State,
    /// This input of the node is not the value of the node that it names.
    Input(u16),
    /// The unit ends at this node: it has no value.
    Ends,
    /// This claim or element of the place is wrong.
    Part(u32),
    /// All claims of the place are right, and yet its value is wrong.
    Result,
}

/// An output node of the graph, with its place in graph and trace.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct OutputLink {
    /// Index of the node.
    pub index: u32,
    /// The node.
    pub node: NodeBytes,
    /// From the node to the graph root.
    pub node_siblings: Siblings,
    /// From its value's tensor root to the trace root.
    pub trace_siblings: Siblings,
}

/// A tensor of the state after a step, and the one before it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StateOpening {
    /// The tensor's name.
    pub name: Name,
    /// Its tensor root after the step.
    pub root: H256,
    /// Its tensor root before the step.
    pub before_root: H256,
    /// From the leaf of the same index to the root of the state before the step.
    pub before_siblings: Siblings,
}

/// A node of the graph with the forms of its value and of what it reads.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct NodeOpening {
    /// The node.
    pub node: NodeBytes,
    /// From the node to the graph root.
    pub siblings: Siblings,
    /// Root of the tree of tiles of its value.
    pub inner_root: H256,
    /// Forms of its inputs.
    pub input_forms: FormsBytes,
    /// Roots of the trees of tiles of its inputs.
    pub input_inner_roots: BoundedVec<H256, ConstU32<MAX_INPUTS>>,
}

/// Dtype and shape of an array of a data set; encoded as `aipow_exact::Form`, with all dtypes of tensors.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ArrayForm {
    /// Code of the dtype: f32 0, f64 1, i32 2, i64 3, u32 4, u8 5, bool 6, u64 7, i8 8, i16 9, u16 10.
    pub dtype: u8,
    /// Dimensions.
    pub shape: BoundedVec<u32, ConstU32<MAX_RANK>>,
}

/// An array of the task's data set.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ArrayOpening {
    /// Dtype and shape.
    pub form: ArrayForm,
    /// Root of its tree of tiles.
    pub inner_root: H256,
    /// Its place among the arrays, ascending by name.
    pub index: u32,
    /// From its leaf to the data set's root.
    pub siblings: Siblings,
}

/// A tile with its way to an inner root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct TileOpening {
    /// The padded bytes.
    pub data: TileBytes,
    /// From the tile to the inner root.
    pub siblings: Siblings,
}

/// Where a game stands. In brackets whose turn it is; (D, C) the challenger may move too.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Stage {
    /// `commit_history` (D).
    History,
    /// `choose` Descend or Witness (C).
    HistoryPick,
    /// `prove_witness` (D).
    Witness,
    /// `narrow` (D).
    Narrow {
        /// The tree.
        level: Level,
        /// The node to lay open.
        cursor: Cursor,
    },
    /// `pick` (C).
    Pick {
        /// The tree.
        level: Level,
        /// The node that was laid open.
        cursor: Cursor,
        /// Its nodes 4 levels below, or the leaves.
        children: Children,
    },
    /// `commit_trace` (D): this step's leaf of the history was picked.
    Step {
        /// Number of the step in the segment.
        index: u32,
        /// Hash of its leaf.
        leaf: H256,
    },
    /// `choose` Descend, Loss, GradNorm or State (C).
    StepPick,
    /// `prove_output` (D).
    Output(Scalar),
    /// `refute_output` (C): the graph has a gradient norm, and it is not +0.
    OutputRefute,
    /// `prove_state` (D): this leaf of the state after the step was picked.
    StateLeaf {
        /// Its index.
        index: u32,
        /// Its hash.
        leaf: H256,
    },
    /// `refute_state` (C): the graph has an output of that name, and its value is another.
    StateRefute {
        /// The tensor's name.
        name: Name,
        /// Its tensor root, which the defender says did not change.
        root: H256,
    },
    /// `open_node` (D): this leaf of the trace was picked.
    Node {
        /// Index of the node in the graph.
        index: u32,
        /// Hash of its leaf.
        leaf: H256,
    },
    /// `prove_state_input` (D).
    StateInput,
    /// `choose` Input, Descend or Ends (C).
    NodePick,
    /// `prove_link` of this input (D).
    Link(u16),
    /// `settle` with a place Check (C).
    Ends,
    /// `post_tile` (D).
    Tile,
    /// `choose` Part of the tile's elements (C).
    TilePick,
    /// `post_claims` (D).
    Claims,
    /// `choose` Part of the claims, or Result (C).
    ClaimsPick,
    /// `settle` (D, C).
    Arbitration,
    /// `settle_data` (D, C): the place is an element of a batch.
    Data,
}

/// What the defender says of the step in question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StepClaim {
    /// Number of the step in the segment.
    pub index: u32,
    /// Root of the state before it, accepted by both.
    pub before: H256,
    /// Its leaf in the history.
    pub after: StepLeaf,
    /// Root over the tensor roots of all nodes' values.
    pub trace_root: H256,
}

/// What the defender says of a place of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PlaceClaim {
    /// The place.
    pub place: Place,
    /// `aipow_exact::opening::claim_hash` of its value.
    pub hash: H256,
}

/// A game.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Game<AccountId> {
    /// The task.
    pub task: TaskId,
    /// The unit.
    pub unit: UnitIndex,
    /// The unit's attempt.
    pub attempt: u16,
    /// The segment that is disputed.
    pub segment: u16,
    /// The unit's solver.
    pub defender: AccountId,
    /// Who doubts it.
    pub challenger: AccountId,
    /// Block in which the game was opened.
    pub opened: BlockNumber,
    /// Blocks left on the defender's clock when its last turn ended.
    pub defender_clock: BlockNumber,
    /// Blocks left on the challenger's clock when its last turn ended.
    pub challenger_clock: BlockNumber,
    /// Whose turn it is.
    pub turn: Side,
    /// Block in which the turn began.
    pub since: BlockNumber,
    /// Moves made so far, the opening included.
    pub moves: u32,
    /// What the challenger has at stake, plancks.
    pub bond: Balance,
    /// Root of the state from which the segment starts.
    pub start: H256,
    /// Root of the state in which the defender says that it ends.
    pub end: H256,
    /// The defender's salted witness of the segment.
    pub salted_witness: H256,
    /// Which move is due.
    pub stage: Stage,
    /// Root over the segment's steps, once committed to.
    pub history_root: Option<H256>,
    /// The step in question, once its trace is committed to.
    pub step: Option<StepClaim>,
    /// Index of the node in question, once it is opened; what it is stands in `Nodes`.
    pub node: Option<u32>,
    /// The place in question, once a tile was picked.
    pub place: Option<PlaceClaim>,
}

/// The node in question as the defender opened it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct OpenedNode {
    /// The node.
    pub node: NodeBytes,
    /// Tensor root of its value.
    pub root: H256,
    /// Root of the tree of tiles of its value.
    pub inner_root: H256,
    /// Forms of its inputs.
    pub input_forms: FormsBytes,
    /// Tensor roots of its inputs.
    pub input_roots: BoundedVec<H256, ConstU32<MAX_INPUTS>>,
    /// Claims that the challenger passed over at the output tile or element (the roots of maxima, at most 2): they stand
    /// for the rest of the game.
    pub accepted: Accepted,
}

/// How a game ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Verdict {
    /// The picked part is right: the challenger loses.
    Proved,
    /// The picked part is wrong: the defender loses.
    Refuted,
    /// A clock ran out: who had the move loses.
    Clock,
    /// The unit was refused or cancelled otherwise: nobody loses.
    Moot,
}

/// What is kept of a game that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EndedGame<AccountId> {
    /// The task.
    pub task: TaskId,
    /// The unit.
    pub unit: UnitIndex,
    /// The disputed segment.
    pub segment: u16,
    /// The unit's solver.
    pub defender: AccountId,
    /// Who doubted it.
    pub challenger: AccountId,
    /// Block in which the game was opened.
    pub opened: BlockNumber,
    /// Block in which it ended.
    pub ended: BlockNumber,
    /// How it ended.
    pub verdict: Verdict,
    /// Who won; nobody if it is moot.
    pub winner: Option<Side>,
}

/// A disputed unit.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Case<AccountId> {
    /// The unit's attempt.
    pub attempt: u16,
    /// Last block in which a game may be opened.
    pub until: BlockNumber,
    /// The segments that verifiers attested, ascending.
    pub segments: Segments,
    /// The verifiers who executed them, and where they agree with the solver.
    pub attesters: AttesterList<AccountId>,
    /// Whether it began with a mismatch: then only accusers may open games, about their first differing segment.
    pub accused: bool,
    /// Whether it began in a second watch window, which no third follows.
    pub second: bool,
    /// The first challenger who won, and about which segment.
    pub refuted: Option<(AccountId, u16)>,
}

/// A deadline of a dispute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Timer {
    /// The clock of the side to move may have run out: game, block for which the timer was set.
    Clock(GameId, BlockNumber),
    /// No game can be opened any more, or the last one has ended: task, unit, its attempt.
    Case(TaskId, UnitIndex, u16),
}

/// Parameters of disputes, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DisputesParams {
    /// Blocks on each side's clock.
    pub clock_blocks: BlockNumber,
    /// Blocks that accusers have to open their games after a mismatch.
    pub accuse_blocks: BlockNumber,
    /// What a challenger has at stake for each of the three levels of a game, plancks.
    pub level_bond: Balance,
    /// Share of what a loser loses that goes to the winner; the rest is burned.
    pub reward_share: Permill,
}

impl Default for DisputesParams {
    /// The values of preset `dev`: 60 and 20 blocks, 1 UNIT, one half.
    fn default() -> Self {
        Self {
            clock_blocks: 60,
            accuse_blocks: 20,
            level_bond: 1_000_000_000_000,
            reward_share: Permill::from_percent(50),
        }
    }
}
