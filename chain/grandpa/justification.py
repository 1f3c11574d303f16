"""Verifying a finality proof. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ed25519_zebra import ed_verify

from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.errors import (
    BadSignature,
    DuplicateVote,
    NotEnoughWeight,
    UnknownVoter,
    UnusedAncestry,
    VoteNotDescendant,
    WrongTarget,
)
from chain.grandpa.messages import Justification, SignedVote, localized_payload


@dataclass(frozen=True, slots=True)
class JustificationInput:
    """All that is needed: the proof, the block it is to prove, and the set in force for that block."""

    justification: Justification
    block_hash: bytes
    block_number: int
    authorities: AuthoritySet


@dataclass(frozen=True, slots=True)
class Verified:
    """A block shown to be final by `weight` of the set's total."""

    block_hash: bytes
    block_number: int
    round: int
    weight: int


def verify_signature(signed: SignedVote, round_number: int, set_id: int) -> bool:
    """Whether the voter signed this vote for this round and set."""
    try:
        payload = localized_payload(signed.vote, round_number, set_id)
        return bool(ed_verify(signed.signature, payload, signed.voter))
    except Exception:  # noqa: BLE001  the binding raises on keys that are no curve points
        return False


def verify_justification(given: JustificationInput) -> Verified:
    """Checks target, voters, signatures, ancestry and weight; raises a JustificationInvalid.

    Two different precommits of one voter (an equivocation) are allowed and its weight counts once; the same one twice
    is refused. Still trusted afterwards: that `authorities` is the set in force for this block (follow the digests
    from genesis), and that less than a third of its weight lies.
    """
    proof, commit, authorities = given.justification, given.justification.commit, given.authorities
    if (commit.target_hash, commit.target_number) != (given.block_hash, given.block_number):
        raise WrongTarget(
            f"it proves #{commit.target_number} 0x{commit.target_hash.hex()}, "
            f"not #{given.block_number} 0x{given.block_hash.hex()}"
        )
    weights, parents = authorities.weights, {header.hash: header.parent_hash for header in proof.votes_ancestries}
    numbers = {header.hash: header.number for header in proof.votes_ancestries}
    numbers[commit.target_hash] = commit.target_number
    used: set[bytes] = set()
    seen: set[tuple[bytes, bytes]] = set()
    for signed in commit.precommits:
        if signed.voter not in weights:
            raise UnknownVoter(f"0x{signed.voter.hex()} is not in set {authorities.set_id}")
        if (signed.voter, signed.vote.target_hash) in seen:
            raise DuplicateVote(f"0x{signed.voter.hex()} precommits the same block twice")
        seen.add((signed.voter, signed.vote.target_hash))
        if numbers.get(signed.vote.target_hash) != signed.vote.target_number:
            raise VoteNotDescendant(f"no ancestry leads from 0x{signed.vote.target_hash.hex()} to the target")
        _walk(signed.vote.target_hash, commit.target_hash, parents, used)
        if not verify_signature(signed, proof.round, authorities.set_id):
            raise BadSignature(f"0x{signed.voter.hex()} did not sign this for round {proof.round} of its set")
    if used != set(parents):
        raise UnusedAncestry(f"{len(parents) - len(used)} ancestry headers serve no vote")
    weight = sum(weights[voter] for voter in {voter for voter, _ in seen})
    if weight < authorities.threshold:
        raise NotEnoughWeight(weight, authorities.threshold, authorities.total)
    return Verified(given.block_hash, given.block_number, proof.round, weight)


def _walk(start: bytes, target: bytes, parents: dict[bytes, bytes], used: set[bytes]) -> None:
    while start != target and start not in used:
        parent = parents.get(start)
        if parent is None:
            raise VoteNotDescendant(f"no ancestry leads from 0x{start.hex()} to the target")
        used.add(start)
        start = parent
