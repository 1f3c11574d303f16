"""Host functions of the default child storage family: small tries of their own whose roots lie in the main trie.

Source: Polkadot specification, "Host API: child storage".
"""

from __future__ import annotations

from chain.primitives.scale import encode_bytes
from chain.runtime.host import Host, HostFunction
from chain.runtime.host_storage import encode_removed, read_limit, state_version
from chain.state.overlay import Overlay

_NONE = b"\x00"


def child_storage_functions(host: Host) -> dict[str, HostFunction]:
    """Reading, writing and removing child tries; the first argument is always the child trie's name."""
    memory = host.memory

    def child(name: int) -> Overlay:
        return host.overlay.child(memory.read_span(name))

    def put_option(value: bytes | None) -> int:
        return host.put_span(_NONE if value is None else b"\x01" + encode_bytes(value))

    def read(name: int, key: int, out: int, offset: int) -> int:
        value = child(name).get(memory.read_span(key))
        if value is None:
            return host.put_span(_NONE)
        rest = value[offset:]
        memory.write(out, rest[: out >> 32 & 0xFFFF_FFFF])
        return host.put_span(b"\x01" + len(rest).to_bytes(4, "little"))

    def set_(name: int, key: int, value: int) -> None:
        child(name).set(memory.read_span(key), memory.read_span(value))

    def clear(name: int, key: int) -> None:
        child(name).set(memory.read_span(key), None)

    def remove(name: int, prefix: bytes, limit: bytes = _NONE) -> tuple[int, bool]:
        return child(name).clear_prefix(prefix, read_limit(limit))

    def clear_prefix(name: int, prefix: int) -> None:
        remove(name, memory.read_span(prefix))

    def clear_prefix_limited(name: int, prefix: int, limit: int) -> int:
        return host.put_span(encode_removed(*remove(name, memory.read_span(prefix), memory.read_span(limit))))

    def kill(name: int) -> None:
        remove(name, b"")

    def kill_limited(name: int, limit: int) -> int:
        return int(remove(name, b"", memory.read_span(limit))[1])

    def kill_counted(name: int, limit: int) -> int:
        return host.put_span(encode_removed(*remove(name, b"", memory.read_span(limit))))

    def root(name: int, version: int) -> int:
        return host.put_span(host.overlay.child_root(memory.read_span(name), state_version(version)))

    functions = {
        "get_version_1": HostFunction("ll", "l", lambda name, key: put_option(child(name).get(memory.read_span(key)))),
        "read_version_1": HostFunction("llli", "l", read),
        "set_version_1": HostFunction("lll", "", set_),
        "clear_version_1": HostFunction("ll", "", clear),
        "storage_kill_version_1": HostFunction("l", "", kill),
        "storage_kill_version_2": HostFunction("ll", "i", kill_limited),
        "storage_kill_version_3": HostFunction("ll", "l", kill_counted),
        "exists_version_1": HostFunction(
            "ll", "i", lambda name, key: int(child(name).get(memory.read_span(key)) is not None)
        ),
        "clear_prefix_version_1": HostFunction("ll", "", clear_prefix),
        "clear_prefix_version_2": HostFunction("lll", "l", clear_prefix_limited),
        "root_version_1": HostFunction("l", "l", lambda name: root(name, 0)),
        "root_version_2": HostFunction("li", "l", root),
        "next_key_version_1": HostFunction(
            "ll", "l", lambda name, key: put_option(child(name).next_key(memory.read_span(key)))
        ),
    }
    return {f"ext_default_child_storage_{name}": function for name, function in functions.items()}
