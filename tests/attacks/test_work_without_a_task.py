"""Random-matrix work that belongs to no task, and states out of nowhere.

Source: in Komargodski et al., "Proofs of Useful Work from Arbitrary Matrix Multiplication" (2025), any product will
do, wanted or not; here credits come from a task's graph alone.
"""

from dataclasses import replace

import numpy as np

from consensus.commit.state import compute_state_root
from tests.attacks.arena import SEGMENTS, chain_up, serve, sign, train, verify


def test_random_states_with_right_forms() -> None:
    random, spoofed = np.random.default_rng(9), []
    for result in train():
        state = {"weight": random.standard_normal(result.end_state["weight"].shape).astype(np.float32)}
        spoofed.append(replace(result, end_state=state, end_state_root=compute_state_root(state)))
    spoofed = chain_up(spoofed)
    for index in range(SEGMENTS):
        assert not verify(sign(spoofed), serve(spoofed), index).is_match


def test_segments_that_do_not_join() -> None:
    """Each segment is honest work from a state of the adversary's choice instead of the one before it."""
    results = train()
    shuffled = [replace(results[i], index=position) for position, i in enumerate((0, 2, 1, 3))]
    found = [verify(sign(shuffled), serve(shuffled), index).is_match for index in range(SEGMENTS)]
    assert found[0] and not any(found[1:3])


def test_a_start_state_that_is_not_the_committed_one_is_not_executed() -> None:
    results = train()
    states = serve(results)
    report = verify(sign(results), [states[1], *states[1:]], 0)
    assert not report.bytes_match and report.claim is None
