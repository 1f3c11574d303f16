"""GRANDPA messages in the standard SCALE encoding.

Source: `finality-grandpa` 0.16 (Message, SignedMessage, Commit, CompactCommit, CatchUp), polkadot-sdk
`sc-consensus-grandpa/src/communication/gossip.rs` (GossipMessage), `sp-consensus-grandpa` (localized payload,
GrandpaJustification). Block numbers are u32, hashes 32 bytes, ids 32-byte ed25519 keys, signatures 64 bytes. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from chain.errors import DecodeError
from chain.grandpa.errors import MalformedJustification, VoteInvalid
from chain.primitives import Header, Reader, encode_compact

MAX_VOTERS = 1_024  # authorities of a set; above the runtime's bound
MAX_ANCESTRIES = 4_096  # headers in a justification
MAX_JUSTIFICATION_BYTES = 1 << 20  # 1 MiB (= 1,048,576)


class Kind(IntEnum):
    """The variant of a vote."""

    PREVOTE = 0
    PRECOMMIT = 1
    PRIMARY_PROPOSE = 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A prevote, precommit or proposal for a block."""

    kind: Kind
    target_hash: bytes
    target_number: int

    def encode(self) -> bytes:
        """Message: variant u8, hash, number u32 LE."""
        return bytes((self.kind,)) + self.target_hash + self.target_number.to_bytes(4, "little")


def localized_payload(vote: Vote, round_number: int, set_id: int) -> bytes:
    """What a voter signs: SCALE(message, round u64, set id u64)."""
    return vote.encode() + round_number.to_bytes(8, "little") + set_id.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class SignedVote:
    """A vote with its voter's signature over the localized payload."""

    vote: Vote
    signature: bytes
    voter: bytes

    def encode(self) -> bytes:
        """SignedMessage: message, signature, id."""
        return self.vote.encode() + self.signature + self.voter


@dataclass(frozen=True, slots=True)
class VoteMessage:
    """Gossip of one vote."""

    round: int
    set_id: int
    signed: SignedVote

    def encode(self) -> bytes:
        """GossipMessage variant 0."""
        return b"\x00" + _u64(self.round) + _u64(self.set_id) + self.signed.encode()


@dataclass(frozen=True, slots=True)
class Commit:
    """Precommits (kind PRECOMMIT) that finalise a target."""

    target_hash: bytes
    target_number: int
    precommits: tuple[SignedVote, ...]


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """Gossip of a commit, in compact form (votes, then signatures and ids)."""

    round: int
    set_id: int
    commit: Commit

    def encode(self) -> bytes:
        """GossipMessage variant 1 with a CompactCommit."""
        votes = self.commit.precommits
        count = encode_compact(len(votes))
        return b"".join((
            b"\x01", _u64(self.round), _u64(self.set_id),
            self.commit.target_hash, _u32(self.commit.target_number),
            count, *(signed.vote.encode()[1:] for signed in votes),
            count, *(signed.signature + signed.voter for signed in votes),
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Where a node stands: round and set it votes in, number of its last finalised block."""

    round: int
    set_id: int
    finalized_number: int

    def encode(self) -> bytes:
        """GossipMessage variant 2, packet version 1."""
        return b"\x02\x01" + _u64(self.round) + _u64(self.set_id) + _u32(self.finalized_number)


@dataclass(frozen=True, slots=True)
class CatchUpRequest:
    """Asks a peer of the same set for the votes of round `round`, or of a later one that is complete."""

    round: int
    set_id: int

    def encode(self) -> bytes:
        """GossipMessage variant 3."""
        return b"\x03" + _u64(self.round) + _u64(self.set_id)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Votes that complete a round; all are for the base block or above it."""

    set_id: int
    round: int
    prevotes: tuple[SignedVote, ...]
    precommits: tuple[SignedVote, ...]
    base_hash: bytes
    base_number: int

    def encode(self) -> bytes:
        """GossipMessage variant 4; votes without their kind."""
        lists = (
            encode_compact(len(votes)) + b"".join(one.encode()[1:] for one in votes)
            for votes in (self.prevotes, self.precommits)
        )
        base = self.base_hash + _u32(self.base_number)
        return b"".join((b"\x04", _u64(self.set_id), _u64(self.round), *lists, base))


Gossip = VoteMessage | CommitMessage | Neighbor | CatchUpRequest | CatchUp


def decode_gossip(data: bytes) -> Gossip:
    """A GossipMessage from exactly these bytes; raises VoteInvalid."""
    reader = Reader(data)
    try:
        variant = reader.u8("grandpa variant")
        message = _read_gossip(reader, variant)
        reader.finish("grandpa message")
    except DecodeError as error:
        raise VoteInvalid(f"{error}") from error
    return message


@dataclass(frozen=True, slots=True)
class Justification:
    """A finality proof: the commit of `round` and the headers from its votes' targets down to (not with) its own."""

    round: int
    commit: Commit
    votes_ancestries: tuple[Header, ...] = ()

    def encode(self) -> bytes:
        """GrandpaJustification."""
        votes = self.commit.precommits
        return b"".join((
            _u64(self.round), self.commit.target_hash, _u32(self.commit.target_number),
            encode_compact(len(votes)),
            *(signed.vote.encode()[1:] + signed.signature + signed.voter for signed in votes),
            encode_compact(len(self.votes_ancestries)), *(header.encode() for header in self.votes_ancestries),
        ))  # fmt: skip

    @staticmethod
    def decode(data: bytes) -> Justification:
        """From exactly these bytes; raises MalformedJustification."""
        if len(data) > MAX_JUSTIFICATION_BYTES:
            raise MalformedJustification(f"{len(data)} bytes are above the bound {MAX_JUSTIFICATION_BYTES}")
        reader = Reader(data)
        try:
            round_number = reader.u64("round")
            target_hash, target_number = reader.take(32, "target hash"), reader.u32("target number")
            votes = _read_signed(reader, Kind.PRECOMMIT)
            headers = tuple(Header.read(reader) for _ in range(reader.compact(MAX_ANCESTRIES, "ancestries")))
            reader.finish("justification")
        except DecodeError as error:
            raise MalformedJustification(str(error)) from error
        return Justification(round_number, Commit(target_hash, target_number, votes), headers)


def _read_gossip(reader: Reader, variant: int) -> Gossip:
    if variant == 2:
        version = reader.u8("neighbor version")
        if version != 1:
            raise VoteInvalid(f"neighbor packet version {version} is unknown")
        return Neighbor(reader.u64("round"), reader.u64("set id"), reader.u32("finalized number"))
    if variant == 3:
        return CatchUpRequest(reader.u64("round"), reader.u64("set id"))
    if variant == 4:
        set_id, round_number = reader.u64("set id"), reader.u64("round")
        prevotes, precommits = (_read_signed(reader, kind) for kind in (Kind.PREVOTE, Kind.PRECOMMIT))
        return CatchUp(
            set_id, round_number, prevotes, precommits, reader.take(32, "base hash"), reader.u32("base number")
        )
    if variant > 4:
        raise VoteInvalid(f"grandpa message variant {variant} is unknown")
    round_number, set_id = reader.u64("round"), reader.u64("set id")
    if variant == 0:
        tag = reader.u8("vote kind")
        if tag > 2:
            raise VoteInvalid(f"vote kind {tag} is unknown")
        vote = _read_vote(reader, Kind(tag))
        return VoteMessage(round_number, set_id, SignedVote(vote, reader.take(64, "signature"), reader.take(32, "id")))
    target_hash, target_number = reader.take(32, "target hash"), reader.u32("target number")
    votes = [_read_vote(reader, Kind.PRECOMMIT) for _ in range(reader.compact(MAX_VOTERS * 2, "precommits"))]
    count = reader.compact(MAX_VOTERS * 2, "signatures")
    if count != len(votes):
        raise VoteInvalid(f"a commit with {len(votes)} votes and {count} signatures")
    signed = tuple(SignedVote(vote, reader.take(64, "signature"), reader.take(32, "id")) for vote in votes)
    return CommitMessage(round_number, set_id, Commit(target_hash, target_number, signed))


def _read_vote(reader: Reader, kind: Kind) -> Vote:
    return Vote(kind, reader.take(32, "vote hash"), reader.u32("vote number"))


def _read_signed(reader: Reader, kind: Kind) -> tuple[SignedVote, ...]:
    """Votes of a kind that is not encoded, each with signature and key; every voter may have two."""
    count = reader.compact(MAX_VOTERS * 2, f"{kind.name.lower()}s")
    return tuple(
        SignedVote(_read_vote(reader, kind), reader.take(64, "signature"), reader.take(32, "id")) for _ in range(count)
    )


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
