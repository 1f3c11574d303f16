//! A runtime with the stock consensus pallets, Balances, Stakes, Beacon, BlockRights and Evidence.

use crate as pallet_evidence;
use codec::Encode;
use frame_support::{derive_impl, traits::Hooks};
use pallet_stakes::{Balance, Role};
use sp_consensus_aura::{sr25519::AuthorityId as AuraId, Slot, AURA_ENGINE_ID};
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::{ed25519, sr25519, Pair, H256};
use sp_runtime::{
    traits::{ConstBool, ConstU32, ConstU64, IdentityLookup},
    AccountId32, BuildStorage, Digest, DigestItem, Permill,
};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlockU32<Test>;
pub type Header = sp_runtime::generic::Header<u32, sp_runtime::traits::BlakeTwo256>;

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
        Evidence: pallet_evidence,
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
    type MinimumPeriod = pallet_block_rights::MinimumPeriod<Test>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Test {
    type AuthorityId = AuraId;
    type MaxAuthorities = ConstU32<{ pallet_block_rights::MAX_SLOTS }>;
    type DisabledValidators = ();
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = pallet_block_rights::SlotDuration<Test>;
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
    type CurrentSlot = pallet_block_rights::CurrentSlot<Test>;
    type SlotsPerEpoch = pallet_block_rights::SlotsPerEpoch<Test>;
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

impl pallet_evidence::Config for Test {
    type WeightInfo = ();
}

pub const BOND: Balance = 1_000;
pub const MONEY: Balance = 10_000;
/// Slots of an epoch.
pub const N: u64 = 10;
/// Blocks of an unbonding, and so slots of the window.
pub const WINDOW: u64 = 30;
/// First slot of epoch 0, which is that of block 1.
pub const GENESIS: u64 = 100 * N;
/// The bootstrap account, the offender, the reporter.
pub const ROOT: u8 = 1;
pub const BAD: u8 = 2;
pub const GOOD: u8 = 3;

/// The `n`th account.
pub fn account(n: u8) -> AccountId {
    AccountId32::new([n; 32])
}

/// The authoring key of the `n`th account.
pub fn aura_pair(n: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[n; 32])
}

/// The finality key of the `n`th account.
pub fn grandpa_pair(n: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[n; 32])
}

pub fn aura(n: u8) -> AuraId {
    aura_pair(n).public().into()
}

pub fn grandpa(n: u8) -> GrandpaId {
    grandpa_pair(n).public().into()
}

/// Makes the block of a slot, to its end.
pub fn go_to(slot: u64) {
    let number = System::block_number() + 1;
    let digest = Digest { logs: vec![slot_item(slot)] };
    System::reset_events();
    System::initialize(&number, &Default::default(), &digest);
    Aura::on_initialize(number);
    Beacon::on_initialize(number);
    Evidence::on_initialize(number);
    Grandpa::on_finalize(number);
}

pub fn slot_item(slot: u64) -> DigestItem {
    DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(slot).encode())
}

/// Bonds an account as solver and registers the keys of number `keys`.
pub fn join(n: u8, keys: u8) {
    let origin = RuntimeOrigin::signed(account(n));
    Stakes::bond(origin.clone(), Role::Solver, BOND).expect("bond");
    BlockRights::set_keys(origin, aura(keys), grandpa(keys)).expect("keys");
}

/// A header without seal; `salt` tells those of one slot apart.
pub fn header(slot: u64, number: u32, salt: u8) -> Header {
    Header {
        parent_hash: H256([9; 32]),
        number,
        state_root: H256([salt; 32]),
        extrinsics_root: H256([0; 32]),
        digest: Digest { logs: vec![slot_item(slot)] },
    }
}

/// Puts the seal of the `n`th account's key on a header.
pub fn seal(mut header: Header, n: u8) -> Header {
    let signature = aura_pair(n).sign(header.hash().as_bytes());
    header.digest.push(DigestItem::Seal(AURA_ENGINE_ID, signature.encode()));
    header
}

/// The tests' genesis and block 1 in the first slot of epoch 0; account 2 may author.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=20).map(|n| (account(n), MONEY)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: BOND,
            min_verifier_bond: BOND,
            unbonding_blocks: WINDOW as u32,
            penalty: 20,
            ..Default::default()
        },
        block_rights: pallet_block_rights::GenesisConfig {
            slots_per_epoch: N as u32,
            bootstrap_initial: Permill::from_percent(50),
            grandpa_guarded: 0,
            bootstrap: vec![(account(ROOT), aura(ROOT), grandpa(ROOT))],
            ..Default::default()
        },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        go_to(GENESIS);
        join(BAD, BAD);
    });
    ext
}
