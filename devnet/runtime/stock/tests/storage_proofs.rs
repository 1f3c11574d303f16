//! Storage proofs and state roots of `tests/vectors/state/proofs.json`, checked by a stock node's state machine.

use serde_json::Value;
use sp_core::{
    storage::{ChildInfo, StateVersion, Storage, StorageChild},
    Blake2Hasher, H256,
};
use sp_state_machine::{read_child_proof_check, read_proof_check, StorageProof, TrieBackend};
use std::collections::{BTreeMap, HashMap};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;
type Values = HashMap<Vec<u8>, Option<Vec<u8>>>;

fn states() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors/state/proofs.json");
    let text = std::fs::read_to_string(path).expect("the vectors are in the repository");
    let mut vectors: Value = serde_json::from_str(&text).expect("they are JSON");
    vectors["states"].take().as_array().expect("a list").clone()
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex")).collect()
}

fn field(value: &Value, name: &str) -> Vec<u8> {
    bytes(value[name].as_str().expect("a string"))
}

fn pairs(value: &Value) -> Pairs {
    let entries = value.as_object().expect("an object");
    entries.iter().map(|(key, value)| (bytes(key), bytes(value.as_str().expect("a string")))).collect()
}

fn root(state: &Value) -> H256 {
    H256::from_slice(&field(state, "root"))
}

fn values(proof: &Value) -> Values {
    let entries = proof["values"].as_object().expect("an object");
    entries.iter().map(|(key, value)| (bytes(key), value.as_str().map(bytes))).collect()
}

fn nodes(proof: &Value) -> Vec<Vec<u8>> {
    proof["nodes"].as_array().expect("a list").iter().map(|node| bytes(node.as_str().expect("a string"))).collect()
}

/// What the proof shows of the main trie, or of the child trie it names.
fn read(root: H256, proof: &Value, nodes: Vec<Vec<u8>>) -> Option<Values> {
    let (proven, keys) = (StorageProof::new(nodes), values(proof).into_keys());
    let read = match proof["child"].as_str() {
        None => read_proof_check::<Blake2Hasher, _>(root, proven, keys),
        Some(name) => {
            read_child_proof_check::<Blake2Hasher, _>(root, proven, &ChildInfo::new_default(&bytes(name)), keys)
        }
    };
    read.ok()
}

fn proofs(state: &Value) -> Vec<Value> {
    ["proofs", "child_proofs"].iter().flat_map(|kind| state[kind].as_array().expect("a list").clone()).collect()
}

#[test]
fn roots_are_a_stock_nodes() {
    for state in states() {
        let version = if state["version"] == 0 { StateVersion::V0 } else { StateVersion::V1 };
        let children = state["children"].as_object().expect("an object").iter().map(|(name, data)| {
            let child_info = ChildInfo::new_default(&bytes(name));
            (bytes(name), StorageChild { data: pairs(data), child_info })
        });
        let storage = Storage { top: pairs(&state["main"]), children_default: children.collect() };
        let backend: TrieBackend<_, Blake2Hasher> = (storage, version).into();
        assert_eq!(*backend.root(), root(&state), "{}", state["name"]);
    }
}

#[test]
fn proofs_show_values_and_absence() {
    let mut seen = 0;
    for state in states() {
        for proof in proofs(&state) {
            assert_eq!(read(root(&state), &proof, nodes(&proof)), Some(values(&proof)), "{}", state["name"]);
            seen += values(&proof).len();
        }
    }
    assert!(seen > 100, "only {seen} values were looked up");
}

#[test]
fn a_proof_that_lacks_a_node_is_refused() {
    for state in states() {
        for proof in proofs(&state) {
            let whole = nodes(&proof);
            for left_out in 0..whole.len() {
                let mut rest = whole.clone();
                rest.remove(left_out);
                assert_eq!(read(root(&state), &proof, rest), None, "{}: node {left_out}", state["name"]);
            }
        }
    }
}

#[test]
fn another_root_is_refused() {
    for state in states() {
        for proof in proofs(&state) {
            assert_eq!(read(H256::repeat_byte(7), &proof, nodes(&proof)), None);
        }
    }
}
