"""A runtime's metadata V15 (or V14, which says nothing of runtime APIs): types by id, pallets with calls, events,
errors, storage and constants, and runtime APIs.

scalecodec knows versions up to 14; the layouts of version 15 below are those of the crate `frame-metadata`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes, ScaleType
from scalecodec.exceptions import InvalidScaleTypeValueException, RemainingScaleBytesNotEmptyException
from scalecodec.type_registry import load_type_registry_preset

DECODE_ERRORS = (
    KeyError, TypeError, ValueError, IndexError, NotImplementedError, AttributeError,
    InvalidScaleTypeValueException, RemainingScaleBytesNotEmptyException,
)  # fmt: skip
"""What scalecodec raises for bytes that are no metadata."""


VERSIONS = {b"meta\x0e": "MetadataV14", b"meta\x0f": "MetadataV15"}
"""Layouts by what metadata begins with."""

V15_LAYOUTS: dict[str, list[tuple[str, str]]] = {
    "MetadataV15": [
        ("types", "PortableRegistry"), ("pallets", "Vec<PalletMetadataV15>"), ("extrinsic", "ExtrinsicMetadataV15"),
        ("runtime_type", "SiLookupTypeId"), ("apis", "Vec<RuntimeApiMetadataV15>"),
        ("outer_enums", "OuterEnumsV15"), ("custom", "Vec<CustomValueMetadataV15>"),
    ],
    "PalletMetadataV15": [
        ("name", "Text"), ("storage", "Option<StorageMetadataV14>"), ("calls", "Option<PalletCallMetadataV14>"),
        ("event", "Option<PalletEventMetadataV14>"), ("constants", "Vec<PalletConstantMetadataV14>"),
        ("error", "Option<PalletErrorMetadataV14>"), ("index", "u8"), ("docs", "Vec<String>"),
    ],
    "ExtrinsicMetadataV15": [
        ("version", "u8"), ("address", "SiLookupTypeId"), ("call", "SiLookupTypeId"), ("signature", "SiLookupTypeId"),
        ("extra", "SiLookupTypeId"), ("signed_extensions", "Vec<SignedExtensionMetadataV14>"),
    ],
    "RuntimeApiMetadataV15": [("name", "Text"), ("methods", "Vec<RuntimeApiMethodV15>"), ("docs", "Vec<String>")],
    "RuntimeApiMethodV15": [
        ("name", "Text"), ("inputs", "Vec<RuntimeApiInputV15>"), ("output", "SiLookupTypeId"), ("docs", "Vec<String>"),
    ],
    "RuntimeApiInputV15": [("name", "Text"), ("type", "SiLookupTypeId")],
    "OuterEnumsV15": [("call", "SiLookupTypeId"), ("event", "SiLookupTypeId"), ("error", "SiLookupTypeId")],
    "CustomValueMetadataV15": [("name", "Text"), ("type", "SiLookupTypeId"), ("value", "Bytes")],
}  # fmt: skip
"""Fields of each struct in order, with scalecodec's names of their types."""

BOUNDED_VECTORS = {"types": {"bounded_collections::bounded_vec::BoundedVec": "BoundedVec"}}
"""Today's path of BoundedVec, unknown to scalecodec 1.2: without it a list argument must be wrapped in a 1-tuple."""


class MetadataError(Exception):
    """The bytes are no metadata of a version known here; ask the runtime for `Metadata_metadata_at_version` 15."""


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
class ConstantInfo:
    """A constant of a pallet: its name and the id of its type."""

    name: str
    type_id: int
    docs: tuple[str, ...]


@dataclass(frozen=True)
class MethodInfo:
    """A method of a runtime API: type ids of its arguments (by name) and of its result."""

    name: str
    inputs: tuple[Field, ...]
    output: int
    docs: tuple[str, ...]


@dataclass(frozen=True)
class ApiInfo:
    """A runtime API."""

    name: str
    methods: tuple[MethodInfo, ...]
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
    constants: tuple[ConstantInfo, ...]


@dataclass(frozen=True)
class Metadata:
    """All of it."""

    types: dict[int, TypeInfo]
    pallets: tuple[PalletInfo, ...]
    apis: tuple[ApiInfo, ...]

    def variants_of(self, type_id: int | None) -> tuple[VariantInfo, ...]:
        """Variants of an enum by id; nothing for None."""
        return () if type_id is None else self.types[type_id].variants


class RuntimeApiCodec:
    """SCALE of a runtime's APIs, by its own metadata: arguments are encoded, results decoded to plain values."""

    def __init__(self, data: bytes) -> None:
        """From the bytes of `RuntimeMetadataPrefixed`, version 15. Raises MetadataError."""
        self._config, decoded = _decode(data)
        self._config.update_type_registry(BOUNDED_VECTORS)
        self._config.update_from_scale_info_types(decoded.value_object["types"].value_object["types"].value_object)
        self._methods = {f"{api.name}_{method.name}": method for api in _apis(decoded.value) for method in api.methods}

    @classmethod
    def from_option(cls, data: bytes) -> Self:
        """From the result of `Metadata_metadata_at_version`: an option of bytes. Raises MetadataError."""
        config = RuntimeConfigurationObject()
        config.update_type_registry(load_type_registry_preset("core"))
        try:
            text = config.create_scale_object("Option<HexBytes>", data=ScaleBytes(bytearray(data))).decode()
        except DECODE_ERRORS as error:
            raise MetadataError(f"no option of metadata: {error}") from error
        return cls(bytes.fromhex((text or "0x")[2:]))

    def encode(self, function: str, arguments: Sequence[Any]) -> bytes:
        """The arguments one after another; `function` is `Api_method`. Raises MetadataError for an unknown one and for
        arguments of other types."""
        try:
            kinds = [f"scale_info::{field.type_id}" for field in self._methods[function].inputs]
            pairs = zip(kinds, arguments, strict=True)
            return b"".join(bytes(self._config.create_scale_object(kind).encode(part).data) for kind, part in pairs)
        except DECODE_ERRORS as error:
            raise MetadataError(f"{function} does not take {list(arguments)!r}: {error!r}") from error

    def decode(self, function: str, data: bytes) -> Any:
        """The result as a plain value. Raises MetadataError for an unknown function and for other bytes."""
        try:
            kind = f"scale_info::{self._methods[function].output}"
            return self._config.create_scale_object(kind, data=ScaleBytes(bytearray(data))).decode(check_remaining=True)
        except DECODE_ERRORS as error:
            raise MetadataError(f"the result of {function} is not of its type: {error}") from error


def parse_metadata(data: bytes) -> Metadata:
    """From the bytes of `RuntimeMetadataPrefixed` (begin with `meta`, version 14 or 15). Raises MetadataError."""
    value = _decode(data)[1].value
    try:
        types = {entry["id"]: _type(entry["type"]) for entry in value["types"]["types"]}
        pallets = tuple(_pallet(pallet, types) for pallet in value["pallets"])
    except DECODE_ERRORS as error:
        raise MetadataError(f"not metadata V14 or V15: {error}") from error
    return Metadata(types, tuple(sorted(pallets, key=lambda pallet: pallet.index)), _apis(value))


def _decode(data: bytes) -> tuple[RuntimeConfigurationObject, ScaleType]:
    layout = VERSIONS.get(data[:5])
    if layout is None:
        raise MetadataError(f"begins with {data[:5]!r}; ask the runtime for Metadata_metadata_at_version 15")
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("core"))
    layouts = {name: {"type": "struct", "type_mapping": fields} for name, fields in V15_LAYOUTS.items()}
    config.update_type_registry({"types": layouts})
    decoded = config.create_scale_object(layout, data=ScaleBytes(bytearray(data[5:])))
    try:
        decoded.decode(check_remaining=True)
    except DECODE_ERRORS as error:
        raise MetadataError(f"not {layout}: {error}") from error
    return config, decoded


def _apis(value: dict[str, Any]) -> tuple[ApiInfo, ...]:
    apis = value.get("apis", ())
    return tuple(ApiInfo(api["name"], tuple(map(_method, api["methods"])), tuple(api["docs"])) for api in apis)


def _method(method: dict[str, Any]) -> MethodInfo:
    inputs = tuple(Field(entry["name"], entry["type"], ()) for entry in method["inputs"])
    return MethodInfo(method["name"], inputs, method["output"], tuple(method["docs"]))


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
    constants = tuple(
        ConstantInfo(entry["name"], entry["type"], tuple(entry["documentation"])) for entry in pallet["constants"]
    )
    return PalletInfo(
        pallet["name"], pallet["index"], enum_id("calls"), enum_id("event"), enum_id("error"), entries, constants
    )


def _storage(entry: dict[str, Any], types: dict[int, TypeInfo]) -> StorageInfo:
    kind, definition = next(iter(entry["type"].items()))
    keys: tuple[int, ...] = ()
    value = definition
    if kind == "Map":
        value, key = definition["value"], definition["key"]
        keys = (key,) if len(definition["hashers"]) == 1 else tuple(types[key].definition)
    return StorageInfo(entry["name"], keys, value, entry["modifier"] == "Optional", tuple(entry["documentation"]))
