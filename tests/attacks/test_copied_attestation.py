"""Verifiers who do not execute: they copy a commitment, wait to see what others say, guess, or say nothing.

Source: DESIGN §3 (salted witness) and §5; "free-riding verifiers" of Gensyn's litepaper, stage "verification".
"""

import pytest

from consensus.commit.hashing import AccountId, blake2_256
from consensus.protocol.attestation import Attestation, Outcome, SegmentClaim, compute_attestation_commitment
from miner.lab.duties import SALT, to_hex
from miner.lab.ledger import CallRefused
from pallets_abi import stakes, verification
from tests.attacks.court import SOLVER, UNIT, Court

PENALTY = 5 * UNIT


def test_a_copied_commitment_cannot_be_revealed_and_costs_the_penalty() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    honest, thief = court.drawn(0)
    truth = work.attest(court.duty(0).segments, True)
    copied = to_hex(compute_attestation_commitment(AccountId(honest.public), 0, 0, truth, SALT))
    court.ledger.submit(thief, verification.CommitCall(0, 0, copied))
    court.commit(honest, 0, truth)
    court.reveal(honest, 0, truth)
    with pytest.raises(CallRefused, match="RevealMismatch"):
        court.reveal(thief, 0, truth)  # even with result and salt, which it now sees
    court.open_segments(SOLVER, 0, work)
    court.ledger.pass_blocks(12)
    assert court.bond(stakes.Role.VERIFIER, thief) == 100 * UNIT - PENALTY
    assert court.bond(stakes.Role.VERIFIER, honest) == 100 * UNIT


def test_who_waits_for_the_others_results_is_too_late() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    honest, lazy = court.drawn(0)
    truth = work.attest(court.duty(0).segments, True)
    court.commit(honest, 0, truth)
    with pytest.raises(CallRefused, match="NotRevealPhase"):
        court.reveal(honest, 0, truth)  # nobody can show it before all have committed, or the time for it is over
    with pytest.raises(CallRefused, match="NotRevealPhase"):
        court.open_segments(SOLVER, 0, work)
    court.ledger.pass_blocks(13)
    court.reveal(honest, 0, truth)
    with pytest.raises(CallRefused, match="NotCommitPhase"):
        court.commit(lazy, 0, truth)
    court.ledger.pass_blocks(1)
    assert court.bond(stakes.Role.VERIFIER, lazy) == 100 * UNIT - PENALTY


def test_who_guesses_the_solver_s_public_end_state_lacks_the_witness_and_must_lose_a_game() -> None:
    """All but the witness stands in the public transcript; a guess of it is a mismatch that its maker must defend."""
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    honest, lazy = court.drawn(0)
    segments = court.duty(0).segments
    truth = work.attest(segments, True)
    guess = Attestation(
        Outcome.EXECUTED,
        tuple(SegmentClaim(claim.end_state_root, blake2_256(b"a guess")) for claim in truth.segments),
    )
    court.commit(honest, 0, truth)
    court.commit(lazy, 0, guess)
    court.reveal(honest, 0, truth)
    court.reveal(lazy, 0, guess)
    court.open_segments(SOLVER, 0, work)
    court.ledger.pass_blocks(1)
    assert court.state(0) == "Disputed"
    court.ledger.pass_blocks(12)  # it opens no game, for it would lose it
    assert court.bond(stakes.Role.VERIFIER, lazy) == 0
    assert court.bond(stakes.Role.VERIFIER, honest) == 100 * UNIT
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 200 * UNIT


def test_silence_is_not_cheaper() -> None:
    court = Court()
    court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    drawn = court.drawn(0)
    court.ledger.pass_blocks(14)
    assert [court.bond(stakes.Role.VERIFIER, key) for key in drawn] == [100 * UNIT - PENALTY] * 2
    assert {event.reason for event in court.find(stakes.SlashedEvent)} == {stakes.SlashReason.NO_VERIFIER_REVEAL}
