"""Evidence that a voter signed two prevotes, or two precommits, for different blocks in one round. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from chain.grandpa.messages import Kind, SignedVote


@dataclass(frozen=True, slots=True)
class DoubleVote:
    """Two different votes of one kind by one ed25519 key in one round of a set; both signatures were verified."""

    set_id: int
    round: int
    first: SignedVote
    second: SignedVote

    CALL: ClassVar[str] = "report_grandpa"

    @property
    def key(self) -> bytes:
        """The key that signed twice."""
        return self.first.voter

    @property
    def offence(self) -> tuple[str, bytes, int, int]:
        """Tells offences apart: each is charged once, a prevote's and a precommit's in one round together."""
        return ("votes", self.key, self.set_id, self.round)

    @property
    def text(self) -> str:
        """One line for a log."""
        return f"two {self.first.vote.kind.name.lower()}s in round {self.round} of set {self.set_id}"

    def encode(self) -> bytes:
        """The argument of `Evidence.report_grandpa`, a stock `EquivocationProof`: set, kind, round, voter, two votes
        (hash and number, without the kind) each followed by its signature."""
        kind = 0 if self.first.vote.kind is Kind.PREVOTE else 1
        head = self.set_id.to_bytes(8, "little") + bytes((kind,)) + self.round.to_bytes(8, "little")
        votes = (one.vote.encode()[1:] + one.signature for one in (self.first, self.second))
        return head + self.key + b"".join(votes)


def find_double_vote(
    known: Iterable[SignedVote], signed: SignedVote, set_id: int, round_number: int
) -> DoubleVote | None:
    """Evidence that `signed` and one of the `known` verified votes of its voter and kind make; None without another."""
    other = next((one for one in known if one.vote != signed.vote), None)
    return None if other is None else DoubleVote(set_id, round_number, other, signed)
