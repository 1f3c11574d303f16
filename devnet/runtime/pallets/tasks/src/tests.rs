//! Each call: acceptance, every rejection, both sides of each bound; the life of a unit; conservation of the escrow.

use crate::{
    mock::{Tasks as Pallet, *},
    pallet::{Tasks as TaskMap, Units as UnitMap},
    *,
};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use pallet_stakes::{Obligations, Role, StakeProvider};
use sp_core::H256;
use sp_runtime::{BuildStorage, DispatchError, DispatchResult, Permill, TokenError};

fn origin(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn held(who: AccountId) -> Balance {
    Balances::balance_on_hold(&HoldReason::Escrow.into(), &who)
}

fn task(id: TaskId) -> types::Task<AccountId> {
    TaskMap::<Test>::get(id).expect("posted")
}

fn state(unit: UnitIndex) -> UnitState<AccountId> {
    UnitMap::<Test>::get(0, unit).state
}

fn attempt(unit: UnitIndex) -> u16 {
    UnitMap::<Test>::get(0, unit).attempt
}

/// Invariants after every call: each task's money adds up, and the hold is what the tasks say.
fn check_escrow() {
    let mut escrowed = 0;
    for (_, entry) in TaskMap::<Test>::iter() {
        let deposited = entry.spec.price * Balance::from(entry.spec.units());
        assert_eq!(deposited, entry.escrowed + entry.paid + entry.refunded + entry.burned);
        escrowed += entry.escrowed;
    }
    assert_eq!(escrowed, held(OWNER));
}

fn submit(who: AccountId, unit: UnitIndex) -> Result<u16, DispatchError> {
    let root = H256::from_low_u64_be(1_000 + u64::from(unit));
    Pallet::submit_unit(0, unit, &who, root, H256::from_low_u64_be(u64::from(unit)), MACS, 0)
}

fn finish(unit: UnitIndex, matched: &[AccountId]) -> DispatchResult {
    Pallet::accept_unit(0, unit)?;
    Pallet::finalise_unit(0, unit, matched)
}

/// Posts `spec()`.
fn posted() -> sp_io::TestExternalities {
    let mut ext = new_test_ext();
    ext.execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), spec()));
    });
    ext
}

// post

#[test]
fn valid_post_holds_the_whole_price() {
    posted().execute_with(|| {
        assert_eq!(held(OWNER), 6_000);
        assert_eq!(task(0).escrowed, 6_000);
        System::assert_last_event(Event::TaskPosted { task: 0, owner: OWNER, units: 6 }.into());
        assert_ok!(Pallet::post(origin(OWNER), spec()));
        assert_eq!((held(OWNER), NextTaskId::<Test>::get()), (12_000, 2));
        check_escrow();
    });
}

#[test]
fn invalid_post_without_the_money() {
    new_test_ext().execute_with(|| {
        assert_noop!(Pallet::post(origin(99), spec()), TokenError::FundsUnavailable);
        // the last planck of an account cannot be held
        let spec = TaskSpec { price: START, shards: 1, rounds: 1, ..spec() };
        assert_noop!(Pallet::post(origin(OWNER), spec.clone()), TokenError::FundsUnavailable);
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { price: START - 1, ..spec }));
    });
}

#[test]
fn invalid_post_of_a_bad_shape() {
    new_test_ext().execute_with(|| {
        let cheap = TaskSpec { price: 400, ..spec() };
        for (shards, rounds) in [(0, 1), (1, 0), (257, 256), (u16::MAX, u16::MAX)] {
            let spec = TaskSpec { shards, rounds, ..cheap.clone() };
            assert_noop!(Pallet::post(origin(OWNER), spec), Error::<Test>::BadShape);
        }
        // 256 · 256 units are the most, and pass on to the money
        let spec = TaskSpec { shards: 256, rounds: 256, ..cheap };
        assert_noop!(Pallet::post(origin(OWNER), spec), TokenError::FundsUnavailable);
    });
}

#[test]
fn invalid_post_of_bad_work() {
    new_test_ext().execute_with(|| {
        let base = spec();
        for bad in [
            TaskSpec { segments_per_unit: 1, ..base.clone() }, // fewer than are drawn
            TaskSpec { segments_per_unit: 0, ..base.clone() },
            TaskSpec { steps_per_segment: 0, ..base.clone() },
            TaskSpec { macs_per_step: 0, ..base.clone() },
            TaskSpec { macs_per_step: u64::MAX / 49, ..base.clone() }, // 50 steps: more than 64 bits
        ] {
            assert_noop!(Pallet::post(origin(OWNER), bad), Error::<Test>::BadWork);
        }
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { segments_per_unit: 2, ..base.clone() }));
        let most = TaskSpec { macs_per_step: u64::MAX / 50, ..base };
        assert_noop!(Pallet::post(origin(OWNER), most), Error::<Test>::PriceBelowFloor);
    });
}

#[test]
fn what_a_dispute_counts_on_both_sides_of_its_bounds() {
    new_test_ext().execute_with(|| {
        let counts = |node_count, state_count, arrays, steps_per_segment| {
            let data = DataRule { arrays, ..spec().data };
            TaskSpec { node_count, state_count, data, steps_per_segment, macs_per_step: 1, ..spec() }
        };
        let (most, steps) = (MAX_LEAVES, spec().steps_per_segment);
        for bad in [
            counts(0, 1, 1, steps),
            counts(1, 0, 1, steps),
            counts(1, 1, 0, steps),
            counts(most + 1, 1, 1, steps),
            counts(1, most + 1, 1, steps),
            counts(1, 1, most + 1, steps),
            counts(1, 1, 1, MAX_STEPS + 1),
        ] {
            assert_noop!(Pallet::post(origin(OWNER), bad), Error::<Test>::NotDisputable);
        }
        assert_ok!(Pallet::post(origin(OWNER), counts(1, 1, 1, 1)));
        assert_ok!(Pallet::post(origin(OWNER), counts(most, most, most, MAX_STEPS)));
    });
}

#[test]
fn a_disputed_unit_can_be_accepted_and_stays_a_parent() {
    new_test_ext().execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), spec()));
        assert_noop!(Pallet::dispute_unit(0, 0), Error::<Test>::WrongState);
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_noop!(Pallet::dispute_unit(0, 0), Error::<Test>::WrongState);
        let (root, end) = (H256::repeat_byte(8), H256::repeat_byte(9));
        let macs = spec().macs_per_unit().expect("few");
        assert_ok!(Pallet::submit_unit(0, 0, &SOLVER, root, end, macs, 0));
        assert_ok!(Pallet::dispute_unit(0, 0));
        assert!(matches!(Units::<Test>::get(0, 0).state, UnitState::Disputed(..)));
        let child = Pallet::child_of(0, 0).expect("a round more");
        assert_ok!(Pallet::claim(origin(SOLVER), 0, child));
        assert_eq!(Pallet::start_state_root(0, child), Some(end));
        assert_noop!(Pallet::finalise_unit(0, 0, &[]), Error::<Test>::WrongState);
        assert_ok!(Pallet::accept_unit(0, 0));
        assert_ok!(Pallet::dispute_unit(0, 0));
        assert_eq!(Pallet::relist(0, 0, RelistReason::Refused), vec![0, child]);
        assert_eq!(Units::<Test>::get(0, 0), Unit { attempt: 1, state: UnitState::Open });
        assert!(Loads::<Test>::iter().next().is_none());
    });
}

#[test]
fn deadline_on_both_sides_of_its_bounds() {
    new_test_ext().execute_with(|| {
        for deadline_blocks in [0, 101] {
            let spec = TaskSpec { deadline_blocks, ..spec() };
            assert_noop!(Pallet::post(origin(OWNER), spec), Error::<Test>::BadDeadline);
        }
        for deadline_blocks in [1, 100] {
            assert_ok!(Pallet::post(origin(OWNER), TaskSpec { deadline_blocks, ..spec() }));
        }
    });
}

#[test]
fn price_on_both_sides_of_the_floor() {
    new_test_ext().execute_with(|| {
        // 100 plancks per 10^6 MACs · 4·10^6 MACs
        assert_noop!(Pallet::post(origin(OWNER), TaskSpec { price: 399, ..spec() }), Error::<Test>::PriceBelowFloor);
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { price: 400, ..spec() }));
    });
}

#[test]
fn incentive_on_both_sides_of_its_bound() {
    new_test_ext().execute_with(|| {
        // C = 50 plancks per 10^6 MACs · 4·10^6 = 200; R + S = 400 + 500; honest iff detection > 200/900
        let spec = TaskSpec { price: 400, ..spec() };
        Detection::set(222_222_222_222);
        assert_noop!(Pallet::post(origin(OWNER), spec.clone()), Error::<Test>::CheatingPays);
        Detection::set(222_222_222_223);
        assert_ok!(Pallet::post(origin(OWNER), spec));
    });
}

#[test]
fn honesty_is_not_best_when_its_products_overflow() {
    assert!(!is_honesty_best(DETECTION_ONE, Balance::MAX, Balance::MAX, 1));
    assert!(!is_honesty_best(DETECTION_ONE, 1, 1, Balance::MAX));
    assert!(is_honesty_best(DETECTION_ONE, 1, 1, 1));
    assert!(!is_honesty_best(DETECTION_ONE, 1, 0, 1)); // equal is not enough
}

#[test]
fn invalid_post_whose_escrow_overflows() {
    new_test_ext().execute_with(|| {
        Detection::set(1); // else the product of the incentive overflows first
        let spec = TaskSpec { price: Balance::MAX / 6 + 1, ..spec() };
        assert_noop!(Pallet::post(origin(OWNER), spec.clone()), Error::<Test>::EscrowOverflow);
        let spec = TaskSpec { price: Balance::MAX / 6, ..spec };
        assert_noop!(Pallet::post(origin(OWNER), spec), TokenError::FundsUnavailable);
    });
}

#[test]
fn invalid_post_without_a_number_left() {
    new_test_ext().execute_with(|| {
        NextTaskId::<Test>::put(TaskId::MAX);
        assert_noop!(Pallet::post(origin(OWNER), spec()), Error::<Test>::NoTaskIds);
    });
}

// claim

#[test]
fn valid_claim_of_a_first_round() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 1));
        let UnitState::Assigned(assignment) = state(1) else { panic!("{:?}", state(1)) };
        assert_eq!((assignment.solver, assignment.assigned_at, assignment.deadline), (SOLVER, 1, 11));
        assert_eq!(pallet::Shards::<Test>::get(0, 1), ShardProgress { finals: 0, claimed: 1 });
        assert_eq!(Loads::<Test>::get(SOLVER), SolverLoad { assigned: 1, ..Default::default() });
        assert!(Pallet::is_obliged(Role::Solver, &SOLVER) && !Pallet::is_obliged(Role::Verifier, &SOLVER));
        let seed = assignment.seed;
        System::assert_last_event(Event::UnitClaimed { task: 0, unit: 1, solver: SOLVER, seed, deadline: 11 }.into());
        check_escrow();
    });
}

#[test]
fn seeds_differ_by_unit_solver_attempt_and_block() {
    posted().execute_with(|| {
        let mut seeds = vec![];
        let mut keep = |unit| match state(unit) {
            UnitState::Assigned(assignment) => seeds.push(assignment.seed),
            other => panic!("{other:?}"),
        };
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 1));
        keep(0);
        keep(1);
        run_to(12); // both time out
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0)); // the next attempt
        assert_ok!(Pallet::claim(origin(OTHER), 0, 1)); // another solver
        keep(0);
        keep(1);
        for (at, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..at].contains(seed));
        }
    });
}

#[test]
fn invalid_claim_of_what_is_not_there() {
    posted().execute_with(|| {
        assert_noop!(Pallet::claim(origin(SOLVER), 1, 0), Error::<Test>::UnknownTask);
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 6), Error::<Test>::UnknownUnit);
        assert_noop!(Pallet::claim(origin(SOLVER), 0, u32::MAX), Error::<Test>::UnknownUnit);
    });
}

#[test]
fn invalid_claim_without_a_bond() {
    posted().execute_with(|| {
        assert_noop!(Pallet::claim(origin(VERIFIER), 0, 0), Error::<Test>::NotEligible);
        assert_ok!(Stakes::unbond(origin(SOLVER), Role::Solver, 500));
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 0), Error::<Test>::NotEligible);
    });
}

#[test]
fn invalid_claim_of_a_taken_unit() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 0), Error::<Test>::UnitNotOpen);
        assert_noop!(Pallet::claim(origin(OTHER), 0, 0), Error::<Test>::UnitNotOpen);
        assert_ok!(submit(SOLVER, 0));
        assert_noop!(Pallet::claim(origin(OTHER), 0, 0), Error::<Test>::UnitNotOpen);
        assert_ok!(finish(0, &[]));
        assert_noop!(Pallet::claim(origin(OTHER), 0, 0), Error::<Test>::UnitNotOpen);
    });
}

#[test]
fn a_child_is_claimable_by_its_parents_solver_or_after_its_parent() {
    posted().execute_with(|| {
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 2), Error::<Test>::ParentNotReady); // parent open
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 2), Error::<Test>::ParentNotReady); // parent assigned
        assert_ok!(submit(SOLVER, 0));
        assert_noop!(Pallet::claim(origin(OTHER), 0, 2), Error::<Test>::ParentNotReady); // somebody else's
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 4), Error::<Test>::ParentNotReady); // grandchild
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 2));
        assert_ok!(submit(SOLVER, 2));
        assert_ok!(finish(0, &[]));
        assert_noop!(Pallet::claim(origin(OTHER), 0, 4), Error::<Test>::ParentNotReady);
        assert_ok!(finish(2, &[]));
        assert_ok!(Pallet::claim(origin(OTHER), 0, 4));
    });
}

#[test]
fn claims_on_both_sides_of_their_bound() {
    new_test_ext().execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { shards: 5, ..spec() }));
        for unit in 0..3 {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
        }
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 3), Error::<Test>::TooManyClaims);
        assert_ok!(submit(SOLVER, 1)); // what is submitted counts no more
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 3));
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 4), Error::<Test>::TooManyClaims);
    });
}

#[test]
fn claims_while_a_unit_is_disputed_are_bounded_by_all_that_is_unfinished() {
    new_test_ext().execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { shards: 8, ..spec() }));
        let claim = |unit| Pallet::claim(origin(SOLVER), 0, unit);
        for unit in 0..4 {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
            assert_ok!(submit(SOLVER, unit));
        }
        assert_ok!(Pallet::dispute_unit(0, 0));
        assert_ok!(Pallet::dispute_unit(0, 1));
        assert_eq!(Loads::<Test>::get(SOLVER), SolverLoad { assigned: 0, awaiting: 4, disputed: 2 });
        assert_noop!(claim(4), Error::<Test>::UnderDispute); // 4 of 3 unfinished
        assert_ok!(finish(2, &[]));
        assert_noop!(claim(4), Error::<Test>::UnderDispute); // 3 of 3
        assert_ok!(finish(3, &[]));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 4)); // 2 of 3
        assert_noop!(claim(5), Error::<Test>::UnderDispute);
        assert_ok!(Pallet::claim(origin(OTHER), 0, 5)); // nobody else is held up
        assert_ok!(Pallet::accept_unit(0, 0));
        assert_noop!(claim(6), Error::<Test>::UnderDispute); // one is still disputed
        Pallet::relist(0, 1, RelistReason::Refused);
        assert_eq!(Loads::<Test>::get(SOLVER), SolverLoad { assigned: 1, awaiting: 1, disputed: 0 });
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 6));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 7));
    });
}

#[test]
fn chain_on_both_sides_of_its_bound() {
    new_test_ext().execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { shards: 1, rounds: MAX_CHAIN + 2, ..spec() }));
        for unit in 0..u32::from(MAX_CHAIN) {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
            assert_ok!(submit(SOLVER, unit));
        }
        let next = u32::from(MAX_CHAIN);
        assert_noop!(Pallet::claim(origin(SOLVER), 0, next), Error::<Test>::ChainTooLong);
        assert_ok!(finish(0, &[]));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, next));
        // a cancellation reaches to the end of the longest chain
        assert_eq!(Pallet::relist(0, 1, RelistReason::Refused).len(), usize::from(MAX_CHAIN));
        assert_eq!((task(0).active, Loads::<Test>::contains_key(SOLVER)), (0, false));
        check_escrow();
    });
}

// deadline

#[test]
fn a_claim_times_out_after_its_deadline_and_not_at_it() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        run_to(11);
        assert!(matches!(state(0), UnitState::Assigned(_)));
        run_to(12);
        assert_eq!((state(0), attempt(0)), (UnitState::Open, 1));
        System::assert_last_event(
            Event::UnitRelisted { task: 0, unit: 0, attempt: 1, reason: RelistReason::Timeout }.into(),
        );
        assert_eq!((task(0).active, Loads::<Test>::contains_key(SOLVER)), (0, false));
        assert_ok!(Pallet::claim(origin(OTHER), 0, 0));
        check_escrow();
    });
}

#[test]
fn a_submitted_unit_does_not_time_out() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(submit(SOLVER, 0));
        run_to(20);
        assert!(matches!(state(0), UnitState::Submitted(..)));
    });
}

#[test]
fn an_old_deadline_does_not_end_a_new_claim() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0)); // deadline 11
        assert_ok!(submit(SOLVER, 0));
        run_to(5);
        Pallet::relist(0, 0, RelistReason::Refused);
        assert_ok!(Pallet::claim(origin(OTHER), 0, 0)); // deadline 15
        run_to(15);
        assert!(matches!(state(0), UnitState::Assigned(_)));
        run_to(16);
        assert_eq!((state(0), attempt(0)), (UnitState::Open, 2));
    });
}

#[test]
fn deadlines_beyond_a_blocks_room_follow_in_the_next() {
    new_test_ext().execute_with(|| {
        assert_ok!(Pallet::post(origin(OWNER), TaskSpec { shards: 5, ..spec() }));
        for (unit, who) in [(0, SOLVER), (1, SOLVER), (2, SOLVER), (3, OTHER), (4, OTHER)] {
            assert_ok!(Pallet::claim(origin(who), 0, unit));
        }
        let open = || (0..5).filter(|unit| state(*unit) == UnitState::Open).count();
        for (block, expected) in [(11, 0), (12, 2), (13, 4), (14, 5), (15, 5)] {
            run_to(block);
            assert_eq!(open(), expected, "block {block}");
        }
        // an overdue unit cannot be submitted, even before its turn
        assert_eq!(DeadlineItems::<Test>::iter().count(), 0);
        assert_eq!(DeadlineCounts::<Test>::iter().count(), 0);
    });
}

// submit

#[test]
fn submission_at_the_deadline_and_after_it() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 1));
        System::set_block_number(11);
        assert_ok!(submit(SOLVER, 0));
        System::set_block_number(12); // without the block's hook, as on a full agenda
        assert_noop!(submit(SOLVER, 1), Error::<Test>::DeadlinePassed);
    });
}

#[test]
fn invalid_submission() {
    posted().execute_with(|| {
        let root = H256::zero();
        assert_noop!(submit(SOLVER, 0), Error::<Test>::NotAssigned);
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_noop!(submit(OTHER, 0), Error::<Test>::NotAssigned);
        assert_noop!(submit(SOLVER, 6), Error::<Test>::UnknownUnit);
        assert_noop!(Pallet::submit_unit(1, 0, &SOLVER, root, root, MACS, 0), Error::<Test>::UnknownTask);
        for macs in [MACS - 1, MACS + 1, 0] {
            assert_noop!(Pallet::submit_unit(0, 0, &SOLVER, root, root, macs, 0), Error::<Test>::WrongMacs);
        }
        assert_ok!(Stakes::unbond(origin(SOLVER), Role::Solver, 500));
        assert_noop!(submit(SOLVER, 0), Error::<Test>::NotEligible);
        assert_ok!(Stakes::bond(origin(SOLVER), Role::Solver, 500));
        assert_ok!(submit(SOLVER, 0));
        assert_noop!(submit(SOLVER, 0), Error::<Test>::NotAssigned);
    });
}

// final

#[test]
fn a_final_unit_is_split_and_credited() {
    posted().execute_with(|| {
        let issued = Balances::total_issuance();
        let before = [SOLVER, VERIFIER, 5].map(Balances::free_balance);
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(submit(SOLVER, 0));
        assert_noop!(Pallet::finalise_unit(0, 0, &[]), Error::<Test>::WrongState);
        assert_ok!(finish(0, &[VERIFIER, 5]));
        // 1,000: 200 burned, 100 to two verifiers, 700 to the solver
        let after = [SOLVER, VERIFIER, 5].map(Balances::free_balance);
        assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [700, 50, 50]);
        assert_eq!(Balances::total_issuance(), issued - 200);
        assert_eq!(Credited::get(), vec![(SOLVER, MACS)]);
        System::assert_last_event(Event::UnitFinal { task: 0, unit: 0, solver: SOLVER, macs: MACS, paid: 700 }.into());
        assert!(!Pallet::is_obliged(Role::Solver, &SOLVER));
        assert_eq!((task(0).active, task(0).finished), (0, 1));
        assert_noop!(Pallet::accept_unit(0, 0), Error::<Test>::WrongState);
        assert_noop!(Pallet::finalise_unit(0, 0, &[]), Error::<Test>::ParentNotReady);
        check_escrow();
    });
}

#[test]
fn without_verifiers_their_share_is_burned_and_dust_too() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(submit(SOLVER, 0));
        assert_ok!(finish(0, &[]));
        assert_eq!((task(0).paid, task(0).burned), (700, 300));
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 1));
        assert_ok!(submit(SOLVER, 1));
        assert_ok!(finish(1, &[OTHER, VERIFIER, 5])); // 100 / 3 = 33, dust 1
        assert_eq!((task(0).paid, task(0).burned), (1_499, 501));
        check_escrow();
    });
}

#[test]
fn a_unit_is_final_only_after_its_parent() {
    posted().execute_with(|| {
        for unit in [0, 2] {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
            assert_ok!(submit(SOLVER, unit));
            assert_ok!(Pallet::accept_unit(0, unit));
        }
        assert!(Pallet::is_next_final(0, 0) && !Pallet::is_next_final(0, 2));
        assert_noop!(Pallet::finalise_unit(0, 2, &[]), Error::<Test>::ParentNotReady);
        assert_eq!(Pallet::child_of(0, 0), Some(2));
        assert_eq!(Pallet::child_of(0, 4), None);
        assert_ok!(Pallet::finalise_unit(0, 0, &[]));
        assert_ok!(Pallet::finalise_unit(0, 2, &[]));
        assert_eq!(Pallet::start_state_root(0, 0), Some(spec().initial_state_root));
        assert_eq!(Pallet::start_state_root(0, 2), Some(H256::from_low_u64_be(0)));
        assert_eq!(Pallet::start_state_root(0, 3), None);
    });
}

#[test]
fn a_task_is_done_when_its_escrow_is_used_up() {
    posted().execute_with(|| {
        for unit in 0..6 {
            assert!(task(0).escrowed > 0);
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
            assert_ok!(submit(SOLVER, unit));
            assert_ok!(finish(unit, &[]));
        }
        System::assert_last_event(Event::TaskDone { task: 0 }.into());
        assert_eq!((task(0).escrowed, task(0).finished, held(OWNER)), (0, 6, 0));
        assert_noop!(Pallet::close(origin(OWNER), 0), Error::<Test>::TaskIsClosed);
        check_escrow();
    });
}

// cancellation

#[test]
fn refusing_a_unit_cancels_its_descendants_only() {
    posted().execute_with(|| {
        for unit in [0, 2] {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
            assert_ok!(submit(SOLVER, unit));
        }
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 4));
        assert_ok!(Pallet::claim(origin(OTHER), 0, 1)); // the other shard
        assert_eq!(Pallet::relist(0, 0, RelistReason::Refused), vec![0, 2, 4]);
        for unit in [0, 2, 4] {
            assert_eq!((state(unit), attempt(unit)), (UnitState::Open, 1));
        }
        System::assert_last_event(
            Event::UnitRelisted { task: 0, unit: 4, attempt: 1, reason: RelistReason::Cancelled }.into(),
        );
        assert!(matches!(state(1), UnitState::Assigned(_)));
        assert!(!Loads::<Test>::contains_key(SOLVER));
        assert_eq!(task(0).active, 1);
        // nothing to do for an open, a final or an unknown unit
        assert!(Pallet::relist(0, 0, RelistReason::Refused).is_empty());
        assert!(Pallet::relist(0, 9, RelistReason::Refused).is_empty());
        assert!(Pallet::relist(7, 0, RelistReason::Refused).is_empty());
        assert_ok!(submit(OTHER, 1));
        assert_ok!(finish(1, &[]));
        assert!(Pallet::relist(0, 1, RelistReason::Refused).is_empty());
        check_escrow();
    });
}

// close

#[test]
fn closing_refunds_open_units_and_lets_the_others_go_on() {
    posted().execute_with(|| {
        for unit in [0, 1] {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
        }
        assert_ok!(submit(SOLVER, 0));
        assert_ok!(Pallet::close(origin(OWNER), 0));
        System::assert_last_event(Event::TaskClosed { task: 0, refunded: 4_000 }.into());
        assert_eq!((held(OWNER), task(0).refunded), (2_000, 4_000));
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 2), Error::<Test>::TaskIsClosed);
        assert_noop!(Pallet::close(origin(OWNER), 0), Error::<Test>::TaskIsClosed);
        run_to(12); // unit 1 times out: refunded, not open
        assert_eq!(state(1), UnitState::Closed);
        assert_eq!((held(OWNER), task(0).refunded), (1_000, 5_000));
        assert_ok!(finish(0, &[]));
        System::assert_last_event(Event::TaskDone { task: 0 }.into());
        assert_eq!(held(OWNER), 0);
        check_escrow();
    });
}

#[test]
fn invalid_close() {
    posted().execute_with(|| {
        assert_noop!(Pallet::close(origin(SOLVER), 0), Error::<Test>::NotOwner);
        assert_noop!(Pallet::close(origin(OWNER), 1), Error::<Test>::UnknownTask);
    });
}

// questions for the data set

/// What an owner loses in these tests: a quarter, a tenth of that to the finder.
const FORFEIT: Forfeit<AccountId> =
    Forfeit { finder: OTHER, share: Permill::from_percent(25), reward: Permill::from_percent(10) };

#[test]
fn nothing_is_given_back_while_a_question_is_open() {
    posted().execute_with(|| {
        for unit in [0, 1] {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
        }
        Pallet::begin_question(0);
        Pallet::begin_question(0);
        assert_ok!(Pallet::close(origin(OWNER), 0));
        System::assert_last_event(Event::TaskClosed { task: 0, refunded: 0 }.into());
        run_to(12); // both claims time out
        assert_eq!((state(0), held(OWNER)), (UnitState::Closed, 6_000));
        Pallet::end_question(0);
        assert_eq!(held(OWNER), 6_000);
        Pallet::end_question(0);
        System::assert_has_event(Event::Refunded { task: 0, amount: 6_000 }.into());
        System::assert_last_event(Event::TaskDone { task: 0 }.into());
        assert_eq!((held(OWNER), task(0).refunded), (0, 6_000));
        assert!(!Questions::<Test>::contains_key(0));
        check_escrow();
    });
}

#[test]
fn an_answered_question_changes_nothing() {
    posted().execute_with(|| {
        let before = task(0);
        Pallet::begin_question(0);
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(submit(SOLVER, 0));
        assert_ok!(finish(0, &[])); // units go on
        Pallet::end_question(0);
        assert_eq!((task(0).closed, task(0).escrowed), (before.closed, 5_000));
        assert_ok!(Pallet::close(origin(OWNER), 0));
        System::assert_last_event(Event::TaskDone { task: 0 }.into());
        assert_eq!(task(0).refunded, 5_000);
        check_escrow();
    });
}

#[test]
fn a_silent_owner_forfeits_a_share_of_all_that_it_gets_back_and_no_solver_anything() {
    posted().execute_with(|| {
        for unit in [0, 1] {
            assert_ok!(Pallet::claim(origin(SOLVER), 0, unit));
        }
        assert_ok!(submit(SOLVER, 0));
        let (finder, bond) = (Balances::free_balance(OTHER), Stakes::bond_of(Role::Solver, &SOLVER));
        Pallet::begin_question(0);
        Pallet::forfeit(0, FORFEIT);
        assert!(task(0).closed);
        assert_noop!(Pallet::claim(origin(SOLVER), 0, 2), Error::<Test>::TaskIsClosed);
        // four open units: 4,000, of which 1,000 are lost, 100 of them to the finder
        System::assert_has_event(Event::TaskClosed { task: 0, refunded: 0 }.into());
        System::assert_has_event(Event::Forfeited { task: 0, finder: OTHER, rewarded: 100, burned: 900 }.into());
        System::assert_last_event(Event::Refunded { task: 0, amount: 3_000 }.into());
        assert_eq!((held(OWNER), task(0).burned, task(0).refunded), (2_000, 900, 3_000));
        check_escrow();
        run_to(12); // unit 1 times out: a quarter of its price is lost as well
        assert_eq!((state(1), held(OWNER)), (UnitState::Closed, 1_000));
        assert_eq!((task(0).burned, task(0).refunded), (1_125, 3_750));
        assert_eq!(Balances::free_balance(OTHER), finder + 125);
        check_escrow();
        let solver = Balances::free_balance(SOLVER);
        assert_ok!(finish(0, &[])); // who has worked is paid whole: 1,000 less 20 % burned and 10 % for verifiers
        assert_eq!(Balances::free_balance(SOLVER), solver + 700);
        assert_eq!((Stakes::bond_of(Role::Solver, &SOLVER), Loads::<Test>::contains_key(SOLVER)), (bond, false));
        assert_eq!((held(OWNER), task(0).escrowed), (0, 0));
        check_escrow();
    });
}

#[test]
fn an_owner_who_closes_while_it_is_asked_forfeits_as_well() {
    posted().execute_with(|| {
        Pallet::begin_question(0);
        assert_ok!(Pallet::close(origin(OWNER), 0));
        Pallet::forfeit(0, FORFEIT);
        System::assert_has_event(Event::Forfeited { task: 0, finder: OTHER, rewarded: 150, burned: 1_350 }.into());
        System::assert_last_event(Event::TaskDone { task: 0 }.into());
        assert_eq!((held(OWNER), task(0).refunded), (0, 4_500));
        check_escrow();
    });
}

// obligations

#[test]
fn a_solver_cannot_withdraw_with_unfinished_units() {
    posted().execute_with(|| {
        assert_ok!(Pallet::claim(origin(SOLVER), 0, 0));
        assert_ok!(submit(SOLVER, 0));
        assert_ok!(Stakes::unbond(origin(SOLVER), Role::Solver, 500));
        run_to(11);
        let withdraw = || Stakes::withdraw_unbonded(origin(SOLVER), Role::Solver);
        assert_noop!(withdraw(), pallet_stakes::Error::<Test>::Obliged);
        assert_ok!(finish(0, &[]));
        assert_ok!(withdraw());
    });
}

// genesis

fn build(tasks: GenesisConfig<Test>) {
    let _ = RuntimeGenesisConfig { tasks, ..Default::default() }.build_storage();
}

#[test]
fn valid_genesis_with_shares_of_the_whole_price() {
    build(GenesisConfig { verifier_share: Permill::from_percent(80), ..Default::default() });
}

#[test]
#[should_panic(expected = "tasks.burnShare + tasks.verifierShare must not exceed 1000000")]
fn invalid_genesis_with_shares_above_the_price() {
    build(GenesisConfig { verifier_share: Permill::from_parts(800_001), ..Default::default() });
}

#[test]
#[should_panic(expected = "tasks.floorPrice must be positive")]
fn invalid_genesis_without_a_floor() {
    build(GenesisConfig { floor_price: 0, ..Default::default() });
}

#[test]
#[should_panic(expected = "tasks.maxClaims must be positive")]
fn invalid_genesis_without_claims() {
    build(GenesisConfig { max_claims: 0, ..Default::default() });
}
