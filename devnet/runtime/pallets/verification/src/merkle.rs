//! Merkle proofs over byte strings: leaf `H(0x00 ‖ data)`, inner `H(0x01 ‖ left ‖ right)`, an odd node is promoted
//! unchanged. A proof lists the sibling hashes from leaf to root; levels at which the node is promoted have none.

use alloc::vec::Vec;
use sp_core::H256;
use sp_io::hashing::blake2_256;

/// Hash of a leaf.
pub fn hash_leaf(data: &[u8]) -> H256 {
    let mut bytes = Vec::with_capacity(data.len().saturating_add(1));
    bytes.push(0);
    bytes.extend_from_slice(data);
    H256(blake2_256(&bytes))
}

/// Hash of an inner node.
pub fn hash_inner(left: &H256, right: &H256) -> H256 {
    let mut bytes = [1u8; 65];
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    H256(blake2_256(&bytes))
}

/// Root that `proof` gives for the leaf `data` at `index` of `count` leaves; nothing if the index is outside or the proof
/// has too few or too many hashes. Who compares the result with a committed root trusts only the hash and `count`.
pub fn compute_root(data: &[u8], index: u32, count: u32, proof: &[H256]) -> Option<H256> {
    if index >= count {
        return None;
    }
    let (mut node, mut index, mut width) = (hash_leaf(data), index, count);
    let mut siblings = proof.iter();
    while width > 1 {
        if index % 2 == 1 {
            node = hash_inner(siblings.next()?, &node);
        } else if index.saturating_add(1) < width {
            node = hash_inner(&node, siblings.next()?);
        }
        index /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(node)
}
