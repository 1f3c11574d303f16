//! From weights to slots and votes: pure functions, in integers, without storage.

use alloc::vec::Vec;
use sp_io::hashing::blake2_256;

/// Parts that make one in a share: 10^6.
const PPM: u128 = 1_000_000;

/// Weight of an account from its credits of the epochs e, e−1, … : each is multiplied with d_k parts of 10^6, where
/// d_0 = 10^6 and d_{k+1} = ⌊d_k · decay / 10^6⌋. In millionths of a MAC; below 2^90 for 32 epochs.
pub fn compute_weight(credits: &[u64], decay_ppm: u32) -> u128 {
    let mut factor = PPM;
    let mut sum = 0u128;
    for credit in credits {
        sum = sum.saturating_add(u128::from(*credit).saturating_mul(factor));
        factor = factor.saturating_mul(u128::from(decay_ppm)) / PPM;
    }
    sum
}

/// Share of the bootstrap accounts, parts of 10^6: all of it while there is no work, then
/// `max(floor, initial − step · earlier rotations with work)`.
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

/// Shares `pool` slots among weights, nobody getting more than `cap`. Whose quota reaches the cap gets the cap, and what
/// is left is shared among the others, until no quota reaches it. Gives the slots in order of account, and how many slots
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
            open.into_iter().partition(|(_, weight)| weight.saturating_mul(pool_wide) >= limit);
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

/// Splits `pool` slots equally among `accounts`, the remainder one each to the first of the list.
pub fn share_equally<A: Clone>(accounts: &[A], pool: u32) -> Vec<(A, u32)> {
    let count = (accounts.len() as u32).max(1);
    let extra = pool % count;
    let slots = |i: usize| (pool / count).saturating_add(u32::from((i as u32) < extra));
    accounts.iter().enumerate().map(|(i, account)| (account.clone(), slots(i))).collect()
}

/// What decides how `slots` slots are shared.
pub struct Shares {
    /// Slots of an epoch, N.
    pub slots: u32,
    /// Share of the bootstrap accounts, parts of 10^6.
    pub bootstrap_ppm: u32,
    /// Largest share of one account, parts of 10^6.
    pub cap_ppm: u32,
}

/// Slots of an epoch: those earned by work and those of the bootstrap accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allotment<A> {
    /// Earned slots, in order of account.
    pub work: Vec<(A, u32)>,
    /// Slots of the bootstrap accounts, in the list's order.
    pub bootstrap: Vec<(A, u32)>,
    /// The network's difficulty: ⌊Σ weights / 10^6 / earned slots before capping⌋, in MACs; 0 without work.
    pub credits_per_slot: u64,
}

/// Shares the slots of an epoch: ⌈N · bootstrap⌉ to the bootstrap accounts, the others by weight under the cap of
/// ⌊N · cap⌋; what nobody may take goes to the bootstrap accounts.
pub fn compute_allotment<A: Ord + Clone>(weights: &[(A, u128)], bootstrap: &[A], shares: &Shares) -> Allotment<A> {
    let n = u128::from(shares.slots);
    let reserved = n.saturating_mul(u128::from(shares.bootstrap_ppm)).div_ceil(PPM).min(n) as u32;
    let pool = shares.slots.saturating_sub(reserved);
    let cap = (n.saturating_mul(u128::from(shares.cap_ppm)) / PPM) as u32;
    let (work, left) = share_with_cap(weights, pool, cap);
    let total = weights.iter().fold(0u128, |sum, (_, weight)| sum.saturating_add(*weight));
    let per_slot = (total / PPM).checked_div(u128::from(pool)).unwrap_or(0);
    Allotment {
        work,
        bootstrap: share_equally(bootstrap, reserved.saturating_add(left)),
        credits_per_slot: u64::try_from(per_slot).unwrap_or(u64::MAX),
    }
}

impl<A: Ord + Clone> Allotment<A> {
    /// All slots by account, in order of account; accounts without slots are left out.
    pub fn totals(&self) -> Vec<(A, u32)> {
        let mut all: Vec<(A, u32)> = self.work.iter().chain(&self.bootstrap).cloned().collect();
        all.sort();
        let mut totals: Vec<(A, u32)> = Vec::new();
        for (account, slots) in all {
            match totals.last_mut() {
                Some((last, sum)) if *last == account => *sum = sum.saturating_add(slots),
                _ => totals.push((account, slots)),
            }
        }
        totals.retain(|(_, slots)| *slots > 0);
        totals
    }
}

/// The author of each position: accounts ascending, each as often as it has slots, then shuffled with `seed`.
pub fn compute_list<A: Clone>(totals: &[(A, u32)], seed: &[u8; 32]) -> Vec<A> {
    let mut list = Vec::new();
    for (account, slots) in totals {
        list.extend((0..*slots).map(|_| account.clone()));
    }
    shuffle(&mut list, seed);
    list
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
