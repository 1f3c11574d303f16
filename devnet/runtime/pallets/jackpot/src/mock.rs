//! A runtime with System, Balances, Stakes, Tasks, Verification and Jackpot, and executions whose claims have decoys; the
//! beacon's clock is turned by hand, and its next seed is known.

use crate as pallet_jackpot;
use crate::{
    commit_decoy, commit_finding, compute_claims, types::CLAIM_BYTES, Finding, JackpotParams, CLAIMS, COUNTING,
};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, Hooks},
};
use pallet_beacon::{BeaconInfo, OnRotation};
use pallet_stakes::{Balance, BlockNumber, Role};
use pallet_tasks::{DataRule, EpochIndex, TaskId, TaskSpec, UnitIndex};
use pallet_verification::{
    draw::UnitDraw,
    merkle::{hash_inner, hash_leaf},
    salt_witness, Disputes, SegmentRecord, Segments,
};
use sp_core::H256;
use sp_io::hashing::blake2_256;
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
        Jackpot: pallet_jackpot = 18,
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

/// Nobody disputes here.
pub struct NoDisputes;
impl Disputes<AccountId> for NoDisputes {
    fn on_mismatch(_: TaskId, _: UnitIndex, _: u16, _: Segments, _: pallet_verification::AttesterList<AccountId>) {
        unreachable!("nobody attests here");
    }
    fn on_relisted(_: TaskId, _: UnitIndex) {}
}

impl pallet_verification::Config for Test {
    type Beacon = MockBeacon;
    type Disputes = NoDisputes;
    type Lottery = Jackpot;
    type MaxDrawsPerBlock = ConstU32<8>;
    type MaxTimersPerBlock = ConstU32<8>;
    type WeightInfo = ();
}

impl pallet_jackpot::Config for Test {
    type Currency = Balances;
    type MaxEndsPerBlock = ConstU32<2>;
    type WeightInfo = crate::weights::StatedWeight<Test>;
}

/// One UNIT in plancks.
pub const UNIT: Balance = 1_000_000_000_000;
pub const START: Balance = 10_000 * UNIT;
/// The bond of each account in its role.
pub const BOND: Balance = 200 * UNIT;
/// Price of a unit.
pub const PRICE: Balance = 10 * UNIT;
/// What a unit puts into the pot.
pub const CONTRIBUTION: Balance = PRICE / 25;
/// Chance that a unit is challenged, parts per million.
pub const CHALLENGE_PPM: u32 = 100_000;
/// Blocks for seals, for findings, to show.
pub const BLOCKS: (BlockNumber, BlockNumber, BlockNumber) = (5, 3, 5);
/// Segments of a unit.
pub const SEGMENTS: u16 = 4;
/// MACs of a unit of `spec`.
pub const MACS: u64 = 4 * 4 * 80_000;

/// The `n`th account.
pub fn account(n: u16) -> AccountId {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    AccountId32::new(bytes)
}

/// The bonded solver.
pub fn solver() -> AccountId {
    account(2)
}

/// The `n`th bonded whistleblower.
pub fn watcher(n: u16) -> AccountId {
    account(10 + n)
}

pub fn signed(who: &AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

/// Many independent units.
pub fn spec() -> TaskSpec {
    TaskSpec {
        spec_hash: H256::repeat_byte(1),
        graph_root: H256::repeat_byte(2),
        initial_state_root: H256::repeat_byte(3),
        shards: 200,
        rounds: 2,
        segments_per_unit: SEGMENTS,
        steps_per_segment: 4,
        macs_per_step: 80_000,
        price: PRICE,
        deadline_blocks: 10_000,
        endpoint: b"http://127.0.0.1:8000".to_vec().try_into().expect("short enough"),
        node_count: 40,
        state_count: 3,
        data: DataRule { root: H256::repeat_byte(4), arrays: 1, windows: false },
    }
}

pub fn genesis() -> RuntimeGenesisConfig {
    let JackpotParams { share, .. } = Default::default();
    let (seal_blocks, find_blocks, show_blocks) = BLOCKS;
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..30).map(|n| (account(n), START)).collect(),
            ..Default::default()
        },
        tasks: pallet_tasks::GenesisConfig {
            burn_share: Permill::from_percent(20),
            verifier_share: Permill::from_percent(10),
            max_claims: 10_000,
            ..Default::default()
        },
        verification: pallet_verification::GenesisConfig {
            challenge_ppm: CHALLENGE_PPM,
            watch_blocks: 5,
            ..Default::default()
        },
        jackpot: pallet_jackpot::GenesisConfig { share, seal_blocks, find_blocks, show_blocks, ..Default::default() },
        ..Default::default()
    }
}

/// Block 1: a solver and ten whistleblowers are bonded, and a task is posted.
pub fn test_ext() -> sp_io::TestExternalities {
    let mut ext: sp_io::TestExternalities = genesis().build_storage().expect("valid genesis").into();
    ext.execute_with(|| {
        System::set_block_number(1);
        BeaconEpoch::set(0);
        Stakes::bond(signed(&solver()), Role::Solver, BOND).expect("enough money");
        (0..10).for_each(|n| Stakes::bond(signed(&watcher(n)), Role::Verifier, BOND).expect("enough money"));
        Tasks::post(signed(&account(1)), spec()).expect("a fair price");
    });
    ext
}

/// Goes on by `count` blocks, with the hooks of each.
pub fn run(count: BlockNumber) {
    for _ in 0..count {
        System::set_block_number(System::block_number() + 1);
        Tasks::on_initialize(System::block_number());
        Verification::on_initialize(System::block_number());
        Jackpot::on_initialize(System::block_number());
    }
}

/// The seed that the next rotation makes.
fn next_seed() -> [u8; 32] {
    blake2_256(&BeaconEpoch::get().to_le_bytes())
}

/// Ends the beacon's epoch: units that wait are drawn.
pub fn rotate() {
    let (epoch, seed) = (BeaconEpoch::get(), next_seed());
    BeaconEpoch::set(epoch + 1);
    Verification::on_rotation(epoch, seed);
}

/// What the next rotation says of a unit's first attempt.
pub fn next_draw(unit: UnitIndex) -> UnitDraw {
    UnitDraw { seed: H256(next_seed()), task: 0, unit, attempt: 0 }
}

/// The claim that will count.
pub fn next_counting(unit: UnitIndex) -> u8 {
    (next_draw(unit).number(COUNTING) % u128::from(CLAIMS)) as u8
}

/// The first units of round 0 that the next rotation leaves unchallenged.
pub fn unchallenged_units() -> impl Iterator<Item = UnitIndex> {
    (0..200).filter(|unit| !next_draw(*unit).is_challenged(CHALLENGE_PPM))
}

/// The witness of a segment.
pub fn witness(unit: UnitIndex, segment: u16) -> H256 {
    H256(blake2_256(&(unit, segment).encode()))
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

/// A unit of round 0 as its solver submits it: true but for the decoys, one place a segment.
pub struct Execution {
    pub unit: UnitIndex,
    pub records: Vec<SegmentRecord>,
}

impl Execution {
    /// With the decoy at `place` in every record.
    pub fn new(unit: UnitIndex, place: u8) -> Self {
        Self::with_places(unit, [Some(place); SEGMENTS as usize])
    }

    /// With a decoy of its own in each record, or none.
    pub fn with_places(unit: UnitIndex, places: [Option<u8>; SEGMENTS as usize]) -> Self {
        let record = |(index, place): (usize, &Option<u8>)| {
            let index = index as u16;
            let mut claims = compute_claims(&solver(), &witness(unit, index));
            if let Some(place) = place {
                let first = usize::from(*place) * CLAIM_BYTES;
                claims.0[first..first + CLAIM_BYTES].iter_mut().for_each(|byte| *byte = !*byte);
            }
            SegmentRecord {
                index,
                start_state_root: H256::repeat_byte(3),
                end_state_root: H256::repeat_byte(5),
                first_step_record: H256(blake2_256(&unit.encode())),
                last_step_record: H256::repeat_byte(2),
                salted_witness: salt_witness(&solver(), &witness(unit, index)),
                claims,
            }
        };
        Self { unit, records: places.iter().enumerate().map(record).collect() }
    }

    fn leaves(&self) -> Vec<H256> {
        self.records.iter().map(|record| hash_leaf(&record.encode())).collect()
    }

    /// What who executed a segment brings.
    pub fn finding(&self, segment: u16) -> Finding {
        let proof = prove(&self.leaves(), segment.into()).0.try_into().expect("short");
        let record = self.records[usize::from(segment)].clone();
        Finding { record, proof, witness: witness(self.unit, segment) }
    }

    /// Claims, hides a decoy at `place` and submits.
    pub fn submit(&self, place: u8) {
        Tasks::claim(signed(&solver()), 0, self.unit).expect("open");
        Jackpot::hide(signed(&solver()), 0, self.unit, decoy(self.unit, place)).expect("assigned");
        let (root, end) = (prove(&self.leaves(), 0).1, H256::repeat_byte(5));
        Verification::submit(signed(&solver()), 0, self.unit, root, end, MACS).expect("in time");
    }
}

/// The solver's salt.
pub const SALT: [u8; 32] = [9; 32];

/// What the solver commits to.
pub fn decoy(unit: UnitIndex, place: u8) -> H256 {
    commit_decoy(&solver(), 0, unit, 0, place, &SALT)
}

/// Seals what `who` found.
pub fn seal(who: &AccountId, finding: &Finding, unit: UnitIndex) {
    let commitment = commit_finding(who, 0, unit, finding.record.index, &finding.witness, &SALT);
    Jackpot::seal(signed(who), commitment).expect("free");
}

/// A unit that was drawn unchallenged in this block, whose decoy counts or not.
pub fn drawn(is_forced: bool) -> Execution {
    let unit = unchallenged_units().next().expect("one in 200");
    let place = (next_counting(unit) + u8::from(!is_forced)) % CLAIMS;
    let execution = Execution::new(unit, place);
    execution.submit(place);
    rotate();
    execution
}
