"""An author that leaves others' transactions out of its blocks: a dispute move or a reveal that comes too late loses.

A deadline is missed if every block of its window is the censor's. So the question is how often a miner with a third of
an epoch's slots holds all W slots in a row. An epoch's list is a shuffle of N slots, c of them the censor's, drawn anew
from the beacon's seed for each epoch; k given positions of it are all the censor's with probability

    C(N − k, c − k) / C(N, c) = c (c − 1) … (c − k + 1) / (N (N − 1) … (N − k + 1)),

which is 0 for k > c. A window over an epoch's border is a product of two such terms, so above W = 2c nothing can be
censored at all, wherever the window lies. Counted is a window of W blocks without a missed slot: others' missed slots
are in nobody's favour, as windows are counted in blocks. Not counted: a censor that orphans honest blocks until GRANDPA
finalises them, and transactions that reach no honest author's pool.

Source: Alvarez et al., "BoLD" (2024), whose challenge periods are set by how long a party can censor. The draw is the
chain's own (`compute_schedule`, whose twin the pallet is). `pytest -s tests/attacks/test_censoring_author.py` prints
the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import pytest

from chain.open_chain import export_spec
from consensus.commit.hashing import AccountId, blake2_256
from consensus.protocol.block_rights import Allocation, compute_schedule, compute_work_slots

PRESETS = ("dev", "local", "test")
CENSOR, OTHERS = AccountId(bytes(32)), [AccountId(bytes([n]) * 32) for n in (1, 2)]
WINDOWS = {
    "reveal": ("verification", "revealBlocks"), "commit": ("verification", "commitBlocks"),
    "accuse": ("disputes", "accuseBlocks"), "clock": ("disputes", "clockBlocks"),
}  # fmt: skip
"""What a censor could make somebody miss, and where the genesis says how many blocks it takes."""

BOUNDS = {
    ("dev", "reveal"): 2e-6, ("local", "reveal"): 1e-16, ("test", "reveal"): 4e-4, ("local", "commit"): 1e-40,
    ("local", "accuse"): 1e-40,
}  # fmt: skip
"""Stated: most that a third can censor, for one window at its worst place; every window not named here is beyond it."""


@dataclass(frozen=True)
class Setting:
    """A preset: N slots of an epoch, a third of them by largest remainder, the cap of one miner, windows in blocks."""

    slots: int
    third: int
    cap: int
    windows: dict[str, int]


def load(preset: str) -> Setting:
    """The numbers of the committed runtime's preset."""
    genesis = export_spec(preset)["genesis"]["runtimeGenesis"]["patch"]
    slots = int(genesis["blockRights"]["slotsPerEpoch"])
    third = compute_work_slots({account: 1 for account in (CENSOR, *OTHERS)}, slots, slots)[CENSOR]
    cap = slots * int(genesis["blockRights"]["cap"]) // 10**6
    return Setting(slots, third, cap, {name: int(genesis[a][b]) for name, (a, b) in WINDOWS.items()})


def split(slots: int, start: int, length: int) -> list[int]:
    """How many slots of a window lie in each epoch that it touches."""
    parts = []
    while length:
        part = min(length, slots - start)
        parts.append(part)
        start, length = 0, length - part
    return parts


def compute_chance(slots: int, own: int, start: int, length: int) -> Fraction:
    """That all slots of a window are the censor's."""
    chance = Fraction(1)
    for part in split(slots, start, length):
        chance *= Fraction(math.perm(own, part), math.perm(slots, part))
    return chance


def worst(slots: int, own: int, length: int) -> Fraction:
    """The chance at the place of an epoch where it is largest."""
    return max(compute_chance(slots, own, start, length) for start in range(slots))


def expected_a_day(setting: Setting, own: int, length: int, slot_seconds: int) -> float:
    """Windows of this length that are all the censor's, expected in a day, begun at every slot."""
    mean = sum(compute_chance(setting.slots, own, start, length) for start in range(setting.slots)) / setting.slots
    return float(mean * 86_400 / slot_seconds)


def draw_lists(slots: int, own: int, count: int) -> list[bool]:
    """Whose the slots of `count` epochs in a row are, by the chain's own draw from `count` seeds."""
    allocation = Allocation(((CENSOR, own), (OTHERS[0], slots - own)), 0, 0)
    lists = (compute_schedule(allocation, blake2_256(b"seed", n.to_bytes(4, "little"))) for n in range(count))
    return [account == CENSOR for one in lists for account in one]


def test_a_third_of_an_epoch_by_largest_remainder() -> None:
    assert [load(preset).third for preset in PRESETS] == [7, 34, 4]
    assert [load(preset).slots for preset in PRESETS] == [20, 100, 12]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_third_cannot_censor_a_window(preset: str) -> None:
    setting = load(preset)
    for name, length in setting.windows.items():
        chance = worst(setting.slots, setting.third, length)
        at_cap = float(worst(setting.slots, setting.cap, length))
        print(
            f"{preset} {name}: {length} blocks, {setting.third} of {setting.slots} slots: {float(chance):.1e}; "
            f"at the cap of {setting.cap}: {at_cap:.1e}"
        )
        assert chance <= BOUNDS.get((preset, name), 0), name
        assert (chance == 0) == (length > 2 * setting.third)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_beacon_window_lies_in_one_epoch(preset: str) -> None:
    """Commits and reveals of the beacon have ⌊N/3⌋ slots each, which is at most what a third of the slots can cover."""
    setting = load(preset)
    chance = float(compute_chance(setting.slots, setting.third, 0, setting.slots // 3))
    print(f"{preset} beacon: {setting.slots // 3} slots: {chance:.1e} an epoch")
    assert chance < {"dev": 2e-4, "local": 1e-24, "test": 2.1e-3}[preset]


def test_the_shortest_window_is_where_the_bound_is_sharp() -> None:
    """Two c slots over a border can all be the censor's, one more cannot; and one window longer than an epoch never."""
    for slots, own in ((20, 7), (12, 4), (100, 34)):
        assert worst(slots, own, 2 * own) > 0 == worst(slots, own, 2 * own + 1)
    assert worst(12, 8, 12) > 0 == worst(12, 8, 17) == worst(12, 8, 26)


def test_the_formula_is_that_of_all_arrangements() -> None:
    """Two epochs of six slots, two of them the censor's: 15 · 15 arrangements, counted."""
    slots, own = 6, 2
    lists = [bits for bits in product((0, 1), repeat=slots) if sum(bits) == own]
    pairs = [(*first, *second) for first in lists for second in lists]
    for start, length in product(range(slots), range(1, 6)):
        hits = sum(all(pair[start : start + length]) for pair in pairs)
        assert compute_chance(slots, own, start, length) == Fraction(hits, len(pairs)), (start, length)


@pytest.mark.parametrize(("preset", "epochs"), [("dev", 6_000), ("local", 1_000), ("test", 10_000)])
def test_the_chains_own_draw_agrees_with_the_formula(preset: str, epochs: int) -> None:
    """Windows short enough to be seen, at every place of an epoch, borders included; error bars of five sigma.

    Epochs are independent, places in one are not: the bar is that of the mean over epochs, from the epochs themselves.
    """
    setting = load(preset)
    owned = draw_lists(setting.slots, setting.third, epochs + 1)
    for length in range(1, 5):
        counts = [
            sum(all(owned[at : at + length]) for at in range(first, first + setting.slots))
            for first in range(0, epochs * setting.slots, setting.slots)
        ]
        mean = sum(counts) / epochs
        spread = math.sqrt(sum((count - mean) ** 2 for count in counts) / (epochs - 1) / epochs)
        expected = float(sum(compute_chance(setting.slots, setting.third, at, length) for at in range(setting.slots)))
        print(f"{preset}: runs of {length} an epoch: {mean:.4f} ± {spread:.4f} drawn, {expected:.4f} computed")
        assert abs(mean - expected) <= 5 * spread + 1e-9


def test_no_window_of_a_reveal_was_censored_in_the_draws() -> None:
    """Presets dev and local; in `test`, whose 6 blocks are for tests, about one window in 10,000 is."""
    for preset, epochs in (("dev", 6_000), ("local", 1_000)):
        setting = load(preset)
        owned = draw_lists(setting.slots, setting.third, epochs)
        longest = max(len(run) for run in "".join("x" if one else " " for one in owned).split())
        print(
            f"{preset}: longest run in {len(owned)} slots: {longest}, a reveal has {setting.windows['reveal']} blocks"
        )
        assert longest < setting.windows["reveal"]


def test_a_third_waits_long_for_a_reveal_that_it_can_censor() -> None:
    dev, local, test = (load(preset) for preset in PRESETS)
    days = [
        1 / expected_a_day(dev, dev.third, dev.windows["reveal"], 1),
        1 / expected_a_day(local, local.third, local.windows["reveal"], 3),
        1 / expected_a_day(test, test.third, test.windows["reveal"], 1),
    ]
    print("days between reveal windows that a third holds:", ", ".join(f"{one:.3g}" for one in days))
    assert days[0] > 10
    assert days[1] > 1e9
