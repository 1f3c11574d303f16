//! A runtime with System, Balances and Stakes.

use crate as pallet_stakes;
use crate::{Balance, Obligations, Role};
use frame_support::{derive_impl, parameter_types, traits::ConstU32};
use sp_runtime::BuildStorage;

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test { System: frame_system, Balances: pallet_balances, Stakes: pallet_stakes }
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

parameter_types! {
    /// The account that still owes something as a solver, if any.
    pub static Obliged: Option<AccountId> = None;
}

pub struct MockObligations;
impl Obligations<AccountId> for MockObligations {
    fn is_obliged(role: Role, who: &AccountId) -> bool {
        role == Role::Solver && Obliged::get() == Some(*who)
    }
}

impl pallet_stakes::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Obligations = MockObligations;
    type MaxStakers = ConstU32<3>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

pub const START: Balance = 10_000;

/// Accounts 1 to 5 with `START` plancks; minima 100 and 50, delay 10 blocks, penalty 20; block 1.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=5).map(|who| (who, START)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: 100,
            min_verifier_bond: 50,
            unbonding_blocks: 10,
            penalty: 20,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| System::set_block_number(1));
    ext
}
