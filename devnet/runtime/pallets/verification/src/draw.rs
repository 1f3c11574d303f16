//! What a seed says of a unit. Pure: the same arguments give the same draw, and no party chooses any of them after the
//! unit was committed to.

use alloc::vec::Vec;
use codec::Encode;
use pallet_tasks::{Balance, TaskId, UnitIndex};
use sp_core::H256;
use sp_io::hashing::blake2_256;

/// Draw number of the first segment.
pub const FIRST_SEGMENT: u32 = 1;
/// Draw number of the first verifier.
pub const FIRST_VERIFIER: u32 = 1_000;
/// Parts in one for the probability of a challenge: 10^6.
pub const PPM: u128 = 1_000_000;

/// The numbers that a seed gives to one attempt of a unit.
#[derive(Clone, Copy)]
pub struct UnitDraw {
    /// Seed of the beacon, made after the unit was committed to.
    pub seed: H256,
    /// The task.
    pub task: TaskId,
    /// The unit.
    pub unit: UnitIndex,
    /// Its attempt.
    pub attempt: u16,
}

impl UnitDraw {
    /// The `i`th number: 16 bytes of a hash.
    pub fn number(&self, i: u32) -> u128 {
        let mut bytes = b"draw/v1".to_vec();
        (self.seed, self.task, self.unit, self.attempt, i).encode_to(&mut bytes);
        let hash = blake2_256(&bytes);
        let mut head = [0u8; 16];
        head.copy_from_slice(&hash[..16]);
        u128::from_le_bytes(head)
    }

    /// Whether the unit is re-executed at all: true with probability `ppm` / 10^6.
    pub fn is_challenged(&self, ppm: u32) -> bool {
        self.number(0) % PPM < u128::from(ppm)
    }

    /// `count` different segments of 0..`total`, ascending; all of them if there are no more.
    pub fn segments(&self, count: u16, total: u16) -> Vec<u16> {
        let mut order: Vec<u16> = (0..total).collect();
        let count = count.min(total);
        for k in 0..count {
            let left = u128::from(total.saturating_sub(k)); // at least 1, as k < count ≤ total
            let offset = self.number(FIRST_SEGMENT.saturating_add(u32::from(k))).checked_rem(left).unwrap_or(0);
            let other = usize::from(k).saturating_add(offset as usize);
            order.swap(usize::from(k), other);
        }
        order.truncate(usize::from(count));
        order.sort_unstable();
        order
    }

    /// `count` different accounts of `candidates`, chance by stake, in order of the draw; nothing if there are fewer.
    /// `candidates` is in order of account id and leaves out the solver.
    pub fn verifiers<AccountId>(&self, count: u32, candidates: Vec<(AccountId, Balance)>) -> Option<Vec<AccountId>> {
        let mut left = candidates;
        left.retain(|(_, stake)| *stake > 0);
        if left.len() < count as usize {
            return None;
        }
        let mut drawn = Vec::new();
        for k in 0..count {
            let total = left.iter().fold(0, |sum: Balance, (_, stake)| sum.saturating_add(*stake));
            let mut rest = self.number(FIRST_VERIFIER.saturating_add(k)).checked_rem(total)?;
            let position = left.iter().position(|(_, stake)| {
                let is_here = rest < *stake;
                rest = rest.saturating_sub(*stake);
                is_here
            })?;
            drawn.push(left.remove(position).0);
        }
        Some(drawn)
    }
}
