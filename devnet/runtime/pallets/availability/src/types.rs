//! Types of the availability pallet: what can be asked for, what answers it, and what the chain remembers of it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use pallet_disputes::{ArrayForm, Name, OpenedRecord, Siblings, TileOpening};
use pallet_stakes::{Balance, BlockNumber};
use pallet_tasks::{TaskId, UnitIndex};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::Permill;

/// Number of an ask, in order of asking.
pub type AskId = u32;
/// Most asks of strangers about one attempt of a unit: 2^3 (= 8); the last one's deposit is 2^7 times the first one's.
pub const MAX_STRANGERS: u8 = 1 << 3;
/// Most open asks of strangers about one unit.
pub const MAX_OPEN_OF_UNIT: u8 = 2;
/// Most open asks of one account that strangers make of a solver and solvers of an owner: 2^2 (= 4).
pub const MAX_OPEN_OF_ANSWERER: u32 = 1 << 2;
/// Most asks about one attempt of a unit: 8 of strangers, and 24 of verifiers drawn for it.
pub const MAX_ASKERS: u32 = 1 << 5;
/// Bytes of the largest opening, SCALE-encoded: a record of 194 and its proof of 16 hashes with a byte of each option and
/// length (708); a name of 256, 8 dimensions, inner root and siblings of 32 hashes (1,352); a tile of 8,192 and siblings
/// of 32 hashes (9,219); kind and lengths counted generously (= 12,288).
pub const MAX_OPENING_BYTES: u32 = 12 << 10;

/// A part of what a solver has committed to, or of a task's data set, small enough for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Chunk {
    /// The record of a segment.
    Transcript {
        /// Number of the segment.
        segment: u16,
    },
    /// One tile of one tensor of the state after so many segments: 0 is the state from which the unit starts.
    Checkpoint {
        /// Number of segments before it.
        checkpoint: u16,
        /// Place of the tensor in the state.
        entry: u32,
        /// Which tile, modulo their number: the chain does not know it before the answer.
        tile: u32,
    },
    /// One tile of one array of the task's data set, which the task's owner must open.
    Data {
        /// Place of the array in the data set.
        array: u32,
        /// Which tile, modulo their number.
        tile: u32,
    },
}

impl Chunk {
    /// Whether it is the task's owner who must open it.
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. })
    }
}

/// A tensor of a state, or an array of a data set, which is committed to alike.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EntryOpening {
    /// Its name.
    pub name: Name,
    /// Its dtype and shape.
    pub form: ArrayForm,
    /// Root of its tree of tiles; zeros for a tensor of no elements.
    pub inner_root: H256,
    /// From its leaf to the root of all.
    pub siblings: Siblings,
}

/// The answer to an ask, of the same kind as its chunk.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Opening {
    /// The record with its proof.
    Transcript(OpenedRecord),
    /// The tile with its way to a root that the chain knows.
    Checkpoint {
        /// Record of the segment that ends in the state; none for the unit's first and last state, which the chain knows.
        record: Option<OpenedRecord>,
        /// The tensor.
        entry: EntryOpening,
        /// Its tile; without bytes and siblings for a tensor of no elements.
        tile: TileOpening,
    },
    /// The tile with its way to the root of the data set.
    Data {
        /// The array.
        entry: EntryOpening,
        /// Its tile; without bytes and siblings for an array of no elements.
        tile: TileOpening,
    },
}

/// An ask that waits for its answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Ask<AccountId> {
    /// The task.
    pub task: TaskId,
    /// The unit; for a part of the data set the one that the asker works on or verifies.
    pub unit: UnitIndex,
    /// The unit's attempt.
    pub attempt: u16,
    /// Who must answer: the unit's solver, or the task's owner.
    pub answerer: AccountId,
    /// Who asked.
    pub asker: AccountId,
    /// What is asked for.
    pub chunk: Chunk,
    /// What is held of the asker, plancks.
    pub deposit: Balance,
    /// Last block in which the answer is in time.
    pub deadline: BlockNumber,
    /// Whether the asker is a verifier drawn for the unit, who asks for what its duty needs.
    pub is_drawn: bool,
}

/// How an ask ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Outcome {
    /// The chunk was opened in time.
    Answered,
    /// It was not, and who had to answer has lost for it.
    Unanswered,
    /// The unit was listed again, or the task's owner had lost for it already.
    Moot,
}

/// What is kept of an ask that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EndedAsk<AccountId> {
    /// The task.
    pub task: TaskId,
    /// The unit.
    pub unit: UnitIndex,
    /// Who had to answer.
    pub answerer: AccountId,
    /// Who asked.
    pub asker: AccountId,
    /// What was asked for.
    pub chunk: Chunk,
    /// What was held of the asker, plancks.
    pub deposit: Balance,
    /// Last block in which the answer was in time.
    pub deadline: BlockNumber,
    /// Block in which it ended.
    pub ended: BlockNumber,
    /// How.
    pub outcome: Outcome,
}

/// What was asked about one attempt of a unit.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct UnitAsks<AccountId> {
    /// The attempt.
    pub attempt: u16,
    /// Asks of strangers so far.
    pub strangers: u8,
    /// Those of them that are open.
    pub open: u8,
    /// All who asked its solver: each may do so once.
    pub askers: BoundedVec<AccountId, ConstU32<MAX_ASKERS>>,
    /// All who asked the task's owner while they worked on the attempt or verified it: each may do so once.
    pub askers_of_data: BoundedVec<AccountId, ConstU32<MAX_ASKERS>>,
}

impl<AccountId> UnitAsks<AccountId> {
    /// Nothing was asked yet about this attempt.
    pub fn new(attempt: u16) -> Self {
        Self { attempt, strangers: 0, open: 0, askers: BoundedVec::new(), askers_of_data: BoundedVec::new() }
    }
}

/// Parameters of availability, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AvailabilityParams {
    /// Blocks in which an ask must be answered.
    pub answer_blocks: BlockNumber,
    /// What is held for the first ask about a unit, plancks; each further one of a stranger of its solver doubles it.
    pub deposit: Balance,
    /// What is paid of it for an answer, plancks; the rest is burned.
    pub compensation: Balance,
    /// Share of what the silent lose that goes to the asker; the rest is burned.
    pub reward_share: Permill,
    /// Share of all that it gets back of its task that a silent owner loses.
    pub owner_share: Permill,
}

impl Default for AvailabilityParams {
    /// The values of preset `dev`: 10 blocks, 0.1 UNIT, 0.02 UNIT, a tenth, a quarter.
    fn default() -> Self {
        Self {
            answer_blocks: 10,
            deposit: 100_000_000_000,
            compensation: 20_000_000_000,
            reward_share: Permill::from_percent(10),
            owner_share: Permill::from_percent(25),
        }
    }
}

impl AvailabilityParams {
    /// What is held for an ask of a stranger after `earlier` others about the same attempt, plancks: doubled each time.
    pub fn deposit_after(&self, earlier: u8) -> Balance {
        self.deposit.saturating_mul(1 << earlier.min(MAX_STRANGERS))
    }
}
