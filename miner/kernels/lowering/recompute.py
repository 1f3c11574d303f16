"""Cheap values are computed again where they are read, instead of waiting in memory.

A loop keeps for the backward pass what later groups read of it: for GELU five arrays, of which three are one
multiplication or addition away from the other two. Where all readers can compute such a value themselves, it needs no
buffer; what it is made from does. A loop's cheap values go together, when that leaves fewer arrays to keep.
"""

from __future__ import annotations

from dataclasses import replace

from miner.kernels.lowering.groups import Access, Group, Lowered, Member, Root
from miner.kernels.lowering.views import compute_points, is_chain

CHEAP = frozenset(
    ["add", "sub", "mul", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "where", "cast"]
)
"""Operations that take less time than a load from memory."""
MIN_ELEMENTS = 2**16
"""Smaller values fit the caches (= 65,536 elements)."""

Read = tuple[Group, Member, int]
"""(group, member, number of the input)."""


def recompute(lowered: Lowered) -> None:
    """Replace reads of cheap values of loops by their computation, wherever that is a gain."""
    kept = {view.root for view in lowered.outputs.values()}
    reads = _Reads(lowered.groups)
    for group in lowered.groups:
        if group.kind != "loop" or group.numel < MIN_ELEMENTS:
            continue
        cheap = {
            m.root
            for m in group.members
            if m.op in CHEAP and m.form == "vector" and m.out is None and m.root not in kept and reads.of(m.root)
        }
        while refused := {root for root in cheap if not _Computation(lowered, group, cheap).fits(reads.of(root))}:
            cheap -= refused
        operands = {a.root for root in cheap for a in group.made[root].inputs} - cheap
        added = [r for r in operands if r in group.made and not reads.of(r) and group.made[r].dtype != "bool"]
        if len(added) < len(cheap):
            for reader in {g.index: g for root in cheap for g, _, _ in reads.of(root)}.values():
                reads.forget(reader)
                _Computation(lowered, group, cheap).replace_reads(reader)
                reads.note(reader)


class _Reads:
    """Reads of each root in other groups than its own."""

    def __init__(self, groups: list[Group]) -> None:
        self._found: dict[int, dict[int, list[Read]]] = {}
        for group in groups:
            self.note(group)

    def of(self, root: int) -> list[Read]:
        """All reads of a root."""
        return [read for reads in self._found.get(root, {}).values() for read in reads]

    def note(self, group: Group) -> None:
        """Add what a group reads."""
        for member in group.members:
            for place, access in enumerate(member.inputs):
                if access.root not in group.made:
                    by_group = self._found.setdefault(access.root, {})
                    by_group.setdefault(group.index, []).append((group, member, place))

    def forget(self, group: Group) -> None:
        """Remove what a group reads, before it changes."""
        for root in group.externals():
            self._found.get(root, {}).pop(group.index, None)


class _Computation:
    """Computes cheap values of a group in another group."""

    def __init__(self, lowered: Lowered, source: Group, cheap: set[int]) -> None:
        self.lowered, self.source = lowered, source
        tests = {m.root for m in source.members if m.op in CHEAP and m.form == "vector" and m.dtype == "bool"}
        self.cheap = cheap | tests  # what a selection depends on is computed with it
        self.made: dict[tuple[int, Access], Access] = {}
        self.members: list[Member] = []

    def fits(self, reads: list[Read]) -> bool:
        """Whether all readers of a root can compute it themselves."""
        for group, member, place in reads:
            if group.kind == "add_rows" or member.op in ("take", "pick") or member.form == "row":
                return False
            at = member.inputs[place]
            leaves = self._find_leaves(at.root, at, group)
            if at.numel != group.numel or leaves is None:
                return False
            if not is_chain(group.points.union(*(compute_points(a.factors) for a in leaves))):
                return False
        return True

    def _find_leaves(self, root: int, at: Access, group: Group) -> list[Access] | None:
        """What a computation of a root, read at an access, reads itself; None when that is no access."""
        leaves: list[Access] = []
        for inner in self.source.made[root].inputs:
            if inner.root in self.cheap:
                found = self._find_leaves(inner.root, at, group)
            else:
                access = self._compose(at, inner, group)
                found = None if access is None else [access]
            if found is None:
                return None
            leaves += found
        return leaves

    def _compose(self, at: Access, inner: Access, group: Group) -> Access | None:
        """Where a loop that reads a value at ``at`` finds the value's operand ``inner``."""
        constant = self.lowered.roots[inner.root].constant
        if constant is not None and constant.size == 1:
            return Access(inner.root, 0, ((group.numel, 0),))
        if at.is_identity() and group.numel == self.source.numel:
            return inner
        return replace(at, root=inner.root) if inner.is_identity() else None

    def replace_reads(self, reader: Group) -> None:
        """Let a group compute what it reads."""
        self.made, self.members = {}, []
        for member in reader.members:
            inputs = tuple(
                self._compute(a.root, a, reader) if a.root in self.cheap else a for a in member.inputs
            )  # fmt: skip
            self.members.append(replace(member, inputs=inputs))
        reader.members = self.members
        reader.made = {m.root: m for m in reader.members}

    def _compute(self, root: int, at: Access, reader: Group) -> Access:
        """The access of a value that the reader computes."""
        key = (root, replace(at, root=root))
        if key not in self.made:
            source = self.source.made[root]
            inputs = []
            for inner in source.inputs:
                if inner.root in self.cheap:
                    inputs.append(self._compute(inner.root, at, reader))
                    continue
                access = self._compose(at, inner, reader)
                if access is None:
                    raise AssertionError("this read was found to fit")
                inputs.append(access)
                reader.points |= compute_points(access.factors)
            new = max(self.lowered.roots) + 1
            self.lowered.roots[new] = Root(new, source.dtype, reader.numel, node=root)
            self.lowered.owner[new] = reader.index
            self.members.append(Member(source.op, new, tuple(inputs), "vector", source.dtype, source.attrs))
            self.made[key] = Access(new, 0, ((reader.numel, 1),) if reader.numel > 1 else ())
        return self.made[key]
