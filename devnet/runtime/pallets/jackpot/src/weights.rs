//! Weights of the jackpot pallet: stated by hand from the storage each call touches, not benchmarked.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of the calls.
pub trait WeightInfo {
    /// `hide`.
    fn hide() -> Weight;
    /// `seal`.
    fn seal() -> Weight;
    /// `find`.
    fn find() -> Weight;
    /// `show`.
    fn show() -> Weight;
    /// `on_initialize` with so many draws ended.
    fn on_initialize(ended: u32) -> Weight;
}

/// Computation (2 µs a hash) plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn hide() -> Weight {
        Weight::from_parts(15_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }
    fn seal() -> Weight {
        Weight::from_parts(15_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 1))
    }
    fn find() -> Weight {
        Weight::from_parts(60_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 2))
    }
    fn show() -> Weight {
        Weight::from_parts(90_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(15, 11))
    }
    fn on_initialize(ended: u32) -> Weight {
        let each = Weight::from_parts(60_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(20, 15));
        T::DbWeight::get().reads_writes(2, 1).saturating_add(each.saturating_mul(ended.into()))
    }
}

impl WeightInfo for () {
    fn hide() -> Weight {
        Weight::zero()
    }
    fn seal() -> Weight {
        Weight::zero()
    }
    fn find() -> Weight {
        Weight::zero()
    }
    fn show() -> Weight {
        Weight::zero()
    }
    fn on_initialize(_: u32) -> Weight {
        Weight::zero()
    }
}
