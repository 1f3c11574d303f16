"""A graph on an NVIDIA GPU: kernels in order, buffers, one CUDA graph a direction between two blocks of state.

A training step reads one block of state and writes the other; steps alternate, so that the state stays on the device.
Non-finite values and bad indices set flags, which are read once a step, with the loss.
"""

from __future__ import annotations

import linecache
import os
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import blake2b
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
import triton  # type: ignore[import-untyped]
from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.graph import Graph

from miner.kernels.lowering import Lowered
from miner.kernels.triton import gemm, library
from miner.kernels.triton.codegen import Tiling
from miner.kernels.triton.layout import (
    ALIGNMENT,
    BYTES,
    TORCH_DTYPES,
    DeviceState,
    Form,
    Key,
    Layout,
    download,
)
from miner.kernels.triton.plan import LANES, Operation, Plan

Array = npt.NDArray[Any]
INTERPRETED = Tiling(2**15, 2**15, 2**15, 128)
"""The interpreter's tiles."""
FLAG_BYTES = 16
"""Bytes of four flags: every kernel's flags begin at a multiple of 16."""


class TritonProgram:
    """One graph, ready to run. Not to be called from two threads at once."""

    def __init__(self, graph: Graph, device: str | None = None) -> None:
        """Lower the graph and place its buffers; kernels are compiled in the first step.

        ``device``: ``cuda``, or ``cpu`` with TRITON_INTERPRET=1 in the environment.
        """
        interpreted = bool(triton.knobs.runtime.interpret)
        self.device = torch.device(device or ("cpu" if interpreted else "cuda"))
        self.graph = graph
        self._node_names = {i: f"node {i} ({node.op})" for i, node in enumerate(graph.nodes)}
        self._plan = Plan(graph, INTERPRETED if interpreted else Tiling())
        self._roots = self._plan.lowered.roots
        self._sort_tensors(self._plan.lowered)
        self._tiles: dict[int, gemm.TileShape] = {}
        self._graphs: dict[int, Any] = {}
        self._lanes = [torch.cuda.Stream() for _ in range(LANES if self.device.type == "cuda" else 0)]
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
        end = self._flags_at + FLAG_BYTES * self._plan.flags
        places = {}
        for id_ in self._plan.zeroed:
            end = -(-end // ALIGNMENT) * ALIGNMENT
            places[id_] = end
            end += self._size(id_)
        self._work = block(end)
        self._kept: dict[int, Any] = {}
        for id_, place in places.items():
            self._kept[id_] = self._work[place : place + self._size(id_)].view(TORCH_DTYPES[self._roots[id_].dtype])
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
        state: Mapping[str, Array] = {name: array for (kind, name), array in inputs.items() if kind == "state"}
        if self._last is not None and all(self._last[0].get(name) is array for name, array in state.items()):
            self._place_fixed(state, is_trusted=False)
            state = self._last[1]
        new, results = self.advance(state, inputs)
        arrays = dict(new)
        self._last = (arrays, new)
        return results | {("state", name): array for name, array in arrays.items()}

    def advance(
        self, state: Mapping[str, Array], inputs: Mapping[Key, Array]
    ) -> tuple[DeviceState, dict[Key, Array]]:
        """One step; the new state stays on the device, other outputs come to the host.

        ``state`` is faster as a `DeviceState` of this program. Raises as `run`; what was given is as before then.
        """
        source = self._place_state(state)
        self._place_fixed(state, is_trusted=self.owns(state))
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

    def owns(self, state: Mapping[str, Array]) -> TypeGuard[DeviceState]:
        """Whether a state is one that this program's steps gave."""
        return isinstance(state, DeviceState) and state.layout is self._state

    def _place_state(self, state: Mapping[str, Array]) -> int:
        """The number of the block that holds a state, which is sent there when it is in neither."""
        if not self._states:
            return 0
        for number, holder in enumerate(self._holders):
            if holder() is state:
                return number
        self._release(0)
        if self.owns(state):
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
        self._holders[number] = lambda: None

    def _place_fixed(self, state: Mapping[str, Array], is_trusted: bool) -> None:
        """Send state that the step only reads, unless it is there: the array that was sent last, and nobody can have
        changed it since, because it is read-only or part of a `DeviceState`."""
        for key, slot in self._fixed.slots.items():
            array = state[key[1]]
            if self._fixed_from.get(key) is not array or (array.flags.writeable and not is_trusted):
                if slot.dtype == "f32" and key in self._passed.values() and not np.isfinite(array).all():
                    raise NonFiniteState(f"output state {key[1]}")
                data = np.ascontiguousarray(array).reshape(-1)
                data = data.view(np.int8) if slot.dtype == "bool" else data
                self._fixed.view(self._fixed_block, key).copy_(torch.from_numpy(data.copy()))
                self._fixed_from[key] = array

    def _execute(self, source: int) -> None:
        if self.device.type != "cuda":
            self._launch_all(source, [])
            return
        if source not in self._graphs:
            if not self._graphs:
                self._compile_all()
            self._launch_all(source, [])  # measures what the capture below records
            torch.cuda.synchronize()
            captured = torch.cuda.CUDAGraph()
            pool = next(iter(self._graphs.values())).pool() if self._graphs else None
            with torch.cuda.graph(captured, pool=pool):
                self._launch_all(source, self._lanes)
            self._graphs[source] = captured
        self._graphs[source].replay()

    def _size(self, root: int) -> int:
        """Bytes of a root's buffer."""
        if root in self._plan.planes:
            return 2 * self._plan.planes[root]
        return BYTES[self._roots[root].dtype] * self._roots[root].numel

    def _compile_all(self) -> None:
        """Compile all kernels side by side; a later launch would compile its own, one after another."""
        with ThreadPoolExecutor(os.cpu_count()) as pool, triton.AsyncCompileMode(pool):
            for operation in self._plan.order:
                if operation.gemm is not None:
                    gemm.compile_candidates(operation.gemm)
                elif operation.launch is not None:
                    types = [TORCH_DTYPES[self._roots[root].dtype] for root in operation.roots]
                    load_kernel(operation.launch.source).warmup(
                        torch.int32, *types, grid=(1,), num_warps=operation.launch.warps, enable_fp_fusion=False
                    )

    def _launch_all(self, source: int, lanes: list[Any]) -> None:
        """Queue all kernels of a step from block ``source`` to the other one; with ``lanes``, streams being captured,
        side by side."""
        buffers = dict(self._kept)
        for root, key in self._input_roots.items():
            if key in self._state.slots:
                buffers[root] = self._state.view(self._states[source], key)
        for root, key in self._output_roots.items():
            if key in self._state.slots:
                buffers[root] = self._state.view(self._states[1 - source], key)
        self._work[self._flags_at :].zero_()
        if lanes:
            self._launch_lanes(buffers, lanes)
        else:
            for number in range(len(self._plan.order)):
                self._launch(number, buffers)
        self._find_wrong(source)

    def _launch_lanes(self, buffers: dict[int, Any], lanes: list[Any]) -> None:
        """Queue each operation in its lane once those that it needs are done."""
        main = torch.cuda.current_stream()
        begun = main.record_event()
        for lane in lanes:
            lane.wait_event(begun)
        events: list[Any] = []
        for number, operation in enumerate(self._plan.order):
            lane = lanes[operation.lane]
            for need in operation.after:
                lane.wait_event(events[need])
            with torch.cuda.stream(lane):
                self._launch(number, buffers)
            events.append(lane.record_event())
        for lane in lanes:
            main.wait_event(lane.record_event())

    def _find_wrong(self, source: int) -> None:
        """Queue the check of all f32 outputs."""
        checks = [(self._results, self._work)]
        if self._states:
            checks.append((self._state, self._states[1 - source]))
        for slot, (layout, block) in enumerate(checks, self._plan.flags - 2):
            if layout.f32_bytes:
                size = layout.f32_bytes // 4
                library.find_wrong[(-(-size // 4096),)](
                    block[: layout.f32_bytes].view(torch.float32), self._flags(slot), size, BLOCK=4096, num_warps=4
                )

    def _make_buffer(self, root: int) -> Any:
        dtype = self._roots[root].dtype
        return torch.empty(self._size(root), dtype=torch.uint8, device=self.device).view(TORCH_DTYPES[dtype])

    def _flags(self, slot: int) -> Any:
        return self._work[self._flags_at + FLAG_BYTES * slot :].view(torch.int32)

    def _launch(self, number: int, buffers: dict[int, Any]) -> None:
        """Queue an operation, with new buffers for what it writes first."""
        operation = self._plan.order[number]
        for root in operation.frees:
            if root not in self._kept:
                buffers.pop(root)
        for root in operation.writes:
            if root not in buffers:
                buffers[root] = self._make_buffer(root)
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
        end = self._flags_at + FLAG_BYTES * self._plan.flags
        host = download(self._work[:end])
        flags = host[self._flags_at :].view(np.int32)
        if flags.any():
            self._raise_first(flags)
        return {key: self._results.get(host, key) for key in self._results.slots}

    def _raise_first(self, flags: Array) -> None:
        """The error of the first node that failed."""
        found = []
        for operation in self._plan.order:
            for check, (root, what) in enumerate(operation.checks):
                if flags[operation.slot * 4 + check]:
                    found.append((root, what))
        if not found:
            raise NonFiniteState("output")
        root, what = min(found)
        if what == "index":
            raise IndexOutOfRange(self._node_names.get(root, "index"), self._plan.bounds[root])
        raise NonFiniteState(self._node_names.get(root, "grid"))


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
