//! From weights to slots and votes: pure functions, in integers, without storage.

use alloc::vec::Vec;
use sp_io::hashing::blake2_256;

/// Parts that make one in a share: 10^6.
const PPM: u128 = 1_000_000;

/// A seat count by weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat<AccountId> {
    /// The account.
    pub account: AccountId,
    /// Its weight, decayed MACs.
    pub weight: u128,
    /// Slots it gets.
    pub slots: u32,
}

/// Weight of an account from its credits of the epochs e, e−1, … : each is multiplied with d_k parts of 10^6, where
/// d_0 = 10^6 and d_{k+1} = ⌊d_k · decay / 10^6⌋, and rounded down.
pub fn compute_weight(credits: &[u64], decay_ppm: u32) -> u128 {
    let mut factor = PPM;
    let mut sum = 0u128;
    for credit in credits {
        sum = sum.saturating_add(u128::from(*credit).saturating_mul(factor) / PPM);
        factor = factor.saturating_mul(u128::from(decay_ppm)) / PPM;
    }
    sum
}

/// Share of the bootstrap accounts, parts of 10^6: all of it while there is no work, then
/// `max(floor, initial − step · epochs with work)`.
pub fn compute_bootstrap_share(initial: u32, step: u32, floor: u32, work_epochs: u32, has_work: bool) -> u32 {
    if !has_work {
        return PPM as u32;
    }
    initial.saturating_sub(step.saturating_mul(work_epochs)).max(floor)
}

/// Shares `pool` slots among weights by largest remainder: everyone gets the floor of its quota, the rest go one each to
/// the largest remainders, ties to the smaller account. Weights below 2^96. All zero weights share nothing.
pub fn share_by_largest_remainder<A: Ord + Clone>(weights: &[(A, u128)], pool: u32) -> Vec<(A, u32)> {
    let total = weights.iter().fold(0u128, |sum, (_, weight)| sum.saturating_add(*weight));
    if total == 0 {
        return weights.iter().map(|(account, _)| (account.clone(), 0)).collect();
    }
    let pool_wide = u128::from(pool);
    let mut parts: Vec<(A, u32, u128)> = weights
        .iter()
        .map(|(account, weight)| {
            let product = weight.saturating_mul(pool_wide);
            (account.clone(), u32::try_from(product / total).unwrap_or(pool), product % total)
        })
        .collect();
    let given = parts.iter().fold(0u32, |sum, (_, slots, _)| sum.saturating_add(*slots));
    parts.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    for part in parts.iter_mut().take(pool.saturating_sub(given) as usize) {
        part.1 = part.1.saturating_add(1);
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts.into_iter().map(|(account, slots, _)| (account, slots)).collect()
}

/// Shares `pool` slots among weights, nobody getting more than `cap`. Whose quota is above the cap gets the cap, and what
/// is left is shared among the others, until no quota is above. Gives the slots in order of account, and how many slots
/// nobody could take.
pub fn share_with_cap<A: Ord + Clone>(weights: &[(A, u128)], pool: u32, cap: u32) -> (Vec<(A, u32)>, u32) {
    let mut open: Vec<(A, u128)> = weights.iter().filter(|(_, weight)| *weight > 0).cloned().collect();
    let mut slots: Vec<(A, u32)> = Vec::new();
    let mut rest = pool;
    loop {
        let total = open.iter().fold(0u128, |sum, (_, weight)| sum.saturating_add(*weight));
        let limit = u128::from(cap).saturating_mul(total);
        let pool_wide = u128::from(rest);
        let (over, under): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(_, weight)| weight.saturating_mul(pool_wide) > limit);
        open = under;
        if over.is_empty() {
            break;
        }
        for (account, _) in over {
            let taken = cap.min(rest);
            rest = rest.saturating_sub(taken);
            slots.push((account, taken));
        }
    }
    for (account, share) in share_by_largest_remainder(&open, rest) {
        slots.push((account, share));
    }
    slots.sort_by(|a, b| a.0.cmp(&b.0));
    let given = slots.iter().fold(0u32, |sum, (_, share)| sum.saturating_add(*share));
    (slots, pool.saturating_sub(given))
}

/// Number `i` of the shuffle: the first 16 bytes, little-endian, of `H("shuffle/v1" ‖ seed ‖ i u32)`.
pub fn shuffle_number(seed: &[u8; 32], i: u32) -> u128 {
    let mut bytes = b"shuffle/v1".to_vec();
    bytes.extend_from_slice(seed);
    bytes.extend_from_slice(&i.to_le_bytes());
    let hash = blake2_256(&bytes);
    let mut first = [0u8; 16];
    first.copy_from_slice(&hash[..16]);
    u128::from_le_bytes(first)
}

/// Fisher–Yates: for i from the last index down to 1, swap i with `shuffle_number(i) mod (i + 1)`.
pub fn shuffle<A>(items: &mut [A], seed: &[u8; 32]) {
    for i in (1..items.len()).rev() {
        let index = u32::try_from(i).unwrap_or(u32::MAX);
        let other = shuffle_number(seed, index) % (u128::from(index).saturating_add(1));
        items.swap(i, other as usize);
    }
}

/// GRANDPA weight of a miner: the largest power of two that is at most `min(slots, cap)`, so that the voter set does not
/// change with every slot won or lost; at least 1.
pub fn compute_vote(slots: u32, cap: u32) -> u64 {
    let bounded = slots.min(cap).max(1);
    1u64 << bounded.ilog2()
}

/// GRANDPA weight of each bootstrap voter. While at most `guarded` miners vote, the bootstrap voters together have at least
/// `2 · miners' weight + 1`: more than two thirds, so that finality goes on whichever miners vanish. Above, each has the
/// vote of its slots, like a miner.
pub fn compute_bootstrap_vote(miner_votes: &[u64], bootstrap: u32, guarded: u32, slots: u32, cap: u32) -> u64 {
    if miner_votes.len() > guarded as usize {
        return compute_vote(slots, cap);
    }
    let miners = miner_votes.iter().fold(0u64, |sum, vote| sum.saturating_add(*vote));
    miners.saturating_mul(2).saturating_add(1).div_ceil(u64::from(bootstrap.max(1)))
}
