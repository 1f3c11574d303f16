"""The plan of a graph: kernels in order, which of them may run side by side, what must be zero before they start."""

from __future__ import annotations

from dataclasses import dataclass, replace

from consensus.graph import Graph

from miner.kernels.lowering import Gemm, Group, Lowered, Root, lower, prune
from miner.kernels.triton.codegen import Launch, Tiling, generate, get_row_stride

LANES = 6
"""Most kernels that the plan lets run side by side."""


@dataclass(frozen=True)
class Operation:
    """One kernel, product or index add."""

    roots: list[int]
    writes: list[int]
    checks: list[tuple[int, str]]
    slot: int
    """The flags' place, counted in four flags."""
    launch: Launch | None = None
    gemm: Gemm | None = None
    sizes: tuple[int, int, int] = (0, 0, 0)
    """Index add: source rows, columns, rows."""
    lane: int = 0
    """Operations of one lane run in order, those of several side by side."""
    after: tuple[int, ...] = ()
    """Operations of other lanes that must be done before."""
    frees: tuple[int, ...] = ()
    """Roots whose buffers, made in this lane, nobody touches any more when this operation starts."""


class Plan:
    """Kernels of a graph in order."""

    def __init__(self, graph: Graph, tiling: Tiling) -> None:
        self.lowered = lower(graph)
        """Groups, with the roots that split reductions and index adds work with."""
        self.order: list[Operation] = []
        self.zeroed: list[int] = []
        """Roots that begin as zeros."""
        self.planes: dict[int, int] = {}
        """Root of grid integers to the bytes of one plane."""
        self.bounds: dict[int, int] = {}
        """Root of a gather or scatter to the size that its indices must stay below."""
        self.flags = 0
        """Fours of flags of all operations, and one each for results and state."""
        lowered, self._products = self.lowered, dict[int, int]()
        stored = prune(lowered)
        for group in lowered.groups:
            if group.gemm is not None:
                self._products.setdefault(group.gemm.a, group.gemm.out)
                self._products.setdefault(group.gemm.b, group.gemm.out)
        for group in _join_scalars(lowered.groups):
            self._add_group(group, lowered, stored, tiling)
        self.flags += 2
        self._find_lanes()
        self._find_frees()

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

    def _find_lanes(self) -> None:
        """Give each operation a lane whose last operation it needs anyway, else the one that has waited longest."""
        tails = [-1] * LANES
        known = [[-1] * LANES for _ in range(LANES)]  # the last operation of each lane that a lane has waited for
        touched: dict[int, list[int]] = {}
        written: dict[int, int] = {}
        for number, operation in enumerate(self.order):
            needs = {written[root] for root in operation.roots if root in written}
            needs.update(reader for root in operation.writes for reader in touched.get(root, ()))
            own = [lane for lane in range(LANES) if tails[lane] in needs]
            lane = max(own, key=tails.__getitem__) if own else min(range(LANES), key=tails.__getitem__)
            after = []
            for need in sorted(needs, reverse=True):
                other = self.order[need].lane
                if other != lane and need > known[lane][other]:
                    after.append(need)
                    known[lane][other] = need
            tails[lane] = number
            self.order[number] = replace(operation, lane=lane, after=tuple(after))
            for root in operation.roots:
                touched.setdefault(root, []).append(number)
            for root in operation.writes:
                written[root], touched[root] = number, [number]

    def _find_frees(self) -> None:
        """When a buffer may be used again: once the lane that made it has waited for all who touch it."""
        users: dict[int, list[int]] = {}
        for number, operation in enumerate(self.order):
            for root in dict.fromkeys([*operation.roots, *operation.writes]):
                users.setdefault(root, []).append(number)
        known = [[-1] * LANES for _ in range(LANES)]
        held: list[list[int]] = [[] for _ in range(LANES)]  # roots that an operation of the lane wrote first
        for number, operation in enumerate(self.order):
            lane = operation.lane
            for need in operation.after:
                known[lane][self.order[need].lane] = max(need, known[lane][self.order[need].lane])
            known[lane][lane] = number - 1
            free = [r for r in held[lane] if all(u <= known[lane][self.order[u].lane] for u in users[r])]
            held[lane] = [r for r in held[lane] if r not in free]
            self.order[number] = replace(operation, frees=tuple(free))
            held[lane] += [root for root in operation.writes if users[root][0] == number]


def _join_scalars(groups: list[Group]) -> list[Group]:
    """Make one group of neighbours that loop over one element; a launch costs more than they do."""
    joined: list[Group] = []
    for group in groups:
        last = joined[-1] if joined else None
        if last is None or not _is_scalar(last) or not _is_scalar(group) or _reads_parts(group, last):
            joined.append(group)
        else:
            both = Group(last.index, "loop", 1, members=[*last.members, *group.members])
            both.made = {m.root: m for m in both.members}
            joined[-1] = both
    return joined


def _is_scalar(group: Group) -> bool:
    return group.kind == "loop" and group.numel == 1 and group.inner is None


def _reads_parts(group: Group, before: Group) -> bool:
    """Whether a group reads what the one before writes a part of, or writes it again."""
    parts = {m.root for m in before.members if m.out is not None}
    return any(a.root in parts for m in group.members for a in m.inputs)


