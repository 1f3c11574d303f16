"""The cached plan: the same as the made one, made again when its file is damaged, refused when it is no plan."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from consensus.graph import Graph, GraphBuilder
from miner.kernels.native import cache, compiler, plan, planner
from miner.kernels.native.plan import HEAD_BYTES, PlanDamaged, decode_plan, encode_plan, get_plan
from miner.kernels.native.planner import make_plan
from miner.kernels.native.selftest import make_graph
from miner.models import build_task_graph
from tests.miner.kernels.programs import run_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("AIPOW_KERNEL_CACHE", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def small_graph(factor: float = 2.0) -> Graph:
    """A product with an epilogue, a gather, a constant: every kind of field."""
    g = GraphBuilder()
    x, w = g.input("batch", "x", "f32", (8, 16)), g.input("state", "w", "f32", (16, 8))
    product = g.matmul(x, w)
    g.output("result", "y", g.add("add", g.add("mul", product, g.f32(factor)), product))
    g.output("result", "rows", g.add("take_rows", x, g.input("batch", "index", "i64", (3,))))
    g.output("result", "count", g.add("iota", attrs={"n": 64}))
    return g.finish()


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.plan"))


@pytest.mark.parametrize("name", ["digits-mlp-tiny", "digits-mlp", "byte-gpt-tiny", "self-test", "small"])
def test_decoded_plan_is_the_made_one(name: str) -> None:
    special = {"self-test": make_graph, "small": small_graph}
    graph = special[name]() if name in special else build_task_graph(name)
    made = make_plan(graph)
    assert decode_plan(encode_plan(made), graph) == made


def test_plan_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = get_plan(small_graph())
    monkeypatch.setattr(planner, "make_plan", lambda *_: pytest.fail("planned again"))
    assert get_plan(small_graph()) == made
    assert len(entries(folder)) == 1 and entries(folder)[0].stat().st_mode & 0o077 == 0


def test_other_graph_other_checks_or_other_code_is_another_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get_plan(small_graph())
    get_plan(small_graph(3.0))
    get_plan(small_graph(), checked=False)
    monkeypatch.setattr(plan, "compute_code_digest", lambda: b"another version")
    get_plan(small_graph())
    assert len(entries(folder)) == 4


def test_digest_is_of_the_code_that_plans() -> None:
    names = {file.name for folder in cache.CODE for file in folder.glob("*.py*")}
    assert {"planner.py", "lower.py", "rows.py", "writer.py", "selftest.py", "ops.py", "transcendental.py"} <= names


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:20], lambda data: data[:-1], lambda data: data + b"x",
     lambda data: flip(data, 3), lambda data: flip(data, 200), lambda data: flip(data, len(data) - 1)],
    ids=["empty", "no digest", "cut", "longer", "digest", "text", "constants"],
)  # fmt: skip
def test_damaged_plan_is_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    made = get_plan(small_graph())
    file = entries(folder)[0]
    stored = file.read_bytes()
    file.write_bytes(damage(stored))
    assert get_plan(small_graph()) == made
    assert file.read_bytes() == stored


def test_plan_of_another_graph_is_not_taken(folder: Path) -> None:
    made = get_plan(small_graph())
    mine = entries(folder)[0]
    get_plan(small_graph(3.0))
    other = next(file for file in entries(folder) if file != mine)
    shutil.copy(other, mine)
    assert get_plan(small_graph()) == made


def test_link_is_not_taken(folder: Path) -> None:
    made = get_plan(small_graph())
    file = entries(folder)[0]
    file.rename(folder / "elsewhere")
    file.symlink_to(folder / "elsewhere")
    assert get_plan(small_graph()) == made
    assert not file.is_symlink()


def test_entry_that_is_no_plan_is_made_again(folder: Path) -> None:
    made = get_plan(small_graph())
    cache.store_entry(entries(folder)[0].name, b"junk")
    assert get_plan(small_graph()) == made
    assert decode_plan(cache.load_entry(entries(folder)[0].name) or b"", small_graph()) == made


def test_full_disk_leaves_nothing_and_the_plan_is_had(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert get_plan(small_graph()) == make_plan(small_graph())
    assert [file.name for file in folder.iterdir()] == ["lock"]


def test_cache_that_others_hold_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "STORE_SECONDS", 0.05)
    folder.mkdir(mode=0o700)
    with FileLock(folder / "lock"):
        assert get_plan(small_graph()) == make_plan(small_graph())
    assert not entries(folder)


def test_plan_that_is_too_large_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(encode_plan(make_plan(small_graph())))
    monkeypatch.setattr(cache, "MAX_ENTRY_BYTES", size - 1)
    assert get_plan(small_graph()) == make_plan(small_graph()) and not entries(folder)
    monkeypatch.setattr(cache, "MAX_ENTRY_BYTES", size)
    get_plan(small_graph())
    assert len(entries(folder)) == 1


def test_longest_unused_plans_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get_plan(small_graph())
    first = entries(folder)[0]
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", first.stat().st_size + 1)
    get_plan(small_graph(3.0))
    assert not first.exists() and len(entries(folder)) == 1


Document = dict[str, Any]


def find_address(document: Document, block: int) -> int:
    return int(document["bases"].index(block))


EDITS: dict[str, Callable[[Document], Any]] = {
    "no calls": lambda d: d.pop("calls"),
    "calls of another form": lambda d: d["calls"].append([1, 2]),
    "a block that is none": lambda d: d["bases"].__setitem__(2, 99),
    "a place behind the error": lambda d: d["offsets"].__setitem__(0, 4),
    "a place behind the arena": lambda d: d["offsets"].__setitem__(find_address(d, 1), d["bytes"][0]),
    "a place behind an input": lambda d: d["offsets"].__setitem__(find_address(d, 4), 2**20),
    "a negative place": lambda d: d["offsets"].__setitem__(1, -4),
    "a place beyond all numbers": lambda d: d["offsets"].__setitem__(1, 2**70),
    "a place that is no number": lambda d: d["offsets"].__setitem__(1, "0"),
    "a block that is a truth value": lambda d: d["bases"].__setitem__(1, True),
    "a place less": lambda d: d["offsets"].pop(),
    "addresses that are not there": lambda d: d["calls"][0].__setitem__(5, len(d["bases"])),
    "a product at the end of the addresses": lambda d: next(c for c in d["calls"] if c[3]).__setitem__(
        5, len(d["bases"]) - 5
    ),
    "a smaller output block": lambda d: d["bytes"].__setitem__(1, 64),
    "a negative arena": lambda d: d["bytes"].__setitem__(0, -1),
    "an unknown function": lambda d: d["calls"][0].__setitem__(0, "system"),
    "neither function nor product": lambda d: d["calls"][0].__setitem__(0, ""),
    "a product of too few numbers": lambda d: next(c for c in d["calls"] if c[3])[3].pop(),
    "a failure of no node": lambda d: d["calls"][0].__setitem__(7, [[2**20, "index"]]),
    "an output less": lambda d: d["outputs"].pop(),
    "an unknown input": lambda d: d["inputs"].append(["batch", "z"]),
    "sources that are a list": lambda d: d.__setitem__("sources", []),
}


@pytest.mark.parametrize("edit", EDITS)
def test_document_that_is_no_plan_is_refused(edit: str) -> None:
    made = make_plan(small_graph())
    text = encode_plan(made)[HEAD_BYTES : -len(made.constants)]
    document = json.loads(text)
    EDITS[edit](document)
    changed = json.dumps(document).encode()
    data = len(changed).to_bytes(HEAD_BYTES, "little") + changed + made.constants
    with pytest.raises(PlanDamaged):
        decode_plan(data, small_graph())


def test_any_bytes_are_a_plan_or_refused() -> None:
    graph, draw = small_graph(), random.Random(5)
    data = encode_plan(make_plan(graph))
    refused = 0
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(data))] = draw.choice(b'0123456789[]{},:"-x\\\x00\xff')
        try:
            decode_plan(bytes(changed[: draw.choice([len(data), len(data), draw.randrange(len(data))])]), graph)
        except PlanDamaged:
            refused += 1
    assert refused > 100


@pytest.mark.skipif(not any(map(shutil.which, compiler.CANDIDATES)), reason="no C compiler")
def test_training_from_the_cache_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_model("digits-mlp-tiny", 5, "native")[0]
    monkeypatch.setattr(planner, "make_plan", lambda *_: pytest.fail("planned again"))
    assert run_model("digits-mlp-tiny", 5, "native")[0] == first
