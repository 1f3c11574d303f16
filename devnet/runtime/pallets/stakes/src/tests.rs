//! Each call: acceptance, every rejection, both sides of each bound.

use crate::{mock::*, *};
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{Inspect, InspectHold},
};
use sp_runtime::{BuildStorage, TokenError};

fn held(who: AccountId) -> Balance {
    Balances::balance_on_hold(&HoldReason::Bond.into(), &who)
}

fn origin(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn url(text: &[u8]) -> Endpoint {
    text.to_vec().try_into().expect("short enough")
}

#[test]
fn valid_bond_at_the_minimum() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 100));
        assert_eq!((held(1), Bonds::<Test>::get(Role::Solver, 1)), (100, 100));
        assert_eq!(StakerCount::<Test>::get(Role::Solver), 1);
        System::assert_last_event(Event::Bonded { account: 1, role: Role::Solver, amount: 100, total: 100 }.into());
        // adding to a bond may be small, and counts nobody twice
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 1));
        assert_eq!(StakerCount::<Test>::get(Role::Solver), 1);
        assert_eq!(Stakes::bond_of(Role::Solver, &1), 101);
        assert_eq!(Stakes::bond_of(Role::Verifier, &1), 0);
    });
}

#[test]
fn invalid_bond_below_the_minimum() {
    new_test_ext().execute_with(|| {
        assert_noop!(Stakes::bond(origin(1), Role::Solver, 99), Error::<Test>::BelowMinimum);
        assert_noop!(Stakes::bond(origin(1), Role::Verifier, 49), Error::<Test>::BelowMinimum);
        assert_ok!(Stakes::bond(origin(1), Role::Verifier, 50));
    });
}

#[test]
fn invalid_bond_of_nothing() {
    new_test_ext().execute_with(|| {
        assert_noop!(Stakes::bond(origin(1), Role::Solver, 0), Error::<Test>::ZeroAmount);
    });
}

#[test]
fn invalid_bond_above_the_balance() {
    new_test_ext().execute_with(|| {
        assert_noop!(Stakes::bond(origin(1), Role::Solver, START + 1), TokenError::FundsUnavailable);
        assert_noop!(Stakes::bond(origin(9), Role::Solver, 100), TokenError::FundsUnavailable);
    });
}

#[test]
fn invalid_bond_that_overflows() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 100));
        assert_noop!(Stakes::bond(origin(1), Role::Solver, Balance::MAX), sp_runtime::ArithmeticError::Overflow);
    });
}

#[test]
fn invalid_bond_of_one_staker_too_many() {
    new_test_ext().execute_with(|| {
        for who in 1..=3 {
            assert_ok!(Stakes::bond(origin(who), Role::Solver, 100));
        }
        assert_noop!(Stakes::bond(origin(4), Role::Solver, 100), Error::<Test>::TooManyStakers);
        assert_ok!(Stakes::bond(origin(4), Role::Verifier, 100)); // another role has room of its own
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 100));
        assert_ok!(Stakes::bond(origin(4), Role::Solver, 100));
    });
}

#[test]
fn valid_unbond_of_all_or_down_to_the_minimum() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 300));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 200));
        System::assert_last_event(
            Event::UnbondStarted { account: 1, role: Role::Solver, amount: 200, until: 11 }.into(),
        );
        assert!(Stakes::is_eligible(Role::Solver, &1));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 100));
        assert!(!Stakes::is_eligible(Role::Solver, &1));
        assert_eq!((held(1), StakerCount::<Test>::get(Role::Solver)), (300, 0));
        assert!(!Bonds::<Test>::contains_key(Role::Solver, 1));
    });
}

#[test]
fn invalid_unbond() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 300));
        assert_noop!(Stakes::unbond(origin(1), Role::Solver, 0), Error::<Test>::ZeroAmount);
        assert_noop!(Stakes::unbond(origin(1), Role::Solver, 201), Error::<Test>::BelowMinimum);
        assert_noop!(Stakes::unbond(origin(1), Role::Solver, 301), Error::<Test>::InsufficientBond);
        assert_noop!(Stakes::unbond(origin(1), Role::Verifier, 1), Error::<Test>::InsufficientBond);
    });
}

#[test]
fn invalid_ninth_unbonding() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 300));
        for _ in 0..MAX_UNBONDINGS {
            assert_ok!(Stakes::unbond(origin(1), Role::Solver, 1));
        }
        assert_noop!(Stakes::unbond(origin(1), Role::Solver, 1), Error::<Test>::TooManyUnbondings);
    });
}

#[test]
fn withdraw_at_its_block_and_not_before() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 300));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 100));
        System::set_block_number(2);
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 50));
        System::set_block_number(10);
        assert_noop!(Stakes::withdraw_unbonded(origin(1), Role::Solver), Error::<Test>::NothingToWithdraw);
        System::set_block_number(11);
        assert_ok!(Stakes::withdraw_unbonded(origin(1), Role::Solver));
        System::assert_last_event(Event::Withdrawn { account: 1, role: Role::Solver, amount: 100 }.into());
        assert_eq!(held(1), 200);
        assert_noop!(Stakes::withdraw_unbonded(origin(1), Role::Solver), Error::<Test>::NothingToWithdraw);
        System::set_block_number(12);
        assert_ok!(Stakes::withdraw_unbonded(origin(1), Role::Solver));
        assert_eq!(held(1), 150);
        assert!(!Unbonding::<Test>::contains_key(Role::Solver, 1));
    });
}

#[test]
fn invalid_withdrawal_with_unfinished_duties() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 100));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 100));
        System::set_block_number(11);
        Obliged::set(Some(1));
        assert_noop!(Stakes::withdraw_unbonded(origin(1), Role::Solver), Error::<Test>::Obliged);
        Obliged::set(None);
        assert_ok!(Stakes::withdraw_unbonded(origin(1), Role::Solver));
    });
}

#[test]
fn endpoint_is_set_replaced_and_taken_back() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::set_endpoint(origin(1), url(b"http://127.0.0.1:8000")));
        assert_ok!(Stakes::set_endpoint(origin(1), url(b"https://example.org/blobs")));
        assert_eq!(Endpoints::<Test>::get(1), Some(url(b"https://example.org/blobs")));
        assert_ok!(Stakes::set_endpoint(origin(1), url(b"")));
        assert_eq!(Endpoints::<Test>::get(1), None);
        assert!(Endpoint::try_from(vec![b'a'; MAX_ENDPOINT as usize + 1]).is_err());
    });
}

#[test]
fn invalid_endpoint() {
    new_test_ext().execute_with(|| {
        for text in [&b"ftp://host"[..], b"http://a b", b"http://\x00", "http://ä".as_bytes()] {
            assert_noop!(Stakes::set_endpoint(origin(1), url(text)), Error::<Test>::BadEndpoint);
        }
    });
}

#[test]
fn slash_takes_the_active_bond_first_then_unbonding_money() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 400));
        assert_ok!(Stakes::bond(origin(1), Role::Verifier, 60));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 100));
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 200));
        let issued = Balances::total_issuance();
        assert_eq!(Stakes::slash(Role::Solver, &1, 150, SlashReason::WrongResult), 150);
        assert_eq!(Bonds::<Test>::get(Role::Solver, 1), 0);
        assert_eq!(Unbonding::<Test>::get(Role::Solver, 1).to_vec(), vec![(50, 11), (200, 11)]);
        assert_eq!(StakerCount::<Test>::get(Role::Solver), 0);
        System::assert_last_event(
            Event::Slashed { account: 1, role: Role::Solver, amount: 150, reason: SlashReason::WrongResult }.into(),
        );
        // everything: only what this role has, and never the other role's bond
        assert_eq!(Stakes::slash(Role::Solver, &1, Balance::MAX, SlashReason::WrongResult), 250);
        assert_eq!((held(1), Bonds::<Test>::get(Role::Verifier, 1)), (60, 60));
        assert_eq!(Balances::total_issuance(), issued - 400);
        assert_eq!(Balances::total_balance(&1), START - 400);
        assert_eq!(Stakes::slash(Role::Solver, &1, 1, SlashReason::WrongResult), 0);
        assert!(!Unbonding::<Test>::contains_key(Role::Solver, 1));
    });
}

#[test]
fn a_slashed_bond_below_the_minimum_is_not_eligible_but_can_leave() {
    new_test_ext().execute_with(|| {
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 100));
        assert_eq!(Stakes::slash(Role::Solver, &1, 1, SlashReason::Unavailable), 1);
        assert!(!Stakes::is_eligible(Role::Solver, &1));
        assert_noop!(Stakes::unbond(origin(1), Role::Solver, 98), Error::<Test>::BelowMinimum);
        assert_ok!(Stakes::unbond(origin(1), Role::Solver, 99));
        System::set_block_number(11);
        assert_ok!(Stakes::withdraw_unbonded(origin(1), Role::Solver));
        assert_eq!(held(1), 0);
    });
}

#[test]
fn eligible_list_is_sorted_and_leaves_out_small_bonds() {
    new_test_ext().execute_with(|| {
        for (who, amount) in [(3, 70), (1, 50), (2, 90)] {
            assert_ok!(Stakes::bond(origin(who), Role::Verifier, amount));
        }
        assert_eq!(Stakes::eligible(Role::Verifier), vec![(1, 50), (2, 90), (3, 70)]);
        Stakes::slash(Role::Verifier, &1, 1, SlashReason::NoVerifierReveal);
        assert_eq!(Stakes::eligible(Role::Verifier), vec![(2, 90), (3, 70)]);
        assert_eq!(Stakes::eligible(Role::Solver), vec![]);
        assert_eq!((Stakes::penalty(), Stakes::min_bond(Role::Verifier)), (20, 50));
    });
}

#[test]
#[should_panic(expected = "stakes.minSolverBond must be positive")]
fn invalid_genesis_without_a_minimum_bond() {
    let stakes = GenesisConfig { min_solver_bond: 0, ..Default::default() };
    let _ = RuntimeGenesisConfig { stakes, ..Default::default() }.build_storage();
}

#[test]
fn a_finder_gets_its_share_of_a_slash_and_the_rest_is_burned() {
    new_test_ext().execute_with(|| {
        use sp_runtime::Permill;
        assert_ok!(Stakes::bond(origin(1), Role::Solver, 201));
        let (before, issuance) = (Balances::free_balance(2), Balances::total_issuance());
        let share = Permill::from_percent(25);
        let taken = Stakes::slash_for(Role::Solver, &1, 1_000_000, SlashReason::WrongResult, &2, share);
        assert_eq!((taken, Stakes::bond_of(Role::Solver, &1)), (201, 0));
        assert_eq!(Balances::free_balance(2), before + 50); // rounded down
        assert_eq!(Balances::total_issuance(), issuance - 151);
        System::assert_last_event(
            Event::Slashed { account: 1, role: Role::Solver, amount: 201, reason: SlashReason::WrongResult }.into(),
        );
        assert_eq!(Stakes::slash_for(Role::Solver, &1, 5, SlashReason::WrongResult, &2, share), 0);
        assert_eq!(Balances::free_balance(2), before + 50);
    });
}
