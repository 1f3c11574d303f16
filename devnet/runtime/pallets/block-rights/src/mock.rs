//! A runtime with the stock consensus pallets, Balances, Stakes, Beacon and BlockRights.

use crate as pallet_block_rights;
use codec::Encode;
use frame_support::{derive_impl, traits::Hooks};
use pallet_stakes::{Balance, Role};
use sp_consensus_aura::{sr25519::AuthorityId as AuraId, Slot, AURA_ENGINE_ID};
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::{ed25519, sr25519};
use sp_runtime::{
    traits::{ConstBool, ConstU32, ConstU64, IdentityLookup},
    AccountId32, BuildStorage, Digest, DigestItem, Permill,
};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlockU32<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Timestamp: pallet_timestamp,
        Aura: pallet_aura,
        Grandpa: pallet_grandpa,
        Balances: pallet_balances,
        Stakes: pallet_stakes,
        Beacon: pallet_beacon,
        BlockRights: pallet_block_rights,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type AccountData = pallet_balances::AccountData<Balance>;
}

impl pallet_timestamp::Config for Test {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = crate::MinimumPeriod<Test>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Test {
    type AuthorityId = AuraId;
    type MaxAuthorities = ConstU32<{ crate::MAX_SLOTS }>;
    type DisabledValidators = ();
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = crate::SlotDuration<Test>;
}

impl pallet_grandpa::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<256>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type KeyOwnerProof = sp_core::Void;
    type EquivocationReportSystem = ();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Balance;
    type AccountStore = System;
}

impl pallet_stakes::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Obligations = ();
    type MaxStakers = ConstU32<256>;
    type WeightInfo = ();
}

impl pallet_beacon::Config for Test {
    type CurrentSlot = crate::CurrentSlot<Test>;
    type SlotsPerEpoch = crate::SlotsPerEpoch<Test>;
    type Stakes = Stakes;
    type OnRotation = BlockRights;
    type MaxParticipants = ConstU32<16>;
    type WeightInfo = ();
}

impl pallet_block_rights::Config for Test {
    type Stakes = Stakes;
    type Beacon = Beacon;
    type WeightInfo = ();
}

pub const BOND: Balance = 100;
/// Slots of an epoch.
pub const N: u64 = 20;
/// First slot of epoch 0, which is that of block 1.
pub const GENESIS: u64 = 100 * N;

/// The `n`th account; 1 is the bootstrap account.
pub fn account(n: u8) -> AccountId {
    AccountId32::new([n; 32])
}

/// The authoring key of the `n`th account.
pub fn aura(n: u8) -> AuraId {
    sr25519::Public::from_raw([n; 32]).into()
}

/// The finality key of the `n`th account.
pub fn grandpa(n: u8) -> GrandpaId {
    ed25519::Public::from_raw([n; 32]).into()
}

/// Makes the block of a slot, to its end.
pub fn go_to(slot: u64) {
    let number = System::block_number() + 1;
    let digest = Digest { logs: vec![DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(slot).encode())] };
    System::reset_events();
    System::initialize(&number, &Default::default(), &digest);
    Aura::on_initialize(number);
    Beacon::on_initialize(number);
    Grandpa::on_finalize(number);
}

/// Goes to the last block of an epoch, in which the next one's rights are written.
pub fn end_epoch(epoch: u64) {
    go_to(GENESIS + (epoch + 1) * N - 1);
}

/// Bonds an account as solver and registers its keys.
pub fn join(n: u8) {
    let origin = RuntimeOrigin::signed(account(n));
    Stakes::bond(origin.clone(), Role::Solver, BOND).expect("bond");
    BlockRights::set_keys(origin, aura(n), grandpa(n)).expect("keys");
}

/// The rights part of the tests' genesis: N = 20, two counted epochs, decay and bootstrap share of a half, cap of a half.
pub fn rights_genesis() -> pallet_block_rights::GenesisConfig<Test> {
    pallet_block_rights::GenesisConfig {
        slot_duration: 2_000,
        slots_per_epoch: N as u32,
        decay_epochs: 2,
        decay: Permill::from_percent(50),
        cap: Permill::from_percent(50),
        bootstrap_initial: Permill::from_percent(50),
        bootstrap_step: Permill::from_percent(10),
        bootstrap_floor: Permill::from_percent(20),
        grandpa_cap: Permill::from_percent(25),
        grandpa_guarded: 2,
        bootstrap: vec![(account(1), aura(1), grandpa(1))],
    }
}

/// The tests' genesis and block 1 in the first slot of epoch 0. Accounts 1 to 250 have money.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=250).map(|n| (account(n), 10_000)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: BOND,
            min_verifier_bond: BOND,
            unbonding_blocks: 10,
            penalty: 20,
            ..Default::default()
        },
        block_rights: rights_genesis(),
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| go_to(GENESIS));
    ext
}
