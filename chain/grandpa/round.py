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

    def seen(self, kind: Kind, tree: BlockTree) -> set[bytes]:
        """Voters whose votes count: for prevotes all, for precommits those with blocks that we know."""
        tally = self.tally(kind)
        if kind is Kind.PREVOTE:
            return set(tally)
        return {voter for voter, votes in tally.items() if all(one.vote.target_hash in tree for one in votes)}

    def supporters(self, kind: Kind, tree: BlockTree, base: bytes) -> dict[bytes, set[bytes]]:
        """For every block from `base` on that votes lead to: who voted for it or a descendant; equivocators count.

        `base` is final already, so whoever votes at all counts for it: also for a fork that we do not know (yet).
        """
        found: dict[bytes, set[bytes]] = {base: self.seen(kind, tree)}
        for voter, votes in self.tally(kind).items():
            for signed in votes:
                for block_hash in self._path(signed, tree, base):
                    found.setdefault(block_hash, set()).add(voter)
        return found

    def _path(self, signed: SignedVote, tree: BlockTree, base: bytes) -> list[bytes]:
        vote = signed.vote
        if vote.target_hash not in tree or tree.header(vote.target_hash).number != vote.target_number:
            return []
        return tree.path_up(vote.target_hash, base) or []

    def ghost(self, kind: Kind, tree: BlockTree, base: bytes) -> bytes | None:
        """The highest block from `base` on with more than two thirds of the votes; None if even `base` lacks them."""
        best: bytes | None = None
        for block_hash, voters in self.supporters(kind, tree, base).items():
            if self.weight_of(voters) >= self.authorities.threshold:
                number = tree.header(block_hash).number
                if best is None or number > tree.header(best).number:
                    best = block_hash
        return best

    def outcome(self, tree: BlockTree, base: bytes) -> tuple[bytes, bool] | None:
        """(estimate, completable) once prevotes have a GHOST and precommits more than two thirds; else None.

        The estimate is the highest block up to the GHOST that may still become final with the votes not seen yet;
        completable means that nothing above it can, so that the next round may begin.
        """
        ghost = self.ghost(Kind.PREVOTE, tree, base)
        seen = self.weight_of(self.seen(Kind.PRECOMMIT, tree))
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
        total, threshold = self.authorities.total, self.authorities.threshold
        equivocated = self.weight_of({voter for voter, votes in self.precommits.items() if len(votes) > 1})
        weight = self.weight_of(supporters)
        more_equivocation = min(seen - weight, max(0, total - threshold - equivocated))
        return weight + more_equivocation + total - seen >= threshold

    def justification(self, target: bytes, tree: BlockTree) -> Justification:
        """The proof that the precommits finalise `target` (call it only when they do)."""
        votes: list[SignedVote] = []
        ancestry: dict[bytes, None] = {}
        for signed in (one for votes_of in self.precommits.values() for one in votes_of):
            path = self._path(signed, tree, target)
            if path or signed.vote.target_hash == target:
                votes.append(signed)
                ancestry.update(dict.fromkeys(path))
        headers = tuple(tree.header(one) for one in ancestry)
        return Justification(self.number, Commit(target, tree.header(target).number, tuple(votes)), headers)
