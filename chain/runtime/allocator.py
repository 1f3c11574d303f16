"""The freeing-bump heap that a Substrate runtime expects of its host, twice: in Python and in Wasm.

Sizes are rounded up to powers of two from 8 bytes to 32 MiB; each order has a list of free blocks, threaded through
their headers. Every block has an 8-byte header in front and is 8-byte aligned: the runtime itself writes two bytes in
front of the pointers it gets: the header's highest, which mean nothing.
Source: Polkadot specification, "Memory allocator", and sc-allocator.

Nine of ten host calls of a block are the allocator's, so the runtime is linked to `HEAP_WAT`, which costs it no way
out of Wasm; the host itself, and the test that compares the two, use the class. Both keep their state in the same
small memory: bump pointer, base, then the head of each order's list.
"""

from __future__ import annotations

import struct
from typing import Protocol

from chain.errors import AllocatorFault

HEADER_BYTES = 8
MIN_BLOCK = 8
ORDERS = 23  # 8 bytes << 22 (= 32 MiB) is the largest block
MAX_BLOCK = MIN_BLOCK << (ORDERS - 1)  # = 33,554,432
PAGE = 1 << 16  # 64 KiB (= 65,536)
MAX_PAGES = 4_096  # 256 MiB of memory in all
STATE_BYTES = 8 + 4 * ORDERS  # = 100: bump u32, base u32, heads u32 each
FAULT_AT = 256  # where the Wasm heap notes why it trapped
_OCCUPIED = 1 << 32
_NIL = 0xFFFF_FFFF
_EMPTY_LISTS = b"\xff\xff\xff\xff" * ORDERS

EXHAUSTED, OVERWRITTEN, NEVER_ALLOCATED, NOT_ALLOCATED, TOO_LARGE = 1, 2, 3, 4, 5
FAULTS = {
    EXHAUSTED: f"the heap is exhausted at {MAX_PAGES} pages of 64 KiB",
    OVERWRITTEN: "the list of free blocks leads to an occupied one; the runtime wrote over a header",
    NEVER_ALLOCATED: "a pointer was freed that was never allocated",
    NOT_ALLOCATED: "a pointer was freed that is not an allocated block (freed twice?)",
    TOO_LARGE: f"a block holds at most {MAX_BLOCK} bytes, more were asked for",
}


class LinearMemory(Protocol):
    """What the allocator needs of the Wasm memory."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read_u64(self, at: int, /) -> int:
        """Little-endian."""
        ...

    def write_u64(self, at: int, value: int, /) -> None:
        """Little-endian."""
        ...

    def grow(self, pages: int, /) -> None:
        """Adds pages of 64 KiB."""
        ...


def compute_order(size: int) -> int:
    """The order of the smallest block that holds `size` bytes; raises AllocatorFault above 32 MiB."""
    if size > MAX_BLOCK:
        raise AllocatorFault(FAULTS[TOO_LARGE])
    return (size - 1).bit_length() - 3 if size > MIN_BLOCK else 0


class FreeingBumpAllocator:
    """A heap in `memory` from `heap_base` upwards whose state lies in `state` (at least STATE_BYTES)."""

    def __init__(self, memory: LinearMemory, heap_base: int, state: memoryview) -> None:
        self._memory = memory
        self._base = (heap_base + 7) // 8 * 8
        self._state = state
        self._first = struct.pack("<II", self._base, self._base) + _EMPTY_LISTS
        self.reset()

    @property
    def used_until(self) -> int:
        """One past the highest byte ever handed out since `reset`."""
        bump: int = struct.unpack_from("<I", self._state)[0]
        return bump

    def reset(self) -> None:
        """Forgets all blocks."""
        self._state[:STATE_BYTES] = self._first

    def allocate(self, size: int) -> int:
        """A pointer to `size` bytes; raises AllocatorFault when the heap is exhausted or damaged."""
        order = compute_order(size)
        head: int = struct.unpack_from("<I", self._state, 8 + 4 * order)[0]
        if head != _NIL:
            header = self._memory.read_u64(head)
            if header & _OCCUPIED:
                raise AllocatorFault(FAULTS[OVERWRITTEN])
            struct.pack_into("<I", self._state, 8 + 4 * order, header & 0xFFFF_FFFF)
        else:
            head = self.used_until
            end = head + HEADER_BYTES + (MIN_BLOCK << order)
            if end > self._memory.size:
                self._grow(end)
            struct.pack_into("<I", self._state, 0, end)
        self._memory.write_u64(head, _OCCUPIED | order)
        return head + HEADER_BYTES

    def deallocate(self, pointer: int) -> None:
        """Gives a block back; raises AllocatorFault for a pointer that is not an allocated block."""
        head = pointer - HEADER_BYTES
        if not self._base <= head < self.used_until or head % 8:
            raise AllocatorFault(FAULTS[NEVER_ALLOCATED])
        header = self._memory.read_u64(head)
        order = header & 0xFFFF_FFFF
        if not header & _OCCUPIED or order >= ORDERS:
            raise AllocatorFault(FAULTS[NOT_ALLOCATED])
        self._memory.write_u64(head, struct.unpack_from("<I", self._state, 8 + 4 * order)[0])
        struct.pack_into("<I", self._state, 8 + 4 * order, head)

    def _grow(self, needed: int) -> None:
        have = self._memory.size // PAGE
        wanted = -(-needed // PAGE)
        if wanted > MAX_PAGES:
            raise AllocatorFault(FAULTS[EXHAUSTED])
        self._memory.grow(min(MAX_PAGES, max(wanted, 2 * have)) - have)


HEAP_WAT = f"""
(module
  (import "env" "memory" (memory $main 1))
  (memory $state (export "state") 1)

  (func $fault (param $code i32)
    (i32.store $state (i32.const {FAULT_AT}) (local.get $code))
    unreachable)

  (func $grow (param $end i64)
    (local $have i32) (local $wanted i32) (local $target i32)
    (local.set $have (memory.size $main))
    (local.set $wanted (i32.wrap_i64 (i64.shr_u (i64.add (local.get $end) (i64.const 65535)) (i64.const 16))))
    (if (i32.gt_u (local.get $wanted) (i32.const {MAX_PAGES})) (then (call $fault (i32.const {EXHAUSTED}))))
    (local.set $target (i32.shl (local.get $have) (i32.const 1)))
    (if (i32.lt_u (local.get $target) (local.get $wanted)) (then (local.set $target (local.get $wanted))))
    (if (i32.gt_u (local.get $target) (i32.const {MAX_PAGES})) (then (local.set $target (i32.const {MAX_PAGES}))))
    (if (i32.eq (memory.grow $main (i32.sub (local.get $target) (local.get $have))) (i32.const -1))
      (then (call $fault (i32.const {EXHAUSTED})))))

  (func (export "malloc") (param $size i32) (result i32)
    (local $order i32) (local $slot i32) (local $head i32) (local $header i64) (local $end i64)
    (if (i32.gt_u (local.get $size) (i32.const {MAX_BLOCK})) (then (call $fault (i32.const {TOO_LARGE}))))
    (if (i32.gt_u (local.get $size) (i32.const {MIN_BLOCK}))
      (then (local.set $order (i32.sub (i32.const 29) (i32.clz (i32.sub (local.get $size) (i32.const 1)))))))
    (local.set $slot (i32.add (i32.const 8) (i32.shl (local.get $order) (i32.const 2))))
    (local.set $head (i32.load $state (local.get $slot)))
    (if (i32.ne (local.get $head) (i32.const -1))
      (then
        (local.set $header (i64.load $main (local.get $head)))
        (if (i64.ne (i64.and (local.get $header) (i64.const 0x100000000)) (i64.const 0))
          (then (call $fault (i32.const {OVERWRITTEN}))))
        (i32.store $state (local.get $slot) (i32.wrap_i64 (local.get $header))))
      (else
        (local.set $head (i32.load $state (i32.const 0)))
        (local.set $end (i64.add (i64.extend_i32_u (local.get $head))
          (i64.add (i64.const {HEADER_BYTES}) (i64.shl (i64.const {MIN_BLOCK}) (i64.extend_i32_u (local.get $order))))))
        (if (i64.gt_u (local.get $end) (i64.shl (i64.extend_i32_u (memory.size $main)) (i64.const 16)))
          (then (call $grow (local.get $end))))
        (i32.store $state (i32.const 0) (i32.wrap_i64 (local.get $end)))))
    (i64.store $main (local.get $head)
      (i64.or (i64.const 0x100000000) (i64.extend_i32_u (local.get $order))))
    (i32.add (local.get $head) (i32.const {HEADER_BYTES})))

  (func (export "free") (param $pointer i32)
    (local $head i32) (local $header i64) (local $slot i32)
    (local.set $head (i32.sub (local.get $pointer) (i32.const {HEADER_BYTES})))
    (if (i32.or (i32.or
          (i32.lt_u (local.get $head) (i32.load $state (i32.const 4)))
          (i32.ge_u (local.get $head) (i32.load $state (i32.const 0))))
          (i32.and (local.get $head) (i32.const 7)))
      (then (call $fault (i32.const {NEVER_ALLOCATED}))))
    (local.set $header (i64.load $main (local.get $head)))
    (if (i32.or
          (i64.eqz (i64.and (local.get $header) (i64.const 0x100000000)))
          (i32.ge_u (i32.wrap_i64 (local.get $header)) (i32.const {ORDERS})))
      (then (call $fault (i32.const {NOT_ALLOCATED}))))
    (local.set $slot (i32.add (i32.const 8) (i32.shl (i32.wrap_i64 (local.get $header)) (i32.const 2))))
    (i64.store $main (local.get $head) (i64.extend_i32_u (i32.load $state (local.get $slot))))
    (i32.store $state (local.get $slot) (local.get $head))))
"""
