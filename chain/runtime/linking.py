"""Host functions as wasmtime functions without wasmtime-py's generic conversion of values (three times its speed).

Uses the C API's `wasmtime_func_new_unchecked` through wasmtime-py's own bindings; the version is pinned. Arguments and
results lie in an array of 16-byte slots. "Unchecked" refers to types only: the executor has compared every import's
signature with the table of host functions before it links.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import wasmtime
from wasmtime import _bindings as ffi  # the C API

from chain.runtime.host import HostFunction

_SLOT = 2  # a slot of 16 bytes is two 64-bit words
_U32 = 0xFFFF_FFFF

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64), ctypes.c_size_t
)
_Finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NO_FINALIZER = _Finalizer()


class Linker:
    """Makes wasmtime functions of host functions for one store, and keeps the exception one of them raised."""

    def __init__(self, store: wasmtime.Store) -> None:
        self._store = store
        self._alive: list[Any] = []  # ctypes callbacks die with their last reference
        self.raised: BaseException | None = None

    def link(self, function: HostFunction, signature: wasmtime.FuncType) -> wasmtime.Func:
        """The wasmtime function; an exception in it becomes a trap and is kept in `raised`."""
        body = _make_body(function)

        def callback(_env: Any, _caller: Any, words: Any, _count: int) -> int:
            try:
                body(words)
            except BaseException as error:  # noqa: BLE001 - must not cross the C frames; the caller raises it again
                self.raised = error
                trap = wasmtime.Trap("host function failed")._consume()
                return ctypes.cast(trap, ctypes.c_void_p).value or 0
            return 0

        pointer = _Callback(callback)
        self._alive.append(pointer)
        raw = ffi.wasmtime_func_t()
        ffi.wasmtime_func_new_unchecked(
            self._store._context(),
            signature.ptr(),
            ctypes.cast(pointer, ffi.wasmtime_func_unchecked_callback_t),
            None,
            _NO_FINALIZER,
            ctypes.byref(raw),
        )
        return wasmtime.Func._from_raw(raw)


def _make_body(function: HostFunction) -> Callable[[Any], None]:
    """Reads the arguments from the slots, runs the function, writes its result; one closure per number of arguments."""
    run, result = function.run, function.result
    masks = [_U32 if kind == "i" else -1 for kind in function.params]
    if len(masks) == 0:

        def call(words: Any) -> Any:  # noqa: ARG001 - one shape for all
            return run()

    elif len(masks) == 1:
        (a,) = masks

        def call(words: Any) -> Any:
            return run(words[0] & a)

    elif len(masks) == 2:
        a, b = masks

        def call(words: Any) -> Any:
            return run(words[0] & a, words[_SLOT] & b)

    else:
        indexed = [(i * _SLOT, mask) for i, mask in enumerate(masks)]

        def call(words: Any) -> Any:
            return run(*[words[i] & mask for i, mask in indexed])

    if not result:
        return call

    def call_with_result(words: Any) -> None:
        words[0] = call(words)

    return call_with_result
