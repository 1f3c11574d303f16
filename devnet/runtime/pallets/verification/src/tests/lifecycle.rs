//! Whole lives of units: every way in which one can end, and that none can be stuck.

use super::*;
use frame_support::assert_noop;
use pallet_stakes::SlashReason;
use pallet_tasks::RelistReason;

fn has_event(event: Event<Test>) -> bool {
    let event = RuntimeEvent::from(event);
    System::events().iter().any(|record| record.event == event)
}

fn relisted(unit: UnitIndex, attempt: u16, reason: RelistReason) -> bool {
    let event = pallet_tasks::Event::<Test>::UnitRelisted { task: 0, unit, attempt, reason };
    let event = RuntimeEvent::from(event);
    System::events().iter().any(|record| record.event == event)
}

/// Nothing of a unit is left behind but its transcript root.
fn is_clean() -> bool {
    Duties::<Test>::iter().count() == 0
        && Attestations::<Test>::iter().count() == 0
        && OpenDuties::<Test>::iter().count() == 0
        && Watches::<Test>::iter().count() == 0
}

#[test]
fn matched_unit_becomes_final_after_its_watch_window() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let drawn = drawn(0);
        let free = |who: &AccountId| Balances::free_balance(who);
        let before: Vec<_> = drawn.iter().map(free).collect();
        go_through(0, &execution, &execution.attest(0, 0));
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        let matched = Verifiers::try_from(drawn.clone()).expect("two");
        assert!(has_event(Event::Matched { task: 0, unit: 0, verifiers: matched }));
        run_to(4); // the window: blocks 1 to 4
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        run_to(5);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert_eq!(Credited::get(), vec![(solver(), MACS)]);
        let gains: Vec<_> = drawn.iter().zip(before).map(|(who, before)| free(who) - before).collect();
        assert_eq!(gains, vec![50, 50]);
        assert!(is_clean());
    });
}

/// What the disputes were handed over of unit 0: drawn segments, verifiers and where they agree with the solver.
fn handed_over() -> (Segments, Vec<(AccountId, u16)>) {
    let list = Disputed::get();
    let [(0, 0, 0, segments, attesters)] = list.as_slice() else { panic!("one dispute about unit 0: {list:?}") };
    (segments.clone(), attesters.to_vec())
}

#[test]
fn a_mismatch_is_disputed_and_costs_nobody_anything_yet() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let (drawn, segments) = (drawn(0), duty(0).segments);
        let other = Execution::new(0, 0, &solver(), 1).attest(0, 0);
        go_through(0, &execution, &other); // two agree with each other, and that counts for nothing
        assert!(matches!(state(0), UnitState::Disputed(..)));
        let accusers: Vec<_> = drawn.iter().map(|who| (who.clone(), segments[0])).collect();
        assert!(has_event(Event::Mismatched {
            task: 0,
            unit: 0,
            solver: solver(),
            segment: segments[0],
            accusers: accusers.try_into().expect("two"),
        }));
        let masks = drawn.iter().map(|who| (who.clone(), 0)).collect();
        assert_eq!(handed_over(), (segments, masks));
        assert_eq!(bond(Role::Solver, &solver()), BOND);
        drawn.iter().for_each(|who| assert_eq!(bond(Role::Verifier, who), BOND));
        // they stay obliged, and the unit stays until the dispute is over
        assert_eq!(drawn.iter().map(OpenDuties::<Test>::get).collect::<Vec<_>>(), vec![1, 1]);
        run(30);
        assert!(matches!(state(0), UnitState::Disputed(..)));
    });
}

#[test]
fn a_convicted_unit_costs_the_whole_bond_and_cancels_descendants() {
    posted().execute_with(|| {
        let execution = submit_as(&solver(), 0, 0);
        submit_as(&solver(), 2, 0); // a child, also under verification
        assert_ok!(Tasks::claim(origin(&solver()), 0, 4)); // a grandchild, assigned
        rotate();
        assert!(Duties::<Test>::contains_key(0, 2));
        assert_ok!(Stakes::unbond(origin(&solver()), Role::Solver, 1_000)); // unbonding money answers too
        let held = |who: &AccountId| {
            use frame_support::traits::fungible::InspectHold;
            Balances::total_balance_on_hold(who)
        };
        assert_eq!(held(&solver()), BOND);
        go_through(0, &execution, &Execution::new(0, 0, &solver(), 1).attest(0, 0));
        let finder = verifiers()[0].clone();
        let before = Balances::free_balance(&finder);
        let relisted_units = Verification::convict(0, 0, &finder, sp_runtime::Permill::from_percent(25));
        assert_eq!((relisted_units, Balances::free_balance(&finder)), (3, before + BOND / 4));
        assert!(has_event(Event::UnitRefused { task: 0, unit: 0, solver: solver(), reason: SlashReason::WrongResult }));
        assert_eq!((held(&solver()), bond(Role::Solver, &solver())), (0, 0));
        for (unit, reason) in [(0, RelistReason::Refused), (2, RelistReason::Cancelled), (4, RelistReason::Cancelled)] {
            assert_eq!((state(unit), attempt(unit)), (UnitState::Open, 1));
            assert!(relisted(unit, 1, reason));
        }
        assert!(is_clean());
        assert!(Credited::get().is_empty());
        // the slashed solver is out, another one goes on from the start
        assert_noop!(Tasks::claim(origin(&solver()), 0, 0), pallet_tasks::Error::<Test>::NotEligible);
        assert_ok!(Tasks::claim(origin(&rival()), 0, 0));
        run(30);
        assert!(is_clean());
    });
}

#[test]
fn an_acquitted_unit_has_one_more_window_and_then_is_final() {
    for again in [true, false] {
        let (mut ext, execution) = challenged();
        ext.execute_with(|| {
            go_through(0, &execution, &Execution::new(0, 0, &solver(), 1).attest(0, 0));
            let (segments, attesters) = handed_over();
            attesters.iter().for_each(|(who, _)| Verification::discharge(who)); // as after their slash
            Verification::acquit(0, 0, Verifiers::new(), segments, again);
            assert!(matches!(state(0), UnitState::Challengeable(..)));
            assert!(Watches::<Test>::get(0, 0).expect("watched").second);
            assert_eq!(Verification::interrupt_watch(0, 1), None);
            run(if again { 3 } else { 0 });
            assert!(matches!(state(0), UnitState::Challengeable(..)));
            run(1);
            assert!(matches!(state(0), UnitState::Final(..)));
            assert!(is_clean());
        });
    }
}

#[test]
fn an_open_window_can_be_interrupted_and_a_closed_one_cannot() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        go_through(0, &execution, &execution.attest(0, 0));
        run_to(4); // the last block of the window
        let watch = Verification::interrupt_watch(0, 0).expect("open");
        assert_eq!((watch.until, watch.second, watch.matched.len()), (4, false, 2));
        assert!(matches!(state(0), UnitState::Disputed(..)));
        assert_eq!(Verification::interrupt_watch(0, 0), None);
        run(20);
        assert!(matches!(state(0), UnitState::Disputed(..)));
    });
}

#[test]
fn a_mismatch_in_a_later_drawn_segment_is_named() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let mut found = execution.attest(0, 0);
        found.segments[1].1 .0[0] ^= 1; // only the second witness differs
        let segment = duty(0).segments[1];
        go_through(0, &execution, &found);
        let (segments, attesters) = handed_over();
        assert!(attesters.iter().all(|(_, mask)| *mask == 1));
        assert_eq!(first_difference(1, &segments), Some(segment));
    });
}

#[test]
fn unchallenged_unit_becomes_final_after_its_watch_window() {
    let mut config = genesis();
    config.verification.challenge_ppm = 100_000; // one in ten
    posted_with(config).execute_with(|| {
        let mut unchallenged = 0u32;
        for unit in [0, 1] {
            submit_as(&solver(), unit, 0);
        }
        rotate();
        for unit in [0, 1] {
            unchallenged += u32::from(has_event(Event::NotChallenged { task: 0, unit }));
        }
        assert!(unchallenged > 0, "choose another seed");
        run(4);
        assert_eq!(Credited::get().len(), unchallenged as usize);
        // no verifier, no share: it is burned with the burned share
        let task = pallet_tasks::Tasks::<Test>::get(0).expect("posted");
        assert_eq!((task.paid, task.burned), (700 * u128::from(unchallenged), 300 * u128::from(unchallenged)));
    });
}

#[test]
fn a_solver_who_does_not_open_loses_the_whole_bond() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        drawn(0).iter().for_each(|who| reveal(who, 0, &found).expect("may reveal"));
        run_to(5);
        assert!(matches!(state(0), UnitState::Submitted(..)));
        run_to(6);
        assert_eq!((state(0), bond(Role::Solver, &solver())), (UnitState::Open, 0));
        assert!(has_event(Event::UnitRefused {
            task: 0,
            unit: 0,
            solver: solver(),
            reason: SlashReason::NoSolverReveal
        }));
        assert!(is_clean());
    });
}

#[test]
fn two_unavailable_cost_the_penalty() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        go_through(0, &execution, &attest(Outcome::Unavailable));
        assert_eq!((state(0), bond(Role::Solver, &solver())), (UnitState::Open, BOND - PENALTY));
        assert!(has_event(Event::UnitRefused { task: 0, unit: 0, solver: solver(), reason: SlashReason::Unavailable }));
    });
}

#[test]
fn inconclusive_is_nobodys_guilt_and_leads_to_another_draw() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        go_through(0, &execution, &attest(Outcome::Inconclusive));
        assert!(has_event(Event::Redrawn { task: 0, unit: 0, epoch: 1 }));
        assert_eq!(bond(Role::Solver, &solver()), BOND);
        verifiers().iter().for_each(|who| assert_eq!(bond(Role::Verifier, who), BOND));
        assert!(matches!(state(0), UnitState::Submitted(..)) && is_clean());
        rotate();
        assert_eq!((duty(0).draws, attempt(0)), (2, 0));
        go_through(0, &execution, &execution.attest(0, 0));
        run(4);
        assert!(matches!(state(0), UnitState::Final(..)));
    });
}

#[test]
fn one_against_the_solver_is_enough_for_a_dispute() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let (right, wrong) = (execution.attest(0, 0), Execution::new(0, 0, &solver(), 1).attest(0, 0));
        let drawn = drawn(0);
        assert_ok!(commit(&drawn[0], 0, &right));
        assert_ok!(commit(&drawn[1], 0, &wrong));
        assert_ok!(reveal(&drawn[0], 0, &right));
        assert_ok!(reveal(&drawn[1], 0, &wrong));
        assert_ok!(open(&execution, 0));
        assert_eq!(handed_over().1, vec![(drawn[0].clone(), 3), (drawn[1].clone(), 0)]);
        assert_eq!(bond(Role::Solver, &solver()), BOND);
    });
}

#[test]
fn one_against_the_solver_and_one_silent_is_a_dispute_of_the_first() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let wrong = Execution::new(0, 0, &solver(), 1).attest(0, 0);
        let drawn = drawn(0);
        assert_ok!(commit(&drawn[0], 0, &wrong));
        assert_ok!(commit(&drawn[1], 0, &wrong));
        assert_ok!(reveal(&drawn[0], 0, &wrong));
        assert_ok!(open(&execution, 0));
        run_to(6);
        assert_eq!(handed_over().1, vec![(drawn[0].clone(), 0)]);
        assert_eq!(bond(Role::Verifier, &drawn[1]), BOND - PENALTY);
    });
}

#[test]
fn verifiers_who_do_not_commit_are_slashed_and_the_unit_is_drawn_again() {
    let (mut ext, _) = challenged();
    ext.execute_with(|| {
        let drawn = drawn(0);
        run_to(7);
        drawn.iter().for_each(|who| assert_eq!(bond(Role::Verifier, who), BOND));
        run_to(8);
        drawn.iter().for_each(|who| assert_eq!(bond(Role::Verifier, who), BOND - PENALTY));
        assert!(has_event(Event::Redrawn { task: 0, unit: 0, epoch: 1 }));
        assert_eq!(bond(Role::Solver, &solver()), BOND);
        assert!(is_clean());
    });
}

#[test]
fn a_verifier_who_does_not_reveal_is_slashed_once() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let drawn = drawn(0);
        assert_ok!(reveal(&drawn[0], 0, &execution.attest(0, 0)));
        assert_ok!(open(&execution, 0));
        run_to(6);
        let bonds: Vec<_> = drawn.iter().map(|who| bond(Role::Verifier, who)).collect();
        assert_eq!(bonds, vec![BOND, BOND - PENALTY]);
        // one match is not all: drawn again
        assert!(has_event(Event::Redrawn { task: 0, unit: 0, epoch: 1 }));
    });
}

#[test]
fn who_did_not_commit_is_not_slashed_again_for_not_revealing() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let drawn = drawn(0);
        let found = execution.attest(0, 0);
        assert_ok!(commit(&drawn[0], 0, &found));
        run_to(8);
        assert_ok!(reveal(&drawn[0], 0, &found));
        assert_ok!(open(&execution, 0)); // complete: nobody else may reveal
        let bonds: Vec<_> = drawn.iter().map(|who| bond(Role::Verifier, who)).collect();
        assert_eq!(bonds, vec![BOND, BOND - PENALTY]);
        assert!(is_clean());
    });
}

#[test]
fn an_undecided_unit_is_listed_again_after_the_last_draw() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        for draws in 1..=MAX_DRAWS {
            assert_eq!(duty(0).draws, draws);
            go_through(0, &execution, &attest(Outcome::Inconclusive));
            rotate();
        }
        assert_eq!((state(0), attempt(0)), (UnitState::Open, 1));
        assert!(relisted(0, 1, RelistReason::NotDecided));
        assert_eq!(bond(Role::Solver, &solver()), BOND);
        assert!(is_clean());
    });
}

#[test]
fn a_unit_waits_for_verifiers_but_not_forever() {
    posted().execute_with(|| {
        for who in verifiers().iter().skip(1) {
            assert_ok!(Stakes::unbond(origin(who), Role::Verifier, BOND));
        }
        submit_as(&solver(), 0, 0);
        rotate();
        assert!(!Duties::<Test>::contains_key(0, 0));
        assert!(has_event(Event::Redrawn { task: 0, unit: 0, epoch: 1 }));
        assert_ok!(Stakes::bond(origin(&verifiers()[1]), Role::Verifier, BOND));
        rotate();
        assert_eq!(duty(0).draws, 2);
        assert_ok!(Stakes::unbond(origin(&verifiers()[1]), Role::Verifier, BOND));
        run(30);
        for _ in 0..MAX_DRAWS {
            rotate();
        }
        assert!(relisted(0, 1, RelistReason::NotDecided));
    });
}

#[test]
fn a_redraw_is_always_a_challenge() {
    let mut config = genesis();
    config.verification.challenge_ppm = 500_000;
    posted_with(config).execute_with(|| {
        let mut epoch = 0;
        submit_as(&solver(), 0, 0);
        rotate();
        while !Duties::<Test>::contains_key(0, 0) {
            // not challenged: begin anew with the other shard's unit, at most a few times
            epoch += 1;
            assert!(epoch < 3, "choose another seed");
            run(4);
            submit_as(&solver(), 2 * epoch, 0);
            rotate();
            if Duties::<Test>::contains_key(0, 2 * epoch) {
                break;
            }
        }
        let unit = Duties::<Test>::iter().next().map(|(_, unit, _)| unit).expect("a duty");
        for _ in 1..MAX_DRAWS {
            run(7); // nobody commits
            rotate();
            assert!(Duties::<Test>::contains_key(0, unit), "eight draws in a row at one half");
        }
    });
}

#[test]
fn units_of_a_solver_without_a_bond_are_listed_again_and_not_drawn() {
    posted().execute_with(|| {
        let execution = submit_as(&solver(), 0, 0);
        submit_as(&rival(), 1, 0);
        rotate();
        submit_as(&solver(), 2, 0); // drawn with the next seed
        assert_ok!(Stakes::unbond(origin(&solver()), Role::Solver, BOND)); // what is unbonding is still at stake
        assert_eq!(Stakes::at_stake(Role::Solver, &solver()), BOND);
        go_through(0, &execution, &execution.attest(0, 0));
        rotate();
        assert!(Duties::<Test>::contains_key(0, 2));
        Stakes::slash(Role::Solver, &solver(), u128::MAX, SlashReason::WrongResult);
        assert_eq!(Stakes::at_stake(Role::Solver, &solver()), 0);
        run(30); // nobody answers, so the unit is due again
        rotate();
        assert!(relisted(2, 1, RelistReason::NoBond));
        assert_eq!(state(2), UnitState::Open);
    });
}

#[test]
fn the_solver_is_never_drawn_as_its_own_verifier() {
    posted().execute_with(|| {
        assert_ok!(Stakes::bond(origin(&solver()), Role::Verifier, 900_000)); // nearly all of the stake
        submit_as(&solver(), 0, 0);
        submit_as(&rival(), 1, 0);
        rotate();
        assert!(!drawn(0).contains(&solver()));
        assert!(drawn(1).contains(&solver()));
    });
}

#[test]
fn a_child_becomes_final_right_after_its_parent() {
    posted().execute_with(|| {
        let parent = submit_as(&solver(), 0, 0);
        let child = submit_as(&solver(), 2, 0);
        rotate();
        go_through(2, &child, &child.attest(0, 2));
        run_to(6); // the child's window is over, the parent is not verified yet
        assert!(matches!(state(2), UnitState::Challengeable(..)));
        go_through(0, &parent, &parent.attest(0, 0));
        run_to(10); // the parent's window: blocks 6 to 9
        assert!(matches!((state(0), state(2)), (UnitState::Final(..), UnitState::Challengeable(..))));
        run_to(11);
        assert!(matches!(state(2), UnitState::Final(..)));
        assert!(is_clean());
    });
}

#[test]
fn draws_beyond_a_blocks_room_follow_in_the_next_with_the_same_seed() {
    test_ext(genesis()).execute_with(|| {
        assert_ok!(Tasks::post(origin(&owner()), pallet_tasks::TaskSpec { shards: 5, ..spec() }));
        for (unit, who) in [(0, solver()), (1, solver()), (2, solver()), (3, rival()), (4, rival())] {
            submit_as(&who, unit, 0);
        }
        rotate();
        let drawn = || Duties::<Test>::iter().count();
        assert_eq!(drawn(), 2);
        run(1);
        assert_eq!(drawn(), 4);
        run(1);
        assert_eq!((drawn(), DueItems::<Test>::iter().count()), (5, 0));
        // five phases end at once or nearly: all are processed, two a block
        run(12);
        assert!(is_clean());
        assert_eq!((TimerItems::<Test>::iter().count(), DueItems::<Test>::iter().count()), (0, 5));
    });
}

#[test]
fn a_draw_depends_on_nothing_but_seed_unit_and_stakes() {
    let draw = |extra: bool| {
        posted().execute_with(|| {
            if extra {
                run(3);
                assert_ok!(Tasks::post(origin(&owner()), spec()));
            }
            submit_as(&solver(), 0, u8::from(extra)); // another transcript
            rotate();
            (drawn(0), duty(0).segments)
        })
    };
    assert_eq!(draw(false), draw(true));
}

#[test]
fn obligations_keep_bonds_from_leaving() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let who = drawn(0)[0].clone();
        assert_ok!(Stakes::unbond(origin(&who), Role::Verifier, BOND));
        System::set_block_number(11); // without the hooks of the blocks between
        let withdraw = || Stakes::withdraw_unbonded(origin(&who), Role::Verifier);
        assert_noop!(withdraw(), pallet_stakes::Error::<Test>::Obliged);
        System::set_block_number(1);
        go_through(0, &execution, &execution.attest(0, 0));
        System::set_block_number(11);
        assert_noop!(withdraw(), pallet_stakes::Error::<Test>::Obliged); // what it attested can still be disputed
        run(1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert_ok!(withdraw());
    });
}
