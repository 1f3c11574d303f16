"""Kernels of reductions over rows that are so long or so few that each is split among threads."""

from __future__ import annotations

from math import prod

from miner.kernels.lowering import Access, Group, Lowered, Member, Root
from miner.kernels.native.writer import CHUNK, SCALARS, SUM_BITS, Kernel, Writer, nest, set_grid

MAX_PARTS = 64
"""Most parts of one row in a big reduction: each part of the second pass reads the maxima of all."""


class LongRowKernel(Writer):
    """One part of a long row: pass 0 finds the part's maximum, pass 1 adds its grid integers."""

    def __init__(self, group: Group, lowered: Lowered, stored: frozenset[int], maxima: int, sums: int) -> None:
        super().__init__(group, lowered, stored)
        self.maxima, self.sums = maxima, sums
        size, below = self.within[0], prod(self.within[1:])
        step = max(1, -(-CHUNK // below), -(-size // MAX_PARTS))
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
            *before, *nest(loops, body), *after,
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
            *set_grid("v", SUM_BITS, self.fail(self.group.members[-1], "non-finite")),
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


def make_long_row_kernels(group: Group, lowered: Lowered, stored: frozenset[int]) -> list[Kernel]:
    """Passes of a reduction that is split inside its rows; what they hand on becomes two new roots."""
    maxima, sums = max(lowered.roots) + 1, max(lowered.roots) + 2

    def make() -> LongRowKernel:
        return LongRowKernel(group, lowered, stored, maxima, sums)

    units = prod(make().outer) * make().blocks
    for root, dtype in ((maxima, "i32"), (sums, "i64")):
        lowered.roots[root] = Root(root, dtype, units)
        lowered.owner[root] = group.index
    walks = (0, 1) if group.members[-1].op == "sum" else (0,)
    return [*(make().kernel(walk) for walk in walks), make().finish()]
