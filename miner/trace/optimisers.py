"""Optimisers as exact nodes. Their numbers are constants of the graph, rounded to f32; moments and powers are state."""

from __future__ import annotations

from dataclasses import dataclass

from miner.trace.emit import Emitter, Value


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD` (dampening 0)."""

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0

    def slots(self) -> dict[str, float]:
        """Per-parameter state with its first value."""
        return {"momentum": 0.0} if self.momentum else {}

    def scalars(self) -> dict[str, float]:
        """Scalar state with its first value."""
        return {}

    def advance(self, e: Emitter, scalars: dict[str, Value]) -> dict[str, Value]:
        """New scalar state."""
        return {}

    def update(
        self, e: Emitter, p: Value, g: Value, slots: dict[str, Value], scalars: dict[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """New parameter and slots; ``scalars`` are the new ones."""
        if self.weight_decay:
            g = e.add(g, e.mul(p, self.weight_decay))
        new = {}
        if self.momentum:
            g = e.add(e.mul(slots["momentum"], self.momentum), g)
            new = {"momentum": g}
        return e.sub(p, e.mul(g, self.learning_rate)), new


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

    def advance(self, e: Emitter, scalars: dict[str, Value]) -> dict[str, Value]:
        """New scalar state: the powers of this step."""
        return {
            "beta1_power": e.mul(scalars["beta1_power"], self.beta1),
            "beta2_power": e.mul(scalars["beta2_power"], self.beta2),
        }

    def update(
        self, e: Emitter, p: Value, g: Value, slots: dict[str, Value], scalars: dict[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """New parameter and slots; ``scalars`` are the new ones."""
        m = e.add(e.mul(slots["moment1"], self.beta1), e.mul(g, 1.0 - self.beta1))
        v = e.add(e.mul(slots["moment2"], self.beta2), e.mul(e.mul(g, g), 1.0 - self.beta2))
        rate = e.div(self.learning_rate, e.sub(1.0, scalars["beta1_power"]))
        root = e.unary("sqrt", e.sub(1.0, scalars["beta2_power"]))
        denominator = e.add(e.div(e.unary("sqrt", v), root), self.eps)
        if self.weight_decay:
            p = e.mul(p, 1.0 - self.learning_rate * self.weight_decay)
        return e.sub(p, e.mul(rate, e.div(m, denominator))), {"moment1": m, "moment2": v}


Optimiser = Sgd | AdamW
