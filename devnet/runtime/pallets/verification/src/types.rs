//! Types of the verification pallet, and the rule by which a duty is decided.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use pallet_tasks::{Balance, BlockNumber, EpochIndex, TaskId, UnitIndex, MAX_VERIFIERS};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_runtime::Permill;

/// Most segments drawn of a unit.
pub const MAX_SEGMENTS: u32 = 16;
/// Longest Merkle proof of a segment record: a unit has at most 2^16 − 1 segments.
pub const MAX_PROOF: u32 = 16;
/// Most draws of a unit before it is listed again: 2^4 (= 16).
pub const MAX_DRAWS: u8 = 1 << 4;
/// Verifiers who must say that a solver does not serve its data.
pub const QUORUM: usize = 2;

/// What the runtime knows of one executed segment: end state root and witness.
pub type SegmentResult = (H256, H256);
/// Results of the drawn segments, in their order.
pub type SegmentResults = BoundedVec<SegmentResult, ConstU32<MAX_SEGMENTS>>;
/// The drawn segments, ascending.
pub type Segments = BoundedVec<u16, ConstU32<MAX_SEGMENTS>>;
/// The openings of the drawn segments, in their order.
pub type Openings = BoundedVec<Opening, ConstU32<MAX_SEGMENTS>>;
/// Accounts of a unit's verifiers.
pub type Verifiers<AccountId> = BoundedVec<AccountId, ConstU32<MAX_VERIFIERS>>;

/// Verifiers who executed the drawn segments, each with where it agrees with the solver: bit i for the i-th segment.
pub type AttesterList<AccountId> = BoundedVec<(AccountId, u16), ConstU32<MAX_VERIFIERS>>;

/// Who takes over the units on which verifiers and solver do not agree.
pub trait Disputes<AccountId> {
    /// A unit has become disputed: `attesters` executed `segments`, and not all of them agree with the solver.
    fn on_mismatch(task: TaskId, unit: UnitIndex, attempt: u16, segments: Segments, attesters: AttesterList<AccountId>);

    /// A unit was listed again: disputes about it are moot.
    fn on_relisted(task: TaskId, unit: UnitIndex);
}

/// Who keeps those awake that look at units which no verifier was drawn for.
pub trait Lottery {
    /// A unit had its first draw, with `seed`, and is challenged or not.
    fn on_draw(task: TaskId, unit: UnitIndex, attempt: u16, seed: H256, is_challenged: bool);

    /// A unit of this price became final.
    fn on_final(price: Balance);

    /// A unit was listed again: nothing is found in it any more.
    fn on_relisted(task: TaskId, unit: UnitIndex);
}

impl Lottery for () {
    fn on_draw(_: TaskId, _: UnitIndex, _: u16, _: H256, _: bool) {}
    fn on_final(_: Balance) {}
    fn on_relisted(_: TaskId, _: UnitIndex) {}
}

/// How a verifier's re-execution ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Outcome {
    /// All drawn segments were executed; the results say what came out.
    Executed,
    /// The solver did not serve what is needed.
    Unavailable,
    /// The verifier's own machine is at fault; nobody's guilt.
    Inconclusive,
}

/// What a verifier attests.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Attestation {
    /// How the re-execution ended.
    pub outcome: Outcome,
    /// End state root and witness of each drawn segment; empty unless executed.
    pub segments: SegmentResults,
}

impl Attestation {
    /// What a verifier commits to: binds account, unit and content, hidden by the salt.
    pub fn commitment<AccountId: Encode>(
        &self,
        account: &AccountId,
        task: TaskId,
        unit: UnitIndex,
        salt: &[u8; 32],
    ) -> H256 {
        let mut bytes = b"attest/v1".to_vec();
        (account, task, unit, self, salt).encode_to(&mut bytes);
        H256(blake2_256(&bytes))
    }
}

/// Commitment to one segment; the leaf of the transcript's Merkle tree is its SCALE encoding.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SegmentRecord {
    /// Number of the segment in its unit.
    pub index: u16,
    /// Root of the state before its first step.
    pub start_state_root: H256,
    /// Root of the state after its last step.
    pub end_state_root: H256,
    /// Record of its first step.
    pub first_step_record: H256,
    /// Record of its last step.
    pub last_step_record: H256,
    /// The witness, hashed with the solver's account so that nobody can copy it.
    pub salted_witness: H256,
    /// The witness once more, hashed otherwise: sixteen claims of two bytes, one of which may be a decoy (pallet Jackpot).
    pub claims: H256,
}

/// Salted witness of an account.
pub fn salt_witness<AccountId: Encode>(account: &AccountId, witness: &H256) -> H256 {
    let mut bytes = b"witness/v1".to_vec();
    (account, witness).encode_to(&mut bytes);
    H256(blake2_256(&bytes))
}

/// A solver's opening of one drawn segment.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Opening {
    /// The committed record.
    pub record: SegmentRecord,
    /// The witness behind its salted witness.
    pub witness: H256,
    /// Sibling hashes from the record to the transcript root.
    pub proof: BoundedVec<H256, ConstU32<MAX_PROOF>>,
}

/// How far a verifier is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum VerifierState {
    /// Nothing heard yet.
    Waiting,
    /// Committed to an attestation.
    Committed(H256),
    /// Revealed: the outcome, and H of the SCALE-encoded results.
    Revealed(Outcome, H256),
}

/// Phase of a duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Phase {
    /// Verifiers execute and commit.
    Commit,
    /// Verifiers and solver reveal.
    Reveal,
}

/// A challenged unit under verification.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Duty<AccountId> {
    /// The drawn verifiers and how far they are, in order of the draw.
    pub verifiers: BoundedVec<(AccountId, VerifierState), ConstU32<MAX_VERIFIERS>>,
    /// The drawn segments, ascending.
    pub segments: Segments,
    /// Commit or reveal.
    pub phase: Phase,
    /// Last block of the phase.
    pub deadline: BlockNumber,
    /// End state root and witness of each drawn segment, as the solver opened them.
    pub solver_reveal: Option<SegmentResults>,
    /// Attempt of the unit that is verified.
    pub attempt: u16,
    /// How often the attempt was drawn, this time included.
    pub draws: u8,
}

/// A unit that waits for its draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DueDraw {
    /// The epoch whose closing rotation draws it.
    pub epoch: EpochIndex,
    /// The task.
    pub task: TaskId,
    /// The unit.
    pub unit: UnitIndex,
    /// Its attempt.
    pub attempt: u16,
    /// Draws so far; a unit that was challenged once stays challenged.
    pub draws: u8,
}

/// A unit in its watch window.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Watch<AccountId> {
    /// Last block of the window.
    pub until: BlockNumber,
    /// Verifiers who matched and share in the price.
    pub matched: Verifiers<AccountId>,
    /// The segments that they attested.
    pub segments: Segments,
    /// Whether the unit was disputed before: disputes of this window start no further one.
    pub second: bool,
}

/// A deadline of verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Timer {
    /// The current phase of a duty ends: task, unit, its last block.
    Phase(TaskId, UnitIndex, BlockNumber),
    /// A watch window ends, or the parent of a unit whose window has ended became final: task, unit.
    Watch(TaskId, UnitIndex),
}

/// Parameters of verification, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct VerificationParams {
    /// Probability p that a unit is challenged, parts per million.
    pub challenge_ppm: u32,
    /// Number q of segments drawn of a challenged unit.
    pub segments: u16,
    /// Number v of verifiers drawn for a challenged unit.
    pub verifiers: u32,
    /// Share r of the verifiers' stake that one attacker is assumed to hold.
    pub attacker_share: Permill,
    /// Blocks in which drawn verifiers must commit.
    pub commit_blocks: BlockNumber,
    /// Blocks in which verifiers and solver must reveal.
    pub reveal_blocks: BlockNumber,
    /// Blocks between acceptance and finality.
    pub watch_blocks: BlockNumber,
}

impl Default for VerificationParams {
    /// The values of preset `dev`: p = 1/2, q = 1, v = 2, r = 1/3, windows of 20, 10 and 5 blocks.
    fn default() -> Self {
        Self {
            challenge_ppm: 500_000,
            segments: 1,
            verifiers: 2,
            attacker_share: Permill::from_parts(333_333),
            commit_blocks: 20,
            reveal_blocks: 10,
            watch_blocks: 5,
        }
    }
}

impl VerificationParams {
    /// p·(1−r^v) in parts of 10^12; r^v is rounded up at each factor, so that the result errs on the safe side.
    pub fn detection(&self) -> u128 {
        let one = crate::draw::PPM;
        let share = u128::from(self.attacker_share.deconstruct());
        let all = (0..self.verifiers.min(MAX_VERIFIERS)).fold(one, |all, _| all.saturating_mul(share).div_ceil(one));
        u128::from(self.challenge_ppm).saturating_mul(one.saturating_sub(all))
    }
}

/// Where a finished verification leads.
pub enum Verdict {
    /// All verifiers executed and agree with the solver.
    Match,
    /// A verifier got something else than the solver: a dispute must say who is wrong.
    Mismatch,
    /// The solver did not open the drawn segments.
    NoSolverReveal,
    /// The solver did not serve its data.
    Unavailable,
    /// None of these.
    NotDecided,
}

/// Decides over a duty. `results` holds each verifier's outcome and results, in the duty's order, for those who revealed.
pub fn compute_verdict(
    solver: Option<&SegmentResults>,
    verifiers: usize,
    results: &[(Outcome, SegmentResults)],
) -> Verdict {
    let Some(solver) = solver else { return Verdict::NoSolverReveal };
    let executed: Vec<&SegmentResults> =
        results.iter().filter(|(outcome, _)| *outcome == Outcome::Executed).map(|(_, found)| found).collect();
    if executed.len() == verifiers && executed.iter().all(|found| *found == solver) {
        return Verdict::Match;
    }
    if executed.iter().any(|found| *found != solver) {
        return Verdict::Mismatch;
    }
    if results.iter().filter(|(outcome, _)| *outcome == Outcome::Unavailable).count() >= QUORUM {
        return Verdict::Unavailable;
    }
    Verdict::NotDecided
}

/// Where two parties agree: bit i for the i-th drawn segment.
pub fn compute_agreement(found: &SegmentResults, solver: &SegmentResults) -> u16 {
    let pairs = found.iter().zip(solver.iter()).enumerate();
    pairs.filter(|(_, (a, b))| a == b).fold(0, |mask, (place, _)| mask | (1 << place))
}

/// The first drawn segment on which a party with this agreement differs from the solver.
pub fn first_difference(agreement: u16, segments: &[u16]) -> Option<u16> {
    segments.get(agreement.trailing_ones() as usize).copied()
}
