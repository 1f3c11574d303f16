//! Weights of the disputes pallet: stated by hand from the storage and hashing of each call, not benchmarked; that of
//! `settle` is the arbiter's (`aipow_exact::weights`).

use crate::types::{MAX_CLAIMS, MAX_INPUTS, MAX_OPENING_BYTES};
use aipow_exact::weights::{ref_time, PLACE_REF_TIME};
use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Most bytes of what is agreed when a place of a dispute is computed: three fields, the roots of 256 inputs and 16 claims.
pub const AGREED_BYTES: u64 = 44 + 32 * (MAX_INPUTS as u64 + MAX_CLAIMS as u64);
/// Reference time of `settle` at the largest opening, without storage: 76.3 ms, under a quarter of a block of half a second.
pub const MAX_SETTLE_REF_TIME: u64 = ref_time(MAX_OPENING_BYTES as u64 + AGREED_BYTES);

/// Weights of the calls and of the work at the start of a block.
pub trait WeightInfo {
    /// `open`.
    fn open() -> Weight;
    /// `choose`: it may ask the arbiter what a place needs.
    fn choose() -> Weight;
    /// Any call that hashes `bytes` of what it brings, or `hashes` inner nodes.
    fn show(bytes: u32, hashes: u32) -> Weight;
    /// `settle` with an opening of `bytes`.
    fn settle(bytes: u32) -> Weight;
    /// `n` clocks or cases, by which `relisted` units are listed again, and `moot` games ended.
    fn on_initialize(n: u32, relisted: u32, moot: u32) -> Weight;
}

/// Computation plus the reads and writes of each call.
pub struct StatedWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> StatedWeight<T> {
    /// A move: game, case, task, node and agenda; at the end of a game bond, list, case and a verifier's bond too.
    fn a_move() -> Weight {
        Weight::from_parts(60_000_000, 65_536).saturating_add(T::DbWeight::get().reads_writes(16, 20))
    }
}

impl<T: frame_system::Config> WeightInfo for StatedWeight<T> {
    fn open() -> Weight {
        Weight::from_parts(200_000_000, 32_768).saturating_add(T::DbWeight::get().reads_writes(145, 12))
    }
    fn choose() -> Weight {
        Weight::from_parts(PLACE_REF_TIME, 0).saturating_add(Self::a_move())
    }
    fn show(bytes: u32, hashes: u32) -> Weight {
        Weight::from_parts(PLACE_REF_TIME, 0)
            .saturating_add(Weight::from_parts(10_000, 0).saturating_mul(bytes.into()))
            .saturating_add(Weight::from_parts(10_000_000, 0).saturating_mul(hashes.into()))
            .saturating_add(Self::a_move())
    }
    fn settle(bytes: u32) -> Weight {
        Weight::from_parts(ref_time(AGREED_BYTES.saturating_add(bytes.into())), 0).saturating_add(Self::a_move())
    }
    fn on_initialize(n: u32, relisted: u32, moot: u32) -> Weight {
        let timer = Weight::from_parts(100_000_000, 16_384).saturating_add(T::DbWeight::get().reads_writes(30, 40));
        let unit = Weight::from_parts(20_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(5, 8));
        let game = Weight::from_parts(40_000_000, 4_096).saturating_add(T::DbWeight::get().reads_writes(4, 8));
        T::DbWeight::get()
            .reads_writes(3, 2)
            .saturating_add(timer.saturating_mul(n.into()))
            .saturating_add(unit.saturating_mul(relisted.into()))
            .saturating_add(game.saturating_mul(moot.into()))
    }
}

impl WeightInfo for () {
    fn open() -> Weight {
        Weight::zero()
    }
    fn choose() -> Weight {
        Weight::zero()
    }
    fn show(_: u32, _: u32) -> Weight {
        Weight::zero()
    }
    fn settle(_: u32) -> Weight {
        Weight::zero()
    }
    fn on_initialize(_: u32, _: u32, _: u32) -> Weight {
        Weight::zero()
    }
}
