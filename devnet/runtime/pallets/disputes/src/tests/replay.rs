//! Golden games (`tests/vectors/disputes/games.json.gz`) from Python's referee: every move leads where it leads there,
//! every bad move is refused with the same error and leaves no trace.

use super::*;
use codec::{Decode, Encode};
use pallet_tasks::{Assignment, DataRule, Submission, Task, TaskSpec, Unit};
use pallet_verification::Watch;
use serde_json::Value;
use sp_core::H256;
use sp_runtime::{traits::Dispatchable, DispatchError};
use std::{fs, path::PathBuf};

const TASK: u32 = 1;
const UNIT: u32 = 2;
/// The number that moves of the vectors name.
const GAME: GameId = 7;

pub fn games() -> Vec<Value> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../tests/vectors/disputes/games.json.gz"));
    let bytes = fs::read(path).expect("a file of the repository");
    // Python's gzip writes a header of 10 bytes without options.
    assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0], "gzip without options");
    let text = miniz_oxide::inflate::decompress_to_vec(&bytes[10..]).expect("a deflate stream");
    serde_json::from_slice(&text).expect("JSON")
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is a text"))
}

pub fn int(value: &Value) -> u32 {
    value.as_u64().expect("a number").try_into().expect("32 bits")
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn h256(value: &Value, key: &str) -> H256 {
    H256::from_slice(&hex(text(value, key)))
}

fn solver_of(unit: &Value) -> AccountId {
    AccountId::new(h256(unit, "solver").0)
}

/// Puts the vector's unit into its watch window, and gives money and bonds to its solver and `challengers`.
pub fn prepare(vector: &Value, challengers: &[AccountId]) {
    let (unit, now) = (&vector["unit"], int(&vector["open"]["block"]));
    System::set_block_number(now);
    let data = &unit["data"];
    let spec = TaskSpec {
        graph_root: h256(unit, "graph_root"),
        initial_state_root: h256(unit, "initial_state_root"),
        shards: 3,
        rounds: 1,
        segments_per_unit: int(&unit["segments_per_unit"]) as u16,
        steps_per_segment: int(&unit["steps_per_segment"]),
        node_count: int(&unit["node_count"]),
        state_count: int(&unit["state_count"]),
        data: DataRule {
            root: h256(data, "root"),
            arrays: int(&data["arrays"]),
            windows: data["windows"].as_bool().expect("a truth value"),
        },
        ..spec()
    };
    let mut task: Task<AccountId> = pallet_tasks::Tasks::<Test>::get(0).expect("posted");
    task.spec = spec;
    pallet_tasks::Tasks::<Test>::insert(TASK, task);
    let solver = solver_of(unit);
    let assignment = Assignment { solver: solver.clone(), seed: h256(unit, "seed"), assigned_at: 1, deadline: 2 };
    let submission = Submission {
        transcript_root: h256(unit, "transcript_root"),
        end_state_root: h256(unit, "end_state_root"),
        macs: MACS,
        submitted_at: 2,
        draw_epoch: 0,
    };
    let state = UnitState::Challengeable(assignment, submission);
    pallet_tasks::Units::<Test>::insert(TASK, UNIT, Unit { attempt: 0, state });
    pallet_tasks::Shards::<Test>::insert(TASK, 2, pallet_tasks::ShardProgress { finals: 0, claimed: 1 });
    let until = now + WATCH;
    let watch = Watch { until, matched: Default::default(), segments: Default::default(), second: false };
    pallet_verification::Watches::<Test>::insert(TASK, UNIT, watch);
    Params::<Test>::mutate(|params| params.clock_blocks = int(&vector["clock"]));
    for who in challengers.iter().chain([&solver]) {
        use frame_support::traits::fungible::Mutate;
        Balances::set_balance(who, START);
        bond(who, Role::Solver);
    }
}

/// Sends a call of the vectors, which name their game as `GAME`, as it came in a transaction.
pub fn send(who: &AccountId, call: &str, args: &[u8], game: GameId) -> Result<(), DispatchError> {
    const CALLS: [&str; 18] = [
        "open",
        "commit_history",
        "choose",
        "prove_witness",
        "narrow",
        "pick",
        "commit_trace",
        "prove_output",
        "refute_output",
        "prove_state",
        "refute_state",
        "open_node",
        "prove_state_input",
        "prove_link",
        "post_tile",
        "post_claims",
        "settle",
        "settle_data",
    ];
    let index = CALLS.iter().position(|name| *name == call).expect("a call of the pallet") as u8;
    let mut bytes = vec![15, index];
    if call == "open" {
        bytes.extend(args);
    } else {
        assert_eq!(args[..4], GAME.encode());
        bytes.extend(game.encode());
        bytes.extend(&args[4..]);
    }
    let mut rest = bytes.as_slice();
    let decoded = RuntimeCall::decode(&mut rest).expect("a call");
    assert!(rest.is_empty(), "{call} has {} bytes too many", rest.len());
    assert_eq!(decoded.encode(), bytes);
    decoded.dispatch(origin(who)).map(|_| ()).map_err(|error| error.error)
}

/// The game stands as the vector says.
fn check_game(after: &Value, name: &str) {
    let game = Games::<Test>::get(GAME).unwrap_or_else(|| panic!("{name} has ended"));
    assert_eq!(game.stage.encode(), hex(text(after, "stage")), "{name}: {:?}", game.stage);
    let turn = if text(after, "turn") == "defender" { Side::Defender } else { Side::Challenger };
    assert_eq!(game.turn, turn, "{name}");
    let clocks = [&after["clocks"][0], &after["clocks"][1]].map(int);
    assert_eq!([game.defender_clock, game.challenger_clock], clocks, "{name}");
    if after["place"].is_string() {
        let claim = game.place.unwrap_or_else(|| panic!("{name} has no place"));
        assert_eq!(claim.place.encode(), hex(text(after, "place")), "{name}");
        assert_eq!(claim.hash, h256(after, "hash"), "{name}");
    }
    if let Some(claims) = after["claims"].as_array() {
        let claims: Vec<H256> = claims.iter().map(|hash| H256::from_slice(&hex(hash.as_str().expect("hex")))).collect();
        assert_eq!(crate::Claims::<Test>::get(GAME).into_inner(), claims, "{name}");
    }
}

/// All bad moves are refused as in the vector, and together change nothing. Gives their number.
fn check_refused(list: &[Value], parties: &[AccountId; 2], name: &str) -> u32 {
    let root = || sp_io::storage::root(sp_runtime::StateVersion::V1);
    let before = root();
    for refused in list {
        let by = &parties[usize::from(text(refused, "by") == "challenger")];
        let given = send(by, text(refused, "call"), &hex(text(refused, "args")), GAME);
        let (wanted, code) = (text(refused, "error"), refused["code"].as_u64());
        let Err(DispatchError::Module(module)) = given else { panic!("{name}: {given:?} instead of {wanted}") };
        assert_eq!(module.message, Some(wanted), "{name}: {refused}");
        if let Some(code) = code {
            assert_eq!(u64::from(module.error[1]), code, "{name}: {refused}");
        }
    }
    assert_eq!(before, root(), "{name}: a refused move left a trace");
    list.len() as u32
}

fn play(vector: &Value) -> (u32, u32) {
    let challenger = watcher(1);
    let parties = [solver_of(&vector["unit"]), challenger.clone()];
    prepare(vector, std::slice::from_ref(&challenger));
    NextGame::<Test>::put(GAME);
    let opening = &vector["open"];
    let title = text(vector, "name");
    assert_ok!(send(&challenger, "open", &hex(text(opening, "args")), GAME));
    check_game(&opening["after"], title);
    let (mut moves, mut refusals) = (0, 0);
    for (number, step) in vector["moves"].as_array().expect("a list").iter().enumerate() {
        let name = format!("{title}, move {number}, {}", text(step, "call"));
        run_to(int(&step["block"]));
        let bad = step["refused"].as_array().map_or(&[][..], Vec::as_slice);
        refusals += check_refused(bad, &parties, &name);
        let by = &parties[usize::from(text(step, "by") == "challenger")];
        let given = send(by, text(step, "call"), &hex(text(step, "args")), GAME);
        assert!(given.is_ok(), "{name}: {given:?}");
        if step["after"].is_object() {
            check_game(&step["after"], &name);
        }
        moves += 1;
    }
    let end = &vector["end"];
    run_to(int(&end["block"]));
    let done = Ended::<Test>::get(GAME).unwrap_or_else(|| panic!("{title} goes on"));
    assert_eq!(format!("{:?}", done.verdict).to_lowercase(), text(end, "verdict"), "{title}");
    assert_eq!(format!("{:?}", done.winner.expect("decided")).to_lowercase(), text(end, "winner"), "{title}");
    assert_eq!(done.ended, int(&end["block"]), "{title}");
    check_money(&done, title);
    (moves, refusals)
}

/// The loser's money went to the winner for its share, and for the rest was burned.
fn check_money(done: &EndedGame<AccountId>, title: &str) {
    let free = |who: &AccountId| Balances::free_balance(who);
    if done.winner == Some(Side::Defender) {
        assert_eq!(free(&done.challenger), START - BOND - GAME_BOND, "{title}");
        assert_eq!(free(&done.defender), START - BOND + GAME_BOND / 2, "{title}");
    } else {
        run(1);
        assert_eq!(free(&done.challenger), START - BOND + BOND / 2, "{title}");
        assert_eq!((free(&done.defender), stake(Role::Solver, &done.defender)), (START - BOND, 0), "{title}");
        assert_eq!(pallet_tasks::Units::<Test>::get(TASK, UNIT).state, UnitState::Open);
    }
}

#[test]
fn golden_games_are_played_and_bad_moves_refused_as_in_python() {
    let mut total = (0, 0);
    for vector in games() {
        test_ext().execute_with(|| {
            let (moves, refusals) = play(&vector);
            total = (total.0 + moves, total.1 + refusals);
        });
    }
    println!("{} moves, {} refusals", total.0, total.1);
    assert!(total.0 > 400 && total.1 > 1_000);
}

/// Plays a golden game that the defender wins at once for many challengers, who each wait as long as their clock allows.
fn play_many(vector: &Value, count: u16) -> (u32, u32) {
    let solver = solver_of(&vector["unit"]);
    let challengers: Vec<AccountId> = (0..count).map(watcher).collect();
    prepare(vector, &challengers);
    let opened = System::block_number();
    for who in &challengers {
        assert_ok!(send(who, "open", &hex(text(&vector["open"], "args")), 0));
    }
    let moves = vector["moves"].as_array().expect("a list");
    let theirs = moves.iter().filter(|step| text(step, "by") == "challenger").count() as u32;
    let wait = CLOCK / theirs; // they spread their whole clock over their moves
    let mut sent = 0;
    for step in moves {
        let is_honest = text(step, "by") == "defender";
        run(if is_honest { 1 } else { wait });
        for (game, who) in challengers.iter().enumerate() {
            let by = if is_honest { &solver } else { who };
            assert_ok!(send(by, text(step, "call"), &hex(text(step, "args")), game as GameId));
            sent += u32::from(is_honest);
        }
    }
    assert_eq!(Games::<Test>::iter().count(), 0);
    (System::block_number() - opened, sent)
}

#[test]
fn any_number_of_challengers_is_answered_within_two_clock_periods() {
    let games = games();
    let vector = games.iter().find(|game| text(game, "name") == "sum of a part of K is right").expect("this game");
    for count in [1, 10, 100] {
        test_ext().execute_with(|| {
            let (blocks, sent) = play_many(vector, count);
            let each = sent / u32::from(count);
            println!("{count} challengers: {blocks} blocks, {sent} transactions of the defender, {each} a game");
            assert!(blocks <= 2 * CLOCK);
            for game in 0..GameId::from(count) {
                assert_eq!(ended(game), (Verdict::Proved, Some(Side::Defender)));
            }
            let reward = u128::from(count) * GAME_BOND / 2;
            assert_eq!(Balances::free_balance(solver_of(&vector["unit"])), START - BOND + reward);
            run(4); // up to 100 timers of ended games are looked at first, 32 a block
            let unit = pallet_tasks::Units::<Test>::get(TASK, UNIT);
            assert!(matches!(unit.state, UnitState::Challengeable(..)));
        });
    }
}

#[test]
fn silent_challengers_all_lose_within_two_clock_periods() {
    let games = games();
    let vector = games.iter().find(|game| text(game, "name") == "sum of a part of K is right").expect("this game");
    test_ext().execute_with(|| {
        let challengers: Vec<AccountId> = (0..100).map(watcher).collect();
        prepare(vector, &challengers);
        let first = &vector["moves"][0];
        for who in &challengers {
            assert_ok!(send(who, "open", &hex(text(&vector["open"], "args")), 0));
        }
        run(CLOCK); // the defender answers in its very last block
        for game in 0..100 {
            assert_ok!(send(&solver_of(&vector["unit"]), "commit_history", &hex(text(first, "args")), game));
        }
        run(CLOCK);
        assert_eq!(Games::<Test>::iter().count(), 100);
        run(4); // 32 clocks a block
        assert_eq!(Games::<Test>::iter().count(), 0);
        assert!((0..100).all(|game| ended(game) == (Verdict::Clock, Some(Side::Defender))));
    });
}
