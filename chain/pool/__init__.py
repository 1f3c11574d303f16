"""The transaction pool: a pure core (`pool.py`), what the runtime says (`validity.py`), and its service."""

from chain.pool.errors import PoolError
from chain.pool.pool import PoolLimits, Status, Transaction, TransactionPool, make_transaction
from chain.pool.validity import (
    InvalidTransaction,
    TransactionSource,
    UnknownValidity,
    ValidTransaction,
    decode_validity,
)

__all__ = [
    "InvalidTransaction",
    "PoolError",
    "PoolLimits",
    "Status",
    "Transaction",
    "TransactionPool",
    "TransactionSource",
    "UnknownValidity",
    "ValidTransaction",
    "decode_validity",
    "make_transaction",
]
