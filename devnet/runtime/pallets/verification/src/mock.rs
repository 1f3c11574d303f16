//! A runtime with System, Balances, Stakes, Tasks and Verification; the beacon's clock is turned by hand.

use crate as pallet_verification;
use crate::{Attestation, Opening, Outcome, SegmentRecord};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, Hooks},
};
use pallet_beacon::{BeaconInfo, OnRotation};
use pallet_stakes::{Balance, BlockNumber, Role};
use pallet_tasks::{CreditSink, DataRule, EpochIndex, TaskId, TaskSpec, UnitIndex};
use sp_core::H256;
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage, Permill};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlockU32<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Stakes: pallet_stakes,
        Tasks: pallet_tasks,
        Verification: pallet_verification,
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
    type MaxStakers = ConstU32<16>;
    type WeightInfo = ();
}

parameter_types! {
    /// Credits given so far, oldest first.
    pub static Credited: Vec<(AccountId, u64)> = vec![];
    /// Open disputes: task, unit, attempt, drawn segments, verifiers with where they agree with the solver.
    pub static Disputed: Vec<(TaskId, UnitIndex, u16, crate::Segments, crate::AttesterList<AccountId>)> = vec![];
    /// The beacon's epoch and whether its commits are open.
    pub static Clock: (EpochIndex, bool) = (0, true);
}

pub struct MockCredits;
impl CreditSink<AccountId> for MockCredits {
    fn credit(account: &AccountId, macs: u64) {
        Credited::mutate(|list| list.push((account.clone(), macs)));
    }
}

pub struct MockBeacon;
impl BeaconInfo<AccountId> for MockBeacon {
    fn epoch() -> EpochIndex {
        Clock::get().0
    }
    fn draw_epoch() -> EpochIndex {
        let (epoch, is_open) = Clock::get();
        epoch + u32::from(!is_open)
    }
    fn no_shows() -> Vec<AccountId> {
        vec![]
    }
}

impl pallet_tasks::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stakes = Stakes;
    type Credits = MockCredits;
    type Policy = Verification;
    type MaxDeadline = ConstU32<1_000>;
    type MaxTimeoutsPerBlock = ConstU32<2>;
    type WeightInfo = ();
}

/// Takes over mismatched units: remembers what was handed over until it is listed again.
pub struct MockDisputes;
impl crate::Disputes<AccountId> for MockDisputes {
    fn on_mismatch(
        task: TaskId,
        unit: UnitIndex,
        attempt: u16,
        segments: crate::Segments,
        attesters: crate::AttesterList<AccountId>,
    ) {
        Disputed::mutate(|list| list.push((task, unit, attempt, segments, attesters)));
    }
    fn on_relisted(task: TaskId, unit: UnitIndex) {
        Disputed::mutate(|list| {
            for (_, _, _, _, attesters) in list.extract_if(.., |case| (case.0, case.1) == (task, unit)) {
                attesters.iter().for_each(|(who, _)| Verification::discharge(who));
            }
        });
    }
}

impl pallet_verification::Config for Test {
    type Beacon = MockBeacon;
    type Disputes = MockDisputes;
    type Lottery = ();
    type MaxDrawsPerBlock = ConstU32<2>;
    type MaxTimersPerBlock = ConstU32<2>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

pub const START: Balance = 1_000_000;
pub const BOND: Balance = 5_000;
pub const PENALTY: Balance = 20;
/// Segments of a unit of `spec`.
pub const SEGMENTS: u16 = 5;
/// MACs of a unit of `spec`.
pub const MACS: u64 = 4_000_000;

/// The `n`th account.
pub fn account(n: u8) -> AccountId {
    AccountId32::new([n; 32])
}

/// The submitter.
pub fn owner() -> AccountId {
    account(1)
}

/// A bonded solver.
pub fn solver() -> AccountId {
    account(2)
}

/// Another bonded solver.
pub fn rival() -> AccountId {
    account(3)
}

/// Bonded verifiers 10 to 13.
pub fn verifiers() -> Vec<AccountId> {
    (10..14).map(account).collect()
}

/// 2 shards of 3 rounds at 1,000 plancks a unit; deadline 50 blocks.
pub fn spec() -> TaskSpec {
    TaskSpec {
        spec_hash: H256::repeat_byte(1),
        graph_root: H256::repeat_byte(2),
        initial_state_root: H256::repeat_byte(3),
        shards: 2,
        rounds: 3,
        segments_per_unit: SEGMENTS,
        steps_per_segment: 10,
        macs_per_step: 80_000,
        price: 1_000,
        deadline_blocks: 50,
        endpoint: b"http://127.0.0.1:8000".to_vec().try_into().expect("short enough"),
        node_count: 4,
        state_count: 2,
        data: DataRule { root: H256::repeat_byte(4), arrays: 1, windows: false },
    }
}

/// Accounts 1 to 20 with `START` plancks, two solvers and four verifiers bonded; every unit is challenged with 2 segments
/// and 2 verifiers; 6 blocks to commit, 4 to reveal, 3 to watch; block 1.
pub fn genesis() -> RuntimeGenesisConfig {
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=20).map(|n| (account(n), START)).collect(),
            ..Default::default()
        },
        stakes: pallet_stakes::GenesisConfig {
            min_solver_bond: 500,
            min_verifier_bond: 50,
            unbonding_blocks: 10,
            penalty: PENALTY,
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
            watch_blocks: 3,
            ..Default::default()
        },
        ..Default::default()
    }
}

pub fn test_ext(config: RuntimeGenesisConfig) -> sp_io::TestExternalities {
    let mut ext: sp_io::TestExternalities = config.build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        System::set_block_number(1);
        Clock::set((0, true));
        Credited::set(vec![]);
        Disputed::set(vec![]);
        for who in [solver(), rival()] {
            Stakes::bond(RuntimeOrigin::signed(who), Role::Solver, BOND).expect("enough money");
        }
        for who in verifiers() {
            Stakes::bond(RuntimeOrigin::signed(who), Role::Verifier, BOND).expect("enough money");
        }
    });
    ext
}

/// Goes to block `number`, with the hooks of every block on the way.
pub fn run_to(number: BlockNumber) {
    while System::block_number() < number {
        System::set_block_number(System::block_number() + 1);
        Tasks::on_initialize(System::block_number());
        Verification::on_initialize(System::block_number());
    }
}

/// Goes on by `count` blocks.
pub fn run(count: BlockNumber) {
    run_to(System::block_number() + count);
}

/// A seed of the tests.
pub fn seed(n: u64) -> [u8; 32] {
    sp_io::hashing::blake2_256(&n.to_le_bytes())
}

/// Ends the beacon's epoch with the seed of its number; commits of the new one are open.
pub fn rotate() {
    let (epoch, _) = Clock::get();
    Clock::set((epoch + 1, true));
    Verification::on_rotation(epoch, seed(epoch.into()));
}

/// What an execution of a unit yields: records of its segments and their witnesses.
#[derive(Clone)]
pub struct Execution {
    pub records: Vec<SegmentRecord>,
    pub witnesses: Vec<H256>,
}

/// A hash of some numbers.
pub fn hash(parts: impl Encode) -> H256 {
    H256(sp_io::hashing::blake2_256(&parts.encode()))
}

impl Execution {
    /// The execution of a unit by `who`; another `variant` gives other states and witnesses.
    pub fn new(task: TaskId, unit: UnitIndex, who: &AccountId, variant: u8) -> Self {
        let mut state = Tasks::start_state_root(task, unit).expect("a claimed unit has a start");
        let (mut records, mut witnesses) = (vec![], vec![]);
        for index in 0..SEGMENTS {
            let end = hash((state, unit, who, index, variant));
            let witness = hash((end, "witness"));
            records.push(SegmentRecord {
                index,
                start_state_root: state,
                end_state_root: end,
                first_step_record: hash((end, 1u8)),
                last_step_record: hash((end, 2u8)),
                salted_witness: crate::salt_witness(who, &witness),
                claims: H256::zero(),
            });
            witnesses.push(witness);
            state = end;
        }
        Self { records, witnesses }
    }

    /// Merkle root over the records.
    pub fn root(&self) -> H256 {
        *self.levels().last().expect("at least the leaves").first().expect("at least one record")
    }

    /// State after the last segment.
    pub fn end(&self) -> H256 {
        self.records.last().expect("at least one record").end_state_root
    }

    fn levels(&self) -> Vec<Vec<H256>> {
        let leaves = self.records.iter().map(|record| crate::merkle::hash_leaf(&record.encode())).collect();
        let mut levels: Vec<Vec<H256>> = vec![leaves];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            let pair = |nodes: &[H256]| match nodes {
                [left, right] => crate::merkle::hash_inner(left, right),
                nodes => nodes[0],
            };
            levels.push(below.chunks(2).map(pair).collect());
        }
        levels
    }

    /// Opening of a segment.
    pub fn open(&self, segment: u16) -> Opening {
        let mut index = usize::from(segment);
        let mut proof = vec![];
        for level in self.levels() {
            proof.extend(level.get(index ^ 1).filter(|_| level.len() > 1));
            index /= 2;
        }
        Opening {
            record: self.records[usize::from(segment)].clone(),
            witness: self.witnesses[usize::from(segment)],
            proof: proof.try_into().expect("short proof"),
        }
    }

    /// Openings of the segments that a unit's duty names.
    pub fn openings(&self, task: TaskId, unit: UnitIndex) -> crate::Openings {
        let duty = crate::Duties::<Test>::get(task, unit).expect("a duty");
        let openings: Vec<_> = duty.segments.iter().map(|segment| self.open(*segment)).collect();
        openings.try_into().expect("few segments")
    }

    /// What an honest verifier attests of a duty.
    pub fn attest(&self, task: TaskId, unit: UnitIndex) -> Attestation {
        let duty = crate::Duties::<Test>::get(task, unit).expect("a duty");
        let results = duty.segments.iter().map(|segment| {
            let segment = usize::from(*segment);
            (self.records[segment].end_state_root, self.witnesses[segment])
        });
        let segments: Vec<_> = results.collect();
        Attestation { outcome: Outcome::Executed, segments: segments.try_into().expect("few segments") }
    }
}
