//! Replays the golden vectors that Python emits (`tests/vectors/protocol.json`, format in its README).

use super::*;
use crate::{draw::UnitDraw, merkle};
use codec::{Decode, Encode};
use pallet_tasks::{is_honesty_best, TasksParams};
use serde_json::Value;
use sp_core::H256;
use sp_runtime::Permill;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../tests/vectors/protocol.json");
    let text = std::fs::read_to_string(path).expect("tests/vectors/protocol.json is part of the repository");
    serde_json::from_str(&text).expect("valid JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    let list = value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"));
    assert!(!list.is_empty() || key != "draws", "{key} has entries");
    list
}

/// A number, written as such or, where JSON's are too small, as a string.
fn int(value: &Value) -> u128 {
    match value {
        Value::String(text) => text.parse().expect("a decimal number"),
        other => other.as_u64().expect("a number").into(),
    }
}

fn small<N: TryFrom<u128>>(value: &Value) -> N {
    N::try_from(int(value)).ok().expect("in range")
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex").strip_prefix("0x").expect("0x");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn h256(value: &Value) -> H256 {
    H256::from_slice(&bytes(value))
}

fn id(value: &Value) -> AccountId {
    AccountId::new(h256(value).0)
}

#[test]
fn merkle_proofs_lead_to_their_roots_and_nowhere_else() {
    let vectors = vectors();
    let mut replayed = 0;
    for tree in list(&vectors, "merkle") {
        let leaves = list(tree, "leaves");
        let count = leaves.len() as u32;
        for (index, (leaf, proof)) in leaves.iter().zip(list(tree, "proofs")).enumerate() {
            let root = h256(&tree["root"]);
            let proof: Vec<H256> = proof.as_array().expect("a list").iter().map(h256).collect();
            let (leaf, index) = (bytes(leaf), index as u32);
            assert_eq!(merkle::compute_root(&leaf, index, count, &proof), Some(root));
            assert_ne!(merkle::compute_root(b"other", index, count, &proof), Some(root));
            assert_eq!(merkle::compute_root(&leaf, count, count, &proof), None);
            let longer = [&proof[..], &[H256::zero()]].concat();
            assert_eq!(merkle::compute_root(&leaf, index, count, &longer), None);
            if let Some((_, shorter)) = proof.split_last() {
                assert_eq!(merkle::compute_root(&leaf, index, count, shorter), None);
            }
            if count > 1 {
                assert_ne!(merkle::compute_root(&leaf, (index + 1) % count, count, &proof), Some(root));
            }
            replayed += 1;
        }
    }
    assert!(replayed > 10);
}

#[test]
fn draws_are_those_of_the_vectors() {
    for vector in list(&vectors(), "draws") {
        let draw = UnitDraw {
            seed: h256(&vector["beacon_seed"]),
            task: small(&vector["task"]),
            unit: small(&vector["unit"]),
            attempt: small(&vector["attempt"]),
        };
        assert_eq!(draw.number(0), int(&vector["rng0"]));
        let is_challenged = vector["challenged"].as_bool().expect("a truth value");
        assert_eq!(draw.is_challenged(small(&vector["challenge_ppm"])), is_challenged);
        if !is_challenged {
            continue;
        }
        let segments = draw.segments(small(&vector["segments"]), small(&vector["segments_per_unit"]));
        assert_eq!(segments, list(vector, "drawn_segments").iter().map(small).collect::<Vec<u16>>());
        let mut stakes: Vec<_> = list(vector, "stakes").iter().map(|pair| (id(&pair[0]), int(&pair[1]))).collect();
        stakes.sort();
        stakes.retain(|(who, _)| *who != id(&vector["solver"]));
        let expected = vector["drawn_verifiers"].as_array().map(|drawn| drawn.iter().map(id).collect());
        assert_eq!(draw.verifiers(small(&vector["verifiers"]), stakes), expected);
    }
}

#[test]
fn attestations_encode_and_commit_as_in_the_vectors() {
    for vector in list(&vectors(), "attestations") {
        let outcome = match vector["outcome"].as_str().expect("a name") {
            "Executed" => Outcome::Executed,
            "Unavailable" => Outcome::Unavailable,
            "Inconclusive" => Outcome::Inconclusive,
            other => panic!("unknown outcome {other}"),
        };
        let segments: Vec<_> = list(vector, "segments").iter().map(|pair| (h256(&pair[0]), h256(&pair[1]))).collect();
        let attestation = Attestation { outcome, segments: segments.try_into().expect("few") };
        assert_eq!(attestation.encode(), bytes(&vector["encoded"]));
        let (task, unit) = (small(&vector["task"]), small(&vector["unit"]));
        let commitment = attestation.commitment(&id(&vector["account"]), task, unit, &h256(&vector["salt"]).0);
        assert_eq!(commitment, h256(&vector["commitment"]));
    }
}

#[test]
fn segment_records_open_as_in_the_vectors() {
    let records = &vectors()["records"];
    let witness = &records["witness"];
    assert_eq!(salt_witness(&id(&witness["account"]), &h256(&witness["witness"])), h256(&witness["salted"]));
    let transcript = &records["transcript"];
    let openings = list(transcript, "openings");
    for opening in openings {
        let encoded = bytes(&opening["record"]);
        let record = SegmentRecord::decode(&mut &encoded[..]).expect("a record");
        assert_eq!(record.encode(), encoded);
        assert_eq!(u128::from(record.index), int(&opening["index"]));
        assert_eq!(record.start_state_root, h256(&opening["start_state_root"]));
        assert_eq!(record.end_state_root, h256(&opening["end_state_root"]));
        assert_eq!(record.first_step_record, h256(&opening["first_step_record"]));
        assert_eq!(record.last_step_record, h256(&opening["last_step_record"]));
        assert_eq!(record.salted_witness, h256(&opening["salted_witness"]));
        assert_eq!(record.claims, h256(&opening["claims"]));
        assert_eq!(salt_witness(&id(&transcript["solver"]), &h256(&opening["witness"])), record.salted_witness);
        let proof: Vec<H256> = list(opening, "proof").iter().map(h256).collect();
        let root = merkle::compute_root(&encoded, record.index.into(), openings.len() as u32, &proof);
        assert_eq!(root, Some(h256(&transcript["root"])));
    }
}

#[test]
fn unit_seeds_are_those_of_the_vectors() {
    for vector in list(&vectors(), "unit_seeds") {
        let seed = Tasks::compute_seed_at(
            small(&vector["task"]),
            small(&vector["unit"]),
            small(&vector["attempt"]),
            h256(&vector["parent_hash"]),
            &id(&vector["solver"]),
        );
        assert_eq!(seed, h256(&vector["seed"]));
    }
}

#[test]
fn incentives_are_judged_as_in_the_vectors() {
    for vector in list(&vectors(), "economics") {
        let params = VerificationParams {
            challenge_ppm: small(&vector["challenge_ppm"]),
            attacker_share: Permill::from_parts(small(&vector["attacker_share"])),
            verifiers: small(&vector["verifiers"]),
            ..Default::default()
        };
        let market = TasksParams { mac_cost: int(&vector["mac_cost"]), ..Default::default() };
        let cost = market.honest_cost(small(&vector["macs"])).expect("no overflow");
        assert_eq!(cost, int(&vector["cost"]));
        let missed = int(&vector["all_verifiers_share"]);
        assert_eq!(params.detection(), int(&vector["challenge_ppm"]) * (1_000_000 - missed));
        let accepted = is_honesty_best(params.detection(), int(&vector["price"]), int(&vector["bond"]), cost);
        assert_eq!(accepted, vector["accepted"].as_bool().expect("a truth value"));
    }
}
