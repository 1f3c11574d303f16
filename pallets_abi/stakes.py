"""Pallet Stakes (index 10).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


class Role(StrEnum):
    """pallet_stakes::types::Role."""

    SOLVER = "Solver"

    VERIFIER = "Verifier"


@dataclass(frozen=True)
class BondCall(Call):
    """Adds `amount` plancks of the sender's free balance to its bond in `role`. The bond must reach the role's minimum."""

    PALLET: ClassVar[str] = "Stakes"
    FUNCTION: ClassVar[str] = "bond"

    role: Role
    amount: int


@dataclass(frozen=True)
class UnbondCall(Call):
    """Starts to take `amount` plancks out of the sender's bond in `role`. What stays must be nothing or at least the
    role's minimum. The money can still be slashed until it is withdrawn.
    """

    PALLET: ClassVar[str] = "Stakes"
    FUNCTION: ClassVar[str] = "unbond"

    role: Role
    amount: int


@dataclass(frozen=True)
class WithdrawUnbondedCall(Call):
    """Frees all money of the sender whose unbonding in `role` has come to its end. Refused while the account has
    unfinished duties in that role.
    """

    PALLET: ClassVar[str] = "Stakes"
    FUNCTION: ClassVar[str] = "withdraw_unbonded"

    role: Role


@dataclass(frozen=True)
class SetEndpointCall(Call):
    """Publishes the URL of the sender's blob server; an empty one takes it back."""

    PALLET: ClassVar[str] = "Stakes"
    FUNCTION: ClassVar[str] = "set_endpoint"

    endpoint: bytes


@dataclass(frozen=True)
class BondedEvent(Event):
    """An account added to its bond in a role."""

    PALLET: ClassVar[str] = "Stakes"
    NAME: ClassVar[str] = "Bonded"

    account: AccountId
    """The account."""
    role: Role
    """The role the bond is for."""
    amount: int
    """What was added, plancks."""
    total: int
    """The active bond afterwards, plancks."""


@dataclass(frozen=True)
class UnbondStartedEvent(Event):
    """An account started to take money out of its bond."""

    PALLET: ClassVar[str] = "Stakes"
    NAME: ClassVar[str] = "UnbondStarted"

    account: AccountId
    """The account."""
    role: Role
    """The role the bond is for."""
    amount: int
    """What is unbonding, plancks."""
    until: int
    """First block in which it may be withdrawn."""


@dataclass(frozen=True)
class WithdrawnEvent(Event):
    """An account got unbonded money back."""

    PALLET: ClassVar[str] = "Stakes"
    NAME: ClassVar[str] = "Withdrawn"

    account: AccountId
    """The account."""
    role: Role
    """The role the bond was for."""
    amount: int
    """What was released, plancks."""


@dataclass(frozen=True)
class EndpointSetEvent(Event):
    """An account published the URL of its blob server."""

    PALLET: ClassVar[str] = "Stakes"
    NAME: ClassVar[str] = "EndpointSet"

    account: AccountId
    """The account."""
    endpoint: bytes
    """The URL; empty when it was taken back."""


class SlashReason(StrEnum):
    """pallet_stakes::types::SlashReason."""

    WRONG_RESULT = "WrongResult"

    NO_SOLVER_REVEAL = "NoSolverReveal"

    NO_VERIFIER_REVEAL = "NoVerifierReveal"

    UNAVAILABLE = "Unavailable"

    BEACON_NO_SHOW = "BeaconNoShow"

    COMMIT_MISMATCH = "CommitMismatch"

    WRONG_ATTESTATION = "WrongAttestation"

    EQUIVOCATION = "Equivocation"

    FALSE_CLAIM = "FalseClaim"


@dataclass(frozen=True)
class SlashedEvent(Event):
    """Money of a bond was taken for misbehaviour, and burned but for a winner's share."""

    PALLET: ClassVar[str] = "Stakes"
    NAME: ClassVar[str] = "Slashed"

    account: AccountId
    """The account that lost it."""
    role: Role
    """The role whose bond answered."""
    amount: int
    """What was really taken, plancks."""
    reason: SlashReason
    """What for."""


@dataclass(frozen=True)
class StakesParams:
    """pallet_stakes::types::StakesParams."""

    min_solver_bond: int
    min_verifier_bond: int
    unbonding_blocks: int
    penalty: int


class StakesError(StrEnum):
    """Errors of the calls of pallet Stakes."""

    ZERO_AMOUNT = "ZeroAmount"
    """The amount is zero: name a positive number of plancks."""

    BELOW_MINIMUM = "BelowMinimum"
    """The bond would be below the minimum of the role: bond more, or unbond everything."""

    TOO_MANY_STAKERS = "TooManyStakers"
    """As many accounts as allowed are bonded in this role: wait until one leaves."""

    INSUFFICIENT_BOND = "InsufficientBond"
    """More was asked for than is bonded: unbond at most the active bond."""

    TOO_MANY_UNBONDINGS = "TooManyUnbondings"
    """As many unbondings as allowed are under way: withdraw finished ones first."""

    NOTHING_TO_WITHDRAW = "NothingToWithdraw"
    """No unbonding of this role has come to its end: wait for its block."""

    OBLIGED = "Obliged"
    """The account has unfinished duties in this role, for which its bond answers: finish them first."""

    BAD_ENDPOINT = "BadEndpoint"
    """The endpoint is no http or https URL in printable ASCII."""


PARAMS: StorageItem[StakesParams] = StorageItem("Stakes", "Params", (), StakesParams, False)
"""Parameters, set at genesis."""

BONDS: StorageItem[int] = StorageItem("Stakes", "Bonds", (Role, AccountId,), int, False)
"""Active bond of an account in a role, plancks; absent when nothing is bonded."""

UNBONDING: StorageItem[list[tuple[int, int]]] = StorageItem("Stakes", "Unbonding", (Role, AccountId,), list[tuple[int, int]], False)
"""Unbondings under way: amount in plancks and the first block in which it may be withdrawn, oldest first."""

STAKER_COUNT: StorageItem[int] = StorageItem("Stakes", "StakerCount", (Role,), int, False)
"""Number of accounts with an active bond in a role; at most `MaxStakers`."""

ENDPOINTS: StorageItem[bytes | None] = StorageItem("Stakes", "Endpoints", (AccountId,), bytes, True)
"""URL of the blob server of an account."""

MAX_STAKERS: Constant[int] = Constant("Stakes", "MaxStakers", int)
"""Most accounts bonded in one role."""
