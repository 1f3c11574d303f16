"""Strided views: how a node's elements lie in the buffer of another node.

Movement operations of the committed graph (reshape, expand, transpose, slice, windows) cost nothing when their result
is such a view. A logical axis may need several *factors*, (size, stride) pairs in row-major order: the heads of a
transposed attention output, flattened into one axis, are one. What is no view is copied by a kernel.

Sizes and strides are counted in elements. All functions are pure; None means "not a view, copy".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

Factor = tuple[int, int]
"""(size, stride) with size ≥ 2."""
Axis = tuple[Factor, ...]
"""The factors of a logical axis, outermost first; an axis of size 1 has none."""


@dataclass(frozen=True)
class View:
    """A node's value as elements of another node's buffer."""

    root: int
    """Index of the node whose buffer holds the elements."""
    offset: int
    """First element."""
    axes: tuple[Axis, ...]
    """One entry for each logical axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Logical shape."""
        return tuple(prod(n for n, _ in axis) for axis in self.axes)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All factors in row-major order, neighbours that make one stride merged."""
        return merge([f for axis in self.axes for f in axis])

    def is_identity(self) -> bool:
        """Whether the elements are consecutive in row-major order from the buffer's start."""
        return self.offset == 0 and (not self.factors or len(self.factors) == 1 and self.factors[0][1] == 1)

    def transpose(self, perm: Sequence[int]) -> View:
        """Permute the axes."""
        return View(self.root, self.offset, tuple(self.axes[p] for p in perm))

    def expand(self, shape: Sequence[int]) -> View:
        """Broadcast by NumPy's rule; the new axes have stride 0."""
        lead = len(shape) - len(self.axes)
        axes: list[Axis] = [((n, 0),) if n > 1 else () for n in shape[:lead]]
        for axis, n in zip(self.axes, shape[lead:], strict=True):
            axes.append(axis if axis or n == 1 else ((n, 0),))
        return View(self.root, self.offset, tuple(axes))

    def slice(self, axis: int, start: int, stop: int, step: int) -> View | None:
        """value[start:stop:step] along one axis."""
        factors = merge(self.axes[axis])
        count = len(range(start, stop, step))
        if not factors:
            return self
        inner = prod(n for n, _ in factors[1:])
        if len(factors) > 1 and (step != 1 or start % inner or stop % inner):
            return None
        if len(factors) > 1:
            start, count = start // inner, (stop - start) // inner
        size, stride = factors[0]
        kept: Axis = ((count, stride * step),) if count > 1 else ()
        axes = (*self.axes[:axis], kept + factors[1:], *self.axes[axis + 1 :])
        return View(self.root, self.offset + start * stride, axes)

    def reshape(self, shape: Sequence[int]) -> View | None:
        """Row-major reinterpretation."""
        waiting = list(self.factors)
        axes: list[Axis] = []
        for n in reversed(shape):
            taken: list[Factor] = []
            while n > 1:
                size, stride = waiting.pop()
                if n % size == 0:
                    taken.insert(0, (size, stride))
                    n //= size
                elif size % n == 0:
                    taken.insert(0, (n, stride))
                    waiting.append((size // n, stride * n))
                    n = 1
                else:
                    return None
            axes.insert(0, tuple(taken))
        return View(self.root, self.offset, tuple(axes))

    def windows(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> View | None:
        """Sliding windows over the last two axes."""
        places: list[Axis] = []
        offsets: list[Axis] = []
        for axis, k, s, d in zip(self.axes[-2:], kernel, stride, dilation, strict=True):
            factors = merge(axis)
            if len(factors) > 1:
                return None
            size, step = factors[0] if factors else (1, 0)
            count = (size - d * (k - 1) - 1) // s + 1
            places.append(((count, step * s),) if count > 1 else ())
            offsets.append(((k, step * d),) if k > 1 else ())
        return View(self.root, self.offset, (*self.axes[:-2], *places, *offsets))


def make_identity(root: int, shape: Sequence[int]) -> View:
    """The view of a whole buffer in row-major order."""
    axes: list[Axis] = []
    stride = 1
    for n in reversed(shape):
        axes.insert(0, ((n, stride),) if n > 1 else ())
        stride *= n
    return View(root, 0, tuple(axes))


def merge(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Join neighbours that one stride describes."""
    merged: list[Factor] = []
    for size, stride in factors:
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return tuple(merged)


def compute_points(factors: Sequence[Factor]) -> frozenset[int]:
    """The places at which a factorisation cuts a row-major index: products of its last 0, 1, … sizes."""
    points, product = {1}, 1
    for size, _ in reversed(factors):
        product *= size
        points.add(product)
    return frozenset(points)


def is_chain(points: frozenset[int]) -> bool:
    """Whether each point divides the next, so that the index splits into digits at all of them."""
    ordered = sorted(points)
    return all(b % a == 0 for a, b in zip(ordered, ordered[1:], strict=False))


def compute_strides(factors: Sequence[Factor], points: Sequence[int]) -> tuple[int, ...]:
    """Strides of a view's factors for the digits between rising ``points``, outermost digit first.

    ``points`` hold all points of the factorisation and form a chain.
    """
    strides: list[int] = []
    waiting = list(factors)
    size, stride = waiting.pop() if waiting else (1, 0)
    for low, high in zip(points, points[1:], strict=False):
        digit = high // low
        if size == 1 and waiting:
            size, stride = waiting.pop()
        strides.insert(0, stride if size > 1 else 0)
        size, stride = size // digit if size > 1 else 1, stride * digit
    return tuple(strides)
