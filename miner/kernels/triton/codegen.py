"""Triton source of a group of the lowered graph: one tile of rows × elements, one statement a member.

Generated text holds only integers that were computed here and names made from them; nothing textual of a graph enters
it. Equal groups (the layers of a model) give equal text and share one compiled kernel. A kernel's first argument is an
int32 array of flags, one for each of `Launch.checks`; then come the buffers of `Launch.roots` in order.

A loop group whose rows are reduced is one kernel: a tile holds whole rows, so that a reduction is one statement. What
is too long for that, or lies in columns, is split: one kernel finds each row's largest magnitude with an atomic
maximum, a second one adds integers with an atomic sum (or writes grid integers), a third one rounds. With integers no
order of arrival shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consensus.exact.grid import MAX_MATMUL_BITS

from miner.kernels.lowering import Access, Group, Lowered, Member, Root
from miner.kernels.lowering.views import compute_strides

HEAD = """import triton
import triton.language as tl
from miner.kernels.triton import arithmetic as am


@triton.jit
"""
BINARY = {
    "add": "+", "sub": "-", "mul": "*", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "and": "&", "or": "|",
}  # fmt: skip
FUNCTIONS = {
    "exp": "am.exp({})", "log": "am.log({})", "tanh": "am.tanh({})", "erf": "am.erf({})",
    "sin": "am.rotate({}, 0, True)", "cos": "am.rotate({}, 1, False)", "sqrt": "tl.sqrt_rn({})",
}  # fmt: skip
REGISTERS = {"f32": "tl.float32", "i64": "tl.int64", "bool": "tl.int1"}
"""Type of a value in a tile."""


LONGEST_ROW = 2**16
"""Longest row of one tile (= 65,536); longer ones, whose only reductions are grids, are split."""
Work = tuple[Member, int, int]
"""A split reduction, and the roots of its maxima and its sums (−1: none)."""


@dataclass(frozen=True)
class Tiling:
    """How large tiles are; the interpreter, slow for each tile, wants few large ones."""

    flat: int = 1024
    """Elements of a tile of a loop without reductions."""
    rows: int = 1024
    """Elements of a tile of short rows."""
    split: int = 4096
    """Elements of a tile of a long row that is split."""
    columns: int = 32
    """Columns, and elements of each, of a tile of columns."""


@dataclass
class Launch:
    """A kernel and how to call it."""

    source: str
    """Text of the function, named ``kernel``."""
    roots: list[int]
    """Roots whose buffers are the arguments after the flags."""
    writes: list[int]
    """Roots among them that are written."""
    grid: int
    warps: int
    checks: list[tuple[int, str]] = field(default_factory=list)
    """For each flag the root of the member that sets it, and ``non-finite`` or ``index``."""


def get_row_stride(k: int) -> int:
    """Elements from row to row of grid integers: long rows start at multiples of 16 bytes."""
    return -(-k // 16) * 16 if k >= 64 else k


def generate(group: Group, lowered: Lowered, stored: frozenset[int], tiling: Tiling) -> list[Launch]:
    """Kernels of a loop, column or big group, to be run one after another.

    ``stored``: roots that need a buffer. A split reduction adds to ``lowered`` the roots of its maxima (i32) and sums
    (i64), which must be zero before it starts.
    """
    if group.kind in ("column", "big") or (group.inner or 1) > LONGEST_ROW:
        return _make_split(group, lowered, stored, tiling)
    if group.inner is None:
        return [_make_flat(group, lowered, stored, tiling)]
    block = _power(group.inner)
    rows = min(_power(group.numel // group.inner), max(1, tiling.rows // block))
    return [_Writer(group, lowered, stored, group.inner, (rows, block)).whole_rows()]


def _make_flat(group: Group, lowered: Lowered, stored: frozenset[int], tiling: Tiling) -> Launch:
    return _Writer(group, lowered, stored, group.numel, (1, min(_power(group.numel), tiling.flat))).whole_rows()


def _make_split(group: Group, lowered: Lowered, stored: frozenset[int], tiling: Tiling) -> list[Launch]:
    inner = group.inner or 1
    rows = group.numel // inner
    block = (1, min(_power(inner), tiling.split))
    if group.kind == "column":
        block = (min(_power(rows), tiling.columns), min(_power(inner), tiling.columns))
    reductions = [m for m in group.members if m.form == "reduce"]
    keys = {(m.inputs[0].root, m.op == "amax"): -1 for m in reductions}
    for place in keys:
        keys[place] = _add_root(lowered, "u32", rows)
    works = [
        (m, keys[(m.inputs[0].root, m.op == "amax")], _add_root(lowered, "i64", rows) if m.op == "sum" else -1)
        for m in reductions
    ]
    launches = [_Writer(group, lowered, stored, inner, block).maxima(works)]
    if any(m.op != "amax" for m in reductions):
        launches.append(_Writer(group, lowered, frozenset(), inner, block).second_pass(works))
    finished = [work for work in works if work[0].op != "quantise"]
    if finished:
        flat = Group(group.index, "loop", rows)
        launches.append(_Writer(flat, lowered, stored, rows, (1, min(_power(rows), tiling.flat))).finish(finished))
    return launches


def _add_root(lowered: Lowered, dtype: str, numel: int) -> int:
    root = max(lowered.roots) + 1
    lowered.roots[root] = Root(root, dtype, numel)
    return root


def _warps(elements: int) -> int:
    """Warps of a tile of so many elements."""
    return 2 if elements <= 512 else 4 if elements <= 4096 else 8 if elements <= 16384 else 16


def _power(n: int) -> int:
    """The least power of two that is not under n."""
    return 1 << (n - 1).bit_length()


class _Writer:
    """Writes one kernel over tiles of ``block`` = (rows, elements) of a group's rows of ``inner`` elements."""

    def __init__(
        self, group: Group, lowered: Lowered, stored: frozenset[int], inner: int, block: tuple[int, int]
    ) -> None:
        self.group, self.lowered, self.stored = group, lowered, stored
        self.inner, self.block = inner, block
        self.rows = group.numel // inner
        self.roots: list[int] = []
        self.writes: list[int] = []
        self.checks: list[tuple[int, str]] = []
        self.names = {m.root: f"v{i}" for i, m in enumerate(group.members)}
        accesses = [a for m in group.members for a in self._reads(m)] + [m.out for m in group.members if m.out]
        self.points = self._merge_points(accesses)
        self.digits: dict[int, str] = {}
        self.lines: list[str] = []
        self.loaded: dict[Access, str] = {}

    def _reads(self, member: Member) -> list[Access]:
        return [a for a in member.inputs if a.root not in self.group.made] if member.op != "uniform" else []

    def _merge_points(self, accesses: Sequence[Access]) -> list[int]:
        """Rising points of the index after joining digits that every access walks in one stride."""
        points = sorted(self.group.points | {1, self.group.numel, self.inner})
        strides = [compute_strides(a.factors, points)[::-1] for a in accesses]
        kept = points[:1]
        for place in range(1, len(points) - 1):
            size = points[place] // points[place - 1]
            joins = all(s[place] == s[place - 1] * size for s in strides)
            if points[place] == self.inner or not joins:
                kept.append(points[place])
        return kept + points[-1:] if points[-1] > 1 else kept

    # pieces of text

    def line(self, text: str) -> None:
        """Add a statement."""
        self.lines.append(f"    {text}")

    def argument(self, root: int, write: bool = False) -> str:
        """The pointer of a root's buffer."""
        if root not in self.roots:
            self.roots.append(root)
        if write and root not in self.writes:
            self.writes.append(root)
        return f"p{self.roots.index(root)}"

    def flag(self, member: Member, what: str, wrong: str) -> None:
        """Report a failure where ``wrong``."""
        self.checks.append((member.root, what))
        self.line(f"am.mark(flags, {len(self.checks) - 1}, {wrong})")

    def digit(self, place: int) -> str:
        """The name of the digit of the element's index between two points."""
        if place not in self.digits:
            low, high = self.points[place], self.points[place + 1]
            name, unit, end = ("i", 1, self.inner) if high <= self.inner else ("r", self.inner, self.group.numel)
            text = name if low == unit else f"{name} // {low // unit}"
            if high != end:
                text = f"({text}) % {high // low}"
            self.digits[place] = f"d{place}"
            self.line(f"d{place} = {text}")
        return self.digits[place]

    def offset(self, access: Access) -> tuple[str, bool]:
        """The offset of an access in its buffer as text, and whether it changes inside a row."""
        strides = compute_strides(access.factors, self.points)[::-1]
        terms, moves = [], False
        for place, stride in enumerate(strides):
            if stride:
                terms.append(f"{self.digit(place)} * {stride}" if stride != 1 else self.digit(place))
                moves |= self.points[place + 1] <= self.inner
        if access.offset:
            terms.append(str(access.offset))
        return " + ".join(terms) or "0", moves

    def mask(self, moves: bool) -> str:
        """The mask of a load or store, by whether it has one element a row or one an element."""
        return "inside" if moves else "within"

    def literal(self, access: Access) -> str | None:
        """The text of a folded scalar."""
        root = self.lowered.roots[access.root]
        if root.constant is None or root.constant.size != 1:
            return None
        if root.dtype == "f32":
            return f"am.literal({int(root.constant.view('int32')[0])})"
        return f"tl.full((1, 1), {int(root.constant[0])}, {REGISTERS[root.dtype]})"

    def load(self, access: Access) -> str:
        """The name of a loaded tile: rows × elements, or rows × 1 where the row does not move it."""
        if access not in self.loaded:
            name = f"x{len(self.loaded)}"
            text = self.literal(access)
            if text is None:
                offset, moves = self.offset(access)
                text = self.load_at(access.root, offset, moves)
            self.line(f"{name} = {text}")
            self.loaded[access] = name
        return self.loaded[access]

    def load_at(self, root: int, offset: str, moves: bool) -> str:
        """The text of a load."""
        shape = " + zero" if moves else " + zero_row"
        text = f"tl.load({self.argument(root)} + ({offset}{shape}), mask={self.mask(moves)}, other=0)"
        return f"({text} != 0)" if self.lowered.roots[root].dtype == "bool" else text

    def operand(self, access: Access) -> str:
        """The name of an operand: made here, or loaded."""
        return self.names[access.root] if access.root in self.group.made else self.load(access)

    def store(self, root: int, offset: str, moves: bool, value: str) -> None:
        """Write a tile."""
        if self.lowered.roots[root].dtype == "bool":
            value = f"{value}.to(tl.int8)"
        shape = " + zero" if moves else " + zero_row"
        self.line(f"tl.store({self.argument(root, True)} + ({offset}{shape}), {value}, mask={self.mask(moves)})")

    # members

    def expression(self, member: Member) -> str:
        """An elementwise member's value."""
        op, a = member.op, [self.operand(a) for a in member.inputs]
        if op in BINARY:
            return f"{a[0]} {BINARY[op]} {a[1]}"
        if op in FUNCTIONS:
            return FUNCTIONS[op].format(a[0])
        simple = {"not": f"{a[0]} == 0", "copy": a[0], "cast": f"{a[0]}.to({REGISTERS[member.dtype]})"}
        if op in simple:
            return simple[op]
        if op == "div":
            return f"tl.div_rn({a[0]}, {a[1]})"
        if op == "where":
            return f"tl.where({a[0]}, {a[1]}, {a[2]})"
        if op == "neg":
            return f"am.negate({a[0]})" if member.dtype == "f32" else f"0 - {a[0]}"
        if op == "abs":
            return f"am.magnitude({a[0]})" if member.dtype == "f32" else f"tl.where({a[0]} < 0, 0 - {a[0]}, {a[0]})"
        raise AssertionError(f"no Triton form of {op}")

    def uniform(self, member: Member) -> str:
        """Draws of E7."""
        seed, step = (self.argument(a.root) + f" + {a.offset}" for a in member.inputs)
        index = "r" if member.form == "row" else f"r * {self.inner} + i"
        stream = int(str(member.attrs["stream"]))
        signed = stream - 2**32 if stream >= 2**31 else stream
        zero = "zero_row" if member.form == "row" else "zero"
        return (
            f"am.uniform({index} + {zero}, tl.full((1, 1), {signed}, tl.int32), tl.load({step} + unit), "
            f"tl.load({seed} + unit), tl.load({seed} + 1 + unit))"
        )

    def take(self, member: Member) -> str:
        """Elements of a table at rows given by an index."""
        rows, stride = member.attrs["rows"], member.attrs["stride"]
        index, name = self.operand(member.inputs[1]), f"n{self.names[member.root]}"
        moves = member.form == "vector"
        self.line(f"{name} = tl.broadcast_to({index}, {self.block})" if moves else f"{name} = {index}")
        self.flag(member, "index", f"(({name} < 0) | ({name} >= {rows})) & {self.mask(moves)}")
        self.line(f"{name} = tl.where(({name} < 0) | ({name} >= {rows}), 0, {name}).to(tl.int32)")
        offset, _ = self.offset(member.inputs[0])
        return self.load_at(member.inputs[0].root, f"{offset} + {name} * {stride}", moves)

    def vector(self, member: Member) -> None:
        """A member with one value an element, or one a row."""
        name, moves = self.names[member.root], member.form == "vector"
        special = {"uniform": self.uniform, "take": self.take}.get(member.op, self.expression)
        self.line(f"{name} = {special(member)}")
        if member.out is not None:
            offset, inside = self.offset(member.out)
            self.store(member.root, offset, True, name)
        elif member.root in self.stored:
            self.store(member.root, f"r * {self.inner} + i" if moves else "r", moves, name)

    def reduce(self, member: Member) -> None:
        """A reduction of the tile's rows, which are whole."""
        name = self.names[member.root]
        if member.op == "pick":
            self.pick(member)
        else:
            self.line(f"{name}x = tl.broadcast_to({self.operand(member.inputs[0])}, {self.block})")
            self.line(f"{name}k = am.largest({name}x, inside)")
        if member.op == "amax":
            self.line(f"{name}o = am.highest({name}x, inside)")
            self.flag(member, "non-finite", f"am.is_wrong_maximum({name}k, {name}o) & within")
            self.line(f"{name} = am.float_of(am.ordered({name}o))")
        elif member.op in ("sum", "quantise"):
            self.flag(member, "non-finite", f"am.is_wrong({name}k) & within")
        if member.op == "sum":
            self.line(f"{name} = am.rounded(am.total({name}x, {name}k, inside), {name}k)")
        elif member.op == "quantise":
            self.quantise(member, f"{name}x", f"{name}k", "within")
        if member.op != "quantise" and member.root in self.stored:
            self.store(member.root, "r", False, name)

    def pick(self, member: Member) -> None:
        """One element of each row."""
        name, rows = self.names[member.root], member.attrs["rows"]
        x, index = (self.operand(a) for a in member.inputs)
        self.line(f"{name}n = {index}")
        self.flag(member, "index", f"(({name}n < 0) | ({name}n >= {rows})) & within")
        self.line(f"{name}x = tl.broadcast_to({x}, {self.block})")
        form = {"f32": "am.float_of(am.picked(am.bits_of({}), i, {}))", "i64": "am.picked({}, i, {})"}
        text = form.get(member.dtype, "(am.picked({}.to(tl.int32), i, {}) != 0)")
        self.line(f"{name} = {text.format(f'{name}x', f'{name}n')}")

    def quantise(self, member: Member, x: str, key: str, once: str) -> None:
        """Grid integers in two planes, and exponents where ``once``."""
        bits, stride = int(str(member.attrs["bits"])), get_row_stride(self.inner)
        if bits > MAX_MATMUL_BITS:
            raise AssertionError("two bytes hold at most 14 bits")
        e = f"{self.names[member.root]}e"
        self.line(f"{e} = am.exponent_of({key})")
        planes, exponents = self.argument(member.root, True), self.argument(member.extra, True)
        self.line(
            f"am.store_split({planes}, r * {stride} + i, {self.rows * stride}, am.on_grid({x}, {e}, {bits}), inside)"
        )
        self.line(f"tl.store({exponents} + (r + zero_row), {e}, mask={once})")

    # kernels

    def launch(self) -> Launch:
        """The kernel around its statements."""
        (height, width), inner, rows = self.block, self.inner, self.rows
        across = -(-inner // width)
        names = ", ".join(["flags", *(f"p{i}" for i in range(len(self.roots)))])
        head = [
            f"def kernel({names}):",
            "    pid = tl.program_id(0)",
            f"    r = pid // {across} * {height} + tl.arange(0, {height})[:, None]",
            f"    i = pid % {across} * {width} + tl.arange(0, {width})[None, :]",
            f"    within = r < {rows}",
            f"    inside = within & (i < {inner})",
            "    unit = tl.zeros((1, 1), tl.int32)",
            f"    zero_row = tl.zeros(({height}, 1), tl.int32)",
            f"    zero = tl.zeros(({height}, {width}), tl.int32)",
        ]
        text = HEAD + "\n".join([*head, *self.lines]) + "\n"
        grid = across * -(-rows // height)
        return Launch(text, self.roots, self.writes, grid, _warps(height * width), self.checks)

    def whole_rows(self) -> Launch:
        """All members, in order."""
        for member in self.group.members:
            (self.reduce if member.form == "reduce" else self.vector)(member)
        return self.launch()

    def _vectors(self) -> None:
        for member in self.group.members:
            if member.form != "reduce":
                self.vector(member)

    def _read(self, member: Member) -> str:
        name = f"{self.names[member.root]}x"
        self.line(f"{name} = tl.broadcast_to({self.operand(member.inputs[0])}, {self.block})")
        return name

    def maxima(self, works: Sequence[Work]) -> Launch:
        """First pass of split reductions: each row's largest magnitude, or `highest` key with the sign turned."""
        self._vectors()
        done = set()
        for member, keys, _ in works:
            if keys in done:
                continue
            done.add(keys)
            x, name = self._read(member), self.names[member.root]
            self.line(f"{name}k = am.largest({x}, inside)")
            if member.op == "amax":
                self.line(f"{name}o = am.highest({x}, inside)")
                self.flag(member, "non-finite", f"am.is_wrong_maximum({name}k, {name}o) & within")
                self.line(f"{name}k = am.unsigned({name}o)")
            else:
                self.flag(member, "non-finite", f"am.is_wrong({name}k) & within")
                self.line(f"{name}k = {name}k.to(tl.uint32, bitcast=True)")
            where = f"{self.argument(keys, True)} + (r + zero_row)"
            self.line(f"tl.atomic_max({where}, {name}k, mask=within, sem='relaxed')")
        return self.launch()

    def second_pass(self, works: Sequence[Work]) -> Launch:
        """Second pass: adds grid integers, or writes them."""
        self._vectors()
        for member, keys, sums in works:
            if member.op == "amax":
                continue
            x, name = self._read(member), self.names[member.root]
            where = f"{self.argument(keys)} + (r + zero_row)"
            self.line(f"{name}k = tl.load({where}, mask=within, other=0).to(tl.int32, bitcast=True)")
            if member.op == "quantise":
                first = f"within & (r * 0 + pid % {-(-self.inner // self.block[1])} < 1)"
                self.quantise(member, x, f"{name}k", first)
            else:
                self.line(f"{name}s = am.total({x}, {name}k, inside)")
                where = f"{self.argument(sums, True)} + (r + zero_row)"
                self.line(f"tl.atomic_add({where}, {name}s, mask=within, sem='relaxed')")
        return self.launch()

    def finish(self, works: Sequence[Work]) -> Launch:
        """The roundings of split reductions, over their rows."""
        for place, (member, keys, sums) in enumerate(works):
            self.line(f"k{place} = tl.load({self.argument(keys)} + i, mask=inside, other=0)")
            if member.op == "amax":
                value = f"am.float_of(am.ordered(am.signed(k{place})))"
            else:
                self.line(f"s{place} = tl.load({self.argument(sums)} + i, mask=inside, other=0)")
                value = f"am.rounded(s{place}, k{place}.to(tl.int32, bitcast=True))"
            self.store(member.root, "i", True, value)
        return self.launch()


__all__ = ["Launch", "Tiling", "generate", "get_row_stride"]
