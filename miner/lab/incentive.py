"""What cheating on a unit pays, by formula and by drawing units as the chain draws them (DESIGN §5).

A cheater leaves out k of a unit's n segments. It saves k/n of the cost C. It is caught when the unit is challenged,
one of the q drawn segments is among the k, and not all v drawn verifiers are its own; then it loses the price R and the
bond S. Formula: chance p · (1 − C(n−k, q)/C(n, q)) · (1 − r^v). Simulation: `consensus.protocol.units.compute_draw`,
which the Verification pallet makes with the same numbers (tests/vectors/protocol.json), over verifiers of equal stake,
a share r of them the cheater's.
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
BOND_FACTORS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Bonds of the third curve, in bonds of the setting."""
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


def measure(setting: Setting, share: float, at: float, runs: int, seed: int) -> Point:
    """One point of a curve."""
    cheated = count_cheated(setting, share)
    rate = simulate_detection(setting, cheated, runs, seed)
    error = sqrt(rate * (1 - rate) / runs) * setting.loss / setting.cost
    formula = compute_gain(setting, cheated, compute_detection(setting, cheated))
    return Point(at, formula, compute_gain(setting, cheated, rate), error)


def iterate_curves(
    setting: Setting, share: float, runs: int, seed: int, tell: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, list[Point]]]:
    """Three curves: over the share cheated, the attacker's share of verifiers, the bond; ``share`` for the last two."""
    tell("share cheated")
    yield "share cheated", [measure(setting, a, a, runs, seed) for a in SHARES]
    tell("attacker's share of verifiers")
    points = []
    for r in ATTACKER_SHARES:
        other = replace(setting, incentive=replace(setting.incentive, attacker_share=round(r * PPM)))
        points.append(measure(other, share, r, runs, seed))
    yield "attacker's share of verifiers", points
    tell("bond")
    points = []
    for factor in BOND_FACTORS:
        bond = round(factor * setting.incentive.bond)
        other = replace(setting, incentive=replace(setting.incentive, bond=bond))
        points.append(measure(other, share, bond / 10**12, runs, seed))
    yield "bond in UNIT", points
