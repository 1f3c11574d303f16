//! Tests of the disputes pallet: how games open, golden games move by move, what becomes of units, and many challengers.

mod narrowing;
mod opening;
mod outcomes;
mod replay;

use crate::{mock::*, *};
use frame_support::{assert_ok, dispatch::DispatchResult};
use pallet_stakes::{Role, StakeProvider};
use pallet_tasks::{UnitIndex, UnitState};
use pallet_verification::{Attestation, Outcome};

pub const SALT: [u8; 32] = [7; 32];

pub fn origin(who: &AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

pub fn state(unit: UnitIndex) -> UnitState<AccountId> {
    pallet_tasks::Units::<Test>::get(0, unit).state
}

pub fn stake(role: Role, who: &AccountId) -> u128 {
    Stakes::bond_of(role, who)
}

/// Claims and submits a unit as the solver with the execution `variant`.
pub fn submit(unit: UnitIndex, variant: u8) -> Execution {
    assert_ok!(Tasks::claim(origin(&solver()), 0, unit));
    let execution = Execution::new(0, unit, &solver(), variant);
    assert_ok!(Verification::submit(origin(&solver()), 0, unit, execution.root(), execution.end(), MACS));
    execution
}

/// What a verifier attests of the drawn segments who got `execution`.
pub fn attest(unit: UnitIndex, execution: &Execution) -> Attestation {
    let duty = pallet_verification::Duties::<Test>::get(0, unit).expect("a duty");
    let segments = duty.segments.iter().map(|segment| {
        let segment = usize::from(*segment);
        (execution.records[segment].end_state_root, execution.witnesses[segment])
    });
    Attestation { outcome: Outcome::Executed, segments: segments.collect::<Vec<_>>().try_into().expect("few") }
}

/// The drawn verifiers attest what they got, one execution each, and the solver reveals its own.
pub fn go_through(unit: UnitIndex, solved: &Execution, found: &[Attestation]) -> Vec<AccountId> {
    let duty = pallet_verification::Duties::<Test>::get(0, unit).expect("a duty");
    let drawn: Vec<AccountId> = duty.verifiers.iter().map(|(who, _)| who.clone()).collect();
    for (who, found) in drawn.iter().zip(found) {
        assert_ok!(Verification::commit(origin(who), 0, unit, found.commitment(who, 0, unit, &SALT)));
    }
    for (who, found) in drawn.iter().zip(found) {
        Verification::reveal(origin(who), 0, unit, found.clone(), SALT).expect("committed");
    }
    let openings: Vec<_> = duty.segments.iter().map(|segment| solved.open(*segment)).collect();
    Verification::reveal_solver(origin(&solver()), 0, unit, openings.try_into().expect("few")).expect("honest");
    drawn
}

/// Opens a game about a segment.
pub fn open(who: &AccountId, unit: UnitIndex, execution: &Execution, segment: u16) -> DispatchResult {
    Disputes::open(origin(who), 0, unit, execution.record(segment), execution.previous(segment))
}

/// The solver commits to the true history of a game's segment.
pub fn commit_history(game: GameId, execution: &Execution) -> DispatchResult {
    let segment = Games::<Test>::get(game).map_or(0, |game| game.segment);
    let leaves = execution.history(segment);
    let last = *execution.histories[usize::from(segment)].last().expect("steps");
    let root = levels(leaves.clone()).last().expect("a root")[0];
    let proof = siblings(leaves, STEPS as usize - 1).try_into().expect("short");
    Disputes::commit_history(origin(&solver()), game, root, last, proof)
}

/// A false challenger says that the witness is wrong, and the solver shows it: three moves after the opening.
pub fn lose_by_witness(challenger: &AccountId, game: GameId, execution: &Execution) {
    let segment = usize::from(Games::<Test>::get(game).expect("a game").segment);
    assert_ok!(commit_history(game, execution));
    assert_ok!(Disputes::choose(origin(challenger), game, Choice::Witness));
    let leaves = execution.histories[segment].clone().try_into().expect("few");
    assert_ok!(Disputes::prove_witness(origin(&solver()), game, leaves));
}

pub fn ended(game: GameId) -> (Verdict, Option<Side>) {
    let ended = Ended::<Test>::get(game).expect("an ended game");
    (ended.verdict, ended.winner)
}

/// Nothing of games, cases and obligations is left.
pub fn is_clean() -> bool {
    let games = Games::<Test>::iter().count() + Nodes::<Test>::iter().count() + Claims::<Test>::iter().count();
    let units = OpenGames::<Test>::iter().count() + Cases::<Test>::iter().count() + Tiles::<Test>::iter().count();
    games + units + RetiredItems::<Test>::iter().count() + Alarms::<Test>::iter().count() == 0
        && pallet_verification::OpenDuties::<Test>::iter().count() == 0
        && pallet_verification::Watches::<Test>::iter().count() == 0
}

/// Unit 0 passed its verification and is in its watch window, from block 1 to block 6.
pub fn watched() -> (sp_io::TestExternalities, Execution) {
    let mut ext = test_ext();
    let execution = ext.execute_with(|| {
        let execution = submit(0, 0);
        rotate();
        let found = attest(0, &execution);
        go_through(0, &execution, &[found.clone(), found]);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        (100..240).map(account).for_each(|who| bond(&who, Role::Solver));
        execution
    });
    (ext, execution)
}
