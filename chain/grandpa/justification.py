"""Verifying a finality proof. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ed25519_zebra import ed_verify

from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.errors import (
    BadSignature,
    DuplicateVote,
    NotEnoughWeight,
    NotHighest,
    UnknownVoter,
    UnusedAncestry,
    VoteNotDescendant,
    WrongTarget,
)
from chain.grandpa.messages import Commit, Justification, SignedVote, localized_payload
from chain.primitives import Header


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

    As a stock node: all precommits lead down to the lowest one, an equivocator (two different precommits) counts for
    every block, and the highest block with more than two thirds of the weight must be the target itself. Stricter than
    it: strangers' votes, the same vote twice and a wrong number beside a right hash are refused, where it ignores them.
    Still trusted afterwards: that `authorities` is the set in force for this block (follow the digests
    from genesis), and that less than a third of its weight lies.
    Source: `finality-grandpa` 0.16 validate_commit; `sc-consensus-grandpa` 0.45 justification.rs.
    """
    proof, commit, authorities = given.justification, given.justification.commit, given.authorities
    if (commit.target_hash, commit.target_number) != (given.block_hash, given.block_number):
        raise WrongTarget(
            f"it proves #{commit.target_number} 0x{commit.target_hash.hex()}, "
            f"not #{given.block_number} 0x{given.block_hash.hex()}"
        )
    first, equivocators = _sort_votes(commit, authorities)
    paths = _paths(proof)
    for signed in commit.precommits:
        if not verify_signature(signed, proof.round, authorities.set_id):
            raise BadSignature(f"0x{signed.voter.hex()} did not sign this for round {proof.round} of its set")
    support: dict[bytes, set[bytes]] = {}
    for voter, signed in first.items():
        for block_hash in paths[signed.vote.target_hash]:
            support.setdefault(block_hash, set(equivocators)).add(voter)
    weights = {block_hash: sum(authorities.weights[one] for one in voters) for block_hash, voters in support.items()}
    weight = weights.pop(commit.target_hash, 0)
    if weight < authorities.threshold:
        raise NotEnoughWeight(weight, authorities.threshold, authorities.total)
    below = set(paths[commit.target_hash]) if commit.target_hash in paths else set()
    if any(one >= authorities.threshold for block_hash, one in weights.items() if block_hash not in below):
        raise NotHighest(f"the precommits finalise a higher block than #{commit.target_number}")
    return Verified(given.block_hash, given.block_number, proof.round, weight)


def _sort_votes(commit: Commit, authorities: AuthoritySet) -> tuple[dict[bytes, SignedVote], set[bytes]]:
    """Each voter's first precommit, and who has two."""
    weights = authorities.weights
    first: dict[bytes, SignedVote] = {}
    seen: set[tuple[bytes, bytes]] = set()
    equivocators: set[bytes] = set()
    for signed in commit.precommits:
        if signed.voter not in weights:
            raise UnknownVoter(f"0x{signed.voter.hex()} is not in set {authorities.set_id}")
        if (signed.voter, signed.vote.target_hash) in seen:
            raise DuplicateVote(f"0x{signed.voter.hex()} precommits the same block twice")
        if signed.voter in equivocators:
            raise DuplicateVote(f"0x{signed.voter.hex()} precommits three blocks, two show that it lies")
        if first.setdefault(signed.voter, signed) is not signed:
            equivocators.add(signed.voter)
        seen.add((signed.voter, signed.vote.target_hash))
    return first, equivocators


def _paths(proof: Justification) -> dict[bytes, list[bytes]]:
    """By each precommit's target, and by the commit's: the blocks from it down to the lowest precommit's, that too."""
    commit = proof.commit
    headers = {header.hash: header for header in proof.votes_ancestries}
    if not commit.precommits:
        return {}
    base = min((signed.vote for signed in commit.precommits), key=lambda vote: vote.target_number)
    numbers = {block_hash: header.number for block_hash, header in headers.items()}
    numbers[base.target_hash] = base.target_number
    targets = [(signed.vote.target_hash, signed.vote.target_number) for signed in commit.precommits]
    paths: dict[bytes, list[bytes]] = {}
    for block_hash, number in [*targets, (commit.target_hash, commit.target_number)]:
        if numbers.get(block_hash) != number:
            raise VoteNotDescendant(f"no ancestry leads from 0x{block_hash.hex()} to the lowest precommit")
        if block_hash not in paths:
            paths[block_hash] = _walk(block_hash, base.target_hash, headers, numbers)
    used = {one for path in paths.values() for one in path if one != base.target_hash}
    if used != set(headers):
        raise UnusedAncestry(f"{len(set(headers) - used)} ancestry headers serve no vote")
    return paths


def _walk(start: bytes, base: bytes, headers: dict[bytes, Header], numbers: dict[bytes, int]) -> list[bytes]:
    path = [start]
    while path[-1] != base:
        header = headers.get(path[-1])
        if header is None or numbers.get(header.parent_hash) != header.number - 1:
            raise VoteNotDescendant(f"no ancestry leads from 0x{start.hex()} to the lowest precommit")
        path.append(header.parent_hash)
    return path
