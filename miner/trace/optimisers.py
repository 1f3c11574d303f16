"""Optimisers as exact nodes. Their numbers are constants of the graph, rounded to f32; moments and powers are state.

The learning rate of an update is an operand: a number, or the node of a schedule's rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from miner.trace.decompositions import sign
from miner.trace.emit import Emitter, Operand, Value

Slots = dict[str, Value]


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD` (dampening 0)."""

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def slots(self) -> dict[str, float]:
        """Per-parameter state with its first value."""
        return {"momentum": 0.0} if self.momentum else {}

    def scalars(self) -> dict[str, float]:
        """Scalar state with its first value."""
        return {}

    def advance(self, e: Emitter, scalars: Slots) -> Slots:
        """New scalar state."""
        return {}

    def update(
        self, e: Emitter, p: Value, g: Value, slots: Slots, scalars: Slots, rate: Operand
    ) -> tuple[Value, Slots]:
        """New parameter and slots; ``scalars`` are the new ones."""
        if self.weight_decay:
            g = e.add(g, e.mul(p, self.weight_decay))
        new = {}
        if self.momentum:
            velocity = e.add(e.mul(slots["momentum"], self.momentum), g)
            g = e.add(g, e.mul(velocity, self.momentum)) if self.nesterov else velocity
            new = {"momentum": velocity}
        return e.sub(p, e.mul(g, rate)), new


@dataclass(frozen=True)
class AdamW:
    """AdamW (Loshchilov and Hutter, 2019), as `torch.optim.AdamW`.

    β₁^t and β₂^t are state scalars multiplied once a step: a ``powf`` in the bias correction differs between libraries.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def slots(self) -> dict[str, float]:
        """Per-parameter state with its first value."""
        return {"moment1": 0.0, "moment2": 0.0}

    def scalars(self) -> dict[str, float]:
        """Scalar state with its first value."""
        return {"beta1_power": 1.0, "beta2_power": 1.0}

    def advance(self, e: Emitter, scalars: Slots) -> Slots:
        """New scalar state: the powers of this step."""
        return {
            "beta1_power": e.mul(scalars["beta1_power"], self.beta1),
            "beta2_power": e.mul(scalars["beta2_power"], self.beta2),
        }

    def update(
        self, e: Emitter, p: Value, g: Value, slots: Slots, scalars: Slots, rate: Operand
    ) -> tuple[Value, Slots]:
        """New parameter and slots; ``scalars`` are the new ones."""
        m = e.add(e.mul(slots["moment1"], self.beta1), e.mul(g, 1.0 - self.beta1))
        v = e.add(e.mul(slots["moment2"], self.beta2), e.mul(e.mul(g, g), 1.0 - self.beta2))
        step = e.div(rate, e.sub(1.0, scalars["beta1_power"]))
        correction = e.div(1.0, e.unary("sqrt", e.sub(1.0, scalars["beta2_power"])))
        root = e.add(e.mul(e.unary("sqrt", v), correction), self.eps)
        decayed = _decay(e, p, rate, self.weight_decay)
        return e.sub(decayed, e.mul(e.div(m, root), step)), {"moment1": m, "moment2": v}


@dataclass(frozen=True)
class Lion:
    """Lion (Chen et al., 2023): the sign of an average of momentum and gradient, with decoupled weight decay."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    def slots(self) -> dict[str, float]:
        """Per-parameter state with its first value."""
        return {"momentum": 0.0}

    def scalars(self) -> dict[str, float]:
        """Scalar state with its first value."""
        return {}

    def advance(self, e: Emitter, scalars: Slots) -> Slots:
        """New scalar state."""
        return {}

    def update(
        self, e: Emitter, p: Value, g: Value, slots: Slots, scalars: Slots, rate: Operand
    ) -> tuple[Value, Slots]:
        """New parameter and slots."""
        old = slots["momentum"]
        mixed = e.add(e.mul(old, self.beta1), e.mul(g, 1.0 - self.beta1))
        momentum = e.add(e.mul(old, self.beta2), e.mul(g, 1.0 - self.beta2))
        return e.sub(_decay(e, p, rate, self.weight_decay), e.mul(sign(e, mixed), rate)), {"momentum": momentum}


def _decay(e: Emitter, p: Value, rate: Operand, weight_decay: float) -> Value:
    """p · (1 − rate · weight decay); the factor is a constant when the rate is one."""
    if not weight_decay:
        return p
    factor = e.sub(1.0, e.mul(rate, weight_decay)) if isinstance(rate, Value) else 1.0 - rate * weight_decay
    return e.mul(p, factor)


Optimiser = Sgd | AdamW | Lion
