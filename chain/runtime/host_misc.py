"""Host functions of the trie, allocator, logging and misc families."""

from __future__ import annotations

import logging

from chain.errors import HostFault
from chain.primitives.block import MAX_BLOCK_BYTES, MAX_EXTRINSICS
from chain.primitives.scale import Reader
from chain.runtime.host import Host, HostFunction
from chain.runtime.host_crypto import encode_runtime_version
from chain.trie import StateVersion, compute_trie_root, ordered_trie_root

log = logging.getLogger("chain.runtime")

_ERROR = 0
# the runtime's LogLevel (0 = error … 4 = trace) to ours; errors are panics, which the caller hears of as exceptions
_LEVELS = {_ERROR: logging.DEBUG, 1: logging.WARNING, 2: logging.INFO, 3: logging.DEBUG, 4: logging.DEBUG - 1}
MAX_LEVEL = 2  # LogLevelFilter (0 = off, 1 = error, 2 = warn): the runtime formats errors and warnings only


def allocator_functions(host: Host) -> dict[str, HostFunction]:
    """The heap."""
    heap = host.heap
    return {
        "ext_allocator_malloc_version_1": HostFunction("i", "i", lambda size: heap.allocate(size & 0xFFFF_FFFF)),
        "ext_allocator_free_version_1": HostFunction("i", "", lambda at: heap.deallocate(at & 0xFFFF_FFFF)),
    }


def trie_functions(host: Host) -> dict[str, HostFunction]:
    """Roots of lists and of maps; each returns a pointer to 32 bytes."""
    memory = host.memory

    def _version(version: int) -> StateVersion:
        if version not in (0, 1):
            raise HostFault(f"state version {version} is unknown; use a newer host")
        return StateVersion(version)

    def ordered_root(items: int, version: int) -> int:
        reader = Reader(memory.read_span(items))
        count = reader.compact(MAX_EXTRINSICS)
        values = [reader.bytes_(MAX_BLOCK_BYTES) for _ in range(count)]
        return host.put(ordered_trie_root(values, _version(version)))

    def root(items: int, version: int) -> int:
        reader = Reader(memory.read_span(items))
        count = reader.compact(MAX_EXTRINSICS)
        pairs = {reader.bytes_(MAX_BLOCK_BYTES): reader.bytes_(MAX_BLOCK_BYTES) for _ in range(count)}
        return host.put(compute_trie_root(pairs, _version(version)))

    return {
        "ext_trie_blake2_256_ordered_root_version_1": HostFunction("l", "i", lambda items: ordered_root(items, 0)),
        "ext_trie_blake2_256_ordered_root_version_2": HostFunction("li", "i", ordered_root),
        "ext_trie_blake2_256_root_version_1": HostFunction("l", "i", lambda items: root(items, 0)),
        "ext_trie_blake2_256_root_version_2": HostFunction("li", "i", root),
    }


def misc_functions(host: Host) -> dict[str, HostFunction]:
    """Logging, printing, versions of other blobs, and the panic hook."""
    memory = host.memory

    def write_log(level: int, target: int, message: int) -> None:
        name = memory.read_span(target).decode(errors="replace")
        text = memory.read_span(message).decode(errors="replace")
        if level == _ERROR and host.call is not None:
            host.call.last_error = text
        log.log(_LEVELS.get(level, logging.INFO), "%s: %s", name, text)

    def print_hex(span: int) -> None:
        log.debug("0x%s", memory.read_span(span).hex())

    def print_utf8(span: int) -> None:
        log.debug("%s", memory.read_span(span).decode(errors="replace"))

    def runtime_version(code: int) -> int:
        return host.put_span(encode_runtime_version(host.version_of(memory.read_span(code))))

    def abort(message: int) -> None:
        host.context.last_error = memory.read_span(message).decode(errors="replace")
        raise HostFault(host.context.last_error)

    return {
        "ext_logging_log_version_1": HostFunction("ill", "", write_log),
        "ext_logging_max_level_version_1": HostFunction("", "i", lambda: MAX_LEVEL),
        "ext_misc_print_hex_version_1": HostFunction("l", "", print_hex),
        "ext_misc_print_utf8_version_1": HostFunction("l", "", print_utf8),
        "ext_misc_print_num_version_1": HostFunction("l", "", lambda number: log.debug("%d", number)),
        "ext_misc_runtime_version_version_1": HostFunction("l", "l", runtime_version),
        "ext_panic_handler_abort_on_panic_version_1": HostFunction("l", "", abort),
        "ext_offchain_index_set_version_1": HostFunction("ll", "", lambda key, value: None),
        "ext_offchain_index_clear_version_1": HostFunction("l", "", lambda key: None),
    }
