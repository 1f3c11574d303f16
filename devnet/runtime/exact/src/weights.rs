//! What an answer costs, in picoseconds of reference time as FRAME counts them.
//!
//! No place needs more than 32,768 MACs (a leaf of a matmul's sums, 32×32×32), 1,024 elements written or 64 KiB read, so
//! that a bound on the length is a bound on the time. Measured in this runtime's Wasm on our host, two cores shared with
//! ten other processes, the minimum of seven runs of each kind of place of each op at every bound of its shapes, less an
//! empty call: the slowest 0.35 ms, a tile of a concat of 256 tensors. Proofs cost a host call for each hash, and an
//! opening may hold one for every nine bytes.

use crate::types::MAX_OPENING_BYTES;

/// Decoding and computing any place: a millisecond (= 1,000,000,000), three times the slowest seen.
pub const PLACE_REF_TIME: u64 = 1_000_000_000;
/// Hashing, by byte of the opening: a microsecond (= 1,000,000).
pub const BYTE_REF_TIME: u64 = 1_000_000;
/// The longest opening: 66.5 ms (= 66,536,000,000), which is under a quarter of a block of half a second.
pub const MAX_REF_TIME: u64 = ref_time(MAX_OPENING_BYTES as u64);

/// The weight of `arbitrate` for an opening of so many bytes.
pub const fn ref_time(bytes: u64) -> u64 {
    PLACE_REF_TIME.saturating_add(BYTE_REF_TIME.saturating_mul(bytes))
}
