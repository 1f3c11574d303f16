//! Each call: acceptance, every rejection, both sides of each bound; genesis.

use super::*;
use frame_support::assert_noop;
use pallet_tasks::{ChallengePolicy, Error as TasksError};
use sp_core::H256;
use sp_runtime::{BuildStorage, Permill};

// submit

#[test]
fn valid_submission_is_due_for_the_epoch_whose_commits_are_open() {
    posted().execute_with(|| {
        let execution = submit_as(&solver(), 0, 0);
        assert_eq!(Transcripts::<Test>::get(execution.root()), Some((0, 0)));
        let due = DueItems::<Test>::get(0).expect("queued");
        assert_eq!((due.epoch, due.unit, due.attempt, due.draws), (0, 0, 0, 0));
        Clock::set((0, false)); // the epoch's outcome may be known to some by now
        submit_as(&solver(), 1, 0);
        assert_eq!(DueItems::<Test>::get(1).map(|due| due.epoch), Some(1));
        rotate();
        assert!(Duties::<Test>::contains_key(0, 0) && !Duties::<Test>::contains_key(0, 1));
        rotate();
        assert!(Duties::<Test>::contains_key(0, 1));
    });
}

#[test]
fn invalid_submission_of_a_copied_transcript() {
    posted().execute_with(|| {
        let execution = submit_as(&solver(), 0, 0);
        assert_ok!(Tasks::claim(origin(&rival()), 0, 1));
        let copied = Verification::submit(origin(&rival()), 0, 1, execution.root(), execution.end(), MACS);
        assert_eq!(copied, Err(Error::<Test>::DuplicateTranscript.into()));
        assert_noop!(
            Verification::submit(origin(&rival()), 0, 1, execution.root(), execution.end(), MACS),
            Error::<Test>::DuplicateTranscript
        );
    });
}

#[test]
fn invalid_second_submission() {
    posted().execute_with(|| {
        submit_as(&solver(), 0, 0);
        let other = H256::repeat_byte(9);
        assert_noop!(
            Verification::submit(origin(&solver()), 0, 0, other, other, MACS),
            TasksError::<Test>::NotAssigned
        );
    });
}

#[test]
fn invalid_submission_of_anothers_unit_or_of_other_work() {
    posted().execute_with(|| {
        let root = H256::repeat_byte(9);
        let submit = |who, unit, macs| Verification::submit(origin(&who), 0, unit, root, root, macs);
        assert_noop!(submit(solver(), 0, MACS), TasksError::<Test>::NotAssigned);
        assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
        assert_noop!(submit(rival(), 0, MACS), TasksError::<Test>::NotAssigned);
        assert_noop!(submit(solver(), 0, MACS + 1), TasksError::<Test>::WrongMacs);
        assert_noop!(submit(solver(), 6, MACS), TasksError::<Test>::UnknownUnit);
        assert_noop!(Verification::submit(origin(&solver()), 1, 0, root, root, MACS), TasksError::<Test>::UnknownTask);
        System::set_block_number(52);
        assert_noop!(submit(solver(), 0, MACS), TasksError::<Test>::DeadlinePassed);
        System::set_block_number(51);
        assert_ok!(submit(solver(), 0, MACS));
    });
}

// commit

#[test]
fn the_reveal_phase_begins_when_all_have_committed() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        run(1);
        assert_ok!(commit(&drawn[0], 0, &found));
        assert_eq!((duty(0).phase, duty(0).deadline), (Phase::Commit, 7));
        assert_ok!(commit(&drawn[1], 0, &found));
        assert_eq!((duty(0).phase, duty(0).deadline), (Phase::Reveal, 6));
        System::assert_last_event(Event::RevealStarted { task: 0, unit: 0, deadline: 6 }.into());
    });
}

#[test]
fn invalid_commit() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        let stranger = verifiers().into_iter().find(|who| !drawn.contains(who)).expect("four verifiers, two drawn");
        assert_noop!(commit(&stranger, 0, &found), Error::<Test>::NotVerifier);
        assert_noop!(commit(&solver(), 0, &found), Error::<Test>::NotVerifier);
        assert_noop!(commit(&drawn[0], 1, &found), Error::<Test>::NoDuty);
        assert_ok!(commit(&drawn[0], 0, &found));
        assert_noop!(commit(&drawn[0], 0, &found), Error::<Test>::AlreadyCommitted);
    });
}

#[test]
fn commit_at_the_deadline_and_after_it() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        System::set_block_number(8); // without the block's hook, as on a full agenda
        assert_noop!(commit(&drawn[0], 0, &found), Error::<Test>::NotCommitPhase);
        System::set_block_number(7);
        assert_ok!(commit(&drawn[0], 0, &found));
        run_to(8); // the phase ended with one commitment
        assert_eq!(duty(0).phase, Phase::Reveal);
        assert_noop!(commit(&drawn[1], 0, &found), Error::<Test>::NotCommitPhase);
    });
}

// reveal

#[test]
fn valid_reveal_is_recorded() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let who = drawn(0)[0].clone();
        assert_ok!(reveal(&who, 0, &found));
        assert!(matches!(duty(0).verifiers[0].1, VerifierState::Revealed(Outcome::Executed, _)));
        assert_eq!(Attestations::<Test>::get((0, 0), &who), found.segments);
        System::assert_last_event(
            Event::AttestationRevealed { task: 0, unit: 0, verifier: who.clone(), outcome: Outcome::Executed }.into(),
        );
        assert_noop!(reveal(&who, 0, &found), Error::<Test>::AlreadyRevealed);
    });
}

#[test]
fn invalid_reveal_that_does_not_match_its_commit() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let who = drawn(0)[0].clone();
        let other = Execution::new(0, 0, &solver(), 1).attest(0, 0);
        assert_noop!(reveal(&who, 0, &other), Error::<Test>::RevealMismatch);
        assert_noop!(plain(Verification::reveal(origin(&who), 0, 0, found, [8; 32])), Error::<Test>::RevealMismatch);
        assert_noop!(reveal(&who, 0, &attest(Outcome::Inconclusive)), Error::<Test>::RevealMismatch);
    });
}

#[test]
fn a_copied_commitment_cannot_be_revealed() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        let commitment = found.commitment(&drawn[0], 0, 0, &SALT);
        for who in &drawn {
            assert_ok!(Verification::commit(origin(who), 0, 0, commitment));
        }
        assert_ok!(reveal(&drawn[0], 0, &found));
        assert_noop!(reveal(&drawn[1], 0, &found), Error::<Test>::RevealMismatch);
    });
}

#[test]
fn invalid_attestation_of_the_wrong_size() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let who = drawn(0)[0].clone();
        let short = Attestation { segments: found.segments[..1].to_vec().try_into().expect("short"), ..found.clone() };
        let guilty = Attestation { outcome: Outcome::Unavailable, ..found };
        for bad in [short, guilty, attest(Outcome::Executed)] {
            assert_noop!(reveal(&who, 0, &bad), Error::<Test>::BadAttestation);
        }
    });
}

#[test]
fn invalid_reveal_by_who_has_no_part() {
    let (mut ext, execution) = challenged();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        assert_ok!(commit(&drawn[0], 0, &found));
        assert_noop!(reveal(&drawn[0], 0, &found), Error::<Test>::NotRevealPhase);
        assert_noop!(open(&execution, 0), Error::<Test>::NotRevealPhase);
        run_to(8);
        assert_noop!(reveal(&drawn[1], 0, &found), Error::<Test>::NotCommitted);
        assert_noop!(reveal(&solver(), 0, &found), Error::<Test>::NotVerifier);
        assert_noop!(reveal(&drawn[0], 3, &found), Error::<Test>::NoDuty);
    });
}

#[test]
fn reveal_at_the_deadline_and_after_it() {
    let (mut ext, execution) = revealing(); // in block 1, so the last block is 5
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let drawn = drawn(0);
        System::set_block_number(6);
        assert_noop!(reveal(&drawn[0], 0, &found), Error::<Test>::NotRevealPhase);
        assert_noop!(open(&execution, 0), Error::<Test>::NotRevealPhase);
        System::set_block_number(5);
        assert_ok!(reveal(&drawn[0], 0, &found));
        assert_ok!(open(&execution, 0));
    });
}

#[test]
fn a_reveal_is_charged_for_the_longest_cancellation_and_gets_the_rest_back() {
    use crate::weights::{StatedWeight, WeightInfo};
    use frame_support::dispatch::GetDispatchInfo;
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let found = execution.attest(0, 0);
        let call = Call::<Test>::reveal { task: 0, unit: 0, attestation: found.clone(), salt: SALT };
        let charged = call.get_dispatch_info().call_weight;
        assert_eq!(charged, StatedWeight::<Test>::reveal(pallet_tasks::MAX_CHAIN.into()));
        let used = Verification::reveal(origin(&drawn(0)[0]), 0, 0, found, SALT).expect("may reveal").actual_weight;
        assert_eq!(used, Some(StatedWeight::<Test>::reveal(0)));
        assert!(used.is_some_and(|used| used.all_lt(charged)));
    });
}

// reveal_solver

/// Opens unit 0 after `spoil` changed the openings; gives the error.
fn open_spoiled(execution: &Execution, spoil: impl FnOnce(&mut Vec<Opening>)) -> DispatchResult {
    let mut openings = execution.openings(0, 0).into_inner();
    spoil(&mut openings);
    plain(Verification::reveal_solver(origin(&solver()), 0, 0, openings.try_into().expect("few")))
}

#[test]
fn valid_opening_is_recorded_once() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        assert_noop!(
            plain(Verification::reveal_solver(origin(&rival()), 0, 0, execution.openings(0, 0))),
            Error::<Test>::NotSolver
        );
        assert_ok!(open(&execution, 0));
        assert_eq!(duty(0).solver_reveal, Some(execution.attest(0, 0).segments));
        System::assert_last_event(Event::SolverRevealed { task: 0, unit: 0, solver: solver() }.into());
        assert_noop!(open(&execution, 0), Error::<Test>::AlreadyRevealed);
    });
}

#[test]
fn invalid_opening_of_other_segments() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        let drawn = duty(0).segments;
        let other = (0..SEGMENTS).find(|segment| !drawn.contains(segment)).expect("five segments, two drawn");
        let wrong = Error::<Test>::WrongSegments;
        assert_noop!(open_spoiled(&execution, |list| list[0] = execution.open(other)), wrong);
        assert_noop!(open_spoiled(&execution, |list| list.reverse()), Error::<Test>::WrongSegments);
        assert_noop!(open_spoiled(&execution, |list| list.truncate(1)), Error::<Test>::WrongSegments);
        assert_noop!(open_spoiled(&execution, |list| list.push(list[1].clone())), Error::<Test>::WrongSegments);
        assert_noop!(open_spoiled(&execution, |list| list.clear()), Error::<Test>::WrongSegments);
    });
}

#[test]
fn invalid_opening_with_a_bad_proof() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        assert_noop!(open_spoiled(&execution, |list| list[0].proof[0].0[0] ^= 1), Error::<Test>::BadProof);
        assert_noop!(open_spoiled(&execution, |list| list[0].proof.truncate(1)), Error::<Test>::BadProof);
        let longer = |list: &mut Vec<Opening>| list[1].proof.try_push(H256::zero()).expect("room");
        assert_noop!(open_spoiled(&execution, longer), Error::<Test>::BadProof);
        // every field of the record is bound by the root
        let fields: [fn(&mut SegmentRecord) -> &mut H256; 6] = [
            |record| &mut record.start_state_root,
            |record| &mut record.end_state_root,
            |record| &mut record.first_step_record,
            |record| &mut record.last_step_record,
            |record| &mut record.salted_witness,
            |record| &mut record.claims,
        ];
        for field in fields {
            let spoil = |list: &mut Vec<Opening>| field(&mut list[1].record).0[31] ^= 1;
            assert_noop!(open_spoiled(&execution, spoil), Error::<Test>::BadProof);
        }
    });
}

#[test]
fn invalid_opening_whose_witness_is_not_the_salted_one() {
    let (mut ext, execution) = revealing();
    ext.execute_with(|| {
        assert_noop!(open_spoiled(&execution, |list| list[1].witness.0[0] ^= 1), Error::<Test>::BadWitness);
    });
}

#[test]
fn a_witness_salted_by_somebody_else_cannot_be_opened() {
    posted().execute_with(|| {
        // the solver copied the records of an execution that was salted with another account
        assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
        let copied = Execution::new(0, 0, &rival(), 0);
        assert_ok!(Verification::submit(origin(&solver()), 0, 0, copied.root(), copied.end(), MACS));
        rotate();
        let found = copied.attest(0, 0);
        drawn(0).iter().for_each(|who| commit(who, 0, &found).expect("a verifier may commit"));
        assert_noop!(open(&copied, 0), Error::<Test>::BadWitness);
    });
}

/// Genesis under which all segments are drawn.
fn all_segments() -> RuntimeGenesisConfig {
    let mut config = genesis();
    config.verification.segments = SEGMENTS;
    config
}

fn submit_and_draw(execution: &Execution, end: H256) {
    assert_ok!(Verification::submit(origin(&solver()), 0, 0, execution.root(), end, MACS));
    rotate();
    let found = execution.attest(0, 0);
    drawn(0).iter().for_each(|who| commit(who, 0, &found).expect("a verifier may commit"));
}

#[test]
fn invalid_opening_of_a_unit_that_starts_elsewhere() {
    posted_with(all_segments()).execute_with(|| {
        assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
        let mut execution = Execution::new(0, 0, &solver(), 0);
        execution.records[0].start_state_root = H256::repeat_byte(66);
        submit_and_draw(&execution, execution.end());
        assert_eq!(duty(0).segments.to_vec(), vec![0, 1, 2, 3, 4]);
        assert_noop!(open(&execution, 0), Error::<Test>::WrongStartState);
    });
}

#[test]
fn invalid_opening_of_a_unit_that_ends_elsewhere() {
    posted_with(all_segments()).execute_with(|| {
        assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
        let execution = Execution::new(0, 0, &solver(), 0);
        submit_and_draw(&execution, H256::repeat_byte(66));
        assert_noop!(open(&execution, 0), Error::<Test>::WrongEndState);
    });
}

#[test]
fn valid_opening_of_all_segments_from_the_right_start_to_the_right_end() {
    posted_with(all_segments()).execute_with(|| {
        assert_ok!(Tasks::claim(origin(&solver()), 0, 0));
        let execution = Execution::new(0, 0, &solver(), 0);
        submit_and_draw(&execution, execution.end());
        assert_ok!(open(&execution, 0));
    });
}

// genesis

fn build(change: impl FnOnce(&mut RuntimeGenesisConfig)) {
    let mut config = genesis();
    change(&mut config);
    let _ = config.build_storage();
}

#[test]
fn detection_follows_the_parameters() {
    test_ext(genesis()).execute_with(|| {
        // p = 1, r = 0.33, v = 2: 1 − 0.1089
        assert_eq!(Verification::detection(), 891_100_000_000);
        assert_eq!(<Verification as ChallengePolicy>::segments(), 2);
    });
}

#[test]
fn the_default_genesis_is_valid() {
    let _ = RuntimeGenesisConfig::default().build_storage();
}

#[test]
fn valid_genesis_just_above_the_incentives_bound() {
    // for 10^9 MACs R = 100,000 and C = 100,000: 0.8911·(100,000 + S) > 100,000 needs S > 12,220.85
    build(|config| {
        config.tasks.mac_cost = 100;
        config.stakes.min_solver_bond = 12_221;
    });
}

#[test]
#[should_panic(expected = "cheating pays with these parameters")]
fn invalid_genesis_just_below_the_incentives_bound() {
    build(|config| {
        config.tasks.mac_cost = 100;
        config.stakes.min_solver_bond = 12_220;
    });
}

#[test]
#[should_panic(expected = "cheating pays with these parameters")]
fn invalid_genesis_without_challenges() {
    build(|config| config.verification.challenge_ppm = 0);
}

#[test]
#[should_panic(expected = "cheating pays with these parameters")]
fn invalid_genesis_with_all_verifiers_bought() {
    build(|config| config.verification.attacker_share = Permill::one());
}

#[test]
#[should_panic(expected = "verification.challengePpm")]
fn invalid_genesis_with_more_than_certainty() {
    build(|config| config.verification.challenge_ppm = 1_000_001);
}

#[test]
#[should_panic(expected = "verification.segments must be 1 to 16")]
fn invalid_genesis_with_too_many_segments() {
    build(|config| config.verification.segments = 17);
}

#[test]
#[should_panic(expected = "verification.verifiers must be 1 to 8")]
fn invalid_genesis_with_too_many_verifiers() {
    build(|config| config.verification.verifiers = 9);
}

#[test]
#[should_panic(expected = "watchBlocks must be positive")]
fn invalid_genesis_without_a_window() {
    build(|config| config.verification.watch_blocks = 0);
}
