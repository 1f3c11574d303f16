"""Passes over the groups of a lowered graph: epilogues of products, removal of what nothing needs."""

from __future__ import annotations

from miner.kernels.lowering.groups import Access, Lowered
from miner.kernels.lowering.views import is_chain


def fuse_epilogues(lowered: Lowered) -> None:
    """Make a loop that follows a product, and reads nothing later, the product's epilogue (``post_of``)."""
    groups, owner = lowered.groups, lowered.owner
    for group in groups:
        if group.kind != "loop" or group.inner is not None:
            continue
        if any(m.form != "vector" or m.out for m in group.members):
            continue
        externals = group.externals()
        makers = sorted({owner[r] for r in externals})
        if not makers or makers[-1] < 0 or groups[makers[-1]].gemm is None:
            continue
        gemm = groups[makers[-1]].gemm
        if gemm is None or gemm.batch * gemm.m * gemm.n != group.numel or gemm.n == 1:
            continue
        reads = [a for m in group.members for a in m.inputs if a.root == gemm.out and m.op != "take"]
        takes = any(m.op == "take" for m in group.members)
        points = group.points | {gemm.n}
        if takes or not all(a.is_identity() for a in reads) or not is_chain(points):
            continue
        others = [a for m in group.members for a in m.inputs if a.root not in group.made]
        if any(_inner_digits(a, points, gemm.n) > 1 for a in others):
            continue
        if any(g.post_of == makers[-1] for g in groups):
            continue
        group.post_of = makers[-1]
        group.inner = gemm.n
        group.points = points


def _inner_digits(access: Access, points: frozenset[int], inner: int) -> int:
    """How many factors of an access lie inside the rows."""
    product, count = 1, 0
    for size, _ in reversed(access.factors):
        if product >= inner:
            break
        product *= size
        count += 1
    return count


def prune(lowered: Lowered) -> frozenset[int]:
    """Drop members that nothing needs; returns the roots that need a buffer."""
    needed = {view.root for view in lowered.outputs.values()}
    for group in reversed(lowered.groups):
        if group.gemm is not None:
            if group.gemm.out in needed:
                needed |= set(group.externals())
            else:
                group.gemm = None
            continue
        kept = []
        inside: set[int] = set()
        for member in reversed(group.members):
            if not {member.root, member.extra} & (needed | inside):
                continue
            kept.append(member)
            inside |= {a.root for a in member.inputs}
        group.members = kept[::-1]
        group.made = {m.root: m for m in group.members}
        needed |= set(group.externals())
    return frozenset(needed)
