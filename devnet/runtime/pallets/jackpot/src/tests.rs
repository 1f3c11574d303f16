//! Tests of the jackpot pallet: the way of a forced error, who cannot win, and what prizes and tips are worth.

use crate::{mock::*, Draws, Error, Event, Finding, Pot, Prizes, CLAIMS, FINDER_SHARE, MAX_FINDERS};
use frame_support::{assert_noop, assert_ok};
use pallet_stakes::{Balance, Role, StakeProvider};
use pallet_tasks::{UnitIndex, UnitState};
use sp_core::H256;

const SEAL: u32 = BLOCKS.0;
const FIND: u32 = BLOCKS.1;
const SHOW: u32 = BLOCKS.2;

fn find(who: &AccountId, execution: &Execution, segment: u16) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Jackpot::find(signed(who), 0, execution.unit, execution.finding(segment), SALT)
}

fn show(unit: UnitIndex, place: u8, shown: Option<Finding>) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Jackpot::show(signed(&solver()), 0, unit, place, SALT, shown)
}

fn counting(execution: &Execution) -> u8 {
    Draws::<Test>::get(0, execution.unit).expect("drawn").counting
}

fn free(who: &AccountId) -> Balance {
    Balances::free_balance(who)
}

/// What a pot that is full pays for a unit of `PRICE`.
fn prizes() -> Prizes {
    let budget = crate::JackpotParams::default().budget(PRICE, CHALLENGE_PPM);
    Pot::<Test>::put(10 * budget);
    Prizes::new(budget)
}

/// Lets `finders` whistleblowers find the decoy of a forced unit, and the solver show it. Gives what each finder and the
/// solver got.
fn play(finders: u16) -> (Balance, Balance) {
    let execution = drawn(true);
    let finding = |n: u16| execution.finding(n % SEGMENTS);
    (0..finders).for_each(|n| seal(&watcher(n), &finding(n), execution.unit));
    run(SEAL + 1);
    for n in 0..finders {
        assert_ok!(find(&watcher(n), &execution, n % SEGMENTS));
    }
    run(FIND);
    let before = (free(&watcher(0)), free(&solver()));
    let draw = Draws::<Test>::get(0, execution.unit).expect("drawn");
    let shown = (finders == 0).then(|| execution.finding(draw.segment));
    assert_ok!(show(execution.unit, draw.counting, shown));
    (free(&watcher(0)) - before.0, free(&solver()) - before.1)
}

#[test]
fn finders_share_the_prize_and_the_solver_gets_what_more_of_them_would_have_had() {
    for finders in 0..=MAX_FINDERS {
        test_ext().execute_with(|| {
            let (prizes, pot) = (prizes(), Pot::<Test>::get());
            let (each, bonus) = play(finders as u16);
            assert_eq!((each, bonus), (prizes.each(finders), prizes.solver(finders)));
            assert_eq!(Pot::<Test>::get(), pot + CONTRIBUTION - each * Balance::from(finders) - bonus);
            assert_eq!(Stakes::bond_of(Role::Solver, &solver()), BOND);
        });
    }
}

#[test]
fn the_unit_of_a_forced_error_becomes_final_and_is_paid() {
    test_ext().execute_with(|| {
        let execution = drawn(true);
        seal(&watcher(0), &execution.finding(1), execution.unit);
        run(SEAL + 1);
        assert_ok!(find(&watcher(0), &execution, 1));
        assert!(matches!(pallet_tasks::Units::<Test>::get(0, execution.unit).state, UnitState::Final(..)));
        assert_eq!(Pot::<Test>::get(), CONTRIBUTION);
    });
}

#[test]
fn all_prizes_of_a_forced_error_stay_within_what_units_pay_in() {
    for budget in [0, 1, 7, 100, CONTRIBUTION, Balance::MAX] {
        let prizes = Prizes::new(budget);
        for finders in 0..=MAX_FINDERS {
            let all = prizes.each(finders) * Balance::from(finders) + prizes.solver(finders);
            assert!(all <= budget, "{finders} finders of {budget}");
        }
    }
    // one in sixteen of the unchallenged units pays the budget, every unit pays the contribution
    let params = crate::JackpotParams::default();
    let half = params.budget(PRICE, 500_000);
    assert_eq!(half / Balance::from(CLAIMS) / 2, params.contribution(PRICE));
    assert_eq!(params.budget(PRICE, 1_000_000), 0);
}

#[test]
fn finders_share_a_half_less_with_each_of_them() {
    let prizes = Prizes::new(1_000_000 * UNIT);
    let single = prizes.each(1);
    for finders in 1..=MAX_FINDERS {
        let all = single >> (finders - 1);
        let each = prizes.each(finders);
        assert!(each * Balance::from(finders) <= all && (each + 1) * Balance::from(finders) > all);
    }
}

#[test]
fn more_names_never_win_more() {
    let prizes = Prizes::new(1_000_000 * UNIT);
    for others in 0..MAX_FINDERS {
        let one = prizes.each(others + 1);
        for names in 2..=MAX_FINDERS - others {
            let together = prizes.each(others + names) * Balance::from(names);
            assert!(together < one || (others == 0 && together <= one / 2), "{names} names beside {others} others");
        }
    }
}

#[test]
fn a_solver_that_tips_off_friends_gains_nothing() {
    let prizes = Prizes::new(1_000_000 * UNIT);
    for others in 0..MAX_FINDERS {
        let honest = prizes.solver(others);
        let one = prizes.solver(others + 1) + prizes.each(others + 1);
        assert_eq!(one, honest, "one friend beside {others}: from one pocket to the other, and fees");
        for friends in 2..=MAX_FINDERS - others {
            let all = prizes.solver(others + friends) + prizes.each(others + friends) * Balance::from(friends);
            assert!(all < honest, "{friends} friends beside {others} others");
        }
    }
}

#[test]
fn a_tipped_friend_on_the_chain_gains_what_its_solver_loses() {
    let take = |finders| test_ext().execute_with(|| (prizes(), play(finders)).1);
    let ((_, alone), (with_friend, left)) = (take(1), take(2));
    assert_eq!(with_friend + left, alone);
    let ((_, nobody), (tipped, rest)) = (take(0), take(1));
    assert_eq!(tipped + rest, nobody);
}

#[test]
fn a_unit_whose_decoy_does_not_count_pays_nobody() {
    test_ext().execute_with(|| {
        prizes();
        let execution = drawn(false);
        seal(&watcher(0), &execution.finding(0), execution.unit);
        run(SEAL + 1);
        assert_noop!(find(&watcher(0), &execution, 0), Error::<Test>::TrueClaim);
        run(FIND);
        let place = (counting(&execution) + 1) % CLAIMS;
        assert_noop!(show(execution.unit, place, None), Error::<Test>::NotForced);
        let other = counting(&execution);
        assert_noop!(show(execution.unit, other, None), Error::<Test>::WrongDecoy);
        run(SHOW);
        assert!(!Draws::<Test>::contains_key(0, execution.unit));
        assert_eq!(Stakes::bond_of(Role::Solver, &solver()), BOND);
    });
}

#[test]
fn a_false_claim_that_is_no_decoy_costs_the_penalty() {
    test_ext().execute_with(|| {
        prizes();
        // false at every place but committed to one: whatever counts is false
        let unit = unchallenged_units().next().expect("one");
        let counting = next_counting(unit);
        let execution = Execution::new(unit, counting);
        execution.submit((counting + 1) % CLAIMS);
        rotate();
        (0..2).for_each(|n| seal(&watcher(n), &execution.finding(n), unit));
        run(SEAL + 1);
        (0..2).for_each(|n| assert!(find(&watcher(n), &execution, n).is_ok()));
        run(FIND);
        assert_noop!(show(unit, (counting + 1) % CLAIMS, None), Error::<Test>::NotForced);
        let before = free(&watcher(1));
        run(SHOW);
        let penalty = Stakes::penalty();
        assert_eq!(Stakes::bond_of(Role::Solver, &solver()), BOND - penalty);
        assert_eq!(free(&watcher(1)) - before, FINDER_SHARE.mul_floor(penalty / 2));
        System::assert_has_event(Event::FalseClaim { task: 0, unit, solver: solver() }.into());
    });
}

#[test]
fn decoys_at_many_places_do_not_make_more_forced_errors() {
    test_ext().execute_with(|| {
        prizes();
        let unit = unchallenged_units().next().expect("one");
        let counting = next_counting(unit);
        let other = (counting + 1) % CLAIMS;
        // the decoy counts in segment 2 only, the commitment names another place
        let execution = Execution::with_places(unit, [Some(other), Some(other), Some(counting), Some(other)]);
        execution.submit(other);
        rotate();
        seal(&watcher(0), &execution.finding(2), unit);
        run(SEAL + 1);
        assert_ok!(find(&watcher(0), &execution, 2));
        run(FIND);
        assert_noop!(show(unit, other, None), Error::<Test>::NotForced);
        assert_noop!(show(unit, counting, None), Error::<Test>::WrongDecoy);
        run(SHOW);
        assert_eq!(Stakes::bond_of(Role::Solver, &solver()), BOND - Stakes::penalty());
    });
}

#[test]
fn a_decoy_that_is_not_there_gets_no_bonus() {
    test_ext().execute_with(|| {
        prizes();
        let unit = unchallenged_units().next().expect("one");
        let counting = next_counting(unit);
        let execution = Execution::with_places(unit, [None; SEGMENTS as usize]);
        execution.submit(counting);
        rotate();
        run(SEAL + FIND + 1);
        let segment = Draws::<Test>::get(0, unit).expect("drawn").segment;
        assert_noop!(show(unit, counting, None), Error::<Test>::NotShown);
        assert_noop!(show(unit, counting, Some(execution.finding(segment))), Error::<Test>::TrueClaim);
        let another = execution.finding((segment + 1) % SEGMENTS);
        assert_noop!(show(unit, counting, Some(another)), Error::<Test>::NotShown);
    });
}

#[test]
fn a_finding_needs_a_seal_of_its_own_made_in_time() {
    test_ext().execute_with(|| {
        let execution = drawn(true);
        seal(&watcher(0), &execution.finding(0), execution.unit);
        run(SEAL);
        assert_noop!(find(&watcher(0), &execution, 0), Error::<Test>::NotFindPhase);
        run(1);
        seal(&watcher(1), &execution.finding(0), execution.unit); // a block late
        assert_noop!(find(&watcher(1), &execution, 0), Error::<Test>::NotSealed);
        assert_noop!(find(&watcher(2), &execution, 0), Error::<Test>::NotSealed);
        assert_noop!(find(&watcher(0), &execution, 1), Error::<Test>::NotSealed);
        assert_ok!(find(&watcher(0), &execution, 0));
        assert_noop!(find(&watcher(0), &execution, 0), Error::<Test>::AlreadyFound);
        run(FIND);
        assert_noop!(find(&watcher(1), &execution, 0), Error::<Test>::NotFindPhase);
    });
}

#[test]
fn a_finding_needs_the_witness_and_the_committed_record() {
    test_ext().execute_with(|| {
        let execution = drawn(true);
        let mut guessed = execution.finding(0);
        guessed.witness = H256::repeat_byte(1);
        seal(&watcher(0), &guessed, execution.unit);
        let mut spoiled = execution.finding(1);
        spoiled.record.claims.0[0] ^= 1;
        seal(&watcher(1), &spoiled, execution.unit);
        run(SEAL + 1);
        let open = |n: u16, finding| Jackpot::find(signed(&watcher(n)), 0, execution.unit, finding, SALT);
        assert_noop!(open(0, guessed), Error::<Test>::BadWitness);
        assert_noop!(open(1, spoiled), Error::<Test>::BadProof);
    });
}

#[test]
fn seals_are_for_bonded_accounts_and_one_at_a_time() {
    test_ext().execute_with(|| {
        assert_noop!(Jackpot::seal(signed(&account(25)), H256::zero()), Error::<Test>::NotEligible);
        assert_ok!(Jackpot::seal(signed(&watcher(0)), H256::zero()));
        run(SEAL + FIND);
        assert_noop!(Jackpot::seal(signed(&watcher(0)), H256::zero()), Error::<Test>::AlreadySealed);
        run(1);
        assert_ok!(Jackpot::seal(signed(&watcher(0)), H256::zero()));
    });
}

#[test]
fn nobody_finds_its_own_decoy() {
    test_ext().execute_with(|| {
        let execution = drawn(true);
        seal(&solver(), &execution.finding(0), execution.unit);
        run(SEAL + 1);
        assert_noop!(find(&solver(), &execution, 0), Error::<Test>::OwnUnit);
    });
}

#[test]
fn a_decoy_is_hidden_by_the_solver_between_claim_and_submission() {
    test_ext().execute_with(|| {
        let hide = |who: &AccountId| Jackpot::hide(signed(who), 0, 0, decoy(0, 1));
        assert_noop!(hide(&solver()), Error::<Test>::NotAssigned);
        let execution = Execution::new(0, 1);
        execution.submit(1);
        assert_noop!(hide(&solver()), Error::<Test>::NotAssigned);
        assert_ok!(Tasks::claim(signed(&solver()), 0, 1));
        assert_noop!(hide(&watcher(0)), Error::<Test>::NotAssigned);
        assert_ok!(Jackpot::hide(signed(&solver()), 0, 1, decoy(1, 1)));
        assert_noop!(Jackpot::hide(signed(&solver()), 0, 1, decoy(1, 1)), Error::<Test>::AlreadyHidden);
    });
}

#[test]
fn challenged_and_relisted_units_have_no_draw() {
    test_ext().execute_with(|| {
        let challenged = (0..200).find(|unit| next_draw(*unit).is_challenged(CHALLENGE_PPM)).expect("one in 200");
        Execution::new(challenged, 0).submit(0);
        let execution = drawn(true);
        assert!(!Draws::<Test>::contains_key(0, challenged));
        assert!(Draws::<Test>::contains_key(0, execution.unit));
        Verification::refuse_silent(0, execution.unit, &watcher(1), FINDER_SHARE);
        seal(&watcher(0), &execution.finding(0), execution.unit);
        run(SEAL + 1);
        assert_noop!(find(&watcher(0), &execution, 0), Error::<Test>::NoDraw);
        assert_noop!(show(execution.unit, 0, None), Error::<Test>::NoDraw);
    });
}

#[test]
fn only_the_solver_shows_after_the_findings_and_not_for_ever() {
    test_ext().execute_with(|| {
        let execution = drawn(true);
        let (unit, place) = (execution.unit, counting(&execution));
        seal(&watcher(0), &execution.finding(0), unit);
        run(SEAL + 1);
        assert_ok!(find(&watcher(0), &execution, 0));
        assert_noop!(show(unit, place, None), Error::<Test>::NotShowPhase);
        run(FIND);
        let by_another = Jackpot::show(signed(&watcher(0)), 0, unit, place, SALT, None);
        assert_noop!(by_another, Error::<Test>::NotSolver);
        run(SHOW);
        assert_noop!(show(unit, place, None), Error::<Test>::NoDraw);
    });
}

#[test]
fn an_empty_pot_pays_nothing_and_a_poor_one_all_it_has() {
    test_ext().execute_with(|| {
        // the unit's own contribution is all there is
        let (each, bonus) = play(1);
        let prizes = Prizes::new(CONTRIBUTION);
        assert_eq!((each, bonus), (prizes.each(1), prizes.solver(1)));
        assert!(Pot::<Test>::get() < CONTRIBUTION / 100);
    });
}

fn hex(value: &serde_json::Value) -> [u8; 32] {
    let text = value.as_str().expect("hex").strip_prefix("0x").expect("0x");
    let digits = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex digits"));
    digits.collect::<Vec<_>>().try_into().expect("32 bytes")
}

fn number(value: &serde_json::Value) -> Balance {
    value.as_str().map_or_else(|| value.as_u64().expect("a number").into(), |text| text.parse().expect("a number"))
}

#[test]
fn commitments_and_prizes_are_those_of_the_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../tests/vectors/protocol.json");
    let text = std::fs::read_to_string(path).expect("tests/vectors/protocol.json is part of the repository");
    let vectors = &serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON")["jackpot"];
    let list = |key: &str| vectors[key].as_array().expect("a list").clone();
    let (solver, witness) = (AccountId::new(hex(&vectors["solver"])), H256(hex(&vectors["witness"])));
    let true_claims = crate::compute_claims(&solver, &witness);
    assert_eq!(true_claims.0, hex(&vectors["claims"]));
    let small = |key: &str| number(&vectors[key]) as u32;
    let (task, unit, attempt) = (small("task"), small("unit"), small("attempt") as u16);
    for decoy in list("decoys") {
        let place = number(&decoy["place"]) as u8;
        let commitment = crate::commit_decoy(&solver, task, unit, attempt, place, &hex(&decoy["salt"]));
        assert_eq!(commitment.0, hex(&decoy["commitment"]));
        let claims = H256(hex(&decoy["claims"]));
        for other in 0..CLAIMS {
            assert_eq!(crate::differs_at(&claims, &true_claims, other), other == place);
        }
    }
    let finding = &vectors["finding"];
    let (finder, segment) = (AccountId::new(hex(&finding["finder"])), number(&finding["segment"]) as u16);
    let sealed = crate::commit_finding(&finder, task, unit, segment, &witness, &hex(&finding["salt"]));
    assert_eq!(sealed.0, hex(&finding["commitment"]));
    for case in list("prizes") {
        let prizes = Prizes::new(number(&case["budget"]));
        for finders in 0..=MAX_FINDERS {
            assert_eq!(prizes.each(finders), number(&case["each"][finders as usize]));
            assert_eq!(prizes.solver(finders), number(&case["bonus"][finders as usize]));
        }
    }
    for case in list("budgets") {
        let share = sp_runtime::Permill::from_parts(number(&case["share"]) as u32);
        let params = crate::JackpotParams { share, ..Default::default() };
        let budget = params.budget(number(&case["price"]), number(&case["challenge_ppm"]) as u32);
        assert_eq!(budget, number(&case["budget"]));
    }
}
