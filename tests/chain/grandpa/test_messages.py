"""Encodings against bytes written out by hand after the type definitions of finality-grandpa and polkadot-sdk."""

from __future__ import annotations

import pytest

from chain.grandpa.errors import MalformedJustification, VoteInvalid
from chain.grandpa.messages import (
    CatchUp,
    CatchUpRequest,
    Commit,
    CommitMessage,
    Justification,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    decode_gossip,
    localized_payload,
)
from tests.chain.grandpa.simulation import GENESIS, child

HASH, SIGNATURE, VOTER = bytes([0xAB]) * 32, bytes([0xCD]) * 64, bytes([0xEF]) * 32
PRECOMMIT = SignedVote(Vote(Kind.PRECOMMIT, HASH, 0x01020304), SIGNATURE, VOTER)


def test_localized_payload_is_message_round_and_set() -> None:
    payload = localized_payload(Vote(Kind.PRECOMMIT, HASH, 0x01020304), 5, 6)
    assert payload.hex() == "01" + "ab" * 32 + "04030201" + "0500000000000000" + "0600000000000000"


def test_vote_message_bytes() -> None:
    message = VoteMessage(7, 1, PRECOMMIT)
    wanted = "00" + "0700000000000000" + "0100000000000000" + "01" + "ab" * 32 + "04030201" + "cd" * 64 + "ef" * 32
    assert message.encode().hex() == wanted
    assert decode_gossip(bytes.fromhex(wanted)) == message


def test_commit_message_is_compact_votes_first() -> None:
    message = CommitMessage(7, 1, Commit(HASH, 9, (PRECOMMIT,)))
    wanted = (
        "01" + "0700000000000000" + "0100000000000000" + "ab" * 32 + "09000000"
        + "04" + "ab" * 32 + "04030201" + "04" + "cd" * 64 + "ef" * 32
    )  # fmt: skip
    assert message.encode().hex() == wanted
    assert decode_gossip(bytes.fromhex(wanted)) == message


def test_neighbor_packet_bytes() -> None:
    message = Neighbor(3, 2, 1)
    wanted = "0201" + "0300000000000000" + "0200000000000000" + "01000000"
    assert message.encode().hex() == wanted
    assert decode_gossip(bytes.fromhex(wanted)) == message


def test_justification_bytes() -> None:
    header = child(GENESIS)
    proof = Justification(7, Commit(HASH, 9, (PRECOMMIT,)), (header,))
    wanted = (
        "0700000000000000" + "ab" * 32 + "09000000" + "04" + "ab" * 32 + "04030201" + "cd" * 64 + "ef" * 32
        + "04" + header.encode().hex()
    )  # fmt: skip
    assert proof.encode().hex() == wanted
    assert Justification.decode(bytes.fromhex(wanted)) == proof


def test_catch_up_request_bytes() -> None:
    wanted = "03" + "0700000000000000" + "0100000000000000"
    assert CatchUpRequest(7, 1).encode().hex() == wanted
    assert decode_gossip(bytes.fromhex(wanted)) == CatchUpRequest(7, 1)


def test_catch_up_bytes() -> None:
    prevote = SignedVote(Vote(Kind.PREVOTE, HASH, 2), SIGNATURE, VOTER)
    message = CatchUp(1, 7, (prevote,), (PRECOMMIT, PRECOMMIT), HASH, 9)
    tail = "cd" * 64 + "ef" * 32
    wanted = (
        "04" + "0100000000000000" + "0700000000000000" + "04" + "ab" * 32 + "02000000" + tail
        + "08" + 2 * ("ab" * 32 + "04030201" + tail) + "ab" * 32 + "09000000"
    )  # fmt: skip
    assert message.encode().hex() == wanted
    assert decode_gossip(bytes.fromhex(wanted)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05",
        b"\x02\x02" + bytes(20),
        b"\x03" + bytes(17),
        b"\x04" + bytes(16) + b"\xfe\xff\xff\xff",
        VoteMessage(7, 1, PRECOMMIT).encode()[:-1],
        VoteMessage(7, 1, PRECOMMIT).encode() + b"\x00",
        VoteMessage(7, 1, PRECOMMIT).encode().replace(b"\x01\xab", b"\x03\xab"),
        CommitMessage(7, 1, Commit(HASH, 9, (PRECOMMIT,))).encode()[:53] + b"\x00\x04" + SIGNATURE + VOTER,
        b"\x01" + bytes(16) + HASH + bytes(4) + b"\xfe\xff\xff\xff",
    ],
)
def test_invalid_gossip_is_refused(data: bytes) -> None:
    with pytest.raises(VoteInvalid):
        decode_gossip(data)


@pytest.mark.parametrize("data", [b"", bytes(44), bytes(44) + b"\x04\x00", bytes(46) + b"\x00", bytes((1 << 20) + 1)])
def test_invalid_justification_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedJustification):
        Justification.decode(data)
