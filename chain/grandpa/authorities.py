"""GRANDPA authority sets as the headers' digests announce them. Pure.

`state_after(block)` is a function of the chain up to and including that block: the set that finalises its *children*
and the changes announced but not yet in force. A change announced in block s with delay d takes force after block
s + d: that block is the last one of the old set, and gets a justification of the old set before the new set votes.
Source: `sp-consensus-grandpa` ConsensusLog; `sc-consensus-grandpa/src/authorities.rs`.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import DecodeError
from chain.grandpa.messages import MAX_VOTERS
from chain.primitives import GRANDPA_ENGINE, DigestKind, Header, Reader, encode_compact

SCHEDULED_CHANGE, FORCED_CHANGE = 1, 2
MAX_NUMBER = (1 << 32) - 1  # block numbers are u32


@dataclass(frozen=True, slots=True)
class AuthoritySet:
    """The voters of one set: (ed25519 key, weight) in the chain's order; `set_id` counts from 0 at genesis."""

    set_id: int
    voters: tuple[tuple[bytes, int], ...]

    @property
    def total(self) -> int:
        """Sum of all weights."""
        return sum(weight for _, weight in self.voters)

    @property
    def threshold(self) -> int:
        """Least weight above two thirds: total − ⌊(total − 1)/3⌋."""
        return self.total - (self.total - 1) // 3

    @property
    def weights(self) -> dict[bytes, int]:
        """Weight by key; a key that stands twice has the sum."""
        weights: dict[bytes, int] = {}
        for key, weight in self.voters:
            weights[key] = weights.get(key, 0) + weight
        return weights


@dataclass(frozen=True, slots=True)
class PendingChange:
    """The set `voters` that takes force after block `effective_number`."""

    effective_number: int
    voters: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """After some block: the set for its children, and a change on its way (at most one, as in the pallet)."""

    current: AuthoritySet
    pending: PendingChange | None = None

    def after(self, header: Header) -> AuthorityState:
        """The state after `header`, whose parent's state this is."""
        pending = announced_change(header) or self.pending
        if pending is not None and pending.effective_number <= header.number:
            return AuthorityState(AuthoritySet(self.current.set_id + 1, pending.voters))
        return self if pending is self.pending else AuthorityState(self.current, pending)

    def encode(self) -> bytes:
        """For the database: set id u64, voters, option of (number u32, voters)."""
        parts = [self.current.set_id.to_bytes(8, "little"), encode_voters(self.current.voters)]
        if self.pending is not None:
            parts += [self.pending.effective_number.to_bytes(4, "little"), encode_voters(self.pending.voters)]
        return b"".join(parts)

    @staticmethod
    def decode(data: bytes) -> AuthorityState:
        """Raises DecodeError."""
        reader = Reader(data)
        current = AuthoritySet(reader.u64("set id"), read_voters(reader))
        if not reader.remaining:
            return AuthorityState(current)
        state = AuthorityState(current, PendingChange(reader.u32("effective number"), read_voters(reader)))
        reader.finish("authority state")
        return state


def announced_change(header: Header) -> PendingChange | None:
    """The set change that the header's digest announces; malformed or empty ones are ignored, as the node does."""
    for item in header.digest:
        if item.kind is not DigestKind.CONSENSUS or item.engine != GRANDPA_ENGINE:
            continue
        reader = Reader(item.payload)
        try:
            variant = reader.u8("grandpa log")
            if variant not in (SCHEDULED_CHANGE, FORCED_CHANGE):
                continue
            if variant == FORCED_CHANGE:
                reader.u32("median last finalized")
            voters, delay = read_voters(reader), reader.u32("delay")
            reader.finish("grandpa log")
        except DecodeError:
            continue
        if voters:
            return PendingChange(min(header.number + delay, MAX_NUMBER), voters)
    return None


def read_voters(reader: Reader) -> tuple[tuple[bytes, int], ...]:
    """`Vec<(AuthorityId, u64)>`, what GrandpaApi_grandpa_authorities returns too; raises DecodeError."""
    count = reader.compact(MAX_VOTERS, "authorities")
    return tuple((reader.take(32, "authority"), reader.u64("weight")) for _ in range(count))


def encode_voters(voters: tuple[tuple[bytes, int], ...]) -> bytes:
    """`Vec<(AuthorityId, u64)>`."""
    return encode_compact(len(voters)) + b"".join(key + weight.to_bytes(8, "little") for key, weight in voters)


def genesis_state(authorities: bytes) -> AuthorityState:
    """The state after genesis from the SCALE result of GrandpaApi_grandpa_authorities; raises DecodeError."""
    reader = Reader(authorities)
    voters = read_voters(reader)
    reader.finish("grandpa authorities")
    return AuthorityState(AuthoritySet(0, voters))
