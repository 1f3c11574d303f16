"""Authority sets from header digests."""

from __future__ import annotations

import pytest

from chain.errors import DecodeError
from chain.grandpa.authorities import AuthoritySet, AuthorityState, genesis_state
from chain.primitives import GRANDPA_ENGINE, DigestItem, DigestKind
from tests.chain.grandpa.simulation import GENESIS, KEYS, change, child, state, voters

START = state(1, 2)


def test_genesis_authorities_from_the_runtime_api() -> None:
    data = "08" + KEYS[0].public.hex() + "0100000000000000" + KEYS[1].public.hex() + "0200000000000000"
    assert genesis_state(bytes.fromhex(data)) == START


@pytest.mark.parametrize("data", [b"", b"\x04", b"\x00\x00", b"\x04" + bytes(39)])
def test_invalid_genesis_authorities(data: bytes) -> None:
    with pytest.raises(DecodeError):
        genesis_state(data)


def test_no_digest_changes_nothing() -> None:
    assert START.after(child(GENESIS)) is START


def test_change_without_delay_is_in_force_for_the_next_block() -> None:
    assert START.after(child(GENESIS, change(voters(5)))).current == AuthoritySet(1, voters(5))


def test_change_with_delay_waits_for_it() -> None:
    first = child(GENESIS, change(voters(5), delay=1))
    after = START.after(first)
    assert (after.current, after.pending is None) == (START.current, False)
    assert after.after(child(first)) == AuthorityState(AuthoritySet(1, voters(5)))


def test_forced_change_has_the_median_in_front() -> None:
    payload = b"\x02" + bytes(4) + b"\x04" + KEYS[0].public + (5).to_bytes(8, "little") + bytes(4)
    header = child(GENESIS, DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload))
    assert START.after(header).current == AuthoritySet(1, voters(5))


@pytest.mark.parametrize(
    "payload", [b"", b"\x01", b"\x01\x00" + bytes(4), change(voters(5)).payload + b"\x00", b"\x04\x00", b"\x09"]
)
def test_malformed_or_other_logs_change_nothing(payload: bytes) -> None:
    header = child(GENESIS, DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload))
    assert START.after(header) is START


def test_state_survives_the_database() -> None:
    pending = START.after(child(GENESIS, change(voters(5), delay=3)))
    for one in (START, pending):
        assert AuthorityState.decode(one.encode()) == one
