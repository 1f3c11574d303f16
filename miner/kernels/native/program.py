"""A compiled graph: its kernels in a shared library, its plan as C structures, runs without the GIL.

The arrays that a run returns are views of a block of their own. A block is used again only when nobody holds an array
of it any more, so that results stay valid for as long as they are kept; in training two blocks take turns.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.exact.values import check_finite
from consensus.graph import Graph
from consensus.graph.ops import NUMPY_DTYPES
from miner.kernels.native.compiler import compile_library
from miner.kernels.native.gemm import GemmStruct, choose_kernel
from miner.kernels.native.library import load_library
from miner.kernels.native.memory import align, allocate, allocate_owner, populate
from miner.kernels.native.plan import ARENA, CONSTANTS, ERROR, FIRST_INPUT, OUTPUTS, Product, get_plan

Array = npt.NDArray[Any]

C_FOLDER = Path(__file__).parent / "c"

HEAD = """#include "exact.h"
#define AIPOW_KERNEL(name) void name(char **a, char *scratch, int64_t begin, int64_t end)
#define AIPOW_EPILOGUE(name) void name(char **a, int64_t r, int64_t j0, int64_t j1)
"""


class _Op(ctypes.Structure):
    """aipow_op of c/runtime.h."""

    _fields_ = [
        ("kernel", ctypes.c_void_p), ("epilogue", ctypes.c_void_p), ("total", ctypes.c_int64),
        ("grain", ctypes.c_int64), ("first", ctypes.c_int64), ("epilogue_first", ctypes.c_int64),
        ("gemm_kernel", ctypes.c_int64), ("gemm", GemmStruct),
    ]  # fmt: skip


class _Plan(ctypes.Structure):
    """aipow_plan of c/runtime.h."""

    _fields_ = [
        ("ops", ctypes.POINTER(_Op)), ("op_count", ctypes.c_int64), ("bases", ctypes.POINTER(ctypes.c_int32)),
        ("offsets", ctypes.POINTER(ctypes.c_int64)), ("address_count", ctypes.c_int64),
        ("addresses", ctypes.POINTER(ctypes.c_void_p)), ("scratch", ctypes.c_void_p), ("scratch_bytes", ctypes.c_int64),
        ("gemm_scratch", ctypes.c_void_p),
    ]  # fmt: skip

UNITS = 8
"""Files that a graph's kernels are split into."""


@dataclass(frozen=True)
class _Output:
    key: tuple[str, str]
    block: int
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class NativeProgram:
    """One graph, ready to run on ``threads`` threads."""

    def __init__(self, graph: Graph, threads: int = 1, checked: bool = True) -> None:
        """Plan and compile, or find both in the cache, and allocate; ``checked`` as in `lower`.

        Raises `CompilerMissing`, `CompilationFailed`, `CacheUnusable`, MemoryError.
        """
        self.threads = threads
        self._library = load_library()
        self._pool = self._library.get_pool(threads)
        self.plan = get_plan(graph, checked)
        self._arena = allocate(self.plan.arena_bytes)
        self._owners = [allocate_owner(self.plan.output_bytes)]
        populate(self._library, self._arena, self._owners)
        self._kernels = compile_library(split_sources(list(self.plan.sources.values())))
        nodes = {key: node for node in graph.nodes if (key := _output_key(node)) is not None}
        self._outputs = [
            _Output(key, block, offset, NUMPY_DTYPES[nodes[key].dtype], nodes[key].shape)
            for key, (block, offset) in self.plan.outputs.items()
        ]
        self._checked = checked
        self._passed: dict[tuple[str, str], Array] = {}
        self._ops_of_nodes = [node.op for node in graph.nodes]
        self._constants = allocate(len(self.plan.constants))
        self._constants[:] = np.frombuffer(self.plan.constants, dtype=np.uint8)
        self._error = ctypes.c_int32(0)
        self._build()

    def _build(self) -> None:
        """The plan as C structures."""
        plan, count = self.plan, len(self.plan.bases)
        ops = (_Op * max(1, len(plan.calls)))()
        functions = {name: ctypes.cast(self._kernels[name], ctypes.c_void_p).value or 0 for name in plan.sources}
        gemm_scratch = 0
        for op, call in zip(ops, plan.calls, strict=False):
            op.first, op.epilogue_first, op.total, op.grain = call.first, call.epilogue_first, call.total, call.grain
            op.kernel, op.epilogue = functions.get(call.kernel), functions.get(call.epilogue)
            if call.product is not None:
                op.gemm = _make_gemm(call.product)
                op.gemm_kernel = choose_kernel(op.gemm, self._pool)
                gemm_scratch = max(gemm_scratch, self._library.gemm_scratch(op.gemm, self.threads))
        self._ops, self._bases = ops, (ctypes.c_int32 * count)(*plan.bases)
        self._offsets, self._addresses = (ctypes.c_int64 * count)(*plan.offsets), (ctypes.c_void_p * count)()
        self._scratch, self._gemm_scratch = allocate(plan.scratch_bytes * self.threads), allocate(gemm_scratch)
        self._c_plan = _Plan(
            self._ops, len(plan.calls), self._bases, self._offsets, count, self._addresses,
            self._scratch.ctypes.data, plan.scratch_bytes, self._gemm_scratch.ctypes.data,
        )  # fmt: skip

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        """Outputs of one step by (kind, name). ``inputs`` have the declared dtypes and shapes (the caller has checked).

        Raises `NonFiniteState`, `IndexOutOfRange`. Not to be called from two threads at once.
        """
        block = self._take_block()
        blocks, held = self._bind(inputs, block)
        failed = self._library.run(self._c_plan, blocks, self._pool, self._error)
        del held
        if failed >= 0:
            node, what = self.plan.calls[failed].failures[self._error.value - 1]
            where = f"node {node} ({self._ops_of_nodes[node]})"
            if what == "index":
                raise IndexOutOfRange(where, self.plan.index_bounds[node])
            raise NonFiniteState(where)
        results = {}
        for output in self._outputs:
            if output.block >= FIRST_INPUT:
                results[output.key] = self._pass_on(output.key, inputs[output.key])
            else:
                end = output.offset + output.dtype.itemsize * int(np.prod(output.shape, dtype=np.int64))
                results[output.key] = block[output.offset : end].view(output.dtype).reshape(output.shape)
        return results

    def _pass_on(self, key: tuple[str, str], array: Array) -> Array:
        """State that the step does not change: the given array, looked through once (E8)."""
        if self._passed.get(key) is not array:
            if self._checked:
                check_finite(array, f"output {key[0]} {key[1]}")
            self._passed[key] = array
        return array

    def _bind(self, inputs: Mapping[tuple[str, str], Array], block: Array) -> tuple[Any, list[Array]]:
        """Addresses of all blocks, and the arrays that must live as long as they are used."""
        held = [np.ascontiguousarray(inputs[key]) for key in self.plan.inputs]
        blocks = (ctypes.c_void_p * (FIRST_INPUT + len(held)))()
        blocks[ERROR] = ctypes.addressof(self._error)
        blocks[ARENA], blocks[CONSTANTS] = self._arena.ctypes.data, self._constants.ctypes.data
        blocks[OUTPUTS] = block.ctypes.data
        for i, array in enumerate(held):
            blocks[FIRST_INPUT + i] = array.ctypes.data
        return blocks, held

    def _take_block(self) -> Array:
        """A block for outputs that nobody holds any more; further ones are given back to the system. Every view of a
        block refers to its owner, so that the owner's reference count tells."""
        free = [i for i in range(len(self._owners)) if sys.getrefcount(self._owners[i]) == 2]  # the list's, the call's
        for i in reversed(free[1:]):
            del self._owners[i]
        if free:
            return align(self._owners[free[0]])
        owner = allocate_owner(self.plan.output_bytes)
        self._owners.append(owner)
        del self._owners[:-KEPT_BLOCKS]
        return align(owner)


KEPT_BLOCKS = 4
"""Most output blocks that are remembered for use again."""


def _make_gemm(p: Product) -> GemmStruct:
    return GemmStruct(
        batch=p.batch, m=p.m, n=p.n, k=p.k, a_row=p.a_row, a_k=p.a_k, a_batch=p.a_batch, b_col=p.b_col, b_k=p.b_k,
        b_batch=p.b_batch, ea_batch=p.ea_batch, eb_batch=p.eb_batch, bits=p.bits, ldc=p.n, c_batch=p.m * p.n,
    )  # fmt: skip


def _output_key(node: Any) -> tuple[str, str] | None:
    return (str(node.attrs["kind"]), str(node.attrs["name"])) if node.op == "output" else None


def split_sources(functions: Sequence[str]) -> dict[str, str]:
    """C files of about equal length, which a compiler can work on side by side."""
    units: list[list[str]] = [[] for _ in range(UNITS)]
    for function in sorted(functions, key=len, reverse=True):
        min(units, key=lambda unit: sum(map(len, unit))).append(function)
    named = {f"kernels{i}.c": HEAD + "\n".join(unit) for i, unit in enumerate(units) if unit}
    return named | {"exact.h": read_source("exact.h")}


@cache
def read_source(name: str) -> str:
    """The text of a file of c/."""
    return (C_FOLDER / name).read_text()


__all__ = ["NativeProgram"]
