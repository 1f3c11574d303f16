//! What the tests share: the golden vectors (`tests/vectors/README.md`) and BLAKE2b-256.

#![allow(dead_code)]

use serde_json::Value;
use std::{fs, path::PathBuf};

pub fn blake2_256(data: &[u8]) -> [u8; 32] {
    let digest = blake2b_simd::Params::new().hash_length(32).hash(data);
    digest.as_bytes().try_into().expect("32 bytes")
}

/// The list in a file of `tests/vectors`, which may be compressed.
pub fn vectors(name: &str) -> Vec<Value> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors")).join(name);
    let mut bytes = fs::read(path).expect("a file of the repository");
    if name.ends_with(".gz") {
        // Python's gzip writes a header of 10 bytes without options.
        assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0], "gzip without options");
        bytes = miniz_oxide::inflate::decompress_to_vec(&bytes[10..]).expect("a deflate stream");
    }
    let list: Vec<Value> = serde_json::from_slice(&bytes).expect("JSON");
    assert!(!list.is_empty(), "{name} has vectors");
    list
}

pub fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} is a text"))
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

pub fn numbers(value: &Value) -> Vec<u32> {
    let list = value.as_array().expect("a list");
    list.iter().map(|n| n.as_u64().expect("a number").try_into().expect("u32")).collect()
}
