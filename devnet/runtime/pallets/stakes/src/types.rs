//! Types of the stakes pallet and the trait through which the other pallets see bonds.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_runtime::Permill;

/// Amount of money in plancks; 1 UNIT = 10^12 plancks.
pub type Balance = u128;

/// Height of a block.
pub type BlockNumber = u32;

/// What a bond entitles to. Each role has a bond of its own.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Role {
    /// Executes units of work and earns block rights.
    Solver,
    /// Re-executes sampled segments.
    Verifier,
}

/// Why a bond was slashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum SlashReason {
    /// A solver lost a dispute: what it committed to is wrong.
    WrongResult,
    /// A challenged solver did not open the drawn segments in time.
    NoSolverReveal,
    /// A drawn verifier did not commit, or did not reveal, in time.
    NoVerifierReveal,
    /// A challenged solver did not serve the inputs of the drawn segments.
    Unavailable,
    /// An account committed to the beacon and did not reveal.
    BeaconNoShow,
    /// What was revealed is not what was committed.
    CommitMismatch,
    /// A verifier attested a result that lost a dispute, or did not win one for its own against the solver's.
    WrongAttestation,
    /// An author sealed two blocks of one slot, or a voter signed two votes of one round.
    Equivocation,
    /// A solver's claim that counted was false without being its decoy.
    FalseClaim,
}

/// Parameters of the stakes pallet, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StakesParams {
    /// Least bond of an eligible solver, plancks.
    pub min_solver_bond: Balance,
    /// Least bond of an eligible verifier, plancks.
    pub min_verifier_bond: Balance,
    /// Blocks between the start of an unbonding and its withdrawal.
    pub unbonding_blocks: BlockNumber,
    /// What a missed duty costs, plancks.
    pub penalty: Balance,
}

impl Default for StakesParams {
    /// The values of preset `dev`: 100 UNIT, 50 UNIT, 600 blocks, 5 UNIT.
    fn default() -> Self {
        Self {
            min_solver_bond: 100_000_000_000_000,
            min_verifier_bond: 50_000_000_000_000,
            unbonding_blocks: 600,
            penalty: 5_000_000_000_000,
        }
    }
}

/// What the other pallets may ask of, and do to, bonds.
pub trait StakeProvider<AccountId> {
    /// Active bond of `who` in `role`, plancks; unbonding money does not count.
    fn bond_of(role: Role, who: &AccountId) -> Balance;

    /// All that `who` can still lose in `role`, plancks: the active bond and unbonding money.
    fn at_stake(role: Role, who: &AccountId) -> Balance;

    /// Least active bond with which an account is eligible for `role`, plancks.
    fn min_bond(role: Role) -> Balance;

    /// What a missed duty costs, plancks.
    fn penalty() -> Balance;

    /// Blocks between the start of an unbonding and its withdrawal: so long a bond answers after its last use.
    fn unbonding_blocks() -> BlockNumber;

    /// Whether the active bond of `who` reaches the minimum of `role`.
    fn is_eligible(role: Role, who: &AccountId) -> bool {
        Self::bond_of(role, who) >= Self::min_bond(role)
    }

    /// All eligible accounts of `role` with their active bonds, in order of account id; at most `MaxStakers`.
    fn eligible(role: Role) -> Vec<(AccountId, Balance)>;

    /// Takes up to `amount` from the bond of `who` (the active part first, then unbonding money) and burns it.
    /// Gives what was really taken; `Balance::MAX` takes everything.
    fn slash(role: Role, who: &AccountId, amount: Balance, reason: SlashReason) -> Balance;

    /// As `slash`, but `share` of what was taken goes to `finder` and only the rest is burned.
    fn slash_for(
        role: Role,
        who: &AccountId,
        amount: Balance,
        reason: SlashReason,
        finder: &AccountId,
        share: Permill,
    ) -> Balance;
}

/// Says which accounts still owe something that their bond answers for, so that it cannot be withdrawn before.
pub trait Obligations<AccountId> {
    /// Whether `who` has unfinished duties in `role`.
    fn is_obliged(role: Role, who: &AccountId) -> bool;
}

impl<AccountId> Obligations<AccountId> for () {
    fn is_obliged(_: Role, _: &AccountId) -> bool {
        false
    }
}

impl<AccountId, A: Obligations<AccountId>, B: Obligations<AccountId>> Obligations<AccountId> for (A, B) {
    fn is_obliged(role: Role, who: &AccountId) -> bool {
        A::is_obliged(role, who) || B::is_obliged(role, who)
    }
}
