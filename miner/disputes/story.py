"""A dispute in words: the events of a game become the lines of a tree, one a move, deeper with each level.

The events are plain values, as a JSON-RPC library gives them. Everything that is shown stands on chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SHORT_HEX = 10
"""Digits of a hash that are shown."""

TREES = {"History": "steps", "Trace": "nodes", "State": "tensors of the new state", "Tiles": "tiles"}
"""What the leaves of each level's tree are."""


@dataclass(frozen=True)
class GameEvent:
    """An event of one game: the block, its name, its data."""

    block: int
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the tree: block, who moved, how deep, what."""

    block: int
    side: str
    depth: int
    text: str


def tell(events: Sequence[GameEvent]) -> list[Line]:
    """The lines of a game's events in their order."""
    lines: list[Line] = []
    depth = 0
    for event in events:
        if event.name not in _TELLERS:
            continue
        side, deeper, tell_one = _TELLERS[event.name]
        lines.append(Line(event.block, side, depth, tell_one(event.data)))
        depth += deeper
    return lines


def draw(lines: Sequence[Line]) -> list[str]:
    """The lines as text: block and side in columns, then the tree."""
    return [f"{line.block:>7}  {line.side:<10}  {'│  ' * line.depth}├─ {line.text}" for line in lines]


def describe_place(place: Any) -> str:
    """A place of a node in words: `tile 3`, `element 17`, `sum of set 2, level 1, node 0`."""
    if not isinstance(place, dict):
        return str(place)
    kind, data = next(iter(place.items()))
    if kind == "Partial":
        return f"partial {data['quantity']} of set {data['of']}, level {data['level']}, number {data['index']}"
    if kind == "Check":
        return f"whether tile {data['tile']} of input {data['input']} ends the unit"
    return f"{kind.lower()} {data}"


def describe_choice(choice: Any) -> str:
    """What a challenger chose, in words."""
    if isinstance(choice, dict):
        kind, number = next(iter(choice.items()))
        return {"Input": f"input {number} is not what the trace has", "Part": f"part {number} is wrong"}.get(
            kind, f"{kind} {number}"
        )
    return {
        "Descend": "one of its parts is wrong",
        "Witness": "the witness is not that of the losses",
        "Loss": "the loss is not the trace's",
        "GradNorm": "the gradient norm is not the trace's",
        "State": "the new state is not the trace's",
        "Ends": "the unit ends here, there is no value",
        "Result": "all parts are right, the result is not",
    }.get(str(choice), str(choice))


def shorten(value: object) -> str:
    """The first digits of a hash."""
    text = str(value)
    return text[: 2 + SHORT_HEX] + "…" if text.startswith("0x") else text


def _tell_pick(data: dict[str, Any]) -> str:
    return f"picks {data['child']}: claimed {shorten(data['claimed'])}, counter {shorten(data['counter'])}"


def _tell_narrowing(data: dict[str, Any]) -> str:
    count, what = len(data["children"]), TREES.get(data["level"], data["level"])
    return f"lays open {count} hashes over {what} (height {data['height']}, node {data['index']})"


def _tell_answer(data: dict[str, Any]) -> str:
    kind, value = next(iter(data["computed"].items()))
    answer = f"hash {shorten(value)}" if kind == "Value" else f"the unit ends there ({value})"
    return f"computes {describe_place(data['place'])}: {answer}"


def _tell_end(data: dict[str, Any]) -> str:
    if data["winner"] is None:
        return "the game is moot"
    why = {"Proved": "what was picked is right", "Refuted": "what was picked is wrong", "Clock": "a clock ran out"}
    return f"{why.get(data['verdict'], data['verdict'])}: {data['winner']} wins, {data['loser']} loses"


_Teller = tuple[str, int, Callable[[dict[str, Any]], str]]
"""Who moved, by how much the lines after it are deeper, and the words."""

_TELLERS: dict[str, _Teller] = {
    "Opened": ("challenger", 1, lambda d: f"doubts segment {d['segment']} of unit {d['task']}/{d['unit']}"),
    "HistoryCommitted": ("defender", 0, lambda d: f"commits to the steps, root {shorten(d['root'])}"),
    "Chosen": ("challenger", 0, lambda d: describe_choice(d["choice"])),
    "Narrowed": ("defender", 0, _tell_narrowing),
    "Picked": ("challenger", 0, _tell_pick),
    "TraceCommitted": (
        "defender", 1, lambda d: f"step {d['step']}: commits to all node values, root {shorten(d['trace_root'])}"
    ),
    "NodeOpened": ("defender", 1, lambda d: f"node {d['index']} ({_read_name(d['op'])}): opens value and inputs"),
    "TilePosted": ("defender", 1, lambda d: f"posts tile {d['tile']}"),
    "ClaimsPosted": (
        "defender", 1, lambda d: f"{describe_place(d['place'])}: posts {len(d['claims'])} claims that it rests on"
    ),
    "Settled": ("chain", 0, _tell_answer),
    "GameEnded": ("chain", 0, _tell_end),
}  # fmt: skip


def _read_name(value: str) -> str:
    """A byte string that is text."""
    return bytes.fromhex(value[2:]).decode(errors="replace") if value.startswith("0x") else value
