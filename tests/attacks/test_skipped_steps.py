"""Skipped steps: a share of every segment is not executed, its losses are made up.

Source: the lazy prover of Jia et al., "Proof-of-Learning: Definitions and Practice" (IEEE S&P 2021).
"""

import pytest

from miner.work.cheat import Cheat, CheatKind
from miner.work.segment import Pace
from tests.attacks.arena import SEGMENTS, serve, sign, train, verify


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 1.0])
def test_whichever_segment_is_drawn_it_differs(share: float) -> None:
    results = train(pace=Pace(cheat=Cheat(CheatKind.SKIP, share)))
    for index in range(SEGMENTS):
        report = verify(sign(results), serve(results), index)
        assert report.bytes_match and not report.end_matches
        assert "end_state_root" in report.detail and "salted_witness" in report.detail


def test_one_lazy_segment_among_honest_ones_is_the_one_that_differs() -> None:
    honest, lazy = train(), train(pace=Pace(cheat=Cheat(CheatKind.SKIP, 1.0)))
    results = [*honest[:-1], lazy[-1]]
    found = [verify(sign(results), serve(results), index).is_match for index in range(SEGMENTS)]
    assert found == [True, True, True, False]
