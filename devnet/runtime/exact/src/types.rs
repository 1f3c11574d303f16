//! What the arbiter is asked and what it answers: the types of `consensus/arbiter/statement.py` and `opening.py`.
//!
//! A node's value is known place by place. A *place* is a tile of the output, one element of it, a partial of a reduction,
//! or the check of an input tile; the bytes of any place come from a few *operands*: tiles of the inputs, and the bytes
//! of lower places, on which both sides of a dispute agree.

use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Most bytes of an opening, statement and proofs included (= 65,536); also of a statement or of operands alone.
pub const MAX_OPENING_BYTES: usize = 1 << 16;

/// Element types, with their codes in tensor roots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Dtype {
    /// IEEE-754 binary32.
    #[codec(index = 0)]
    F32,
    /// 64-bit signed integer.
    #[codec(index = 3)]
    I64,
    /// Truth value: one byte, false for 0 and true for any other.
    #[codec(index = 6)]
    Bool,
    /// 32-bit word, of the seed only.
    #[codec(index = 4)]
    U32,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 | Dtype::U32 => 4,
            Dtype::I64 => 8,
            Dtype::Bool => 1,
        }
    }
}

/// Dtype and shape of a tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions; none for a scalar.
    pub shape: Vec<u32>,
}

/// An op of exact/v1 with its attributes (`consensus/graph/ops.py`).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Op {
    /// A scalar: bits of an f32, two's complement of an i64, 0 or 1.
    Const {
        value: u64,
    },
    Iota,
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Not,
    Neg,
    Abs,
    Sqrt,
    Exp,
    Log,
    Tanh,
    Erf,
    Sin,
    Cos,
    Where,
    Cast,
    Sum {
        axes: Vec<u8>,
    },
    Amax {
        axes: Vec<u8>,
    },
    Matmul {
        bits: u8,
    },
    Reshape,
    Expand,
    Transpose {
        perm: Vec<u8>,
    },
    Slice {
        axis: u8,
        start: u32,
        stop: u32,
        step: u32,
    },
    Concat {
        axis: u8,
    },
    Pad {
        low: Vec<u32>,
        high: Vec<u32>,
        interior: Vec<u32>,
    },
    Windows {
        kernel: Vec<u32>,
        stride: Vec<u32>,
        dilation: Vec<u32>,
    },
    TakeRows,
    Pick,
    AddRows,
    Uniform {
        stream: u32,
    },
    Output {
        kind: OutputKind,
        name: String,
    },
    /// Encoded for its leaf in the graph root, never computed.
    Input {
        kind: InputKind,
        name: String,
    },
}

/// What an output of a graph is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub enum OutputKind {
    #[codec(index = 0)]
    State,
    #[codec(index = 1)]
    Loss,
    #[codec(index = 2)]
    GradNorm,
    #[codec(index = 3)]
    Result,
}

/// What an input of a graph is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub enum InputKind {
    #[codec(index = 0)]
    State,
    #[codec(index = 1)]
    Batch,
    #[codec(index = 2)]
    Seed,
    #[codec(index = 3)]
    Step,
}

/// A node of a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Form of its result.
    pub output: Form,
    /// Indices in the graph of the nodes that it reads.
    pub inputs: Vec<u32>,
}

/// What a partial of a reduction holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Quantity {
    /// Largest magnitude (amax: value) of the set; for matmul of 32 rows of the left operand.
    #[codec(index = 0)]
    Maximum,
    /// Largest magnitudes of 32 columns of matmul's right operand.
    #[codec(index = 1)]
    RightMaximum,
    /// Exact integer sum on the agreed grid.
    #[codec(index = 2)]
    Sum,
}

/// A node in the tree of partials of a reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Partial {
    /// What it holds.
    pub quantity: Quantity,
    /// Which set: see `reductions`.
    pub of: u32,
    /// 0 for leaves.
    pub level: u8,
    /// Place among the nodes of the level.
    pub index: u32,
}

/// Where in a node's computation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Place {
    /// A 32×32 tile of the output: its padded bytes.
    #[codec(index = 0)]
    Tile(u32),
    /// One element of the output, by row-major index: its bytes.
    #[codec(index = 1)]
    Element(u32),
    /// A partial of a reduction.
    #[codec(index = 2)]
    Partial(Partial),
    /// Whether a tile of an input ends the unit at this node; the value is empty if not.
    #[codec(index = 3)]
    Check {
        /// Number of the input.
        input: u16,
        /// Its tile.
        tile: u32,
    },
}

/// What the arbiter is asked: the value of a place of a node.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Statement {
    /// The node as the committed graph has it.
    pub node: Node,
    /// Forms of what the node reads, in the order of its inputs.
    pub inputs: Vec<Form>,
    /// The place.
    pub place: Place,
}

/// Where an operand comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Source {
    /// A tile of an input, opened under that input's tensor root.
    #[codec(index = 0)]
    Input {
        /// Number of the input.
        input: u16,
        /// Its tile.
        tile: u32,
    },
    /// The agreed value of a lower place.
    #[codec(index = 1)]
    Claim(Place),
}

/// Bytes with where they come from.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Operand {
    /// Where they come from.
    pub source: Source,
    /// The bytes.
    pub data: Vec<u8>,
}

/// An operand that a place needs, and its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// Where it comes from.
    pub source: Source,
    /// Its bytes.
    pub size: u32,
}

/// A hash, BLAKE2b-256.
pub type Hash = [u8; 32];

/// What both sides accept and the chain has stored.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Agreed {
    /// Root of the task's graph.
    pub graph_root: Hash,
    /// Number of its nodes, which fixes the form of its tree.
    pub node_count: u32,
    /// The first node of the step on whose output the sides differ.
    pub node_index: u32,
    /// Tensor roots of what that node reads.
    pub input_roots: Vec<Hash>,
    /// `opening::claim_hash` of the operands that are claims, in order.
    pub claims: Vec<Hash>,
}

/// An operand with its proof.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Opened {
    /// Where it comes from.
    pub source: Source,
    /// The bytes.
    pub data: Vec<u8>,
    /// For an input tile the way to the inner root, from the leaf up; empty for a claim.
    pub siblings: Vec<Hash>,
}

/// What either side hands over to have a place computed: at most `MAX_OPENING_BYTES` in all.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Opening {
    /// What is asked.
    pub statement: Statement,
    /// The node's way to the graph root.
    pub node_siblings: Vec<Hash>,
    /// For each input the root of its tree of tiles.
    pub inner_roots: Vec<Hash>,
    /// What the place needs, in order.
    pub operands: Vec<Opened>,
}

/// Why a unit ends at a node: its execution cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Ending {
    /// A NaN or an infinity where rule E8 allows none.
    #[codec(index = 0)]
    NonFinite,
    /// An index of take_rows, pick or add_rows outside its table.
    #[codec(index = 1)]
    IndexOutOfRange,
}

/// The answer to a statement.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Outcome {
    /// The bytes of the place.
    #[codec(index = 0)]
    Value(Vec<u8>),
    /// An operand ends the unit.
    #[codec(index = 1)]
    Ends(Ending),
}

/// A refusal: the question was badly put. None settles a dispute by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Error {
    /// More bytes than may be opened: narrow the dispute further.
    #[codec(index = 0)]
    TooLarge,
    /// The bytes are no encoding of what they should be.
    #[codec(index = 1)]
    Malformed,
    /// The node breaks its op's rule of dtypes, shapes and attributes, or a limit.
    #[codec(index = 2)]
    BadNode,
    /// The node has no such place.
    #[codec(index = 3)]
    BadPlace,
    /// Another operand, order, length or number than the place needs.
    #[codec(index = 4)]
    BadOperands,
    /// Operands that contradict each other (a value above its set's agreed maximum).
    #[codec(index = 5)]
    Inconsistent,
    /// An input has another dtype or shape under its agreed root.
    #[codec(index = 6)]
    BadForm,
    /// The node or a tile is not under its agreed root.
    #[codec(index = 7)]
    BadProof,
    /// A claim is not the one on which both sides agreed.
    #[codec(index = 8)]
    NotAgreed,
}
