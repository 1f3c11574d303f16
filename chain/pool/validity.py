"""What `TaggedTransactionQueue_validate_transaction` answers, decoded.

Source: `sp_runtime::transaction_validity`. The texts are Substrate's own, because clients show and match them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from chain.errors import DecodeError
from chain.primitives.scale import Reader

MAX_TAGS = 64
"""More required or provided tags than this are refused as malformed."""

MAX_TAG_BYTES = 1_024


class TransactionSource(IntEnum):
    """Where a transaction came from, as the runtime is told."""

    IN_BLOCK = 0
    LOCAL = 1
    EXTERNAL = 2


@dataclass(frozen=True)
class ValidTransaction:
    """A transaction the runtime would take. Longevity is in blocks from the block it was validated at.

    `requires` are tags that other transactions must provide before; `propagate` says whether peers may have it.
    """

    priority: int
    requires: tuple[bytes, ...]
    provides: tuple[bytes, ...]
    longevity: int
    propagate: bool


@dataclass(frozen=True)
class InvalidTransaction:
    """A transaction the runtime refuses. `kind` is the variant's name, `custom` the byte of Custom."""

    kind: str
    custom: int | None = None

    @property
    def text(self) -> str:
        """Substrate's sentence for it."""
        if self.custom is not None:
            return f"Custom error: {self.custom}"
        return _INVALID_TEXT.get(self.kind, self.kind)

    @property
    def is_exhausts_resources(self) -> bool:
        """Whether it only does not fit the current block."""
        return self.kind == "ExhaustsResources"


    @property
    def is_stale(self) -> bool:
        """Whether the chain holds it, or another one of its nonce."""
        return self.kind == "Stale"

    @property
    def is_wrong_nonce(self) -> bool:
        """Whether another block below it would make it valid, or one below it holds it or its rival."""
        return self.kind in {"Future", "Stale"}


@dataclass(frozen=True)
class UnknownValidity:
    """The runtime cannot say (yet) whether the transaction is valid."""

    kind: str
    custom: int | None = None

    @property
    def text(self) -> str:
        """A sentence for it."""
        return f"Custom error: {self.custom}" if self.custom is not None else _UNKNOWN_TEXT.get(self.kind, self.kind)


Validity = ValidTransaction | InvalidTransaction | UnknownValidity

_INVALID = (
    "Call", "Payment", "Future", "Stale", "BadProof", "AncientBirthBlock", "ExhaustsResources", "Custom",
    "BadMandatory", "MandatoryValidation", "BadSigner", "IndeterminateImplicit", "UnknownOrigin",
)  # fmt: skip
_UNKNOWN = ("CannotLookup", "NoUnsignedValidator", "Custom")

_INVALID_TEXT = {
    "Call": "Transaction call is not expected",
    "Payment": "Inability to pay some fees (e.g. account balance too low)",
    "Future": "Transaction will be valid in the future",
    "Stale": "Transaction is outdated",
    "BadProof": "Transaction has a bad signature",
    "AncientBirthBlock": "Transaction has an ancient birth block",
    "ExhaustsResources": "Transaction would exhaust the block limits",
    "BadMandatory": "A call was labelled as mandatory, but resulted in an Error.",
    "MandatoryValidation": "Transaction dispatch is mandatory; transactions must not be validated.",
    "BadSigner": "Invalid signing address",
    "IndeterminateImplicit": "The implicit data was unable to be calculated",
    "UnknownOrigin": "The transaction extension did not authorize any origin",
}
_UNKNOWN_TEXT = {
    "CannotLookup": "Could not lookup information required to validate the transaction",
    "NoUnsignedValidator": "Could not find an unsigned validator for the unsigned transaction",
}


def decode_validity(data: bytes) -> Validity:
    """The answer of `validate_transaction`. Raises `DecodeError`."""
    reader = Reader(data)
    if reader.boolean("TransactionValidity"):
        result = read_validity_error(reader)
    else:
        result = ValidTransaction(
            priority=reader.u64("priority"),
            requires=_read_tags(reader),
            provides=_read_tags(reader),
            longevity=reader.u64("longevity"),
            propagate=reader.boolean("propagate"),
        )
    reader.finish("TransactionValidity")
    return result


def read_validity_error(reader: Reader) -> Validity:
    """`TransactionValidityError`, as block building answers it too. Raises `DecodeError`."""
    is_unknown = reader.boolean("TransactionValidityError")
    names = _UNKNOWN if is_unknown else _INVALID
    at = reader.offset
    index = reader.u8("TransactionValidityError")
    if index >= len(names):
        raise DecodeError("TransactionValidityError", at, f"variant {index} is unknown")
    custom = reader.u8("Custom") if names[index] == "Custom" else None
    return UnknownValidity(names[index], custom) if is_unknown else InvalidTransaction(names[index], custom)


def _read_tags(reader: Reader) -> tuple[bytes, ...]:
    count = reader.compact(MAX_TAGS, "tag count")
    return tuple(reader.bytes_(MAX_TAG_BYTES, "tag") for _ in range(count))
