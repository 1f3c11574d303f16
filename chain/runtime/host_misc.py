"""Host functions of the allocator, logging, misc and tracing families."""

from __future__ import annotations

import logging

from chain.errors import HostFault
from chain.runtime.host import Host, HostFunction
from chain.runtime.host_crypto import encode_runtime_version

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
        "ext_wasm_tracing_enabled_version_1": HostFunction("l", "i", lambda metadata: 0),
        "ext_wasm_tracing_enter_span_version_1": HostFunction("l", "l", lambda span: 0),
        "ext_wasm_tracing_event_version_1": HostFunction("l", "", lambda event: None),
        "ext_wasm_tracing_exit_version_1": HostFunction("l", "", lambda span: None),
    }
