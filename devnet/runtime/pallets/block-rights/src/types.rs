//! Types of the block rights pallet.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use pallet_beacon::EpochIndex;
use scale_info::TypeInfo;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_runtime::Permill;

/// Most slots of an epoch: 2^10 (= 1,024).
pub const MAX_SLOTS: u32 = 1 << 10;
/// Most accounts with keys: 192, so that with the bootstrap accounts they fit into 256 GRANDPA voters.
pub const MAX_KEYS: u32 = 192;
/// Most keys that an account gave up and still answers for: four changes, and one drop because its bond was gone.
pub const MAX_RETIRED_KEYS: u32 = 5;
/// Above so many accounts (2^9 = 512) that answer for retired keys no further account may register keys.
pub const MAX_RETIRED_ACCOUNTS: u32 = 1 << 9;
/// Most bootstrap accounts: 2^4 (= 16).
pub const MAX_BOOTSTRAP: u32 = 1 << 4;
/// Most epochs that credits count for: 2^5 (= 32).
pub const MAX_DECAY_EPOCHS: u32 = 1 << 5;

/// The keys of an account: it seals blocks with one and votes on finality with the other.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AuthorKeys {
    /// Block authoring, sr25519.
    pub aura: AuraId,
    /// Finality, ed25519.
    pub grandpa: GrandpaId,
}

/// Keys that an account gave up.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Retired {
    /// The keys.
    pub keys: AuthorKeys,
    /// Last slot in which the account still answers for them.
    pub until: u64,
}

/// Parameters, set at genesis.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RightsParams {
    /// Length of a slot, milliseconds.
    pub slot_duration: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u32,
    /// Number of epochs, the ended one included, whose credits count.
    pub decay_epochs: u32,
    /// Factor from one epoch's credits to those of the epoch before.
    pub decay: Permill,
    /// Largest share of all slots of one account.
    pub cap: Permill,
    /// Share of the bootstrap accounts before any work.
    pub bootstrap_initial: Permill,
    /// What that share loses with each epoch in which work was finalised.
    pub bootstrap_step: Permill,
    /// Least share of the bootstrap accounts.
    pub bootstrap_floor: Permill,
    /// Largest GRANDPA weight of one miner, as a share of the slots.
    pub grandpa_cap: Permill,
    /// Up to this many miners among the voters the bootstrap voters together keep more than two thirds of the weight.
    pub grandpa_guarded: u32,
}

impl Default for RightsParams {
    /// The values of preset `dev`.
    fn default() -> Self {
        Self {
            slot_duration: 1_000,
            slots_per_epoch: 20,
            decay_epochs: 4,
            decay: Permill::from_percent(50),
            cap: Permill::from_parts(666_667),
            bootstrap_initial: Permill::from_percent(50),
            bootstrap_step: Permill::from_percent(10),
            bootstrap_floor: Permill::from_percent(20),
            grandpa_cap: Permill::from_percent(25),
            grandpa_guarded: 16,
        }
    }
}

impl RightsParams {
    /// Says what is wrong with the parameters, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.slot_duration < 100 || self.slot_duration > 600_000 {
            return Err("blockRights.slotDuration must be 100 to 600000 milliseconds");
        }
        if self.slots_per_epoch < 6 || self.slots_per_epoch > MAX_SLOTS {
            return Err("blockRights.slotsPerEpoch must be 6 to 1024");
        }
        if self.decay_epochs == 0 || self.decay_epochs > MAX_DECAY_EPOCHS {
            return Err("blockRights.decayEpochs must be 1 to 32");
        }
        if self.bootstrap_floor > self.bootstrap_initial {
            return Err("blockRights.bootstrapFloor must not be above bootstrapInitial");
        }
        if self.cap.mul_floor(self.slots_per_epoch) == 0 {
            return Err("blockRights.cap must give an account at least one slot");
        }
        Ok(())
    }
}

/// The authors of an epoch.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EpochSchedule<AccountId> {
    /// The epoch.
    pub epoch: EpochIndex,
    /// Who owns the slot at each position (slot mod N).
    pub entries: BoundedVec<AccountId, ConstU32<MAX_SLOTS>>,
}

impl<AccountId> Default for EpochSchedule<AccountId> {
    fn default() -> Self {
        Self { epoch: 0, entries: BoundedVec::new() }
    }
}
