//! A runtime with System, Balances, Stakes and Beacon; the slot is set by hand.

use crate as pallet_beacon;
use crate::{EpochIndex, OnRotation};
use frame_support::{derive_impl, parameter_types, traits::Hooks, weights::Weight};
use pallet_stakes::{Balance, Role};
use sp_runtime::{traits::ConstU32, traits::IdentityLookup, AccountId32, BuildStorage};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlockU32<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Stakes: pallet_stakes,
        Beacon: pallet_beacon,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type AccountData = pallet_balances::AccountData<Balance>;
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
    type MaxStakers = ConstU32<16>;
    type WeightInfo = ();
}

parameter_types! {
    /// The slot of the current block.
    pub static Slot: u64 = 0;
    /// Rotations so far: which hook, the epoch that ended, the seed, the beacon's epoch at that moment.
    pub static Rotations: Vec<(u8, EpochIndex, [u8; 32], EpochIndex)> = vec![];
    pub const SlotsPerEpoch: u64 = 12;
}

pub struct Recorder<const N: u8>;
impl<const N: u8> OnRotation for Recorder<N> {
    fn on_rotation(ended: EpochIndex, seed: [u8; 32]) -> Weight {
        Rotations::mutate(|list| list.push((N, ended, seed, crate::Epoch::<Test>::get())));
        Weight::from_parts(1, 0)
    }
}

impl pallet_beacon::Config for Test {
    type CurrentSlot = Slot;
    type SlotsPerEpoch = SlotsPerEpoch;
    type Stakes = Stakes;
    type OnRotation = (Recorder<1>, Recorder<2>);
    type MaxParticipants = ConstU32<3>;
    type WeightInfo = ();
}

pub const BOND: Balance = 100;
pub const PENALTY: Balance = 20;
/// Slot of block 1: the third of epoch 0.
pub const GENESIS: u64 = 12 * 100 + 2;

/// The `n`th account.
pub fn account(n: u8) -> AccountId {
    AccountId32::new([n; 32])
}

/// Makes the block of a slot.
pub fn go_to(slot: u64) -> Weight {
    Slot::set(slot);
    System::set_block_number(System::block_number() + 1);
    Beacon::on_initialize(System::block_number())
}

/// Accounts 1 to 4 bonded as verifiers, 5 as solver, 6 not at all; block 1 at slot `GENESIS`.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=6).map(|n| (account(n), 10_000)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: BOND,
            min_verifier_bond: BOND,
            unbonding_blocks: 10,
            penalty: PENALTY,
            ..Default::default()
        },
        beacon: pallet_beacon::GenesisConfig { seed: [7; 32].into(), ..Default::default() },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        Rotations::take();
        go_to(GENESIS);
        for n in 1..=4 {
            Stakes::bond(RuntimeOrigin::signed(account(n)), Role::Verifier, BOND).expect("bond");
        }
        Stakes::bond(RuntimeOrigin::signed(account(5)), Role::Solver, BOND).expect("bond");
    });
    ext
}
