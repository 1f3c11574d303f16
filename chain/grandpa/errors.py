"""Why a GRANDPA message or justification is refused; all are PeerFault.

JustificationInvalid (chain.errors)
├── MalformedJustification    the bytes do not decode, or exceed a bound
├── WrongTarget               it proves another block than the one it came with
├── UnknownVoter              a precommit of someone outside the set
├── BadSignature              a signature that fails (also: signed for another round or set)
├── DuplicateVote             the same precommit twice, or three of one voter
├── VoteNotDescendant         a precommit that the ancestries do not lead down to the lowest one
├── UnusedAncestry            headers that no vote needs
├── NotEnoughWeight           precommits of two thirds of the weight or less
└── NotHighest                precommits that finalise a block above the target
VoteInvalid (PeerFault)       a single vote that breaks a rule
"""

from __future__ import annotations

from chain.errors import JustificationInvalid, PeerFault


class MalformedJustification(JustificationInvalid):
    """The bytes do not decode."""


class WrongTarget(JustificationInvalid):
    """The justification's target is not the block it was given for."""


class UnknownVoter(JustificationInvalid):
    """A precommit by a key outside the authority set."""


class BadSignature(JustificationInvalid):
    """A precommit whose ed25519 signature fails for this round and set id."""


class DuplicateVote(JustificationInvalid):
    """The same precommit of the same voter stands twice, or one voter has three."""


class VoteNotDescendant(JustificationInvalid):
    """A precommit's target, or the commit's, does not lead down to the lowest precommit's."""


class UnusedAncestry(JustificationInvalid):
    """An ancestry header that no precommit needs."""


class NotEnoughWeight(JustificationInvalid):
    """`weight` of `total` does not reach `threshold`."""

    def __init__(self, weight: int, threshold: int, total: int) -> None:
        self.weight, self.threshold, self.total = weight, threshold, total
        super().__init__(f"precommits weigh {weight} of {total}, {threshold} are needed; not final")


class NotHighest(JustificationInvalid):
    """More than two thirds of the weight precommit a block above the target: the proof must be for that one."""


class VoteInvalid(PeerFault):
    """A vote that breaks a rule (unknown voter, bad signature)."""
