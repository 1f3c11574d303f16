"""A game's events in words: who did what, deeper with each level, the verdict last."""

from typing import Any

from miner.disputes.story import GameEvent, describe_choice, describe_place, draw, tell

HASH = "0x" + "ab" * 32
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("Opened", {"game": 3, "task": 0, "unit": 2, "segment": 1, "defender": "5Dave", "challenger": "5Eve"}),
    ("HistoryCommitted", {"game": 3, "root": HASH}),
    ("Chosen", {"game": 3, "choice": "Descend"}),
    ("Narrowed", {"game": 3, "level": "History", "height": 3, "index": 0, "children": [HASH] * 5}),
    ("Picked", {"game": 3, "level": "History", "child": 2, "claimed": HASH, "counter": "0x" + "cd" * 32}),
    ("TraceCommitted", {"game": 3, "step": 2, "after": {}, "trace_root": HASH}),
    ("NodeOpened", {"game": 3, "index": 57, "op": "0x" + b"matmul".hex()}),
    ("ClaimsPosted", {"game": 3, "place": {"Tile": 0}, "claims": [HASH]}),
    ("Chosen", {"game": 3, "choice": "Result"}),
    ("Settled", {"game": 3, "place": {"Tile": 0}, "computed": {"Value": HASH}}),
    ("GameEnded", {"game": 3, "verdict": "Refuted", "winner": "5Eve", "loser": "5Dave"}),
]


def test_every_move_is_a_line() -> None:
    lines = tell([GameEvent(70 + number, name, data) for number, (name, data) in enumerate(EVENTS)])
    assert [line.block for line in lines] == list(range(70, 81))
    assert [line.side for line in lines[:3]] == ["challenger", "defender", "challenger"]
    depths = [line.depth for line in lines]
    assert depths == sorted(depths) and depths[0] == 0 and depths[-1] == 4
    text = "\n".join(draw(lines))
    for part in (
        "doubts segment 1 of unit 0/2", "5 hashes over steps", "picks 2: claimed 0xababababab…, counter 0xcdcdcdcdcd…",
        "node 57 (matmul)", "tile 0: posts 1 claims", "computes tile 0: hash", "5Eve wins, 5Dave loses",
    ):  # fmt: skip
        assert part in text


def test_events_of_no_move_are_left_out() -> None:
    assert tell([GameEvent(1, "Acquitted", {"task": 0, "unit": 0})]) == []


def test_places_and_choices() -> None:
    partial = {"Partial": {"quantity": "Sum", "of": 2, "level": 1, "index": 0}}
    assert describe_place(partial) == "partial Sum of set 2, level 1, number 0"
    assert describe_place({"Check": {"input": 1, "tile": 4}}) == "whether tile 4 of input 1 ends the unit"
    assert describe_choice({"Part": 3}) == "part 3 is wrong"
    assert describe_choice("Ends") == "the unit ends here, there is no value"
