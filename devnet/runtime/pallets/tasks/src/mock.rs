//! A runtime with System, Balances, Stakes and Tasks.

use crate as pallet_tasks;
use crate::{Balance, BlockNumber, ChallengePolicy, CreditSink, DataRule, TaskSpec};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, Hooks},
};
use pallet_stakes::Role;
use sp_core::H256;
use sp_runtime::{BuildStorage, Permill};

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlockU32<Test>;

frame_support::construct_runtime!(
    pub enum Test { System: frame_system, Balances: pallet_balances, Stakes: pallet_stakes, Tasks: pallet_tasks }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
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
    type Obligations = Tasks;
    type MaxStakers = ConstU32<8>;
    type WeightInfo = ();
}

parameter_types! {
    /// Credits given so far, oldest first.
    pub static Credited: Vec<(AccountId, u64)> = vec![];
    /// p·(1−r^v), parts of 10^12.
    pub static Detection: u128 = 500_000_000_000;
}

pub struct MockCredits;
impl CreditSink<AccountId> for MockCredits {
    fn credit(account: &AccountId, macs: u64) {
        Credited::mutate(|list| list.push((*account, macs)));
    }
}

pub struct MockPolicy;
impl ChallengePolicy for MockPolicy {
    fn detection() -> u128 {
        Detection::get()
    }
    fn segments() -> u16 {
        2
    }
}

impl pallet_tasks::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stakes = Stakes;
    type Credits = MockCredits;
    type Policy = MockPolicy;
    type MaxDeadline = ConstU32<100>;
    type MaxTimeoutsPerBlock = ConstU32<2>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

/// The submitter.
pub const OWNER: AccountId = 1;
/// Bonded solvers.
pub const SOLVER: AccountId = 2;
pub const OTHER: AccountId = 3;
/// An account without a bond.
pub const VERIFIER: AccountId = 4;
pub const START: Balance = 1_000_000;
/// MACs of a unit of `spec`: 5 · 10 · 80,000 (= 4,000,000).
pub const MACS: u64 = 4_000_000;

/// 2 shards of 3 rounds at 1,000 plancks a unit; deadline 10 blocks.
pub fn spec() -> TaskSpec {
    TaskSpec {
        spec_hash: H256::repeat_byte(1),
        graph_root: H256::repeat_byte(2),
        initial_state_root: H256::repeat_byte(3),
        shards: 2,
        rounds: 3,
        segments_per_unit: 5,
        steps_per_segment: 10,
        macs_per_step: 80_000,
        price: 1_000,
        deadline_blocks: 10,
        endpoint: b"http://127.0.0.1:8000".to_vec().try_into().expect("short enough"),
        node_count: 4,
        state_count: 2,
        data: DataRule { root: H256::repeat_byte(4), arrays: 1, windows: false },
    }
}

/// Accounts 1 to 5 with `START` plancks, solvers 2 and 3 bonded with 500; floor 100 and cost 50 plancks per 10^6 MACs,
/// 20 % burned, 10 % for verifiers, 3 claims; block 1.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=5).map(|who| (who, START)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: 500,
            min_verifier_bond: 50,
            unbonding_blocks: 10,
            penalty: 20,
            ..Default::default()
        },
        tasks: pallet_tasks::GenesisConfig {
            floor_price: 100,
            mac_cost: 50,
            burn_share: Permill::from_percent(20),
            verifier_share: Permill::from_percent(10),
            max_claims: 3,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        System::set_block_number(1);
        for solver in [SOLVER, OTHER] {
            Stakes::bond(RuntimeOrigin::signed(solver), Role::Solver, 500).expect("enough money");
        }
    });
    ext
}

/// Goes to block `number`, with the hooks of every block on the way.
pub fn run_to(number: BlockNumber) {
    while System::block_number() < number {
        System::set_block_number(System::block_number() + 1);
        Tasks::on_initialize(System::block_number());
    }
}
