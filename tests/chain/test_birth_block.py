"""An extrinsic's era begins at the finalised block, so that no fork voids it; at most so deep below the best."""

from typing import Any

import pytest

from chain.client import ERA_PERIOD, MAX_BIRTH_DEPTH, PHASE_PERIOD, _birth_number


class Answers:
    """The answers of a node whose best and finalised blocks have these numbers."""

    def __init__(self, best: int, final: int) -> None:
        self.best, self.final = best, final

    def rpc_request(self, method: str, params: list[str]) -> dict[str, Any]:
        if method == "chain_getFinalizedHead":
            return {"result": "0xf1"}
        return {"result": {"number": hex(self.final if params == ["0xf1"] else self.best)}}


@pytest.mark.parametrize(
    ("best", "final", "birth"),
    [
        (0, 0, 0),
        (10, 8, 8),
        (100, 100 - MAX_BIRTH_DEPTH, 100 - MAX_BIRTH_DEPTH),
        (100, 100 - MAX_BIRTH_DEPTH - 1, 100 - MAX_BIRTH_DEPTH),
    ],
)
def test_birth_block(best: int, final: int, birth: int) -> None:
    assert _birth_number(Answers(best, final), ERA_PERIOD) == birth


@pytest.mark.parametrize(("best", "final", "birth"), [(0, 0, 0), (10, 9, 9), (10, 8, 8), (10, 7, 8), (10, 0, 8)])
def test_call_of_a_phase_is_valid_for_some_blocks_more(best: int, final: int, birth: int) -> None:
    assert _birth_number(Answers(best, final), PHASE_PERIOD) == birth
    assert PHASE_PERIOD // 2 < birth + PHASE_PERIOD - best <= PHASE_PERIOD
