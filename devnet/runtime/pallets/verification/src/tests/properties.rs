//! Random calls of random accounts: after every one of them money adds up and the counters agree with what they count;
//! afterwards, left alone, every unit comes to rest.

use super::*;
use pallet_tasks::{ShardProgress, SolverLoad, TaskSpec};
use std::collections::BTreeMap;

/// A small generator (xorshift64*), so that a failing run can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() {
            return None;
        }
        Some(list[self.roll(list.len() as u64) as usize].clone())
    }
}

/// How a call ended; nothing if there was none to make.
type Played = Option<DispatchResult>;
type Call = dyn Fn(&mut Dice, &mut Memory) -> Played;

/// What the daemons would remember.
#[derive(Default)]
struct Memory {
    executions: BTreeMap<(TaskId, UnitIndex, u16), Execution>,
    attestations: BTreeMap<(TaskId, UnitIndex, AccountId), Attestation>,
    accepted: BTreeMap<&'static str, u32>,
}

fn actors() -> Vec<AccountId> {
    (1..=14).map(account).collect()
}

fn units() -> Vec<(TaskId, UnitIndex, pallet_tasks::Unit<AccountId>)> {
    pallet_tasks::Units::<Test>::iter().collect()
}

fn post(dice: &mut Dice) -> Played {
    let spec = TaskSpec {
        shards: dice.roll(4) as u16,
        rounds: dice.roll(4) as u16,
        price: 300 + u128::from(dice.roll(700)),
        deadline_blocks: dice.roll(20) as u32,
        ..spec()
    };
    Some(Tasks::post(origin(&account(1 + dice.roll(2) as u8)), spec))
}

fn claim(dice: &mut Dice) -> Played {
    let who = account(2 + dice.roll(2) as u8 + 3 * u8::from(dice.roll(5) == 0)); // mostly one of the bonded solvers
    let task = dice.roll(u64::from(pallet_tasks::NextTaskId::<Test>::get()) + 1) as TaskId;
    let spec = pallet_tasks::Tasks::<Test>::get(task).map(|entry| entry.spec);
    let unit = match spec.filter(|_| dice.roll(5) > 0) {
        Some(spec) => {
            let shard = dice.roll(spec.shards.into()) as u16;
            spec.index(shard, pallet_tasks::Shards::<Test>::get(task, shard).claimed)
        }
        None => dice.roll(10) as UnitIndex,
    };
    Some(Tasks::claim(origin(&who), task, unit))
}

fn submit(dice: &mut Dice, memory: &mut Memory) -> Played {
    let list: Vec<_> =
        units().into_iter().filter(|(_, _, unit)| matches!(unit.state, UnitState::Assigned(_))).collect();
    let (task, index, unit) = dice.pick(&list)?;
    let UnitState::Assigned(assignment) = unit.state else { return None };
    let who = if dice.roll(10) == 0 { account(9) } else { assignment.solver };
    let mut execution = Execution::new(task, index, &who, u8::from(dice.roll(4) == 0));
    // a root of its own for each attempt, as the seed of the attempt would give
    for record in &mut execution.records {
        record.first_step_record = hash((record.first_step_record, unit.attempt));
    }
    let done = Verification::submit(origin(&who), task, index, execution.root(), execution.end(), MACS);
    if done.is_ok() {
        memory.executions.insert((task, index, unit.attempt), execution);
    }
    Some(done)
}

fn duty_of(dice: &mut Dice) -> Option<(TaskId, UnitIndex, Duty<AccountId>)> {
    dice.pick(&Duties::<Test>::iter().collect::<Vec<_>>())
}

fn commit_some(dice: &mut Dice, memory: &mut Memory) -> Played {
    let (task, unit, duty) = duty_of(dice)?;
    let who = match dice.roll(10) {
        0 => account(9),
        _ => duty.verifiers[dice.roll(duty.verifiers.len() as u64) as usize].0.clone(),
    };
    let UnitState::Submitted(assignment, _) = pallet_tasks::Units::<Test>::get(task, unit).state else {
        panic!("a unit with a duty is submitted")
    };
    let attestation = match dice.roll(10) {
        0 => attest(Outcome::Inconclusive),
        1 => attest(Outcome::Unavailable),
        _ => Execution::new(task, unit, &assignment.solver, 0).attest(task, unit),
    };
    let done = Verification::commit(origin(&who), task, unit, attestation.commitment(&who, task, unit, &SALT));
    if done.is_ok() {
        memory.attestations.insert((task, unit, who), attestation);
    }
    Some(done)
}

fn reveal_some(dice: &mut Dice, memory: &mut Memory) -> Played {
    let (task, unit, duty) = duty_of(dice)?;
    let who = duty.verifiers[dice.roll(duty.verifiers.len() as u64) as usize].0.clone();
    let attestation = memory.attestations.get(&(task, unit, who.clone()))?;
    Some(plain(Verification::reveal(origin(&who), task, unit, attestation.clone(), SALT)))
}

fn open_some(dice: &mut Dice, memory: &mut Memory) -> Played {
    let (task, unit, duty) = duty_of(dice)?;
    let UnitState::Submitted(assignment, _) = pallet_tasks::Units::<Test>::get(task, unit).state else {
        panic!("a unit with a duty is submitted")
    };
    let execution = &memory.executions[&(task, unit, duty.attempt)];
    Some(plain(Verification::reveal_solver(origin(&assignment.solver), task, unit, execution.openings(task, unit))))
}

fn stake(dice: &mut Dice) -> Played {
    let who = dice.pick(&actors()).expect("some actors");
    let role = if dice.roll(2) == 0 { Role::Solver } else { Role::Verifier };
    let amount = u128::from(dice.roll(5_000));
    Some(match dice.roll(6) {
        0 => Stakes::unbond(origin(&who), role, amount),
        1 => Stakes::withdraw_unbonded(origin(&who), role),
        _ => Stakes::bond(origin(&who), role, amount),
    })
}

fn close(dice: &mut Dice) -> Played {
    let task = dice.roll(u64::from(pallet_tasks::NextTaskId::<Test>::get()) + 1) as TaskId;
    Some(Tasks::close(origin(&account(1 + dice.roll(2) as u8)), task))
}

/// One random step; a refused call must leave no trace (looked at now and then, as it is slow).
fn step(dice: &mut Dice, memory: &mut Memory) {
    let (name, call): (&str, &Call) = match dice.roll(100) {
        0..=3 => ("post", &|dice, _| post(dice)),
        4..=23 => ("claim", &|dice, _| claim(dice)),
        24..=38 => ("submit", &submit),
        39..=53 => ("commit", &commit_some),
        54..=68 => ("reveal", &reveal_some),
        69..=79 => ("reveal_solver", &open_some),
        80..=86 => ("stake", &|dice, _| stake(dice)),
        87 => ("close", &|dice, _| close(dice)),
        88 => ("decide", &|dice, _| decide(dice)),
        89..=92 => return rotate_clock(dice),
        _ => return run(1),
    };
    let root = || sp_io::storage::root(sp_runtime::StateVersion::V1);
    let before = (dice.roll(10) == 0).then(root);
    match (call(dice, memory), before) {
        (Some(Ok(())), _) => *memory.accepted.entry(name).or_default() += 1,
        (Some(Err(error)), Some(before)) => assert_eq!(before, root(), "{name} left a trace: {error:?}"),
        _ => {}
    }
}

/// A dispute ends: the unit is refused, or goes on with the verifiers who matched.
fn decide(dice: &mut Dice) -> Played {
    let (task, unit, _, segments, attesters) = dice.pick(&Disputed::get())?;
    if dice.roll(2) == 0 {
        Verification::convict(task, unit, &account(10), sp_runtime::Permill::from_percent(50));
    } else {
        Disputed::mutate(|list| list.retain(|case| (case.0, case.1) != (task, unit)));
        let full = |mask: u16| mask.trailing_ones() as usize >= segments.len();
        let (matched, wrong): (Vec<_>, Vec<_>) = attesters.into_iter().partition(|(_, mask)| full(*mask));
        wrong.iter().for_each(|(who, _)| Verification::discharge(who));
        let matched: Vec<_> = matched.into_iter().map(|(who, _)| who).collect();
        Verification::acquit(task, unit, Verifiers::truncate_from(matched), segments, dice.roll(2) == 0);
    }
    Some(Ok(()))
}

/// The beacon's commits close, or its epoch ends.
fn rotate_clock(dice: &mut Dice) {
    if dice.roll(2) == 0 {
        let (epoch, _) = Clock::get();
        Clock::set((epoch, false));
    } else {
        rotate();
    }
}

fn check_money() {
    let mut escrowed: BTreeMap<AccountId, u128> = BTreeMap::new();
    for (task, entry) in pallet_tasks::Tasks::<Test>::iter() {
        let deposited = entry.spec.price * u128::from(entry.spec.units());
        let accounted = entry.escrowed + entry.paid + entry.refunded + entry.burned;
        assert_eq!(deposited, accounted, "task {task}");
        *escrowed.entry(entry.owner).or_default() += entry.escrowed;
    }
    for who in actors() {
        use frame_support::traits::fungible::InspectHold;
        let held = |reason: RuntimeHoldReason| Balances::balance_on_hold(&reason, &who);
        let tasks = held(pallet_tasks::HoldReason::Escrow.into());
        assert_eq!(tasks, escrowed.get(&who).copied().unwrap_or(0), "escrow of {who:?}");
        let bonds: u128 = [Role::Solver, Role::Verifier]
            .into_iter()
            .map(|role| {
                let unbonding = pallet_stakes::Unbonding::<Test>::get(role, &who);
                bond(role, &who) + unbonding.iter().map(|(amount, _)| amount).sum::<u128>()
            })
            .sum();
        assert_eq!(held(pallet_stakes::HoldReason::Bond.into()), bonds, "bonds of {who:?}");
    }
}

fn check_counters() {
    let mut loads: BTreeMap<AccountId, SolverLoad> = BTreeMap::new();
    let mut active: BTreeMap<TaskId, u32> = BTreeMap::new();
    let mut shards: BTreeMap<(TaskId, u16), ShardProgress> = BTreeMap::new();
    for (task, index, unit) in units() {
        let spec = pallet_tasks::Tasks::<Test>::get(task).expect("posted").spec;
        let (shard, _) = spec.position(index).expect("a unit of the task");
        let progress = shards.entry((task, shard)).or_default();
        match &unit.state {
            UnitState::Open | UnitState::Closed => continue,
            UnitState::Assigned(assignment) => loads.entry(assignment.solver.clone()).or_default().assigned += 1,
            UnitState::Submitted(assignment, _) | UnitState::Challengeable(assignment, _) => {
                loads.entry(assignment.solver.clone()).or_default().awaiting += 1;
            }
            UnitState::Disputed(assignment, _) => {
                let load = loads.entry(assignment.solver.clone()).or_default();
                (load.awaiting, load.disputed) = (load.awaiting + 1, load.disputed + 1);
            }
            UnitState::Final(..) => progress.finals += 1,
        }
        progress.claimed += 1;
        *active.entry(task).or_default() += u32::from(!matches!(unit.state, UnitState::Final(..)));
    }
    assert_eq!(pallet_tasks::Loads::<Test>::iter().collect::<BTreeMap<_, _>>(), loads);
    for (task, entry) in pallet_tasks::Tasks::<Test>::iter() {
        assert_eq!(entry.active, active.get(&task).copied().unwrap_or(0));
        for shard in 0..entry.spec.shards {
            let counted = shards.get(&(task, shard)).copied().unwrap_or_default();
            assert_eq!(pallet_tasks::Shards::<Test>::get(task, shard), counted);
        }
    }
    let mut open: BTreeMap<AccountId, u32> = BTreeMap::new();
    for (_, _, duty) in Duties::<Test>::iter() {
        duty.verifiers.into_iter().for_each(|(who, _)| *open.entry(who).or_default() += 1);
    }
    for (_, _, watch) in Watches::<Test>::iter() {
        watch.matched.into_iter().for_each(|who| *open.entry(who).or_default() += 1);
    }
    for (_, _, _, _, attesters) in Disputed::get() {
        attesters.into_iter().for_each(|(who, _)| *open.entry(who).or_default() += 1);
    }
    assert_eq!(OpenDuties::<Test>::iter().collect::<BTreeMap<_, _>>(), open);
    for role in [Role::Solver, Role::Verifier] {
        let bonded = pallet_stakes::Bonds::<Test>::iter_prefix(role).count() as u32;
        assert_eq!(pallet_stakes::StakerCount::<Test>::get(role), bonded);
    }
}

/// Left alone, every claimed unit ends: final, or open again, or refunded.
fn check_rest(dice: &mut Dice) {
    for _ in 0..u32::from(MAX_DRAWS) + 4 {
        run(20);
        rotate();
    }
    while decide(dice).is_some() {}
    run(100);
    for (task, index, unit) in units() {
        let rests = matches!(unit.state, UnitState::Open | UnitState::Final(..) | UnitState::Closed);
        assert!(rests, "unit {task}/{index} is stuck: {unit:?}");
    }
    assert_eq!(Duties::<Test>::iter().count() + Watches::<Test>::iter().count(), 0);
    assert_eq!(TimerItems::<Test>::iter().count() + DueItems::<Test>::iter().count(), 0);
}

fn play(seed: u64, challenge_ppm: u32, steps: u32) -> BTreeMap<&'static str, u32> {
    let mut config = genesis();
    config.verification.challenge_ppm = challenge_ppm;
    test_ext(config).execute_with(|| {
        let mut dice = Dice(seed);
        let mut memory = Memory::default();
        for _ in 0..steps {
            step(&mut dice, &mut memory);
            System::reset_events();
            check_money();
            check_counters();
        }
        check_rest(&mut dice);
        check_money();
        check_counters();
        let finals = units().iter().filter(|(_, _, unit)| matches!(unit.state, UnitState::Final(..))).count();
        let refused = units().iter().filter(|(_, _, unit)| unit.attempt > 0).count();
        memory.accepted.insert("finals", finals as u32);
        memory.accepted.insert("relisted", refused as u32);
        memory.accepted
    })
}

#[test]
fn money_and_counters_agree_after_every_random_call() {
    let mut total: BTreeMap<&str, u32> = BTreeMap::new();
    for (seed, ppm) in [(1, 500_000), (2, 900_000), (3, 1_000_000), (4, 500_000)] {
        for (name, count) in play(seed, ppm, 700) {
            *total.entry(name).or_default() += count;
        }
    }
    println!("{total:?}");
    for name in [
        "post",
        "claim",
        "submit",
        "commit",
        "reveal",
        "reveal_solver",
        "stake",
        "close",
        "decide",
        "finals",
        "relisted",
    ] {
        assert!(total.get(name).copied().unwrap_or(0) > 0, "{name} never happened: {total:?}");
    }
}
