"""The part of a training step after the gradients: mean, norm, clipping, schedule, optimiser, new state."""

from __future__ import annotations

from math import prod

from consensus.exact.sums import MAX_TERMS
from consensus.graph.ops import NUMPY_DTYPES

from miner.trace import names
from miner.trace.emit import Emitter, Operand, Value
from miner.trace.errors import UntraceableModel
from miner.trace.optimisers import Optimiser
from miner.trace.recipe import Recipe

CLIP_EPS = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to the norm before it divides."""

Values = dict[str, Value]


def emit_update(e: Emitter, recipe: Recipe, parameters: Values, gradients: Values) -> None:
    """Emit the outputs ``grad_norm`` and all new state of trained parameters (by PyTorch's names) and of the recipe."""
    _Update(e, recipe, parameters).run(gradients)


class _Update:
    def __init__(self, e: Emitter, recipe: Recipe, parameters: Values) -> None:
        self.e, self.recipe, self.parameters = e, recipe, parameters
        first = recipe.make_state({n: e.shape(p) for n, p in parameters.items()})
        dtypes = {dtype: name for name, dtype in NUMPY_DTYPES.items()}
        self.old: Values = {}
        for name, array in first.items():
            if name.startswith((names.PARAMETER_PREFIX, names.BUFFER_PREFIX)):
                raise UntraceableModel(f"the optimiser's state {name} has a parameter's prefix")
            self.old[name] = Value(e.builder.input("state", name, dtypes[array.dtype], array.shape))
        self.last: Value | None = None
        """Whether this step makes an update; None where each does."""

    def run(self, gradients: Values) -> None:
        """Emit everything."""
        new: Values = {}
        gradients = self._accumulate(gradients, new)
        norm = self._norm(list(gradients.values()))
        self.e.builder.output("grad_norm", "grad_norm", norm.id)
        clipped = self._clip(gradients, norm)
        factor = self._advance_schedule(new)
        scalars = self._advance_scalars(new)
        for name, parameter in self.parameters.items():
            optimiser = self.recipe.get_optimiser(name)
            slots = {s: self.old[f"{s}/{name}"] for s in optimiser.slots()}
            rate = self._rate(optimiser, factor)
            updated, moved = optimiser.update(self.e, parameter, clipped[name], slots, scalars[optimiser], rate)
            new[names.PARAMETER_PREFIX + name] = self._when_last(updated, parameter)
            new |= {f"{s}/{name}": self._when_last(moved[s], slots[s]) for s in slots}
        for name, value in new.items():
            self.e.builder.output("state", name, value.id)

    def _when_last(self, updated: Value, old: Value) -> Value:
        return updated if self.last is None else self.e.where(self.last, updated, old)

    def _accumulate(self, gradients: Values, new: Values) -> Values:
        """Mean gradients so far; sums and counter go on."""
        e, count = self.e, self.recipe.accumulate
        if count == 1:
            return gradients
        step = self.old[names.ACCUMULATION_STEP]
        self.last = e.op("eq", step, count - 1)
        new[names.ACCUMULATION_STEP] = e.where(self.last, 0, e.add(step, 1))
        means: Values = {}
        for name, gradient in gradients.items():
            total = e.add(self.old[names.ACCUMULATED_PREFIX + name], gradient)
            new[names.ACCUMULATED_PREFIX + name] = e.where(self.last, 0.0, total)
            means[name] = e.div(total, float(count))
        return means

    def _norm(self, gradients: list[Value]) -> Value:
        """√ of the exact sum, over parameters, of each one's exact sum of squares; long ones are summed by rows."""
        e, squares = self.e, []
        for gradient in gradients:
            square = e.mul(gradient, gradient)
            if prod(e.shape(square)) > MAX_TERMS:
                square = e.sum(square, [len(e.shape(square)) - 1])
            squares.append(e.reshape(e.sum(square), (1,)))
        return e.unary("sqrt", e.sum(e.concat(squares, 0), None, False))

    def _clip(self, gradients: Values, norm: Value) -> Values:
        if self.recipe.clip_norm is None:
            return gradients
        e = self.e
        ratio = e.div(self.recipe.clip_norm, e.add(norm, CLIP_EPS))
        factor = e.where(e.op("gt", ratio, 1.0), 1.0, ratio)
        return {name: e.mul(gradient, factor) for name, gradient in gradients.items()}

    def _advance_schedule(self, new: Values) -> Value | None:
        """The factor of this update, or None."""
        e, count = self.e, len(self.recipe.schedule)
        if not count:
            return None
        factors, step = self.old[names.SCHEDULE_FACTORS], self.old[names.SCHEDULE_STEP]
        new[names.SCHEDULE_FACTORS] = factors
        new[names.SCHEDULE_STEP] = self._when_last(e.add(step, 1), step)
        place = e.where(e.op("lt", step, count), step, count - 1)
        return e.take_rows(factors, place)

    def _rate(self, optimiser: Optimiser, factor: Value | None) -> Operand:
        return optimiser.learning_rate if factor is None else self.e.mul(factor, optimiser.learning_rate)

    def _advance_scalars(self, new: Values) -> dict[Optimiser, Values]:
        """New scalars of each optimiser in use."""
        found: dict[Optimiser, Values] = {}
        for optimiser in dict.fromkeys(self.recipe.get_optimiser(n) for n in self.parameters):
            prefix = self.recipe.get_scalar_prefix(optimiser)
            old = {name: self.old[prefix + name] for name in optimiser.scalars()}
            found[optimiser] = optimiser.advance(self.e, old)
            new |= {prefix + n: self._when_last(v, old[n]) for n, v in found[optimiser].items()}
        return found
