"""What the generator needs of a runtime's metadata V14: types by id, pallets with calls, events, errors, storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.exceptions import InvalidScaleTypeValueException, RemainingScaleBytesNotEmptyException
from scalecodec.type_registry import load_type_registry_preset

DECODE_ERRORS = (
    KeyError, TypeError, ValueError, IndexError, NotImplementedError,
    InvalidScaleTypeValueException, RemainingScaleBytesNotEmptyException,
)  # fmt: skip
"""What scalecodec raises for bytes that are no metadata."""


class MetadataError(Exception):
    """The bytes are no metadata V14; ask the runtime for `Metadata_metadata`."""


@dataclass(frozen=True)
class Field:
    """A field of a struct, variant or call; `name` is empty in a tuple struct."""

    name: str
    type_id: int
    docs: tuple[str, ...]


@dataclass(frozen=True)
class VariantInfo:
    """A variant of an enum: also a call, an event or an error."""

    name: str
    index: int
    fields: tuple[Field, ...]
    docs: tuple[str, ...]


@dataclass(frozen=True)
class TypeInfo:
    """One entry of the type registry; `kind` is the key of `definition` (composite, variant, sequence, …)."""

    path: tuple[str, ...]
    kind: str
    definition: Any
    docs: tuple[str, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """Fields of a composite type."""
        return _fields(self.definition["fields"]) if self.kind == "composite" else ()

    @property
    def variants(self) -> tuple[VariantInfo, ...]:
        """Variants of an enum in order of their index."""
        if self.kind != "variant":
            return ()
        found = [
            VariantInfo(v["name"], v["index"], _fields(v["fields"]), tuple(v["docs"]))
            for v in self.definition["variants"]
        ]
        return tuple(sorted(found, key=lambda variant: variant.index))


@dataclass(frozen=True)
class StorageInfo:
    """A storage entry of a pallet; `keys` are the type ids of its map keys."""

    name: str
    keys: tuple[int, ...]
    value: int
    optional: bool
    docs: tuple[str, ...]


@dataclass(frozen=True)
class PalletInfo:
    """A pallet; calls, events and errors are type ids of enums, None where it has none."""

    name: str
    index: int
    calls: int | None
    events: int | None
    errors: int | None
    storage: tuple[StorageInfo, ...]


@dataclass(frozen=True)
class Metadata:
    """All of it."""

    types: dict[int, TypeInfo]
    pallets: tuple[PalletInfo, ...]

    def variants_of(self, type_id: int | None) -> tuple[VariantInfo, ...]:
        """Variants of an enum by id; nothing for None."""
        return () if type_id is None else self.types[type_id].variants


def parse_metadata(data: bytes) -> Metadata:
    """From the bytes of `RuntimeMetadataPrefixed` (begin with `meta`, version 14). Raises MetadataError."""
    if data[:5] != b"meta\x0e":
        raise MetadataError(f"begins with {data[:5]!r} instead of b'meta\\x0e'; ask the runtime for Metadata_metadata")
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("core"))
    try:
        decoded = config.create_scale_object("MetadataVersioned", data=ScaleBytes(bytearray(data)))
        decoded.decode()
        value = decoded.value[1]["V14"]
        types = {entry["id"]: _type(entry["type"]) for entry in value["types"]["types"]}
        pallets = tuple(_pallet(pallet, types) for pallet in value["pallets"])
    except DECODE_ERRORS as error:
        raise MetadataError(f"not metadata V14: {error}") from error
    return Metadata(types, tuple(sorted(pallets, key=lambda pallet: pallet.index)))


def _fields(fields: list[dict[str, Any]]) -> tuple[Field, ...]:
    return tuple(Field(field["name"] or "", field["type"], tuple(field["docs"])) for field in fields)


def _type(entry: dict[str, Any]) -> TypeInfo:
    kind, definition = next(iter(entry["def"].items()))
    return TypeInfo(tuple(entry["path"]), kind, definition, tuple(entry["docs"]))


def _pallet(pallet: dict[str, Any], types: dict[int, TypeInfo]) -> PalletInfo:
    def enum_id(part: str) -> int | None:
        return pallet[part]["ty"] if pallet[part] else None

    storage = pallet["storage"]["entries"] if pallet["storage"] else []
    entries = tuple(_storage(entry, types) for entry in storage)
    return PalletInfo(pallet["name"], pallet["index"], enum_id("calls"), enum_id("event"), enum_id("error"), entries)


def _storage(entry: dict[str, Any], types: dict[int, TypeInfo]) -> StorageInfo:
    kind, definition = next(iter(entry["type"].items()))
    keys: tuple[int, ...] = ()
    value = definition
    if kind == "Map":
        value, key = definition["value"], definition["key"]
        keys = (key,) if len(definition["hashers"]) == 1 else tuple(types[key].definition)
    return StorageInfo(entry["name"], keys, value, entry["modifier"] == "Optional", tuple(entry["documentation"]))
