//! Weights of the tasks pallet: stated by hand from the storage each call touches, not benchmarked.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of the calls and of the work at the start of a block.
pub trait WeightInfo {
    /// `post`.
    fn post() -> Weight;
    /// `claim`.
    fn claim() -> Weight;
    /// `close`.
    fn close() -> Weight;
    /// `on_initialize` with `n` deadlines processed.
    fn on_initialize(n: u32) -> Weight;
}

/// Computation plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn post() -> Weight {
        Weight::from_parts(50_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(6, 4))
    }
    fn claim() -> Weight {
        Weight::from_parts(50_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(9, 6))
    }
    fn close() -> Weight {
        Weight::from_parts(40_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(4, 3))
    }
    fn on_initialize(n: u32) -> Weight {
        let each = Weight::from_parts(40_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(9, 7));
        T::DbWeight::get().reads_writes(2, 2).saturating_add(each.saturating_mul(u64::from(n)))
    }
}

impl WeightInfo for () {
    fn post() -> Weight {
        Weight::zero()
    }
    fn claim() -> Weight {
        Weight::zero()
    }
    fn close() -> Weight {
        Weight::zero()
    }
    fn on_initialize(_: u32) -> Weight {
        Weight::zero()
    }
}
