"""What the generated modules are made of: calls, events, storage items, and the mapping between them and plain values.

A plain value is what substrate-interface takes and gives: int, str, hex text with 0x for hashes, dict for structs, a
name or a one-key dict for enums. `to_plain` and `from_plain` are each other's inverse for every generated type.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Generic, Self, TypeVar

AccountId = str
"""SS58 address (prefix 42) of a 32-byte sr25519 public key."""

Hash = str
"""0x-prefixed hex of fixed-width bytes."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class AbiMismatch(Exception):
    """The chain gave a value that the generated types do not describe; `python -m pallets_abi.generate` regenerates."""

    def __init__(self, expected: object, value: object) -> None:
        self.expected = expected
        self.value = value
        super().__init__(
            f"{value!r} is no {expected}; the blob and pallets_abi differ, run python -m pallets_abi.generate"
        )


@dataclass(frozen=True)
class Call:
    """A call of the runtime; the subclass names the function, its fields are the arguments in order."""

    PALLET: ClassVar[str]
    FUNCTION: ClassVar[str]

    @property
    def pallet(self) -> str:
        """Name of the pallet in the runtime."""
        return self.PALLET

    @property
    def function(self) -> str:
        """Name of the call in the pallet."""
        return self.FUNCTION

    def params(self) -> dict[str, Any]:
        """Arguments by their on-chain names, as plain values."""
        return {field.metadata.get("name", field.name): to_plain(getattr(self, field.name)) for field in _fields(self)}


@dataclass(frozen=True)
class Event:
    """An event of the runtime; the subclass names it, its fields are its data in order."""

    PALLET: ClassVar[str]
    NAME: ClassVar[str]

    @classmethod
    def from_attributes(cls, attributes: Any) -> Self:
        """From substrate-interface's `attributes` (dict, tuple or single value). Raises AbiMismatch."""
        return _struct_from_plain(cls, attributes)


@dataclass(frozen=True)
class Variant:
    """A value of an enum that carries data: the variant's name and its data."""

    name: str
    args: tuple[Any, ...] = ()

    VARIANTS: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Types of the data of each variant."""

    FIELDS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names of the data of each variant, where it has names."""

    def to_plain(self) -> Any:
        """The name alone, or one key with the data."""
        if not self.args:
            return self.name
        plain = [to_plain(arg) for arg in self.args]
        names = self.FIELDS.get(self.name)
        if names:
            return {self.name: dict(zip(names, plain, strict=True))}
        return {self.name: plain[0] if len(plain) == 1 else tuple(plain)}

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """Raises AbiMismatch for an unknown variant or other data."""
        name, data = (value, None) if isinstance(value, str) else _only_item(cls, value)
        if name not in cls.VARIANTS:
            raise AbiMismatch(cls.__name__, value)
        kinds, names = cls.VARIANTS[name], cls.FIELDS.get(name)
        parts: list[Any]
        if not kinds:
            parts = []
        elif names and isinstance(data, dict):
            parts = [data[key] for key in names]
        elif len(kinds) == 1:
            parts = [data]
        else:
            parts = list(data) if isinstance(data, list | tuple) else []
        if len(parts) != len(kinds):
            raise AbiMismatch(cls.__name__, value)
        return cls(name, tuple(from_plain(kind, part) for kind, part in zip(kinds, parts, strict=True)))


@dataclass(frozen=True)
class StorageItem(Generic[T_co]):
    """A storage item: its name, the types of its keys, of its value, and what an absent entry means."""

    pallet: str
    name: str
    keys: tuple[Any, ...]
    value: Any
    optional: bool
    """True: absent reads as None; False: as the runtime's default."""

    def decode(self, plain: Any) -> T_co:
        """Typed value of a plain one. Raises AbiMismatch."""
        if plain is None and self.optional:
            return typing.cast(T_co, None)
        return typing.cast(T_co, from_plain(self.value, plain))

    def decode_key(self, plain: Any) -> tuple[Any, ...]:
        """Typed keys of one entry of a map. Raises AbiMismatch."""
        parts = [plain] if len(self.keys) == 1 else list(plain)
        return tuple(from_plain(kind, part) for kind, part in zip(self.keys, parts, strict=True))


@dataclass(frozen=True)
class Constant(Generic[T_co]):
    """A constant of a pallet and the type of its value."""

    pallet: str
    name: str
    value: Any

    def decode(self, plain: Any) -> T_co:
        """Typed value of a plain one. Raises AbiMismatch."""
        return typing.cast(T_co, from_plain(self.value, plain))


@dataclass(frozen=True)
class RuntimeCall(Generic[T_co]):
    """A method of a runtime API: the types of its arguments by name, and of its result."""

    api: str
    method: str
    arguments: tuple[tuple[str, Any], ...]
    result: Any

    @property
    def function(self) -> str:
        """Name of the runtime's exported function."""
        return f"{self.api}_{self.method}"

    def decode(self, plain: Any) -> T_co:
        """Typed result of a plain one. Raises AbiMismatch."""
        return typing.cast(T_co, from_plain(self.result, plain))


def to_plain(value: Any) -> Any:
    """The plain form of a typed value (dataclass, enum, bytes, containers of them)."""
    if isinstance(value, Variant):
        return value.to_plain()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = _fields(value)
        return {field.metadata.get("name", field.name): to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple):
        return tuple(to_plain(item) for item in value)
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: Any, value: Any) -> Any:
    """The typed form of a plain value; `kind` is a type as the generated modules write it. Raises AbiMismatch."""
    if kind is Any:
        return value
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else from_plain(args[0], value)
    if origin is list and isinstance(value, list | tuple):
        return [from_plain(args[0], item) for item in value]
    if origin is tuple and isinstance(value, list | tuple) and len(value) == len(args):
        return tuple(from_plain(arg, item) for arg, item in zip(args, value, strict=True))
    if isinstance(kind, type) and origin is None:
        return _class_from_plain(kind, value)
    raise AbiMismatch(kind, value)


def _class_from_plain(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Variant):
        return kind.from_plain(value)
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise AbiMismatch(kind.__name__, value) from error
    if dataclasses.is_dataclass(kind):
        return _struct_from_plain(kind, value)
    if kind is bytes and isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise AbiMismatch(kind.__name__, value)


def _struct_from_plain(kind: type[T], value: Any) -> T:
    fields = _fields(kind)
    if len(fields) == 1 and not isinstance(value, dict):
        value = [value]
    if isinstance(value, dict):
        names = [field.metadata.get("name", field.name) for field in fields]
        if set(names) != set(value):
            raise AbiMismatch(kind.__name__, value)
        parts = [value[name] for name in names]
    elif value is None and not fields:
        parts = []
    elif isinstance(value, list | tuple) and len(value) == len(fields):
        parts = list(value)
    else:
        raise AbiMismatch(kind.__name__, value)
    hints = _hints(kind)  # type: ignore[arg-type]  # classes are hashable; mypy looks at their instances' __hash__
    return kind(*(from_plain(hints[field.name], part) for field, part in zip(fields, parts, strict=True)))


def _only_item(cls: type[Any], value: Any) -> tuple[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise AbiMismatch(cls.__name__, value)
    return next(iter(value.items()))


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """Types of a struct's fields; to work them out takes longer than to decode a value."""
    return typing.get_type_hints(kind)


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)
