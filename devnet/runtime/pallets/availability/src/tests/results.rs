//! Asks for what a solver has committed to.

use super::*;
use codec::{Encode, MaxEncodedLen};
use frame_support::{assert_noop, traits::Hooks};
use pallet_stakes::{Role, StakeProvider};
use pallet_tasks::TasksParams;
use pallet_verification::{Duties, Watches};
use sp_core::H256;
use sp_runtime::{BuildStorage, Permill};

/// Unit 0 in its watch window, which began in this block: the draw passes it by.
fn watched() -> Execution {
    let execution = submit(0);
    pallet_verification::Params::<Test>::mutate(|params| params.challenge_ppm = 0);
    rotate();
    assert!(matches!(state(0), UnitState::Challengeable(..)));
    execution
}

/// Changes an opening: record, tensor, bytes of the tile.
type Bend<'a> = &'a dyn Fn(&mut Option<pallet_disputes::OpenedRecord>, &mut EntryOpening, &mut Vec<u8>);

#[test]
fn an_answer_costs_the_asker_its_deposit_and_pays_the_solver() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        let (who, before, issued) = (stranger(0), free(&stranger(0)), Balances::total_issuance());
        assert_ok!(ask(&who, 0, TILE));
        assert_eq!(free(&who), before - DEPOSIT);
        let earned = free(&solver());
        run(3);
        assert_ok!(answer(0, execution.open(TILE)));
        assert_eq!(free(&solver()), earned + COMPENSATION);
        assert_eq!(free(&who), before - DEPOSIT);
        assert_eq!(Balances::total_issuance(), issued - (DEPOSIT - COMPENSATION));
        assert!(Asks::<Test>::get(0).is_none() && OpenOfAnswerer::<Test>::get(solver()) == 0);
        System::assert_last_event(Event::Answered { ask: 0, answerer: solver(), paid: COMPENSATION }.into());
        check_holds();
        run(ANSWER); // its deadline finds nothing
        assert!(slashes().is_empty() && matches!(state(0), UnitState::Submitted(..)));
    });
}

#[test]
fn every_chunk_can_be_answered() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        let records = (0..SEGMENTS).map(|segment| Chunk::Transcript { segment });
        let tiles = (0..=SEGMENTS).flat_map(|checkpoint| {
            (0..3).flat_map(move |entry| [0, 3, u32::MAX].map(|tile| Chunk::Checkpoint { checkpoint, entry, tile }))
        });
        for chunk in records.chain(tiles) {
            AsksOfUnit::<Test>::remove(0, 0);
            let id = NextAsk::<Test>::get();
            assert_ok!(ask(&stranger(0), 0, chunk));
            let opening = execution.open(chunk);
            assert!(opening.encoded_size() <= MAX_OPENING_BYTES as usize);
            assert_ok!(answer(id, opening));
        }
    });
}

#[test]
fn silence_costs_the_unit_and_the_whole_bond() {
    test_ext().execute_with(|| {
        submit(0);
        let (who, before) = (stranger(0), free(&stranger(0)));
        assert_ok!(ask(&who, 0, RECORD));
        run(ANSWER);
        assert!(slashes().is_empty() && matches!(state(0), UnitState::Submitted(..)));
        run(1);
        assert_eq!(slashes(), [(solver(), BOND, SlashReason::Unavailable)]);
        assert_eq!(Stakes::bond_of(Role::Solver, &solver()), 0);
        assert_eq!(free(&who), before + BOND / 10);
        let unit = pallet_tasks::Units::<Test>::get(0, 0);
        assert!(unit.state == UnitState::Open && unit.attempt == 1);
        assert!(OpenOfAnswerer::<Test>::get(solver()) == 0 && Asks::<Test>::get(0).is_none());
        let told = Event::Unanswered { ask: 0, task: 0, unit: 0, answerer: solver(), asker: who };
        System::assert_has_event(told.into());
    });
}

#[test]
fn valid_answer_in_the_last_block() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        assert_ok!(ask(&stranger(0), 0, RECORD));
        run(ANSWER);
        assert_ok!(answer(0, execution.open(RECORD)));
    });
}

#[test]
fn invalid_answer_after_the_deadline() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        assert_ok!(ask(&stranger(0), 0, RECORD));
        System::set_block_number(2 + ANSWER); // without the hooks: the agenda may lag behind
        assert_noop!(answer(0, execution.open(RECORD)), Error::<Test>::OutOfTime);
        System::set_block_number(1 + ANSWER);
        run(1);
        assert_noop!(answer(0, execution.open(RECORD)), Error::<Test>::NoAsk);
    });
}

#[test]
fn invalid_asks_change_nothing() {
    test_ext().execute_with(|| {
        let who = stranger(0);
        assert_noop!(ask(&who, 0, RECORD), Error::<Test>::NotAskable); // open
        assert_ok!(Tasks::claim(origin(&solver()), 0, 1));
        assert_noop!(ask(&who, 1, RECORD), Error::<Test>::NotAskable); // assigned
        assert_noop!(Availability::ask(origin(&who), 9, 0, RECORD), Error::<Test>::NotAskable); // no task
        submit(0);
        assert_noop!(ask(&account(249), 0, RECORD), Error::<Test>::NotEligible);
        assert_noop!(ask(&solver(), 0, RECORD), Error::<Test>::OwnUnit);
        for chunk in [
            Chunk::Transcript { segment: SEGMENTS },
            Chunk::Checkpoint { checkpoint: SEGMENTS + 1, entry: 0, tile: 0 },
            Chunk::Checkpoint { checkpoint: 0, entry: 3, tile: 0 },
        ] {
            assert_noop!(ask(&who, 0, chunk), Error::<Test>::NoSuchChunk);
        }
        assert_ok!(ask(&who, 0, RECORD));
        assert_noop!(ask(&who, 0, TILE), Error::<Test>::AlreadyAsked);
    });
}

#[test]
fn an_asker_without_free_money_cannot_ask() {
    test_ext().execute_with(|| {
        use frame_support::traits::fungible::Mutate;
        submit(0);
        Balances::set_balance(&stranger(0), DEPOSIT);
        let root = sp_io::storage::root(sp_runtime::StateVersion::V1);
        assert!(transactional(|| ask(&stranger(0), 0, RECORD)).is_err());
        assert_eq!(root, sp_io::storage::root(sp_runtime::StateVersion::V1));
    });
}

#[test]
fn invalid_answers_change_nothing() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        assert_ok!(ask(&stranger(0), 0, RECORD));
        assert_ok!(ask(&stranger(1), 0, TILE));
        let good = || execution.open(TILE);
        let bent = |bend: Bend| {
            let Opening::Checkpoint { mut record, mut entry, mut tile } = good() else { unreachable!() };
            let mut data = tile.data.to_vec();
            bend(&mut record, &mut entry, &mut data);
            tile.data = data.try_into().expect("at most a tile");
            Opening::Checkpoint { record, entry, tile }
        };
        let refused = |id, opening, error: Error<Test>| {
            assert_noop!(answer(id, opening), error);
        };
        assert_noop!(answer(2, good()), Error::<Test>::NoAsk);
        assert_noop!(Availability::answer(origin(&stranger(0)), 1, Box::new(good())), Error::<Test>::NotAnswerer);
        // of another kind, segment, checkpoint
        refused(0, good(), Error::WrongOpening);
        refused(1, execution.open(RECORD), Error::WrongOpening);
        refused(0, execution.open(Chunk::Transcript { segment: 2 }), Error::WrongOpening);
        let at = |checkpoint| execution.open(Chunk::Checkpoint { checkpoint, entry: 0, tile: 7 });
        refused(1, at(0), Error::WrongOpening);
        refused(1, at(3), Error::WrongOpening);
        refused(1, at(SEGMENTS), Error::WrongOpening);
        // records
        let mut record = execution.record(1);
        record.record.end_state_root = H256::repeat_byte(9);
        refused(0, Opening::Transcript(record), Error::BadProof);
        let mut record = execution.record(1);
        record.proof.try_push(H256::zero()).expect("short");
        refused(0, Opening::Transcript(record), Error::BadProof);
        // another tile, tensor, name, form, data
        let other = |entry, tile| execution.open(Chunk::Checkpoint { checkpoint: 2, entry, tile });
        refused(1, other(0, 6), Error::BadProof);
        refused(1, other(1, 7), Error::BadProof);
        refused(1, bent(&|record, _, _| record.iter_mut().for_each(|opened| opened.proof.clear())), Error::BadProof);
        refused(1, bent(&|_, entry, _| entry.name = b"b".to_vec().try_into().expect("short")), Error::BadProof);
        refused(1, bent(&|_, entry, _| entry.form.dtype = 4), Error::BadProof);
        refused(1, bent(&|_, entry, _| entry.siblings.clear()), Error::BadProof);
        refused(1, bent(&|_, _, data| data[100] ^= 1), Error::BadProof);
        refused(1, bent(&|_, _, data| data.truncate(4_095)), Error::BadTile);
        refused(1, bent(&|_, _, data| data.push(0)), Error::BadTile);
        assert_ok!(answer(1, good()));
        assert_noop!(answer(1, good()), Error::<Test>::NoAsk);
    });
}

/// Submits unit 0 with a last state whose only oddity is its first tensor's form.
fn submit_odd(form: pallet_disputes::ArrayForm, inner_root: H256) -> Opening {
    use aipow_exact::opening::array_root;
    use pallet_disputes::{play::hasher, state_leaf};
    use pallet_verification::merkle::hash_inner;
    assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
    let mut execution = Execution::new(0, 0);
    let tensor = H256(array_root(hasher, form.dtype, &form.shape, &inner_root.0));
    let name: pallet_disputes::Name = b"a.weight".to_vec().try_into().expect("short");
    let rest = [H256::repeat_byte(1), H256::repeat_byte(2)];
    let end = hash_inner(&hash_inner(&state_leaf(&name, &tensor), &rest[0]), &rest[1]);
    execution.records[usize::from(SEGMENTS) - 1].end_state_root = end;
    assert_ok!(Verification::submit(origin(&solver()), 0, 0, execution.root(), end, MACS));
    let entry = EntryOpening { name, form, inner_root, siblings: rest.to_vec().try_into().expect("short") };
    let tile = pallet_disputes::TileOpening { data: Default::default(), siblings: Default::default() };
    Opening::Checkpoint { record: None, entry, tile }
}

#[test]
fn forms_that_no_tensor_has_answer_nothing() {
    let form =
        |dtype, shape: &[u32]| pallet_disputes::ArrayForm { dtype, shape: shape.to_vec().try_into().expect("few") };
    for (form, inner, error) in [
        (form(11, &[3]), H256::zero(), Error::<Test>::BadForm),
        (form(0, &[1 << 31, 1 << 31]), H256::zero(), Error::BadForm),
        (form(0, &[u32::MAX; 8]), H256::zero(), Error::BadForm),
        (form(0, &[0]), H256::repeat_byte(5), Error::BadProof), // no tiles, and yet a root of some
        (form(0, &[3]), H256::zero(), Error::BadTile),          // a tile, and no bytes of it
    ] {
        test_ext().execute_with(|| {
            let opening = submit_odd(form, inner);
            assert_ok!(ask(&stranger(0), 0, Chunk::Checkpoint { checkpoint: SEGMENTS, entry: 0, tile: 0 }));
            assert_noop!(answer(0, opening), error);
        });
    }
}

#[test]
fn an_unanswered_ask_keeps_a_unit_from_becoming_final() {
    test_ext().execute_with(|| {
        let execution = watched();
        run(WATCH); // the window's last block
        assert_ok!(ask(&stranger(0), 0, TILE));
        run(1);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        assert_noop!(ask(&stranger(1), 0, TILE), Error::<Test>::NotAskable); // the window is over
        run(ANSWER - 2);
        assert!(matches!(state(0), UnitState::Challengeable(..)));
        assert_ok!(answer(0, execution.open(TILE)));
        run(1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert!(pallet_verification::Holds::<Test>::iter().next().is_none());
    });
}

#[test]
fn without_an_ask_a_unit_is_final_after_its_window() {
    test_ext().execute_with(|| {
        watched();
        run(WATCH + 1);
        assert!(matches!(state(0), UnitState::Final(..)));
        assert_noop!(ask(&stranger(0), 0, TILE), Error::<Test>::NotAskable);
    });
}

#[test]
fn whoever_asks_finality_waits_for_one_answer_time_at_most() {
    test_ext().execute_with(|| {
        let execution = watched();
        let mut asked = 0;
        while Watches::<Test>::get(0, 0).is_some_and(|watch| System::block_number() <= watch.until) {
            while ask(&stranger(asked as u16), 0, TILE).is_ok() {
                asked += 1;
            }
            // Slowly: two places are free again only at the end.
            if System::block_number() + 1 > WATCH {
                (0..asked).for_each(|id| _ = answer(id, execution.open(TILE)));
                while ask(&stranger(asked as u16), 0, TILE).is_ok() {
                    asked += 1;
                }
            }
            run(1);
        }
        assert!(asked >= 4);
        let end = System::block_number() - 1 + ANSWER;
        while System::block_number() < end {
            run(1);
        }
        (0..asked).for_each(|id| _ = answer(id, execution.open(TILE)));
        run(1);
        assert!(matches!(state(0), UnitState::Final(..)), "{:?}", state(0));
    });
}

#[test]
fn asks_about_a_unit_that_was_listed_again_are_moot() {
    test_ext().execute_with(|| {
        submit(0);
        let before = [free(&stranger(0)), free(&stranger(1))];
        assert_ok!(ask(&stranger(0), 0, RECORD));
        run(1);
        assert_ok!(ask(&stranger(1), 0, RECORD));
        run(ANSWER); // the first one's silence refuses the unit
        assert_eq!(state(0), UnitState::Open);
        assert_noop!(answer(1, Execution::new(0, 0).open(RECORD)), Error::<Test>::NoAsk);
        bond(&stranger(30), Role::Solver);
        assert_ok!(Tasks::claim(origin(&stranger(30)), 0, 0)); // the next attempt is another's
        run(1);
        System::assert_has_event(Event::Moot { ask: 1 }.into());
        assert_eq!([free(&stranger(0)), free(&stranger(1))], [before[0] + BOND / 10, before[1]]);
        assert_eq!(slashes().len(), 1);
        assert!(pallet_verification::Holds::<Test>::iter().next().is_none());
    });
}

#[test]
fn deposits_double_and_asks_are_limited() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        for n in 0..MAX_STRANGERS {
            let (who, before) = (stranger(n.into()), free(&stranger(n.into())));
            assert_ok!(ask(&who, 0, RECORD));
            assert_eq!(before - free(&who), DEPOSIT << n);
            assert_ok!(answer(n.into(), execution.open(RECORD)));
        }
        assert_noop!(ask(&stranger(30), 0, RECORD), Error::<Test>::TooManyAsks);
        for unit in 1..=4 {
            submit(unit);
        }
        for unit in 1..=2 {
            assert_ok!(ask(&stranger(0), unit, RECORD));
            assert_ok!(ask(&stranger(1), unit, RECORD));
            assert_noop!(ask(&stranger(2), unit, RECORD), Error::<Test>::TooManyAsks);
        }
        assert_noop!(ask(&stranger(0), 3, RECORD), Error::<Test>::AnswererBusy);
        assert_ok!(answer(MAX_STRANGERS.into(), Execution::new(0, 1).open(RECORD)));
        assert_ok!(ask(&stranger(0), 3, RECORD));
    });
}

#[test]
fn strangers_cannot_keep_a_drawn_verifier_out() {
    test_ext().execute_with(|| {
        submit(0);
        submit(1);
        rotate();
        let drawn = Duties::<Test>::get(0, 0).expect("challenged").segments[0];
        let needed = Chunk::Checkpoint { checkpoint: drawn, entry: 0, tile: 1 };
        for unit in 0..2 {
            assert_ok!(ask(&stranger(0), unit, RECORD));
            assert_ok!(ask(&stranger(1), unit, RECORD));
        }
        let verifier = &verifiers()[0];
        let other = Chunk::Checkpoint { checkpoint: (drawn + 1) % SEGMENTS, entry: 0, tile: 1 };
        assert_noop!(ask(verifier, 0, other), Error::<Test>::TooManyAsks); // nothing that its duty needs
        let before = free(verifier);
        assert_ok!(ask(verifier, 0, needed));
        assert_eq!(before - free(verifier), DEPOSIT); // not doubled
        assert_eq!(OpenOfAnswerer::<Test>::get(solver()), 4);
        assert_ok!(ask(&verifiers()[1], 0, RECORD));
        assert_noop!(ask(verifier, 0, needed), Error::<Test>::AlreadyAsked);
    });
}

#[test]
fn a_silent_solver_is_refused_before_verifiers_must_commit() {
    test_ext().execute_with(|| {
        submit(0);
        rotate();
        run(5); // they tried the server meanwhile
        assert_ok!(ask(&verifiers()[0], 0, RECORD));
        run(ANSWER + 1);
        assert_eq!(state(0), UnitState::Open);
        assert!(Duties::<Test>::get(0, 0).is_none() && System::block_number() < 1 + COMMIT);
        assert_eq!(slashes(), [(solver(), BOND, SlashReason::Unavailable)]); // and no verifier
    });
}

#[test]
fn what_one_block_has_no_room_for_ends_in_the_next() {
    test_ext().execute_with(|| {
        for unit in 0..4 {
            submit(unit);
            assert_ok!(ask(&stranger(0), unit, RECORD));
        }
        run(ANSWER + 1);
        assert_eq!(Asks::<Test>::iter().count(), 2);
        run(1);
        assert_eq!(Asks::<Test>::iter().count(), 0);
        assert!((0..4).all(|unit| state(unit) == UnitState::Open));
        assert_eq!(slashes(), [(solver(), BOND, SlashReason::Unavailable)]); // nothing was left for the others
    });
}

#[test]
fn a_refused_unit_takes_its_descendants_along() {
    test_ext().execute_with(|| {
        submit(0);
        let child = spec().shards.into();
        submit(child);
        assert_ok!(ask(&stranger(0), 0, RECORD));
        run(ANSWER + 1);
        assert!(state(0) == UnitState::Open && state(child) == UnitState::Open);
    });
}

#[test]
fn the_compensation_covers_the_largest_answer() {
    assert!(Opening::max_encoded_len() <= MAX_OPENING_BYTES as usize);
    let fee = answer_fee(MAX_OPENING_BYTES);
    assert!((UNIT / 100..COMPENSATION).contains(&fee), "{fee}");
    // What is left pays for making a dropped checkpoint again: 1.25 s of a core (an eighth of the time of an answer, as the
    // daemon keeps checkpoints) at 10^9 MACs a second, by the market's own cost.
    let second = TasksParams::default().honest_cost(1_000_000_000).expect("small");
    assert!(fee + second * 5 / 4 < COMPENSATION);
}

/// An attacker with 40 bonded accounts asks wherever the limits let it, ten minutes of blocks of 1 s long, while the solver
/// submits a unit every 5 blocks and answers at once. Prints and checks what an hour (six times that: every unit is asked
/// about alike) costs either side; each answer is taken to be the largest, each to need a checkpoint made again.
#[test]
fn an_hour_of_asking_costs_the_attacker_and_not_the_solver() {
    const BLOCKS: u32 = 600;
    const PER_HOUR: Balance = 6;
    test_ext().execute_with(|| {
        let attackers: Vec<AccountId> = (0..40).map(stranger).collect();
        let total = || attackers.iter().map(free).sum::<Balance>();
        let (before, earned, mut asks) = (total(), free(&solver()), 0);
        for block in 0..BLOCKS {
            let newest = block / 5;
            if block % 5 == 0 {
                submit(newest);
            }
            // The newest units first: there the fewest have asked, and it costs least.
            for unit in [newest, newest.saturating_sub(1), newest.saturating_sub(2)] {
                let who = &attackers[asks as usize % attackers.len()];
                asks += Balance::from(transactional(|| ask(who, unit, RECORD)).is_ok());
            }
            System::reset_events();
            System::set_block_number(System::block_number() + 1);
            Verification::on_initialize(System::block_number());
            Availability::on_initialize(System::block_number());
            let open: Vec<_> = Asks::<Test>::iter().collect();
            for (id, entry) in open {
                assert_ok!(answer(id, Execution::new(0, entry.unit).open(RECORD)));
            }
            assert!(slashes().is_empty());
        }
        let (asks, cost) = (asks * PER_HOUR, (before - total()) * PER_HOUR);
        let income = (free(&solver()) - earned) * PER_HOUR;
        let fees = asks * answer_fee(MAX_OPENING_BYTES);
        let core = asks * TasksParams::default().honest_cost(1_000_000_000).expect("small") * 5 / 4;
        let units = |amount: Balance| amount as f64 / UNIT as f64;
        println!(
            "{asks} asks in an hour: the attacker loses {:.1} UNIT; the solver gets {:.1}, pays {:.1} of fees and {:.2} of \
             computing",
            units(cost),
            units(income),
            units(fees),
            units(core)
        );
        assert!(income > fees + core, "the solver gains by being asked");
        assert!(cost >= asks * DEPOSIT && cost > 4 * (fees + core) && cost > 100 * core);
    });
}

/// Strangers' asks that can wait for one solver's answers at once: so many checkpoints it must be able to make again within
/// the time of an answer. The daemon keeps as many that each takes at most an eighth of it.
const _: () = assert!(MAX_OPEN_OF_ANSWERER * ANSWER / 8 <= ANSWER / 2);

/// Keeping honest strangers out of a unit by asking oneself through others: all eight places cost 255 deposits.
#[test]
fn filling_a_unit_with_friendly_asks_burns_most_of_the_deposits() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        let issued = Balances::total_issuance();
        for n in 0..MAX_STRANGERS {
            assert_ok!(ask(&stranger(n.into()), 0, RECORD));
            assert_ok!(answer(n.into(), execution.open(RECORD)));
        }
        let burned = issued - Balances::total_issuance();
        assert_eq!(burned, 255 * DEPOSIT - 8 * COMPENSATION); // 25.34 UNIT
    });
}

/// Being silent to a friend is no way out of a wrong result: nine tenths of the bond are burned.
#[test]
fn silence_towards_a_friend_burns_nine_tenths() {
    test_ext().execute_with(|| {
        submit(0);
        let issued = Balances::total_issuance();
        assert_ok!(ask(&stranger(0), 0, RECORD));
        run(ANSWER + 1);
        assert_eq!(issued - Balances::total_issuance(), BOND - Permill::from_percent(10).mul_floor(BOND));
    });
}

#[test]
#[should_panic(expected = "compensation must be below the deposit")]
fn genesis_refuses_free_asking() {
    let mut config = genesis();
    config.availability.compensation = config.availability.deposit;
    _ = config.build_storage();
}

#[test]
#[should_panic(expected = "answerBlocks must be positive")]
fn genesis_refuses_no_time() {
    let mut config = genesis();
    config.availability.answer_blocks = 0;
    _ = config.build_storage();
}
