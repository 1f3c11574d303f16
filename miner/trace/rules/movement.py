"""Rules of operators that move, make or pick elements."""

from __future__ import annotations

from math import prod
from typing import Any

from miner.trace.emit import Emitter, Operand, Value
from miner.trace.rules.registry import Blank, our_dtype, require, rule


@rule("view.default", "_unsafe_view.default", "reshape.default", "view_copy.default")
def _view(e: Emitter, a: Value, shape: list[int]) -> Value:
    return e.reshape(a, shape)


@rule("expand.default")
def _expand(e: Emitter, a: Value, shape: list[int], implicit: bool = False) -> Value:
    return e.expand(a, shape)


@rule("repeat.default")
def _repeat(e: Emitter, a: Value, times: list[int]) -> Value:
    own = (1,) * (len(times) - len(e.shape(a))) + e.shape(a)
    pairs = [n for size in own for n in (1, size)]
    wide = [n for count, size in zip(times, own, strict=True) for n in (count, size)]
    return e.reshape(e.expand(e.reshape(a, pairs), wide), [c * n for c, n in zip(times, own, strict=True)])


@rule("t.default")
def _t(e: Emitter, a: Value) -> Value:
    return e.swap(a, 0, 1) if len(e.shape(a)) == 2 else a


@rule("transpose.int")
def _transpose(e: Emitter, a: Value, x: int, y: int) -> Value:
    return e.swap(a, x, y)


@rule("permute.default")
def _permute(e: Emitter, a: Value, dims: list[int]) -> Value:
    return e.permute(a, dims)


@rule(
    "alias.default", "clone.default", "detach.default", "contiguous.default", "lift_fresh_copy.default",
    "lift_fresh.default", "lift.default",
)  # fmt: skip
def _same(e: Emitter, a: Value, **options: Any) -> Value:
    return a


@rule("copy.default")
def _copy(e: Emitter, target: Value, source: Value, blocking: bool = False) -> Value:
    return e.expand(e.cast(source, e.dtype(target)), e.shape(target))


@rule("fill.Scalar", "fill.Tensor")
def _fill(e: Emitter, a: Value, value: Operand) -> Value:
    return e.full(e.shape(a), value, e.dtype(a))


@rule("unsqueeze.default")
def _unsqueeze(e: Emitter, a: Value, dim: int) -> Value:
    shape = list(e.shape(a))
    shape.insert(dim % (len(shape) + 1), 1)
    return e.reshape(a, shape)


@rule("squeeze.dim", "squeeze.dims", "squeeze.default")
def _squeeze(e: Emitter, a: Value, dims: int | list[int] | None = None) -> Value:
    shape = e.shape(a)
    given = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    chosen = {x % len(shape) for x in given} if shape else set()
    return e.reshape(a, [n for i, n in enumerate(shape) if not (i in chosen and n == 1)])


def _bounds(size: int, start: int | None, end: int | None, step: int = 1) -> tuple[int, int]:
    first, last, _ = slice(start, end, step).indices(size)
    require(first < last, f"takes nothing ({start}:{end} of {size})")
    return first, last


@rule("slice.Tensor")
def _slice(
    e: Emitter, a: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    axis = dim % len(e.shape(a))
    first, last = _bounds(e.shape(a)[axis], start, end, step)
    return e.slice(a, axis, first, last, step)


def _spread(e: Emitter, a: Value, size: int, axis: int, first: int, step: int) -> Value:
    """Zeros but for elements first, first + step, … of an axis."""
    rank = len(e.shape(a))
    low, high, interior = [0] * rank, [0] * rank, [0] * rank
    low[axis], interior[axis] = first, step - 1
    high[axis] = size - first - (e.shape(a)[axis] - 1) * step - 1
    return e.pad(a, low, high, interior)


@rule("slice_backward.default")
def _slice_backward(e: Emitter, grad: Value, shape: list[int], dim: int, start: int, end: int, step: int) -> Value:
    axis = dim % len(shape)
    first, _ = _bounds(shape[axis], start, end, step)
    return _spread(e, grad, shape[axis], axis, first, step)


@rule("select.int")
def _select(e: Emitter, a: Value, dim: int, index: int) -> Value:
    shape = e.shape(a)
    axis = dim % len(shape)
    place = index % shape[axis]
    return e.reshape(e.slice(a, axis, place, place + 1), [n for i, n in enumerate(shape) if i != axis])


@rule("select_backward.default")
def _select_backward(e: Emitter, grad: Value, shape: list[int], dim: int, index: int) -> Value:
    axis = dim % len(shape)
    kept = e.reshape(grad, [1 if i == axis else n for i, n in enumerate(shape)])
    return _spread(e, kept, shape[axis], axis, index % shape[axis], 1)


def _replace(e: Emitter, a: Value, part: Value, axis: int, first: int, last: int) -> Value:
    """``a`` with ``part`` in place of its elements first … last − 1 of an axis."""
    size, parts = e.shape(a)[axis], [part]
    if first:
        parts.insert(0, e.slice(a, axis, 0, first))
    if last < size:
        parts.append(e.slice(a, axis, last, size))
    return e.concat(parts, axis)


@rule("slice_scatter.default")
def _slice_scatter(
    e: Emitter, a: Value, part: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    axis = dim % len(e.shape(a))
    first, last = _bounds(e.shape(a)[axis], start, end, step)
    if step == 1:
        return _replace(e, a, part, axis, first, last)
    size, ones = e.shape(a)[axis], e.full(e.shape(part), 1.0)
    require(e.dtype(a) == "f32", "writes every other element of f32 tensors only")
    hit = e.op("gt", _spread(e, ones, size, axis, first, step), 0.0)
    return e.where(hit, _spread(e, part, size, axis, first, step), a)


@rule("select_scatter.default")
def _select_scatter(e: Emitter, a: Value, part: Value, dim: int, index: int) -> Value:
    shape = e.shape(a)
    axis = dim % len(shape)
    place = index % shape[axis]
    kept = e.reshape(part, [1 if i == axis else n for i, n in enumerate(shape)])
    return _replace(e, a, kept, axis, place, place + 1)


@rule("split.Tensor")
def _split(e: Emitter, a: Value, size: int, dim: int = 0) -> tuple[Value, ...]:
    axis = dim % len(e.shape(a))
    total = e.shape(a)[axis]
    return tuple(e.slice(a, axis, i, min(i + size, total)) for i in range(0, total, size))


@rule("split_with_sizes.default")
def _split_sizes(e: Emitter, a: Value, sizes: list[int], dim: int = 0) -> tuple[Value, ...]:
    axis = dim % len(e.shape(a))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(e.slice(a, axis, s, s + n) for s, n in zip(starts, sizes, strict=True))


@rule("unbind.int")
def _unbind(e: Emitter, a: Value, dim: int = 0) -> tuple[Value, ...]:
    return tuple(_select(e, a, dim, i) for i in range(e.shape(a)[dim]))


@rule("cat.default")
def _cat(e: Emitter, values: list[Value | Blank], dim: int = 0) -> Value:
    """Tensors without elements are left out, as PyTorch does."""
    full = [v for v in values if isinstance(v, Value)]
    require(bool(full), "joins nothing")
    return e.concat(list(e.promote(*full)), dim % len(e.shape(full[0])))


@rule("stack.default")
def _stack(e: Emitter, values: list[Value], dim: int = 0) -> Value:
    return e.concat([_unsqueeze(e, v, dim) for v in e.promote(*values)], dim % (len(e.shape(values[0])) + 1))


@rule("flip.default")
def _flip(e: Emitter, a: Value, dims: list[int]) -> Value:
    for dim in dims:
        a = _index_select(e, a, dim, e.sub(e.shape(a)[dim] - 1, e.iota(e.shape(a)[dim])))
    return a


@rule("roll.default")
def _roll(e: Emitter, a: Value, shifts: list[int], dims: list[int] | None = None) -> Value:
    require(bool(dims), "needs the axes named")
    for shift, dim in zip(shifts, dims or (), strict=True):
        axis, size = dim % len(e.shape(a)), e.shape(a)[dim]
        border = -shift % size
        if border:
            a = e.concat([e.slice(a, axis, border, size), e.slice(a, axis, 0, border)], axis)
    return a


@rule("constant_pad_nd.default")
def _constant_pad(e: Emitter, a: Value, amounts: list[int], value: float = 0) -> Value:
    rank = len(e.shape(a))
    low, high = [0] * rank, [0] * rank
    for i in range(len(amounts) // 2):
        low[-1 - i], high[-1 - i] = amounts[2 * i], amounts[2 * i + 1]
    return e.pad(a, low, high, [0] * rank, value)


@rule("arange.default")
def _arange(e: Emitter, end: float, **options: Any) -> Value:
    return _arange_step(e, 0, end, 1, **options)


@rule("arange.start")
def _arange_start(e: Emitter, start: float, end: float, **options: Any) -> Value:
    return _arange_step(e, start, end, 1, **options)


@rule("arange.start_step")
def _arange_step(e: Emitter, start: float, end: float, step: float = 1, dtype: Any = None, **options: Any) -> Value:
    whole = all(isinstance(n, int) for n in (start, end, step))
    count = int(-((end - start) // -step))
    require(count > 0, "makes an empty tensor")
    target = our_dtype(dtype, "i64" if whole else "f32")
    numbers = e.iota(count) if whole else e.cast(e.iota(count), "f32")
    return e.cast(e.add(e.mul(numbers, step), start), target)


@rule("ones_like.default")
def _ones_like(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), 1, our_dtype(dtype, e.dtype(a)))


@rule("zeros_like.default", "empty_like.default")
def _zeros_like(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), 0, our_dtype(dtype, e.dtype(a)))


@rule("full_like.default")
def _full_like(e: Emitter, a: Value, value: Operand, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), value, our_dtype(dtype, e.dtype(a)))


@rule("zeros.default", "empty.memory_format", "empty_strided.default")
def _zeros(e: Emitter, shape: list[int], *strides: Any, dtype: Any = None, **options: Any) -> Value | Blank:
    return e.full(shape, 0, our_dtype(dtype, "f32")) if prod(shape) else Blank(tuple(shape), "f32")


@rule("new_zeros.default", "new_empty.default", "new_empty_strided.default")
def _new_zeros(e: Emitter, a: Value, shape: list[int], *strides: Any, dtype: Any = None, **options: Any) -> Value:
    return e.full(shape, 0, our_dtype(dtype, e.dtype(a)))


@rule("ones.default")
def _ones(e: Emitter, shape: list[int], dtype: Any = None, **options: Any) -> Value:
    return e.full(shape, 1, our_dtype(dtype, "f32"))


@rule("new_ones.default")
def _new_ones(e: Emitter, a: Value, shape: list[int], dtype: Any = None, **options: Any) -> Value:
    return e.full(shape, 1, our_dtype(dtype, e.dtype(a)))


@rule("full.default")
def _full(e: Emitter, shape: list[int], value: Operand, dtype: Any = None, **options: Any) -> Value:
    kind = "bool" if isinstance(value, bool) else "i64" if isinstance(value, int) else "f32"
    return e.full(shape, value, our_dtype(dtype, kind))


@rule("new_full.default")
def _new_full(e: Emitter, a: Value, shape: list[int], value: Operand, dtype: Any = None, **options: Any) -> Value:
    return e.full(shape, value, our_dtype(dtype, e.dtype(a)))


@rule("scalar_tensor.default")
def _scalar_tensor(e: Emitter, value: Operand, dtype: Any = None, **options: Any) -> Value:
    return e.constant(value, our_dtype(dtype, "f32"))


@rule("_to_copy.default")
def _to_copy(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    target = our_dtype(dtype, e.dtype(a))
    if target == "bool" and e.dtype(a) == "i64":
        return e.op("ne", a, 0)
    require((e.dtype(a), target) not in {("f32", "i64"), ("f32", "bool")}, f"has no cast from f32 to {target}")
    return e.cast(a, target)


@rule("triu.default")
def _triu(e: Emitter, a: Value, diagonal: int = 0) -> Value:
    return e.where(_column_minus_row(e, a, "ge", diagonal), a, e.constant(0, e.dtype(a)))


@rule("tril.default")
def _tril(e: Emitter, a: Value, diagonal: int = 0) -> Value:
    return e.where(_column_minus_row(e, a, "le", diagonal), a, e.constant(0, e.dtype(a)))


def _column_minus_row(e: Emitter, a: Value, op: str, diagonal: int) -> Value:
    rows, columns = e.shape(a)[-2:]
    distance = e.sub(e.reshape(e.iota(columns), (1, columns)), e.reshape(e.iota(rows), (rows, 1)))
    return e.op(op, distance, diagonal)


@rule("embedding.default")
def _embedding(e: Emitter, table: Value, index: Value, *options: Any) -> Value:
    return e.take_rows(table, index)


@rule("embedding_dense_backward.default")
def _embedding_backward(e: Emitter, grad: Value, index: Value, rows: int, padding: int, scale: bool) -> Value:
    require(not scale, "takes no frequency scaling")
    count, columns = prod(e.shape(index)), e.shape(grad)[-1]
    flat, places = e.reshape(grad, (count, columns)), e.reshape(index, (count,))
    if padding >= 0:
        flat = e.where(e.reshape(e.op("eq", places, padding), (count, 1)), 0.0, flat)
    return e.add_rows(flat, places, rows)


@rule("index_select.default")
def _index_select(e: Emitter, a: Value, dim: int, index: Value) -> Value:
    axis = dim % len(e.shape(a))
    return e.swap(e.take_rows(e.swap(a, 0, axis), index), 0, axis)


@rule("index.Tensor")
def _index(e: Emitter, a: Value, indices: list[Value | None]) -> Value:
    """One index tensor, on any axis."""
    axis, index = _only_index(e, indices)
    rank, extra = len(e.shape(a)), len(e.shape(index))
    taken = e.take_rows(e.permute(a, [axis, *(i for i in range(rank) if i != axis)]), _wrap_negative(e, a, axis, index))
    before, after = list(range(extra, extra + axis)), list(range(extra + axis, extra + rank - 1))
    return e.permute(taken, [*before, *range(extra), *after])


def _only_index(e: Emitter, indices: list[Value | None]) -> tuple[int, Value]:
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    require(len(given) == 1, "takes one index tensor")
    axis, index = given[0]
    require(e.dtype(index) == "i64", "takes an integer index, not a mask: what it gives has no static shape")
    return axis, index


def _wrap_negative(e: Emitter, a: Value, axis: int, index: Value) -> Value:
    return e.where(e.op("lt", index, 0), e.add(index, e.shape(a)[axis]), index)


@rule("index_put.default", "_unsafe_index_put.default", "_index_put_impl.default")
def _index_put(e: Emitter, a: Value, indices: list[Value | None], values: Value, accumulate: bool = False) -> Value:
    """The gradient of `index.Tensor`: slices along its axis are added where they came from."""
    axis, index = _only_index(e, indices)
    require(accumulate and e.dtype(a) == "f32", "adds slices only")
    shape, extra = e.shape(a), len(e.shape(index))
    rows, rest, count = shape[axis], (*shape[:axis], *shape[axis + 1 :]), prod(e.shape(index))
    places = e.reshape(_wrap_negative(e, a, axis, index), (count,))
    spread = e.expand(values, (*shape[:axis], *e.shape(index), *shape[axis + 1 :]))
    order = [*range(axis, axis + extra), *range(axis), *range(axis + extra, extra + len(rest))]
    flat = e.reshape(e.permute(spread, order), (count, prod(rest)))
    added = e.reshape(e.add_rows(flat, places, rows), (rows, *rest))
    return e.add(a, e.permute(added, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]))


@rule("gather.default")
def _gather(e: Emitter, a: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    axis = dim % len(e.shape(a))
    same = all(n == m for i, (n, m) in enumerate(zip(e.shape(a), e.shape(index), strict=True)) if i != axis)
    require(same, "needs an index of the same shape but for its axis")
    last = len(e.shape(a)) - 1
    return e.swap(e.pick(e.swap(a, axis, last), e.swap(index, axis, last)), axis, last)


@rule("scatter_add.default")
def _scatter_add(e: Emitter, a: Value, dim: int, index: Value, source: Value) -> Value:
    """The gradient of `gather` of one element a row."""
    axis = dim % len(e.shape(a))
    require(e.shape(index)[axis] == 1 and e.shape(index) == e.shape(source), "adds one element a row only")
    shape = [1] * len(e.shape(a))
    shape[axis] = e.shape(a)[axis]
    hit = e.op("eq", index, e.reshape(e.iota(shape[axis]), shape))
    return e.add(a, e.where(hit, source, 0.0))
