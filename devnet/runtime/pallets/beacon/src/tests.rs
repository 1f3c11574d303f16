//! Rules of the beacon: windows, who may take part, what a reveal must be, what a rotation does.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use pallet_stakes::{Role, SlashReason, StakeProvider};
use sp_core::H256;

const EPOCH_1: u64 = 12 * 101;

fn commit(n: u8, secret: Secret) -> DispatchResult {
    let commitment = compute_commitment(&account(n), Epoch::<Test>::get(), &secret);
    Beacon::commit(RuntimeOrigin::signed(account(n)), commitment)
}

fn reveal(n: u8, secret: Secret) -> DispatchResult {
    Beacon::reveal(RuntimeOrigin::signed(account(n)), secret)
}

/// Goes to the first slot of epoch 1.
fn start_epoch_1() {
    go_to(EPOCH_1 - 1);
    go_to(EPOCH_1);
    assert_eq!(Epoch::<Test>::get(), 1);
    Rotations::take();
}

fn vectors() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../tests/vectors/protocol.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON")
}

fn bytes32(value: &serde_json::Value) -> [u8; 32] {
    value.as_str().expect("hex").parse::<H256>().expect("32 bytes").0
}

#[test]
fn commitments_and_seeds_equal_the_golden_vectors() {
    let all = vectors();
    let commitments = all["beacon"]["commitments"].as_array().expect("list");
    assert!(!commitments.is_empty());
    for case in commitments {
        let epoch = case["epoch"].as_u64().expect("epoch") as u32;
        let got = compute_commitment(&bytes32(&case["account"]), epoch, &bytes32(&case["secret"]));
        assert_eq!(got.0, bytes32(&case["commitment"]));
    }
    for case in all["beacon"]["seeds"].as_array().expect("list") {
        let mut reveals: Vec<([u8; 32], Secret)> = case["reveals"]
            .as_array()
            .expect("list")
            .iter()
            .map(|pair| (bytes32(&pair[0]), bytes32(&pair[1])))
            .collect();
        reveals.sort();
        assert_eq!(compute_next_seed(&bytes32(&case["seed"]), &reveals), bytes32(&case["next_seed"]));
    }
}

#[test]
fn epoch_is_counted_from_the_epoch_of_block_1() {
    assert_eq!(compute_epoch(GENESIS, GENESIS, 12), 0);
    assert_eq!(compute_epoch(EPOCH_1 - 1, GENESIS, 12), 0);
    assert_eq!(compute_epoch(EPOCH_1, GENESIS, 12), 1);
    assert_eq!(compute_epoch(0, GENESIS, 12), 0);
    assert_eq!(compute_epoch(u64::MAX, 0, 1), u32::MAX);
}

#[test]
fn windows_are_thirds_rounded_down() {
    let windows: Vec<Window> = (0..20).map(|slot| compute_window(slot, 20)).collect();
    assert!(windows[..6].iter().all(|window| *window == Window::Commit));
    assert!(windows[6..13].iter().all(|window| *window == Window::Reveal));
    assert!(windows[13..].iter().all(|window| *window == Window::Quiet));
}

#[test]
fn rotation_runs_in_the_block_of_the_last_slot() {
    new_test_ext().execute_with(|| {
        go_to(EPOCH_1 - 2);
        assert_eq!(Epoch::<Test>::get(), 0);
        assert!(Rotations::get().is_empty());
        let quiet = go_to(EPOCH_1 - 2);
        let weight = go_to(EPOCH_1 - 1);
        assert!(weight.ref_time() > quiet.ref_time());
        assert_eq!(Epoch::<Test>::get(), 1);
        assert_eq!(GenesisSlot::<Test>::get(), Some(GENESIS));
        go_to(EPOCH_1);
        assert_eq!(Rotations::get().len(), 2);
    });
}

#[test]
fn rotation_calls_its_hooks_in_order_with_the_new_seed() {
    new_test_ext().execute_with(|| {
        go_to(EPOCH_1 - 1);
        let seed = compute_next_seed::<AccountId>(&[7; 32], &[]);
        assert_eq!(Rotations::get(), vec![(1, 0, seed, 1), (2, 0, seed, 1)]);
        assert_eq!(Seed::<Test>::get(), seed);
        System::assert_last_event(Event::EpochRotated { epoch: 1, seed, revealed: 0, no_shows: 0 }.into());
    });
}

#[test]
fn rotation_after_missed_slots_goes_to_the_epoch_of_the_next_slot() {
    new_test_ext().execute_with(|| {
        go_to(EPOCH_1 + 3 * 12 + 5);
        assert_eq!(Epoch::<Test>::get(), 4);
        assert_eq!(Rotations::get().len(), 2);
        assert_eq!(Rotations::get()[0].1, 0);
    });
}

#[test]
fn valid_commit_and_reveal_make_the_seed() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_ok!(commit(3, [3; 32]));
        System::assert_last_event(Event::Committed { account: account(3), epoch: 1 }.into());
        assert_ok!(commit(1, [1; 32]));
        go_to(EPOCH_1 + 4);
        assert_ok!(reveal(3, [3; 32]));
        System::assert_last_event(Event::Revealed { account: account(3), epoch: 1 }.into());
        assert_ok!(reveal(1, [1; 32]));
        let before = Seed::<Test>::get();
        go_to(EPOCH_1 + 11);
        let reveals = [(account(1), [1; 32]), (account(3), [3; 32])];
        assert_eq!(Seed::<Test>::get(), compute_next_seed(&before, &reveals));
        assert_eq!((Commits::<Test>::count(), Reveals::<Test>::iter().count()), (0, 0));
        assert!(Beacon::no_shows().is_empty());
        System::assert_last_event(
            Event::EpochRotated { epoch: 2, seed: Seed::<Test>::get(), revealed: 2, no_shows: 0 }.into(),
        );
    });
}

#[test]
fn valid_commit_of_a_bonded_solver() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_ok!(commit(5, [5; 32]));
    });
}

#[test]
fn commit_is_open_in_the_first_third_only() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        go_to(EPOCH_1 + 3);
        assert_ok!(commit(1, [1; 32]));
        go_to(EPOCH_1 + 4);
        assert_noop!(commit(2, [2; 32]), Error::<Test>::CommitsClosed);
        go_to(EPOCH_1 + 8);
        assert_noop!(commit(2, [2; 32]), Error::<Test>::CommitsClosed);
        go_to(EPOCH_1 + 11);
        assert_noop!(commit(2, [2; 32]), Error::<Test>::CommitsClosed);
        go_to(EPOCH_1 + 12);
        assert_ok!(commit(2, [2; 32]));
    });
}

#[test]
fn invalid_commit_without_bond() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_noop!(commit(6, [6; 32]), Error::<Test>::NotBonded);
        Stakes::slash(Role::Verifier, &account(1), 1, SlashReason::NoVerifierReveal);
        assert_noop!(commit(1, [1; 32]), Error::<Test>::NotBonded);
    });
}

#[test]
fn invalid_second_commit() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_ok!(commit(1, [1; 32]));
        assert_noop!(commit(1, [2; 32]), Error::<Test>::AlreadyCommitted);
    });
}

#[test]
fn invalid_commit_above_the_bound() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        for n in 1..=3 {
            assert_ok!(commit(n, [n; 32]));
        }
        assert_noop!(commit(4, [4; 32]), Error::<Test>::TooManyParticipants);
    });
}

#[test]
fn invalid_unsigned_calls() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        let none = RuntimeOrigin::none;
        assert_noop!(Beacon::commit(none(), H256::zero()), sp_runtime::DispatchError::BadOrigin);
        assert_noop!(Beacon::reveal(none(), [0; 32]), sp_runtime::DispatchError::BadOrigin);
    });
}

#[test]
fn reveal_is_open_in_the_second_third_only() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        for n in 1..=3 {
            assert_ok!(commit(n, [n; 32]));
        }
        go_to(EPOCH_1 + 3);
        assert_noop!(reveal(1, [1; 32]), Error::<Test>::RevealsClosed);
        go_to(EPOCH_1 + 4);
        assert_ok!(reveal(1, [1; 32]));
        go_to(EPOCH_1 + 7);
        assert_ok!(reveal(2, [2; 32]));
        go_to(EPOCH_1 + 8);
        assert_noop!(reveal(3, [3; 32]), Error::<Test>::RevealsClosed);
    });
}

#[test]
fn invalid_reveals_change_nothing() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_ok!(commit(1, [1; 32]));
        go_to(EPOCH_1 + 4);
        assert_noop!(reveal(2, [2; 32]), Error::<Test>::NotCommitted);
        assert_noop!(reveal(1, [9; 32]), Error::<Test>::WrongSecret);
        assert_ok!(reveal(1, [1; 32]));
        assert_noop!(reveal(1, [1; 32]), Error::<Test>::AlreadyRevealed);
    });
}

#[test]
fn invalid_reveal_of_a_commitment_copied_from_another_account() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        let copied = compute_commitment(&account(1), 1, &[1; 32]);
        assert_ok!(commit(1, [1; 32]));
        assert_ok!(Beacon::commit(RuntimeOrigin::signed(account(2)), copied));
        go_to(EPOCH_1 + 4);
        assert_ok!(reveal(1, [1; 32]));
        assert_noop!(reveal(2, [1; 32]), Error::<Test>::WrongSecret);
    });
}

#[test]
fn no_show_is_slashed_and_named_for_one_epoch() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_ok!(commit(5, [5; 32]));
        assert_ok!(commit(2, [2; 32]));
        go_to(EPOCH_1 + 11);
        assert_eq!(Stakes::bond_of(Role::Solver, &account(5)), BOND - PENALTY);
        assert_eq!(Stakes::bond_of(Role::Verifier, &account(2)), BOND - PENALTY);
        assert_eq!(Beacon::no_shows(), vec![account(2), account(5)]);
        assert_eq!(Seed::<Test>::get(), Rotations::get()[0].2);
        go_to(EPOCH_1 + 23);
        assert!(Beacon::no_shows().is_empty());
    });
}

#[test]
fn draw_epoch_is_the_next_one_when_commits_are_closed() {
    new_test_ext().execute_with(|| {
        start_epoch_1();
        assert_eq!((Beacon::epoch(), Beacon::draw_epoch()), (1, 1));
        go_to(EPOCH_1 + 3);
        assert_eq!(Beacon::draw_epoch(), 1);
        go_to(EPOCH_1 + 4);
        assert_eq!(Beacon::draw_epoch(), 2);
        go_to(EPOCH_1 + 10);
        assert_eq!(Beacon::draw_epoch(), 2);
        go_to(EPOCH_1 + 11); // rotated: the commits of epoch 2 are still to come
        assert_eq!((Beacon::epoch(), Beacon::draw_epoch()), (2, 2));
    });
}
