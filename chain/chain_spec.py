"""Chain specifications in Substrate's standard JSON form.

A spec names a chain and says how block 0 is made, in one of three ways:
- `genesis.runtimeGenesis {code, patch}`: the runtime's default genesis with `patch` merged into it,
- `genesis.runtimeGenesis {code, config}`: the whole genesis configuration,
- `genesis.raw {top, childrenDefault}`: every storage entry, as key and value in hex.

This module parses, checks, writes and converts specs. It runs no Wasm: whoever converts hands in `RuntimeCalls`
(from `chain.runtime`), so a malformed file is refused before any code of it runs.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from chain.errors import GenesisRejected, Misuse

CODE_KEY = b":code"
"""Well-known storage key of the runtime's Wasm."""

MAX_SPEC_BYTES = 64 * 1024 * 1024
"""A spec file larger than 64 MiB is refused before it is parsed."""

MAX_CODE_BYTES = 16 * 1024 * 1024
"""Bound on the runtime blob inside a spec."""

CHILD_STORAGE_PREFIX = b":child_storage:"
"""Where the main trie holds the roots of child tries; the host puts them there."""

MAX_KEY_BYTES = 4_096
MAX_RAW_ENTRIES = 1_000_000
"""Bound on the entries of a raw genesis."""

MAX_TOKENS = 2 * MAX_RAW_ENTRIES
"""Brackets and commas of a spec file: each may become an object of some 100 bytes."""

MAX_DEPTH = 128
"""Objects and lists inside each other, as in the JSON reader of a stock node."""

MAX_BOOT_NODES = 256
MAX_TEXT_CHARS = 256

PRESETS: Mapping[str, tuple[str, str]] = {
    "dev": ("aipow Development", "Development"),
    "local": ("aipow Local", "Local"),
    "test": ("aipow Test", "Development"),
}
"""Genesis presets inside the runtime -> (chain name, chain type)."""

CHAIN_TYPES = ("Development", "Local", "Live")

Json = dict[str, Any]


class ChainSpecError(Misuse):
    """A chain spec cannot be used."""


class UnreadableSpec(ChainSpecError):
    """The file cannot be read, is too large, or is no JSON object."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"chain spec {path}: {reason}; give a preset ({', '.join(PRESETS)}) or a chain spec file")


class BadSpecField(ChainSpecError):
    """A field is missing or malformed. `field` is its path, like `genesis.raw.top`."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(
            f"chain spec field {field}: {reason}; correct it (aipow-devnet export-spec writes a valid spec)"
        )


class RuntimeBlobMissing(ChainSpecError):
    """A preset was asked for and there is no runtime blob on this machine."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(
            f"no runtime blob in {folder}; build it with devnet/runtime/build.py or give a chain spec file"
        )


class RuntimeCalls(Protocol):
    """What a conversion needs of a runtime: its genesis builder on an empty state."""

    def genesis_preset(self, preset: str | None) -> bytes | None:
        """`GenesisBuilder_get_preset`: JSON text, None if there is no such preset."""

    def build_genesis(self, config: bytes) -> dict[bytes, bytes]:
        """`GenesisBuilder_build_state` of a *whole* configuration: the storage it wrote. Raises `GenesisRejected`."""


@dataclass(frozen=True)
class RuntimeGenesis:
    """Genesis by the runtime's builder. `is_patch`: `config` is merged into the runtime's default first."""

    code: bytes
    config: Json
    is_patch: bool


@dataclass(frozen=True)
class RawGenesis:
    """Genesis as storage entries; the runtime is the value of `:code`. `children`: default child tries by name."""

    top: Mapping[bytes, bytes]
    children: Mapping[bytes, Mapping[bytes, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class ChainSpec:
    """A parsed spec. `boot_nodes` are multiaddresses with `/p2p/<peer id>`; `properties` are for wallets."""

    name: str
    id: str
    chain_type: str
    boot_nodes: tuple[str, ...]
    protocol_id: str | None
    properties: Json
    genesis: RuntimeGenesis | RawGenesis

    @property
    def code(self) -> bytes:
        """The runtime blob, as it stands in the spec (maybe compressed)."""
        return self.genesis.code if isinstance(self.genesis, RuntimeGenesis) else self.genesis.top[CODE_KEY]


def runtime_blob() -> bytes:
    """The runtime blob installed beside this package (`devnet/runtime/blob`). Raises `RuntimeBlobMissing`."""
    found = importlib.util.find_spec("devnet")
    roots = list(found.submodule_search_locations or []) if found else []
    for root in roots:
        folder = Path(root) / "runtime" / "blob"
        blobs = sorted(folder.glob("*.wasm"))
        compressed = [blob for blob in blobs if blob.name.endswith(".compressed.wasm")]
        if blobs:
            return (compressed or blobs)[0].read_bytes()
    raise RuntimeBlobMissing("devnet/runtime/blob")


def preset_spec(preset: str, code: bytes, runtime: RuntimeCalls) -> ChainSpec:
    """The spec of a preset of the runtime in `code`; the preset's JSON becomes the patch."""
    if preset not in PRESETS:
        raise BadSpecField("preset", f"unknown preset {preset!r}; known are {', '.join(PRESETS)}")
    text = runtime.genesis_preset(preset)
    if text is None:
        raise BadSpecField("preset", f"this runtime has no preset {preset!r}")
    name, chain_type = PRESETS[preset]
    return ChainSpec(
        name=name,
        id=f"aipow_{preset}",
        chain_type=chain_type,
        boot_nodes=(),
        protocol_id="aipow",
        properties={"ss58Format": 42, "tokenDecimals": 12, "tokenSymbol": "UNIT"},
        genesis=RuntimeGenesis(code=code, config=json.loads(text), is_patch=True),
    )


def read_chain_spec(path: Path) -> ChainSpec:
    """Reads and checks a spec file. Raises `UnreadableSpec`, `BadSpecField`."""
    try:
        size = path.stat().st_size
        if size > MAX_SPEC_BYTES:
            raise UnreadableSpec(path, f"{size} bytes, at most {MAX_SPEC_BYTES} are read")
        data = path.read_bytes()
        if sum(map(data.count, (b",", b"[", b"{"))) > MAX_TOKENS:
            raise UnreadableSpec(path, f"more than {MAX_TOKENS} values")
        value = json.loads(data)
    except OSError as error:
        raise UnreadableSpec(path, error.strerror or "cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableSpec(path, f"no JSON ({error})") from error
    if not isinstance(value, dict):
        raise UnreadableSpec(path, "no JSON object")
    return parse_chain_spec(value)


def parse_chain_spec(value: Json) -> ChainSpec:
    """Checks a decoded spec; unknown fields are ignored, as stock nodes do. Raises `BadSpecField`."""
    if _is_deeper(value, MAX_DEPTH):
        raise BadSpecField("genesis", f"the spec is nested deeper than {MAX_DEPTH}")
    chain_type = _text(value, "chainType", default="Live")
    if chain_type not in CHAIN_TYPES:
        raise BadSpecField("chainType", f"{chain_type!r} is none of {', '.join(CHAIN_TYPES)}")
    boot_nodes = [] if value.get("bootNodes") is None else value["bootNodes"]
    if not isinstance(boot_nodes, list) or not all(isinstance(node, str) for node in boot_nodes):
        raise BadSpecField("bootNodes", "expected a list of multiaddresses")
    if len(boot_nodes) > MAX_BOOT_NODES:
        raise BadSpecField("bootNodes", f"{len(boot_nodes)} entries, at most {MAX_BOOT_NODES}")
    properties = {} if value.get("properties") is None else value["properties"]
    if not isinstance(properties, dict):
        raise BadSpecField("properties", "expected an object")
    protocol_id = value.get("protocolId")
    if protocol_id is not None and not isinstance(protocol_id, str):
        raise BadSpecField("protocolId", "expected a string or null")
    return ChainSpec(
        name=_text(value, "name"),
        id=_text(value, "id"),
        chain_type=chain_type,
        boot_nodes=tuple(boot_nodes),
        protocol_id=protocol_id,
        properties=properties,
        genesis=_parse_genesis(value.get("genesis")),
    )


def to_json(spec: ChainSpec) -> Json:
    """The spec as the JSON object that `parse_chain_spec` reads back to an equal spec."""
    genesis: Json
    if isinstance(spec.genesis, RawGenesis):
        children = {_hex(name): _hex_map(child) for name, child in sorted(spec.genesis.children.items())}
        genesis = {"raw": {"top": _hex_map(spec.genesis.top), "childrenDefault": children}}
    else:
        field = "patch" if spec.genesis.is_patch else "config"
        genesis = {"runtimeGenesis": {"code": _hex(spec.genesis.code), field: spec.genesis.config}}
    return {
        "name": spec.name,
        "id": spec.id,
        "chainType": spec.chain_type,
        "bootNodes": list(spec.boot_nodes),
        "telemetryEndpoints": None,
        "protocolId": spec.protocol_id,
        "properties": spec.properties,
        "codeSubstitutes": {},
        "genesis": genesis,
    }


def with_overrides(spec: ChainSpec, patch: Json) -> ChainSpec:
    """The spec with `patch` merged into its genesis configuration (objects merge, all else is replaced)."""
    if isinstance(spec.genesis, RawGenesis):
        raise BadSpecField("genesis.raw", "a raw spec takes no overrides; start from a preset or a non-raw spec")
    config = merge_json(spec.genesis.config, patch)
    return replace(spec, genesis=replace(spec.genesis, config=config))


def genesis_storage(spec: ChainSpec, runtime: RuntimeCalls) -> dict[bytes, bytes]:
    """All storage entries of block 0's main trie, `:code` included. Raises `GenesisRejected` if the runtime refuses
    them."""
    if isinstance(spec.genesis, RawGenesis):
        return dict(spec.genesis.top)
    config = spec.genesis.config
    if spec.genesis.is_patch:
        default = runtime.genesis_preset(None)
        if default is None:
            raise GenesisRejected("it has no default genesis configuration")
        config = merge_json(json.loads(default), config)
    entries = runtime.build_genesis(json.dumps(config).encode())
    entries[CODE_KEY] = spec.genesis.code
    return entries


def genesis_children(spec: ChainSpec) -> Mapping[bytes, Mapping[bytes, bytes]]:
    """Block 0's default child tries by name; the genesis builder of a runtime makes none."""
    return spec.genesis.children if isinstance(spec.genesis, RawGenesis) else {}


def to_raw(spec: ChainSpec, runtime: RuntimeCalls) -> ChainSpec:
    """The same chain with its genesis written out entry by entry."""
    return replace(spec, genesis=RawGenesis(genesis_storage(spec, runtime), genesis_children(spec)))


def merge_json(base: Json, patch: Json) -> Json:
    """`patch` over `base`, as `sc_chain_spec::json_patch::merge`: objects merge, null removes, all else replaces."""
    merged = dict(base)
    for key, value in patch.items():
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_json(old if isinstance(old, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _parse_genesis(value: object) -> RuntimeGenesis | RawGenesis:
    if not isinstance(value, dict):
        raise BadSpecField("genesis", "expected an object with runtimeGenesis or raw")
    if ("raw" in value) == ("runtimeGenesis" in value):
        raise BadSpecField("genesis", "expected exactly one of runtimeGenesis and raw")
    if "raw" in value:
        return _parse_raw(value["raw"])
    runtime = value["runtimeGenesis"]
    if not isinstance(runtime, dict):
        raise BadSpecField("genesis.runtimeGenesis", "expected an object")
    code = _bytes(runtime.get("code"), "genesis.runtimeGenesis.code", MAX_CODE_BYTES)
    if not code:
        raise BadSpecField("genesis.runtimeGenesis.code", "it is empty")
    if ("patch" in runtime) == ("config" in runtime):
        raise BadSpecField("genesis.runtimeGenesis", "expected exactly one of patch and config")
    is_patch = "patch" in runtime
    config = runtime["patch" if is_patch else "config"]
    if not isinstance(config, dict):
        raise BadSpecField(f"genesis.runtimeGenesis.{'patch' if is_patch else 'config'}", "expected an object")
    return RuntimeGenesis(code=code, config=config, is_patch=is_patch)


def _parse_raw(value: object) -> RawGenesis:
    top = value.get("top") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(top, dict):
        raise BadSpecField("genesis.raw.top", "expected an object of hex keys and values")
    entries = _parse_entries(top, "genesis.raw.top")
    if any(key.startswith(CHILD_STORAGE_PREFIX) for key in entries):
        raise BadSpecField("genesis.raw.top", "a key begins with :child_storage:; child tries stand in childrenDefault")
    if not entries.get(CODE_KEY):
        raise BadSpecField("genesis.raw.top", "the runtime code (key 0x3a636f6465) is missing")
    return RawGenesis(entries, _parse_children(value.get("childrenDefault") or {}))


def _parse_children(value: object) -> dict[bytes, dict[bytes, bytes]]:
    field_name = "genesis.raw.childrenDefault"
    if not isinstance(value, dict) or not all(isinstance(child, dict) for child in value.values()):
        raise BadSpecField(field_name, "expected an object of objects of hex keys and values")
    if sum(map(len, value.values())) > MAX_RAW_ENTRIES:
        raise BadSpecField(field_name, f"more than {MAX_RAW_ENTRIES} entries")
    children = {_bytes(name, f"{field_name} key", MAX_KEY_BYTES): child for name, child in value.items()}
    return {name: _parse_entries(child, f"{field_name}[{_hex(name)}]") for name, child in children.items()}


def _parse_entries(value: Json, field_name: str) -> dict[bytes, bytes]:
    if len(value) > MAX_RAW_ENTRIES:
        raise BadSpecField(field_name, f"{len(value)} entries, at most {MAX_RAW_ENTRIES}")
    entries = {
        _bytes(key, f"{field_name} key", MAX_KEY_BYTES): _bytes(entry, f"{field_name}[{key}]", MAX_CODE_BYTES)
        for key, entry in value.items()
    }
    if len(entries) != len(value):
        raise BadSpecField(field_name, "a key stands there twice, in upper and in lower case")
    return entries


def _text(value: Json, field: str, default: str | None = None) -> str:
    text = value.get(field, default)
    if not isinstance(text, str) or not text:
        raise BadSpecField(field, "expected a non-empty string")
    if len(text) > MAX_TEXT_CHARS:
        raise BadSpecField(field, f"{len(text)} characters, at most {MAX_TEXT_CHARS}")
    return text


def _bytes(value: object, field: str, limit: int) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise BadSpecField(field, "expected a hex string that starts with 0x")
    if len(value) > 2 + 2 * limit:
        raise BadSpecField(field, f"more than {limit} bytes")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError as error:
        raise BadSpecField(field, "it has characters that are no hex digits, or an odd number of them") from error
    if 2 * len(data) != len(value) - 2:  # fromhex passes over blanks
        raise BadSpecField(field, "there are blanks among its hex digits")
    return data


def _is_deeper(value: object, depth: int) -> bool:
    """Whether objects and lists are nested deeper than that."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _hex_map(entries: Mapping[bytes, bytes]) -> dict[str, str]:
    return {_hex(key): _hex(value) for key, value in sorted(entries.items())}


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
