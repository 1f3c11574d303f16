//! A runtime with System, Balances, Stakes, Tasks, Verification, Disputes and Availability, and executions whose states
//! are real tensors; the beacon's clock is turned by hand.

use crate as pallet_availability;
use crate::{Asks, AvailabilityParams, Chunk, EntryOpening, Opening};
use aipow_exact::opening::array_root;
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungible::InspectHold, ConstU32, Hooks},
};
use pallet_beacon::{BeaconInfo, OnRotation};
use pallet_disputes::{play::hasher, state_leaf, ArrayForm, OpenedRecord, TileOpening};
use pallet_stakes::{Balance, BlockNumber, Role};
use pallet_tasks::{DataRule, EpochIndex, TaskId, TaskSpec, UnitIndex};
use pallet_verification::{
    merkle::{hash_inner, hash_leaf},
    salt_witness, SegmentRecord,
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
        Availability: pallet_availability = 16,
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
    type MaxDeadline = ConstU32<10_000>;
    type MaxTimeoutsPerBlock = ConstU32<4>;
    type WeightInfo = ();
}

impl pallet_verification::Config for Test {
    type Beacon = MockBeacon;
    type Disputes = Disputes;
    type Lottery = ();
    type MaxDrawsPerBlock = ConstU32<8>;
    type MaxTimersPerBlock = ConstU32<8>;
    type WeightInfo = ();
}

impl pallet_disputes::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type MaxClocksPerBlock = ConstU32<8>;
    type MaxMootPerBlock = ConstU32<8>;
    type WeightInfo = ();
}

impl pallet_availability::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type MaxDeadlinesPerBlock = ConstU32<2>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

/// One UNIT in plancks.
pub const UNIT: Balance = 1_000_000_000_000;
pub const START: Balance = 10_000 * UNIT;
/// The bond of each account in its role.
pub const BOND: Balance = 200 * UNIT;
/// Blocks in which an ask must be answered.
pub const ANSWER: BlockNumber = 10;
/// Blocks of a watch window.
pub const WATCH: BlockNumber = 5;
/// Blocks in which verifiers commit.
pub const COMMIT: BlockNumber = 20;
/// Segments of a unit.
pub const SEGMENTS: u16 = 4;
/// MACs of a unit of `spec`.
pub const MACS: u64 = 4 * 4 * 80_000;
/// Tensors of a state: name, dtype code, shape. The first has 4 tiles, the last none.
pub const TENSORS: [(&str, u8, &[u32]); 3] = [("a.weight", 0, &[40, 33]), ("count", 3, &[]), ("none", 0, &[0, 7])];

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

/// Bonded verifiers.
pub fn verifiers() -> Vec<AccountId> {
    (10..12).map(account).collect()
}

/// A bonded solver who is nobody's verifier.
pub fn stranger(n: u16) -> AccountId {
    account(100 + n)
}

/// Many independent units.
pub fn spec() -> TaskSpec {
    TaskSpec {
        spec_hash: H256::repeat_byte(1),
        graph_root: H256::repeat_byte(2),
        initial_state_root: State::new(0).root(),
        shards: 1_000,
        rounds: 2,
        segments_per_unit: SEGMENTS,
        steps_per_segment: 4,
        macs_per_step: 80_000,
        price: UNIT / 1_000,
        deadline_blocks: 10_000,
        endpoint: b"http://127.0.0.1:8000".to_vec().try_into().expect("short enough"),
        node_count: 40,
        state_count: 3,
        data: DataRule { root: dataset().root(), arrays: 3, windows: false },
    }
}

/// The task's data set: arrays of the forms of a state's tensors.
pub fn dataset() -> State {
    State::new(99)
}

pub fn genesis() -> RuntimeGenesisConfig {
    let AvailabilityParams { deposit, compensation, reward_share, owner_share, .. } = Default::default();
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..250).map(|n| (account(n), START)).collect(),
            ..Default::default()
        },
        tasks: pallet_tasks::GenesisConfig {
            floor_price: 1_000_000,
            mac_cost: 200_000,
            burn_share: Permill::from_percent(20),
            verifier_share: Permill::from_percent(10),
            max_claims: 10_000,
            ..Default::default()
        },
        verification: pallet_verification::GenesisConfig {
            challenge_ppm: 1_000_000,
            segments: 1,
            verifiers: 2,
            commit_blocks: COMMIT,
            reveal_blocks: 10,
            watch_blocks: WATCH,
            ..Default::default()
        },
        availability: pallet_availability::GenesisConfig {
            answer_blocks: ANSWER,
            deposit,
            compensation,
            reward_share,
            owner_share,
            ..Default::default()
        },
        ..Default::default()
    }
}

pub fn bond(who: &AccountId, role: Role) {
    Stakes::bond(RuntimeOrigin::signed(who.clone()), role, BOND).expect("enough money");
}

/// Block 1: solver, two verifiers and 40 strangers are bonded, and a task is posted.
pub fn test_ext() -> sp_io::TestExternalities {
    let mut ext: sp_io::TestExternalities = genesis().build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        System::set_block_number(1);
        BeaconEpoch::set(0);
        bond(&solver(), Role::Solver);
        verifiers().iter().for_each(|who| bond(who, Role::Verifier));
        (0..40).for_each(|n| bond(&stranger(n), Role::Solver));
        Tasks::post(RuntimeOrigin::signed(owner()), spec()).expect("a fair price");
    });
    ext
}

/// Goes on by `count` blocks, with the hooks of each; after each, what is held for asks is what they say.
pub fn run(count: BlockNumber) {
    for _ in 0..count {
        System::set_block_number(System::block_number() + 1);
        Tasks::on_initialize(System::block_number());
        Verification::on_initialize(System::block_number());
        Disputes::on_initialize(System::block_number());
        Availability::on_initialize(System::block_number());
        check_holds();
    }
}

/// Ends the beacon's epoch: units that wait are drawn.
pub fn rotate() {
    let epoch = BeaconEpoch::get();
    BeaconEpoch::set(epoch + 1);
    Verification::on_rotation(epoch, sp_io::hashing::blake2_256(&epoch.to_le_bytes()));
}

/// What is held of every account for asks is the sum of its open asks' deposits.
pub fn check_holds() {
    let mut deposits = std::collections::BTreeMap::<AccountId, Balance>::new();
    Asks::<Test>::iter_values().for_each(|ask| *deposits.entry(ask.asker).or_default() += ask.deposit);
    for n in 1..250 {
        let held = Balances::balance_on_hold(&crate::HoldReason::Ask.into(), &account(n));
        assert_eq!(held, deposits.get(&account(n)).copied().unwrap_or(0), "holds of account {n}");
    }
}

/// Siblings from a leaf to the root, and the root.
fn prove(leaves: &[H256], mut index: usize) -> (Vec<H256>, H256) {
    let (mut level, mut proof) = (leaves.to_vec(), vec![]);
    while level.len() > 1 {
        proof.extend(level.get(index ^ 1));
        level = level.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| hash_inner(&pair[0], right))).collect();
        index /= 2;
    }
    (proof, level.first().copied().unwrap_or_default())
}

/// A state of `TENSORS`: the padded tiles of each.
pub struct State(Vec<Vec<Vec<u8>>>);

impl State {
    /// States of different seeds differ.
    pub fn new(seed: u64) -> Self {
        let tile = |bytes: usize, number: u64| (seed, number).encode().into_iter().cycle().take(bytes).collect();
        let tiles = |count: u64, bytes: usize| (0..count).map(|number| tile(bytes, number)).collect();
        Self(vec![tiles(4, 4_096), tiles(1, 8_192), tiles(0, 4_096)])
    }

    fn tiles(&self, entry: usize) -> Vec<H256> {
        self.0[entry].iter().map(|tile| hash_leaf(tile)).collect()
    }

    fn leaves(&self) -> Vec<H256> {
        let leaf = |(entry, (name, dtype, shape)): (usize, &(&str, u8, &[u32]))| {
            let inner = prove(&self.tiles(entry), 0).1;
            state_leaf(name.as_bytes(), &H256(array_root(hasher, *dtype, shape, &inner.0)))
        };
        TENSORS.iter().enumerate().map(leaf).collect()
    }

    pub fn root(&self) -> H256 {
        prove(&self.leaves(), 0).1
    }

    /// One tile with its way to the root; the tile modulo their number.
    pub fn open(&self, entry: usize, tile: u32) -> (EntryOpening, TileOpening) {
        let (name, dtype, shape) = TENSORS[entry];
        let tiles = self.tiles(entry);
        let number = (tile as usize).checked_rem(tiles.len()).unwrap_or(0);
        let (proof, inner_root) = prove(&tiles, number);
        let form = ArrayForm { dtype, shape: shape.to_vec().try_into().expect("few") };
        let siblings = prove(&self.leaves(), entry).0.try_into().expect("short");
        let name = name.as_bytes().to_vec().try_into().expect("short");
        let data = self.0[entry].get(number).cloned().unwrap_or_default().try_into().expect("a tile");
        (
            EntryOpening { name, form, inner_root, siblings },
            TileOpening { data, siblings: proof.try_into().expect("short") },
        )
    }
}

/// Roots of the states after 0 to 4 segments, the same for all units.
fn state_roots() -> &'static [H256] {
    static ROOTS: std::sync::OnceLock<Vec<H256>> = std::sync::OnceLock::new();
    ROOTS.get_or_init(|| (0..=u64::from(SEGMENTS)).map(|seed| State::new(seed).root()).collect())
}

/// What an execution of a unit yields: the records of its segments. Units differ in their step records only.
#[derive(Clone)]
pub struct Execution {
    pub records: Vec<SegmentRecord>,
}

impl Execution {
    /// The solver's execution of a unit of round 0, which starts from the task's initial state.
    pub fn new(task: TaskId, unit: UnitIndex) -> Self {
        let record = |index: u16| SegmentRecord {
            index,
            start_state_root: state_roots()[usize::from(index)],
            end_state_root: state_roots()[usize::from(index) + 1],
            first_step_record: H256(hasher(&(task, unit).encode())),
            last_step_record: H256::repeat_byte(2),
            salted_witness: salt_witness(&solver(), &H256::repeat_byte(3)),
            claims: H256::zero(),
        };
        Self { records: (0..SEGMENTS).map(record).collect() }
    }

    fn leaves(&self) -> Vec<H256> {
        self.records.iter().map(|record| hash_leaf(&record.encode())).collect()
    }

    pub fn root(&self) -> H256 {
        prove(&self.leaves(), 0).1
    }

    pub fn end(&self) -> H256 {
        self.records[usize::from(SEGMENTS) - 1].end_state_root
    }

    /// A record with its proof.
    pub fn record(&self, segment: u16) -> OpenedRecord {
        let (proof, _) = prove(&self.leaves(), segment.into());
        OpenedRecord { record: self.records[usize::from(segment)].clone(), proof: proof.try_into().expect("short") }
    }

    /// The honest answer.
    pub fn open(&self, chunk: Chunk) -> Opening {
        match chunk {
            Chunk::Transcript { segment } => Opening::Transcript(self.record(segment)),
            Chunk::Checkpoint { checkpoint, entry, tile } => {
                let (entry, tile) = State::new(checkpoint.into()).open(entry as usize, tile);
                let record = (1..SEGMENTS).contains(&checkpoint).then(|| self.record(checkpoint - 1));
                Opening::Checkpoint { record, entry, tile }
            }
            Chunk::Data { array, tile } => {
                let (entry, tile) = dataset().open(array as usize, tile);
                Opening::Data { entry, tile }
            }
        }
    }
}
