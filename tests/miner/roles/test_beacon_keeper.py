"""The beacon's secrets survive a kill -9: they are on disk before their commitments are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner.roles.beacon_keeper import KEPT_EPOCHS, MAX_FILE_BYTES, SecretFile


def test_a_secret_is_the_same_after_a_restart(tmp_path: Path) -> None:
    secret = SecretFile(tmp_path / "beacon.json").get_or_make(5)
    assert SecretFile(tmp_path / "beacon.json").get(5) == secret
    assert SecretFile(tmp_path / "beacon.json").get_or_make(5) == secret
    assert len(secret) == 32


def test_each_epoch_has_its_own_and_old_ones_go(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "beacon.json")
    secrets = {epoch: file.get_or_make(epoch) for epoch in range(1, KEPT_EPOCHS + 3)}
    assert len(set(secrets.values())) == len(secrets)
    assert file.get(1) is None
    assert file.get(KEPT_EPOCHS + 2) == secrets[KEPT_EPOCHS + 2]
    assert file.get(3) == secrets[3]


def test_file_is_private(tmp_path: Path) -> None:
    SecretFile(tmp_path / "beacon.json").get_or_make(1)
    assert (tmp_path / "beacon.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"1": 5}', '{"x": "00"}', " " * (MAX_FILE_BYTES + 1)])
def test_damaged_file_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "beacon.json").write_text(content)
    file = SecretFile(tmp_path / "beacon.json")
    assert file.get(1) is None
    secret = file.get_or_make(2)
    assert file.get(2) == secret
