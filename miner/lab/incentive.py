"""What cheating on a unit pays, by formula and by simulation (DESIGN §5).

A cheater leaves out k of a unit's n segments. It saves k/n of the cost C. It is caught when the unit is challenged,
one of the q drawn segments is among the k, and not all v drawn verifiers are its own; then it loses the price R and the
bond S. Formula: chance p · (1 − C(n−k, q)/C(n, q)) · (1 − r^v). Two simulations, over verifiers of equal stake, a share
r of them the cheater's: by draws alone (`consensus.protocol.units.compute_draw`, which the Verification pallet makes
with the same numbers, tests/vectors/protocol.json), and by playing whole units on the pallets (`miner/lab/pallet.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil, comb, sqrt

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.protocol.economics import Incentive, compute_price_of_macs, verify_incentive
from consensus.protocol.units import PPM, DrawRules, UnitRef, compute_draw

POPULATION = 120
"""Simulated verifiers: so many that drawing without replacement is near r^v."""
STAKE = 100 * 10**12
SOLVER = AccountId(blake2_256(b"lab/solver"))
SHARES = tuple(i / 10 for i in range(1, 11))
"""Shares cheated of the first curve."""
ATTACKER_SHARES = tuple(i / 10 for i in range(10))
BOND_FACTORS = (0.01, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Bonds of the third curve, in bonds of the setting. Not 0: a unit without a bond is not verified (NoBond)."""
POINTS = len(SHARES) + len(ATTACKER_SHARES) + len(BOND_FACTORS)
SIGMAS = 3.0
"""Formula and simulation agree within so many standard errors."""


@dataclass(frozen=True)
class Setting:
    """Parameters of chain and task; money in plancks."""

    incentive: Incentive
    drawn_segments: int
    """q"""
    segments: int
    """n"""

    @property
    def cost(self) -> int:
        """C: what the unit's MACs cost an honest solver."""
        return compute_price_of_macs(self.incentive.macs, self.incentive.mac_cost)

    @property
    def loss(self) -> int:
        """R + S: what a caught cheater goes without."""
        return self.incentive.price + self.incentive.bond

    @property
    def margin(self) -> float:
        """p · (1 − r^v) · (R + S) / C: above 1 honesty is the best reply, and the chain accepts the parameters."""
        return compute_detection(self, self.segments) * self.loss / self.cost


class UnexpectedOutcome(Exception):
    """Units played on the pallets ended in another way than verified or refused with the whole bond lost."""


Detection = Callable[["Setting", int, int, int], float]
"""(setting, segments cheated, runs, seed) → share of the runs in which the cheater is caught."""


@dataclass(frozen=True)
class Point:
    """What cheating gains over honesty, in costs C of a unit."""

    at: float
    formula: float
    simulated: float
    error: float
    """Standard error of the simulation."""

    @property
    def agrees(self) -> bool:
        """Whether the two are within `SIGMAS` standard errors (exactly equal where nothing is left to chance)."""
        return abs(self.formula - self.simulated) <= SIGMAS * self.error + 1e-9 * max(1.0, abs(self.formula))


def verify_setting(setting: Setting) -> None:
    """Raises `UnprofitableHonestyError` where the chain would refuse the parameters, `FieldRangeError`."""
    verify_incentive(setting.incentive)


def count_cheated(setting: Setting, share: float) -> int:
    """k: segments left out when a share of the work is, at least one."""
    return max(1, ceil(share * setting.segments - 1e-9))


def compute_detection(setting: Setting, cheated: int) -> float:
    """Chance that a unit with so many segments left out is caught."""
    n, q = setting.segments, min(setting.drawn_segments, setting.segments)
    hit = 1 - comb(n - cheated, q) / comb(n, q)
    own = (setting.incentive.attacker_share / PPM) ** setting.incentive.verifiers
    return setting.incentive.challenge_ppm / PPM * hit * (1 - own)


def compute_gain(setting: Setting, cheated: int, detection: float) -> float:
    """Saved cost less expected loss, in costs C."""
    return cheated / setting.segments - detection * setting.loss / setting.cost


def simulate_detection(setting: Setting, cheated: int, runs: int, seed: int) -> float:
    """Share of ``runs`` drawn units in which the cheater is caught."""
    own = round(setting.incentive.attacker_share / PPM * POPULATION)
    accounts = [AccountId(blake2_256(b"lab/verifier", i.to_bytes(4, "little"))) for i in range(POPULATION)]
    mine, stakes = set(accounts[:own]), dict.fromkeys(accounts, STAKE)
    rules = DrawRules(setting.incentive.challenge_ppm, setting.drawn_segments, setting.incentive.verifiers)
    beacon: Hash32 = blake2_256(b"lab/beacon", seed.to_bytes(8, "little"))
    caught = 0
    for run in range(runs):
        draw = compute_draw(beacon, UnitRef(0, run, 0), rules, setting.segments, stakes, SOLVER)
        is_hit = any(segment < cheated for segment in draw.segments)
        caught += bool(is_hit and draw.verifiers and not mine.issuperset(draw.verifiers))
    return caught / runs


def play_detection(setting: Setting, cheated: int, runs: int, seed: int) -> float:
    """Share of ``runs`` units, played on the pallets, that were refused, by what their solvers lost of their bonds.

    Raises `GenesisRejected` where the chain refuses the parameters, `UnexpectedOutcome` when units ended otherwise.
    """
    from miner.lab.pallet import CheaterPlay

    tally = CheaterPlay(setting.incentive, setting.drawn_segments, setting.segments, cheated, seed).play(runs)
    if tally.final + tally.caught != runs or tally.slashed != tally.caught * setting.incentive.bond:
        raise UnexpectedOutcome(f"{tally} with bonds of {setting.incentive.bond} plancks")
    return tally.caught / runs


def measure(
    setting: Setting, share: float, at: float, runs: int, seed: int, detect: Detection = simulate_detection
) -> Point:
    """One point of a curve."""
    cheated = count_cheated(setting, share)
    rate = detect(setting, cheated, runs, seed)
    error = sqrt(rate * (1 - rate) / runs) * setting.loss / setting.cost
    formula = compute_gain(setting, cheated, compute_detection(setting, cheated))
    return Point(at, formula, compute_gain(setting, cheated, rate), error)


def iterate_curves(
    setting: Setting, share: float, runs: int, seed: int, tell: Callable[[str], None] = lambda _: None,
    detect: Detection = simulate_detection,
) -> Iterator[tuple[str, list[Point]]]:  # fmt: skip
    """Three curves: over the share cheated, the attacker's share of verifiers, the bond; ``share`` for the last two.
    ``runs`` units a point."""

    def draw(name: str, settings: list[tuple[float, float, Setting]]) -> tuple[str, list[Point]]:
        points = []
        for position, (at, cheated, other) in enumerate(settings):
            tell(f"{name}, point {position + 1} of {len(settings)}")
            points.append(measure(other, cheated, at, runs, seed + position, detect))
        return name, points

    def change(**money: int) -> Setting:
        return replace(setting, incentive=replace(setting.incentive, **money))

    yield draw("share cheated", [(a, a, setting) for a in SHARES])
    shares = [(r, share, change(attacker_share=round(r * PPM))) for r in ATTACKER_SHARES]
    yield draw("attacker's share of verifiers", shares)
    bonds = [round(factor * setting.incentive.bond) for factor in BOND_FACTORS]
    yield draw("bond in UNIT", [(bond / 10**12, share, change(bond=bond)) for bond in bonds])
