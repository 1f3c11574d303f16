"""Host functions and entry points without wasmtime-py's generic conversion of values (three times its speed).

Uses the C API's `wasmtime_func_new_unchecked` and `wasmtime_func_call_unchecked` through wasmtime-py's own bindings;
the version is pinned. Arguments and results lie in an array of 16-byte slots. "Unchecked" refers to types only: the
executor has compared every import's signature with the table of host functions before it links, and an entry point's
is looked at when it is taken.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import wasmtime
from wasmtime import _bindings as ffi  # the C API

from chain.errors import MissingExport
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


class EntryPoint:
    """A runtime function: (pointer, length of its arguments) -> pointer-size. Raises MissingExport for another kind."""

    def __init__(self, store: wasmtime.Store, name: str, function: Any) -> None:
        kind = function.type(store)
        if ([str(p) for p in kind.params], [str(r) for r in kind.results]) != (["i32", "i32"], ["i64"]):
            raise MissingExport(name)
        self._context = store._context()
        self._function = function  # keeps the pointer below alive
        self._pointer = ctypes.byref(function._func)
        self._words = (ctypes.c_int64 * (2 * _SLOT))()
        self._slots = ctypes.cast(self._words, ctypes.POINTER(ffi.wasmtime_val_raw_t))

    def __call__(self, at: int, length: int) -> int:
        """Raises wasmtime.Trap and WasmtimeError."""
        words, trap = self._words, ctypes.POINTER(ffi.wasm_trap_t)()
        words[0], words[_SLOT] = at, length
        error = ffi.wasmtime_func_call_unchecked(self._context, self._pointer, self._slots, 2, ctypes.byref(trap))
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        if trap:
            raise wasmtime.Trap._from_ptr(trap)
        return words[0]


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
