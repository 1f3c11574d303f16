//! Types of the tasks pallet and the traits through which it sees the rest of the runtime.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::Permill;

pub use pallet_stakes::{Balance, BlockNumber};

/// Number of a task, in order of posting.
pub type TaskId = u32;
/// Number of a unit inside its task: round · shards + shard.
pub type UnitIndex = u32;
/// Number of a beacon epoch.
pub type EpochIndex = u32;
/// MACs that prices are counted in: a price per this many MACs.
pub const PRICE_MACS: u128 = 1_000_000;
/// Most units of one task: 2^16 (= 65,536).
pub const MAX_UNITS: u32 = 1 << 16;
/// Most units of a shard that may be claimed and not yet final, so that a cancellation touches no more: 2^6 (= 64).
pub const MAX_CHAIN: u16 = 1 << 6;
/// Most verifiers of a unit.
pub const MAX_VERIFIERS: u32 = 8;
/// Most steps of a segment, so that a dispute can lay its whole history open in one transaction: 2^10 (= 1,024).
pub const MAX_STEPS: u32 = 1 << 10;
/// Most nodes of a graph, tensors of a state and arrays of a data set: 2^16 (= 65,536).
pub const MAX_LEAVES: u32 = 1 << 16;
/// Longest endpoint URL, bytes.
pub const MAX_ENDPOINT: u32 = 128;

/// What batches are made of, so that the chain can make an element of one itself.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DataRule {
    /// Root of the data set's arrays, committed to like a state.
    pub root: H256,
    /// Number of its arrays.
    pub arrays: u32,
    /// Whether batches are windows of its one array `tokens`; else they are rows of all arrays.
    pub windows: bool,
}

/// What a submitter asks for: `shards` independent chains of `rounds` units each.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct TaskSpec {
    /// Address of the canonical JSON of the full specification in the blob store at `endpoint`.
    pub spec_hash: H256,
    /// Root of the committed graph of one training step.
    pub graph_root: H256,
    /// Root of the state from which round 0 of every shard starts.
    pub initial_state_root: H256,
    /// Number of independent chains.
    pub shards: u16,
    /// Units of each chain.
    pub rounds: u16,
    /// Segments (checkpoint to checkpoint) of a unit.
    pub segments_per_unit: u16,
    /// Training steps of a segment.
    pub steps_per_segment: u32,
    /// Multiply-accumulates of one step, by the graph's cost function.
    pub macs_per_step: u64,
    /// What is paid for a unit, plancks.
    pub price: Balance,
    /// Blocks that a solver has between claim and submission.
    pub deadline_blocks: BlockNumber,
    /// URL of the submitter's blob server.
    pub endpoint: BoundedVec<u8, ConstU32<MAX_ENDPOINT>>,
    /// Nodes of the graph, the leaves of its root.
    pub node_count: u32,
    /// Tensors of a state, the leaves of its root.
    pub state_count: u32,
    /// What batches are made of.
    pub data: DataRule,
}

impl TaskSpec {
    /// Number of units, at most 2^32.
    pub fn units(&self) -> u32 {
        u32::from(self.shards).saturating_mul(u32::from(self.rounds))
    }

    /// MACs of one unit; nothing if that is more than 64 bits hold.
    pub fn macs_per_unit(&self) -> Option<u64> {
        self.macs_per_step
            .checked_mul(u64::from(self.steps_per_segment))?
            .checked_mul(u64::from(self.segments_per_unit))
    }

    /// Shard and round of a unit; nothing if the task has no such unit.
    pub fn position(&self, unit: UnitIndex) -> Option<(u16, u16)> {
        let shard = unit.checked_rem(u32::from(self.shards))?;
        let round = unit.checked_div(u32::from(self.shards))?;
        if round >= u32::from(self.rounds) {
            return None;
        }
        Some((u16::try_from(shard).ok()?, u16::try_from(round).ok()?))
    }

    /// Index of the unit of a shard in a round.
    pub fn index(&self, shard: u16, round: u16) -> UnitIndex {
        u32::from(round).saturating_mul(u32::from(self.shards)).saturating_add(u32::from(shard))
    }
}

/// A posted task and where its money went; always price · units = escrowed + paid + refunded + burned.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Task<AccountId> {
    /// The submitter, on whose account the escrow is held.
    pub owner: AccountId,
    /// What was asked for.
    pub spec: TaskSpec,
    /// Block of the posting.
    pub created: BlockNumber,
    /// Still held for units that are not final, plancks.
    pub escrowed: Balance,
    /// Paid to solvers and verifiers, plancks.
    pub paid: Balance,
    /// Given back to the owner, plancks.
    pub refunded: Balance,
    /// Burned, plancks.
    pub burned: Balance,
    /// Whether the owner closed the task: no unit can be claimed any more.
    pub closed: bool,
    /// Units that are claimed and not final.
    pub active: u32,
    /// Units that are final.
    pub finished: u32,
}

/// What an owner loses that did not show a part of its data set.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Forfeit<AccountId> {
    /// Who had asked for it.
    pub finder: AccountId,
    /// Share of each refund that is lost.
    pub share: Permill,
    /// Share of that which goes to the finder; the rest is burned.
    pub reward: Permill,
}

/// Who works on a unit.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Assignment<AccountId> {
    /// The solver.
    pub solver: AccountId,
    /// Keys all randomness of the unit.
    pub seed: H256,
    /// Block of the claim.
    pub assigned_at: BlockNumber,
    /// Last block in which the unit may be submitted.
    pub deadline: BlockNumber,
}

/// What a solver committed to.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Submission {
    /// Merkle root over the segment records.
    pub transcript_root: H256,
    /// Root of the state after the unit's last step.
    pub end_state_root: H256,
    /// Multiply-accumulates of the unit.
    pub macs: u64,
    /// Block of the submission.
    pub submitted_at: BlockNumber,
    /// The epoch whose closing rotation draws the unit.
    pub draw_epoch: EpochIndex,
}

/// Where a unit stands.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum UnitState<AccountId> {
    /// Nobody works on it.
    Open,
    /// Claimed, being executed.
    Assigned(Assignment<AccountId>),
    /// Committed to, waiting for its draw or under verification.
    Submitted(Assignment<AccountId>, Submission),
    /// Verified or not drawn; final after the watch window, and after its parent.
    Challengeable(Assignment<AccountId>, Submission),
    /// Paid and credited.
    Final(Assignment<AccountId>, Submission),
    /// Refunded: its task was closed before it was final.
    Closed,
    /// Under dispute: somebody says that the submission is wrong.
    Disputed(Assignment<AccountId>, Submission),
}

/// A unit of work. Absent in storage = attempt 0, `Open`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Unit<AccountId> {
    /// How often the unit was listed again.
    pub attempt: u16,
    /// Where it stands.
    pub state: UnitState<AccountId>,
}

impl<AccountId> Default for Unit<AccountId> {
    fn default() -> Self {
        Self { attempt: 0, state: UnitState::Open }
    }
}

/// Progress of a shard. Its rounds are, in this order: `finals` final units, then claimed ones up to `claimed`, then open ones.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ShardProgress {
    /// Number of final units.
    pub finals: u16,
    /// Number of units that are not open; also the only round that can be claimed.
    pub claimed: u16,
}

/// How many unfinished units a solver has.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SolverLoad {
    /// Claimed and not submitted.
    pub assigned: u32,
    /// Submitted and not final.
    pub awaiting: u32,
    /// Of these, under dispute. While there is one, `assigned` + `awaiting` must stay within `max_claims`.
    pub disputed: u32,
}

impl SolverLoad {
    /// Units that are neither final nor listed again.
    pub fn unfinished(&self) -> u32 {
        self.assigned.saturating_add(self.awaiting)
    }
}

/// Why a unit can be claimed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum RelistReason {
    /// Not submitted before the deadline.
    Timeout,
    /// The submission was found wrong, or its solver did not answer.
    Refused,
    /// An earlier unit of its chain was listed again; nobody's guilt.
    Cancelled,
    /// Verifiers came to no decision in all allowed draws; nobody's guilt.
    NotDecided,
    /// Its solver has lost its bond and so has nothing to lose: it is not verified.
    NoBond,
}

/// Parameters of the tasks pallet, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct TasksParams {
    /// Least price, plancks per 10^6 MACs.
    pub floor_price: Balance,
    /// What honest computing is taken to cost, plancks per 10^6 MACs.
    pub mac_cost: Balance,
    /// Share of a price that is burned.
    pub burn_share: Permill,
    /// Share of a price that goes to the verifiers who matched.
    pub verifier_share: Permill,
    /// Most units that a solver may have claimed and not submitted; while a unit of it is disputed, most that it may have
    /// claimed or submitted and that are not final.
    pub max_claims: u32,
}

impl Default for TasksParams {
    /// The values of preset `dev`: floor 1,000,000 and cost 200,000 plancks per 10^6 MACs, 20 % burned, 10 % to verifiers, 4 claims.
    fn default() -> Self {
        Self {
            floor_price: 1_000_000,
            mac_cost: 200_000,
            burn_share: Permill::from_percent(20),
            verifier_share: Permill::from_percent(10),
            max_claims: 4,
        }
    }
}

impl TasksParams {
    /// Least price of a unit of `macs` MACs, plancks, rounded up; nothing on overflow.
    pub fn price_floor(&self, macs: u64) -> Option<Balance> {
        Some(self.floor_price.checked_mul(u128::from(macs))?.div_ceil(PRICE_MACS))
    }

    /// Cost C of executing `macs` MACs honestly, plancks, rounded up; nothing on overflow.
    pub fn honest_cost(&self, macs: u64) -> Option<Balance> {
        Some(self.mac_cost.checked_mul(u128::from(macs))?.div_ceil(PRICE_MACS))
    }
}

/// Parts that make one in a probability of detection: 10^12.
pub const DETECTION_ONE: u128 = 1_000_000_000_000;

/// Whether honesty is the best reply: detection · (price + bond) > cost (Proof of Sampling's condition), where `detection` is
/// p·(1−r^v) in parts of 10^12. A product that overflows counts against the parameters.
pub fn is_honesty_best(detection: u128, price: Balance, bond: Balance, cost: Balance) -> bool {
    let stake = price.saturating_add(bond);
    match (detection.checked_mul(stake), cost.checked_mul(DETECTION_ONE)) {
        (Some(loss), Some(gain)) => loss > gain,
        _ => false,
    }
}

/// What the market must know of verification.
pub trait ChallengePolicy {
    /// Probability p·(1−r^v) that a false unit is found, parts of 10^12.
    fn detection() -> u128;
    /// Segments drawn of a challenged unit.
    fn segments() -> u16;
}

/// Where finalised work is counted.
pub trait CreditSink<AccountId> {
    /// Credits `macs` finalised multiply-accumulates to `account`.
    fn credit(account: &AccountId, macs: u64);
}

impl<AccountId> CreditSink<AccountId> for () {
    fn credit(_: &AccountId, _: u64) {}
}
