"""The Wasm heap against the Python one, call by call, and the faults of both."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import AllocatorFault
from chain.runtime.allocator import (
    EXHAUSTED,
    FAULT_AT,
    FAULTS,
    HEAP_WAT,
    MAX_BLOCK,
    MAX_PAGES,
    NEVER_ALLOCATED,
    NOT_ALLOCATED,
    OVERWRITTEN,
    PAGE,
    STATE_BYTES,
    TOO_LARGE,
    FreeingBumpAllocator,
    compute_order,
)
from chain.runtime.host import GuestMemory

BASE = 1_003  # not aligned on purpose


class Both:
    """Two heaps on two memories: one works in Python, the other in Wasm. A result is a pointer or a fault's text."""

    def __init__(self) -> None:
        self.store = wasmtime.Store()
        kind = wasmtime.MemoryType(wasmtime.Limits(1, None))
        self.raw = wasmtime.Memory(self.store, kind)
        module = wasmtime.Module(self.store.engine, wasmtime.wat2wasm(HEAP_WAT))
        self.exports = wasmtime.Instance(self.store, module, [self.raw]).exports(self.store)
        self.wasm_memory = GuestMemory(self.store, self.raw)
        self.wasm_state = GuestMemory(self.store, self.exports["state"])
        FreeingBumpAllocator(self.wasm_memory, BASE, self.wasm_state.view)
        self.memory = GuestMemory(self.store, wasmtime.Memory(self.store, kind))
        self.state = memoryview(bytearray(STATE_BYTES))
        self.heap = FreeingBumpAllocator(self.memory, BASE, self.state)

    def _wasm(self, name: str, value: int) -> int | str | None:
        try:
            result: int | None = self.exports[name](self.store, value)
            return result
        except wasmtime.Trap:
            return FAULTS[self.wasm_state.read_u64(FAULT_AT) & 0xFFFF_FFFF]

    def malloc(self, size: int) -> int | str:
        try:
            ours: int | str = self.heap.allocate(size)
        except AllocatorFault as error:
            ours = str(error)
        assert self._wasm("malloc", size) == ours
        return ours

    def free(self, pointer: int) -> str | None:
        try:
            self.heap.deallocate(pointer)
            ours = None
        except AllocatorFault as error:
            ours = str(error)
        assert self._wasm("free", pointer) == ours
        return ours

    def poke(self, at: int, data: bytes) -> None:
        self.memory.write(at, data)
        self.wasm_memory.write(at, data)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["malloc", "malloc", "free", "free again"]), st.integers(0, 5_000)), max_size=60)
)
def test_both_heaps_agree(steps: list[tuple[str, int]]) -> None:
    both = Both()
    live: dict[int, int] = {}
    freed: list[int] = []
    for action, number in steps:
        if action == "malloc":
            pointer = both.malloc(number)
            assert isinstance(pointer, int)
            assert pointer % 8 == 0
            for other, size in live.items():
                assert pointer + number <= other or other + size <= pointer
            live[pointer] = number
            both.poke(pointer, b"\xff" * number)
            both.poke(pointer - 2, b"\xee\xee")  # as the runtime does
        elif action == "free" and live:
            pointer = sorted(live)[number % len(live)]
            assert both.free(pointer) is None
            del live[pointer]
            freed.append(pointer)
        elif freed and freed[-1] not in live:
            assert both.free(freed[-1]) == FAULTS[NOT_ALLOCATED]
    both.wasm_memory.refresh()
    assert both.wasm_state.read(0, STATE_BYTES) == bytes(both.state)
    assert both.wasm_memory.read(0, both.wasm_memory.size) == both.memory.read(0, both.memory.size)


@pytest.mark.parametrize(("size", "order"), [(0, 0), (1, 0), (8, 0), (9, 1), (16, 1), (17, 2), (MAX_BLOCK, 22)])
def test_orders_are_powers_of_two_from_eight(size: int, order: int) -> None:
    assert compute_order(size) == order


def test_a_freed_block_is_used_again() -> None:
    both = Both()
    first = both.malloc(100)
    both.malloc(100)
    assert isinstance(first, int)
    both.free(first)
    assert both.malloc(65) == first


def test_the_largest_block_is_given_and_one_byte_more_is_not() -> None:
    both = Both()
    assert isinstance(both.malloc(MAX_BLOCK), int)
    assert both.malloc(MAX_BLOCK + 1) == FAULTS[TOO_LARGE]


def test_the_heap_ends_at_its_page_limit() -> None:
    both = Both()
    blocks = MAX_PAGES * PAGE // MAX_BLOCK - 1  # headers and base take the place of the last one
    for _ in range(blocks):
        assert isinstance(both.malloc(MAX_BLOCK), int)
    assert both.malloc(MAX_BLOCK) == FAULTS[EXHAUSTED]
    assert isinstance(both.malloc(8), int)


@pytest.mark.parametrize("pointer", [0, 8, BASE, 1 << 31])
def test_foreign_pointers_are_refused(pointer: int) -> None:
    both = Both()
    both.malloc(8)
    assert both.free(pointer) == FAULTS[NEVER_ALLOCATED]


def test_an_overwritten_free_list_is_noticed() -> None:
    both = Both()
    pointer = both.malloc(8)
    assert isinstance(pointer, int)
    both.free(pointer)
    both.poke(pointer - 8, (1 << 32).to_bytes(8, "little"))
    assert both.malloc(8) == FAULTS[OVERWRITTEN]
