"""Why the pool did not take a transaction.

PoolError (PeerFault)
├── BadFormat             no extrinsic at all, or too large
├── Refused               the runtime says invalid            (RPC 1010)
├── Undecided             the runtime cannot say              (RPC 1011)
├── TemporarilyBanned     it was found invalid a while ago    (RPC 1012)
├── AlreadyImported       it is in the pool                   (RPC 1013)
├── TooLowPriority        another with the same tags pays more (RPC 1014)
├── CycleDetected         it requires what it provides        (RPC 1015)
├── ImmediatelyDropped    the pool is full of better ones     (RPC 1016)
├── TooManyOfAccount      its sender has too many waiting     (RPC 1016)
└── Unactionable          it provides nothing                 (RPC 1018)
"""

from __future__ import annotations

from chain.errors import PeerFault
from chain.pool.validity import InvalidTransaction, UnknownValidity


class PoolError(PeerFault):
    """The pool does not take a transaction; nothing in it changed."""


class BadFormat(PoolError):
    """The bytes are no extrinsic, or more than the pool takes."""


class Refused(PoolError):
    """The runtime refuses the transaction."""

    def __init__(self, why: InvalidTransaction) -> None:
        self.why = why
        super().__init__(why.text)


class Undecided(PoolError):
    """The runtime cannot tell whether the transaction is valid."""

    def __init__(self, why: UnknownValidity) -> None:
        self.why = why
        super().__init__(why.text)


class TemporarilyBanned(PoolError):
    """The transaction was found invalid less than the ban time ago; wait or make a new one."""

    def __init__(self) -> None:
        super().__init__("transaction is temporarily banned; wait half an hour or sign a new one")


class AlreadyImported(PoolError):
    """The transaction is in the pool already."""

    def __init__(self, tx_hash: bytes) -> None:
        self.tx_hash = tx_hash
        super().__init__(f"transaction 0x{tx_hash.hex()} is in the pool already; watch it")


class TooLowPriority(PoolError):
    """A transaction that provides the same (for instance of the same nonce) has at least the priority `old`."""

    def __init__(self, old: int, new: int) -> None:
        self.old, self.new = old, new
        super().__init__(f"priority is too low: ({old} > {new}); raise the tip or take another nonce")


class CycleDetected(PoolError):
    """The transaction requires a tag that it provides itself."""

    def __init__(self) -> None:
        super().__init__("transaction requires what it provides itself")


class ImmediatelyDropped(PoolError):
    """The pool is full and this transaction is the least of it."""

    def __init__(self) -> None:
        super().__init__("the pool is full of better transactions; raise the tip or try later")


class TooManyOfAccount(PoolError):
    """The sender's waiting transactions are `limit` already, or would be more than `limit_bytes`."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.limit, self.limit_bytes = limit, limit_bytes
        super().__init__(
            f"an account may have {limit} transactions and {limit_bytes} bytes waiting; wait until some are in a block"
        )


class Unactionable(PoolError):
    """The transaction provides no tag, so the pool could never tell that it was included."""

    def __init__(self) -> None:
        super().__init__("transaction provides no tags")
