"""Credits to slots: weights with decay, bootstrap share, cap, largest remainder, shuffle (DESIGN §7).

The BlockRights pallet is the twin of this file; `tests/vectors/protocol.json` keeps them equal. All integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consensus.commit.hashing import U64_MAX, AccountId, FieldRangeError, Hash32, encode_hash, encode_u32
from consensus.protocol.units import PPM, rng16


@dataclass(frozen=True)
class BlockRightsRules:
    """Genesis values; shares in ppm (`Permill`), `slots_per_epoch` = N."""

    slots_per_epoch: int
    decay: int
    cap: int
    bootstrap_initial: int
    bootstrap_step: int
    bootstrap_floor: int


@dataclass(frozen=True)
class Allocation:
    """Slots of each account (ascending by account, none is 0) and the network's difficulty in MACs per slot."""

    slots: tuple[tuple[AccountId, int], ...]
    bootstrap_slots: int
    credits_per_slot: int


def compute_weights(credits_by_age: Sequence[Mapping[AccountId, int]], decay: int) -> dict[AccountId, int]:
    """Weight of each account in ppm-MACs; `credits_by_age[k]` holds the MACs finalised in epoch e − k."""
    weights: dict[AccountId, int] = {}
    factor = PPM
    for epoch_credits in credits_by_age:
        for account, macs in epoch_credits.items():
            weights[account] = weights.get(account, 0) + macs * factor
        factor = factor * decay // PPM
    return {account: weight for account, weight in sorted(weights.items()) if weight > 0}


def compute_bootstrap_share(rules: BlockRightsRules, total_weight: int, epochs_with_work: int) -> int:
    """Share of the bootstrap accounts in ppm; everything while there is no work."""
    if total_weight == 0:
        return PPM
    return min(PPM, max(rules.bootstrap_floor, rules.bootstrap_initial - rules.bootstrap_step * epochs_with_work, 0))


def compute_work_slots(weights: Mapping[AccountId, int], slots: int, cap_slots: int) -> dict[AccountId, int]:
    """Divides `slots` by weight, none above `cap_slots`; what no account may take is missing from the sum."""
    left = {account: weight for account, weight in sorted(weights.items()) if weight > 0}
    result: dict[AccountId, int] = {}
    while left:
        total = sum(left.values())
        capped = [account for account, weight in left.items() if weight * slots >= cap_slots * total]
        if not capped:
            break
        for account in capped:
            result[account] = cap_slots
            slots -= cap_slots
            del left[account]
    if left:
        result.update(_compute_largest_remainder(left, slots))
    return result


def compute_allocation(
    rules: BlockRightsRules,
    weights: Mapping[AccountId, int],
    bootstrap: Sequence[AccountId],
    epochs_with_work: int,
) -> Allocation:
    """Slots of the next epoch. `weights` holds only accounts that may author (keys, eligible, no beacon no-show).

    Raises `FieldRangeError` when there is nobody to fall back on.
    """
    if not bootstrap:
        raise FieldRangeError("bootstrap", 0, "at least one account, so that the chain lives without work")
    n = rules.slots_per_epoch
    total = sum(weights.values())
    share = compute_bootstrap_share(rules, total, epochs_with_work)
    reserved = -(-n * share // PPM)
    work_slots = n - reserved
    slots = compute_work_slots(weights, work_slots, n * rules.cap // PPM)
    bootstrap_slots = n - sum(slots.values())
    each, extra = divmod(bootstrap_slots, len(bootstrap))
    for position, account in enumerate(bootstrap):
        slots[account] = slots.get(account, 0) + each + (1 if position < extra else 0)
    difficulty = min(U64_MAX, total // PPM // work_slots) if work_slots else 0
    return Allocation(tuple(sorted((a, s) for a, s in slots.items() if s > 0)), bootstrap_slots, difficulty)


def compute_schedule(allocation: Allocation, seed: bytes) -> tuple[AccountId, ...]:
    """The epoch's slots in order: the allocation spread out and shuffled with the beacon's seed."""
    schedule = [account for account, slots in allocation.slots for _ in range(slots)]
    for i in range(len(schedule) - 1, 0, -1):
        j = rng16(b"shuffle/v1", encode_hash(Hash32(seed)), encode_u32(i, "i")) % (i + 1)
        schedule[i], schedule[j] = schedule[j], schedule[i]
    return tuple(schedule)


def _compute_largest_remainder(weights: Mapping[AccountId, int], slots: int) -> dict[AccountId, int]:
    total = sum(weights.values())
    result = {account: weight * slots // total for account, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda account: (-(weights[account] * slots % total), account))
    for account in by_remainder[: slots - sum(result.values())]:
        result[account] += 1
    return result
