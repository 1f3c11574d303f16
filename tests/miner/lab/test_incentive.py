"""The economics of cheating: the formula's numbers, and that the chain's own draws give them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consensus.protocol.economics import Incentive, UnprofitableHonestyError
from miner.cli.lab import EXIT_CHEATING_PAYS, app
from miner.lab.incentive import (
    Setting,
    compute_detection,
    compute_gain,
    count_cheated,
    measure,
    simulate_detection,
    verify_setting,
)

UNIT = 10**12
SETTING = Setting(Incentive(500_000, 500_000, 2, UNIT // 1000, UNIT // 2000, 10**9, 200_000), 1, 32)


def test_the_formula_by_hand() -> None:
    assert compute_detection(SETTING, 32) == pytest.approx(0.5 * 0.75)
    assert compute_detection(SETTING, 8) == pytest.approx(0.5 * 0.75 / 4)
    two = replace(SETTING, drawn_segments=2)
    assert compute_detection(two, 31) == pytest.approx(0.5 * 0.75)
    assert compute_detection(two, 1) == pytest.approx(0.5 * 0.75 / 16)
    assert SETTING.margin == pytest.approx(0.375 * 7.5)
    assert compute_gain(SETTING, 32, compute_detection(SETTING, 32)) == pytest.approx(1 - SETTING.margin)
    assert [count_cheated(SETTING, share) for share in (0.001, 1 / 32, 0.05, 0.5, 1.0)] == [1, 1, 2, 16, 32]


@pytest.mark.parametrize("attacker", [0, 300_000, 900_000, 1_000_000])
@pytest.mark.parametrize(("drawn", "share"), [(1, 0.1), (3, 0.1), (3, 1.0)])
def test_the_chain_s_draws_give_the_formula(attacker: int, drawn: int, share: float) -> None:
    setting = Setting(replace(SETTING.incentive, attacker_share=attacker), drawn, 32)
    point = measure(setting, share, 0.0, 3000, 5)
    assert point.agrees, point
    if attacker < 1_000_000:
        assert point.error > 0


def test_an_attacker_who_owns_all_verifiers_is_never_caught() -> None:
    owner = Setting(replace(SETTING.incentive, attacker_share=1_000_000), 1, 32)
    assert simulate_detection(owner, 32, 500, 1) == 0


def test_a_wrong_formula_does_not_agree() -> None:
    point = measure(SETTING, 1.0, 1.0, 3000, 5)
    assert not replace(point, formula=point.formula * 1.2).agrees


def test_parameters_that_the_chain_refuses() -> None:
    verify_setting(SETTING)
    with pytest.raises(UnprofitableHonestyError):
        verify_setting(replace(SETTING, incentive=replace(SETTING.incentive, bond=0, price=SETTING.cost)))


def test_the_command(tmp_path: Path) -> None:
    picture = tmp_path / "curves.svg"
    result = CliRunner().invoke(app, ["--runs", "300", "--segments", "8", "--json", "--plot", str(picture)])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["margin"] > 1 and document["refusal"] == ""
    assert [len(points) for points in document["curves"].values()] == [10, 10, 6]
    assert picture.read_text().startswith("<?xml")
    cheap = CliRunner().invoke(app, ["--runs", "300", "--bond", "0", "--price", "0.0002", "--segments", "8"])
    assert cheap.exit_code == EXIT_CHEATING_PAYS and "does not exceed the cost" in cheap.output
