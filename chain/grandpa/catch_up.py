"""Catching up within a set: the votes that complete a round, for who fell rounds behind. Pure.

Who hears a neighbour that is more than two rounds ahead asks it for the round before the neighbour's; the answer
holds more than two thirds of the prevotes and of the precommits, enough to begin the next round.
Source: `sc-consensus-grandpa` 0.45 gossip.rs (handle_catch_up_request, try_catch_up), communication/mod.rs
(check_catch_up); `finality-grandpa` 0.16 voter/mod.rs (validate_catch_up).
"""

from __future__ import annotations

from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.errors import VoteInvalid
from chain.grandpa.justification import verify_signature
from chain.grandpa.messages import CatchUp, Kind, SignedVote
from chain.grandpa.round import Round
from chain.grandpa.tree import BlockTree

BEHIND = 2  # rounds; who is further behind a peer asks it (CATCH_UP_THRESHOLD)


def make_catch_up(where: Round, tree: BlockTree) -> CatchUp | None:
    """The votes of a round for blocks in the tree; None if they are too few, or share no block there."""
    prevotes, precommits = (
        tuple(one for votes in where.tally(kind).values() for one in votes if one.vote.target_hash in tree)
        for kind in (Kind.PREVOTE, Kind.PRECOMMIT)
    )
    base = _common(prevotes + precommits, tree)
    if base is None or not all(_is_enough(votes, where.authorities) for votes in (prevotes, precommits)):
        return None
    number = tree.header(base).number
    return CatchUp(where.authorities.set_id, where.number, prevotes, precommits, base, number)


def verify_catch_up(message: CatchUp, authorities: AuthoritySet) -> None:
    """Checks voters, weights and signatures; raises VoteInvalid. Unknown still: whether the votes complete the round.

    At most so much weight stands behind each kind as the set has with all tolerated equivocators counted twice.
    """
    if message.set_id != authorities.set_id:
        raise VoteInvalid(f"a catch-up of set {message.set_id}, ours is {authorities.set_id}")
    weights = authorities.weights
    most = 2 * authorities.total - authorities.threshold
    for votes in (message.prevotes, message.precommits):
        if any(one.voter not in weights for one in votes):
            raise VoteInvalid(f"a catch-up with a voter outside set {message.set_id}")
        if not _is_enough(votes, authorities) or sum(weights[one.voter] for one in votes) > most:
            raise VoteInvalid(f"a catch-up with too few or too many votes of round {message.round}")
    for one in (*message.prevotes, *message.precommits):
        if not verify_signature(one, message.round, message.set_id):
            raise VoteInvalid(f"a catch-up with a bad signature of 0x{one.voter.hex()}")


def _is_enough(votes: tuple[SignedVote, ...], authorities: AuthoritySet) -> bool:
    return sum(authorities.weights[voter] for voter in {one.voter for one in votes}) >= authorities.threshold


def _common(votes: tuple[SignedVote, ...], tree: BlockTree) -> bytes | None:
    """The highest block that all votes lead down to; None without votes or if it is not in the tree."""
    targets = {one.vote.target_hash for one in votes}
    if not targets:
        return None
    base = min(targets, key=lambda one: tree.header(one).number)
    while not all(tree.is_descendant(one, base) for one in targets):
        base = tree.header(base).parent_hash
        if base not in tree:
            return None
    return base
