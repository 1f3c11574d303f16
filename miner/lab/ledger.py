"""A chain in memory: the committed runtime in Wasm, block after block, without node, network, consensus or disk.

What is tried out here is decided by the same pallets as on a network; only the clock is ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from chain.authored import BlockBuilder
from chain.chain_spec import runtime_blob
from chain.errors import GenesisRejected, MissingExport
from chain.identity import Sr25519Key
from chain.primitives import blake2_256, encode_bytes, encode_compact
from chain.runtime import Executor, GenesisCalls, RuntimeVersion, genesis_block, genesis_state_from_patch
from chain.runtime.api import decode_metadata
from chain.runtime.executor import default_cache_folder
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, StateVersion, Trie
from pallets_abi.base import Call, Event, StorageItem
from pallets_abi.metadata import BOUNDED_VECTORS
from pallets_abi.registry import EVENTS
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from substrateinterface.storage import StorageKey

from miner.roles.link import EncodedCall

START_SLOT = 1_800_000_000
SS58_FORMAT = 42
EXHAUSTED = b"\x00\x06"
"""`TransactionValidityError::Invalid(InvalidTransaction::ExhaustsResources)`: the block is full."""

T = TypeVar("T")


class CallRefused(Exception):
    """The runtime refused a transaction: `name` is the pallet's error, or what else was wrong; nothing has changed."""

    def __init__(self, call: Call | EncodedCall, name: str) -> None:
        self.name = name
        super().__init__(f"{call.pallet}.{call.function}: {name}")


@dataclass(frozen=True)
class _Codec:
    """The runtime's types for scalecodec."""

    config: RuntimeConfigurationObject
    metadata: Any

    @classmethod
    def of(cls, metadata: bytes) -> _Codec:
        config = RuntimeConfigurationObject(ss58_format=SS58_FORMAT, implements_scale_info=True)
        config.update_type_registry(load_type_registry_preset("core"))
        config.update_type_registry(BOUNDED_VECTORS)
        decoded = config.create_scale_object("MetadataVersioned", ScaleBytes(metadata))
        decoded.decode()
        config.add_portable_registry(decoded)
        return cls(config, decoded)

    def encode_call(self, call: Call | EncodedCall) -> bytes:
        if isinstance(call, EncodedCall):
            pallet = next(pallet for pallet in self.metadata.pallets if pallet.name == call.pallet)
            index = next(entry.value["index"] for entry in pallet.calls if entry.name == call.function)
            return bytes([pallet.value["index"], index]) + call.arguments
        arguments = {"call_module": call.pallet, "call_function": call.function, "call_args": call.params()}
        return bytes(self.config.create_scale_object("Call", metadata=self.metadata).encode(arguments).data)

    def find_key(self, pallet: str, item: str, keys: tuple[Any, ...]) -> StorageKey:
        return StorageKey.create_from_storage_function(pallet, item, list(keys), self.config, self.metadata)

    def decode(self, kind: str, data: bytes) -> Any:
        value = self.config.create_scale_object(kind, ScaleBytes(data), metadata=self.metadata)
        return value.decode()

    def name_error(self, data: bytes) -> str:
        """Name of an encoded `DispatchError`."""
        if data[:1] == b"\x03":
            return str(self.metadata.get_module_error(data[1], data[2]).name)
        return str(self.decode("sp_runtime::DispatchError", data))


@cache
def load_executor() -> Executor:
    """The committed runtime, compiled once a process."""
    return Executor(runtime_blob(), default_cache_folder())


@cache
def _load_codec() -> _Codec:
    empty = Overlay(StateView(Trie({}), EMPTY_ROOT))
    return _Codec.of(decode_metadata(load_executor().call("Metadata_metadata", b"", empty)))


@cache
def _load_version() -> RuntimeVersion:
    version = load_executor().call_version()
    if version is None:
        raise MissingExport("Core_version")
    return RuntimeVersion.decode(version)


def load_preset(name: str) -> dict[str, Any]:
    """A genesis preset of the runtime, as a patch to change. Raises `GenesisRejected` when there is none."""
    text = GenesisCalls(load_executor()).genesis_preset(name)
    if text is None:
        raise GenesisRejected(f"it has no preset {name!r}")
    preset: dict[str, Any] = json.loads(text)
    return preset


class Ledger:
    """The chain: `submit` into the block that is open, `pass_blocks` to close it and go on."""

    def __init__(self, patch: Mapping[str, Any] | str) -> None:
        """Block 1 of a chain with this genesis patch, or preset's name. Raises GenesisRejected."""
        self._executor = load_executor()
        state = genesis_state_from_patch(runtime_blob(), patch, self._executor)
        self._nodes: dict[bytes, bytes] = {}
        trie = Trie(self._nodes)
        update = trie.update(EMPTY_ROOT, state)
        self._nodes.update(update.nodes)
        self._view = StateView(trie, update.root)
        self._parent = genesis_block(state)
        self._genesis = self._parent.hash
        self._nonces: dict[bytes, int] = {}
        self.events: list[Event] = []
        """Of all closed blocks, those of our pallets and the stock ones that have a type."""
        self._codec, self._version = _load_codec(), _load_version()
        duration = self._executor.call("AuraApi_slot_duration", b"", Overlay(self._view))
        self._slot_ms = int.from_bytes(duration, "little")
        self._builder = self._open()

    @property
    def number(self) -> int:
        """Height of the open block."""
        return self._parent.number + 1

    def submit(self, key: Sr25519Key, call: Call | EncodedCall) -> int:
        """A signed transaction; a full block is closed before. Gives its size in bytes.

        Raises `CallRefused` when it fails; the fee is paid.
        """
        extrinsic = self._sign(key, self._codec.encode_call(call))
        error = self._builder.add(extrinsic)
        if error == EXHAUSTED:
            self.pass_blocks(1)
            error = self._builder.add(extrinsic)
        if error is not None:
            raise CallRefused(call, f"invalid transaction 0x{error.hex()}")
        self._nonces[key.public] += 1
        if self._builder.dispatched[:1] != b"\x00":
            raise CallRefused(call, self._codec.name_error(self._builder.dispatched[1:]))
        return len(extrinsic)

    def pass_blocks(self, count: int) -> None:
        """Closes the open block and `count` − 1 empty ones after it."""
        for _ in range(count):
            block = self._builder.finish()
            update = self._builder.overlay.root(StateVersion.V1)
            self._nodes.update(update.nodes)
            self._view = self._view.successor(update.root, self._builder.overlay.changes())
            self._parent = block.header
            self.events.extend(self._read_events())
            self._builder = self._open()

    def query(self, item: StorageItem[T], *keys: Any) -> T:
        """A storage item of the open block."""
        key = self._codec.find_key(item.pallet, item.name, keys)
        data = self._builder.overlay.get(bytes(key.data))
        if data is None:
            if item.optional:
                return item.decode(None)
            function = key.metadata_storage_function
            data = bytes(function.value_object["default"].value_object)
        return item.decode(self._codec.decode(key.value_scale_type, bytes(data)))

    def query_raw(self, pallet: str, item: str, *keys: Any) -> bytes | None:
        """The own bytes of a storage item of the open block; None if absent."""
        return self._builder.overlay.get(bytes(self._codec.find_key(pallet, item, keys).data))

    def _open(self) -> BlockBuilder:
        slot = START_SLOT + self.number
        builder = BlockBuilder(self._executor, self._view, self._parent, slot)
        builder.add_inherents(slot * self._slot_ms)
        return builder

    def _sign(self, key: Sr25519Key, call: bytes) -> bytes:
        nonce = self._nonces.setdefault(key.public, 0)
        extra = b"\x00" + encode_compact(nonce) + encode_compact(0) + b"\x00"  # immortal, no tip, no metadata hash
        versions = (self._version.spec_version, self._version.transaction_version)
        implicit = b"".join(version.to_bytes(4, "little") for version in versions) + self._genesis * 2 + b"\x00"
        payload = call + extra + implicit
        signature = key.sign(payload if len(payload) <= 256 else blake2_256(payload))
        return encode_bytes(b"\x84\x00" + key.public + b"\x01" + signature + extra + call)

    def _read_events(self) -> list[Event]:
        key = self._codec.find_key("System", "Events", ())
        data = self._view.get(bytes(key.data))
        if data is None:
            return []
        found = []
        for record in self._codec.decode(key.value_scale_type, data):
            kind = EVENTS.get((record["module_id"], record["event_id"]))
            if kind is not None:
                found.append(kind.from_attributes(record["attributes"]))
        return found
