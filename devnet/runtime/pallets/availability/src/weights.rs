//! Weights of the availability pallet: stated by hand from the storage and hashing of each call, not benchmarked.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Inner nodes that an answer hashes at most: proofs of a record (16), of a tensor (32) and of a tile (32).
const MAX_HASHES: u64 = 80;

/// Weights of the calls and of the work at the start of a block.
pub trait WeightInfo {
    /// `ask`.
    fn ask() -> Weight;
    /// `answer` with an opening of `bytes`.
    fn answer(bytes: u32) -> Weight;
    /// `n` deadlines, by which `relisted` units are listed again.
    fn on_initialize(n: u32, relisted: u32) -> Weight;
}

/// Computation plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn ask() -> Weight {
        Weight::from_parts(60_000_000, 16_384).saturating_add(T::DbWeight::get().reads_writes(15, 9))
    }
    fn answer(bytes: u32) -> Weight {
        Weight::from_parts(10_000_000, 0)
            .saturating_mul(MAX_HASHES)
            .saturating_add(Weight::from_parts(10_000, 0).saturating_mul(bytes.into()))
            .saturating_add(Weight::from_parts(60_000_000, 16_384))
            .saturating_add(T::DbWeight::get().reads_writes(14, 13))
    }
    fn on_initialize(n: u32, relisted: u32) -> Weight {
        let ask = Weight::from_parts(80_000_000, 16_384).saturating_add(T::DbWeight::get().reads_writes(17, 18));
        let unit = Weight::from_parts(20_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 8));
        T::DbWeight::get()
            .reads_writes(3, 2)
            .saturating_add(ask.saturating_mul(n.into()))
            .saturating_add(unit.saturating_mul(relisted.into()))
    }
}

impl WeightInfo for () {
    fn ask() -> Weight {
        Weight::zero()
    }
    fn answer(_: u32) -> Weight {
        Weight::zero()
    }
    fn on_initialize(_: u32, _: u32) -> Weight {
        Weight::zero()
    }
}
