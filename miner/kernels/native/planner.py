"""Makes a plan: operations in order, C source of their kernels, and where every buffer lies.

Two buffers share a place in the arena only when no operation needs both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from consensus.graph import Graph
from miner.kernels.lowering import Gemm, Lowered, fuse_epilogues, lower, prune, recompute
from miner.kernels.native.codegen import generate
from miner.kernels.native.memory import ALIGNMENT
from miner.kernels.native.plan import ARENA, CONSTANTS, ERROR, FIRST_INPUT, OUTPUTS, Call, Place, Plan, Product
from miner.kernels.native.writer import BYTES, Argument, Kernel

MIN_BYTES = 2**16
"""Buffers up to this size (= 65,536) do not count when operations are ordered."""
DONE = -1
"""Of an operation in `_free_early`: it has its place in the order."""

@dataclass
class Operation:
    """One kernel call or product."""

    kernel: Kernel | None = None
    gemm: Gemm | None = None
    epilogue: Kernel | None = None

    def arguments(self) -> list[Argument]:
        """Addresses in the order of the call, without the epilogue's."""
        if self.gemm is not None:
            g = self.gemm
            return [Argument(r) for r in (g.a, g.a_exponents, g.b, g.b_exponents, g.out)]
        return self.kernel.arguments if self.kernel is not None else []

    def touches(self) -> list[int]:
        """Roots read or written."""
        found = [a.root for a in self.arguments()]
        return found + ([a.root for a in self.epilogue.arguments] if self.epilogue is not None else [])

    def failures(self) -> list[tuple[int, str]]:
        """What each failure code means, as (root, what); only one of the kernels of an operation can fail."""
        return [f for k in (self.kernel, self.epilogue) if k is not None for f in k.failures]

    def writes(self) -> list[int]:
        """Roots written."""
        found = [self.gemm.out] if self.gemm is not None else list(self.kernel.writes if self.kernel else ())
        return found + (self.epilogue.writes if self.epilogue is not None else [])


@dataclass
class Layout:
    """Operations in order, and what they work on."""

    lowered: Lowered
    operations: list[Operation]
    places: dict[int, Place]
    """Of each root."""
    inputs: list[tuple[str, str]]
    outputs: dict[tuple[str, str], Place]
    arena_bytes: int
    output_bytes: int
    constants: bytearray

    def compute_bytes(self, root: int) -> int:
        """Bytes of a root's buffer."""
        return _bytes(self.lowered, root)


def make_plan(graph: Graph, checked: bool = True) -> Plan:
    """The plan of a graph; ``checked`` as in `lower`."""
    layout = lay_out(graph, checked)
    lowered, names = layout.lowered, dict[str, str]()
    kernels = [k for op in layout.operations for k in (op.kernel, op.epilogue) if k is not None]
    for kernel in kernels:
        names.setdefault(kernel.source, f"aipow_k{len(names)}")
    members = [m for g in lowered.groups for m in g.members]
    places: list[Place] = []
    calls = tuple(_make_call(op, layout, names, places) for op in layout.operations)
    return Plan(
        calls, [block for block, _ in places], [offset for _, offset in places],
        {name: text.replace("AIPOW_NAME", name) for text, name in names.items()},
        tuple(layout.inputs), layout.outputs, layout.arena_bytes, layout.output_bytes,
        _align(max((kernel.scratch for kernel in kernels), default=0)),
        {_node_of(lowered, m.root): int(str(m.attrs["rows"])) for m in members if "rows" in m.attrs},
        bytes(layout.constants),
    )  # fmt: skip


def lay_out(graph: Graph, checked: bool = True) -> Layout:
    """Lower a graph, generate its kernels, order them and place its buffers; ``checked`` as in `lower`."""
    lowered = lower(graph, checked)
    recompute(lowered)
    fuse_epilogues(lowered)
    stored = prune(lowered)
    operations = _free_early(_make_operations(lowered, stored), lowered)
    places, inputs, outputs, sizes, constants = _place(operations, lowered)
    return Layout(lowered, operations, places, inputs, outputs, *sizes, constants)


def _make_call(op: Operation, layout: Layout, names: dict[str, str], places: list[Place]) -> Call:
    """The call of an operation, whose addresses are added to ``places``."""
    roots = layout.lowered.roots

    def add(arguments: list[Argument]) -> int:
        first = len(places)
        places.append((ERROR, 0))
        for argument in arguments:
            block, start = layout.places[argument.root]
            places.append((block, start + argument.offset * BYTES[roots[argument.root].dtype]))
        return first

    kernel, after, product = op.kernel, op.epilogue, op.gemm
    return Call(
        names[kernel.source] if kernel is not None else "", kernel.total if kernel is not None else 0,
        kernel.grain if kernel is not None else 0, None if product is None else _make_product(product),
        names[after.source] if after is not None else "", add(op.arguments()),
        add(after.arguments) if after is not None else 0,
        tuple((_node_of(layout.lowered, root), what) for root, what in op.failures()),
    )  # fmt: skip


def _make_product(g: Gemm) -> Product:
    return Product(g.batch, g.m, g.n, g.k, g.bits, *g.a_strides, *g.b_strides, *g.exponent_strides)


def _node_of(lowered: Lowered, root: int) -> int:
    """The node whose value a root is, or which needs it."""
    found = lowered.roots[root].node
    return root if found < 0 else found


def _make_operations(lowered: Lowered, stored: frozenset[int]) -> list[Operation]:
    epilogues = {g.post_of: g for g in lowered.groups if g.post_of is not None and g.members}
    operations = []
    for group in lowered.groups:
        if group.gemm is not None:
            after = epilogues.get(group.index)
            kernel = generate(after, lowered, stored)[0] if after is not None else None
            operations.append(Operation(gemm=group.gemm, epilogue=kernel))
        elif group.members and group.post_of is None:
            operations += [Operation(kernel) for kernel in generate(group, lowered, stored)]
    return operations


def _free_early(operations: list[Operation], lowered: Lowered) -> list[Operation]:
    """The operations in an order in which one that takes next to nothing of the arena, or frees more than it takes,
    comes as early as it can.

    A gradient's norm, which lowering puts behind the backward pass, so follows its gradient, and the gradient dies.
    """
    given = {root.id for root in lowered.roots.values() if root.source is not None or root.constant is not None}
    outputs = {view.root for view in lowered.outputs.values()}
    writes = [set(op.writes()) for op in operations]
    touches = [set(op.touches()) - given for op in operations]
    users: dict[int, list[int]] = {}
    after: list[set[int]] = [set() for _ in operations]
    for number, roots in enumerate(touches):
        for root in roots:
            earlier = users.setdefault(root, [])
            for other in earlier:
                if root in writes[number] or root in writes[other]:
                    after[other].add(number)
            earlier.append(number)
    waits_for = [0] * len(operations)
    for followers in after:
        for number in followers:
            waits_for[number] += 1
    left = {root: len(found) for root, found in users.items()}
    order: list[int] = []

    def is_gain(number: int) -> bool:
        """Whether the arena is hardly fuller with the operation than without."""
        made = sum(_bytes(lowered, root) for root in writes[number] - outputs)
        dying = (root for root in touches[number] - writes[number] - outputs if left[root] == 1)
        return made <= MIN_BYTES or sum(_bytes(lowered, root) for root in dying) > made

    for next_one in range(len(operations)):
        ready = [next_one]
        while ready:
            number = ready.pop()
            if waits_for[number] != 0:
                continue  # done already
            order.append(number)
            waits_for[number] = DONE
            for root in touches[number]:
                left[root] -= 1
            for follower in after[number]:
                waits_for[follower] -= 1
            near = {user for root in touches[number] for user in users[root]}
            ready += [user for user in sorted(near, reverse=True) if waits_for[user] == 0 and is_gain(user)]
    return [operations[number] for number in order]


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _place(
    operations: list[Operation], lowered: Lowered
) -> tuple[dict[int, Place], list[tuple[str, str]], dict[tuple[str, str], Place], tuple[int, int], bytearray]:
    places: dict[int, Place] = {}
    inputs: list[tuple[str, str]] = []
    constants = bytearray()
    for root in lowered.roots.values():
        if root.source is not None:
            places[root.id] = (FIRST_INPUT + len(inputs), 0)
            inputs.append(root.source)
        elif root.constant is not None:
            places[root.id] = (CONSTANTS, len(constants))
            data = root.constant.tobytes()
            constants += data + bytes(_align(len(data)) - len(data))
    outputs, end = {}, 0
    for key, view in sorted(lowered.outputs.items()):
        if view.root not in places:
            places[view.root] = (OUTPUTS, end)
            end += _align(_bytes(lowered, view.root))
        outputs[key] = places[view.root]
    arena = _place_arena(operations, lowered, places)
    return places, inputs, outputs, (arena, end), constants


def _bytes(lowered: Lowered, root: int) -> int:
    return lowered.roots[root].numel * BYTES[lowered.roots[root].dtype]


def _place_arena(operations: list[Operation], lowered: Lowered, places: dict[int, Place]) -> int:
    """Largest buffers first, each at the lowest place that is free while it lives; returns the arena's size."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, op in enumerate(operations):
        for root in op.touches():
            if root not in places:
                first.setdefault(root, number)
                last[root] = number
    order = sorted(first, key=lambda r: (-_bytes(lowered, r), first[r]))
    starts, ends = (np.zeros(len(order), dtype=np.int64) for _ in range(2))
    births = np.array([first[r] for r in order], dtype=np.int64)
    deaths = np.array([last[r] for r in order], dtype=np.int64)
    arena = 0
    for place, root in enumerate(order):
        size = _align(_bytes(lowered, root))
        rivals = np.flatnonzero((births[:place] <= deaths[place]) & (deaths[:place] >= births[place]))
        offset = 0
        for rival in rivals[np.argsort(starts[rivals], kind="stable")]:
            if starts[rival] - offset >= size:
                break
            offset = max(offset, int(ends[rival]))
        starts[place], ends[place] = offset, offset + size
        places[root] = (ARENA, offset)
        arena = max(arena, offset + size)
    return arena


__all__ = ["Layout", "Operation", "lay_out", "make_plan"]
