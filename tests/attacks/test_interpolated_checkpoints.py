"""Interpolated checkpoints: bought final weights, and states on the line that leads to them.

Source: Zhang et al., "'Adversarial Examples' for Proof-of-Learning" (IEEE S&P 2022): checkpoints that a verifier with
a tolerance accepts without a step having been trained; and Fang et al., "Proof-of-Learning is Currently More Broken
Than You Think" (EuroS&P 2023). A check of bytes leaves nothing to be near to.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from consensus.commit.state import compute_state_root
from miner.work.segment import SegmentResult
from tests.attacks.arena import SEGMENTS, chain_up, serve, sign, train, verify
from tests.miner.work.regression import INITIAL


def replace_states(results: Sequence[SegmentResult], weights: Sequence[np.ndarray]) -> list[SegmentResult]:
    """The results with other end states."""
    states = [{"weight": weight.astype(np.float32)} for weight in weights]
    return chain_up([
        replace(result, end_state=state, end_state_root=compute_state_root(state))
        for result, state in zip(results, states, strict=True)
    ])  # fmt: skip


def test_states_on_a_line_to_the_bought_weights() -> None:
    results = train()
    first, last = np.asarray(INITIAL["weight"]), results[-1].end_state["weight"]
    line = [first + (last - first) * np.float32((i + 1) / SEGMENTS) for i in range(SEGMENTS)]
    spoofed = replace_states(results, line)
    for index in range(SEGMENTS):
        assert not verify(sign(spoofed), serve(spoofed), index).is_match


@pytest.mark.parametrize("segment", range(SEGMENTS))
def test_one_weight_off_by_the_last_bit(segment: int) -> None:
    results = train()
    weights = [result.end_state["weight"].copy() for result in results]
    weights[segment][3] = np.nextafter(weights[segment][3], np.float32(np.inf))
    near = replace_states(results, weights)
    assert not verify(sign(near), serve(near), segment).is_match
