"""Host functions of the storage family."""

from __future__ import annotations

from chain.errors import HostFault
from chain.primitives.scale import Reader, encode_bytes
from chain.runtime.host import Host, HostFunction
from chain.state.overlay import CHILD_STORAGE_PREFIX
from chain.trie import StateVersion

_NONE = b"\x00"


def state_version(version: int) -> StateVersion:
    """The state version of its number; raises HostFault for one that we do not know."""
    if version not in (0, 1):
        raise HostFault(f"state version {version} is unknown; use a newer host")
    return StateVersion(version)


def read_limit(span: bytes) -> int | None:
    """An `Option<u32>`; raises DecodeError."""
    reader = Reader(span)
    limit = reader.u32() if reader.option() else None
    reader.finish("limit of removed keys")
    return limit


def encode_removed(removed: int, is_done: bool) -> bytes:
    """A `KillStorageResult`: whether keys remain, and how many of the committed state were gone through."""
    return (b"\x00" if is_done else b"\x01") + removed.to_bytes(4, "little")


def _is_guarded(key: bytes) -> bool:
    """Child tries' roots are the host's: a runtime's direct write to them is ignored, as stock hosts do."""
    return key.startswith(CHILD_STORAGE_PREFIX)


def _touches_children(prefix: bytes) -> bool:
    return prefix.startswith(CHILD_STORAGE_PREFIX) or CHILD_STORAGE_PREFIX.startswith(prefix)


def storage_functions(host: Host) -> dict[str, HostFunction]:
    """Reading and writing the state, prefixes, roots and transactions."""
    memory = host.memory

    def get(key: int) -> int:
        value = host.overlay.get(memory.read_span(key))
        return host.put_span(_NONE if value is None else b"\x01" + encode_bytes(value))

    def read(key: int, out: int, offset: int) -> int:
        value = host.overlay.get(memory.read_span(key))
        if value is None:
            return host.put_span(_NONE)
        rest = value[offset & 0xFFFF_FFFF :]
        memory.write(out, rest[: out >> 32 & 0xFFFF_FFFF])
        return host.put_span(b"\x01" + len(rest).to_bytes(4, "little"))

    def set_(key: int, value: int) -> None:
        name = memory.read_span(key)
        if not _is_guarded(name):
            host.overlay.set(name, memory.read_span(value))

    def clear(key: int) -> None:
        name = memory.read_span(key)
        if not _is_guarded(name):
            host.overlay.set(name, None)

    def exists(key: int) -> int:
        return int(host.overlay.get(memory.read_span(key)) is not None)

    def append(key: int, item: int) -> None:
        host.overlay.append(memory.read_span(key), memory.read_span(item))

    def next_key(key: int) -> int:
        found = host.overlay.next_key(memory.read_span(key))
        return host.put_span(_NONE if found is None else b"\x01" + encode_bytes(found))

    def _clear(prefix: bytes, limit: int | None) -> tuple[int, bool]:
        return (0, True) if _touches_children(prefix) else host.overlay.clear_prefix(prefix, limit)

    def clear_prefix(prefix: int) -> None:
        _clear(memory.read_span(prefix), None)

    def clear_prefix_limited(prefix: int, limit: int) -> int:
        most = read_limit(memory.read_span(limit))
        return host.put_span(encode_removed(*_clear(memory.read_span(prefix), most)))

    def root(version: int) -> int:
        return host.put_span(host.overlay.root(state_version(version)).root)

    return {
        "ext_storage_get_version_1": HostFunction("l", "l", get),
        "ext_storage_read_version_1": HostFunction("lli", "l", read),
        "ext_storage_set_version_1": HostFunction("ll", "", set_),
        "ext_storage_clear_version_1": HostFunction("l", "", clear),
        "ext_storage_exists_version_1": HostFunction("l", "i", exists),
        "ext_storage_append_version_1": HostFunction("ll", "", append),
        "ext_storage_next_key_version_1": HostFunction("l", "l", next_key),
        "ext_storage_clear_prefix_version_1": HostFunction("l", "", clear_prefix),
        "ext_storage_clear_prefix_version_2": HostFunction("ll", "l", clear_prefix_limited),
        "ext_storage_root_version_1": HostFunction("", "l", lambda: root(0)),
        "ext_storage_root_version_2": HostFunction("i", "l", root),
        "ext_storage_changes_root_version_1": HostFunction("l", "l", lambda parent: host.put_span(_NONE)),
        "ext_storage_start_transaction_version_1": HostFunction("", "", lambda: host.overlay.start()),
        "ext_storage_commit_transaction_version_1": HostFunction("", "", lambda: host.overlay.commit()),
        "ext_storage_rollback_transaction_version_1": HostFunction("", "", lambda: host.overlay.rollback()),
    }
