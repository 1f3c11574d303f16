//! What an answer costs, in picoseconds of reference time as FRAME counts them.
//!
//! No place needs more than 32,768 MACs (a leaf of a matmul's sums, 32×32×32), 1,024 operands, 1,024 elements written or
//! 64 KiB read, so that a bound on the length is a bound on the time. Proofs cost a host call for each hash, and an
//! opening may hold one for every nine bytes.
//!
//! Measured in the blob's Wasm on our host, two cores shared with fifteen other processes, least of three to seven runs less
//! an empty call. `compute` of each kind of place of each op at every bound of its shapes: at most 0.85 ms (a tile of a pad,
//! from 1,024 elements). `arbitrate` of all golden vectors: at most 23 ms (a tile of a pick: 1,024 claims hashed, 45,309
//! bytes), else under 1 ms.

use crate::{geometry::TILE_ELEMENTS, node::MAX_INPUTS, types::MAX_OPENING_BYTES};

/// Decoding and computing any place: 2 ms (= 2,000,000,000), twice the slowest seen.
pub const PLACE_REF_TIME: u64 = 2_000_000_000;
/// Hashing, by byte of the opening and of what is agreed: 1 µs (= 1,000,000), twice the slowest seen.
pub const BYTE_REF_TIME: u64 = 1_000_000;
/// Most claims that a place needs (= 1,024): the elements of a tile.
pub const MAX_CLAIMS: usize = TILE_ELEMENTS;
/// Most bytes of an encoded `Agreed`: three fields, then two lists of hashes (= 41,004).
pub const MAX_AGREED_BYTES: usize = 32 + 4 + 4 + (2 + 32 * MAX_INPUTS) + (2 + 32 * MAX_CLAIMS);
/// The costliest answer: 108.54 ms (= 108,540,000,000), under a quarter of a block of half a second.
pub const MAX_REF_TIME: u64 = ref_time((MAX_OPENING_BYTES + MAX_AGREED_BYTES) as u64);

/// The weight of `arbitrate` for so many bytes of opening and agreed together.
pub const fn ref_time(bytes: u64) -> u64 {
    PLACE_REF_TIME.saturating_add(BYTE_REF_TIME.saturating_mul(bytes))
}
