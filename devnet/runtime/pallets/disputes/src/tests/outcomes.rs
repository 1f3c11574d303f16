//! What becomes of units, bonds and verifiers when games end.

use super::*;
use frame_support::assert_noop;
use pallet_stakes::SlashReason;

fn free(who: &AccountId) -> u128 {
    Balances::free_balance(who)
}

fn has_event(event: impl Into<RuntimeEvent>) -> bool {
    let event = event.into();
    System::events().iter().any(|record| record.event == event)
}

fn slashed(who: &AccountId, role: Role, reason: SlashReason) -> bool {
    System::events().iter().any(|record| {
        matches!(&record.event, RuntimeEvent::Stakes(pallet_stakes::Event::Slashed { account, role: of, reason: why, .. })
            if account == who && *of == role && *why == reason)
    })
}

/// Unit 0 was drawn; the verifiers got `variants`, the solver what `solved` says. Gives its execution and the verifiers.
fn attested(variants: [u8; 2], solved: u8) -> (sp_io::TestExternalities, Execution, Vec<AccountId>) {
    let mut ext = test_ext();
    let (execution, drawn) = ext.execute_with(|| {
        let execution = submit(0, solved);
        rotate();
        let found = variants.map(|variant| attest(0, &Execution::new(0, 0, &solver(), variant)));
        let drawn = go_through(0, &execution, &found);
        (100..110).map(account).for_each(|who| bond(&who, Role::Solver));
        (execution, drawn)
    });
    (ext, execution, drawn)
}

/// The first drawn segment, on which all verifiers of other variants differ.
fn due_segment() -> u16 {
    Cases::<Test>::get(0, 0).expect("a case").segments[0]
}

#[test]
fn two_lying_verifiers_who_agree_cannot_slash_an_honest_solver() {
    let (mut ext, execution, drawn) = attested([1, 1], 0);
    ext.execute_with(|| {
        assert!(matches!(state(0), UnitState::Disputed(..)));
        let segment = due_segment();
        assert!(has_event(pallet_verification::Event::<Test>::Mismatched {
            task: 0,
            unit: 0,
            solver: solver(),
            segment,
            accusers: drawn.iter().map(|who| (who.clone(), segment)).collect::<Vec<_>>().try_into().expect("two"),
        }));
        assert_eq!(stake(Role::Solver, &solver()), BOND);
        // one accuses and loses, the other one keeps silent: both have attested something that they cannot show
        assert_ok!(open(&drawn[0], 0, &execution, segment));
        lose_by_witness(&drawn[0], 0, &execution);
        assert_eq!((ended(0), stake(Role::Verifier, &drawn[0])), ((Verdict::Proved, Some(Side::Defender)), 0));
        assert_eq!(stake(Role::Verifier, &drawn[1]), BOND);
        run_to(1 + ACCUSE);
        assert!(matches!(state(0), UnitState::Disputed(..)));
        run(1);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        drawn.iter().for_each(|who| {
            assert!(slashed(who, Role::Verifier, SlashReason::WrongAttestation));
            assert_eq!(stake(Role::Verifier, who), 0);
        });
        assert_eq!((stake(Role::Solver, &solver()), free(&solver())), (BOND, START - BOND + GAME_BOND / 2));
        run(WATCH + 1);
        assert!(matches!(state(0), UnitState::Final(..)));
        // the whole price but the burned share: no verifier matched, so that theirs is burned too
        assert_eq!(free(&solver()), START - BOND + GAME_BOND / 2 + 700);
        assert!(is_clean());
    });
}

#[test]
fn an_accuser_wins_against_a_solver_who_cannot_answer_and_its_echo_falls_too() {
    let (mut ext, execution, drawn) = attested([0, 1], 1);
    ext.execute_with(|| {
        let segment = due_segment();
        let before = [&drawn[0], &drawn[1]].map(free);
        assert_ok!(open(&drawn[0], 0, &execution, segment));
        run(CLOCK + 1);
        assert_eq!(ended(0), (Verdict::Clock, Some(Side::Challenger)));
        assert_eq!(stake(Role::Solver, &solver()), BOND); // in the next block
        run(1);
        assert_eq!((state(0), stake(Role::Solver, &solver())), (UnitState::Open, 0));
        assert!(has_event(pallet_verification::Event::<Test>::UnitRefused {
            task: 0,
            unit: 0,
            solver: solver(),
            reason: SlashReason::WrongResult
        }));
        assert!(slashed(&solver(), Role::Solver, SlashReason::WrongResult));
        assert!(slashed(&drawn[1], Role::Verifier, SlashReason::WrongAttestation));
        assert_eq!([&drawn[0], &drawn[1]].map(|who| stake(Role::Verifier, who)), [BOND, 0]);
        assert_eq!([&drawn[0], &drawn[1]].map(free), [before[0] + BOND / 2, before[1]]);
        assert!(is_clean());
    });
}

#[test]
fn only_accusers_open_games_about_a_mismatch_each_about_its_first_difference() {
    let (mut ext, execution, drawn) = attested([0, 1], 0);
    ext.execute_with(|| {
        let segment = due_segment();
        let other = (0..SEGMENTS).find(|other| *other != segment).expect("more than one");
        assert_noop!(open(&watcher(0), 0, &execution, segment), Error::<Test>::NotAccuser);
        assert_noop!(open(&drawn[0], 0, &execution, segment), Error::<Test>::NotAccuser);
        assert_noop!(open(&drawn[1], 0, &execution, other), Error::<Test>::WrongSegment);
        System::set_block_number(2 + ACCUSE);
        assert_noop!(open(&drawn[1], 0, &execution, segment), Error::<Test>::NotDisputable);
        System::set_block_number(1 + ACCUSE);
        assert_ok!(open(&drawn[1], 0, &execution, segment));
        run_to(2 + ACCUSE);
        assert!(matches!(state(0), UnitState::Disputed(..))); // a game is open
        lose_by_witness(&drawn[1], 0, &execution);
        run(1);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        assert_eq!(drawn.iter().map(|who| stake(Role::Verifier, who)).collect::<Vec<_>>(), vec![BOND, 0]);
        // who matched gets its share at the end
        let before = free(&drawn[0]);
        run(WATCH + 1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert_eq!(free(&drawn[0]), before + 100);
        assert!(is_clean());
    });
}

#[test]
fn a_false_alarm_in_the_watch_window_costs_its_bond_and_starts_one_more_window() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let who = watcher(0);
        assert_ok!(open(&who, 0, &execution, 1));
        lose_by_witness(&who, 0, &execution);
        assert_eq!((free(&who), free(&solver())), (START - BOND - GAME_BOND, START - BOND + GAME_BOND / 2));
        run_to(1 + WATCH);
        assert!(matches!(state(0), UnitState::Disputed(..))); // others may still open
        run(1);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        let window = pallet_verification::Watches::<Test>::get(0, 0).expect("a second one");
        assert_eq!((window.second, window.until, window.matched.len()), (true, 2 + 2 * WATCH, 2));
        run(WATCH);
        assert_ok!(open(&who, 0, &execution, 0)); // in its last block
        run(1);
        lose_by_witness(&who, 1, &execution);
        run(1); // no third window: nobody may open, the unit is final in the next block
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        assert_noop!(open(&watcher(1), 0, &execution, 0), Error::<Test>::NotDisputable);
        run(1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert!(is_clean());
    });
}

#[test]
fn a_lost_game_refuses_the_unit_and_makes_all_others_and_descendants_moot() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let child = submit(1, 0);
        rotate();
        let found = attest(1, &child);
        go_through(1, &child, &[found.clone(), found]);
        let (lucky, others) = (watcher(0), [watcher(1), watcher(2), watcher(3)]);
        assert_ok!(open(&lucky, 0, &execution, 0)); // about a segment that may not have been drawn
        run(2);
        for who in &others[..2] {
            assert_ok!(open(who, 0, &execution, 1));
        }
        assert_ok!(open(&others[2], 1, &child, 1));
        assert_ok!(commit_history(1, &execution));
        run(CLOCK - 1);
        assert_eq!(ended(0), (Verdict::Clock, Some(Side::Challenger)));
        // from the deciding block on nothing can be moved in the others
        assert_noop!(Disputes::choose(origin(&others[0]), 1, Choice::Descend), Error::<Test>::NoGame);
        run(2);
        for unit in [0, 1] {
            assert_eq!((state(unit), pallet_tasks::Units::<Test>::get(0, unit).attempt), (UnitState::Open, 1));
        }
        for game in 1..4 {
            assert_eq!(ended(game), (Verdict::Moot, None));
        }
        others.iter().for_each(|who| assert_eq!(free(who), START - BOND));
        assert_eq!(free(&lucky), START - BOND + BOND / 2);
        assert!(is_clean());
        run(2 * CLOCK);
        assert!(is_clean());
    });
}

#[test]
fn verifiers_who_matched_fall_with_the_segment_that_they_attested_and_not_with_others() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let drawn = pallet_verification::Watches::<Test>::get(0, 0).expect("watched").segments;
        let free_segment = (0..SEGMENTS).find(|segment| !drawn.contains(segment)).expect("two of three are drawn");
        let lose = |segment| {
            assert_ok!(open(&watcher(0), 0, &execution, segment));
            run(CLOCK + 2);
            assert_eq!((state(0), stake(Role::Solver, &solver())), (UnitState::Open, 0));
            verifiers().iter().map(|who| stake(Role::Verifier, who)).collect::<Vec<_>>()
        };
        let others = frame_support::storage::with_transaction(|| {
            sp_runtime::TransactionOutcome::Rollback(Ok::<_, sp_runtime::DispatchError>(lose(free_segment)))
        });
        assert_eq!(others, Ok(vec![BOND, BOND]));
        System::set_block_number(1);
        assert_eq!(lose(drawn[1]), vec![0, 0]);
        assert!(is_clean());
    });
}

#[test]
fn bonds_of_attesters_stay_until_the_unit_is_final() {
    let (mut ext, execution, drawn) = attested([0, 1], 0);
    ext.execute_with(|| {
        assert_ok!(open(&drawn[1], 0, &execution, due_segment()));
        for who in &drawn {
            assert_ok!(Stakes::unbond(origin(who), Role::Verifier, BOND));
        }
        run(10);
        for who in &drawn {
            let refused = Stakes::withdraw_unbonded(origin(who), Role::Verifier);
            assert_noop!(refused, pallet_stakes::Error::<Test>::Obliged);
        }
        lose_by_witness(&drawn[1], 0, &execution);
        run(WATCH + 3);
        assert_ok!(Stakes::withdraw_unbonded(origin(&drawn[0]), Role::Verifier));
        // unbonding money answers too
        assert!(Stakes::withdraw_unbonded(origin(&drawn[1]), Role::Verifier).is_err());
    });
}

#[test]
fn a_refused_unit_is_solved_anew_and_old_games_do_not_touch_it() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        assert_ok!(open(&watcher(0), 0, &execution, 0));
        assert_ok!(open(&watcher(1), 0, &execution, 0));
        run(CLOCK + 2);
        bond(&solver(), Role::Solver);
        let execution = submit(0, 5);
        rotate();
        let found = attest(0, &execution);
        go_through(0, &execution, &[found.clone(), found]);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        run(WATCH + 1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert!(is_clean());
    });
}

#[test]
fn wrong_witness_is_not_proved() {
    let (mut ext, mut execution) = watched();
    ext.execute_with(|| {
        let who = watcher(0);
        assert_ok!(open(&who, 0, &execution, 0));
        execution.histories[0][1].loss += 1; // another loss than that of the committed witness
        assert_ok!(commit_history(0, &execution));
        assert_ok!(Disputes::choose(origin(&who), 0, Choice::Witness));
        let prove =
            |leaves: Vec<StepLeaf>| Disputes::prove_witness(origin(&solver()), 0, leaves.try_into().expect("few"));
        assert_noop!(prove(execution.histories[0].clone()), Error::<Test>::BadWitness);
        assert_noop!(prove(execution.histories[1].clone()), Error::<Test>::BadProof);
        assert_noop!(prove(vec![]), Error::<Test>::BadProof);
        run(CLOCK + 1);
        assert_eq!(ended(0), (Verdict::Clock, Some(Side::Challenger)));
    });
}
