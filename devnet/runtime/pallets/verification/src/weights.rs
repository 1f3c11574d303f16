//! Weights of the verification pallet: stated by hand from the storage each call touches, not benchmarked.
//! A call that may settle a duty is charged for the longest cancellation and gets back what was not used.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of the calls and of the work at the start of a block.
pub trait WeightInfo {
    /// `submit`.
    fn submit() -> Weight;
    /// `commit`.
    fn commit() -> Weight;
    /// `reveal`, by which `relisted` units are listed again.
    fn reveal(relisted: u32) -> Weight;
    /// `reveal_solver` with `openings`, by which `relisted` units are listed again.
    fn reveal_solver(openings: u32, relisted: u32) -> Weight;
    /// The end of `n` phases or watch windows, by which `relisted` units are listed again.
    fn timers(n: u32, relisted: u32) -> Weight;
    /// Draws of `n` units, by which `relisted` units are listed again.
    fn draws(n: u32, relisted: u32) -> Weight;
}

/// Computation plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> StatedWeight<T> {
    /// Settling a duty: up to eight verifiers slashed or remembered, a unit accepted or made final and paid.
    fn settle() -> Weight {
        Weight::from_parts(200_000_000, 16_384).saturating_add(T::DbWeight::get().reads_writes(40, 40))
    }

    /// Listing units again, each with its solver's load, duty, watch and disputes.
    fn relist(units: u32) -> Weight {
        let each = Weight::from_parts(20_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 8));
        each.saturating_mul(u64::from(units))
    }
}

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn submit() -> Weight {
        Weight::from_parts(60_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(9, 6))
    }
    fn commit() -> Weight {
        Weight::from_parts(30_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(5, 5))
    }
    fn reveal(relisted: u32) -> Weight {
        Weight::from_parts(50_000_000, 8_192)
            .saturating_add(T::DbWeight::get().reads_writes(4, 3))
            .saturating_add(Self::settle())
            .saturating_add(Self::relist(relisted))
    }
    fn reveal_solver(openings: u32, relisted: u32) -> Weight {
        Weight::from_parts(40_000_000, 8_192)
            .saturating_add(Weight::from_parts(20_000_000, 0).saturating_mul(u64::from(openings)))
            .saturating_add(T::DbWeight::get().reads_writes(5, 2))
            .saturating_add(Self::settle())
            .saturating_add(Self::relist(relisted))
    }
    fn timers(n: u32, relisted: u32) -> Weight {
        T::DbWeight::get()
            .reads_writes(2, 2)
            .saturating_add(Self::settle().saturating_mul(u64::from(n)))
            .saturating_add(Self::relist(relisted))
    }
    fn draws(n: u32, relisted: u32) -> Weight {
        let each = Weight::from_parts(150_000_000, 8_192).saturating_add(T::DbWeight::get().reads_writes(12, 18));
        T::DbWeight::get()
            .reads(2)
            .saturating_add(each.saturating_mul(u64::from(n)))
            .saturating_add(Self::relist(relisted))
    }
}

impl WeightInfo for () {
    fn submit() -> Weight {
        Weight::zero()
    }
    fn commit() -> Weight {
        Weight::zero()
    }
    fn reveal(_: u32) -> Weight {
        Weight::zero()
    }
    fn reveal_solver(_: u32, _: u32) -> Weight {
        Weight::zero()
    }
    fn timers(_: u32, _: u32) -> Weight {
        Weight::zero()
    }
    fn draws(_: u32, _: u32) -> Weight {
        Weight::zero()
    }
}
