"""What host functions work on: the instance's memory and the call they serve."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import wasmtime

from chain.errors import HostFault
from chain.runtime.allocator import FreeingBumpAllocator
from chain.state.overlay import Overlay

_U32 = 0xFFFF_FFFF


class OutOfBounds(HostFault):
    """The runtime passed a pointer outside of its memory."""

    def __init__(self, at: int, length: int, size: int) -> None:
        self.at, self.length, self.size = at, length, size
        super().__init__(f"{length} bytes at {at} lie outside of the runtime's {size} bytes of memory")


class KeystoreMissing(HostFault):
    """The runtime asked for a key in a call that has no keystore."""

    def __init__(self) -> None:
        super().__init__("this runtime call has no keystore; pass one to Executor.call")


class RuntimeKeystore(Protocol):
    """Keys a runtime may generate and sign with (`SessionKeys_generate_session_keys`).

    `crypto` is "sr25519", "ed25519" or "ecdsa"; all raise a ChainError for a scheme or key type that is not kept.
    """

    def generate_key(self, crypto: str, key_type: bytes, uri: str | None) -> bytes:
        """A new public key, of the secret URI if one is given."""
        ...

    def public_keys(self, crypto: str, key_type: bytes) -> list[bytes]:
        """The public keys of a type."""
        ...

    def sign_with(self, crypto: str, key_type: bytes, public: bytes, message: bytes) -> bytes | None:
        """A signature, None if the key is not ours."""
        ...


@dataclass
class CallContext:
    """One runtime call: the state it works on, and what it said.

    `last_error` is the last text it logged as an error: a panic's message.
    """

    overlay: Overlay
    keystore: RuntimeKeystore | None = None
    last_error: str = ""
    batch_valid: bool | None = None  # whether all checks of the open batch passed; None: no batch is open


@dataclass(frozen=True)
class HostFunction:
    """A host function: its Wasm parameters and results ("i" = i32, "l" = i64) and its Python face."""

    params: str
    result: str
    run: Callable[..., Any]


class GuestMemory:
    """A linear memory as bytes, bounds-checked before every access; it may grow under us."""

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        self._store, self._memory = store, memory
        self.size = 0
        self.address = 0
        self.refresh()

    def refresh(self) -> None:
        """Looks anew where the memory lies and how large it is: the runtime may have grown it."""
        self.size = self._memory.data_len(self._store)
        self.address = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        self.view = memoryview((ctypes.c_uint8 * self.size).from_address(self.address)).cast("B")

    def grow(self, pages: int) -> None:
        """Adds pages of 64 KiB."""
        self._memory.grow(self._store, pages)
        self.refresh()

    def read(self, at: int, length: int) -> bytes:
        """`length` bytes at `at` (u32); raises OutOfBounds."""
        at &= _U32
        end = at + length
        if end > self.size:
            self.refresh()
            if end > self.size:
                raise OutOfBounds(at, length, self.size)
        return self.view[at:end].tobytes()

    def read_span(self, span: int) -> bytes:
        """The bytes of a pointer-size: pointer in the low half, length in the high half of an i64."""
        return self.read(span & _U32, span >> 32 & _U32)

    def write(self, at: int, data: bytes) -> None:
        """Writes `data` at `at` (u32); raises OutOfBounds."""
        at &= _U32
        end = at + len(data)
        if end > self.size:
            self.refresh()
            if end > self.size:
                raise OutOfBounds(at, len(data), self.size)
        self.view[at:end] = data

    def read_u64(self, at: int) -> int:
        """Little-endian; raises OutOfBounds."""
        if at + 8 > self.size:
            return int.from_bytes(self.read(at, 8), "little")
        value: int = struct.unpack_from("<Q", self.view, at)[0]
        return value

    def write_u64(self, at: int, value: int) -> None:
        """Little-endian; raises OutOfBounds."""
        if at + 8 > self.size:
            self.write(at, value.to_bytes(8, "little"))
            return
        struct.pack_into("<Q", self.view, at, value)


class Host:
    """What every host function closes over; `call` is set for the time of a runtime call."""

    def __init__(self, memory: GuestMemory, heap: FreeingBumpAllocator, version_of: Callable[[bytes], bytes | None]):
        self.memory = memory
        self.heap = heap
        self.version_of = version_of
        self.call: CallContext | None = None

    @property
    def overlay(self) -> Overlay:
        """The state of the call."""
        return self.context.overlay

    @property
    def context(self) -> CallContext:
        """The call being served; raises HostFault outside of one."""
        if self.call is None:
            raise HostFault("a host function ran outside of a runtime call")
        return self.call

    @property
    def keystore(self) -> RuntimeKeystore:
        """The call's keystore; raises KeystoreMissing."""
        if self.context.keystore is None:
            raise KeystoreMissing
        return self.context.keystore

    def put(self, data: bytes) -> int:
        """Allocates and writes `data`: a pointer."""
        at = self.heap.allocate(len(data))
        self.memory.write(at, data)
        return at

    def put_span(self, data: bytes) -> int:
        """Allocates and writes `data`: a pointer-size."""
        return self.put(data) | len(data) << 32
