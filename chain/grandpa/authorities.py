"""GRANDPA authority sets as the headers' digests announce them. Pure.

`state_after(block)` is a function of the chain up to and including that block: the set that finalises its *children*
and the changes announced but not yet in force. A change announced in block s with delay d takes force after block
s + d: that block is the last one of the old set, and gets a justification of the old set before the new set votes.
A *forced* change (for when too many voters are gone for ever) needs no finality: it takes force as soon as a block
s + d is there, for all blocks that are not final yet; the voter enacts it (`enact`), and `follow` for final chains.
Source: `sp-consensus-grandpa` ConsensusLog; `sc-consensus-grandpa/src/authorities.rs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
class ForcedChange:
    """The set `voters` that takes force once block `effective_number` is there, for blocks above `median`: the last
    block that was final when the change was announced. Standard changes up to that block must be in force before."""

    effective_number: int
    voters: tuple[tuple[bytes, int], ...]
    median: int


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """After some block: the set for its children, and the changes on their way (at most one of each kind).

    Announcements in blocks up to number `settled` no longer count: a forced change has replaced what they announced.
    """

    current: AuthoritySet
    pending: PendingChange | None = None
    forced: ForcedChange | None = None
    settled: int = 0

    def after(self, header: Header) -> AuthorityState:
        """The state after `header`, whose parent's state this is; a forced change stays to be enacted."""
        if header.number <= self.settled:
            return self
        standard, forced = announced_changes(header)
        pending, forced = standard or self.pending, self.forced or forced
        if pending is not None and pending.effective_number <= header.number:
            current = AuthoritySet(self.current.set_id + 1, pending.voters)
            return replace(self, current=current, pending=None, forced=forced)
        is_same = pending is self.pending and forced is self.forced
        return self if is_same else replace(self, pending=pending, forced=forced)

    def is_due(self, number: int) -> bool:
        """Whether a forced change takes force now that block `number` is there."""
        return self.forced is not None and self.forced.effective_number <= number

    def enact(self, old_set_id: int, number: int) -> AuthorityState:
        """The state once block `number` has brought the forced change into force in place of set `old_set_id`."""
        if self.forced is None:
            raise ValueError("no forced change is pending")
        return AuthorityState(AuthoritySet(old_set_id + 1, self.forced.voters), settled=number)

    def encode(self) -> bytes:
        """For the database: set id u64, voters, settled u32, then pending (number u32, voters) and forced (the same,
        median u32), each behind a byte 1, or 0 for none."""
        parts = [self.current.set_id.to_bytes(8, "little"), encode_voters(self.current.voters), _u32(self.settled)]
        for change in (self.pending, self.forced):
            parts.append(b"\x00" if change is None else b"\x01")
            if change is not None:
                parts += [_u32(change.effective_number), encode_voters(change.voters)]
        if self.forced is not None:
            parts.append(_u32(self.forced.median))
        return b"".join(parts)

    @staticmethod
    def decode(data: bytes) -> AuthorityState:
        """Raises DecodeError."""
        reader = Reader(data)
        current = AuthoritySet(reader.u64("set id"), read_voters(reader))
        settled = reader.u32("settled")
        pending, forced = (
            PendingChange(reader.u32("effective number"), read_voters(reader)) if reader.option() else None
            for _ in range(2)
        )
        state = AuthorityState(
            current,
            pending,
            None if forced is None else ForcedChange(forced.effective_number, forced.voters, reader.u32("median")),
            settled,
        )
        reader.finish("authority state")
        return state


def follow(state: AuthorityState, headers: Iterable[Header]) -> AuthorityState:
    """The state after a chain of final blocks; forced changes are enacted where they came due.

    The set that such a change replaced is the one after its median block, as far back as `headers` go.
    """
    ids = [(0, state.current.set_id)]
    for header in headers:
        state = state.after(header)
        if state.forced is not None and state.is_due(header.number):
            median = state.forced.median
            state = state.enact(next(one for number, one in reversed(ids) if number <= median), header.number)
        if state.current.set_id != ids[-1][1]:
            ids.append((header.number, state.current.set_id))
    return state


def announced_changes(header: Header) -> tuple[PendingChange | None, ForcedChange | None]:
    """The standard or the forced change that the header's digest announces, the first of its kind; a forced one wins.

    Malformed ones and sets that are empty or hold a weight of 0 are ignored, as the node does.
    """
    standard: PendingChange | None = None
    for item in header.digest:
        if item.kind is not DigestKind.CONSENSUS or item.engine != GRANDPA_ENGINE:
            continue
        reader = Reader(item.payload)
        try:
            variant = reader.u8("grandpa log")
            if variant not in (SCHEDULED_CHANGE, FORCED_CHANGE):
                continue
            median = reader.u32("median last finalized") if variant == FORCED_CHANGE else 0
            voters, delay = read_voters(reader), reader.u32("delay")
            reader.finish("grandpa log")
        except DecodeError:
            continue
        if not voters or not all(weight for _, weight in voters):
            continue
        effective = min(header.number + delay, MAX_NUMBER)
        if variant == FORCED_CHANGE:
            return None, ForcedChange(effective, voters, median)
        standard = standard or PendingChange(effective, voters)
    return standard, None


def read_voters(reader: Reader) -> tuple[tuple[bytes, int], ...]:
    """`Vec<(AuthorityId, u64)>`, what GrandpaApi_grandpa_authorities returns too; raises DecodeError."""
    count = reader.compact(MAX_VOTERS, "authorities")
    return tuple((reader.take(32, "authority"), reader.u64("weight")) for _ in range(count))


def encode_voters(voters: tuple[tuple[bytes, int], ...]) -> bytes:
    """`Vec<(AuthorityId, u64)>`."""
    return encode_compact(len(voters)) + b"".join(key + weight.to_bytes(8, "little") for key, weight in voters)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def genesis_state(authorities: bytes) -> AuthorityState:
    """The state after genesis from the SCALE result of GrandpaApi_grandpa_authorities; raises DecodeError."""
    reader = Reader(authorities)
    voters = read_voters(reader)
    reader.finish("grandpa authorities")
    return AuthorityState(AuthoritySet(0, voters))
