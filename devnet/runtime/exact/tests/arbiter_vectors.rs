//! The arbiter's golden vectors: answers, endings and refusals to the bytes; then damaged questions, which never panic.

mod common;

use aipow_exact::{
    arbitrate_encoded, compute, compute_encoded, decode, json::canonical_json, required, types::*,
    weights::MAX_AGREED_BYTES,
};
use codec::Encode;
use common::{blake2_256, hex, text, vectors};
use serde_json::Value;

fn answer(agreed: &[u8], opening: &[u8]) -> Vec<u8> {
    arbitrate_encoded(blake2_256, agreed, opening).encode()
}

/// `old` with the bytes from start to stop replaced.
fn edited(old: &[u8], edit: &Value) -> Vec<u8> {
    let at = |place: usize| edit[place].as_u64().expect("a number") as usize;
    [&old[..at(0)], &hex(edit[2].as_str().expect("hex")), &old[at(1)..]].concat()
}

#[test]
fn answers_are_those_of_python() {
    for vector in vectors("arbiter/answers.json.gz") {
        let (agreed, opening) = (hex(text(&vector, "agreed")), hex(text(&vector, "opening")));
        let given = answer(&agreed, &opening);
        assert!(given == hex(text(&vector, "answer")), "{} {}", vector["op"], vector["place"]);
        assert!(agreed.len() <= MAX_AGREED_BYTES);
    }
}

#[test]
fn lies_are_refused_with_their_errors() {
    for vector in vectors("arbiter/refusals.json.gz") {
        let (agreed, opening) = (hex(text(&vector, "agreed")), hex(text(&vector, "opening")));
        let given = answer(&agreed, &opening);
        assert!(given == hex(text(&vector, "answer")), "{} {}", vector["op"], vector["place"]);
        for lie in vector["lies"].as_array().expect("a list") {
            let given =
                arbitrate_encoded(blake2_256, &edited(&agreed, &lie["agreed"]), &edited(&opening, &lie["opening"]));
            let error = given.map_err(|error| format!("{error:?}"));
            assert_eq!(error, Err(text(lie, "error").into()), "{} {}: {}", vector["op"], vector["place"], lie["lie"]);
        }
    }
}

#[test]
fn nodes_are_the_leaves_of_their_graphs() {
    for vector in vectors("arbiter/nodes.json.gz") {
        let node: Node = decode(&hex(text(&vector, "node"))).expect("a node");
        assert_eq!(node.op.name(), text(&vector, "op"));
        assert_eq!(String::from_utf8(canonical_json(&node)).as_deref(), Ok(text(&vector, "json")));
    }
}

#[test]
fn required_operands_are_those_opened() {
    for vector in vectors("arbiter/answers.json.gz") {
        let opening: Opening = decode(&hex(text(&vector, "opening"))).expect("an opening");
        let needed = required(&opening.statement).expect("a legal statement");
        let by_index = matches!(opening.statement.node.op, Op::TakeRows | Op::Pick);
        for (need, given) in needed.iter().zip(&opening.operands) {
            assert_eq!(need.size as usize, given.data.len());
            assert!(by_index || need.source == given.source);
        }
        assert!(needed.len() >= opening.operands.len(), "fewer only where one ends the unit");
    }
}

#[test]
fn statements_compute_without_proofs_as_with_them() {
    for vector in vectors("arbiter/answers.json.gz") {
        let opening: Opening = decode(&hex(text(&vector, "opening"))).expect("an opening");
        let operands = opening.operands.iter().map(|opened| (opened.source, opened.data.as_slice()));
        let given = compute(&opening.statement, operands).encode();
        assert!(given == hex(text(&vector, "answer")), "{} {}", vector["op"], vector["place"]);
    }
}

#[test]
fn an_opening_of_64_kib_is_read_and_one_more_byte_is_too_large() {
    let mut opening = vec![0; MAX_OPENING_BYTES];
    assert_eq!(decode::<Opening>(&opening), Err(Error::Malformed));
    opening.push(0);
    assert_eq!(decode::<Opening>(&opening), Err(Error::TooLarge));
    assert_eq!(compute_encoded(&opening, &[0]), Err(Error::TooLarge));
    assert_eq!(compute_encoded(&[0], &opening), Err(Error::Malformed), "the statement is read first");
}

/// Xorshift64*: a stream of numbers from a seed, the same everywhere.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut noise = Noise(1);
    for _ in 0..20_000 {
        let [agreed, opening] = [80, 300].map(|size| {
            let size = noise.below(size);
            (0..size).map(|_| noise.below(256) as u8).collect::<Vec<u8>>()
        });
        assert!(arbitrate_encoded(blake2_256, &agreed, &opening).is_err());
        assert!(compute_encoded(&opening, &agreed).is_err());
    }
}

/// Questions damaged in a few bytes of the statement: they reach the op's rules, places and trees, and never panic.
#[test]
fn damaged_statements_never_panic() {
    let mut noise = Noise(2);
    let (mut refused, mut answered) = (0, 0);
    for vector in vectors("arbiter/refusals.json.gz") {
        let bytes = hex(text(&vector, "opening"));
        let opening: Opening = decode(&bytes).expect("an opening");
        let operands: Vec<(Source, &[u8])> =
            opening.operands.iter().map(|opened| (opened.source, opened.data.as_slice())).collect();
        let size = bytes.len().min(120);
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + noise.below(3) {
                damaged[noise.below(size)] = [0, 1, 2, 4, 8, 31, 32, 127, 128, 255][noise.below(10)];
            }
            let Ok(damaged) = decode::<Opening>(&damaged) else { continue };
            _ = required(&damaged.statement);
            match compute(&damaged.statement, operands.iter().copied()) {
                Ok(_) => answered += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1_000 && answered > 100, "{refused} refused, {answered} answered");
}
