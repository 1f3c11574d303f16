//! Tests of the verification pallet: the calls, whole life cycles, random calls, and the golden vectors.

mod calls;
mod lifecycle;
mod properties;
mod vectors;

use crate::{mock::*, *};
use frame_support::{assert_ok, dispatch::DispatchResultWithPostInfo};
use pallet_stakes::{Role, StakeProvider};
use pallet_tasks::{TaskId, UnitIndex, UnitState};
use sp_runtime::DispatchResult;

pub const SALT: [u8; 32] = [7; 32];

pub fn origin(who: &AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

pub fn state(unit: UnitIndex) -> UnitState<AccountId> {
    pallet_tasks::Units::<Test>::get(0, unit).state
}

pub fn attempt(unit: UnitIndex) -> u16 {
    pallet_tasks::Units::<Test>::get(0, unit).attempt
}

pub fn duty(unit: UnitIndex) -> Duty<AccountId> {
    Duties::<Test>::get(0, unit).expect("a duty")
}

/// The verifiers drawn for a unit, in order of the draw.
pub fn drawn(unit: UnitIndex) -> Vec<AccountId> {
    duty(unit).verifiers.into_iter().map(|(who, _)| who).collect()
}

pub fn bond(role: Role, who: &AccountId) -> u128 {
    Stakes::bond_of(role, who)
}

/// Claims and submits a unit as `who` with the execution `variant`.
pub fn submit_as(who: &AccountId, unit: UnitIndex, variant: u8) -> Execution {
    assert_ok!(Tasks::claim(origin(who), 0, unit));
    let execution = Execution::new(0, unit, who, variant);
    assert_ok!(Verification::submit(origin(who), 0, unit, execution.root(), execution.end(), MACS));
    execution
}

pub fn commit(who: &AccountId, unit: UnitIndex, attestation: &Attestation) -> DispatchResult {
    Verification::commit(origin(who), 0, unit, attestation.commitment(who, 0 as TaskId, unit, &SALT))
}

pub fn reveal(who: &AccountId, unit: UnitIndex, attestation: &Attestation) -> DispatchResult {
    plain(Verification::reveal(origin(who), 0, unit, attestation.clone(), SALT))
}

pub fn open(execution: &Execution, unit: UnitIndex) -> DispatchResult {
    plain(Verification::reveal_solver(origin(&solver()), 0, unit, execution.openings(0, unit)))
}

/// A result without its weight.
pub fn plain(result: DispatchResultWithPostInfo) -> DispatchResult {
    result.map(|_| ()).map_err(|error| error.error)
}

/// Everybody does its duty for a unit of `solver()`; the verifiers attest `found`.
pub fn go_through(unit: UnitIndex, execution: &Execution, found: &Attestation) {
    let drawn = drawn(unit);
    for who in &drawn {
        assert_ok!(commit(who, unit, found));
    }
    for who in &drawn {
        assert_ok!(reveal(who, unit, found));
    }
    assert_ok!(open(execution, unit));
}

/// Attestation without results.
pub fn attest(outcome: Outcome) -> Attestation {
    Attestation { outcome, segments: Default::default() }
}

/// A posted task.
pub fn posted() -> sp_io::TestExternalities {
    posted_with(genesis())
}

pub fn posted_with(config: RuntimeGenesisConfig) -> sp_io::TestExternalities {
    let mut ext = test_ext(config);
    ext.execute_with(|| {
        assert_ok!(Tasks::post(origin(&owner()), spec()));
    });
    ext
}

/// Unit 0 is submitted by `solver()` and drawn; gives its execution.
pub fn challenged() -> (sp_io::TestExternalities, Execution) {
    let mut ext = posted();
    let execution = ext.execute_with(|| {
        let execution = submit_as(&solver(), 0, 0);
        rotate();
        execution
    });
    (ext, execution)
}

/// Unit 0 is in its reveal phase: the drawn verifiers committed to what the solver got.
pub fn revealing() -> (sp_io::TestExternalities, Execution) {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        for who in drawn(0) {
            assert_ok!(commit(&who, 0, &found));
        }
        assert_eq!(duty(0).phase, Phase::Reveal);
    });
    (ext, execution)
}
