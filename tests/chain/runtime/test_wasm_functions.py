"""Host functions that are Wasm themselves (hashes, storage with its recall table) against the Python ones."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.runtime.allocator import HEAP_WAT, FreeingBumpAllocator
from chain.runtime.executor import make_host_functions
from chain.runtime.hashing_wat import HASHING_WAT
from chain.runtime.host import CallContext, GuestMemory, Host
from chain.runtime.linking import Linker
from chain.runtime.recall_wat import HOST_FUNCTIONS, MAX_KEY, MAX_VALUE, MIN_KEY, RECALL_WAT
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, Trie
from tests.chain.runtime.guest import Guest

BASE = {b"balances" + bytes([i]) * 24: bytes([i]) * i for i in range(80)}
HASHES = ("twox_64", "twox_128", "twox_256", "blake2_128", "blake2_256")
ENGINE = wasmtime.Engine()
HEAP, HASHING, RECALL = (
    wasmtime.Module(ENGINE, wasmtime.wat2wasm(wat)) for wat in (HEAP_WAT, HASHING_WAT, RECALL_WAT)
)


def overlay() -> Overlay:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes)
    update = trie.update(EMPTY_ROOT, BASE)
    nodes.update(update.nodes)
    return Overlay(StateView(trie, update.root))


class WasmGuest(Guest):
    """The same place with the functions that a runtime is linked to."""

    def __init__(self, state: Overlay) -> None:
        self.store = wasmtime.Store(ENGINE)
        raw = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(2, None)))
        self.memory = GuestMemory(self.store, raw)
        heap = wasmtime.Instance(self.store, HEAP, [raw]).exports(self.store)
        self.heap_state = GuestMemory(self.store, heap["state"])
        allocator = FreeingBumpAllocator(self.memory, 1_024, self.heap_state.view)
        self.host = Host(self.memory, allocator, lambda _code: None)
        self.host.call = CallContext(state)
        self.functions = make_host_functions(self.host)
        self.linker = Linker(self.store)
        types = {item.name: item.type for item in RECALL.imports}
        hosts = [self.linker.link(self.functions[name], types[name]) for name in HOST_FUNCTIONS]
        hashing = wasmtime.Instance(self.store, HASHING, [raw, heap["malloc"]]).exports(self.store)
        recall = wasmtime.Instance(self.store, RECALL, [raw, heap["malloc"], *hosts]).exports(self.store)
        self.linked = {item.name: hashing[item.name] for item in HASHING.exports}
        self.linked |= {name: recall[name] for name in HOST_FUNCTIONS}

    def call(self, name: str, *arguments: bytes | int) -> object:
        """The result as it is: pointers are compared too."""
        passed = [self.host.put_span(a) if isinstance(a, bytes) else a for a in arguments]
        return self.linked[f"ext_{name}"](self.store, *passed)


class Both:
    """The same calls in Wasm and in Python: same results, same heap, same memory."""

    def __init__(self) -> None:
        self.wasm, self.python = WasmGuest(overlay()), Guest(overlay())

    def __call__(self, name: str, *arguments: bytes | int) -> bytes | int | None:
        passed = [self.python.host.put_span(a) if isinstance(a, bytes) else a for a in arguments]
        expected: int | None = self.python.functions[f"ext_{name}"].run(*passed)
        assert self.wasm.call(name, *arguments) == expected
        self.wasm.memory.refresh()
        used = self.python.host.heap.used_until
        assert self.wasm.host.heap.used_until == used
        assert self.wasm.memory.read(0, used) == self.python.memory.read(0, used)
        kind = self.python.functions[f"ext_{name}"].result
        return self.python.memory.read_span(expected) if kind == "l" and expected is not None else expected


@pytest.mark.parametrize("name", HASHES)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=600))
def test_hash_of_random_bytes(name: str, data: bytes) -> None:
    Both()(f"hashing_{name}_version_1", data)


@pytest.mark.parametrize("name", HASHES)
def test_hash_of_every_short_length_and_a_long_text(name: str) -> None:
    both = Both()
    for length in (*range(300), 70_000):
        both(f"hashing_{name}_version_1", bytes(i * 7 & 0xFF for i in range(length)))


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("span", [(2 << 16) - 3 | 4 << 32, 0xFFFF_FFF8 | 16 << 32, 0xFFFF_FFFF_0000_0000])
def test_hash_outside_of_the_memory_traps(name: str, span: int) -> None:
    guest = WasmGuest(overlay())
    used = guest.host.heap.used_until
    with pytest.raises(wasmtime.Trap):
        guest.call(f"hashing_{name}_version_1", span - (1 << 64) if span >> 63 else span)
    assert guest.host.heap.used_until == used


KEYS = [
    *list(BASE)[:3],
    *list(BASE)[62:66],
    b"",
    b"1234567",
    b"12345678",
    b"12345678" + b"9" * 15,
    b"k" * (MAX_KEY - 1) + b"a",
    b"k" * (MAX_KEY - 1) + b"b",
    b"k" * (MAX_KEY + 1),
    b":child_storage:default:x",
]
VALUES = [bytes([n & 0xFF]) * n for n in (0, 1, 63, 64, MAX_VALUE - 1, MAX_VALUE, MAX_VALUE + 1, 20_000)]
NONE = b"\x00"
_key, _value = st.sampled_from(KEYS), st.sampled_from(VALUES)
_prefix = st.sampled_from([b"", b"bal", b"1234", b"k", b":child"])
_step = st.one_of(
    *[st.tuples(st.just("storage_get_version_1"), _key)] * 4,
    st.tuples(st.just("storage_exists_version_1"), _key),
    *[st.tuples(st.just("storage_set_version_1"), _key, _value)] * 3,
    st.tuples(st.just("storage_clear_version_1"), _key),
    st.tuples(st.just("storage_append_version_1"), _key, st.sampled_from([b"\x01", b"item"])),
    st.tuples(st.just("storage_clear_prefix_version_1"), _prefix),
    st.tuples(st.just("storage_clear_prefix_version_2"), _prefix, st.sampled_from([NONE, b"\x01\x02\0\0\0"])),
    st.just(("storage_rollback_transaction_version_1",)),
    st.just(("start",)),
    st.just(("commit",)),
)


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(_step, max_size=60))
def test_storage_through_the_table_is_the_overlays(steps: list[tuple[str | bytes, ...]]) -> None:
    both = Both()
    overlays = both.wasm.host.overlay, both.python.host.overlay
    for name, *arguments in steps:
        if name == "start":
            overlays[0].start(), overlays[1].start()
        elif name == "commit":
            if overlays[0].depth:
                overlays[0].commit(), overlays[1].commit()
        elif name != "storage_rollback_transaction_version_1" or overlays[0].depth:
            both(str(name), *arguments)  # type: ignore[arg-type]
    assert overlays[0].changes() == overlays[1].changes()


def test_a_read_after_a_write_does_not_leave_wasm() -> None:
    both = Both()
    both("storage_set_version_1", KEYS[0], b"new")
    calls = []
    real = both.wasm.host.overlay.get
    both.wasm.host.overlay.get = lambda key: (calls.append(key), real(key))[1]  # type: ignore[method-assign]
    assert both("storage_get_version_1", KEYS[0]) == b"\x01\x0cnew"
    assert both("storage_get_version_1", KEYS[1]) == b"\x01\x04\x01"
    assert both("storage_get_version_1", KEYS[1]) == b"\x01\x04\x01"
    assert calls == [KEYS[1]]
    assert MIN_KEY <= len(KEYS[0]) <= MAX_KEY
