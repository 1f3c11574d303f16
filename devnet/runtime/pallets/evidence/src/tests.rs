//! Rules of evidence: what two blocks of a slot and two votes of a round must be, what they cost, how long they count.

use crate::{mock::*, *};
use codec::Encode;
use finality_grandpa::{Equivocation as Pairing, Message, Precommit, Prevote};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResultWithPostInfo, Pays},
    BoundedVec,
};
use pallet_block_rights::Schedule;
use pallet_stakes::{Role, SlashReason, StakeProvider};
use sp_consensus_aura::AURA_ENGINE_ID;
use sp_consensus_grandpa::{localized_payload, Equivocation, EquivocationProof};
use sp_core::{Pair, H256};
use sp_runtime::{DigestItem, DispatchError};

const NOW: u64 = GENESIS + 3;

fn bytes(header: &Header) -> HeaderBytes {
    header.encode().try_into().expect("short")
}

fn report(keys: u8, first: &Header, second: &Header) -> DispatchResultWithPostInfo {
    Evidence::report_aura(RuntimeOrigin::signed(account(GOOD)), aura(keys), bytes(first), bytes(second))
}

/// Two blocks of a slot by the `n`th account's key.
fn two_blocks(slot: u64, n: u8) -> (Header, Header) {
    (seal(header(slot, 4, 1), n), seal(header(slot, 4, 2), n))
}

fn report_slot(slot: u64, keys: u8) -> DispatchResultWithPostInfo {
    let (first, second) = two_blocks(slot, keys);
    report(keys, &first, &second)
}

type Proof = EquivocationProof<H256, u32>;

fn sign<V: Encode>(n: u8, message: &V, round: u64, set_id: u64) -> sp_consensus_grandpa::AuthoritySignature {
    grandpa_pair(n).sign(&localized_payload(round, set_id, message)).into()
}

/// Two prevotes of the `n`th account for these blocks.
fn two_prevotes(n: u8, set_id: u64, round: u64, targets: [u8; 2]) -> Proof {
    let [first, second] = targets.map(|salt| {
        let vote = Prevote { target_hash: H256([salt; 32]), target_number: 5 };
        (vote.clone(), sign(n, &Message::<H256, u32>::Prevote(vote), round, set_id))
    });
    let pairing = Pairing { round_number: round, identity: grandpa(n), first, second };
    EquivocationProof::new(set_id, Equivocation::Prevote(pairing))
}

/// Two precommits of the `n`th account; the second is signed for `signed_round`.
fn two_precommits(n: u8, set_id: u64, round: u64, signed_round: u64) -> Proof {
    let [first, second] = [(1, round), (2, signed_round)].map(|(salt, signed)| {
        let vote = Precommit { target_hash: H256([salt; 32]), target_number: 5 };
        (vote.clone(), sign(n, &Message::<H256, u32>::Precommit(vote), signed, set_id))
    });
    let pairing = Pairing { round_number: round, identity: grandpa(n), first, second };
    EquivocationProof::new(set_id, Equivocation::Precommit(pairing))
}

fn report_votes(proof: Proof) -> DispatchResultWithPostInfo {
    Evidence::report_grandpa(RuntimeOrigin::signed(account(GOOD)), Box::new(proof))
}

fn bond_of(n: u8) -> u128 {
    Stakes::bond_of(Role::Solver, &account(n))
}

/// Gives an account work, so that it gets slots and a vote in the next epoch.
fn work(n: u8) {
    BlockRights::note_credit(&account(n), 1_000);
}

fn slots_of(n: u8) -> usize {
    Schedule::<Test>::get().entries.iter().filter(|entry| **entry == account(n)).count()
}

fn at_now(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        go_to(NOW);
        test();
    });
}

#[test]
fn two_blocks_of_a_slot_cost_the_whole_bond_and_a_tenth_goes_to_the_reporter() {
    at_now(|| {
        let issued = Balances::total_issuance();
        let info = report_slot(NOW, BAD).expect("charged");
        assert_eq!(info.pays_fee, Pays::No);
        assert_eq!(bond_of(BAD), 0);
        assert_eq!(Balances::free_balance(account(BAD)), MONEY - BOND);
        assert_eq!(Balances::free_balance(account(GOOD)), MONEY + BOND / 10);
        assert_eq!(Balances::total_issuance(), issued - BOND * 9 / 10);
        let slashed = pallet_stakes::Event::<Test>::Slashed {
            account: account(BAD),
            role: Role::Solver,
            amount: BOND,
            reason: SlashReason::Equivocation,
        };
        System::assert_has_event(slashed.into());
        let offence = Offence::Blocks { slot: NOW };
        let charged = Event::<Test>::Charged { offender: account(BAD), reporter: account(GOOD), offence, amount: BOND };
        System::assert_last_event(charged.into());
    });
}

#[test]
fn parents_and_numbers_of_the_two_blocks_do_not_matter() {
    at_now(|| {
        let (first, mut second) = (seal(header(NOW, 4, 1), BAD), header(NOW, 9, 1));
        second.parent_hash = H256([7; 32]);
        assert_ok!(report(BAD, &first, &seal(second, BAD)));
    });
}

#[test]
fn the_same_content_sealed_twice_is_two_blocks() {
    at_now(|| {
        let (first, second) = (seal(header(NOW, 4, 1), BAD), seal(header(NOW, 4, 1), BAD));
        assert_ne!(first.hash(), second.hash());
        assert_ok!(report(BAD, &first, &second));
    });
}

#[test]
fn money_that_is_unbonding_is_taken_too() {
    at_now(|| {
        assert_ok!(Stakes::unbond(RuntimeOrigin::signed(account(BAD)), Role::Solver, BOND));
        assert_ok!(report_slot(NOW, BAD));
        assert_eq!(Balances::free_balance(account(BAD)), MONEY - BOND);
        go_to(NOW + WINDOW + 5);
        assert!(Stakes::withdraw_unbonded(RuntimeOrigin::signed(account(BAD)), Role::Solver).is_err());
    });
}

#[test]
fn invalid_headers_change_nothing() {
    at_now(|| {
        let (first, second) = two_blocks(NOW, BAD);
        let other_slot = seal(header(NOW - 1, 4, 2), BAD);
        assert_noop!(report(BAD, &first, &first), Error::<Test>::SameBlock);
        assert_noop!(report(BAD, &first, &other_slot), Error::<Test>::DifferentSlots);
        assert_noop!(report(BAD, &first, &seal(header(NOW, 4, 2), GOOD)), Error::<Test>::BadSeal);
        assert_noop!(report(BAD, &seal(header(NOW, 4, 2), GOOD), &first), Error::<Test>::BadSeal);
        let mut forged = second.clone();
        forged.state_root = H256([5; 32]);
        assert_noop!(report(BAD, &first, &forged), Error::<Test>::BadSeal);
        assert_noop!(report(ROOT, &first, &second), Error::<Test>::BadSeal);
        assert_noop!(report(GOOD, &first, &second), Error::<Test>::UnknownKey);
        let none = Evidence::report_aura(RuntimeOrigin::none(), aura(BAD), bytes(&first), bytes(&second));
        assert_noop!(none, DispatchError::BadOrigin);
        assert_ok!(report(BAD, &first, &second));
    });
}

#[test]
fn invalid_bytes_change_nothing() {
    at_now(|| {
        let (first, second) = two_blocks(NOW, BAD);
        let whole = second.encode();
        let longer = [whole.clone(), vec![0]].concat();
        let shorter = whole[..whole.len() - 1].to_vec();
        let greedy = [&whole[..32], [0xff; 40].as_slice()].concat(); // a digest of more items than there are bytes
        for wrong in [vec![], longer, shorter, greedy] {
            let wrong = wrong.try_into().expect("short");
            let call = Evidence::report_aura(RuntimeOrigin::signed(account(GOOD)), aura(BAD), bytes(&first), wrong);
            assert_noop!(call, Error::<Test>::MalformedHeader);
        }
        assert!(HeaderBytes::try_from(vec![0; MAX_HEADER_BYTES as usize]).is_ok());
        assert!(HeaderBytes::try_from(vec![0; MAX_HEADER_BYTES as usize + 1]).is_err());
    });
}

#[test]
fn invalid_digests_change_nothing() {
    at_now(|| {
        let (good, _) = two_blocks(NOW, BAD);
        let item = good.digest.logs[1].clone();
        let short_seal = DigestItem::Seal(AURA_ENGINE_ID, vec![0; 63]);
        let foreign_seal = DigestItem::Seal(*b"FRNK", vec![0; 64]);
        let short_slot = DigestItem::PreRuntime(AURA_ENGINE_ID, vec![0; 7]);
        let cases = [
            vec![],
            vec![slot_item(NOW)],
            vec![item.clone()],
            vec![item.clone(), slot_item(NOW)],
            vec![slot_item(NOW), slot_item(NOW), item.clone()],
            vec![short_slot, item.clone()],
            vec![slot_item(NOW), item.clone(), item.clone()],
            vec![slot_item(NOW), short_seal],
            vec![slot_item(NOW), foreign_seal],
        ];
        for logs in cases {
            let mut wrong = header(NOW, 4, 2);
            wrong.digest.logs = logs;
            assert_noop!(report(BAD, &good, &wrong), Error::<Test>::BadDigest);
            assert_noop!(report(BAD, &wrong, &good), Error::<Test>::BadDigest);
        }
    });
}

#[test]
fn a_slot_counts_from_its_coming_until_a_window_later() {
    at_now(|| {
        assert_noop!(report_slot(NOW + 1, BAD), Error::<Test>::FutureSlot);
        assert_noop!(report_slot(u64::MAX, BAD), Error::<Test>::FutureSlot);
        go_to(NOW + WINDOW);
        assert_noop!(report_slot(NOW - 1, BAD), Error::<Test>::TooOld);
        assert_ok!(report_slot(NOW, BAD));
    });
}

#[test]
fn a_bond_answers_once_for_all_that_came_before() {
    at_now(|| {
        assert_ok!(report_slot(NOW, BAD));
        assert_noop!(report_slot(NOW, BAD), Error::<Test>::AlreadySettled);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(BAD)), Role::Solver, BOND));
        assert_noop!(report_slot(NOW, BAD), Error::<Test>::AlreadySettled);
        assert_noop!(report_slot(NOW - 1, BAD), Error::<Test>::AlreadySettled);
        assert_noop!(report_votes(two_prevotes(BAD, 0, 1, [1, 2])), Error::<Test>::AlreadySettled);
        go_to(NOW + 1);
        assert_noop!(report_slot(NOW, BAD), Error::<Test>::AlreadySettled);
        assert_ok!(report_slot(NOW + 1, BAD));
        assert_eq!(Settlements::<Test>::get().len(), 1);
    });
}

#[test]
fn an_account_without_a_bond_has_nothing_to_take() {
    at_now(|| {
        assert_noop!(report_slot(NOW, ROOT), Error::<Test>::NothingToSlash);
        assert_noop!(report_votes(two_prevotes(ROOT, 0, 1, [1, 2])), Error::<Test>::NothingToSlash);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(ROOT)), Role::Solver, BOND));
        assert_ok!(report_slot(NOW, ROOT));
    });
}

#[test]
fn keys_given_up_answer_for_an_epoch_and_a_window() {
    at_now(|| {
        assert_ok!(BlockRights::set_keys(RuntimeOrigin::signed(account(BAD)), aura(12), grandpa(12)));
        let last = NOW + N + WINDOW;
        go_to(last - 1);
        work(BAD);
        go_to(last);
        assert_ok!(report_slot(last - WINDOW, BAD));
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(BAD)), Role::Solver, BOND));
        for slot in [last + 1, last + N] {
            go_to(slot); // the second one is behind a rotation, which lets go
        }
        assert_noop!(report_slot(last + 1, BAD), Error::<Test>::UnknownKey);
        assert_ok!(report_slot(last + 1, 12));
    });
}

#[test]
fn an_offender_is_out_of_the_next_schedule_whatever_it_bonds() {
    at_now(|| {
        work(BAD);
        go_to(GENESIS + N - 1);
        assert!(slots_of(BAD) > 0);
        go_to(GENESIS + N);
        work(BAD);
        assert_ok!(report_slot(GENESIS + N, BAD));
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(BAD)), Role::Solver, BOND));
        go_to(GENESIS + 2 * N - 1);
        assert_eq!(slots_of(BAD), 0);
        go_to(GENESIS + 3 * N - 1);
        assert!(slots_of(BAD) > 0, "and may earn its place again");
    });
}

#[test]
fn two_votes_of_a_round_cost_the_whole_bond() {
    for proof in [two_prevotes(BAD, 0, 7, [1, 2]), two_precommits(BAD, 0, 7, 7)] {
        at_now(|| {
            let info = report_votes(proof).expect("charged");
            assert_eq!(info.pays_fee, Pays::No);
            assert_eq!((bond_of(BAD), Balances::free_balance(account(GOOD))), (0, MONEY + BOND / 10));
            let offence = Offence::Votes { set_id: 0, round: 7 };
            let charged =
                Event::<Test>::Charged { offender: account(BAD), reporter: account(GOOD), offence, amount: BOND };
            System::assert_last_event(charged.into());
        });
    }
}

#[test]
fn invalid_votes_change_nothing() {
    at_now(|| {
        assert_noop!(report_votes(two_prevotes(BAD, 0, 7, [1, 1])), Error::<Test>::BadVotes);
        assert_noop!(report_votes(two_precommits(BAD, 0, 7, 8)), Error::<Test>::BadVotes);
        assert_noop!(report_votes(two_prevotes(GOOD, 0, 7, [1, 2])), Error::<Test>::UnknownKey);
        assert_noop!(report_votes(two_prevotes(BAD, 1, 7, [1, 2])), Error::<Test>::FutureSet);
        let proof = Box::new(two_prevotes(BAD, 0, 7, [1, 2]));
        assert_noop!(Evidence::report_grandpa(RuntimeOrigin::none(), proof), DispatchError::BadOrigin);
    });
}

#[test]
fn votes_count_until_a_window_after_the_end_of_their_set() {
    at_now(|| {
        work(BAD);
        let end = GENESIS + N - 1;
        go_to(end);
        assert_eq!((Grandpa::current_set_id(), SetStarts::<Test>::get().to_vec()), (1, vec![(0, GENESIS), (1, end)]));
        go_to(end + WINDOW + 1);
        assert_noop!(report_votes(two_prevotes(BAD, 0, 7, [1, 2])), Error::<Test>::TooOld);
    });
    at_now(|| {
        work(BAD);
        go_to(GENESIS + N - 1);
        go_to(GENESIS + N - 1 + WINDOW);
        assert_ok!(report_votes(two_prevotes(BAD, 0, 7, [1, 2])));
    });
}

#[test]
fn sets_that_cannot_be_charged_are_forgotten() {
    at_now(|| {
        for slot in 0..4 * WINDOW {
            pallet_grandpa::CurrentSetId::<Test>::mutate(|set| *set += 1);
            go_to(NOW + 1 + slot);
        }
        let (now, sets) = (NOW + 4 * WINDOW, SetStarts::<Test>::get());
        assert_eq!(sets.len() as u64, WINDOW + 2, "the current set, and those that ended in the window");
        assert_eq!(sets.last(), Some(&(4 * WINDOW, now)));
        let last = sets[0].0;
        assert_noop!(report_votes(two_prevotes(BAD, last - 1, 7, [1, 2])), Error::<Test>::TooOld);
        assert_ok!(report_votes(two_prevotes(BAD, last, 7, [1, 2])));
    });
}

#[test]
fn settlements_are_bounded() {
    at_now(|| {
        let full: Vec<_> = (0..MAX_SETTLEMENTS)
            .map(|n| Settlement { account: AccountId::new([n as u8; 32]), slot: NOW, set_id: 0 })
            .filter(|one| one.account != account(BAD))
            .collect();
        Settlements::<Test>::put(BoundedVec::truncate_from(full));
        assert_ok!(report_slot(NOW, BAD));
        let list = Settlements::<Test>::get();
        assert_eq!(list.len(), MAX_SETTLEMENTS as usize);
        assert_eq!(list.last().map(|one| one.account.clone()), Some(account(BAD)));
    });
}

#[test]
fn settlements_are_forgotten_when_nothing_that_they_cover_can_be_reported() {
    at_now(|| {
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(ROOT)), Role::Solver, 3 * BOND));
        assert_ok!(report_slot(NOW, BAD));
        pallet_grandpa::CurrentSetId::<Test>::put(1);
        go_to(NOW + 1);
        for (slot, kept) in [(NOW + 1 + WINDOW, 2), (NOW + 2 + WINDOW, 1)] {
            go_to(slot);
            assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(ROOT)), Role::Solver, BOND));
            assert_ok!(report_slot(slot, ROOT));
            assert_eq!(Settlements::<Test>::get().len(), kept);
        }
    });
}
