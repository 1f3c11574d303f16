//! Rules of block rights: the arithmetic of shares, keys, what a rotation writes.

use crate::{mock::*, schedule::*, *};
use codec::Encode;
use frame_support::{assert_noop, assert_ok, traits::Get};
use pallet_beacon::{compute_commitment, BeaconInfo};
use pallet_stakes::{Role, SlashReason, StakeProvider};
use sp_consensus_aura::{ConsensusLog, AURA_ENGINE_ID};
use sp_core::H256;
use sp_runtime::{DigestItem, DispatchError, Permill};

fn slots_of(n: u8) -> u32 {
    Schedule::<Test>::get().entries.iter().filter(|entry| **entry == account(n)).count() as u32
}

fn votes() -> Vec<(u8, u64)> {
    let mut votes: Vec<(u8, u64)> =
        Grandpa::grandpa_authorities().iter().map(|(key, vote)| (key.encode()[0], *vote)).collect();
    votes.sort();
    votes
}

fn vectors() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../tests/vectors/protocol.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON")
}

fn bytes32(value: &serde_json::Value) -> [u8; 32] {
    value.as_str().expect("hex").parse::<H256>().expect("32 bytes").0
}

fn ppm(value: &serde_json::Value) -> u32 {
    value.as_u64().expect("number") as u32
}

fn big<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &serde_json::Value) -> T {
    let text = value.as_str().map(str::to_string).unwrap_or_else(|| value.to_string());
    text.parse().expect("integer")
}

#[test]
fn schedules_equal_the_golden_vectors() {
    let all = vectors();
    let cases = all["block_rights"].as_array().expect("list");
    assert!(!cases.is_empty());
    for case in cases {
        check_vector(case);
    }
}

fn check_vector(case: &serde_json::Value) {
    let ages = case["credits_by_age"].as_array().expect("list");
    let mut weights: Vec<([u8; 32], u128)> = Vec::new();
    for pair in case["weights"].as_array().expect("list") {
        let who = bytes32(&pair[0]);
        let credits: Vec<u64> = ages.iter().map(|age| credit_of(age, &pair[0])).collect();
        assert_eq!(compute_weight(&credits, ppm(&case["decay"])), big(&pair[1]));
        weights.push((who, big(&pair[1])));
    }
    let bootstrap: Vec<[u8; 32]> = case["bootstrap"].as_array().expect("list").iter().map(bytes32).collect();
    let has_work = weights.iter().any(|(_, weight)| *weight > 0);
    let bootstrap_ppm = compute_bootstrap_share(
        ppm(&case["bootstrap_initial"]),
        ppm(&case["bootstrap_step"]),
        ppm(&case["bootstrap_floor"]),
        ppm(&case["epochs_with_work"]),
        has_work,
    );
    let shares = Shares { slots: ppm(&case["slots_per_epoch"]), bootstrap_ppm, cap_ppm: ppm(&case["cap"]) };
    let allotment = compute_allotment(&weights, &bootstrap, &shares);
    let slots: Vec<([u8; 32], u32)> =
        case["slots"].as_array().expect("list").iter().map(|pair| (bytes32(&pair[0]), ppm(&pair[1]))).collect();
    assert_eq!(allotment.totals(), slots);
    assert_eq!(allotment.credits_per_slot, big::<u64>(&case["credits_per_slot"]));
    let list: Vec<[u8; 32]> = case["schedule"].as_array().expect("list").iter().map(bytes32).collect();
    assert_eq!(compute_list(&slots, &bytes32(&case["seed"])), list);
}

fn credit_of(age: &serde_json::Value, who: &serde_json::Value) -> u64 {
    let pairs = age.as_array().expect("list");
    pairs.iter().find(|pair| pair[0] == *who).map_or(0, |pair| big(&pair[1]))
}

#[test]
fn weight_decays_with_each_epoch() {
    assert_eq!(compute_weight(&[], 500_000), 0);
    assert_eq!(compute_weight(&[8], 500_000), 8_000_000);
    assert_eq!(compute_weight(&[8, 8, 8], 500_000), 14_000_000);
    assert_eq!(compute_weight(&[8, 8], 0), 8_000_000);
    assert_eq!(compute_weight(&[1, 1, 1], 333_333), 1_000_000 + 333_333 + 111_110);
    assert_eq!(compute_weight(&[u64::MAX; 32], 1_000_000), u128::from(u64::MAX) * 32_000_000);
}

#[test]
fn bootstrap_share_shrinks_to_its_floor() {
    let share = |work_epochs| compute_bootstrap_share(500_000, 100_000, 200_000, work_epochs, true);
    assert_eq!([0, 1, 3, 4, u32::MAX].map(share), [500_000, 400_000, 200_000, 200_000, 200_000]);
    assert_eq!(compute_bootstrap_share(500_000, 100_000, 200_000, 3, false), 1_000_000);
}

#[test]
fn largest_remainder_gives_ties_to_the_smaller_account() {
    assert_eq!(share_by_largest_remainder(&[(2, 1), (1, 1), (3, 1)], 4), vec![(1, 2), (2, 1), (3, 1)]);
    assert_eq!(share_by_largest_remainder(&[(1, 5), (2, 3), (3, 2)], 7), vec![(1, 4), (2, 2), (3, 1)]);
    assert_eq!(share_by_largest_remainder(&[(1, 0), (2, 0)], 7), vec![(1, 0), (2, 0)]);
    assert_eq!(share_by_largest_remainder::<u8>(&[], 7), vec![]);
}

#[test]
fn cap_hands_the_excess_to_the_others_and_then_back() {
    assert_eq!(share_with_cap(&[(1, 90), (2, 10)], 10, 5), (vec![(1, 5), (2, 5)], 0));
    assert_eq!(share_with_cap(&[(1, 90), (2, 10)], 10, 4), (vec![(1, 4), (2, 4)], 2));
    assert_eq!(share_with_cap(&[(1, 80), (2, 15), (3, 5)], 10, 5), (vec![(1, 5), (2, 4), (3, 1)], 0));
    assert_eq!(share_with_cap(&[(1, 7)], 10, 10), (vec![(1, 10)], 0));
    assert_eq!(share_with_cap::<u8>(&[], 10, 5), (vec![], 10));
}

#[test]
fn shares_always_add_up_and_keep_the_cap() {
    let mut state = 1u64;
    for case in 0..500u64 {
        let weights: Vec<(u8, u128)> = (0..(case % 9) as u8)
            .map(|n| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (n, u128::from(state >> (state % 60)))
            })
            .collect();
        let shares =
            Shares { slots: 6 + (case % 50) as u32, bootstrap_ppm: (state % 1_000_001) as u32, cap_ppm: 333_333 };
        let allotment = compute_allotment(&weights, &[200u8, 201], &shares);
        let total: u32 = allotment.totals().iter().map(|(_, slots)| slots).sum();
        assert_eq!(total, shares.slots);
        let cap = shares.slots * 333_333 / 1_000_000;
        assert!(allotment.work.iter().all(|(_, slots)| *slots <= cap));
    }
}

#[test]
fn equal_split_gives_the_remainder_to_the_first() {
    assert_eq!(share_equally(&["b", "a", "c"], 8), vec![("b", 3), ("a", 3), ("c", 2)]);
    assert_eq!(share_equally::<u8>(&[], 8), vec![]);
}

#[test]
fn shuffle_is_a_permutation_that_the_seed_decides() {
    let ordered: Vec<u32> = (0..100).collect();
    let shuffled = |seed| {
        let mut items = ordered.clone();
        shuffle(&mut items, &[seed; 32]);
        items
    };
    let first = shuffled(1);
    assert_ne!(first, ordered);
    assert_ne!(first, shuffled(2));
    let mut sorted = first;
    sorted.sort();
    assert_eq!(sorted, ordered);
}

#[test]
fn bootstrap_voters_finalise_alone_while_few_miners_vote() {
    for miners in [vec![], vec![1], vec![4, 4], vec![1, 2, 3]] {
        for bootstrap in 1..4u32 {
            let vote = compute_bootstrap_vote(&miners, bootstrap, 3, 0, 5) * u64::from(bootstrap);
            let total = vote + miners.iter().sum::<u64>();
            assert!(vote >= total - (total - 1) / 3, "{miners:?} {bootstrap}");
        }
    }
    assert_eq!(compute_bootstrap_vote(&[4, 4], 1, 1, 3, 5), 2);
}

#[test]
fn miner_votes_are_powers_of_two_under_the_cap() {
    assert_eq!([0, 1, 2, 3, 4, 7, 8, 100].map(|slots| compute_vote(slots, 5)), [1, 1, 2, 2, 4, 4, 4, 4]);
    assert_eq!(compute_vote(10, 0), 1);
}

#[test]
fn genesis_gives_all_slots_and_the_vote_to_the_bootstrap_account() {
    new_test_ext().execute_with(|| {
        assert_eq!(slots_of(1), 20);
        assert_eq!(pallet_aura::Authorities::<Test>::get().to_vec(), vec![aura(1); 20]);
        assert_eq!(votes(), vec![(1, 1)]);
        assert_eq!(Aura::slot_duration(), 2_000);
        assert_eq!(<Test as pallet_timestamp::Config>::MinimumPeriod::get(), 1_000);
    });
}

#[test]
fn invalid_genesis_parameters_are_named() {
    let problem = |change: fn(&mut GenesisConfig<Test>)| {
        let mut genesis = rights_genesis();
        change(&mut genesis);
        genesis.check().err().unwrap_or_default()
    };
    assert_eq!(problem(|_| ()), "");
    assert!(problem(|g| g.slot_duration = 99).contains("slotDuration"));
    assert!(problem(|g| g.slot_duration = 600_001).contains("slotDuration"));
    assert_eq!(problem(|g| g.slot_duration = 100), "");
    assert!(problem(|g| g.slots_per_epoch = 5).contains("slotsPerEpoch"));
    assert_eq!(problem(|g| g.slots_per_epoch = 6), "");
    assert_eq!(problem(|g| g.slots_per_epoch = 1_024), "");
    assert!(problem(|g| g.slots_per_epoch = 1_025).contains("slotsPerEpoch"));
    assert!(problem(|g| g.decay_epochs = 0).contains("decayEpochs"));
    assert_eq!(problem(|g| g.decay_epochs = 32), "");
    assert!(problem(|g| g.decay_epochs = 33).contains("decayEpochs"));
    assert!(problem(|g| g.bootstrap_floor = Permill::from_percent(51)).contains("bootstrapFloor"));
    assert!(problem(|g| g.cap = Permill::from_percent(4)).contains("cap"));
    assert_eq!(problem(|g| g.cap = Permill::from_percent(5)), "");
    assert!(problem(|g| g.bootstrap.clear()).contains("bootstrap"));
    assert!(problem(|g| g.bootstrap.push((account(2), aura(1), grandpa(2)))).contains("twice"));
    assert!(problem(|g| g.bootstrap = (1..=17).map(|n| (account(n), aura(n), grandpa(n))).collect()).contains("16"));
    assert_eq!(problem(|g| g.bootstrap = (1..=16).map(|n| (account(n), aura(n), grandpa(n))).collect()), "");
}

#[test]
fn valid_set_keys_and_change_of_keys() {
    new_test_ext().execute_with(|| {
        join(2);
        System::assert_last_event(Event::KeysSet { account: account(2), aura: aura(2), grandpa: grandpa(2) }.into());
        assert_ok!(BlockRights::set_keys(RuntimeOrigin::signed(account(2)), aura(2), grandpa(22)));
        assert_eq!(Keys::<Test>::get(account(2)).expect("keys").grandpa, grandpa(22));
        assert_eq!(GrandpaOwner::<Test>::get(grandpa(22)), Some(account(2)));
    });
}

#[test]
fn keys_given_up_stay_owned_while_their_account_answers_for_them() {
    new_test_ext().execute_with(|| {
        join(2);
        let set = |n: u8, a: u8, g: u8| BlockRights::set_keys(RuntimeOrigin::signed(account(n)), aura(a), grandpa(g));
        assert_ok!(set(2, 2, 22)); // the Aura key stays in use
        let until = GENESIS + N + 10; // an epoch and an unbonding
        let retired = AuthorKeys { aura: aura(2), grandpa: grandpa(2) };
        assert_eq!(RetiredKeys::<Test>::get(account(2)).to_vec(), vec![Retired { keys: retired, until }]);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(3)), Role::Solver, BOND));
        go_to(until);
        assert_noop!(set(3, 3, 2), Error::<Test>::KeyOwned);
        assert_ok!(set(2, 2, 22)); // nothing changes, nothing is retired
        assert_eq!(GrandpaOwner::<Test>::get(grandpa(2)), Some(account(2)));
        end_epoch(1);
        assert_eq!(GrandpaOwner::<Test>::get(grandpa(2)), None);
        assert_eq!(AuraOwner::<Test>::get(aura(2)), Some(account(2)));
        assert_eq!(RetiredKeys::<Test>::count(), 0);
        assert_ok!(set(3, 3, 2));
    });
}

#[test]
fn number_of_key_changes_is_bounded() {
    new_test_ext().execute_with(|| {
        join(2);
        let set = |key: u8| BlockRights::set_keys(RuntimeOrigin::signed(account(2)), aura(key), grandpa(key));
        for key in 202..206 {
            assert_ok!(set(key));
        }
        assert_noop!(set(206), Error::<Test>::TooManyKeyChanges);
        assert_ok!(set(205));
        Stakes::slash(Role::Solver, &account(2), BOND, SlashReason::WrongResult);
        end_epoch(0); // drops the keys: there is room for one more
        assert_eq!(RetiredKeys::<Test>::get(account(2)).len(), MAX_RETIRED_KEYS as usize);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(2)), Role::Solver, BOND));
        assert_noop!(set(206), Error::<Test>::TooManyKeyChanges);
        go_to(GENESIS + N + 11); // behind the last slot of the first four
        assert_ok!(set(206));
    });
}

#[test]
fn barred_accounts_are_left_out_once() {
    new_test_ext().execute_with(|| {
        join(2);
        BlockRights::note_credit(&account(2), 1_000);
        BlockRights::bar(&account(2));
        BlockRights::bar(&account(2));
        assert_eq!(Barred::<Test>::get().len(), 1);
        end_epoch(0);
        assert_eq!((slots_of(2), Barred::<Test>::get().len()), (0, 0));
        end_epoch(1);
        assert!(slots_of(2) > 0);
    });
}

#[test]
fn invalid_set_keys_change_nothing() {
    new_test_ext().execute_with(|| {
        join(2);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(3)), Role::Solver, BOND));
        let set = |n: u8, a: u8, g: u8| BlockRights::set_keys(RuntimeOrigin::signed(account(n)), aura(a), grandpa(g));
        assert_noop!(BlockRights::set_keys(RuntimeOrigin::none(), aura(3), grandpa(3)), DispatchError::BadOrigin);
        assert_noop!(set(3, 2, 3), Error::<Test>::KeyOwned);
        assert_noop!(set(3, 3, 2), Error::<Test>::KeyOwned);
        assert_noop!(set(3, 1, 3), Error::<Test>::KeyOwned);
        assert_noop!(set(4, 4, 4), Error::<Test>::NotBonded);
        assert_noop!(set(1, 11, 11), Error::<Test>::BootstrapAccount);
        assert_ok!(set(3, 3, 3));
    });
}

#[test]
fn number_of_accounts_with_keys_is_bounded() {
    new_test_ext().execute_with(|| {
        for n in 2..=MAX_KEYS as u8 {
            join(n);
        }
        let late = MAX_KEYS as u8 + 1;
        let origin = RuntimeOrigin::signed(account(late));
        assert_ok!(Stakes::bond(origin.clone(), Role::Solver, BOND));
        assert_noop!(BlockRights::set_keys(origin, aura(late), grandpa(late)), Error::<Test>::TooManyAccounts);
        assert_ok!(BlockRights::set_keys(RuntimeOrigin::signed(account(2)), aura(222), grandpa(222)));
    });
}

#[test]
fn rotation_gives_slots_in_proportion_to_work() {
    new_test_ext().execute_with(|| {
        join(2);
        join(3);
        BlockRights::note_credit(&account(2), 300_000_000);
        BlockRights::note_credit(&account(3), 200_000_000);
        end_epoch(0);
        assert_eq!((slots_of(1), slots_of(2), slots_of(3)), (10, 6, 4));
        assert_eq!(CreditsPerSlot::<Test>::get(), 50_000_000);
        let schedule = Schedule::<Test>::get();
        let keys: Vec<_> = schedule.entries.iter().map(|who| Keys::<Test>::get(who).expect("keys").aura).collect();
        assert_eq!(pallet_aura::Authorities::<Test>::get().to_vec(), keys);
        assert_eq!(schedule.epoch, 1);
        let log = DigestItem::Consensus(AURA_ENGINE_ID, ConsensusLog::AuthoritiesChange(keys).encode());
        assert_eq!(System::digest().logs.iter().filter(|entry| **entry == log).count(), 1);
        let slots = vec![(account(1), 10), (account(2), 6), (account(3), 4)];
        System::assert_has_event(Event::ScheduleWritten { epoch: 1, slots, credits_per_slot: 50_000_000 }.into());
    });
}

#[test]
fn rotation_without_work_gives_all_to_the_bootstrap() {
    new_test_ext().execute_with(|| {
        join(2);
        end_epoch(0);
        assert_eq!((slots_of(1), slots_of(2)), (20, 0));
        assert_eq!((WorkEpochs::<Test>::get(), CreditsPerSlot::<Test>::get()), (0, 0));
    });
}

#[test]
fn bootstrap_share_shrinks_with_work_and_old_credits_fade() {
    new_test_ext().execute_with(|| {
        join(2);
        BlockRights::note_credit(&account(2), 100);
        end_epoch(0);
        assert_eq!(slots_of(2), 10);
        end_epoch(1); // half of the credits still count, the share is 40 %, the cap a half
        assert_eq!(slots_of(2), 10);
        assert_eq!(WorkEpochs::<Test>::get(), 2);
        assert_eq!(Credits::<Test>::get(0, account(2)), 0); // pruned: two epochs count
        end_epoch(2);
        assert_eq!(slots_of(2), 0);
        assert!(CreditEpochs::<Test>::get().is_empty());
    });
}

#[test]
fn unbonded_and_absent_accounts_get_no_slots() {
    new_test_ext().execute_with(|| {
        for n in 2..=4 {
            join(n);
            BlockRights::note_credit(&account(n), 1_000);
        }
        BlockRights::note_credit(&account(5), 1_000); // never registered keys
        Stakes::slash(Role::Solver, &account(2), 1, SlashReason::Unavailable);
        Stakes::slash(Role::Solver, &account(3), u128::MAX, SlashReason::WrongResult);
        end_epoch(0);
        assert_eq!((slots_of(2), slots_of(3), slots_of(4), slots_of(5)), (0, 0, 10, 0));
        assert!(Keys::<Test>::contains_key(account(2)));
        assert!(!Keys::<Test>::contains_key(account(3)));
        assert_eq!(Keys::<Test>::get(account(3)), None);
        System::assert_has_event(Event::KeysDropped { account: account(3) }.into());
    });
}

#[test]
fn beacon_no_shows_are_left_out_of_the_next_schedule() {
    new_test_ext().execute_with(|| {
        join(2);
        join(3);
        assert_ok!(Stakes::bond(RuntimeOrigin::signed(account(2)), Role::Solver, BOND)); // penalty leaves enough
        let secret = compute_commitment(&account(2), 0, &[2; 32]);
        assert_ok!(Beacon::commit(RuntimeOrigin::signed(account(2)), secret));
        for n in 2..=3 {
            BlockRights::note_credit(&account(n), 1_000);
        }
        end_epoch(0);
        assert_eq!(Beacon::no_shows(), vec![account(2)]);
        assert!(Stakes::is_eligible(Role::Solver, &account(2)));
        assert_eq!((slots_of(2), slots_of(3)), (0, 10));
        end_epoch(1);
        assert!(slots_of(2) > 0);
    });
}

#[test]
fn voters_change_with_their_set_id_and_only_when_they_differ() {
    new_test_ext().execute_with(|| {
        join(2);
        BlockRights::note_credit(&account(2), 1_000);
        end_epoch(0);
        assert_eq!(votes(), vec![(1, 9), (2, 4)]); // 10 slots, cap 5, largest power of two 4; 2 * 4 + 1
        assert_eq!(Grandpa::current_set_id(), 1);
        BlockRights::note_credit(&account(2), 1_000);
        end_epoch(1);
        assert_eq!(Grandpa::current_set_id(), 1);
        end_epoch(2);
        end_epoch(3);
        assert_eq!(votes(), vec![(1, 1)]);
        assert_eq!(Grandpa::current_set_id(), 2);
    });
}

#[test]
fn credits_of_one_account_saturate() {
    new_test_ext().execute_with(|| {
        BlockRights::note_credit(&account(2), 0);
        assert!(CreditEpochs::<Test>::get().is_empty());
        BlockRights::note_credit(&account(2), u64::MAX);
        BlockRights::note_credit(&account(2), 1);
        assert_eq!(Credits::<Test>::get(0, account(2)), u64::MAX);
    });
}
