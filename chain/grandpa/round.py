"""One GRANDPA round: its votes, the prevote-GHOST, the estimate, and what it finalises. Pure.

Source: GRANDPA paper (Stewart, Kokoris-Kogia 2020), section 2; `finality-grandpa` 0.16, src/round.rs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.messages import Commit, Justification, Kind, SignedVote
from chain.grandpa.tree import BlockTree

Tally = dict[bytes, list[SignedVote]]


@dataclass
class Round:
    """Votes of round `number` of a set; `estimate` is the block that this round's votes must build on."""

    number: int
    authorities: AuthoritySet
    estimate: bytes
    started: float
    prevotes: Tally = field(default_factory=dict)
    precommits: Tally = field(default_factory=dict)

    def tally(self, kind: Kind) -> Tally:
        """The votes of a kind."""
        return self.prevotes if kind is Kind.PREVOTE else self.precommits

    def is_new(self, signed: SignedVote) -> bool:
        """Whether this vote is not known yet (a voter may have two, an equivocation; a third is not kept)."""
        known = self.tally(signed.vote.kind).get(signed.voter, [])
        return len(known) < 2 and all(one.vote != signed.vote for one in known)

    def add(self, signed: SignedVote) -> None:
        """Keeps a verified vote."""
        self.tally(signed.vote.kind).setdefault(signed.voter, []).append(signed)

    def weight_of(self, voters: set[bytes]) -> int:
        """Sum of the voters' weights."""
        weights = self.authorities.weights
        return sum(weights[voter] for voter in voters)

    def seen(self, kind: Kind, tree: BlockTree, base: bytes) -> set[bytes]:
        """Voters whose votes count: for prevotes all, for precommits those whose effect we know. That of a single vote
        for a block above `base` is unknown until the block is; an equivocator counts for every block anyway."""
        tally = self.tally(kind)
        if kind is Kind.PREVOTE:
            return set(tally)
        floor = tree.header(base).number
        return {
            voter
            for voter, (first, *more) in tally.items()
            if more or first.vote.target_hash in tree or first.vote.target_number <= floor
        }

    def supporters(self, kind: Kind, tree: BlockTree, base: bytes) -> dict[bytes, set[bytes]]:
        """For every block from `base` on that votes lead to: who voted for it or a descendant.

        `base` is final already, so whoever votes at all counts for it: also for a fork that we do not know (yet).
        """
        found: dict[bytes, set[bytes]] = {base: self.seen(kind, tree, base)}
        for voter, votes in self.tally(kind).items():
            for signed in votes:
                for block_hash in self._path(signed, tree, base) or []:
                    found.setdefault(block_hash, set()).add(voter)
        return found

    def equivocators(self, kind: Kind) -> set[bytes]:
        """Voters with two votes of a kind: others may have seen a third one for any block."""
        return {voter for voter, votes in self.tally(kind).items() if len(votes) > 1}

    def _path(self, signed: SignedVote, tree: BlockTree, base: bytes) -> list[bytes] | None:
        """Blocks from a vote's down to, not with, `base`; None if it does not lead there or its number is wrong."""
        vote = signed.vote
        if vote.target_hash not in tree or tree.header(vote.target_hash).number != vote.target_number:
            return None
        return tree.path_up(vote.target_hash, base)

    def prevote_ghost(self, tree: BlockTree, base: bytes) -> bytes | None:
        """The highest block from `base` on with more than two thirds of the prevotes, equivocators counted for every
        block; None if even `base` lacks them."""
        return self._highest(self.supporters(Kind.PREVOTE, tree, base), self.equivocators(Kind.PREVOTE), tree)

    def finalizes(self, tree: BlockTree, base: bytes) -> bytes | None:
        """The highest block from `base` on that more than two thirds of the weight precommit; None if there is none.

        An equivocator counts only for blocks that its two votes lead to: what is final here can be proved to others.
        """
        return self._highest(self.supporters(Kind.PRECOMMIT, tree, base), set(), tree)

    def _highest(self, supporters: dict[bytes, set[bytes]], everywhere: set[bytes], tree: BlockTree) -> bytes | None:
        best: bytes | None = None
        for block_hash, voters in supporters.items():
            if self.weight_of(voters | everywhere) >= self.authorities.threshold:
                number = tree.header(block_hash).number
                if best is None or number > tree.header(best).number:
                    best = block_hash
        return best

    def outcome(self, tree: BlockTree, base: bytes) -> tuple[bytes, bool] | None:
        """(estimate, completable) once prevotes have a GHOST and precommits more than two thirds; else None.

        The estimate is the highest block up to the GHOST that may still become final with the votes not seen yet;
        completable means that nothing above it can, so that the next round may begin.
        """
        ghost = self.prevote_ghost(tree, base)
        seen = self.weight_of(self.seen(Kind.PRECOMMIT, tree, base))
        if ghost is None or seen < self.authorities.threshold:
            return None
        support = self.supporters(Kind.PRECOMMIT, tree, base)
        for block_hash in [*(tree.path_up(ghost, base) or []), base]:
            if self._may_become_final(support.get(block_hash, set()), seen):
                break
        above = (one for one in support if one != ghost and tree.is_descendant(one, ghost))
        done = block_hash != ghost or not any(self._may_become_final(support[one], seen) for one in above)
        return block_hash, done and not (block_hash == ghost and self._may_become_final(set(), seen))

    def _may_become_final(self, supporters: set[bytes], seen: int) -> bool:
        """Whether a block may get more than two thirds of the precommits: all that we have not seen, those of known
        equivocators, and of so many more as the set tolerates."""
        total, threshold = self.authorities.total, self.authorities.threshold
        equivocators = self.equivocators(Kind.PRECOMMIT)
        weight = self.weight_of(supporters | equivocators)
        tolerated = max(0, total - threshold - self.weight_of(equivocators))
        return weight + min(max(0, seen - weight), tolerated) + total - seen >= threshold

    def justification(self, target: bytes, tree: BlockTree) -> Justification | None:
        """The proof that the precommits finalise `target`, which `finalizes` gave.

        One vote of each voter: the lowest that leads to the target. None if these votes stand on two forks above the
        target: the encoding cannot prove that, it needs a lowest vote below all others.
        """
        votes: list[SignedVote] = []
        ancestry: dict[bytes, None] = {}
        for votes_of in self.precommits.values():
            leading = [one for one in votes_of if self._path(one, tree, target) is not None]
            if leading:
                votes.append(min(leading, key=lambda one: one.vote.target_number))
        lowest = min(votes, key=lambda one: one.vote.target_number).vote.target_hash
        for signed in votes:
            path = tree.path_up(signed.vote.target_hash, lowest)
            if path is None:
                return None
            ancestry.update(dict.fromkeys(path))
        headers = tuple(tree.header(one) for one in ancestry)
        return Justification(self.number, Commit(target, tree.header(target).number, tuple(votes)), headers)
