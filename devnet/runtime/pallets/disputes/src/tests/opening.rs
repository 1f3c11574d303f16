//! Who may open a game, about what and when; what it costs; turns and clocks.

use super::*;
use frame_support::assert_noop;

fn held(who: &AccountId) -> u128 {
    use frame_support::traits::fungible::InspectHold;
    Balances::balance_on_hold(&HoldReason::Challenge.into(), who)
}

#[test]
fn valid_opening_holds_the_bonds_of_three_levels() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let who = watcher(0);
        assert_ok!(open(&who, 0, &execution, 1));
        assert_eq!((held(&who), NextGame::<Test>::get()), (GAME_BOND, 1));
        let game = Games::<Test>::get(0).expect("open");
        let (before, record) = (&execution.records[0], &execution.records[1]);
        assert_eq!((game.start, game.end), (before.end_state_root, record.end_state_root));
        assert_eq!((game.stage, game.turn, game.moves), (Stage::History, Side::Defender, 1));
        assert!(matches!(state(0), UnitState::Disputed(..)));
        assert_eq!(OpenGames::<Test>::get(0, 0).into_inner(), vec![0]);
        let case = Cases::<Test>::get(0, 0).expect("disputed");
        assert_eq!((case.until, case.accused, case.second), (1 + WATCH, false, false));
        // another one may still come while the window lasts
        run_to(1 + WATCH);
        assert_ok!(open(&watcher(1), 0, &execution, 0));
        assert_eq!(Games::<Test>::get(1).expect("open").start, spec().initial_state_root);
    });
}

#[test]
fn the_last_segment_ends_where_the_unit_was_submitted_to_end() {
    let (mut ext, mut execution) = watched();
    ext.execute_with(|| {
        pallet_tasks::Units::<Test>::mutate(0, 0, |unit| {
            let UnitState::Challengeable(_, submission) = &mut unit.state else { panic!("watched") };
            submission.end_state_root = hash("another end");
        });
        assert_ok!(open(&watcher(0), 0, &execution, SEGMENTS - 1));
        assert_eq!(Games::<Test>::get(0).expect("open").end, hash("another end"));
        // so the solver cannot even begin: its history ends elsewhere
        assert_noop!(commit_history(0, &execution), Error::<Test>::WrongEnd);
        let last = execution.histories[2].last_mut().expect("steps");
        last.loss += 1;
        assert_noop!(
            Disputes::commit_history(origin(&solver()), 0, hash("root"), *last, Default::default()),
            Error::<Test>::BadProof
        );
    });
}

#[test]
fn invalid_openings_change_nothing() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let who = watcher(0);
        assert_noop!(open(&account(250), 0, &execution, 0), Error::<Test>::NotEligible);
        assert_noop!(open(&solver(), 0, &execution, 0), Error::<Test>::OwnUnit);
        assert_noop!(open(&who, 1, &execution, 0), Error::<Test>::NotDisputable);
        let raw = |opening, previous| Disputes::open(origin(&who), 0, 0, opening, previous);
        assert_noop!(raw(execution.record(1), None), Error::<Test>::BadPrevious);
        assert_noop!(raw(execution.record(2), execution.previous(1)), Error::<Test>::BadPrevious);
        assert_noop!(raw(execution.record(0), execution.previous(1)), Error::<Test>::BadPrevious);
        let mut forged = execution.record(1);
        forged.record.end_state_root = hash("forged");
        assert_noop!(raw(forged.clone(), execution.previous(1)), Error::<Test>::BadProof);
        assert_noop!(raw(execution.record(2), Some(forged)), Error::<Test>::BadProof);
        let mut far = execution.record(1);
        far.record.index = SEGMENTS;
        assert_noop!(raw(far, None), Error::<Test>::BadProof);
        run_to(2 + WATCH); // the window is over and the unit final
        assert_noop!(open(&who, 0, &execution, 0), Error::<Test>::NotDisputable);
    });
}

#[test]
fn one_game_a_challenger_and_at_most_128_a_unit() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        for n in 0..MAX_GAMES as u16 {
            assert_ok!(open(&watcher(n), 0, &execution, n % SEGMENTS));
        }
        assert_noop!(open(&watcher(3), 0, &execution, 1), Error::<Test>::AlreadyOpen);
        assert_noop!(open(&watcher(130), 0, &execution, 1), Error::<Test>::TooManyGames);
    });
}

#[test]
fn a_challenger_without_free_money_cannot_open() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        use frame_support::traits::fungible::Mutate;
        let who = watcher(0);
        Balances::set_balance(&who, GAME_BOND - 1);
        let root = sp_io::storage::root(sp_runtime::StateVersion::V1);
        assert!(open_transactional(&who, &execution).is_err());
        assert_eq!(root, sp_io::storage::root(sp_runtime::StateVersion::V1));
    });
}

/// As a transaction does it: a refused call leaves no trace.
fn open_transactional(who: &AccountId, execution: &Execution) -> DispatchResult {
    frame_support::storage::with_storage_layer(|| open(who, 0, execution, 0))
}

#[test]
fn turns_are_kept_and_strangers_refused() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        let who = watcher(0);
        assert_ok!(open(&who, 0, &execution, 0));
        let choose = |who: &AccountId, game| Disputes::choose(origin(who), game, Choice::Descend);
        assert_noop!(choose(&who, 0), Error::<Test>::NotYourTurn);
        assert_noop!(choose(&solver(), 0), Error::<Test>::WrongStage);
        assert_noop!(choose(&watcher(1), 0), Error::<Test>::NotYourTurn);
        assert_noop!(choose(&who, 1), Error::<Test>::NoGame);
        assert_ok!(commit_history(0, &execution));
        assert_noop!(commit_history(0, &execution), Error::<Test>::NotYourTurn);
        assert_noop!(Disputes::choose(origin(&who), 0, Choice::Loss), Error::<Test>::BadChoice);
    });
}

#[test]
fn valid_move_in_the_last_block_of_a_clock() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        assert_ok!(open(&watcher(0), 0, &execution, 0));
        run_to(1 + CLOCK);
        assert_ok!(commit_history(0, &execution));
        let game = Games::<Test>::get(0).expect("open");
        assert_eq!((game.defender_clock, game.challenger_clock), (0, CLOCK));
        run(10);
        assert_ok!(Disputes::choose(origin(&watcher(0)), 0, Choice::Witness));
        assert_eq!(Games::<Test>::get(0).expect("open").challenger_clock, CLOCK - 10);
        run(1); // nothing is left on the defender's clock
        assert_eq!(ended(0), (Verdict::Clock, Some(Side::Challenger)));
    });
}

#[test]
fn invalid_move_after_the_clock() {
    let (mut ext, execution) = watched();
    ext.execute_with(|| {
        assert_ok!(open(&watcher(0), 0, &execution, 0));
        System::set_block_number(2 + CLOCK); // without the hooks: the agenda may lag behind
        assert_noop!(commit_history(0, &execution), Error::<Test>::OutOfTime);
        System::set_block_number(1 + CLOCK);
        run(1);
        assert_eq!(ended(0), (Verdict::Clock, Some(Side::Challenger)));
        assert_noop!(commit_history(0, &execution), Error::<Test>::NoGame);
    });
}
