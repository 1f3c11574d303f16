"""A runtime's place without a runtime: host functions called on a real memory and heap."""

from __future__ import annotations

import wasmtime

from chain.runtime.allocator import STATE_BYTES, FreeingBumpAllocator
from chain.runtime.executor import make_host_functions
from chain.runtime.host import CallContext, GuestMemory, Host, RuntimeKeystore
from chain.state import Overlay


class Guest:
    """What a runtime sees: host functions by name, byte arguments as spans in its memory."""

    def __init__(self, overlay: Overlay, keystore: RuntimeKeystore | None = None) -> None:
        self.store = wasmtime.Store()
        raw = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(2, None)))
        self.memory = GuestMemory(self.store, raw)
        heap = FreeingBumpAllocator(self.memory, 1_024, memoryview(bytearray(STATE_BYTES)))
        self.host = Host(self.memory, heap, lambda _code: None)
        self.host.call = CallContext(overlay, keystore)
        self.functions = make_host_functions(self.host)

    def __call__(self, name: str, *arguments: bytes | int) -> bytes | int | None:
        function = self.functions[f"ext_{name}"]
        passed = [self.host.put_span(a) if isinstance(a, bytes) else a for a in arguments]
        result: int | None = function.run(*passed)
        return self.memory.read_span(result) if function.result == "l" and result is not None else result
