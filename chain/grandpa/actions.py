"""What the voter is given to sign with, and what it wants done: the service does it, in order. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chain.grandpa.authorities import AuthorityState
from chain.grandpa.double_vote import DoubleVote
from chain.grandpa.messages import (
    CatchUp,
    CatchUpRequest,
    CommitMessage,
    Justification,
    Neighbor,
    SignedVote,
    VoteMessage,
)
from chain.primitives import Header


@dataclass(frozen=True, slots=True)
class Signer:
    """An ed25519 authority key: its public part and how it signs."""

    public: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Voted:
    """Our own votes of a round; stored before they are sent, so that a restart never votes twice."""

    set_id: int
    round: int
    prevote: SignedVote | None = None
    precommit: SignedVote | None = None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all peers (but `exclude`)."""

    message: VoteMessage | CommitMessage | Neighbor
    exclude: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one peer."""

    peer: str
    message: CommitMessage | CatchUpRequest | CatchUp


@dataclass(frozen=True, slots=True)
class Want:
    """Somebody votes for a block that we lack: fetch it from `peer`, who sent the vote."""

    peer: str
    number: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Finalize:
    """Blocks up to this one are final; `justification` proves it."""

    header: Header
    justification: Justification


@dataclass(frozen=True, slots=True)
class Remember:
    """Store this before the Broadcast that follows is sent."""

    voted: Voted


@dataclass(frozen=True, slots=True)
class Accuse:
    """A voter signed two votes of one kind in one round."""

    evidence: DoubleVote


@dataclass(frozen=True, slots=True)
class Switch:
    """A forced change took force: store this state of the finalised block, its own announcements are used up."""

    finalized: Header
    state: AuthorityState


Action = Broadcast | Send | Want | Finalize | Remember | Accuse | Switch
