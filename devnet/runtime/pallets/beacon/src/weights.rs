//! Stated weights: database operations at FRAME's RocksDB cost, plus time for hashing and decoding.

use frame_support::weights::{constants::RocksDbWeight, Weight};

/// Weights of the beacon's calls and of its rotation.
pub trait WeightInfo {
    /// `commit`.
    fn commit() -> Weight;
    /// `reveal`.
    fn reveal() -> Weight;
    /// `on_initialize` of a block without rotation.
    fn on_initialize() -> Weight;
    /// A rotation with `participants` commitments, without its hooks.
    fn rotate(participants: u32) -> Weight;
}

impl WeightInfo for () {
    fn commit() -> Weight {
        // epoch, genesis slot, slot, parameters, bonds (2), commitment, counter; commitment, counter
        Weight::from_parts(20_000_000, 0).saturating_add(RocksDbWeight::get().reads_writes(9, 2))
    }

    fn reveal() -> Weight {
        Weight::from_parts(25_000_000, 0).saturating_add(RocksDbWeight::get().reads_writes(6, 1))
    }

    fn on_initialize() -> Weight {
        Weight::from_parts(5_000_000, 0).saturating_add(RocksDbWeight::get().reads_writes(4, 0))
    }

    fn rotate(participants: u32) -> Weight {
        // per participant: commitment and reveal read and removed, or a slash instead
        let each = Weight::from_parts(30_000_000, 0).saturating_add(RocksDbWeight::get().reads_writes(4, 4));
        Weight::from_parts(20_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads_writes(2, 4))
            .saturating_add(each.saturating_mul(u64::from(participants)))
    }
}
