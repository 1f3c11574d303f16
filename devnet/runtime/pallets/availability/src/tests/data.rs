//! Asks for a task's data set: the owner answers or loses a share of what it would get back; nobody else can be hurt.

use super::*;
use frame_support::{assert_noop, traits::Hooks};
use pallet_stakes::{Role, StakeProvider};
use pallet_tasks::{Forfeits, Questions, TaskId, TaskSpec, TasksParams};
use pallet_verification::Duties;
use sp_runtime::Permill;

const DATA: Chunk = Chunk::Data { array: 0, tile: 7 };
/// Blocks that a solver has in `post`'s tasks.
const CLAIM: u32 = 30;

/// A task of `units` units that must be submitted within `CLAIM` blocks. Gives its number.
fn post(units: u16) -> TaskId {
    let task = pallet_tasks::NextTaskId::<Test>::get();
    let spec = TaskSpec { shards: units, rounds: 1, deadline_blocks: CLAIM, ..spec() };
    assert_ok!(Tasks::post(origin(&owner()), spec));
    task
}

fn claim(who: &AccountId, task: TaskId, unit: UnitIndex) {
    assert_ok!(Tasks::claim(origin(who), task, unit));
}

fn ask_data(who: &AccountId, task: TaskId, unit: UnitIndex) -> DispatchResult {
    Availability::ask(origin(who), task, unit, DATA)
}

fn open(chunk: Chunk) -> Opening {
    Execution::new(0, 0).open(chunk)
}

fn answer_data(id: AskId, opening: Opening) -> DispatchResult {
    Availability::answer(origin(&owner()), id, Box::new(opening))
}

fn entry(task: TaskId) -> pallet_tasks::Task<AccountId> {
    let entry = pallet_tasks::pallet::Tasks::<Test>::get(task).expect("posted");
    let deposited = entry.spec.price * Balance::from(entry.spec.units());
    assert_eq!(deposited, entry.escrowed + entry.paid + entry.refunded + entry.burned);
    entry
}

/// Makes the verifiers drawn for unit 0 of task 0 ask for the data set.
fn drawn() -> AccountId {
    submit(0);
    rotate();
    Duties::<Test>::get(0, 0).expect("challenged").verifiers[0].0.clone()
}

#[test]
fn an_answer_costs_the_asker_its_deposit_and_pays_the_owner() {
    test_ext().execute_with(|| {
        let who = stranger(0);
        claim(&who, 0, 0);
        let (before, earned, issued) = (free(&who), free(&owner()), Balances::total_issuance());
        assert_ok!(ask_data(&who, 0, 0));
        assert_eq!((free(&who), Questions::<Test>::get(0)), (before - DEPOSIT, 1));
        run(3);
        assert_ok!(answer_data(0, open(DATA)));
        System::assert_last_event(Event::Answered { ask: 0, answerer: owner(), paid: COMPENSATION }.into());
        assert_eq!(free(&owner()), earned + COMPENSATION);
        assert_eq!(Balances::total_issuance(), issued - (DEPOSIT - COMPENSATION));
        assert_eq!((OpenOfAnswerer::<Test>::get(owner()), Questions::<Test>::contains_key(0)), (0, false));
        let ended = Ended::<Test>::get(0).expect("kept");
        assert_eq!((ended.outcome, ended.ended, ended.deadline), (Outcome::Answered, 4, 1 + ANSWER));
        run(ANSWER); // its deadline finds nothing
        assert!(!entry(0).closed && Asks::<Test>::iter().next().is_none());
    });
}

#[test]
fn every_chunk_of_a_data_set_can_be_answered() {
    test_ext().execute_with(|| {
        claim(&stranger(0), 0, 0);
        for array in 0..3 {
            for tile in [0, 3, u32::MAX] {
                AsksOfUnit::<Test>::remove(0, 0);
                let (id, chunk) = (NextAsk::<Test>::get(), Chunk::Data { array, tile });
                assert_ok!(ask(&stranger(0), 0, chunk));
                assert_ok!(answer_data(id, open(chunk)));
            }
        }
    });
}

#[test]
fn only_who_needs_a_data_set_may_ask_for_it() {
    test_ext().execute_with(|| {
        let who = stranger(0);
        assert_noop!(ask_data(&who, 9, 0), Error::<Test>::NotAskable); // no task
        assert_noop!(ask_data(&account(249), 0, 0), Error::<Test>::NotEligible);
        assert_noop!(ask_data(&who, 0, 3), Error::<Test>::NoNeed); // open
        claim(&who, 0, 3);
        assert_noop!(ask_data(&stranger(1), 0, 3), Error::<Test>::NoNeed); // another's
        assert_noop!(ask_data(&verifiers()[0], 0, 3), Error::<Test>::NoNeed);
        assert_noop!(ask(&who, 3, Chunk::Data { array: 3, tile: 0 }), Error::<Test>::NoSuchChunk);
        assert_ok!(ask_data(&who, 0, 3));
        assert_noop!(ask_data(&who, 0, 3), Error::<Test>::AlreadyAsked);
        bond(&owner(), Role::Solver);
        claim(&owner(), 0, 4);
        assert_noop!(ask_data(&owner(), 0, 4), Error::<Test>::OwnUnit);
        let verifier = drawn();
        assert_noop!(ask_data(&solver(), 0, 0), Error::<Test>::NoNeed); // it has submitted, so it had the data
        assert_ok!(ask_data(&verifier, 0, 0));
        assert_ok!(ask(&verifier, 0, RECORD)); // of the solver it may ask as well
    });
}

#[test]
fn invalid_answers_change_nothing() {
    test_ext().execute_with(|| {
        let execution = submit(0);
        claim(&stranger(0), 0, 1);
        assert_ok!(ask_data(&stranger(0), 0, 1));
        let at = |array, tile| open(Chunk::Data { array, tile });
        let Opening::Data { entry, mut tile } = open(DATA) else { unreachable!() };
        let (state, data) = State::new(1).open(0, 7);
        assert_noop!(Availability::answer(origin(&solver()), 0, Box::new(open(DATA))), Error::<Test>::NotAnswerer);
        assert_noop!(answer_data(0, execution.open(RECORD)), Error::<Test>::WrongOpening);
        assert_noop!(answer_data(0, execution.open(TILE)), Error::<Test>::WrongOpening);
        assert_noop!(answer_data(0, Opening::Data { entry: state, tile: data }), Error::<Test>::BadProof);
        assert_noop!(answer_data(0, at(0, 6)), Error::<Test>::BadProof);
        assert_noop!(answer_data(0, at(1, 7)), Error::<Test>::BadProof);
        tile.data[5] ^= 1;
        assert_noop!(answer_data(0, Opening::Data { entry, tile }), Error::<Test>::BadProof);
        System::set_block_number(2 + ANSWER);
        assert_noop!(answer_data(0, open(DATA)), Error::<Test>::OutOfTime);
        System::set_block_number(1 + ANSWER);
        assert_ok!(answer_data(0, open(DATA))); // the last block
        assert_noop!(answer_data(0, open(DATA)), Error::<Test>::NoAsk);
        // data does not answer what a solver is asked for
        assert_ok!(ask(&stranger(1), 0, TILE));
        assert_noop!(answer(1, open(DATA)), Error::<Test>::WrongOpening);
    });
}

#[test]
fn silence_closes_the_task_and_costs_a_quarter_of_what_comes_back() {
    test_ext().execute_with(|| {
        let (task, who, price) = (post(8), stranger(0), spec().price);
        claim(&who, task, 2);
        let (before, bond, held) = (free(&who), Stakes::bond_of(Role::Solver, &who), free(&owner()));
        assert_ok!(ask_data(&who, task, 2));
        run(ANSWER);
        assert!(!entry(task).closed);
        run(1);
        let told = Event::Unanswered { ask: 0, task, unit: 2, answerer: owner(), asker: who.clone() };
        System::assert_has_event(told.into());
        assert_eq!(Ended::<Test>::get(0).expect("kept").outcome, Outcome::Unanswered);
        let lost = 7 * price / 4; // of seven open units
        assert_eq!((free(&owner()) - held, free(&who) - before), (7 * price - lost, lost / 10));
        assert_eq!((entry(task).burned, entry(task).escrowed), (lost - lost / 10, price));
        assert_noop!(Tasks::claim(origin(&stranger(1)), task, 3), pallet_tasks::Error::<Test>::TaskIsClosed);
        // The claim times out. That costs its solver nothing, and the owner a quarter again.
        run(CLAIM);
        assert_eq!(pallet_tasks::Units::<Test>::get(task, 2).state, UnitState::Closed);
        assert_eq!((entry(task).escrowed, entry(task).refunded), (0, 6 * price));
        assert_eq!(free(&who) - before, lost / 10 + price / 40);
        assert_eq!(Stakes::bond_of(Role::Solver, &who), bond);
        assert!(slashes().is_empty() && !pallet_tasks::Loads::<Test>::contains_key(&who));
        assert!(Stakes::is_eligible(Role::Solver, &who));
        claim(&who, 0, 0); // it goes on with another task
    });
}

#[test]
fn further_asks_of_a_silent_owner_are_moot() {
    test_ext().execute_with(|| {
        let task = post(8);
        let before = [free(&stranger(0)), free(&stranger(1))];
        for (n, unit) in [(0, 0), (1, 1), (2, 2)] {
            claim(&stranger(n), task, unit);
        }
        assert_ok!(ask_data(&stranger(0), task, 0));
        run(1);
        assert_ok!(ask_data(&stranger(1), task, 1));
        run(ANSWER);
        assert!(entry(task).closed && entry(task).refunded == 0); // somebody still waits
        assert_noop!(ask_data(&stranger(2), task, 2), Error::<Test>::NotAskable);
        run(1);
        System::assert_has_event(Event::Moot { ask: 1 }.into());
        let lost = 5 * spec().price / 4;
        assert_eq!([free(&stranger(0)), free(&stranger(1))], [before[0] + lost / 10, before[1]]);
        assert_eq!((entry(task).burned, Questions::<Test>::contains_key(task)), (lost - lost / 10, false));
        assert_eq!(Forfeits::<Test>::get(task).expect("silent").finder, stranger(0));
    });
}

#[test]
fn closing_the_task_while_it_is_asked_saves_an_owner_nothing() {
    test_ext().execute_with(|| {
        let (task, price) = (post(8), spec().price);
        claim(&stranger(0), task, 0);
        assert_ok!(ask_data(&stranger(0), task, 0));
        assert_ok!(Tasks::close(origin(&owner()), task));
        assert_eq!(entry(task).refunded, 0);
        run(ANSWER + 1);
        assert_eq!((entry(task).refunded, entry(task).escrowed), (7 * price - 7 * price / 4, price));
    });
}

#[test]
fn an_owner_who_answers_may_close_as_ever() {
    test_ext().execute_with(|| {
        let (task, price) = (post(8), spec().price);
        claim(&stranger(0), task, 0);
        assert_ok!(ask_data(&stranger(0), task, 0));
        assert_ok!(Tasks::close(origin(&owner()), task));
        assert_ok!(answer_data(0, open(DATA)));
        assert_eq!((entry(task).refunded, entry(task).burned), (7 * price, 0));
        run(CLAIM + 1);
        assert_eq!((entry(task).refunded, entry(task).escrowed), (8 * price, 0));
    });
}

#[test]
fn an_ask_for_data_does_not_keep_a_unit_from_becoming_final() {
    test_ext().execute_with(|| {
        let verifier = drawn();
        assert_ok!(ask_data(&verifier, 0, 0));
        assert!(pallet_verification::Holds::<Test>::iter().next().is_none());
        run(ANSWER + 1); // its silence costs the owner, and the solver nothing
        assert!(entry(0).closed && matches!(state(0), UnitState::Submitted(..)) && slashes().is_empty());
    });
}

#[test]
fn asks_of_an_owner_are_limited_and_drawn_verifiers_always_come_in() {
    test_ext().execute_with(|| {
        let verifier = drawn();
        for n in 0..=MAX_OPEN_OF_ANSWERER as u16 {
            claim(&stranger(n), 0, UnitIndex::from(n) + 1);
        }
        for n in 0..MAX_OPEN_OF_ANSWERER as u16 {
            assert_ok!(ask_data(&stranger(n), 0, UnitIndex::from(n) + 1));
        }
        let last = stranger(MAX_OPEN_OF_ANSWERER as u16);
        assert_noop!(ask_data(&last, 0, MAX_OPEN_OF_ANSWERER + 1), Error::<Test>::AnswererBusy);
        let before = free(&verifier);
        assert_ok!(ask_data(&verifier, 0, 0));
        assert_eq!(before - free(&verifier), DEPOSIT);
        assert_ok!(answer_data(0, open(DATA)));
        assert_ok!(ask_data(&last, 0, MAX_OPEN_OF_ANSWERER + 1));
    });
}

/// What an owner burns for each unit of a task with withheld data that somebody claimed is at least what executing it
/// honestly costs, even if the asker is its friend and the price is the least possible.
#[test]
fn withholding_costs_an_owner_more_than_a_unit_of_work() {
    let AvailabilityParams { reward_share, owner_share, .. } = Default::default();
    for macs in [1_000_000, u64::from(u32::MAX), 1 << 50] {
        let params = TasksParams::default();
        let price = params.price_floor(macs).expect("small");
        let lost = owner_share.mul_floor(price);
        let burned = lost - reward_share.mul_floor(lost);
        assert!(burned > params.honest_cost(macs).expect("small"));
    }
}

/// An owner who is silent towards a friend burns nine tenths of what it loses; by closing the task it would lose nothing.
#[test]
fn silence_towards_a_friend_burns_nine_tenths_of_the_quarter() {
    test_ext().execute_with(|| {
        let (task, price) = (post(8), spec().price);
        claim(&stranger(0), task, 0);
        let issued = Balances::total_issuance();
        assert_ok!(ask_data(&stranger(0), task, 0));
        run(CLAIM + 2);
        let lost = 8 * price / 4;
        assert_eq!(issued - Balances::total_issuance(), lost - Permill::from_percent(10).mul_floor(lost));
    });
}

/// Forty bonded accounts claim units of one task and ask its owner wherever the limits let them, two minutes of blocks of
/// 1 s long; it answers at once. Prints and checks what an hour (thirty times that) costs either side; each answer is taken to
/// be the largest, and to need the whole second between two blocks for four of them.
#[test]
fn an_hour_of_asking_costs_the_attacker_and_not_the_owner() {
    const BLOCKS: u32 = 120;
    const PER_HOUR: Balance = 30;
    test_ext().execute_with(|| {
        let task = post(500);
        let attackers: Vec<AccountId> = (0..40).map(stranger).collect();
        let total = || attackers.iter().map(free).sum::<Balance>();
        let (before, earned, mut asks, mut unit) = (total(), free(&owner()), 0, 0);
        for block in 0..BLOCKS {
            for n in 0..8 {
                let who = &attackers[(8 * block + n) as usize % attackers.len()];
                let is_made = transactional(|| {
                    Tasks::claim(origin(who), task, unit)?;
                    ask_data(who, task, unit)
                });
                asks += Balance::from(is_made.is_ok());
                unit = (unit + 1) % 500;
            }
            System::reset_events();
            System::set_block_number(System::block_number() + 1);
            Tasks::on_initialize(System::block_number());
            Availability::on_initialize(System::block_number());
            let ids: Vec<_> = Asks::<Test>::iter_keys().collect();
            assert!(ids.len() <= MAX_OPEN_OF_ANSWERER as usize);
            for id in ids {
                assert_ok!(answer_data(id, open(DATA)));
            }
        }
        let (asks, cost) = (asks * PER_HOUR, (before - total()) * PER_HOUR);
        let income = (free(&owner()) - earned) * PER_HOUR;
        let fees = asks * answer_fee(MAX_OPENING_BYTES);
        let core = asks * TasksParams::default().honest_cost(1_000_000_000).expect("small") / 4;
        let units = |amount: Balance| amount as f64 / UNIT as f64;
        println!(
            "{asks} asks in an hour: the attacker loses {:.1} UNIT; the owner gets {:.1}, pays {:.1} of fees and {:.2} of \
             computing",
            units(cost),
            units(income),
            units(fees),
            units(core)
        );
        assert!(asks > 1_000 && cost == asks * DEPOSIT);
        assert!(income > fees + core, "the owner gains by being asked");
    });
}
