"""One rule per ATen operator, by family; importing the package fills `RULES`."""

from miner.trace.rules import convolution, elementwise, layers, movement, pooling, reductions
from miner.trace.rules.registry import BLANK_ALLOWED, RULES, Blank, Rule, RuleRefusal, Written

__all__ = [
    "RULES", "BLANK_ALLOWED", "Blank", "Rule", "RuleRefusal", "Written",
    "convolution", "elementwise", "layers", "movement", "pooling", "reductions",
]  # fmt: skip
