"""A graph on an NVIDIA GPU: kernels in order, buffers, one CUDA graph a direction between two blocks of state.

A training step reads one block of state and writes the other; steps alternate, so that the state stays on the device.
Non-finite values and bad indices set flags, which are read once a step, with the loss.
"""

from __future__ import annotations

import linecache
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import triton  # type: ignore[import-untyped]
from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.graph import Graph
from consensus.graph.ops import NUMPY_DTYPES

from miner.kernels.native.fusion import Gemm, Group, Lowered, Root, lower
from miner.kernels.triton import gemm, library
from miner.kernels.triton.codegen import Launch, Tiling, generate, get_row_stride

Array = npt.NDArray[Any]
Key = tuple[str, str]
"""(kind, name) of an input or output."""
Form = tuple[str, tuple[int, ...]]
"""Dtype and shape."""

TORCH_DTYPES = {
    "f32": torch.float32, "i64": torch.int64, "bool": torch.int8, "u32": torch.uint32, "i32": torch.int32,
    "i16": torch.int8,
}  # fmt: skip
"""Of a root's buffer; i16 are grid integers, kept as two planes of int8."""
BYTES = {"f32": 4, "i64": 8, "bool": 1, "u32": 4, "i32": 4}
ALIGNMENT = 256
"""Bytes: where a tensor in a block begins."""
FLAG_BYTES = 16
"""Bytes from one kernel's flags to the next one's, times its number of flags: addresses stay multiples of 16."""
INTERPRETED = Tiling(2**15, 2**15, 2**15, 128)


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies in a block."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """Past its last byte."""
        return self.offset + BYTES[self.dtype] * prod(self.shape)


class Layout:
    """Tensors one after another in a block of bytes, zeros between; f32 ones first, so that one pass checks them."""

    def __init__(self, tensors: Mapping[Key, Form]) -> None:
        self.slots: dict[Key, Slot] = {}
        self.f32_bytes = end = 0
        for key, (dtype, shape) in sorted(tensors.items(), key=lambda item: (item[1][0] != "f32", item[0])):
            self.slots[key] = slot = Slot(end, dtype, shape)
            end = -(-slot.end // ALIGNMENT) * ALIGNMENT
            self.f32_bytes = end if dtype == "f32" else self.f32_bytes
        self.size = end

    def view(self, block: Any, key: Key) -> Any:
        """The tensor of a key in a block on the device."""
        slot = self.slots[key]
        return block[slot.offset : slot.end].view(TORCH_DTYPES[slot.dtype])

    def put(self, host: Array, values: Mapping[Key, Array]) -> None:
        """Copy all tensors into a block on the host."""
        for key, slot in self.slots.items():
            host[slot.offset : slot.end].view(NUMPY_DTYPES[slot.dtype])[...] = np.asarray(values[key]).reshape(-1)

    def get(self, host: Array, key: Key) -> Array:
        """The tensor of a key in a block on the host; read-only, for the device holds the original."""
        slot = self.slots[key]
        found = host[slot.offset : slot.end].view(NUMPY_DTYPES[slot.dtype]).reshape(slot.shape)
        found.flags.writeable = False
        return found


class DeviceState(Mapping[str, Array]):
    """A training state on the device; a tensor that is asked for brings all of them to the host, once.

    It stays valid and unchanged for as long as it is held.
    """

    def __init__(self, layout: Layout, block: Any, passed: Mapping[str, Array]) -> None:
        self._layout, self._passed = layout, passed
        self.block = block
        """Bytes on the device."""
        self._host: Array | None = None
        self._views: dict[str, Array] = {}

    @property
    def passed(self) -> Mapping[str, Array]:
        """State that the step does not change: the arrays that were given."""
        return self._passed

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*(name for _, name in self._layout.slots), *self._passed]))

    def __len__(self) -> int:
        return len(self._layout.slots) + len(self._passed)

    def __getitem__(self, name: str) -> Array:
        if name in self._passed:
            return self._passed[name]
        if name not in self._views:
            if ("state", name) not in self._layout.slots:
                raise KeyError(name)
            if self._host is None:
                self._host = _download(self.block)
            self._views[name] = self._layout.get(self._host, ("state", name))
        return self._views[name]


def _download(block: Any) -> Array:
    """Bytes of a block on the host, through pinned memory."""
    host = torch.empty(block.shape, dtype=torch.uint8, pin_memory=block.is_cuda)
    host.copy_(block)
    return np.asarray(host.numpy())


class TritonProgram:
    """One graph, ready to run. Not to be called from two threads at once."""

    def __init__(self, graph: Graph, device: str | None = None) -> None:
        """Lower the graph and place its buffers; kernels are compiled in the first step.

        ``device``: ``cuda``, or ``cpu`` with TRITON_INTERPRET=1 in the environment.
        """
        interpreted = bool(triton.knobs.runtime.interpret)
        self.device = torch.device(device or ("cpu" if interpreted else "cuda"))
        self.graph = graph
        lowered = lower(graph)
        stored = _prune(lowered)
        self._node_names = {i: f"node {i} ({node.op})" for i, node in enumerate(graph.nodes)}
        self._operations = _Operations(lowered, stored, INTERPRETED if interpreted else Tiling())
        self._roots = lowered.roots
        self._sort_tensors(lowered)
        self._tiles: dict[int, gemm.TileShape] = {}
        self._graphs: dict[int, Any] = {}
        self._holders: list[Callable[[], DeviceState | None]] = [lambda: None, lambda: None]
        self._last: tuple[dict[str, Array], DeviceState] | None = None
        self._fixed_from: dict[Key, Array] = {}
        self._allocate()

    def _sort_tensors(self, lowered: Lowered) -> None:
        """Which tensor lies in which block."""
        nodes = {(n.op, str(n.attrs["kind"]), str(n.attrs["name"])): n for n in self.graph.nodes if "kind" in n.attrs}
        sources = {root.id: root.source for root in lowered.roots.values() if root.source is not None}
        outputs = {key: view.root for key, view in lowered.outputs.items()}
        self._passed = {key: sources[root] for key, root in outputs.items() if root in sources}
        state: dict[Key, Form] = {}
        results: dict[Key, Form] = {}
        batch: dict[Key, Form] = {}
        fixed: dict[Key, Form] = {}
        for (op, *names), node in nodes.items():
            key, form = (names[0], names[1]), (node.dtype, node.shape)
            if op == "output" and key not in self._passed:
                (state if key[0] == "state" else results)[key] = form
        for (op, *names), node in nodes.items():
            key, form = (names[0], names[1]), (node.dtype, node.shape)
            if op == "input" and key[0] != "state":
                batch[key] = form
            elif op == "input" and key not in state:
                fixed[key] = form
        self._state, self._results, self._batch, self._fixed = (Layout(t) for t in (state, results, batch, fixed))
        self._output_roots = {root: key for key, root in outputs.items() if key not in self._passed}
        self._input_roots = sources

    def _allocate(self) -> None:
        """Blocks that live as long as the program."""
        device = self.device

        def block(size: int) -> Any:
            return torch.zeros(max(size, ALIGNMENT), dtype=torch.uint8, device=device)

        self._states = [block(self._state.size) for _ in range(2 if self._state.slots else 0)]
        self._batch_block, self._fixed_block = block(self._batch.size), block(self._fixed.size)
        self._staging = torch.zeros(self._batch_block.shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._flags_at = self._results.size
        end = self._flags_at + FLAG_BYTES * self._operations.flags
        places = {}
        for id_ in self._operations.zeroed:
            end = -(-end // ALIGNMENT) * ALIGNMENT
            places[id_] = end
            end += BYTES[self._roots[id_].dtype] * self._roots[id_].numel
        self._work = block(end)
        self._kept: dict[int, Any] = {}
        for id_, place in places.items():
            size = BYTES[self._roots[id_].dtype] * self._roots[id_].numel
            self._kept[id_] = self._work[place : place + size].view(TORCH_DTYPES[self._roots[id_].dtype])
        for root in self._roots.values():
            if root.constant is not None:
                data = root.constant.view(np.int8) if root.dtype == "bool" else root.constant
                self._kept[root.id] = torch.from_numpy(data.copy()).to(device)
            elif root.source in self._batch.slots:
                self._kept[root.id] = self._batch.view(self._batch_block, root.source)
            elif root.source in self._fixed.slots:
                self._kept[root.id] = self._fixed.view(self._fixed_block, root.source)
        for id_, key in self._output_roots.items():
            if key in self._results.slots:
                self._kept[id_] = self._results.view(self._work, key)

    # running

    def run(self, inputs: Mapping[Key, Array]) -> dict[Key, Array]:
        """Outputs of one step by (kind, name). ``inputs`` have the declared dtypes and shapes (the caller has checked).

        State arrays that the last step gave are not sent to the device again. Raises `NonFiniteState`,
        `IndexOutOfRange`.
        """
        state = {name: array for (kind, name), array in inputs.items() if kind == "state"}
        resident = self._last
        if resident is not None and all(resident[0].get(name) is array for name, array in state.items()):
            new, results = self.advance(resident[1], inputs)
        else:
            new, results = self.advance(state, inputs)
        outputs = dict(results)
        arrays = {name: new[name] for name in new}
        outputs |= {("state", name): array for name, array in arrays.items()}
        self._last = (arrays, new)
        return outputs

    def advance(
        self, state: Mapping[str, Array], inputs: Mapping[Key, Array]
    ) -> tuple[DeviceState, dict[Key, Array]]:
        """One step; the new state stays on the device, other outputs come to the host.

        ``state`` is faster as a `DeviceState` of this program. Raises as `run`; what was given is as before then.
        """
        source = self._place_state(state)
        self._place_fixed(state, inputs)
        self._batch.put(self._staging.numpy(), inputs)
        self._batch_block.copy_(self._staging, non_blocking=True)
        target = 1 - source if self._states else 0
        self._release(target)
        self._execute(source)
        results = self._read_results()
        for key, origin in self._passed.items():
            results[key] = inputs[origin] if origin[0] != "state" else state[origin[1]]
        passed = {key[1]: results.pop(key) for key in list(results) if key[0] == "state"}
        if not self._states:
            return DeviceState(self._state, self._work[:0], passed), results
        new = DeviceState(self._state, self._states[target], passed)
        self._holders[target] = weakref.ref(new)
        return new, results

    def _place_state(self, state: Mapping[str, Array]) -> int:
        """The number of the block that holds a state, which is sent there when it is in neither."""
        if not self._states:
            return 0
        for number, holder in enumerate(self._holders):
            if holder() is state:
                return number
        self._release(0)
        self._holders[0] = lambda: None
        if isinstance(state, DeviceState):
            self._states[0].copy_(state.block)
            return 0
        host = torch.zeros(self._states[0].shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        self._state.put(host.numpy(), {("state", name): array for name, array in state.items()})
        self._states[0].copy_(host)
        return 0

    def _release(self, number: int) -> None:
        """Give whoever still holds a block's state a copy of its own."""
        holder = self._holders[number]() if self._states else None
        if holder is not None:
            holder.block = holder.block.clone()

    def _place_fixed(self, state: Mapping[str, Array], inputs: Mapping[Key, Array]) -> None:
        """Send state that the step only reads, unless it is there."""
        for key, slot in self._fixed.slots.items():
            array = state[key[1]]
            if self._fixed_from.get(key) is not array:
                if slot.dtype == "f32" and key in self._passed.values() and not np.isfinite(array).all():
                    raise NonFiniteState(f"output state {key[1]}")
                data = np.ascontiguousarray(array).reshape(-1)
                data = data.view(np.int8) if slot.dtype == "bool" else data
                self._fixed.view(self._fixed_block, key).copy_(torch.from_numpy(data.copy()))
                self._fixed_from[key] = array

    def _execute(self, source: int) -> None:
        if self.device.type != "cuda":
            self._launch_all(source)
            return
        if source not in self._graphs:
            if not self._graphs:
                self._compile_all()
            self._launch_all(source)  # measures what the capture below records
            torch.cuda.synchronize()
            captured = torch.cuda.CUDAGraph()
            pool = next(iter(self._graphs.values())).pool() if self._graphs else None
            with torch.cuda.graph(captured, pool=pool):
                self._launch_all(source)
            self._graphs[source] = captured
        self._graphs[source].replay()

    def _compile_all(self) -> None:
        """Compile all kernels side by side; a later launch would compile its own, one after another."""
        with ThreadPoolExecutor(os.cpu_count()) as pool, triton.AsyncCompileMode(pool):
            for operation in self._operations.order:
                if operation.gemm is not None:
                    gemm.compile_candidates(operation.gemm)
                elif operation.launch is not None:
                    types = [TORCH_DTYPES[self._roots[root].dtype] for root in operation.roots]
                    load_kernel(operation.launch.source).warmup(
                        torch.int32, *types, grid=(1,), num_warps=operation.launch.warps, enable_fp_fusion=False
                    )

    def _launch_all(self, source: int) -> None:
        """Queue all kernels of a step from block ``source`` to the other one."""
        buffers = dict(self._kept)
        for root, key in self._input_roots.items():
            if key in self._state.slots:
                buffers[root] = self._state.view(self._states[source], key)
        for root, key in self._output_roots.items():
            if key in self._state.slots:
                buffers[root] = self._state.view(self._states[1 - source], key)
        self._work[self._flags_at :].zero_()
        for number, operation in enumerate(self._operations.order):
            for root in operation.writes:
                if root not in buffers:
                    buffers[root] = self._make_buffer(root)
            self._launch(number, operation, buffers)
            for root in operation.last:
                buffers.pop(root, None)
        checks = [(self._results, self._work)]
        if self._states:
            checks.append((self._state, self._states[1 - source]))
        for slot, (layout, block) in enumerate(checks, self._operations.flags - 2):
            if layout.f32_bytes:
                size = layout.f32_bytes // 4
                library.find_wrong[(-(-size // 4096),)](
                    block[: layout.f32_bytes].view(torch.float32), self._flags(slot), size, BLOCK=4096, num_warps=4
                )

    def _make_buffer(self, root: int) -> Any:
        form = self._roots[root]
        if root in self._operations.planes:
            return torch.empty(2 * self._operations.planes[root], dtype=torch.int8, device=self.device)
        return torch.empty(form.numel, dtype=TORCH_DTYPES[form.dtype], device=self.device)

    def _flags(self, slot: int) -> Any:
        return self._work[self._flags_at + FLAG_BYTES * slot :].view(torch.int32)

    def _launch(self, number: int, operation: Operation, buffers: dict[int, Any]) -> None:
        arguments = [buffers[root] for root in operation.roots]
        if operation.gemm is not None:
            if number not in self._tiles:
                self._tiles[number] = gemm.choose_tile(operation.gemm, tuple(arguments))
            gemm.launch(operation.gemm, tuple(arguments), self._tiles[number])
        elif operation.launch is not None:
            kernel = load_kernel(operation.launch.source)
            kernel[(operation.launch.grid,)](
                self._flags(operation.slot), *arguments, num_warps=operation.launch.warps, enable_fp_fusion=False
            )
        else:
            self._add_rows(operation, arguments)

    def _add_rows(self, operation: Operation, arguments: list[Any]) -> None:
        values, index, out, keys, sums = arguments
        count, columns, rows = operation.sizes
        flags = self._flags(operation.slot)
        tiles = -(-count // 64) * -(-columns // 64)
        size = rows * columns
        options = {"num_warps": 4, "enable_fp_fusion": False}
        library.column_maxima[(tiles,)](values, keys, flags, count, columns, BM=64, BN=64, **options)
        library.scatter[(tiles,)](values, index, keys, sums, flags, count, columns, rows, BM=64, BN=64, **options)
        library.round_rows[(-(-size // 1024),)](keys, sums, out, size, columns, BLOCK=1024, **options)

    def _read_results(self) -> dict[Key, Array]:
        """Other outputs than state, once the flags say that all is well."""
        end = self._flags_at + FLAG_BYTES * self._operations.flags
        host = _download(self._work[:end])
        flags = host[self._flags_at :].view(np.int32)
        if flags.any():
            self._raise_first(flags)
        return {key: self._results.get(host, key) for key in self._results.slots}

    def _raise_first(self, flags: Array) -> None:
        """The error of the first node that failed."""
        found = []
        for operation in self._operations.order:
            for check, (root, what) in enumerate(operation.checks):
                if flags[operation.slot * 4 + check]:
                    found.append((root, what))
        if not found:
            raise NonFiniteState("output")
        root, what = min(found)
        if what == "index":
            raise IndexOutOfRange(self._node_names.get(root, "index"), self._operations.bounds[root])
        raise NonFiniteState(self._node_names.get(root, "grid"))


@dataclass(frozen=True)
class Operation:
    """One call of `TritonProgram._launch`."""

    roots: list[int]
    writes: list[int]
    checks: list[tuple[int, str]]
    slot: int
    """The flags' place, counted in four flags."""
    launch: Launch | None = None
    gemm: Gemm | None = None
    sizes: tuple[int, int, int] = (0, 0, 0)
    """Index add: source rows, columns, rows."""
    last: tuple[int, ...] = ()
    """Roots that nothing needs afterwards."""


class _Operations:
    """Kernels of a lowered graph in order."""

    def __init__(self, lowered: Lowered, stored: frozenset[int], tiling: Tiling) -> None:
        self.order: list[Operation] = []
        self.zeroed: list[int] = []
        """Roots that begin as zeros."""
        self.planes: dict[int, int] = {}
        """Root of grid integers to the bytes of one plane."""
        self.bounds: dict[int, int] = {}
        """Root of a gather or scatter to the size that its indices must stay below."""
        self.flags = 0
        """Fours of flags of all operations, and one each for results and state."""
        self._products: dict[int, int] = {}
        for group in lowered.groups:
            if group.gemm is not None:
                self._products.setdefault(group.gemm.a, group.gemm.out)
                self._products.setdefault(group.gemm.b, group.gemm.out)
        for group in lowered.groups:
            self._add_group(group, lowered, stored, tiling)
        self.flags += 2
        self._find_last()

    def _add_group(self, group: Group, lowered: Lowered, stored: frozenset[int], tiling: Tiling) -> None:
        if group.gemm is not None:
            g = group.gemm
            roots = [g.a, g.a_exponents, g.b, g.b_exponents, g.out]
            self.order.append(Operation(roots, [g.out], [], self.flags, gemm=g))
            return
        for member in group.members:
            if "rows" in member.attrs:
                self.bounds[member.root] = int(str(member.attrs["rows"]))
            if member.op == "quantise":
                inner = group.inner or 1
                self.planes[member.root] = group.numel // inner * get_row_stride(inner)
        if group.kind == "add_rows" and group.members:
            self._add_scatter(group, lowered)
        elif group.members:
            before = set(lowered.roots)
            for launch in generate(group, lowered, stored, tiling):
                checks = [(self._products.get(root, root), what) for root, what in launch.checks]
                self._append(Operation(launch.roots, launch.writes, checks, self.flags, launch))
            self.zeroed += sorted(set(lowered.roots) - before)

    def _add_scatter(self, group: Group, lowered: Lowered) -> None:
        member = group.members[0]
        count, columns, rows = (int(str(member.attrs[name])) for name in ("count", "columns", "rows"))
        keys, sums = max(lowered.roots) + 1, max(lowered.roots) + 2
        lowered.roots[keys], lowered.roots[sums] = Root(keys, "u32", columns), Root(sums, "i64", rows * columns)
        self.zeroed += [keys, sums]
        roots = [*(a.root for a in member.inputs), member.root, keys, sums]
        checks = [(member.root, "non-finite"), (member.root, "index")]
        self._append(Operation(roots, [member.root], checks, self.flags, sizes=(count, columns, rows)))

    def _append(self, operation: Operation) -> None:
        self.order.append(operation)
        self.flags += -(-len(operation.checks) // 4)

    def _find_last(self) -> None:
        seen: set[int] = set()
        for number in range(len(self.order) - 1, -1, -1):
            operation = self.order[number]
            last = tuple(root for root in operation.roots if root not in seen)
            seen.update(operation.roots)
            self.order[number] = Operation(**{**vars(operation), "last": last})


def _prune(lowered: Lowered) -> frozenset[int]:
    """Drop members that nothing needs; returns the roots that need a buffer."""
    needed = {view.root for view in lowered.outputs.values()}
    for group in reversed(lowered.groups):
        if group.gemm is not None:
            needed |= set(group.externals())
            continue
        kept = []
        inside: set[int] = set()
        for member in reversed(group.members):
            if {member.root, member.extra} & (needed | inside):
                kept.append(member)
                inside |= {a.root for a in member.inputs}
        group.members = kept[::-1]
        group.made = {m.root: m for m in group.members}
        needed |= set(group.externals())
    return frozenset(needed)


@cache
def load_kernel(source: str) -> Any:
    """The compiled-at-first-call function of a kernel's text."""
    function = name_kernel(source)
    source, file = source.replace("def kernel(", f"def {function}("), f"<{function}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": "miner.kernels.triton.generated"}
    exec(compile(source, file, "exec"), scope)  # our own text: integers and names made from them
    return scope[function]


def name_kernel(source: str) -> str:
    """The name under which profilers show a kernel."""
    return f"aipow_{blake2b(source.encode(), digest_size=8).hexdigest()}"
