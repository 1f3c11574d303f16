"""Errors of the RPC, with their JSON-RPC codes.

Codes from -32700 to -32600 are JSON-RPC's, -320xx jsonrpsee's (the server of polkadot-sdk), -328xx those of the new
specification's `chainHead_v1_*`; 1xxx belong to `author_*`, 4xxx to `state_*` and `chain_*`, as in polkadot-sdk
(`substrate/client/rpc-api/src/*/error.rs`): clients match them.
"""

from __future__ import annotations

from typing import Any

from chain.errors import ChainError, DecodeError
from chain.pool import errors as pool

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNSAFE_CALL = -32601
TOO_MANY_SUBSCRIPTIONS = -32006
OVERSIZED_RESPONSE = -32008
OVERSIZED_BATCH = -32010
OVERSIZED_BATCH_RESPONSE = -32011
TOO_MANY_FOLLOWS = -32800
UNPINNED_BLOCK = -32801
RUNTIME_NOT_FOLLOWED = -32802
NO_CONTINUATION = -32803
DUPLICATE_HASHES = -32804
CLIENT_ERROR = 4003


class RpcError(Exception):
    """What a client gets as `error`: a code, a message and optional data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(message)

    def to_json(self) -> dict[str, Any]:
        """The `error` object of a response."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


class InvalidParams(RpcError):
    """The parameters do not fit the method; the message names the parameter."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(INVALID_PARAMS, f"Invalid params: {name}: {reason}")


class MethodNotFound(RpcError):
    """There is no such method."""

    def __init__(self, method: str) -> None:
        super().__init__(METHOD_NOT_FOUND, "Method not found", method[:128])


class UnsafeMethod(RpcError):
    """The method exists, but this node offers no unsafe ones."""

    def __init__(self, method: str) -> None:
        super().__init__(UNSAFE_CALL, f"RPC call is unsafe to be called externally: {method}; start with --rpc-unsafe")


class InvalidRequest(RpcError):
    """The JSON is no JSON-RPC 2.0 request."""

    def __init__(self, reason: str) -> None:
        super().__init__(INVALID_REQUEST, f"Invalid request: {reason}")


class TooManySubscriptions(RpcError):
    """The connection has its allowed number of subscriptions."""

    def __init__(self, limit: int) -> None:
        super().__init__(TOO_MANY_SUBSCRIPTIONS, f"Too many subscriptions on the connection (limit {limit})")


class OversizedResponse(RpcError):
    """The answer is larger than this node sends at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(OVERSIZED_RESPONSE, "Response is too big", f"Exceeded max limit of {limit}; ask for less")


class OversizedBatch(RpcError):
    """The batch has more requests than this node takes at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(OVERSIZED_BATCH, "The batch request was too large", f"Exceeded max limit of {limit}")


class OversizedBatchResponse(RpcError):
    """The answers to a batch are larger together than this node sends at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            OVERSIZED_BATCH_RESPONSE, "The batch response was too large", f"Exceeded max limit of {limit}; split it"
        )


class TooManyFollows(RpcError):
    """The connection has its allowed number of `chainHead_v1_follow`."""

    def __init__(self, limit: int) -> None:
        super().__init__(TOO_MANY_FOLLOWS, f"Maximum number of chainHead follows on the connection ({limit})")


class UnpinnedBlock(RpcError):
    """The subscription did not tell of this block, or it was unpinned."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(UNPINNED_BLOCK, f"Invalid block hash: 0x{block_hash.hex()} is not pinned here")


class RuntimeNotFollowed(RpcError):
    """Runtime calls need a subscription `withRuntime`."""

    def __init__(self) -> None:
        super().__init__(RUNTIME_NOT_FOLLOWED, "The subscription was made without withRuntime; follow with it")


class NoContinuation(RpcError):
    """The operation does not wait for `chainHead_v1_continue`."""

    def __init__(self) -> None:
        super().__init__(NO_CONTINUATION, "The operation is not waiting to be continued")


class DuplicateHashes(RpcError):
    """The same block stands twice among those to be unpinned."""

    def __init__(self) -> None:
        super().__init__(DUPLICATE_HASHES, "Received duplicate hashes; name each block once")


def to_rpc_error(error: Exception) -> RpcError:
    """The RPC's form of any error of ours; an unexpected one becomes an internal error without details."""
    if isinstance(error, RpcError):
        return error
    for kind, code, message in _POOL_CODES:
        if isinstance(error, kind):
            return RpcError(code, message, str(error))
    if isinstance(error, DecodeError):
        return RpcError(INVALID_PARAMS, f"Invalid params: {error}")
    if isinstance(error, ChainError):
        return RpcError(CLIENT_ERROR, f"Client error: {error}")
    return RpcError(INTERNAL_ERROR, "Internal error")


_POOL_CODES: tuple[tuple[type[pool.PoolError], int, str], ...] = (
    (pool.BadFormat, 1001, "Extrinsic has invalid format"),
    (pool.Refused, 1010, "Invalid Transaction"),
    (pool.Undecided, 1011, "Unknown Transaction Validity"),
    (pool.TemporarilyBanned, 1012, "Transaction is temporarily banned"),
    (pool.AlreadyImported, 1013, "Transaction Already Imported"),
    (pool.TooLowPriority, 1014, "Priority is too low"),
    (pool.CycleDetected, 1015, "Cycle Detected"),
    (pool.ImmediatelyDropped, 1016, "Immediately Dropped"),
    (pool.TooManyOfAccount, 1016, "Immediately Dropped"),
    (pool.Unactionable, 1018, "Pool rejected the transaction: no provided tags"),
)
