"""C source of a group: loops over the digits of the element index, one statement a member.

Generated text holds only integers that were computed here and names made from them; nothing textual of a graph enters
it. Equal groups (the layers of a model) give equal text and share one compiled function. A function's arguments are
addresses: ``a[0]`` an int32 that a member which meets a NaN, an infinity or a bad index sets to its number in
`Kernel.failures` (plus one), ``a[i + 1]`` what `Kernel.arguments[i]` says.

Row kernels walk rows ``begin … end``. A reduction needs a finished pass over its row, so that a row is walked once a
*stage*; vectors that a later stage needs wait in the thread's scratch. Column and big kernels compute their vectors
anew in each of their two passes. An epilogue gets one row and a range of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from miner.kernels.native.fusion import Access, Group, Lowered, Member, Root
from miner.kernels.native.views import compute_strides

C_TYPES = {
    "f32": "float", "i64": "int64_t", "bool": "uint8_t", "u32": "uint32_t", "i16": "int16_t", "i32": "int32_t",
}  # fmt: skip
SCALARS = C_TYPES | {"bool": "int32_t"}
"""Type of a value in a register: truth values as wide as floats, so that selects vectorise."""
BYTES = {"f32": 4, "i64": 8, "bool": 1, "u32": 4, "i16": 2, "i32": 4}
"""Bytes of an element in memory."""

BINARY = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "and": "&", "or": "|",
}  # fmt: skip
FUNCTIONS = {
    "exp": "aipow_exp", "log": "aipow_log", "tanh": "aipow_tanh", "erf": "aipow_erf", "sin": "aipow_sin",
    "cos": "aipow_cos", "sqrt": "__builtin_sqrtf",
}  # fmt: skip

SUM_BITS = 28
COLUMN_BLOCK = 128
"""Columns of one unit of a column kernel: two passes over them should hit the cache."""
CHUNK = 8192
"""Least elements of one unit where a long loop or reduction is split."""
MAX_BLOCKS = 64
"""Most parts of one row in a big reduction: each part of the second pass reads the maxima of all."""
ROW_BLOCK = 32
"""Columns of one unit of an index add."""


@dataclass(frozen=True)
class Argument:
    """An address that a kernel gets: element ``offset`` of a root."""

    root: int
    offset: int = 0


@dataclass
class Kernel:
    """A C function and how to call it."""

    source: str
    """The function's text, with AIPOW_NAME for its name."""
    arguments: list[Argument]
    """What a[1], a[2], … are."""
    writes: list[int]
    """Roots among them that are written."""
    total: int
    """Units of work (rows of an epilogue)."""
    grain: int = 1
    """Fewest units worth a thread."""
    scratch: int = 0
    """Bytes of scratch of a thread."""
    failures: list[tuple[int, str]] = field(default_factory=list)
    """(root of the member, ``non-finite`` or ``index``)."""


def generate(group: Group, lowered: Lowered, stored: frozenset[int]) -> list[Kernel]:
    """Kernels of a loop, column, big or add_rows group, to be run one after another.

    ``stored``: roots that need a buffer. A big reduction adds roots of its own to ``lowered`` for what its passes hand
    on.
    """
    if group.kind == "column":
        return [_Column(group, lowered, stored).kernel()]
    if group.kind == "big":
        return _make_big(group, lowered, stored)
    if group.kind == "add_rows":
        return [_make_add_rows(group, lowered)]
    return [_Rows(group, lowered, stored).kernel()]


class _Writer:
    """What all kinds of kernels share: digits, arguments, loads, expressions."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int]) -> None:
        self.group, self.lowered, self.stored = group, lowered, stored
        self.inner = group.inner or 1
        self.arguments: list[Argument] = []
        self.declared: list[str] = []
        self.writes: list[int] = []
        self.failures: list[tuple[int, str]] = []
        self.names = {m.root: f"v{i}" for i, m in enumerate(group.members)}
        accesses = [
            a for m in group.members for a in m.inputs if a.root not in group.made and m.op != "uniform"
        ] + [m.out for m in group.members if m.out is not None]
        self.points = self._merge_points(accesses)
        sizes = [b // a for a, b in zip(self.points, self.points[1:], strict=False)][::-1]
        split = self.points.index(self.inner) if self.inner > 1 else 0
        self.outer, self.within = sizes[: len(sizes) - split], sizes[len(sizes) - split :]
        self.pointers: dict[Access, str] = {}
        self.pointer_lines: list[str] = []
        self.loaded: dict[Access | int, str] = {}

    def _merge_points(self, accesses: Sequence[Access]) -> list[int]:
        """Rising points of the index after joining digits that every access walks in one stride."""
        points = sorted(self.group.points | {1, self.group.numel, self.inner})
        strides = [compute_strides(a.factors, points) for a in accesses]
        kept = [points[0]]
        for place in range(1, len(points) - 1):
            below = points[place] // points[place - 1]
            index = len(points) - 2 - place  # of the digit above this point, counted from the outermost
            joins = all(s[index] == s[index + 1] * below for s in strides)
            if not joins or (points[place] == self.inner and self.group.inner is not None):
                kept.append(points[place])
        return [*kept, points[-1]] if points[-1] > 1 else kept

    def strides(self, access: Access) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Strides of the digits outside and inside a row."""
        found = compute_strides(access.factors, self.points)
        return found[: len(self.outer)], found[len(self.outer) :]

    def whole(self, root: int) -> Access:
        """The access of element i of a root by element i of the loop."""
        return Access(root, 0, ((self.group.numel, 1),) if self.group.numel > 1 else ())

    def argument(self, root: int, offset: int = 0, write: bool = False) -> str:
        """The pointer of an element address."""
        key = Argument(root, offset)
        if key not in self.arguments:
            self.arguments.append(key)
            kind = ("" if write else "const ") + C_TYPES[self.lowered.roots[root].dtype]
            place = len(self.arguments)
            self.declared.append(f"    {kind} *restrict b{place} = ({kind} *)a[{place}];")
        if write and root not in self.writes:
            self.writes.append(root)
        return f"b{self.arguments.index(key) + 1}"

    def fail(self, member: Member, what: str) -> str:
        """The statement that reports a failure."""
        if (member.root, what) not in self.failures:
            self.failures.append((member.root, what))
        return f"*(volatile int32_t *)a[0] = {self.failures.index((member.root, what)) + 1};"

    def pointer(self, access: Access, write: bool = False) -> str:
        """The pointer of an access at the digits outside the row, declared once in `pointer_lines`."""
        if access not in self.pointers:
            name = f"p{len(self.pointers)}"
            base = self.argument(access.root, access.offset, write)
            outer = self.outer_terms(self.strides(access)[0])
            kind = ("" if write else "const ") + C_TYPES[self.lowered.roots[access.root].dtype]
            self.pointer_lines.append(f"        {kind} *restrict {name} = {base}{outer};")
            self.pointers[access] = name
        return self.pointers[access]

    def outer_terms(self, strides: Sequence[int]) -> str:
        """What the row's digits add to an index."""
        return "".join(f" + c{d} * {s}" for d, s in enumerate(strides) if s)

    def place(self, strides: Sequence[int]) -> str:
        """Index within the row at the loops' digits: d0, d1, … and i, the innermost."""
        names = [*(f"d{d}" for d in range(len(strides) - 1)), "i"][: len(strides)]
        return " + ".join(f"{n} * {s}" if s != 1 else n for n, s in zip(names, strides, strict=True) if s) or "0"

    def literal(self, access: Access) -> str | None:
        """The text of a folded scalar."""
        root = self.lowered.roots[access.root]
        if root.constant is None or root.constant.size != 1:
            return None
        if root.dtype == "f32":
            return f"aipow_f32(0x{int(root.constant.view('uint32')[0]):08x}u)"
        value = int(root.constant[0])
        return f"(int64_t)0x{value % 2**64:016x}u" if root.dtype == "i64" else str(value)

    def load(self, access: Access, lines: list[str], indent: str) -> str:
        """The name of an element read from memory in the innermost loop."""
        literal = self.literal(access)
        if literal is not None:
            return literal
        if access not in self.loaded:
            kind = SCALARS[self.lowered.roots[access.root].dtype]
            name = f"x{len(self.loaded)}"
            place = self.place(self.strides(access)[1])
            lines.append(f"{indent}const {kind} {name} = {self.pointer(access)}[{place}];")
            self.loaded[access] = name
        return self.loaded[access]

    def expression(self, member: Member, operands: Sequence[str]) -> str:
        """A member's value from its operands' names."""
        op = member.op
        if op in BINARY:
            if member.dtype == "i64":
                return f"(int64_t)((uint64_t){operands[0]} {BINARY[op]} (uint64_t){operands[1]})"
            return f"{operands[0]} {BINARY[op]} {operands[1]}"
        if op in FUNCTIONS:
            return f"{FUNCTIONS[op]}({operands[0]})"
        negative = f"(int64_t)(0 - (uint64_t){operands[0]})"
        if op == "neg":
            return negative if member.dtype == "i64" else f"-{operands[0]}"
        if op == "abs" and member.dtype == "i64":
            return f"{operands[0]} < 0 ? {negative} : {operands[0]}"
        if op == "abs":
            return f"aipow_abs({operands[0]})"
        if op == "not":
            return f"!{operands[0]}"
        if op == "where" and member.dtype == "f32":
            return f"aipow_select({operands[0]}, {operands[1]}, {operands[2]})"
        if op == "where":
            return f"{operands[0]} ? {operands[1]} : {operands[2]}"
        if op in ("copy", "cast"):
            return f"({SCALARS[member.dtype]}){operands[0]}"
        raise AssertionError(f"no C form of {op}")

    def random(self, member: Member, index: str) -> str:
        """A uniform draw: key and step are read where the kernel begins."""
        seed, step = (self.argument(a.root, a.offset) for a in member.inputs)
        stream = int(str(member.attrs["stream"]))
        return f"aipow_uniform({seed}[0], {seed}[1], {stream}u, (uint32_t){step}[0], {index})"

    def taken(self, member: Member, index: str, lines: list[str], indent: str) -> str:
        """An element of a table: row ``index`` of it, else a failure and row 0."""
        rows, stride = member.attrs["rows"], member.attrs["stride"]
        name = f"n{self.names[member.root]}"
        lines.append(f"{indent}int64_t {name} = {index};")
        lines.append(f"{indent}if ((uint64_t){name} >= {rows}u) {{ {name} = 0; {self.fail(member, 'index')} }}")
        access = member.inputs[0]
        return f"{self.pointer(access)}[{name} * {stride} + {self.place(self.strides(access)[1])}]"

    def function(self, text: str) -> str:
        """The whole function around its statements."""
        kind = "AIPOW_EPILOGUE" if self.group.post_of is not None else "AIPOW_KERNEL"
        return f"{kind}(AIPOW_NAME) {{\n" + "\n".join([*self.declared, text]) + "\n}\n"

    def coordinates(self, sizes: Sequence[int]) -> list[str]:
        """Digits c0, c1, … of the row number r."""
        if not sizes:
            return ["        (void)r;"]
        lines = ["        int64_t rest = r;"]
        for place in range(len(sizes) - 1, 0, -1):
            lines.append(f"        const int64_t c{place} = rest % {sizes[place]}; rest /= {sizes[place]};")
        return [*lines, "        const int64_t c0 = rest; (void)c0;"]


def _nest(loops: Sequence[tuple[str, str, str]], body: Sequence[str]) -> list[str]:
    """Loops (variable, low, high) around statements; no element of the innermost one depends on another."""
    lines = ["        {"]
    for depth, (name, low, high) in enumerate(loops):
        if depth == len(loops) - 1:
            lines.append("AIPOW_INDEPENDENT")
        lines.append("    " * (2 + depth) + f"for (int64_t {name} = {low}; {name} < {high}; {name}++) {{")
    lines += body
    lines += ["    " * (2 + depth) + "}" for depth in reversed(range(len(loops)))]
    return [*lines, "        }"]


class _Rows(_Writer):
    """Rows with all their stages, flat loops, epilogues."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int]) -> None:
        super().__init__(group, lowered, stored)
        if group.inner is None:
            self.inner = self.points[1] if len(self.points) > 1 else 1
            sizes = [*self.outer, *self.within]
            split = 1 if len(sizes) > 0 else 0
            self.outer, self.within = sizes[: len(sizes) - split], sizes[len(sizes) - split :]
        self.is_flat = group.inner is None and not self.outer
        self.weights = tuple(prod(self.within[d + 1 :]) for d in range(len(self.within)))
        self.stage: dict[int, int] = {}
        self.kept: dict[int, tuple[str, int]] = {}
        self.scratch = 0
        self.checks: list[Member] = []
        self._compute_stages()

    # stages

    def _compute_stages(self) -> None:
        """The stage that computes each vector, or before which a row value is known."""
        made = self.group.made
        for member in self.group.members:
            ready = max((self.stage[a.root] for a in member.inputs if a.root in made), default=0)
            extra = {"sum": 2, "amax": 1, "quantise": 2, "pick": 1}.get(member.op, 0) if member.form == "reduce" else 0
            self.stage[member.root] = ready + extra
        self.count = max((self.stage[m.root] + (m.form == "vector") for m in self.group.members), default=0)
        for member in self.group.members:
            for access in member.inputs:
                source = made.get(access.root)
                if source is None or source.form != "vector":
                    continue
                first = self.stage[source.root]
                last = self.stage[member.root] - (1 if member.form == "reduce" else 0)
                if (last > first or member.op == "pick") and source.root not in self.stored:
                    self._keep(source)

    def _keep(self, member: Member) -> None:
        if member.root not in self.kept:
            self.kept[member.root] = (f"t{len(self.kept)}", self.scratch)
            self.scratch += -(-self.inner * BYTES[member.dtype] // 64) * 64

    # names

    def operand(self, access: Access, lines: list[str], indent: str) -> str:
        """The name of an operand in the innermost loop."""
        member = self.group.made.get(access.root)
        if member is None:
            if any(self.strides(access)[1]) or self.is_flat:
                return self.load(access, lines, indent)
            return self.row_operand(access)
        if member.form != "vector":
            return self.names[access.root]
        if access.root not in self.loaded:
            name = f"{self.names[access.root]}r"
            lines.append(f"{indent}const {SCALARS[member.dtype]} {name} = {self.kept_place(member)};")
            self.loaded[access.root] = name
        return self.loaded[access.root]

    def kept_place(self, member: Member) -> str:
        """Where a vector waits for later stages."""
        if member.root in self.stored:
            return f"{self.pointer(self.whole(member.root), True)}[{self.place(self.weights)}]"
        return f"{self.kept[member.root][0]}[{self.place(self.weights)}]"

    def row_operand(self, access: Access) -> str:
        """The name of a row value: made here, or read once a row."""
        if access.root in self.group.made:
            return self.names[access.root]
        return self.literal(access) or f"({SCALARS[self.lowered.roots[access.root].dtype]}){self.pointer(access)}[0]"

    # statements

    def kernel(self) -> Kernel:
        """The whole kernel."""
        lines: list[str] = []
        for stage in range(self.count + 1):
            lines += self._before(stage)
            if stage < self.count:
                lines += self._pass(stage)
                lines += self._after(stage)
        group = self.group
        rows = group.numel // self.inner
        temporaries = [
            f"    {C_TYPES[group.made[root].dtype]} *restrict {name} = "
            f"({C_TYPES[group.made[root].dtype]} *)(scratch + {offset});"
            for root, (name, offset) in self.kept.items()
        ]
        declared = [f"    int32_t {self.names[m.root]}m = 0;" for m in self.checks]
        checks = self._finish_checks()
        if self.is_flat:
            text = "\n".join([*(line[4:] for line in self.pointer_lines), *declared, *lines, *checks])
            return Kernel(self.function(text), self.arguments, self.writes, group.numel, CHUNK, 0, self.failures)
        head = [*self.coordinates(self.outer), *self.pointer_lines]
        if group.post_of is not None:
            text = "\n".join([*temporaries, *declared, *head, *lines, *checks])
        else:
            loop = "    for (int64_t r = begin; r < end; r++) {"
            text = "\n".join([*temporaries, *declared, loop, *head, *lines, "    }", *checks])
        grain = max(1, CHUNK // self.inner)
        return Kernel(self.function(text), self.arguments, self.writes, rows, grain, self.scratch, self.failures)

    def _before(self, stage: int) -> list[str]:
        """Row values known once ``stage`` passes are done, in order."""
        lines: list[str] = []
        for member in self.group.members:
            if member.form == "row" and self.stage[member.root] == stage:
                operands = [self.row_operand(a) for a in member.inputs] if member.op != "uniform" else []
                value = self.random(member, "r") if member.op == "uniform" else self.expression(member, operands)
                lines += self._define_row(member, value)
        return lines

    def _define_row(self, member: Member, value: str) -> list[str]:
        name = self.names[member.root]
        lines = [f"        const {SCALARS[member.dtype]} {name} = {value}; (void){name};"]
        if member.root in self.stored:
            lines.append(f"        {self.argument(member.root, 0, True)}[r] = {name};")
        return lines

    def _pass(self, stage: int) -> list[str]:
        """One walk over the row: vectors of this stage, maxima and sums over them."""
        depth = max(1, len(self.within))
        indent = "    " * (2 + depth)
        body: list[str] = []
        state: list[str] = []
        self.loaded = {}
        for member in self.group.members:
            if member.form == "vector" and self.stage[member.root] == stage:
                self._vector(member, body, indent)
            elif member.form == "reduce":
                state += self._accumulate(member, stage, body, indent)
        if not body:
            return state
        sizes = self.within or [1]
        loops = [(f"d{d}", "0", str(n)) for d, n in enumerate(sizes[:-1])]
        low, high = ("j0", "j1") if self.group.post_of is not None else ("0", str(sizes[-1]))
        if self.is_flat:
            low, high = "begin", "end"
        return [*state, *_nest([*loops, ("i", low, high)], body)]

    def _vector(self, member: Member, body: list[str], indent: str) -> None:
        if member.op == "uniform":
            outer = "" if self.is_flat or not self.outer else f"r * {self.inner} + "
            value = self.random(member, f"{outer}{self.place(self.weights)}")
        elif member.op == "take":
            index = self.operand(member.inputs[1], body, indent)
            value = self.taken(member, index, body, indent)
        else:
            value = self.expression(member, [self.operand(a, body, indent) for a in member.inputs])
        name = self.names[member.root]
        body.append(f"{indent}const {SCALARS[member.dtype]} {name} = {value}; (void){name};")
        self.loaded[member.root] = name
        if member.root in self.lowered.checked:
            self.checks.append(member)
            body.append(f"{indent}const int32_t {name}n = aipow_bits({name}) & 0x7fffffff;")
            body.append(f"{indent}{name}m = {name}m > {name}n ? {name}m : {name}n;")
        if member.out is not None:
            place = self.place(self.strides(member.out)[1])
            body.append(f"{indent}{self.pointer(member.out, True)}[{place}] = {name};")
        elif member.root in self.stored or member.root in self.kept:
            body.append(f"{indent}{self.kept_place(member)} = {name};")

    def _finish_checks(self) -> list[str]:
        """Fails when an output's elements were not all finite."""
        return [
            f"    if ({self.names[m.root]}m >= AIPOW_INFINITY) {self.fail(m, 'non-finite')}" for m in self.checks
        ]

    def _accumulate(self, member: Member, stage: int, body: list[str], indent: str) -> list[str]:
        """What a reduction does in a pass; returns the declaration of its accumulator."""
        name, first = self.names[member.root], self._first_pass(member)
        if member.op == "pick" or stage not in (first, first + 1) or (stage == first + 1 and member.op == "amax"):
            return []
        x = self.operand(member.inputs[0], body, indent)
        if stage == first:
            body.append(f"{indent}const int32_t {name}n = aipow_bits({x}) & 0x7fffffff;")
            body.append(f"{indent}{name}m = {name}m > {name}n ? {name}m : {name}n;")
            if member.op != "amax":
                return [f"        int32_t {name}m = 0;"]
            body.append(f"{indent}const int32_t {name}o = aipow_key(aipow_bits({x}));")
            body.append(f"{indent}{name}k = {name}k > {name}o ? {name}k : {name}o;")
            return [f"        int32_t {name}m = 0, {name}k = INT32_MIN;"]
        if member.op == "sum":
            body.append(f"{indent}{name}s += (int64_t)aipow_grid({x}, {name}g);")
            return [f"        int64_t {name}s = 0;"]
        out = self.whole(member.root)
        place = f"{self.pointer(out, True)}[{self.place(self.weights)}]"
        body.append(f"{indent}{place} = (int16_t)aipow_grid({x}, {name}g);")
        return []

    def _first_pass(self, member: Member) -> int:
        return self.stage[member.root] - {"sum": 2, "amax": 1, "quantise": 2, "pick": 1}[member.op]

    def _after(self, stage: int) -> list[str]:
        """What reductions do once a pass is done."""
        lines: list[str] = []
        for member in self.group.members:
            if member.form != "reduce":
                continue
            name, first = self.names[member.root], self._first_pass(member)
            if member.op == "pick" and stage == first:
                lines += self._picked(member)
            elif member.op == "amax" and stage == first:
                lines += _check_maximum(name, self.fail(member, "non-finite"))
                lines += self._define_row(member, f"aipow_f32((uint32_t)aipow_key({name}k))")
            elif member.op in ("sum", "quantise") and stage == first:
                bits = SUM_BITS if member.op == "sum" else int(str(member.attrs["bits"]))
                lines += _set_grid(name, bits, self.fail(member, "non-finite"))
                if member.op == "quantise":
                    lines.append(f"        {self.argument(member.extra, 0, True)}[r] = {name}e;")
            elif member.op == "sum" and stage == first + 1:
                lines += self._define_row(member, f"aipow_rescale({name}s, {name}e - {SUM_BITS})")
        return lines

    def _picked(self, member: Member) -> list[str]:
        name, rows = self.names[member.root], member.attrs["rows"]
        source = self.group.made[member.inputs[0].root]
        index = self.row_operand(member.inputs[1])
        lines = [f"        int64_t {name}i = {index};"]
        lines.append(f"        if ((uint64_t){name}i >= {rows}u) {{ {name}i = 0; {self.fail(member, 'index')} }}")
        if source.root in self.stored:
            place = f"{self.pointer(self.whole(source.root), True)}[{name}i]"
        else:
            place = f"{self.kept[source.root][0]}[{name}i]"
        return lines + self._define_row(member, place)


def _check_maximum(name: str, failure: str) -> list[str]:
    return [f"        if ({name}m > AIPOW_INFINITY || {name}k >= AIPOW_INFINITY) {{ {failure} }}"]


def _set_grid(name: str, bits: int, failure: str) -> list[str]:
    """Exponent and scale of a maximum; a set that is not finite fails and goes on harmlessly."""
    return [
        f"        if ({name}m >= AIPOW_INFINITY) {{ {name}m = 0; {failure} }}",
        f"        const int32_t {name}e = aipow_exponent({name}m);",
        f"        const float {name}g = aipow_scale({bits} - {name}e); (void){name}g;",
    ]


class _Column(_Writer):
    """Reductions over the digits inside, for adjacent columns side by side: the last digit outside. Pass 0 finds the
    columns' maxima, pass 1 their sums and grid integers; reductions of one operand share its maxima."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int]) -> None:
        super().__init__(group, lowered, stored)
        self.reductions = [m for m in group.members if m.form == "reduce"]
        self.columns = self.outer[-1]
        self.width = min(self.columns, COLUMN_BLOCK)
        self.maximum: dict[str, str] = {}
        self.maximum_of: dict[int, str] = {}

    def place(self, strides: Sequence[int]) -> str:
        return "".join(f"d{d} * {s} + " for d, s in enumerate(strides) if s) + self.column_term

    def outer_terms(self, strides: Sequence[int]) -> str:
        *rows, column = strides
        return super().outer_terms(rows) + (f" + j0 * {column}" if column else "")

    def kernel(self) -> Kernel:
        """The whole kernel."""
        blocks = -(-self.columns // self.width)
        first = self._walk(0)
        second = self._walk(1) if any(m.op != "amax" for m in self.reductions) else []
        between, finish = self._between(), self._finish()
        lines = [
            "    for (int64_t unit = begin; unit < end; unit++) {",
            f"        const int64_t j0 = unit % {blocks} * {self.width}, r = unit / {blocks};",
            f"        const int64_t left = {self.columns} - j0, w = left < {self.width} ? left : {self.width};",
            *self._declare(), *self.coordinates(self.outer[:-1]), *self.pointer_lines,
            *first, *between, *second, *finish,
            "    }",
        ]  # fmt: skip
        units = prod(self.outer[:-1]) * blocks
        return Kernel(self.function("\n".join(lines)), self.arguments, self.writes, units, 1, 0, self.failures)

    def _declare(self) -> list[str]:
        """The block's arrays, one element a column, and their first values."""
        names = [f"{m}m" for m in self.maximum.values()]
        lines, start = [f"        int32_t {name}[{self.width}];" for name in names], [f"{n}[i] = 0;" for n in names]
        for member in self.reductions:
            name = self.names[member.root]
            if member.op == "amax":
                lines.append(f"        int32_t {name}k[{self.width}];")
                start.append(f"{name}k[i] = INT32_MIN;")
                continue
            lines.append(f"        int32_t {name}e[{self.width}]; float {name}g[{self.width}];")
            if member.op == "sum":
                lines.append(f"        int64_t {name}s[{self.width}];")
                start.append(f"{name}s[i] = 0;")
        return [*lines, f"        for (int64_t i = 0; i < w; i++) {{ {' '.join(start)} }}"]

    def _walk(self, walk: int) -> list[str]:
        """One pass over all rows of the block."""
        indent = "    " * (3 + len(self.within))
        body: list[str] = []
        self.loaded = {}
        for member in self.group.members:
            operands = [self._operand(a, body, indent) for a in member.inputs]
            if member.form == "vector":
                name = self.names[member.root]
                body.append(f"{indent}const {SCALARS[member.dtype]} {name} = {self.expression(member, operands)};")
            elif walk == 0:
                self._find_maximum(member, operands[0], body, indent)
            else:
                self._accumulate(member, operands[0], body, indent)
        return _nest([*((f"d{d}", "0", str(n)) for d, n in enumerate(self.within)), ("i", "0", "w")], body)

    def _find_maximum(self, member: Member, x: str, body: list[str], indent: str) -> None:
        name = self.names[member.root]
        if x not in self.maximum:
            self.maximum[x] = name
            body.append(f"{indent}const int32_t {name}n = aipow_bits({x}) & 0x7fffffff;")
            body.append(f"{indent}{name}m[i] = {name}m[i] > {name}n ? {name}m[i] : {name}n;")
        self.maximum_of[member.root] = f"{self.maximum[x]}m"
        if member.op == "amax":
            body.append(f"{indent}const int32_t {name}o = aipow_key(aipow_bits({x}));")
            body.append(f"{indent}{name}k[i] = {name}k[i] > {name}o ? {name}k[i] : {name}o;")

    def _accumulate(self, member: Member, x: str, body: list[str], indent: str) -> None:
        name = self.names[member.root]
        if member.op == "sum":
            body.append(f"{indent}{name}s[i] += (int64_t)aipow_grid({x}, {name}g[i]);")
        elif member.op == "quantise":
            out = member.out or self.whole(member.root)
            strides = self.strides(out)
            self._set_column(strides[0][-1])
            target = f"{self.pointer(out, True)}[{self.place(strides[1])}]"
            body.append(f"{indent}{target} = (int16_t)aipow_grid({x}, {name}g[i]);")

    def _set_column(self, stride: int) -> None:
        self.column_term = f"i * {stride}" if stride else "0"

    def _operand(self, access: Access, body: list[str], indent: str) -> str:
        if access.root in self.group.made:
            return self.names[access.root]
        self._set_column(self.strides(access)[0][-1])
        return self.load(access, body, indent)

    def _between(self) -> list[str]:
        """Exponents and scales of the block's columns; a column that is not finite fails and goes on harmlessly."""
        lines: list[str] = []
        for member in self.reductions:
            name, maximum = self.names[member.root], self.maximum_of[member.root]
            if member.op == "amax":
                lines.append("        for (int64_t i = 0; i < w; i++)")
                bad = f"{maximum}[i] > AIPOW_INFINITY || {name}k[i] >= AIPOW_INFINITY"
                lines.append(f"            if ({bad}) {{ {self.fail(member, 'non-finite')} }}")
        for member in self.reductions:
            if member.op == "amax":
                continue
            name, maximum = self.names[member.root], self.maximum_of[member.root]
            bits = SUM_BITS if member.op == "sum" else int(str(member.attrs["bits"]))
            lines += [
                f"        int32_t {name}w = 0;",
                f"        for (int64_t i = 0; i < w; i++) {name}w = {name}w > {maximum}[i] ? {name}w : {maximum}[i];",
                f"        if ({name}w >= AIPOW_INFINITY) {{ {self.fail(member, 'non-finite')}",
                f"            for (int64_t i = 0; i < w; i++) {maximum}[i] = 0; }}",
                "        for (int64_t i = 0; i < w; i++) {",
                f"            {name}e[i] = aipow_exponent({maximum}[i]);",
                f"            {name}g[i] = aipow_scale({bits} - {name}e[i]);",
                "        }",
            ]
        return lines

    def _finish(self) -> list[str]:
        """Writes the row values, or the exponents, of the block."""
        lines = []
        for member in self.reductions:
            name = self.names[member.root]
            target = self.argument(member.extra if member.op == "quantise" else member.root, 0, True)
            value = {
                "sum": f"aipow_rescale({name}s[i], {name}e[i] - {SUM_BITS})",
                "amax": f"aipow_f32((uint32_t)aipow_key({name}k[i]))",
                "quantise": f"{name}e[i]",
            }[member.op]
            lines.append(f"        for (int64_t i = 0; i < w; i++) {target}[r * {self.columns} + j0 + i] = {value};")
        return lines


class _Big(_Writer):
    """One part of a long row: pass 0 finds the part's maximum, pass 1 adds its grid integers."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int], maxima: int, sums: int) -> None:
        super().__init__(group, lowered, stored)
        self.maxima, self.sums = maxima, sums
        size, below = self.within[0], prod(self.within[1:])
        step = max(1, -(-CHUNK // below), -(-size // MAX_BLOCKS))
        self.step, self.blocks = step, -(-size // step)

    def _operand(self, access: Access, body: list[str], indent: str) -> str:
        return self.names[access.root] if access.root in self.group.made else self.load(access, body, indent)

    def kernel(self, walk: int) -> Kernel:
        reduction = self.group.members[-1]
        indent = "    " * (2 + len(self.within))
        body: list[str] = []
        for member in self.group.members[:-1]:
            operands = [self._operand(a, body, indent) for a in member.inputs]
            name = f"const {SCALARS[member.dtype]} {self.names[member.root]}"
            body.append(f"{indent}{name} = {self.expression(member, operands)};")
        x = self._operand(reduction.inputs[0], body, indent)
        maxima = self.argument(self.maxima, 0, walk == 0)
        before, after = self._frame(reduction, walk, maxima, x, body, indent)
        names = [*(f"d{d}" for d in range(len(self.within) - 1)), "i"]
        loops = [(n, "0", str(size)) for n, size in zip(names, self.within, strict=True)]
        loops[0] = (names[0], "low", "high")
        lines = [
            "    for (int64_t unit = begin; unit < end; unit++) {",
            f"        const int64_t r = unit / {self.blocks}, low = unit % {self.blocks} * {self.step};",
            f"        const int64_t left = {self.within[0]} - low;",
            f"        const int64_t high = low + (left < {self.step} ? left : {self.step});",
            *self.coordinates(self.outer),
            *self.pointer_lines,
            *before, *_nest(loops, body), *after,
            "    }",
        ]  # fmt: skip
        units = prod(self.outer) * self.blocks
        return Kernel(self.function("\n".join(lines)), self.arguments, self.writes, units, 1, 0, self.failures)

    def _frame(
        self, reduction: Member, walk: int, maxima: str, x: str, body: list[str], indent: str
    ) -> tuple[list[str], list[str]]:
        if walk == 1:
            sums = self.argument(self.sums, 0, True)
            body.append(f"{indent}s += (int64_t)aipow_grid({x}, vg);")
            return [*self._read_maxima(maxima), "        int64_t s = 0;"], [f"        {sums}[unit] = s;"]
        body.append(f"{indent}const int32_t n = aipow_bits({x}) & 0x7fffffff;")
        body.append(f"{indent}m = m > n ? m : n;")
        if reduction.op == "sum":
            return ["        int32_t m = 0;"], [f"        {maxima}[unit] = m;"]
        body.append(f"{indent}const int32_t o = aipow_key(aipow_bits({x}));")
        body.append(f"{indent}k = k > o ? k : o;")
        after = [
            f"        if (m > AIPOW_INFINITY || k >= AIPOW_INFINITY) {{ {self.fail(reduction, 'non-finite')} }}",
            f"        {maxima}[unit] = k;",
        ]
        return ["        int32_t m = 0, k = INT32_MIN;"], after

    def _read_maxima(self, maxima: str) -> list[str]:
        return [
            f"        int32_t vm = {maxima}[r * {self.blocks}];",
            f"        for (int64_t b = 1; b < {self.blocks}; b++)",
            f"            vm = vm > {maxima}[r * {self.blocks} + b] ? vm : {maxima}[r * {self.blocks} + b];",
            *_set_grid("v", SUM_BITS, self.fail(self.group.members[-1], "non-finite")),
        ]

    def finish(self) -> Kernel:
        """Row values from all parts."""
        reduction = self.group.members[-1]
        maxima, out = self.argument(self.maxima), self.argument(reduction.root, 0, True)
        if reduction.op == "sum":
            sums = self.argument(self.sums)
            lines = [
                *self._read_maxima(maxima),
                "        int64_t s = 0;",
                f"        for (int64_t b = 0; b < {self.blocks}; b++) s += {sums}[r * {self.blocks} + b];",
                f"        {out}[r] = aipow_rescale(s, ve - {SUM_BITS});",
            ]
        else:
            lines = [
                f"        int32_t k = {maxima}[r * {self.blocks}];",
                f"        for (int64_t b = 1; b < {self.blocks}; b++)",
                f"            k = k > {maxima}[r * {self.blocks} + b] ? k : {maxima}[r * {self.blocks} + b];",
                f"        {out}[r] = aipow_f32((uint32_t)aipow_key(k));",
            ]
        text = "\n".join(["    for (int64_t r = begin; r < end; r++) {", *lines, "    }"])
        return Kernel(self.function(text), self.arguments, self.writes, prod(self.outer), CHUNK, 0, self.failures)


def _make_big(group: Group, lowered: Lowered, stored: frozenset[int]) -> list[Kernel]:
    """Passes of a reduction that is split inside its rows; what they hand on becomes two new roots."""
    maxima, sums = max(lowered.roots) + 1, max(lowered.roots) + 2

    def make() -> _Big:
        return _Big(group, lowered, stored, maxima, sums)

    units = prod(make().outer) * make().blocks
    for root, dtype in ((maxima, "i32"), (sums, "i64")):
        lowered.roots[root] = Root(root, dtype, units)
        lowered.owner[root] = group.index
    walks = (0, 1) if group.members[-1].op == "sum" else (0,)
    return [*(make().kernel(walk) for walk in walks), make().finish()]


def _make_add_rows(group: Group, lowered: Lowered) -> Kernel:
    """Index add by blocks of columns: a grid for each column, int64 rows in the thread's scratch."""
    writer = _Writer(group, lowered, frozenset())
    member = group.members[0]
    rows, columns, count = (int(str(member.attrs[n])) for n in ("rows", "columns", "count"))
    width = min(columns, ROW_BLOCK)
    blocks = -(-columns // width)
    values, index = (writer.argument(a.root) for a in member.inputs)
    out = writer.argument(member.root, 0, True)
    text = f"""    for (int64_t unit = begin; unit < end; unit++) {{
        const int64_t j0 = unit * {width}, w = {columns} - j0 < {width} ? {columns} - j0 : {width};
        int64_t *restrict total = (int64_t *)scratch;
        int32_t m[{width}], e[{width}]; float g[{width}];
        memset(total, 0, {rows}ull * {width} * 8);
        for (int64_t j = 0; j < w; j++) m[j] = 0;
        for (int64_t i = 0; i < {count}; i++)
            for (int64_t j = 0; j < w; j++) {{
                const int32_t n = aipow_bits({values}[i * {columns} + j0 + j]) & 0x7fffffff;
                m[j] = m[j] > n ? m[j] : n;
            }}
        for (int64_t j = 0; j < w; j++) {{
            if (m[j] >= AIPOW_INFINITY) {{ m[j] = 0; {writer.fail(member, "non-finite")} }}
            e[j] = aipow_exponent(m[j]); g[j] = aipow_scale({SUM_BITS} - e[j]);
        }}
        for (int64_t i = 0; i < {count}; i++) {{
            int64_t row = {index}[i];
            if ((uint64_t)row >= {rows}u) {{ row = 0; {writer.fail(member, "index")} }}
            for (int64_t j = 0; j < w; j++)
                total[row * {width} + j] += (int64_t)aipow_grid({values}[i * {columns} + j0 + j], g[j]);
        }}
        for (int64_t i = 0; i < {rows}; i++)
            for (int64_t j = 0; j < w; j++)
                {out}[i * {columns} + j0 + j] = aipow_rescale(total[i * {width} + j], e[j] - {SUM_BITS});
    }}"""
    scratch = rows * width * 8
    return Kernel(writer.function(text), writer.arguments, writer.writes, blocks, 1, scratch, writer.failures)


__all__ = ["BYTES", "Argument", "Kernel", "generate"]
