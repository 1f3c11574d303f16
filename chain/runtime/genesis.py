"""Block 0: the runtime's genesis builder, and the header that its state gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from chain.errors import GenesisRejected, RuntimeTrapped
from chain.primitives.block import ZERO_HASH, Header
from chain.primitives.scale import Reader, encode_bytes
from chain.runtime.executor import Executor
from chain.state.overlay import Overlay
from chain.state.view import CHILD_ROOT_PREFIX, StateView
from chain.trie import EMPTY_ROOT, StateVersion, Trie, TrieUpdate, ordered_trie_root

CODE_KEY = b":code"
PENDING_CODE_KEY = b":pending_code"
Children: TypeAlias = Mapping[bytes, Mapping[bytes, bytes]]
MAX_GENESIS_JSON = 16 << 20  # 16 MiB (= 16,777,216)


def _empty() -> Overlay:
    return Overlay(StateView(Trie({}), EMPTY_ROOT))


class GenesisCalls:
    """The genesis builder of a runtime, on an empty state (`chain.chain_spec.RuntimeCalls`)."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def genesis_preset(self, preset: str | None) -> bytes | None:
        """The JSON of a preset, of the default configuration for None; None if there is no such preset."""
        argument = b"\x00" if preset is None else b"\x01" + encode_bytes(preset.encode())
        reader = Reader(self._executor.call("GenesisBuilder_get_preset", argument, _empty()))
        return reader.bytes_(MAX_GENESIS_JSON, "preset") if reader.option("preset") else None

    def build_genesis(self, config: bytes) -> dict[bytes, bytes]:
        """The storage that a whole configuration (JSON) gives, without `:code`; raises GenesisRejected."""
        overlay = _empty()
        try:
            reader = Reader(self._executor.call("GenesisBuilder_build_state", encode_bytes(config), overlay))
        except RuntimeTrapped as error:
            raise GenesisRejected(error.detail) from error
        if reader.u8("genesis result"):
            raise GenesisRejected(reader.bytes_(1 << 16, "reason").decode(errors="replace"))
        if overlay.has_children:
            raise GenesisRejected("it writes child tries; put them into the childrenDefault of a raw chain spec")
        return {key: value for key, value in overlay.changes().items() if value is not None}


def _merge(base: Any, patch: Any) -> Any:
    """JSON merge (RFC 7396): null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict) or not isinstance(base, dict):
        return patch
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def genesis_state_from_patch(
    blob: bytes, patch: Mapping[str, Any] | str, executor: Executor | None = None
) -> dict[bytes, bytes]:
    """All storage of block 0, `:code` included, from a preset's name or a patch of the default configuration.

    Raises GenesisRejected.
    """
    calls = GenesisCalls(executor or Executor(blob))
    default = calls.genesis_preset(None)
    if default is None:
        raise GenesisRejected("it has no default genesis configuration")
    if isinstance(patch, str):
        text = calls.genesis_preset(patch)
        if text is None:
            raise GenesisRejected(f"it has no preset {patch!r}")
        config = json.loads(text)
    else:
        config = dict(patch)
    state = calls.build_genesis(json.dumps(_merge(json.loads(default), config)).encode())
    state[CODE_KEY] = blob
    return state


def compute_genesis_state(state: Mapping[bytes, bytes], children: Children, version: StateVersion) -> TrieUpdate:
    """Root and nodes of block 0's state with its child tries; an empty one leaves no trace."""
    trie, nodes, whole = Trie({}), dict[bytes, bytes](), dict(state)
    for name, entries in children.items():
        if entries:
            child = trie.update(EMPTY_ROOT, entries, version)
            nodes |= child.nodes
            whole[CHILD_ROOT_PREFIX + name] = child.root
    update = trie.update(EMPTY_ROOT, whole, version)
    return TrieUpdate(update.root, nodes | update.nodes)


def genesis_block(
    state: Mapping[bytes, bytes], version: StateVersion = StateVersion.V1, children: Children | None = None
) -> Header:
    """The header of block 0 over `state` and default child tries by name."""
    root = compute_genesis_state(state, children or {}, version).root
    return Header(ZERO_HASH, 0, root, ordered_trie_root((), StateVersion.V0))
