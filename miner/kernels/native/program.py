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
from miner.kernels.native.plan import (
    ALIGNMENT,
    ARENA,
    CONSTANTS,
    ERROR,
    FIRST_INPUT,
    OUTPUTS,
    Operation,
    make_plan,
)

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
        """Lower, generate, compile (or find in the cache) and place; ``checked`` as in `lower`.

        Raises `CompilerMissing`, `CompilationFailed`, MemoryError.
        """
        self.threads = threads
        self.plan = make_plan(graph, checked)
        self._library = load_library()
        self._pool = self._library.get_pool(threads)
        self._kernels = compile_library(split_sources(list(self.plan.sources.values())))
        nodes = {key: node for node in graph.nodes if (key := _output_key(node)) is not None}
        self._outputs = [
            _Output(key, block, offset, NUMPY_DTYPES[nodes[key].dtype], nodes[key].shape)
            for key, (block, offset) in self.plan.outputs.items()
        ]
        self._checked = checked
        self._passed: dict[tuple[str, str], Array] = {}
        self._ops_of_nodes = [node.op for node in graph.nodes]
        self._owners: list[Array] = []
        self._constants = _aligned(len(self.plan.constants))
        self._constants[:] = np.frombuffer(self.plan.constants, dtype=np.uint8)
        self._arena = _aligned(self.plan.arena_bytes)
        self._error = ctypes.c_int32(0)
        self._build()

    def _build(self) -> None:
        """The plan as C structures."""
        plan, places = self.plan, self.plan.places
        ops = (_Op * max(1, len(plan.operations)))()
        bases: list[int] = []
        offsets: list[int] = []

        def add(op: Operation, epilogue: bool) -> int:
            first = len(bases)
            bases.append(ERROR)
            offsets.append(0)
            kernel = op.epilogue if epilogue else op.kernel
            for argument in kernel.arguments if kernel is not None else op.arguments():
                block, offset = places[argument.root]
                bases.append(block)
                offsets.append(offset + argument.offset * plan.element_bytes[argument.root])
            return first

        gemm_scratch = 0
        for c_op, op in zip(ops, plan.operations, strict=False):
            c_op.first = add(op, False)
            if op.epilogue is not None:
                c_op.epilogue_first = add(op, True)
                c_op.epilogue = self._address(op.epilogue.source)
            if op.kernel is not None:
                c_op.kernel = self._address(op.kernel.source)
                c_op.total, c_op.grain = op.kernel.total, op.kernel.grain
            if op.gemm is not None:
                c_op.gemm = self._make_gemm(op)
                c_op.gemm_kernel = choose_kernel(c_op.gemm, self._pool)
                gemm_scratch = max(gemm_scratch, self._library.gemm_scratch(c_op.gemm, self.threads))
        self._ops, self._bases = ops, (ctypes.c_int32 * len(bases))(*bases)
        self._offsets, self._addresses = (ctypes.c_int64 * len(bases))(*offsets), (ctypes.c_void_p * len(bases))()
        self._scratch, self._gemm_scratch = _aligned(plan.scratch_bytes * self.threads), _aligned(gemm_scratch)
        self._c_plan = _Plan(
            self._ops, len(plan.operations), self._bases, self._offsets, len(bases), self._addresses,
            self._scratch.ctypes.data, plan.scratch_bytes, self._gemm_scratch.ctypes.data,
        )  # fmt: skip

    def _address(self, source: str) -> int:
        function = getattr(self._kernels, self.plan.names[source])
        return ctypes.cast(function, ctypes.c_void_p).value or 0

    @staticmethod
    def _make_gemm(op: Operation) -> GemmStruct:
        g = op.gemm
        if g is None:
            raise AssertionError("the operation is no product")
        return GemmStruct(
            batch=g.batch, m=g.m, n=g.n, k=g.k, a_row=g.a_strides[0], a_k=g.a_strides[1], a_batch=g.a_strides[2],
            b_col=g.b_strides[0], b_k=g.b_strides[1], b_batch=g.b_strides[2], ea_batch=g.exponent_strides[0],
            eb_batch=g.exponent_strides[1], bits=g.bits, ldc=g.n, c_batch=g.m * g.n,
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
            node, what = self.plan.failures[failed][self._error.value - 1]
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
        """A block for outputs that nobody holds any more. Every view of a block refers to its owner, so that the
        owner's reference count tells."""
        for i in range(len(self._owners)):
            if sys.getrefcount(self._owners[i]) == 2:  # the list's and the call's own
                return _align(self._owners[i])
        owner = np.empty(self.plan.output_bytes + ALIGNMENT, dtype=np.uint8)
        self._owners = [*self._owners[1 - KEPT_BLOCKS :], owner]
        return _align(owner)


KEPT_BLOCKS = 4
"""Most output blocks that are remembered for use again."""


def _aligned(size: int) -> Array:
    """Fresh bytes at a multiple of `ALIGNMENT`."""
    return _align(np.empty(size + ALIGNMENT, dtype=np.uint8))


def _align(owner: Array) -> Array:
    """The part of a buffer that starts at a multiple of `ALIGNMENT`."""
    start = -owner.ctypes.data % ALIGNMENT
    return owner[start : start + owner.size - ALIGNMENT]


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
