//! E7: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).

use crate::{opening::Hasher, types::Hash};

/// Key words for a purpose: the first 8 bytes of H("philox/v1" ‖ seed ‖ purpose).
pub fn derive_key(hash: Hasher, seed: &Hash, purpose: &[u8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h, ..] = hash(&[b"philox/v1".as_slice(), seed, purpose].concat());
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// Word `index` of a draw: lane index mod 4 of the counter (⌊index/4⌋ low, ⌊index/4⌋ high, step, stream).
fn word(key: [u32; 2], stream: u32, step: u32, index: u64) -> u32 {
    let block = index / 4;
    philox4x32([block as u32, (block >> 32) as u32, step, stream], key)[(index % 4) as usize]
}

/// Number `index` of a draw of numbers below `bound`: ⌊word · bound / 2^32⌋.
pub fn below(key: [u32; 2], stream: u32, step: u32, index: u64, bound: u32) -> u32 {
    ((u64::from(word(key, stream, step, index)) * u64::from(bound)) >> 32) as u32
}

/// Four words for a counter under a key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let low = u64::from(counter[0]) * 0xD251_1F53;
        let high = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Element `index` of a draw: the top 24 bits of its word times 2^−24, in [0, 1).
pub fn uniform(key: [u32; 2], stream: u32, step: u32, index: u64) -> f32 {
    (word(key, stream, step, index) >> 8) as f32 * f32::from_bits(0x3380_0000) // 2^−24
}
