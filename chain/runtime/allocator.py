"""The freeing-bump heap that a Substrate runtime expects of its host.

Sizes are rounded up to powers of two from 8 bytes to 32 MiB; each order has a list of free blocks, threaded through
their headers. Every block has an 8-byte header in front and is 8-byte aligned: the runtime itself writes two bytes in
front of the pointers it gets: the header's highest, which mean nothing.
Source: Polkadot specification, "Memory allocator", and sc-allocator.
"""

from __future__ import annotations

from typing import Protocol

from chain.errors import AllocatorFault

HEADER_BYTES = 8
MIN_BLOCK = 8
ORDERS = 23  # 8 bytes << 22 (= 32 MiB) is the largest block
MAX_BLOCK = MIN_BLOCK << (ORDERS - 1)  # = 33,554,432
PAGE = 1 << 16  # 64 KiB (= 65,536)
MAX_PAGES = 4_096  # 256 MiB of memory in all
_OCCUPIED = 1 << 32
_NIL = 0xFFFF_FFFF


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
        raise AllocatorFault(f"{size} bytes were asked for, a block holds at most {MAX_BLOCK}")
    return max(0, (size - 1).bit_length() - 3) if size > MIN_BLOCK else 0


class FreeingBumpAllocator:
    """A heap from `heap_base` upwards. `reset` begins anew for the next call."""

    def __init__(self, memory: LinearMemory, heap_base: int) -> None:
        self._memory = memory
        self._base = (heap_base + 7) // 8 * 8
        self._bump = self._base
        self._free = [_NIL] * ORDERS

    @property
    def used_until(self) -> int:
        """One past the highest byte ever handed out since `reset`."""
        return self._bump

    def reset(self) -> None:
        """Forgets all blocks."""
        self._bump = self._base
        self._free = [_NIL] * ORDERS

    def allocate(self, size: int) -> int:
        """A pointer to `size` bytes; raises AllocatorFault when the heap is exhausted or damaged."""
        order = compute_order(size)
        head = self._free[order]
        if head != _NIL:
            header = self._memory.read_u64(head)
            if header & _OCCUPIED:
                raise AllocatorFault(
                    "the list of free blocks leads to an occupied one; the runtime wrote over a header"
                )
            self._free[order] = header & 0xFFFF_FFFF
        else:
            head = self._bump
            end = head + HEADER_BYTES + (MIN_BLOCK << order)
            if end > self._memory.size:
                self._grow(end)
            self._bump = end
        self._memory.write_u64(head, _OCCUPIED | order)
        return head + HEADER_BYTES

    def deallocate(self, pointer: int) -> None:
        """Gives a block back; raises AllocatorFault for a pointer that is not an allocated block."""
        head = pointer - HEADER_BYTES
        if not self._base <= head < self._bump or head % 8:
            raise AllocatorFault(f"pointer {pointer} was never allocated")
        header = self._memory.read_u64(head)
        order = header & 0xFFFF_FFFF
        if not header & _OCCUPIED or order >= ORDERS:
            raise AllocatorFault(f"pointer {pointer} is not an allocated block (freed twice?)")
        self._memory.write_u64(head, self._free[order])
        self._free[order] = head

    def _grow(self, needed: int) -> None:
        have = self._memory.size // PAGE
        wanted = -(-needed // PAGE)
        if wanted > MAX_PAGES:
            raise AllocatorFault(f"the heap is exhausted at {have} pages of 64 KiB")
        self._memory.grow(min(MAX_PAGES, max(wanted, 2 * have)) - have)
