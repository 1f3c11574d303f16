//! Types of the beacon and the traits through which the other pallets see it.

use alloc::vec::Vec;
use codec::Encode;
use frame_support::weights::Weight;
use sp_core::H256;
use sp_io::hashing::blake2_256;

/// Number of an epoch since genesis.
pub type EpochIndex = u32;
/// What an account commits to and reveals.
pub type Secret = [u8; 32];

/// What happens when an epoch ends. The beacon calls its hooks in order: verification draws, then block rights are written.
pub trait OnRotation {
    /// Called once per rotation, in `on_initialize`. `ended` is the epoch that ends, `seed` the new seed that its
    /// reveals made; the beacon's epoch is already the new one. If slots were missed, several epochs may end at once:
    /// `ended` is then the first of them. Gives the weight used.
    fn on_rotation(ended: EpochIndex, seed: [u8; 32]) -> Weight;
}

impl OnRotation for () {
    fn on_rotation(_: EpochIndex, _: [u8; 32]) -> Weight {
        Weight::zero()
    }
}

impl<A: OnRotation, B: OnRotation> OnRotation for (A, B) {
    fn on_rotation(ended: EpochIndex, seed: [u8; 32]) -> Weight {
        let first = A::on_rotation(ended, seed);
        first.saturating_add(B::on_rotation(ended, seed))
    }
}

/// What the other pallets may ask of the beacon.
pub trait BeaconInfo<AccountId> {
    /// The current epoch.
    fn epoch() -> EpochIndex;

    /// The epoch whose end draws a unit that is submitted now: the current one while its commits are open, else the
    /// next. So the seed always depends on commitments made after the submission.
    fn draw_epoch() -> EpochIndex;

    /// Accounts that committed in the last epoch and did not reveal, in order of account id.
    fn no_shows() -> Vec<AccountId>;
}

/// What an account commits to: `H("beacon/v1" ‖ account ‖ epoch u32 ‖ secret)`.
pub fn compute_commitment<AccountId: Encode>(account: &AccountId, epoch: EpochIndex, secret: &Secret) -> H256 {
    let mut bytes = b"beacon/v1".to_vec();
    account.encode_to(&mut bytes);
    epoch.encode_to(&mut bytes);
    bytes.extend_from_slice(secret);
    H256(blake2_256(&bytes))
}

/// The next seed: `H("seed/v1" ‖ seed ‖ account ‖ secret …)`, reveals in order of account id.
pub fn compute_next_seed<AccountId: Encode>(seed: &[u8; 32], reveals: &[(AccountId, Secret)]) -> [u8; 32] {
    let mut bytes = b"seed/v1".to_vec();
    bytes.extend_from_slice(seed);
    for (account, secret) in reveals {
        account.encode_to(&mut bytes);
        bytes.extend_from_slice(secret);
    }
    blake2_256(&bytes)
}

/// The epoch of a slot: `slot / N − genesis / N`, where `genesis` is the slot of block 1 and N the slots of an epoch.
pub fn compute_epoch(slot: u64, genesis: u64, slots_per_epoch: u64) -> EpochIndex {
    let n = slots_per_epoch.max(1);
    EpochIndex::try_from((slot / n).saturating_sub(genesis / n)).unwrap_or(EpochIndex::MAX)
}

/// Which part of an epoch a slot is in: commits in `[0, N/3)`, reveals in `[N/3, 2N/3)`, quiet afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Accounts commit.
    Commit,
    /// Accounts reveal.
    Reveal,
    /// Neither.
    Quiet,
}

/// The window of a slot; `N/3` and `2N/3` are rounded down.
pub fn compute_window(slot: u64, slots_per_epoch: u64) -> Window {
    let n = slots_per_epoch.max(1);
    match slot % n {
        position if position < n / 3 => Window::Commit,
        position if position < n.saturating_mul(2) / 3 => Window::Reveal,
        _ => Window::Quiet,
    }
}
