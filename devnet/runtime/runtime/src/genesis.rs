//! The genesis presets `dev`, `local` and `test`: same code, other constants.

use crate::{AccountId, Balance, RuntimeGenesisConfig, UNIT};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};
use frame::{
    deps::sp_keyring::{Ed25519Keyring, Sr25519Keyring},
    runtime::prelude::PresetId,
};
use pallet_tasks::{is_honesty_best, TasksParams};
use pallet_verification::{VerificationParams, REFERENCE_MACS};
use serde_json::{json, Value};

/// What each development account has at the start: 10^6 UNIT (= 10^18 plancks).
pub const ENDOWMENT: Balance = 1_000_000 * UNIT;

/// What differs between the presets. Times in blocks unless said otherwise.
struct Preset {
    name: &'static str,
    slot_milliseconds: u64,
    slots_per_epoch: u32,
    cap_ppm: u32,
    bootstrap_ppm: (u32, u32, u32),
    challenge_ppm: u32,
    commit_blocks: u32,
    reveal_blocks: u32,
    watch_blocks: u32,
    unbonding_blocks: u32,
    clock_blocks: u32,
    accuse_blocks: u32,
    level_bond: Balance,
    answer_blocks: u32,
    /// To seal findings of decoys, to open them, to show a decoy.
    jackpot_blocks: (u32, u32, u32),
}

/// `dev` and `test` allow one miner two thirds of the slots, so that two miners of different speed get slots in proportion;
/// `local` has the cap of one third that a network of many should have.
const PRESETS: [Preset; 3] = [
    Preset {
        name: "dev",
        slot_milliseconds: 1_000,
        slots_per_epoch: 20,
        cap_ppm: 666_667,
        bootstrap_ppm: (500_000, 100_000, 200_000),
        challenge_ppm: 500_000,
        commit_blocks: 20,
        reveal_blocks: 10,
        watch_blocks: 5,
        unbonding_blocks: 600,
        clock_blocks: 60,
        accuse_blocks: 20,
        level_bond: UNIT,
        answer_blocks: 10,
        jackpot_blocks: (5, 3, 5),
    },
    Preset {
        name: "local",
        slot_milliseconds: 3_000,
        slots_per_epoch: 100,
        cap_ppm: 333_333,
        bootstrap_ppm: (500_000, 10_000, 100_000),
        challenge_ppm: 500_000,
        commit_blocks: 60,
        reveal_blocks: 30,
        watch_blocks: 30,
        unbonding_blocks: 2_400,
        clock_blocks: 200,
        accuse_blocks: 60,
        level_bond: 5 * UNIT,
        answer_blocks: 30,
        jackpot_blocks: (30, 10, 30),
    },
    Preset {
        name: "test",
        slot_milliseconds: 1_000,
        slots_per_epoch: 12,
        cap_ppm: 666_667,
        bootstrap_ppm: (500_000, 100_000, 200_000),
        challenge_ppm: 1_000_000,
        commit_blocks: 12,
        reveal_blocks: 6,
        watch_blocks: 3,
        unbonding_blocks: 60,
        clock_blocks: 40,
        accuse_blocks: 10,
        level_bond: UNIT / 10,
        answer_blocks: 6,
        jackpot_blocks: (3, 3, 6),
    },
];

/// The accounts of //Alice … //Ferdie, the well-known development seeds.
pub fn development_accounts() -> Vec<AccountId> {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
    [Alice, Bob, Charlie, Dave, Eve, Ferdie].into_iter().map(|key| key.to_account_id()).collect()
}

/// The genesis of a preset: development accounts with money; //Alice with sudo and as the only bootstrap author.
fn preset_json(preset: &Preset) -> Value {
    let alice = Sr25519Keyring::Alice;
    let balances: Vec<(AccountId, Balance)> =
        development_accounts().into_iter().map(|account| (account, ENDOWMENT)).collect();
    let (bootstrap_initial, bootstrap_step, bootstrap_floor) = preset.bootstrap_ppm;
    let (seal_blocks, find_blocks, show_blocks) = preset.jackpot_blocks;
    json!({
        "balances": { "balances": balances },
        "sudo": { "key": alice.to_account_id() },
        "stakes": { "unbondingBlocks": preset.unbonding_blocks },
        "verification": {
            "challengePpm": preset.challenge_ppm,
            "commitBlocks": preset.commit_blocks,
            "revealBlocks": preset.reveal_blocks,
            "watchBlocks": preset.watch_blocks,
        },
        "disputes": {
            "clockBlocks": preset.clock_blocks,
            "accuseBlocks": preset.accuse_blocks,
            "levelBond": preset.level_bond,
        },
        "availability": { "answerBlocks": preset.answer_blocks },
        "jackpot": { "sealBlocks": seal_blocks, "findBlocks": find_blocks, "showBlocks": show_blocks },
        "blockRights": {
            "slotDuration": preset.slot_milliseconds,
            "slotsPerEpoch": preset.slots_per_epoch,
            "cap": preset.cap_ppm,
            "bootstrapInitial": bootstrap_initial,
            "bootstrapStep": bootstrap_step,
            "bootstrapFloor": bootstrap_floor,
            "bootstrap": vec![(alice.to_account_id(), alice.public(), Ed25519Keyring::Alice.public())],
        },
    })
}

/// Names of the presets.
pub fn preset_names() -> Vec<PresetId> {
    PRESETS.iter().map(|preset| preset.name.to_string()).collect()
}

/// The JSON patch of a preset, to be merged into the default genesis; `None` for an unknown name.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
    let preset = PRESETS.iter().find(|preset| preset.name == id.as_str())?;
    Some(preset_json(preset).to_string().into_bytes())
}

/// Says what is wrong with a whole genesis configuration, before anything is written: a panic in the pallets' own checks
/// would only trap.
pub fn check(json: &[u8]) -> Result<(), String> {
    let genesis: RuntimeGenesisConfig =
        serde_json::from_slice(json).map_err(|error| format!("the genesis configuration is no valid JSON: {error}"))?;
    genesis.block_rights.check()?;
    if !genesis.aura.authorities.is_empty() || !genesis.grandpa.authorities.is_empty() {
        return Err("name the first authorities in blockRights.bootstrap, not in aura or grandpa".into());
    }
    check_stakes(&genesis.stakes)?;
    check_market(&genesis.tasks)?;
    check_verification(&genesis.verification)?;
    check_disputes(&genesis.disputes)?;
    check_availability(&genesis.availability)?;
    check_jackpot(&genesis)?;
    check_evidence(&genesis)?;
    check_economics(&genesis)
}

fn ensure(condition: bool, problem: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| problem.into())
}

fn check_stakes(stakes: &pallet_stakes::GenesisConfig<crate::Runtime>) -> Result<(), String> {
    ensure(stakes.min_solver_bond > 0, "stakes.minSolverBond must be positive")?;
    ensure(stakes.min_verifier_bond > 0, "stakes.minVerifierBond must be positive")?;
    ensure(stakes.unbonding_blocks > 0, "stakes.unbondingBlocks must be positive")
}

fn check_market(tasks: &pallet_tasks::GenesisConfig<crate::Runtime>) -> Result<(), String> {
    ensure(tasks.floor_price > 0, "tasks.floorPrice must be positive")?;
    ensure(tasks.max_claims > 0, "tasks.maxClaims must be positive")?;
    let shares = u64::from(tasks.burn_share.deconstruct()) + u64::from(tasks.verifier_share.deconstruct());
    ensure(shares <= 1_000_000, "tasks.burnShare + tasks.verifierShare must not exceed 1000000, the whole price")
}

fn check_verification(config: &pallet_verification::GenesisConfig<crate::Runtime>) -> Result<(), String> {
    let segments = u32::from(config.segments);
    ensure(config.challenge_ppm <= 1_000_000, "verification.challengePpm must not exceed 1000000")?;
    ensure((1..=pallet_verification::MAX_SEGMENTS).contains(&segments), "verification.segments must be 1 to 16")?;
    ensure((1..=pallet_tasks::MAX_VERIFIERS).contains(&config.verifiers), "verification.verifiers must be 1 to 8")?;
    let windows = [config.commit_blocks, config.reveal_blocks, config.watch_blocks];
    ensure(
        windows.iter().all(|blocks| *blocks > 0),
        "verification.commitBlocks, revealBlocks and watchBlocks must be positive",
    )
}

fn check_disputes(config: &pallet_disputes::GenesisConfig<crate::Runtime>) -> Result<(), String> {
    ensure(
        config.clock_blocks > 0 && config.accuse_blocks > 0,
        "disputes.clockBlocks and accuseBlocks must be positive",
    )?;
    ensure(config.level_bond > 0, "disputes.levelBond must be positive: else a challenge costs nothing")
}

fn check_availability(config: &pallet_availability::GenesisConfig<crate::Runtime>) -> Result<(), String> {
    ensure(config.answer_blocks > 0, "availability.answerBlocks must be positive")?;
    ensure(
        config.compensation < config.deposit,
        "availability.compensation must be below the deposit: else asking oneself costs nothing",
    )
}

fn check_jackpot(genesis: &RuntimeGenesisConfig) -> Result<(), String> {
    let config = &genesis.jackpot;
    ensure(
        config.seal_blocks > 0 && config.find_blocks > 0 && config.show_blocks > 0,
        "jackpot.sealBlocks, findBlocks and showBlocks must be positive",
    )?;
    ensure(
        config.share <= genesis.tasks.burn_share,
        "jackpot.share must not exceed tasks.burnShare: it is a part of what is burned",
    )
}

/// Who authors must not have its bond back while there is time to charge it.
fn check_evidence(genesis: &RuntimeGenesisConfig) -> Result<(), String> {
    ensure(
        genesis.stakes.unbonding_blocks > genesis.block_rights.slots_per_epoch,
        "stakes.unbondingBlocks must exceed blockRights.slotsPerEpoch: else an author has its bond back before anybody \
         can charge it with two blocks of one slot",
    )
}

/// Proof of Sampling's condition p·(1−r^v)·(R+S) > C, for the reference unit at the floor price and the least bond.
fn check_economics(genesis: &RuntimeGenesisConfig) -> Result<(), String> {
    let (tasks, verification) = (&genesis.tasks, &genesis.verification);
    let market = TasksParams { floor_price: tasks.floor_price, mac_cost: tasks.mac_cost, ..Default::default() };
    let params = VerificationParams {
        challenge_ppm: verification.challenge_ppm,
        verifiers: verification.verifiers,
        attacker_share: verification.attacker_share,
        ..Default::default()
    };
    let bond = genesis.stakes.min_solver_bond;
    let is_honest = match (market.price_floor(REFERENCE_MACS), market.honest_cost(REFERENCE_MACS)) {
        (Some(price), Some(cost)) => is_honesty_best(params.detection(), price, bond, cost),
        _ => false,
    };
    ensure(
        is_honest,
        "cheating pays with these parameters: p*(1-r^v)*(R+S) must exceed C for 10^9 MACs at the floor price; raise \
         challengePpm, verifiers, floorPrice or minSolverBond, or lower attackerShare",
    )
}
