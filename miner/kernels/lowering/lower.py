"""Lowering: a committed graph becomes groups of nodes, one kernel each (`miner.kernels.lowering.groups`).

Nothing here touches numbers: a backend writes the kernels, puts them in order and places the buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt
from consensus.graph import Graph
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import OPS

from miner.kernels.lowering.groups import Access, Gemm, Group, Lowered, Member, Quantised, Root, flatten
from miner.kernels.lowering.views import View, compute_points, is_chain, make_identity, merge

Array = npt.NDArray[np.generic]

FOLD_ELEMENTS = 2**24
"""Largest constant that is computed once and kept (= 16,777,216 elements); larger ones are computed in every step."""
ROW_ELEMENTS = 2**16
"""Longest row that a fused row reduction handles (= 65,536): its temporaries have to fit the second-level cache."""
PARALLEL_ROWS = 4
"""With fewer rows than this a long reduction is split inside its rows."""
SHORT = 4096
"""Reductions up to this many elements are never split."""
SMALL = 64
"""Loops up to this many elements are joined though they share nothing: a call costs more than they do."""
COLUMN_MIN = 8
"""Fewest adjacent columns worth a column kernel: one vector of f32."""

VIEW_OPS = frozenset({"reshape", "expand", "transpose", "slice", "windows"})
BINARY = ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "and", "or")
UNARY = ("not", "neg", "abs", "sqrt", "exp", "log", "tanh", "erf", "sin", "cos", "cast")
ELEMENTWISE = frozenset({*BINARY, *UNARY, "where", "uniform", "copy"})


def lower(graph: Graph, checked: bool = True) -> Lowered:
    """Group a graph's nodes. ``checked`` False lets outputs hold NaNs and infinities, which only tests want."""
    return _Lowering(graph, checked).run()


def order_nodes(nodes: Sequence[Node]) -> list[int]:
    """An order of execution that keeps few values alive: products and outputs by their depth, each preceded by what it
    still needs. A weight's gradient and update so follow the layer's backward pass at once."""
    depth: list[int] = []
    for node in nodes:
        depth.append(max((depth[i] for i in node.inputs), default=0) + (node.op not in VIEW_OPS))
    sinks = [i for i, node in enumerate(nodes) if node.op in ("matmul", "add_rows", "output")]
    order: list[int] = []
    done: set[int] = set()
    for sink in sorted(sinks, key=lambda i: (depth[i], i)):
        stack = [sink]
        while stack:
            value = stack[-1]
            waiting = [i for i in reversed(nodes[value].inputs) if i not in done]
            if value in done or not waiting:
                stack.pop()
                if value not in done:
                    done.add(value)
                    order.append(value)
            else:
                stack.extend(waiting)
    return order + [i for i in range(len(nodes)) if i not in done]


class _Lowering:
    def __init__(self, graph: Graph, checked: bool) -> None:
        self.nodes = graph.nodes
        self.is_checked = checked
        self.checked: set[int] = set()
        self.views: dict[int, View] = {}
        self.roots: dict[int, Root] = {}
        self.owner: dict[int, int] = {}
        self.groups: list[Group] = []
        self.by_numel: dict[int, list[Group]] = {}
        self.deferred: dict[int, Node] = {}
        self.quantised: dict[tuple[object, ...], Quantised] = {}
        self.columns: dict[tuple[int, tuple[int, ...]], list[Group]] = {}
        self.folded: dict[int, Array] = {}
        self.anchor: int | None = None
        self.taken: set[int] = set()
        self.node = -1
        self.next_root = len(graph.nodes)
        self.uses: list[list[int]] = [[] for _ in graph.nodes]
        for index, node in enumerate(graph.nodes):
            for i in node.inputs:
                self.uses[i].append(index)

    def run(self) -> Lowered:
        outputs: dict[tuple[str, str], View] = {}
        for index in order_nodes(self.nodes):
            node, self.node = self.nodes[index], index
            if node.op == "output":
                key = (str(node.attrs["kind"]), str(node.attrs["name"]))
                outputs[key] = self._own_copy(node.inputs[0], key)
            elif node.op == "input":
                source = (str(node.attrs["kind"]), str(node.attrs["name"]))
                self._add_root(Root(index, node.dtype, prod(node.shape), source=source), -1)
                self.views[index] = make_identity(index, node.shape)
            elif not self._fold(index, node):
                self._schedule(index, node)
        return Lowered(self.groups, self.roots, outputs, self.owner, frozenset(self.checked))

    def _own_copy(self, value: int, key: tuple[str, str]) -> View:
        """An output's elements in order in a buffer that no other output shares; a passed-on input stays one."""
        view, node = self.views[value], self.nodes[value]
        root, whole = self.roots[view.root], prod(node.shape)
        is_checked = self.is_checked and node.dtype == "f32"
        is_whole = view.is_identity() and root.numel == whole
        if is_whole and root.source == ("state", key[1]) and key[0] == "state":
            return view
        own = root.source is None and root.constant is None and view.root not in self.taken
        if not (own and is_whole and (not is_checked or self._can_check(view.root))):
            copied = self._new_root(node.dtype, whole)
            self._join(Member("copy", copied, (flatten(view),), "vector", node.dtype), whole)
            view = make_identity(copied, node.shape)
        self.taken.add(view.root)
        if is_checked:
            self.checked.add(view.root)
        return view

    def _can_check(self, root: int) -> bool:
        """Whether a root is a vector of a loop."""
        group = self.groups[self.owner[root]]
        return group.kind == "loop" and root in group.made and group.made[root].form == "vector"

    def _add_root(self, root: Root, owner: int) -> None:
        self.roots[root.id] = root
        self.owner[root.id] = owner

    def _new_root(self, dtype: str, numel: int) -> int:
        self.next_root += 1
        self._add_root(Root(self.next_root, dtype, numel, node=self.node), -1)
        return self.next_root

    # constants

    def _fold(self, index: int, node: Node) -> bool:
        """Compute a node that depends on no input, once; whether that was done."""
        known = bool(node.inputs) and all(i in self.folded for i in node.inputs)
        if node.op not in ("const", "iota") and not known:
            return False
        run = OPS[node.op].run
        if run is None or (node.op == "iota" and prod(node.shape) > FOLD_ELEMENTS):
            return False
        value = np.asarray(run(node, [self.folded[i] for i in node.inputs]))
        compact = value[tuple(slice(0, 1) if s == 0 else slice(None) for s in value.strides)]
        if compact.size > FOLD_ELEMENTS:
            return False
        self.folded[index] = value
        data = np.ascontiguousarray(compact).reshape(-1)
        self._add_root(Root(index, node.dtype, data.size, constant=data), -1)
        self.views[index] = make_identity(index, compact.shape).expand(node.shape)
        return True

    # scheduling

    def _schedule(self, index: int, node: Node) -> None:
        if node.op in ELEMENTWISE:
            self.deferred[index] = node
            if not self._is_deferrable(index, node):
                self._view(index)
            return
        views = [self._view(i) for i in node.inputs] if node.op not in ("sum", "amax") else []
        if node.op in VIEW_OPS:
            view = self._make_view(node, views[0])
            if view is None:
                self._make_vector(index, replace(node, op="copy"), self._spread(node, views[0]))
            else:
                self.views[index] = view
        elif node.op in ("sum", "amax"):
            self._reduce(index, node)
        elif node.op == "matmul":
            self._matmul(index, node, views[0], views[1])
        elif node.op == "concat":
            self._concat(index, node, views)
        elif node.op == "pad":
            self._pad(index, node, views)
        elif node.op == "take_rows":
            self._take_rows(index, node, views)
        elif node.op == "pick":
            self._pick(index, node, views)
        elif node.op == "add_rows":
            self._add_rows(index, node, views)
        else:
            raise AssertionError(f"no lowering of {node.op}")

    def _view(self, value: int) -> View:
        """A value's view; a deferred expression gets its kernel now, all of it the same one where that is possible."""
        if value not in self.deferred:
            return self.views[value]
        node = self.deferred.pop(value)
        around = self.anchor
        if around is None:
            self.anchor = self._last_group(value)
        views = [self._view(i) for i in node.inputs]
        self._make_vector(value, node, [v.expand(node.shape) for v in views] if node.op != "uniform" else views)
        self.anchor = max(around, self.owner[value]) if around is not None else None
        return self.views[value]

    def _last_group(self, value: int) -> int:
        """The last group that a deferred expression reads."""
        waiting, last = list(self.nodes[value].inputs), -1
        while waiting:
            i = waiting.pop()
            if i in self.deferred:
                waiting += self.nodes[i].inputs
            else:
                last = max(last, self.owner[self.views[i].root])
        return last

    @staticmethod
    def _make_view(node: Node, view: View) -> View | None:
        attrs = node.attrs
        if node.op == "reshape":
            return view.reshape(node.shape)
        if node.op == "expand":
            return view.expand(node.shape)
        if node.op == "transpose":
            return view.transpose(_ints(attrs["perm"]))
        if node.op == "slice":
            axis, start, stop, step = (_int(attrs[n]) for n in ("axis", "start", "stop", "step"))
            return view.slice(axis, start, stop, step)
        return view.windows(_ints(attrs["kernel"]), _ints(attrs["stride"]), _ints(attrs["dilation"]))

    def _spread(self, node: Node, view: View) -> list[View]:
        """The input of a copy that stands for a movement: its elements in the order of the result."""
        if node.op == "reshape":
            return [view]
        plain = self._materialise(view)
        found = self._make_view(node, plain)
        if found is None:
            raise AssertionError(f"{node.op} of a plain buffer is always a view")
        return [found]

    def _materialise(self, view: View) -> View:
        """The same elements in a buffer of their own, in order."""
        if view.is_identity() and self.roots[view.root].numel == prod(view.shape):
            return view
        dtype = self.roots[view.root].dtype
        copied = self._new_root(dtype, prod(view.shape))
        self._join(Member("copy", copied, (flatten(view),), "vector", dtype), prod(view.shape))
        return make_identity(copied, view.shape)

    def _make_vector(self, index: int, node: Node, views: Sequence[View]) -> None:
        numel = prod(node.shape)
        self._add_root(Root(index, node.dtype, numel), -1)
        self.views[index] = make_identity(index, node.shape)
        accesses = tuple(flatten(v) for v in views)
        self._join(Member(node.op, index, accesses, "vector", node.dtype, node.attrs), numel)

    # groups

    def _group_of(self, accesses: Sequence[Access]) -> int:
        return max((self.owner[a.root] for a in accesses), default=-1)

    def _join(self, member: Member, numel: int, inner: int | None = None) -> Group:
        """Put a member into the last group that it reads, or a later one of the same form, or a new one."""
        last = max(-1 if self.anchor is None else self.anchor, self._group_of(member.inputs))
        roots = {a.root for a in member.inputs}
        for group in self._candidates(last, numel, roots):
            joined = self._fit(group, member, numel, inner)
            if joined is not None:
                self._add(group, joined)
                return group
        group = Group(len(self.groups), "loop", numel, None)
        joined = self._fit(group, member, numel, inner)
        if joined is None:  # accesses that split the index in ways that do not go together
            copied = tuple(self._copy_access(a) for a in member.inputs)
            return self._join(replace(member, inputs=copied), numel, inner)
        self.groups.append(group)
        self.by_numel.setdefault(numel, []).append(group)
        self._add(group, joined)
        return group

    def _copy_access(self, access: Access) -> Access:
        dtype = self.roots[access.root].dtype
        copied = self._new_root(dtype, access.numel)
        self._join(Member("copy", copied, (access,), "vector", dtype), access.numel)
        return flatten(make_identity(copied, (access.numel,)))

    def _candidates(self, last: int, numel: int, roots: set[int]) -> list[Group]:
        found = [self.groups[last]] if last >= 0 and self.groups[last].kind == "loop" else []
        large = {r for r in roots if self.roots[r].constant is None and self.roots[r].numel * 4 >= numel}
        for group in self.by_numel.get(numel, ()):
            if group.index > last and (numel <= SMALL or large & (set(group.externals()) | group.made.keys())):
                found.append(group)
        return found

    def _fit(self, group: Group, member: Member, numel: int, inner: int | None) -> Member | None:
        """The member as the group's loop sees it, or None when it does not fit. Changes nothing."""
        width = group.inner if group.inner is not None else inner
        if inner is not None and width != inner:
            return None
        form, accesses = member.form, list(member.inputs)
        if group.numel != numel:
            repeated = group.inner is not None and numel * group.inner == group.numel
            if form != "vector" or not group.inner or not repeated or member.op in ("copy", "take"):
                return None
            form, accesses = "row", [a.repeat(group.inner) for a in accesses]
        points = group.points | compute_points([(width, 1)] if width and width > 1 else [])
        for place, access in enumerate(accesses if member.op != "uniform" else []):
            made = group.made.get(access.root)
            if made is None:
                if self.owner[access.root] >= group.index:
                    return None
                points |= compute_points(access.factors)
            elif member.op == "take" and place == 0:  # the table is read at any element
                return None
            elif made.form == "vector":
                if not access.is_identity() or made.out is not None or form == "row":
                    return None
                if member.op == "pick" and place == 1:  # the index is read once a row
                    return None
            elif width is None or not access.is_row_broadcast(width):
                return None
        if member.out is not None:
            points |= compute_points(member.out.factors)
        if not is_chain(points) or max(points) > group.numel:
            return None
        return replace(member, form=form, inputs=tuple(accesses))

    def _add(self, group: Group, member: Member) -> None:
        for access in member.inputs if member.op != "uniform" else ():
            if access.root not in group.made:
                group.points |= compute_points(access.factors)
        if member.out is not None:
            group.points |= compute_points(member.out.factors)
        group.members.append(member)
        group.made[member.root] = member
        self.owner[member.root] = group.index
        if member.extra >= 0:
            self.owner[member.extra] = group.index

    def _fix_inner(self, group: Group, inner: int) -> None:
        group.inner = inner
        if inner > 1:
            group.points |= {1, inner}

    # reductions

    def _is_deferrable(self, index: int, node: Node) -> bool:
        """Whether the node's only reader computes it on the fly: a reduction, or an operation on as many elements."""
        if node.op not in ELEMENTWISE or node.op == "uniform":
            return False
        if len(self.uses[index]) != 1 or prod(node.shape) <= SMALL:
            return False
        reader = self.nodes[self.uses[index][0]]
        if reader.op in ELEMENTWISE:
            return reader.shape == node.shape
        if prod(node.shape) <= SHORT:
            return False
        return reader.op in ("sum", "amax") and self._classify(reader, node.shape) != "row"

    @staticmethod
    def _classify(reduction: Node, shape: Sequence[int]) -> str:
        axes = _ints(reduction.attrs["axes"])
        inner = prod(shape[a] for a in axes)
        rows = prod(shape) // inner
        if axes == tuple(range(len(shape) - len(axes), len(shape))) or rows == 1:
            return "big" if _is_split(rows, inner) else "row"
        return "strided"

    def _reduce(self, index: int, node: Node) -> None:
        value = node.inputs[0]
        shape, axes = self.nodes[value].shape, _ints(node.attrs["axes"])
        inner = prod(shape[a] for a in axes)
        kind = self._classify(node, shape)
        kept = [a for a in range(len(shape)) if a not in axes]
        perm = [*kept, *axes]
        parts = self._expression(value, perm) if kind != "row" else []
        if kind == "row":
            parts = [Member("copy", -1, (flatten(self._view(value).transpose(perm)),), "vector", "f32")]
        self._add_root(Root(index, "f32", prod(node.shape)), -1)
        self.views[index] = make_identity(index, node.shape)
        if kind == "strided":
            kept_factors = self._kept_factors(value, kept)
            if kept_factors is not None:
                self._column(index, node, parts, value, perm, kept_factors)
                return
            kind = "big" if _is_split(prod(shape) // inner, inner) else "row"
        if kind == "row" and len(parts) == 1 and parts[0].op == "copy":
            member = Member(node.op, index, parts[0].inputs, "reduce", "f32")
            self._fix_inner(self._join(member, prod(shape), inner), inner)
            return
        group = Group(len(self.groups), "big" if kind == "big" else "loop", prod(shape))
        self.groups.append(group)
        self._fix_inner(group, inner)
        self._fill(group, parts, node.op, index)

    def _fill(self, group: Group, parts: list[Member], op: str, index: int) -> None:
        """An expression and the reduction over it."""
        for part in parts:
            self._add(group, part)
        over = Access(parts[-1].root, 0, ((group.numel, 1),) if group.numel > 1 else ())
        self._add(group, Member(op, index, (over,), "reduce", "f32"))
        if not is_chain(group.points):
            raise AssertionError("the accesses of a reduction split its index in different ways")

    def _expression(self, value: int, perm: Sequence[int]) -> list[Member]:
        """A value as members over its permuted elements: one copy, or a deferred operation."""
        node = self.nodes[value]
        if value in self.deferred:
            views = [self._view(i).expand(node.shape).transpose(perm) for i in node.inputs]
            points = frozenset[int]().union(*(compute_points(v.factors) for v in views))
            inner_points = compute_points([(n, 1) for n in (node.shape[p] for p in perm)])
            if is_chain(points | inner_points):
                del self.deferred[value]
                self._add_root(Root(value, node.dtype, prod(node.shape)), -1)
                return [Member(node.op, value, tuple(flatten(v) for v in views), "vector", node.dtype, node.attrs)]
        view = self._view(value).transpose(perm)
        root = self._new_root(node.dtype, prod(node.shape))
        return [Member("copy", root, (flatten(view),), "vector", node.dtype)]

    def _kept_factors(self, value: int, kept: Sequence[int]) -> tuple[int, ...] | None:
        """Sizes of the kept axes when their last factor is contiguous in memory, else None."""
        shape = self.nodes[value].shape
        if value in self.views:
            factors = merge([f for a in kept for f in self.views[value].axes[a]])
            if not factors or factors[-1][1] != 1 or factors[-1][0] < COLUMN_MIN:
                return None
            return tuple(n for n, _ in factors)
        sizes = tuple(shape[a] for a in kept if shape[a] > 1)
        if not kept or kept[-1] != len(shape) - 1 or shape[-1] < COLUMN_MIN:
            return None
        return sizes

    def _column(
        self, index: int, node: Node, parts: list[Member], value: int, perm: Sequence[int], kept: tuple[int, ...]
    ) -> None:
        numel = prod(self.nodes[value].shape)
        over = Access(parts[-1].root, 0, ((numel, 1),) if numel > 1 else ())
        self._join_column([*parts, Member(node.op, index, (over,), "reduce", "f32")], numel, kept)

    def _join_column(self, members: list[Member], numel: int, kept: tuple[int, ...]) -> None:
        """Put an expression and its reduction into a column group that reads the same memory, or a new one."""
        for group in self.columns.setdefault((numel, kept), []):
            joined = self._fit_column(group, members)
            if joined is not None:
                break
        else:
            group, joined = Group(len(self.groups), "column", numel, kept=kept), members
            self.groups.append(group)
            self.columns[(numel, kept)].append(group)
            inner = numel // prod(kept)
            self._fix_inner(group, inner)
            group.points |= {p * inner for p in compute_points([(n, 1) for n in kept])}
        for member in joined:
            self._add(group, member)
        if not is_chain(group.points):
            raise AssertionError("the accesses of a reduction split its index in different ways")

    def _fit_column(self, group: Group, members: list[Member]) -> list[Member] | None:
        """The members as the group's loops see them, equal loads shared; None when they do not fit."""
        reads = [a for m in members for a in m.inputs if all(a.root != other.root for other in members)]
        large = {a.root for a in reads if self.roots[a.root].numel * 4 >= group.numel}
        if not large & set(group.externals()) or any(self.owner[a.root] >= group.index for a in reads):
            return None
        accesses = [*reads, *(m.out for m in members if m.out is not None)]
        if not is_chain(group.points.union(*(compute_points(a.factors) for a in accesses))):
            return None
        *parts, reduction = members
        loads = {m.inputs[0]: m.root for m in group.members if m.op == "copy"}
        if len(parts) == 1 and parts[0].op == "copy" and parts[0].inputs[0] in loads:
            over = replace(reduction.inputs[0], root=loads[parts[0].inputs[0]])
            return [replace(reduction, inputs=(over,))]
        return members

    # products

    def _matmul(self, index: int, node: Node, a: View, b: View) -> None:
        rank, bits = len(a.axes), _int(node.attrs["bits"])
        left = self._quantise(a, rank - 2, rank - 1, bits)
        right = self._quantise(b, rank - 1, rank - 2, bits)
        shape_a, shape_b = a.shape, b.shape
        gemm = Gemm(
            prod(shape_a[:-2]), shape_a[-2], shape_b[-1], shape_a[-1], bits,
            left.root, left.exponents, left.strides, right.root, right.exponents, right.strides,
            (left.exponent_stride, right.exponent_stride), index,
        )  # fmt: skip
        self._add_root(Root(index, "f32", prod(node.shape)), len(self.groups))
        self.views[index] = make_identity(index, node.shape)
        self.groups.append(Group(len(self.groups), "gemm", prod(node.shape), gemm=gemm))

    def _quantise(self, view: View, free: int, summed: int, bits: int) -> Quantised:
        """Put an operand on its grid over axis ``summed``, in the order in which it lies in memory."""
        batch_axes = [a for a in range(len(view.axes)) if a not in (free, summed)]
        m, k = view.shape[free], view.shape[summed]
        batch = prod(view.shape[a] for a in batch_axes)
        if batch > 1 and all(stride == 0 for a in batch_axes for _, stride in view.axes[a]):
            plain = View(view.root, view.offset, (view.axes[free], view.axes[summed]))
            done = self._quantise(plain, 0, 1, bits)
            return replace(done, strides=(*done.strides[:2], 0), exponent_stride=0)
        summed_factors, free_factors = merge(view.axes[summed]), merge(view.axes[free])
        in_columns = bool(
            summed_factors and summed_factors[-1][1] != 1
            and free_factors and free_factors[-1][1] == 1 and free_factors[-1][0] >= COLUMN_MIN
        )  # fmt: skip
        ordered = flatten(view.transpose([*batch_axes, free, summed]))
        key = (ordered, m, k, bits, in_columns)
        if key not in self.quantised:
            q, e = self._new_root("i16", batch * m * k), self._new_root("i32", batch * m)
            member = Member("quantise", q, (ordered,), "reduce", "i16", {"bits": bits}, extra=e)
            if in_columns:
                kept = tuple(n for n, _ in merge([f for a in (*batch_axes, free) for f in view.axes[a]]))
                layout = merge([f for f in ((batch, m * k), (m, 1), (k, m)) if f[0] > 1])
                load = self._new_root("f32", batch * m * k)
                over = Access(load, 0, ((batch * m * k, 1),) if batch * m * k > 1 else ())
                parts = [Member("copy", load, (ordered,), "vector", "f32")]
                member = replace(member, inputs=(over,), out=Access(q, 0, layout))
                self._join_column([*parts, member], batch * m * k, kept)
                strides = (1, m, m * k)
            else:
                self._fix_inner(self._join(member, batch * m * k, k), k)
                strides = (k, 1, m * k)
            self.quantised[key] = Quantised(q, e, strides, m)
        return self.quantised[key]

    # the rest

    def _concat(self, index: int, node: Node, views: Sequence[View]) -> None:
        axis, start = _int(node.attrs["axis"]), 0
        self._add_root(Root(index, node.dtype, prod(node.shape)), -1)
        self.views[index] = whole = make_identity(index, node.shape)
        for view in views:
            size = view.shape[axis]
            target = whole.slice(axis, start, start + size, 1)
            start += size
            self._write(index, node.dtype, view, target)

    def _pad(self, index: int, node: Node, views: Sequence[View]) -> None:
        self._add_root(Root(index, node.dtype, prod(node.shape)), -1)
        self.views[index] = target = make_identity(index, node.shape)
        self._write(index, node.dtype, views[1].expand(node.shape), target)
        low, interior = _ints(node.attrs["low"]), _ints(node.attrs["interior"])
        place: View | None = target
        for axis, (n, b, i) in enumerate(zip(views[0].shape, low, interior, strict=True)):
            place = place.slice(axis, b, b + (n - 1) * (i + 1) + 1, i + 1) if place is not None else None
        self._write(index, node.dtype, views[0], place)

    def _write(self, root: int, dtype: str, view: View, target: View | None) -> None:
        """Copy elements into a part of a root, in a group of its own: several write one buffer."""
        if target is None:
            raise AssertionError("a part of a plain buffer is always a view")
        source, out = flatten(view), flatten(target)
        if not is_chain(compute_points(source.factors) | compute_points(out.factors)):
            source = self._copy_access(source)
        if not is_chain(compute_points(source.factors) | compute_points(out.factors)):
            raise AssertionError("a contiguous source splits like its target")
        group = Group(len(self.groups), "loop", prod(view.shape))
        self.groups.append(group)
        self._add(group, Member("copy", root, (source,), "vector", dtype, out=out))

    def _take_rows(self, index: int, node: Node, views: Sequence[View]) -> None:
        table, where = views
        width = prod(table.shape[1:])
        if len(merge(table.axes[0])) > 1:
            table = self._materialise(table)
        rows = merge(table.axes[0])
        row = View(table.root, table.offset, ((), *table.axes[1:])).expand((prod(where.shape), *table.shape[1:]))
        place = flatten(where).repeat(width)
        attrs = {"rows": table.shape[0], "stride": rows[0][1] if rows else 0}
        self._add_root(Root(index, node.dtype, prod(node.shape)), -1)
        self.views[index] = make_identity(index, node.shape)
        member = Member("take", index, (flatten(row), place), "vector", node.dtype, attrs)
        self._fix_inner(self._join(member, prod(node.shape), width), width)

    def _pick(self, index: int, node: Node, views: Sequence[View]) -> None:
        values, where = views
        self._add_root(Root(index, node.dtype, prod(node.shape)), -1)
        self.views[index] = make_identity(index, node.shape)
        classes = values.shape[-1]
        maker = self.owner[values.root]
        if where.shape[-1] == 1 and maker >= 0 and values.is_identity() and classes <= ROW_ELEMENTS:
            group, place = self.groups[maker], flatten(where)
            made = group.made.get(values.root)
            if made is not None and made.form == "vector" and group.kind == "loop" and group.inner in (None, classes):
                member = Member(
                    "pick", index, (flatten(values), place.repeat(classes)), "reduce", node.dtype, {"rows": classes}
                )
                joined = self._fit(group, member, group.numel, classes)
                if joined is not None:
                    self._add(group, joined)
                    self._fix_inner(group, classes)
                    return
        if len(merge(values.axes[-1])) > 1:
            values = self._materialise(values)
        last = merge(values.axes[-1])
        outer = View(values.root, values.offset, (*values.axes[:-1], ())).expand(node.shape)
        attrs = {"rows": classes, "stride": last[0][1] if last else 0}
        member = Member("take", index, (flatten(outer), flatten(where)), "vector", node.dtype, attrs)
        self._join(member, prod(node.shape))

    def _add_rows(self, index: int, node: Node, views: Sequence[View]) -> None:
        values, where = self._materialise(views[0]), self._materialise(views[1])
        self._add_root(Root(index, "f32", prod(node.shape)), len(self.groups))
        self.views[index] = make_identity(index, node.shape)
        group = Group(len(self.groups), "add_rows", prod(node.shape))
        self.groups.append(group)
        attrs: dict[str, Attribute] = {"rows": node.shape[0], "columns": node.shape[1], "count": values.shape[0]}
        self._add(group, Member("add_rows", index, (flatten(values), flatten(where)), "vector", "f32", attrs))


def _is_split(rows: int, inner: int) -> bool:
    """Whether rows of ``inner`` elements are too long, or too few, for one thread each."""
    return inner > ROW_ELEMENTS or (rows < PARALLEL_ROWS and inner > SHORT)


def _ints(value: Attribute) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else ()


def _int(value: Attribute) -> int:
    return value if isinstance(value, int) else 0
