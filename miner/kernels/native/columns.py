"""Kernels that reduce columns: sums, maxima and grids of many columns side by side, and the index add.

A unit of work is a block of adjacent columns. Each of two passes computes the operands anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from miner.kernels.lowering import Access, Group, Lowered, Member
from miner.kernels.native.writer import SCALARS, SUM_BITS, Kernel, Writer, nest

COLUMN_BLOCK = 128
"""Columns of one unit of a column kernel: two passes over them should hit the cache."""
ROW_BLOCK = 32
"""Columns of one unit of an index add."""


class ColumnKernel(Writer):
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
        return nest([*((f"d{d}", "0", str(n)) for d, n in enumerate(self.within)), ("i", "0", "w")], body)

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


def make_add_rows_kernel(group: Group, lowered: Lowered) -> Kernel:
    """Index add by blocks of columns: a grid for each column, int64 rows in the thread's scratch."""
    writer = Writer(group, lowered, frozenset())
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
