"""The demo's promises: each finding holds on good facts and fails on every kind of bad one."""

from dataclasses import replace

from devnet.checks import (
    BlockFact,
    EpochWork,
    GameOutcome,
    check_authors,
    check_cheater,
    check_epochs,
    check_game,
    check_model,
    check_shares,
    check_silence,
    check_slashes,
    check_unit,
    check_unseen,
    check_verification,
)

KEYS = [("fast" if n % 4 else "slow") for n in range(40)]
BLOCKS = [BlockFact(n, f"h{n}", f"s{n}", 100 + n, 2, key, key) for n, key in enumerate(KEYS)]
VIEW = {block.number: (block.hash, block.state_root) for block in BLOCKS}
MINERS = {"fast miner": "fast", "slow miner": "slow"}


def test_valid_authors() -> None:
    assert check_authors(BLOCKS, {"a": VIEW, "b": VIEW}).held


def test_invalid_author_of_one_block() -> None:
    blocks = [*BLOCKS[:-1], replace(BLOCKS[-1], sealer="other")]
    assert not check_authors(blocks, {"a": VIEW}).held


def test_invalid_unsealed_block() -> None:
    assert not check_authors([replace(BLOCKS[0], scheduled="", sealer="")], {"a": VIEW}).held


def test_invalid_state_root_on_one_node() -> None:
    assert not check_authors(BLOCKS, {"a": VIEW, "b": VIEW | {3: ("h3", "other")}}).held


def test_lagging_node_at_and_past_the_bound() -> None:
    two_short = {number: view for number, view in VIEW.items() if number < 38}
    three_short = {number: view for number, view in VIEW.items() if number < 37}
    assert check_authors(BLOCKS, {"a": two_short}).held
    assert not check_authors(BLOCKS, {"a": three_short}).held


def test_no_blocks_is_a_failure() -> None:
    assert not check_authors([], {"a": {}}).held


def test_valid_shares_follow_work() -> None:
    finding = check_shares(BLOCKS, [EpochWork(2, {"fast": 3.0, "slow": 1.0})], MINERS)
    assert finding.held and finding.figures["p"] == 1.0


def test_invalid_shares_against_work() -> None:
    assert not check_shares(BLOCKS, [EpochWork(2, {"fast": 1.0, "slow": 3.0})], MINERS).held


def test_shares_without_work_fail() -> None:
    assert not check_shares(BLOCKS, [EpochWork(2, {})], MINERS).held
    assert not check_shares(BLOCKS, [EpochWork(2, {"fast": 1.0})], MINERS).held


def test_cheater_needs_every_part() -> None:
    assert check_cheater(1, 5, 0, 0, 1).held
    for bad in ((0, 5, 0, 0, 1), (1, 0, 0, 0, 1), (1, 5, 0, 1, 1), (1, 5, 0, 0, 0)):
        assert not check_cheater(*bad).held


def test_model_must_improve() -> None:
    assert check_model(2.3, 0.4, "ab", "url").held
    assert not check_model(2.3, 2.3, "ab", "url").held
    assert not check_model(2.3, float("nan"), "ab", "url").held


def test_epochs_at_and_below_the_bound() -> None:
    assert check_epochs(4).held
    assert not check_epochs(3).held


def test_game_needs_the_liar_to_lose_within_the_bounds() -> None:
    good = GameOutcome(0, "Refuted", "honest", "liar", 40, 2**16, 50)
    assert check_game(good, "liar", is_by_chain=True).held
    assert check_game(replace(good, verdict="Clock"), "liar", is_by_chain=False).held
    for bad in (
        None, replace(good, loser="honest"), replace(good, transactions=41), replace(good, largest=2**17),
        replace(good, verdict="Clock"),
    ):  # fmt: skip
        assert not check_game(bad, "liar", is_by_chain=True).held


def test_slashes_hit_the_liar_alone_and_for_the_right_reason() -> None:
    assert check_slashes({"liar": 5, "honest": 0}, {"WrongResult"}, "liar", "WrongResult", 0).held
    assert not check_slashes({"liar": 5}, {"Unavailable"}, "liar", "WrongResult", 0).held
    assert not check_slashes({"liar": 0}, {"WrongResult"}, "liar", "WrongResult", 0).held
    assert not check_slashes({"liar": 5, "honest": 1}, {"WrongResult"}, "liar", "WrongResult", 0).held


SILENT = [(0, 3, "liar")]


def test_valid_silence_of_the_liar() -> None:
    assert check_silence(SILENT, 0, "liar", 0).held
    assert check_silence(SILENT * 2, 5, "liar", 0).held


def test_invalid_silence() -> None:
    assert not check_silence([], 4, "liar", 0).held
    assert not check_silence(SILENT, 0, "liar", 1).held
    assert not check_silence([*SILENT, (0, 2, "honest")], 0, "liar", 0).held
    assert not check_silence([(0, 2, "honest")], 0, "liar", 0).held


def test_disputed_unit_goes_where_it_belongs() -> None:
    assert check_unit(is_refused=True, is_final=False, is_liars=True).held
    assert not check_unit(is_refused=False, is_final=True, is_liars=True).held
    assert check_unit(is_refused=False, is_final=True, is_liars=False).held
    assert not check_unit(is_refused=False, is_final=False, is_liars=False).held


def test_verification_at_and_past_its_share() -> None:
    work = {"fast": 75e9, "slow": 25e9}
    assert check_verification(work, {"one": 1e9, "two": 2e9}).held
    assert not check_verification(work, {"one": 1e9, "two": 2.001e9}).held


def test_nothing_verified_or_nothing_executed_is_a_failure() -> None:
    assert not check_verification({"fast": 1e9}, {"one": 0.0}).held
    assert not check_verification({"fast": 0.0}, {"one": 1e9}).held


def test_an_unseen_unit_is_one_that_nobody_was_drawn_for() -> None:
    assert check_unseen((0, 1), [(0, 2)]).held
    assert check_unseen((0, 1), []).held
    assert not check_unseen((0, 1), [(0, 2), (0, 1)]).held
    assert not check_unseen((-1, -1), []).held
