"""Re-used data order, duplicated batches, data of another shard: cheaper or easier batches than the seed draws.

Source: Shumailov et al., "Manipulating SGD with Data Ordering Attacks" (NeurIPS 2021).
"""

import pytest

from consensus.commit.state import State
from miner.work.data import Dataset
from tests.attacks.arena import OTHER_SEED, SEGMENTS, load_data, serve, sign, train, verify


class Reordered:
    """Batches of the task's data in an order of the adversary's."""

    def __init__(self, data: Dataset, kind: str) -> None:
        self._data, self._kind = data, kind

    def batch(self, unit_seed: bytes, step: int) -> State:
        """The batch that the adversary trains on at a step."""
        if self._kind == "another unit's order":
            return self._data.batch(OTHER_SEED, step)
        if self._kind == "one batch again and again":
            return self._data.batch(unit_seed, 0)
        if self._kind == "pairs exchanged":
            return self._data.batch(unit_seed, step ^ 1)
        batch = self._data.batch(unit_seed, step)
        return {name: array[::-1].copy() for name, array in batch.items()}


@pytest.mark.parametrize("kind", ["another unit's order", "one batch again and again", "pairs exchanged"])
def test_other_batches_end_elsewhere(kind: str) -> None:
    results = train(batches=Reordered(load_data(), kind))
    for index in range(SEGMENTS):
        report = verify(sign(results), serve(results), index)
        assert not report.is_match, index
        assert "step_record" in report.detail


def test_the_same_rows_in_another_place_of_the_batch() -> None:
    """Exact sums do not depend on order, so the states agree; the batch's digest in the step records does not."""
    results = train(batches=Reordered(load_data(), "rows of each batch reversed"))
    for index in range(SEGMENTS):
        report = verify(sign(results), serve(results), index)
        assert not report.is_match and "last_step_record" in report.detail
        assert "end_state_root" not in report.detail


def test_data_of_another_shard() -> None:
    results = train(batches=load_data(seed=2))
    for index in range(SEGMENTS):
        assert not verify(sign(results), serve(results), index).is_match
