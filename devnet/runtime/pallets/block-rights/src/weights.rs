//! Stated weights: database operations at FRAME's RocksDB cost, plus time for hashing, sorting and decoding.

use frame_support::weights::{constants::RocksDbWeight, Weight};

/// Weights of the calls and of the rotation.
pub trait WeightInfo {
    /// `set_keys`.
    fn set_keys() -> Weight;
    /// A rotation with so many accounts with keys or retired keys, counted epochs and slots.
    fn rotate(accounts: u32, epochs: u32, slots: u32) -> Weight;
}

impl WeightInfo for () {
    fn set_keys() -> Weight {
        // bond, parameters (3), slot, keys, two owners, retired keys, counters; keys, up to ten owners, retired keys
        Weight::from_parts(50_000_000, 0).saturating_add(RocksDbWeight::get().reads_writes(12, 15))
    }

    fn rotate(accounts: u32, epochs: u32, slots: u32) -> Weight {
        let reads = u64::from(accounts).saturating_mul(u64::from(epochs).saturating_add(3)).saturating_add(8);
        let each_slot = Weight::from_parts(3_000_000, 0).saturating_mul(u64::from(slots));
        let each_account = Weight::from_parts(20_000_000, 0).saturating_mul(u64::from(accounts));
        RocksDbWeight::get()
            .reads_writes(reads, u64::from(accounts).saturating_add(8))
            .saturating_add(each_slot)
            .saturating_add(each_account)
    }
}
