//! Types of the jackpot pallet, and the arithmetic of its prizes.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use pallet_stakes::{Balance, BlockNumber};
use pallet_tasks::{TaskId, UnitIndex};
use pallet_verification::{draw::PPM, SegmentRecord, MAX_PROOF};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_runtime::Permill;

/// Claims of a record, of which one may be a decoy: 2^4 (= 16). A unit is a forced error with one chance in so many.
pub const CLAIMS: u8 = 16;
/// Bytes of one claim: a false one is the true one by chance once in 2^16, and the decoy is made to differ.
pub const CLAIM_BYTES: usize = 2;
/// Draw number of the claim that counts.
pub const COUNTING: u32 = 2_000;
/// Draw number of the segment by which a solver shows a decoy that nobody found.
pub const SHOWN_SEGMENT: u32 = 2_001;
/// Most finders of one forced error: 2^3 (= 8). The eighth would get a thousandth of what a single one gets.
pub const MAX_FINDERS: u32 = 8;
/// What of the budget a single finder gets. All prizes together, J·Σ 1/(k·2^(k−1)) < 1.3863·J, stay within the budget.
pub const PRIZE_SHARE: Permill = Permill::from_percent(72);
/// What of the penalty for a false claim goes to the finders.
pub const FINDER_SHARE: Permill = Permill::from_percent(50);

/// A solver's commitment to which claim of a unit is its decoy, made before the unit is submitted.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Decoy {
    /// The attempt of the unit.
    pub attempt: u16,
    /// [`commit_decoy`] of place and salt.
    pub commitment: H256,
}

/// What a solver commits to: the place of its decoy, hidden by the salt.
pub fn commit_decoy<AccountId: Encode>(
    solver: &AccountId,
    task: TaskId,
    unit: UnitIndex,
    attempt: u16,
    place: u8,
    salt: &[u8; 32],
) -> H256 {
    let mut bytes = b"decoy/v1".to_vec();
    (solver, task, unit, attempt, place, salt).encode_to(&mut bytes);
    H256(blake2_256(&bytes))
}

/// The sixteen true claims of a segment whose execution yields `witness`.
pub fn compute_claims<AccountId: Encode>(solver: &AccountId, witness: &H256) -> H256 {
    let mut bytes = b"claims/v1".to_vec();
    (solver, witness).encode_to(&mut bytes);
    H256(blake2_256(&bytes))
}

/// Whether two lists of claims differ at `place`.
pub fn differs_at(one: &H256, other: &H256, place: u8) -> bool {
    let first = usize::from(place).saturating_mul(CLAIM_BYTES);
    let range = first..first.saturating_add(CLAIM_BYTES);
    one.0.get(range.clone()) != other.0.get(range)
}

/// What a whistleblower seals: binds account, unit, segment and witness, hidden by the salt.
pub fn commit_finding<AccountId: Encode>(
    finder: &AccountId,
    task: TaskId,
    unit: UnitIndex,
    segment: u16,
    witness: &H256,
    salt: &[u8; 32],
) -> H256 {
    let mut bytes = b"finding/v1".to_vec();
    (finder, task, unit, segment, witness, salt).encode_to(&mut bytes);
    H256(blake2_256(&bytes))
}

/// A segment with its witness: what only who executed it can bring.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Finding {
    /// The committed record.
    pub record: SegmentRecord,
    /// Sibling hashes from the record to the transcript root.
    pub proof: BoundedVec<H256, ConstU32<MAX_PROOF>>,
    /// The witness behind its salted witness.
    pub witness: H256,
}

/// A sealed finding.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Seal {
    /// Block in which it was sealed.
    pub block: BlockNumber,
    /// [`commit_finding`], or anything: nobody sees which.
    pub commitment: H256,
}

/// An unchallenged unit with a decoy, until it is known whether the decoy counts.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Draw<AccountId> {
    /// The attempt of the unit.
    pub attempt: u16,
    /// The solver's commitment to the place of its decoy.
    pub commitment: H256,
    /// The claim that counts.
    pub counting: u8,
    /// The segment by which the solver shows a decoy that nobody found.
    pub segment: u16,
    /// Last block in which a finding of it may be sealed.
    pub seal_until: BlockNumber,
    /// Last block in which one may be opened.
    pub find_until: BlockNumber,
    /// Last block in which the solver may show its decoy.
    pub show_until: BlockNumber,
    /// Who found the claim that counts to be false, in order.
    pub finders: BoundedVec<AccountId, ConstU32<MAX_FINDERS>>,
}

/// Parameters of the jackpot, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct JackpotParams {
    /// Share of a final unit's price that goes to the pot; a part of what is burned.
    pub share: Permill,
    /// Blocks after the draw in which findings are sealed.
    pub seal_blocks: BlockNumber,
    /// Blocks after these in which they are opened.
    pub find_blocks: BlockNumber,
    /// Blocks after these in which the solver shows its decoy.
    pub show_blocks: BlockNumber,
}

impl Default for JackpotParams {
    /// The values of preset `dev`: 4 % of a price; 5, 3 and 5 blocks.
    fn default() -> Self {
        Self { share: Permill::from_percent(4), seal_blocks: 5, find_blocks: 3, show_blocks: 5 }
    }
}

impl JackpotParams {
    /// What a unit of this price puts into the pot.
    pub fn contribution(&self, price: Balance) -> Balance {
        self.share.mul_floor(price)
    }

    /// Most that a forced error may cost, so that units pay in what they pay out: the contribution, times 16 for the
    /// claims, by the share of units that are not challenged. Nothing where all are.
    pub fn budget(&self, price: Balance, challenge_ppm: u32) -> Balance {
        let unchallenged = PPM.saturating_sub(u128::from(challenge_ppm));
        let all = self.contribution(price).saturating_mul(u128::from(CLAIMS)).saturating_mul(PPM);
        all.checked_div(unchallenged).unwrap_or(0)
    }
}

/// Prizes of one forced error. Among k finders J/2^(k−1) in all: who comes with more names gets less.
///
/// What further finders would get, the solver gets instead. So each finder more costs the solver exactly what that one
/// gets, and who tips off a friend moves money from one pocket to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prizes {
    single: Balance,
}

impl Prizes {
    /// Prizes that cost at most `budget` in all.
    pub fn new(budget: Balance) -> Self {
        Self { single: PRIZE_SHARE.mul_floor(budget) }
    }

    /// What each of `finders` gets: J/(k·2^(k−1)); nothing for none.
    pub fn each(&self, finders: u32) -> Balance {
        let parts = finders.checked_sub(1).and_then(|more| 1u128.checked_shl(more)).unwrap_or(0);
        self.single.checked_div(parts.saturating_mul(finders.into())).unwrap_or(0)
    }

    /// What the solver gets: what the finders after these would each have had.
    pub fn solver(&self, finders: u32) -> Balance {
        let more = finders.saturating_add(1)..=MAX_FINDERS;
        more.fold(0, |sum: Balance, count| sum.saturating_add(self.each(count)))
    }
}
