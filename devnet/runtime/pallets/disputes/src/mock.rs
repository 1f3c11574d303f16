//! A runtime with System, Balances, Stakes, Tasks, Verification and Disputes; the beacon's clock is turned by hand.

use crate as pallet_disputes;
use crate::{Games, OpenedRecord, StepLeaf};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, Hooks},
};
use pallet_beacon::{BeaconInfo, OnRotation};
use pallet_stakes::{Balance, BlockNumber, Role};
use pallet_tasks::{DataRule, EpochIndex, TaskId, TaskSpec, UnitIndex};
use pallet_verification::{
    merkle::{hash_inner, hash_leaf},
    salt_witness, Opening, SegmentRecord,
};
use sp_core::H256;
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage, Permill};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlockU32<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system = 0,
        Balances: pallet_balances = 4,
        Stakes: pallet_stakes = 10,
        Tasks: pallet_tasks = 11,
        Verification: pallet_verification = 12,
        Disputes: pallet_disputes = 15,
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
    type Obligations = (Tasks, Verification);
    type MaxStakers = ConstU32<256>;
    type WeightInfo = ();
}

parameter_types! {
    /// The beacon's epoch.
    pub static BeaconEpoch: EpochIndex = 0;
}

pub struct MockBeacon;
impl BeaconInfo<AccountId> for MockBeacon {
    fn epoch() -> EpochIndex {
        BeaconEpoch::get()
    }
    fn draw_epoch() -> EpochIndex {
        BeaconEpoch::get()
    }
    fn no_shows() -> Vec<AccountId> {
        vec![]
    }
}

impl pallet_tasks::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stakes = Stakes;
    type Credits = ();
    type Policy = Verification;
    type MaxDeadline = ConstU32<1_000>;
    type MaxTimeoutsPerBlock = ConstU32<4>;
    type WeightInfo = ();
}

impl pallet_verification::Config for Test {
    type Beacon = MockBeacon;
    type Disputes = Disputes;
    type Lottery = ();
    type MaxDrawsPerBlock = ConstU32<4>;
    type MaxTimersPerBlock = ConstU32<4>;
    type WeightInfo = ();
}

impl pallet_disputes::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type MaxClocksPerBlock = ConstU32<32>;
    type MaxMootPerBlock = ConstU32<8>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

pub const START: Balance = 1_000_000;
pub const BOND: Balance = 5_000;
pub const LEVEL_BOND: Balance = 100;
/// What a challenger has at stake in a game.
pub const GAME_BOND: Balance = 3 * LEVEL_BOND;
/// Blocks on each clock.
pub const CLOCK: BlockNumber = 60;
/// Blocks in which accusers may open games.
pub const ACCUSE: BlockNumber = 8;
/// Blocks of a watch window.
pub const WATCH: BlockNumber = 5;
/// Segments of a unit of `spec`, and steps of each.
pub const SEGMENTS: u16 = 3;
pub const STEPS: u32 = 4;
/// MACs of a unit of `spec`.
pub const MACS: u64 = 960_000;

/// The `n`th account.
pub fn account(n: u16) -> AccountId {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    AccountId32::new(bytes)
}

/// The submitter.
pub fn owner() -> AccountId {
    account(1)
}

/// The bonded solver.
pub fn solver() -> AccountId {
    account(2)
}

/// Bonded verifiers, who are drawn for duties or challenge by themselves.
pub fn verifiers() -> Vec<AccountId> {
    (10..12).map(account).collect()
}

/// A bonded solver that is nobody's verifier.
pub fn watcher(n: u16) -> AccountId {
    account(100 + n)
}

/// 1 shard of 3 rounds at 1,000 plancks a unit.
pub fn spec() -> TaskSpec {
    TaskSpec {
        spec_hash: H256::repeat_byte(1),
        graph_root: H256::repeat_byte(2),
        initial_state_root: H256::repeat_byte(3),
        shards: 1,
        rounds: 3,
        segments_per_unit: SEGMENTS,
        steps_per_segment: STEPS,
        macs_per_step: 80_000,
        price: 1_000,
        deadline_blocks: 50,
        endpoint: b"http://127.0.0.1:8000".to_vec().try_into().expect("short enough"),
        node_count: 40,
        state_count: 3,
        data: DataRule { root: H256::repeat_byte(4), arrays: 1, windows: false },
    }
}

pub fn genesis() -> RuntimeGenesisConfig {
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..250).map(|n| (account(n), START)).collect(),
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
            mac_cost: 5,
            burn_share: Permill::from_percent(20),
            verifier_share: Permill::from_percent(10),
            max_claims: 3,
            ..Default::default()
        },
        verification: pallet_verification::GenesisConfig {
            challenge_ppm: 1_000_000,
            segments: 2,
            verifiers: 2,
            attacker_share: Permill::from_percent(33),
            commit_blocks: 6,
            reveal_blocks: 4,
            watch_blocks: WATCH,
            ..Default::default()
        },
        disputes: pallet_disputes::GenesisConfig {
            clock_blocks: CLOCK,
            accuse_blocks: ACCUSE,
            level_bond: LEVEL_BOND,
            reward_share: Permill::from_percent(50),
            ..Default::default()
        },
        ..Default::default()
    }
}

pub fn bond(who: &AccountId, role: Role) {
    Stakes::bond(RuntimeOrigin::signed(who.clone()), role, BOND).expect("enough money");
}

/// Block 1: the solver and two verifiers are bonded, and a task is posted.
pub fn test_ext() -> sp_io::TestExternalities {
    let mut ext: sp_io::TestExternalities = genesis().build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        System::set_block_number(1);
        BeaconEpoch::set(0);
        bond(&solver(), Role::Solver);
        verifiers().iter().for_each(|who| bond(who, Role::Verifier));
        Tasks::post(RuntimeOrigin::signed(owner()), spec()).expect("a fair price");
    });
    ext
}

/// Goes to block `number`, with the hooks of every block on the way; after each, what is held for games is what they say.
pub fn run_to(number: BlockNumber) {
    while System::block_number() < number {
        System::set_block_number(System::block_number() + 1);
        Tasks::on_initialize(System::block_number());
        Verification::on_initialize(System::block_number());
        Disputes::on_initialize(System::block_number());
        check_holds();
    }
}

/// Goes on by `count` blocks.
pub fn run(count: BlockNumber) {
    run_to(System::block_number() + count);
}

/// Ends the beacon's epoch: units that wait are drawn.
pub fn rotate() {
    let epoch = BeaconEpoch::get();
    BeaconEpoch::set(epoch + 1);
    Verification::on_rotation(epoch, sp_io::hashing::blake2_256(&epoch.to_le_bytes()));
}

/// What is held of every challenger is the sum of the bonds of its open games.
pub fn check_holds() {
    use frame_support::traits::fungible::InspectHold;
    let mut bonds = std::collections::BTreeMap::<AccountId, Balance>::new();
    Games::<Test>::iter_values().for_each(|game| *bonds.entry(game.challenger).or_default() += game.bond);
    for n in 1..250 {
        let held = Balances::balance_on_hold(&crate::HoldReason::Challenge.into(), &account(n));
        assert_eq!(held, bonds.get(&account(n)).copied().unwrap_or(0), "holds of account {n}");
    }
}

/// What an execution of a unit yields: leaves of the histories, records of the segments, their witnesses. Values are
/// hashes of their place; another `variant` gives others.
#[derive(Clone)]
pub struct Execution {
    pub histories: Vec<Vec<StepLeaf>>,
    pub records: Vec<SegmentRecord>,
    pub witnesses: Vec<H256>,
}

/// A hash of some numbers.
pub fn hash(parts: impl Encode) -> H256 {
    H256(sp_io::hashing::blake2_256(&parts.encode()))
}

/// All levels of a tree over leaf hashes, the leaves first.
pub fn levels(leaves: Vec<H256>) -> Vec<Vec<H256>> {
    let mut levels = vec![leaves];
    while levels[levels.len() - 1].len() > 1 {
        let pair = |nodes: &[H256]| match nodes {
            [left, right] => hash_inner(left, right),
            nodes => nodes[0],
        };
        levels.push(levels[levels.len() - 1].chunks(2).map(pair).collect());
    }
    levels
}

/// Siblings from a leaf to the root.
pub fn siblings(leaves: Vec<H256>, mut index: usize) -> Vec<H256> {
    let mut proof = vec![];
    for level in levels(leaves) {
        proof.extend(level.get(index ^ 1).filter(|_| level.len() > 1));
        index /= 2;
    }
    proof
}

impl Execution {
    /// The execution of a unit by `who`.
    pub fn new(task: TaskId, unit: UnitIndex, who: &AccountId, variant: u8) -> Self {
        let mut state = Tasks::start_state_root(task, unit).expect("a claimed unit has a start");
        let mut execution = Self { histories: vec![], records: vec![], witnesses: vec![] };
        for index in 0..SEGMENTS {
            let start_state_root = state;
            let leaf =
                |step: u32| StepLeaf { state: hash((unit, variant, index, step)), loss: 40 + step, grad_norm: 1 };
            let leaves: Vec<StepLeaf> = (0..STEPS).map(leaf).collect();
            let losses: Vec<u8> = leaves.iter().flat_map(|leaf| (leaf.loss, leaf.grad_norm).encode()).collect();
            let witness = H256(sp_io::hashing::blake2_256(&[b"losses/v1".as_slice(), &losses].concat()));
            state = leaves[leaves.len() - 1].state;
            execution.records.push(SegmentRecord {
                index,
                start_state_root,
                end_state_root: state,
                first_step_record: hash((state, 1u8)),
                last_step_record: hash((state, 2u8)),
                salted_witness: salt_witness(who, &witness),
                claims: H256::zero(),
            });
            execution.witnesses.push(witness);
            execution.histories.push(leaves);
        }
        execution
    }

    fn leaves(&self) -> Vec<H256> {
        self.records.iter().map(|record| hash_leaf(&record.encode())).collect()
    }

    /// Merkle root over the records.
    pub fn root(&self) -> H256 {
        levels(self.leaves())[2][0]
    }

    /// State after the last segment.
    pub fn end(&self) -> H256 {
        self.records[self.records.len() - 1].end_state_root
    }

    /// A record with its proof, as games are opened with.
    pub fn record(&self, segment: u16) -> OpenedRecord {
        let proof = siblings(self.leaves(), segment.into());
        OpenedRecord { record: self.records[usize::from(segment)].clone(), proof: proof.try_into().expect("short") }
    }

    /// The record before it.
    pub fn previous(&self, segment: u16) -> Option<OpenedRecord> {
        segment.checked_sub(1).map(|before| self.record(before))
    }

    /// A record with its witness, as solvers reveal.
    pub fn open(&self, segment: u16) -> Opening {
        let OpenedRecord { record, proof } = self.record(segment);
        Opening { record, witness: self.witnesses[usize::from(segment)], proof }
    }

    /// Leaf hashes of a segment's history.
    pub fn history(&self, segment: u16) -> Vec<H256> {
        self.histories[usize::from(segment)].iter().map(StepLeaf::hash).collect()
    }
}
