"""Kernels of loop groups: rows with all their stages, flat loops, epilogues of products.

Rows ``begin … end`` are walked one by one. A reduction needs a finished pass over its row, so that a row is walked once
a *stage*; vectors that a later stage needs wait in the thread's scratch. A flat loop has no rows. An epilogue gets one
row and a range of its columns.
"""

from __future__ import annotations

from math import prod

from miner.kernels.lowering import Access, Group, Lowered, Member
from miner.kernels.native.writer import (
    BYTES,
    C_TYPES,
    CHUNK,
    SCALARS,
    SUM_BITS,
    Kernel,
    Writer,
    check_maximum,
    nest,
    set_grid,
)


class RowKernel(Writer):
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
        self.row_lines: list[str] = []
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
        self.loaded, self.row_lines = {}, []
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
        return [*state, *self.row_lines, *nest([*loops, ("i", low, high)], body)]

    def _vector(self, member: Member, body: list[str], indent: str) -> None:
        if member.op == "uniform":
            outer = "" if self.is_flat or not self.outer else f"r * {self.inner} + "
            value = self.random(member, f"{outer}{self.place(self.weights)}")
        elif member.op == "take":
            value = self._take(member, body, indent)
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

    def _take(self, member: Member, body: list[str], indent: str) -> str:
        """An element of a table; an index that is the same for a whole row is checked once a row."""
        index = member.inputs[1]
        made = self.group.made.get(index.root)
        once = made.form != "vector" if made is not None else not self.is_flat and not any(self.strides(index)[1])
        if once:
            return self.taken(member, self.row_operand(index), self.row_lines, "        ")
        return self.taken(member, self.operand(index, body, indent), body, indent)

    def _finish_checks(self) -> list[str]:
        """Fails when an output's elements were not all finite."""
        return [f"    if ({self.names[m.root]}m >= AIPOW_INFINITY) {self.fail(m, 'non-finite')}" for m in self.checks]

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
                lines += check_maximum(name, self.fail(member, "non-finite"))
                lines += self._define_row(member, f"aipow_f32((uint32_t)aipow_key({name}k))")
            elif member.op in ("sum", "quantise") and stage == first:
                bits = SUM_BITS if member.op == "sum" else int(str(member.attrs["bits"]))
                lines += set_grid(name, bits, self.fail(member, "non-finite"))
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
