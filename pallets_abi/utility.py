"""Pallet Utility (index 6).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class BatchCall(Call):
    """Send a batch of dispatch calls.

    May be called from any origin except `None`.

    - `calls`: The calls to be dispatched from the same origin. The number of call must not
     exceed the constant: `batched_calls_limit` (available in constant metadata).

    If origin is root then the calls are dispatched without checking origin filter. (This
    includes bypassing `frame_system::Config::BaseCallFilter`).

    ## Complexity
    - O(C) where C is the number of calls to be batched.

    This will return `Ok` in all circumstances. To determine the success of the batch, an
    event is deposited. If a call failed and the batch was interrupted, then the
    `BatchInterrupted` event is deposited, along with the number of successful calls made
    and the error of the failed call. If all were successful, then the `BatchCompleted`
    event is deposited.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "batch"

    calls: list[Any]


@dataclass(frozen=True)
class AsDerivativeCall(Call):
    """Send a call through an indexed pseudonym of the sender.

    Filter from origin are passed along. The call will be dispatched with an origin which
    use the same filter as the origin of this call.

    NOTE: If you need to ensure that any account-based filtering is not honored (i.e.
    because you expect `proxy` to have been used prior in the call stack and you do not want
    the call restrictions to apply to any sub-accounts), then use `as_multi_threshold_1`
    in the Multisig pallet instead.

    NOTE: Prior to version *12, this was called `as_limited_sub`.

    The dispatch origin for this call must be _Signed_.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "as_derivative"

    index: int
    call: Any


@dataclass(frozen=True)
class BatchAllCall(Call):
    """Send a batch of dispatch calls and atomically execute them.
    The whole transaction will rollback and fail if any of the calls failed.

    May be called from any origin except `None`.

    - `calls`: The calls to be dispatched from the same origin. The number of call must not
     exceed the constant: `batched_calls_limit` (available in constant metadata).

    If origin is root then the calls are dispatched without checking origin filter. (This
    includes bypassing `frame_system::Config::BaseCallFilter`).

    ## Complexity
    - O(C) where C is the number of calls to be batched.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "batch_all"

    calls: list[Any]


@dataclass(frozen=True)
class DispatchAsCall(Call):
    """Dispatches a function call with a provided origin.

    The dispatch origin for this call must be _Root_.

    ## Complexity
    - O(1).
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "dispatch_as"

    as_origin: Any
    call: Any


@dataclass(frozen=True)
class ForceBatchCall(Call):
    """Send a batch of dispatch calls.
    Unlike `batch`, it allows errors and won't interrupt.

    May be called from any origin except `None`.

    - `calls`: The calls to be dispatched from the same origin. The number of call must not
     exceed the constant: `batched_calls_limit` (available in constant metadata).

    If origin is root then the calls are dispatch without checking origin filter. (This
    includes bypassing `frame_system::Config::BaseCallFilter`).

    ## Complexity
    - O(C) where C is the number of calls to be batched.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "force_batch"

    calls: list[Any]


@dataclass(frozen=True)
class WithWeightCall(Call):
    """Dispatch a function call with a specified weight.

    This function does not check the weight of the call, and instead allows the
    Root origin to specify the weight of the call.

    The dispatch origin for this call must be _Root_.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "with_weight"

    call: Any
    weight: Any


@dataclass(frozen=True)
class IfElseCall(Call):
    """Dispatch a fallback call in the event the main call fails to execute.
    May be called from any origin except `None`.

    This function first attempts to dispatch the `main` call.
    If the `main` call fails, the `fallback` is attemted.
    if the fallback is successfully dispatched, the weights of both calls
    are accumulated and an event containing the main call error is deposited.

    In the event of a fallback failure the whole call fails
    with the weights returned.

    - `main`: The main call to be dispatched. This is the primary action to execute.
    - `fallback`: The fallback call to be dispatched in case the `main` call fails.

    ## Dispatch Logic
    - If the origin is `root`, both the main and fallback calls are executed without
     applying any origin filters.
    - If the origin is not `root`, the origin filter is applied to both the `main` and
     `fallback` calls.

    ## Use Case
    - Some use cases might involve submitting a `batch` type call in either main, fallback
     or both.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "if_else"

    main: Any
    fallback: Any


@dataclass(frozen=True)
class DispatchAsFallibleCall(Call):
    """Dispatches a function call with a provided origin.

    Almost the same as [`Pallet::dispatch_as`] but forwards any error of the inner call.

    The dispatch origin for this call must be _Root_.
    """

    PALLET: ClassVar[str] = "Utility"
    FUNCTION: ClassVar[str] = "dispatch_as_fallible"

    as_origin: Any
    call: Any


@dataclass(frozen=True)
class BatchInterruptedEvent(Event):
    """Batch of dispatches did not complete fully. Index of first failing dispatch given, as
    well as the error.
    """

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "BatchInterrupted"

    index: int
    error: Any


@dataclass(frozen=True)
class BatchCompletedEvent(Event):
    """Batch of dispatches completed fully with no error."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "BatchCompleted"


@dataclass(frozen=True)
class BatchCompletedWithErrorsEvent(Event):
    """Batch of dispatches completed but has errors."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "BatchCompletedWithErrors"


@dataclass(frozen=True)
class ItemCompletedEvent(Event):
    """A single item within a Batch of dispatches has completed with no error."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "ItemCompleted"


@dataclass(frozen=True)
class ItemFailedEvent(Event):
    """A single item within a Batch of dispatches has completed with error."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "ItemFailed"

    error: Any


@dataclass(frozen=True)
class DispatchedAsEvent(Event):
    """A call was dispatched."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "DispatchedAs"

    result: Any


@dataclass(frozen=True)
class IfElseMainSuccessEvent(Event):
    """Main call was dispatched."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "IfElseMainSuccess"


@dataclass(frozen=True)
class IfElseFallbackCalledEvent(Event):
    """The fallback call was dispatched."""

    PALLET: ClassVar[str] = "Utility"
    NAME: ClassVar[str] = "IfElseFallbackCalled"

    main_error: Any


class UtilityError(StrEnum):
    """Errors of the calls of pallet Utility."""

    TOO_MANY_CALLS = "TooManyCalls"
    """Too many calls batched."""


BATCHED_CALLS_LIMIT: Constant[int] = Constant("Utility", "batched_calls_limit", int)
"""The limit on the number of batched calls."""
