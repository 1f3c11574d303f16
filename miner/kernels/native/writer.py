"""What all generated kernels share: types, arguments, loads, expressions, loops.

Generated text holds only integers that were computed here and names made from them; nothing textual of a graph enters
it. A function's arguments are addresses: ``a[0]`` an int32 that a member which meets a NaN, an infinity or a bad index
sets to its number in `Kernel.failures` (plus one), ``a[i + 1]`` what `Kernel.arguments[i]` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from miner.kernels.lowering import Access, Group, Lowered, Member
from miner.kernels.lowering.views import compute_strides

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
CHUNK = 8192
"""Least elements of one unit where a long loop or reduction is split."""


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


class Writer:
    """What all kinds of kernels share: digits, arguments, loads, expressions."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int]) -> None:
        self.group, self.lowered, self.stored = group, lowered, stored
        self.inner = group.inner or 1
        self.arguments: list[Argument] = []
        self.declared: list[str] = []
        self.writes: list[int] = []
        self.failures: list[tuple[int, str]] = []
        self.names = {m.root: f"v{i}" for i, m in enumerate(group.members)}
        accesses = [a for m in group.members for a in m.inputs if a.root not in group.made and m.op != "uniform"] + [
            m.out for m in group.members if m.out is not None
        ]
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
        """An element of a table: row ``index`` of it, else a failure and row 0; ``lines`` get the check."""
        rows, stride = member.attrs["rows"], member.attrs["stride"]
        name = f"n{self.names[member.root]}"
        lines.append(f"{indent}int64_t {name} = {index};")
        lines.append(f"{indent}if ((uint64_t){name} >= {rows}u) {{ {name} = 0; {self.fail(member, 'index')} }}")
        lines.append(f"{indent}AIPOW_OPAQUE({name});")
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


def nest(loops: Sequence[tuple[str, str, str]], body: Sequence[str]) -> list[str]:
    """Loops (variable, low, high) around statements; no element of the innermost one depends on another."""
    lines = ["        {"]
    for depth, (name, low, high) in enumerate(loops):
        if depth == len(loops) - 1:
            lines.append("AIPOW_INDEPENDENT")
        lines.append("    " * (2 + depth) + f"for (int64_t {name} = {low}; {name} < {high}; {name}++) {{")
    lines += body
    lines += ["    " * (2 + depth) + "}" for depth in reversed(range(len(loops)))]
    return [*lines, "        }"]


def check_maximum(name: str, failure: str) -> list[str]:
    """A maximum that is a NaN or +inf fails."""
    return [f"        if ({name}m > AIPOW_INFINITY || {name}k >= AIPOW_INFINITY) {{ {failure} }}"]


def set_grid(name: str, bits: int, failure: str) -> list[str]:
    """Exponent and scale of a maximum; a set that is not finite fails and goes on harmlessly."""
    return [
        f"        if ({name}m >= AIPOW_INFINITY) {{ {name}m = 0; {failure} }}",
        f"        const int32_t {name}e = aipow_exponent({name}m);",
        f"        const float {name}g = aipow_scale({bits} - {name}e); (void){name}g;",
    ]
