//! Weights of the evidence pallet: stated by hand from the storage each call touches, not benchmarked.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of the calls.
pub trait WeightInfo {
    /// `report_aura` with so many bytes of headers.
    fn report_aura(bytes: u32) -> Weight;
    /// `report_grandpa`.
    fn report_grandpa() -> Weight;
    /// `on_initialize`.
    fn on_initialize() -> Weight;
}

/// Computation (two signatures at 60 µs each; 3 ns for decoding and hashing a byte) plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn report_aura(bytes: u32) -> Weight {
        Weight::from_parts(200_000_000, 4_096)
            .saturating_add(Weight::from_parts(3_000, 0).saturating_mul(u64::from(bytes)))
            .saturating_add(T::DbWeight::get().reads_writes(12, 8))
    }
    fn report_grandpa() -> Weight {
        Weight::from_parts(200_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(13, 8))
    }
    fn on_initialize() -> Weight {
        Weight::from_parts(5_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }
}

impl WeightInfo for () {
    fn report_aura(_: u32) -> Weight {
        Weight::zero()
    }
    fn report_grandpa() -> Weight {
        Weight::zero()
    }
    fn on_initialize() -> Weight {
        Weight::zero()
    }
}
