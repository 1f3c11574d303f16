"""When honesty is the best reply: p·(1 − r^v)·(R + S) > C, in integers (DESIGN §5, after Proof of Sampling).

Claims no more than its source does: a pure-strategy Nash equilibrium, given that costs and prices are as stated.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.commit.hashing import U128_MAX, FieldRangeError
from consensus.protocol.units import PPM

MAX_VERIFIERS = 8  # bound of `Duty.verifiers` on chain


class UnprofitableHonestyError(ValueError):
    """With these parameters skipping work would pay; chain and task are refused."""

    def __init__(self, gain: int, cost: int) -> None:
        super().__init__(
            f"p·(1−r^v)·(R+S) = {gain} plancks·10^12 does not exceed the cost {cost}; "
            "raise the price, the bond, the challenge share or the number of verifiers"
        )
        self.gain = gain
        self.cost = cost


@dataclass(frozen=True)
class Incentive:
    """p (`challenge_ppm`), r (`attacker_share`, ppm), v, R (`price`), S (`bond`) and the unit's MACs and their cost.

    Money is in plancks; `mac_cost` is plancks per 10^6 MACs.
    """

    challenge_ppm: int
    attacker_share: int
    verifiers: int
    price: int
    bond: int
    macs: int
    mac_cost: int


def compute_price_of_macs(macs: int, per_million: int) -> int:
    """⌈macs·per_million / 10^6⌉ plancks: the cost C with `macCost`, the least price with `floorPrice`."""
    return -(-macs * per_million // PPM)


def compute_all_verifiers_share(attacker_share: int, verifiers: int) -> int:
    """r^v in ppm, rounded up at each factor, so that the bound errs on the safe side."""
    share = PPM
    for _ in range(verifiers):
        share = -(-share * attacker_share // PPM)
    return share


def is_honesty_profitable(incentive: Incentive) -> bool:
    """Whether the inequality holds; raises `FieldRangeError` for values that the chain could not hold."""
    return _compute_gain(incentive) > _compute_cost(incentive)


def verify_incentive(incentive: Incentive) -> None:
    """Raises `UnprofitableHonestyError` unless the inequality holds. Still trusted: `mac_cost` and r."""
    if not is_honesty_profitable(incentive):
        raise UnprofitableHonestyError(_compute_gain(incentive), _compute_cost(incentive))


def _compute_gain(incentive: Incentive) -> int:
    _check(incentive)
    caught = PPM - compute_all_verifiers_share(incentive.attacker_share, incentive.verifiers)
    return incentive.challenge_ppm * caught * (incentive.price + incentive.bond)


def _compute_cost(incentive: Incentive) -> int:
    return compute_price_of_macs(incentive.macs, incentive.mac_cost) * PPM * PPM


def _check(incentive: Incentive) -> None:
    for name in ("challenge_ppm", "attacker_share"):
        if not 0 <= getattr(incentive, name) <= PPM:
            raise FieldRangeError(name, getattr(incentive, name), "between 0 and 10^6 ppm")
    if not 1 <= incentive.verifiers <= MAX_VERIFIERS:
        raise FieldRangeError("verifiers", incentive.verifiers, f"between 1 and {MAX_VERIFIERS}")
    for name in ("price", "bond", "macs", "mac_cost"):
        if not 0 <= getattr(incentive, name) <= U128_MAX:
            raise FieldRangeError(name, getattr(incentive, name), "a u128")
