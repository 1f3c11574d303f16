"""Runs a runtime's Wasm with wasmtime on a kept instance that is put back to its first state before every call.

Why that is sound: a call may leave its traces only in linear memory, mutable globals, tables and host state. Memory
below the heap (data, stack) is copied back from a snapshot taken right after instantiation, the used part of the heap
is zeroed, the allocator begins anew; the only mutable global a runtime has is the stack pointer, which every return
restores (a module with others, or a call that trapped, gets a fresh instance); the code has no instruction that
changes its table. A test runs calls in different orders and compares.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime
import zstandard

from chain.errors import (
    AllocatorFault,
    BlobMalformed,
    ChainError,
    DatabaseCorrupt,
    HostFault,
    MissingExport,
    RuntimeTrapped,
    TrieCorrupt,
    UnknownImports,
)
from chain.primitives.block import blake2_256
from chain.runtime.allocator import FAULT_AT, FAULTS, HEAP_WAT, MAX_PAGES, FreeingBumpAllocator
from chain.runtime.hashing_wat import HASHING_WAT
from chain.runtime.host import CallContext, GuestMemory, Host, HostFunction, RuntimeKeystore
from chain.runtime.host_child import child_storage_functions
from chain.runtime.host_crypto import hashing_functions, keystore_functions, verify_functions
from chain.runtime.host_misc import allocator_functions, misc_functions
from chain.runtime.host_offchain import offchain_functions
from chain.runtime.host_storage import storage_functions
from chain.runtime.host_trie import trie_functions
from chain.runtime.linking import EntryPoint, Linker
from chain.runtime.recall_wat import GENERATION_AT, HOST_FUNCTIONS, RECALL_WAT
from chain.runtime.wasm import count_mutable_globals, find_heap_base
from chain.state.overlay import Overlay

COMPRESSED_PREFIX = bytes.fromhex("52bc537646db8e05")
MAX_WASM_BYTES = 50 << 20  # 50 MiB (= 52,428,800), as stock nodes
HEAP_PAGES = 32  # 2 MiB of heap at first; it grows on demand
KEPT_HEAP_BYTES = 64 << 20  # an instance whose memory grew beyond 64 MiB is not kept
KEPT_EXECUTORS = 3
_TYPES = {"i": "i32", "l": "i64"}


def decompress_blob(blob: bytes) -> bytes:
    """The Wasm module in a blob, which may be zstd-compressed behind the magic prefix; raises BlobMalformed."""
    wasm = blob
    if blob.startswith(COMPRESSED_PREFIX):
        reader = zstandard.ZstdDecompressor().stream_reader(blob[len(COMPRESSED_PREFIX) :])
        try:
            wasm = reader.read(MAX_WASM_BYTES + 1)
        except zstandard.ZstdError as error:
            raise BlobMalformed(f"the runtime blob does not decompress: {error}; rebuild it") from error
    if len(wasm) > MAX_WASM_BYTES:
        raise BlobMalformed(f"the runtime blob has more than {MAX_WASM_BYTES} bytes; refuse it")
    if not wasm.startswith(b"\x00asm"):
        raise BlobMalformed("the runtime blob is neither Wasm nor compressed Wasm; rebuild it")
    return wasm


def default_cache_folder() -> Path:
    """Where compiled modules are kept: `$XDG_CACHE_HOME/aipow/wasm` or `~/.cache/aipow/wasm`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aipow" / "wasm"


class _Instance:
    """One instantiation with its memory, heap and snapshot."""

    def __init__(self, executor: Executor) -> None:
        module = executor.module
        self.store = wasmtime.Store(executor.engine)
        limits = wasmtime.Limits(executor.min_pages + HEAP_PAGES, MAX_PAGES if executor.has_maximum else None)
        raw = wasmtime.Memory(self.store, wasmtime.MemoryType(limits))
        self.memory = GuestMemory(self.store, raw)
        heap = wasmtime.Instance(self.store, executor.heap_module, [raw]).exports(self.store)
        state = heap["state"]
        if not isinstance(state, wasmtime.Memory):
            raise HostFault("the heap module exports no state memory")
        self.heap_state = GuestMemory(self.store, state)
        self.heap_base = executor.heap_base
        allocator = FreeingBumpAllocator(self.memory, self.heap_base, self.heap_state.view)
        self.host = Host(self.memory, allocator, executor.version_of)
        functions = make_host_functions(self.host)
        self.linker = Linker(self.store)
        in_wasm = self._link_wasm(executor, raw, heap, functions)
        imports: list[Any] = []
        for item in module.imports:
            name = item.name or ""
            if isinstance(item.type, wasmtime.MemoryType):
                imports.append(raw)
            elif name in in_wasm:
                imports.append(in_wasm[name])
            else:
                imports.append(self.linker.link(functions[name], item.type))
        self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        self._snapshot = ctypes.create_string_buffer(self.memory.read(0, self.heap_base), self.heap_base)
        self.functions: dict[str, EntryPoint] = {}

    def _link_wasm(
        self, executor: Executor, raw: wasmtime.Memory, heap: Any, functions: dict[str, HostFunction]
    ) -> dict[str, Any]:
        """The host functions that are Wasm themselves: the heap's, hashes, and storage through the recall table."""
        store, malloc = self.store, heap["malloc"]
        hashing = wasmtime.Instance(store, executor.hashing_module, [raw, malloc]).exports(store)
        signatures = executor.recall_signatures
        hosts = [self.linker.link(functions[name], signatures[name]) for name in HOST_FUNCTIONS]
        recall = wasmtime.Instance(store, executor.recall_module, [raw, malloc, *hosts]).exports(store)
        self._recall_table = GuestMemory(store, recall["table"])
        return {
            "ext_allocator_malloc_version_1": malloc,
            "ext_allocator_free_version_1": heap["free"],
            **{item.name: hashing[item.name] for item in executor.hashing_module.exports},
            **{name: recall[name] for name in HOST_FUNCTIONS},
        }

    def reset(self) -> None:
        """Puts memory, heap and recall table back to what they were after instantiation."""
        heap, memory = self.host.heap, self.memory
        memory.refresh()
        ctypes.memmove(memory.address, self._snapshot, self.heap_base)
        table = self._recall_table
        table.write_u64(GENERATION_AT, table.read_u64(GENERATION_AT) + 1)
        used = min(heap.used_until, memory.size)
        ctypes.memset(memory.address + self.heap_base, 0, used - self.heap_base)
        heap.reset()

    def call(self, method: str, arguments: bytes, context: CallContext) -> bytes:
        """One call on a clean instance."""
        function = self.functions.get(method)
        if function is None:
            function = self.functions[method] = EntryPoint(self.store, method, self.exports[method])
        host = self.host
        host.call = context
        try:
            at = host.put(arguments)
            return self.memory.read_span(function(at, len(arguments)))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raised, self.linker.raised = self.linker.raised, None
            if raised is not None:
                raise raised from error
            fault = self.heap_state.read_u64(FAULT_AT) & 0xFFFF_FFFF
            if fault:
                raise AllocatorFault(FAULTS[fault]) from error
            raise
        finally:
            host.call = None


def make_host_functions(host: Host) -> dict[str, HostFunction]:
    """All host functions by import name."""
    return {
        **storage_functions(host),
        **child_storage_functions(host),
        **verify_functions(host),
        **keystore_functions(host),
        **hashing_functions(host),
        **allocator_functions(host),
        **trie_functions(host),
        **misc_functions(host),
        **offchain_functions(host),
    }


def _known_signatures() -> dict[str, tuple[list[str], list[str]]]:
    unbound: Any = type("Unbound", (), {"memory": None, "heap": None})()
    return {
        name: ([_TYPES[p] for p in function.params], [_TYPES[r] for r in function.result])
        for name, function in make_host_functions(unbound).items()
    }


class Executor:
    """A compiled runtime. Not thread-safe: one thread makes all calls.

    Raises BlobMalformed or UnknownImports at load. `cache` is the folder of compiled modules (None: no cache).
    """

    def __init__(
        self, blob: bytes, cache: Path | None = None, version_of: Callable[[bytes], bytes | None] | None = None
    ) -> None:
        wasm = decompress_blob(blob)
        self.engine = wasmtime.Engine()
        self.module = self._compile(wasm, cache)
        self.version_of = version_of or (lambda code: Executor(code, cache).call_version())
        self.min_pages = 0
        self.has_maximum = False
        self._check_imports()
        self.heap_base = find_heap_base(wasm)
        self.heap_module, self.hashing_module, self.recall_module = (
            self._compile(bytes(wasmtime.wat2wasm(wat)), cache) for wat in (HEAP_WAT, HASHING_WAT, RECALL_WAT)
        )
        imports = self.recall_module.imports
        self.recall_signatures = {i.name or "": i.type for i in imports if isinstance(i.type, wasmtime.FuncType)}
        self.methods = frozenset(e.name for e in self.module.exports if isinstance(e.type, wasmtime.FuncType))
        self._reusable = count_mutable_globals(wasm) <= 1
        self._kept: _Instance | None = None

    def _compile(self, wasm: bytes, cache: Path | None) -> wasmtime.Module:
        if cache is None:
            return self._compile_now(wasm)
        name = blake2_256(importlib.metadata.version("wasmtime").encode() + b"\x00" + wasm).hex()
        path = cache / f"{name}.cwasm"
        if path.exists():
            with contextlib.suppress(wasmtime.WasmtimeError):  # another CPU or build: compile anew
                return wasmtime.Module.deserialize_file(self.engine, str(path))
        module = self._compile_now(wasm)
        with contextlib.suppress(OSError):  # a read-only home only costs the next start a second
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=cache)
            with os.fdopen(handle, "wb") as file:
                file.write(module.serialize())
            Path(temporary).replace(path)
        return module

    def _compile_now(self, wasm: bytes) -> wasmtime.Module:
        try:
            return wasmtime.Module(self.engine, wasm)
        except wasmtime.WasmtimeError as error:
            raise BlobMalformed(f"the runtime blob is no valid Wasm: {error}; rebuild it") from error

    def _check_imports(self) -> None:
        known = _known_signatures()
        unknown = []
        for item in self.module.imports:
            kind = item.type
            if isinstance(kind, wasmtime.MemoryType) and (item.module, item.name) == ("env", "memory"):
                self.min_pages = kind.limits.min
                self.has_maximum = kind.limits.max is not None
            elif not isinstance(kind, wasmtime.FuncType) or item.module != "env":
                unknown.append(f"{item.module}.{item.name}")
            elif known.get(item.name or "") != ([str(p) for p in kind.params], [str(r) for r in kind.results]):
                unknown.append(f"{item.name}")
        if unknown:
            raise UnknownImports(tuple(unknown))
        if self.min_pages == 0:
            raise BlobMalformed("the runtime does not import env.memory; build it with --import-memory")
        if self.min_pages + HEAP_PAGES > MAX_PAGES:
            raise BlobMalformed(f"the runtime wants {self.min_pages} pages of memory, at most {MAX_PAGES} are given")

    def call(self, method: str, arguments: bytes, overlay: Overlay, keystore: RuntimeKeystore | None = None) -> bytes:
        """Calls an entry point on `overlay`; its writes stay there also when it traps: roll back what is not wanted.

        Raises MissingExport, and RuntimeTrapped with the runtime's panic message.
        """
        if method not in self.methods:
            raise MissingExport(method)
        instance, self._kept = self._kept, None  # a nested call gets an instance of its own
        if instance is None:
            instance = _Instance(self)
        else:
            instance.reset()
        context = CallContext(overlay, keystore)
        depth = overlay.depth
        try:
            result = instance.call(method, arguments, context)
        except (TrieCorrupt, DatabaseCorrupt):
            overlay.rollback_to(depth)
            raise  # our folder's fault, not the block's
        except (wasmtime.Trap, wasmtime.WasmtimeError, ChainError) as error:
            overlay.rollback_to(depth)
            detail = context.last_error or str(error).split("\n", 1)[0]
            raise RuntimeTrapped(method, detail) from error
        overlay.rollback_to(depth)
        if self._reusable and instance.memory.size <= KEPT_HEAP_BYTES:
            self._kept = instance
        return result

    def call_version(self) -> bytes | None:
        """The encoded `RuntimeVersion`, None if the blob has none; needs no state."""
        from chain.state.view import StateView
        from chain.trie import EMPTY_ROOT, Trie

        try:
            return self.call("Core_version", b"", Overlay(StateView(Trie({}), EMPTY_ROOT)))
        except ChainError:
            return None


class Executors:
    """Compiled runtimes by the BLAKE2b-256 of their blob; the last used ones are kept."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._kept: OrderedDict[bytes, Executor] = OrderedDict()

    def get(self, code_hash: bytes, load: Callable[[], bytes]) -> Executor:
        """The executor of the blob with this hash; `load` gives its bytes if it is not compiled yet."""
        executor = self._kept.get(code_hash)
        if executor is None:
            executor = self._kept[code_hash] = Executor(load(), self._cache)
        self._kept.move_to_end(code_hash)
        while len(self._kept) > KEPT_EXECUTORS:
            self._kept.popitem(last=False)
        return executor
