//! Weights of the stakes pallet: stated by hand from the storage each call touches, not benchmarked.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of the calls.
pub trait WeightInfo {
    /// `bond`.
    fn bond() -> Weight;
    /// `unbond`.
    fn unbond() -> Weight;
    /// `withdraw_unbonded`.
    fn withdraw_unbonded() -> Weight;
    /// `set_endpoint`.
    fn set_endpoint() -> Weight;
}

/// Computation (25–40 µs of a reference machine) plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn bond() -> Weight {
        Weight::from_parts(40_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 4))
    }
    fn unbond() -> Weight {
        Weight::from_parts(30_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(4, 3))
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(40_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 3))
    }
    fn set_endpoint() -> Weight {
        Weight::from_parts(25_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
}

impl WeightInfo for () {
    fn bond() -> Weight {
        Weight::zero()
    }
    fn unbond() -> Weight {
        Weight::zero()
    }
    fn withdraw_unbonded() -> Weight {
        Weight::zero()
    }
    fn set_endpoint() -> Weight {
        Weight::zero()
    }
}
