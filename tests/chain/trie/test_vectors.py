"""The golden proofs of states are what the code makes today."""

from tests.vectors import state_proofs


def test_state_proofs_are_up_to_date() -> None:
    assert state_proofs.PATH.read_text() == state_proofs.compute_text()
