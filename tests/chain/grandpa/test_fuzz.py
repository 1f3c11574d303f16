"""Fuzz of GRANDPA's gossip, justifications, authority states, and of the files that a node keeps of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from chain.errors import DecodeError
from chain.grandpa.authorities import (
    AuthoritySet,
    AuthorityState,
    PendingChange,
    announced_changes,
    encode_voters,
    genesis_state,
)
from chain.grandpa.errors import MalformedJustification, VoteInvalid
from chain.grandpa.messages import (
    Commit,
    CommitMessage,
    Justification,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    decode_gossip,
)
from chain.grandpa.service import GrandpaFiles
from chain.grandpa.voter import Voted
from chain.primitives import GRANDPA_ENGINE, DigestItem, DigestKind, Header, encode_compact
from tests.fuzz import Target, make_tests

HASH = bytes([0xAB]) * 32
HEADER = Header(HASH, 9, HASH, HASH)
PREVOTE = SignedVote(Vote(Kind.PREVOTE, HASH, 7), b"\x01" * 64, b"\x02" * 32)
PRECOMMIT = SignedVote(Vote(Kind.PRECOMMIT, HASH, 7), b"\x01" * 64, b"\x02" * 32)
COMMIT = Commit(HASH, 7, (PRECOMMIT, PRECOMMIT))
VOTERS = ((b"\x01" * 32, 1), (b"\x02" * 32, 2**64 - 1))
STATE = AuthorityState(AuthoritySet(3, VOTERS), PendingChange(8, VOTERS))
GOSSIP = (VoteMessage(1, 2, PREVOTE), CommitMessage(1, 2, COMMIT), Neighbor(1, 2, 3))


def decode_known_gossip(data: bytes) -> VoteMessage | CommitMessage | Neighbor:
    """Gossip of the kinds that have a form of their own here."""
    message = decode_gossip(data)
    if not isinstance(message, VoteMessage | CommitMessage | Neighbor):
        raise VoteInvalid("of a kind that is passed over")
    return message


def read_change(payload: bytes) -> bytes:
    """A set change as a header announces it, in the state that is stored after that header."""
    header = Header(HASH, 2**31, HASH, HASH, (DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload),))
    announced_changes(header)
    return AuthorityState(AuthoritySet(0, VOTERS)).after(header).encode()


def load_votes(data: bytes) -> Voted | None:
    """The votes that are read back from a vote file of these bytes, and can be stored again."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "votes.json").write_bytes(data)
        voted = GrandpaFiles(Path(folder)).load_votes()
        if voted is not None:
            for vote in (voted.prevote, voted.precommit):
                if vote is not None:
                    VoteMessage(voted.round, voted.set_id, vote).encode()
            (voted.round.to_bytes(8, "little"), voted.set_id.to_bytes(8, "little"))
        return voted


class Chain:
    """A chain of one block."""

    best = finalized = HEADER

    def leaves(self) -> list[bytes]:
        return [HEADER.hash]

    def header(self, block_hash: bytes) -> Header | None:
        return HEADER if block_hash == HEADER.hash else None

    def canonical_hash(self, number: int) -> bytes | None:
        return HEADER.hash if number == HEADER.number else None


def load_state(data: bytes) -> AuthorityState | None:
    """The authority state that is read back from a file of these bytes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "authorities.json").write_bytes(data)
        return GrandpaFiles(Path(folder)).load_state(Chain())


VOTES_FILE = json.dumps({"set_id": 1, "round": 2, "prevote": PREVOTE.encode().hex()}).encode()
STATE_FILE = json.dumps({"number": 9, "hash": HEADER.hash.hex(), "state": STATE.encode().hex()}).encode()
CHANGES = (
    b"\x01" + encode_voters(VOTERS) + b"\xff" * 4,
    b"\x02" + bytes(4) + encode_voters(VOTERS) + bytes(4),
)
DEEP = b"[" * 100_000
TARGETS = [
    Target("grandpa gossip", decode_known_gossip, (VoteInvalid,), tuple(one.encode() for one in GOSSIP),
           lambda message: message.encode(), bombs=(b"\x01" + bytes(52) + encode_compact(2_048) + bytes(1 << 20),)),
    Target("justification", Justification.decode, (MalformedJustification,),
           (Justification(4, COMMIT, (HEADER, HEADER)).encode(),), Justification.encode,
           bombs=(bytes(44) + encode_compact(0) + encode_compact(4_096) + bytes((1 << 20) - 47),)),
    Target("authority state", AuthorityState.decode, (DecodeError,),
           (STATE.encode(), AuthorityState(AuthoritySet(3, VOTERS)).encode()), AuthorityState.encode),
    Target("genesis authorities", genesis_state, (DecodeError,), (encode_voters(VOTERS),),
           lambda state: encode_voters(state.current.voters)),
    Target("authority change", read_change, (), CHANGES),
    Target("votes file", load_votes, (), (VOTES_FILE,), bombs=(DEEP,)),
    Target("authorities file", load_state, (), (STATE_FILE,), bombs=(DEEP,)),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


def test_files_as_they_are_written_are_read_back() -> None:
    assert load_votes(VOTES_FILE) == Voted(1, 2, PREVOTE, None)
    assert load_state(STATE_FILE) == STATE
