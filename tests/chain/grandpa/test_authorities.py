"""Authority sets from header digests."""

from __future__ import annotations

import pytest

from chain.errors import DecodeError
from chain.grandpa.authorities import AuthoritySet, AuthorityState, ForcedChange, follow, genesis_state
from chain.primitives import GRANDPA_ENGINE, DigestItem, DigestKind
from tests.chain.grandpa.simulation import GENESIS, KEYS, change, child, forced_change, state, voters

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


def test_forced_change_waits_for_the_voter_to_enact_it() -> None:
    header = child(GENESIS, forced_change(voters(5), delay=1, median=0))
    after = START.after(header)
    assert (after.current, after.forced) == (START.current, ForcedChange(2, voters(5), 0))
    assert [after.is_due(number) for number in (1, 2, 3)] == [False, True, True]
    assert after.enact(0, 2) == AuthorityState(AuthoritySet(1, voters(5)), settled=2)


def test_a_forced_change_wins_over_a_standard_one_of_its_block_and_over_a_later_forced_one() -> None:
    first = child(GENESIS, change(voters(7)), forced_change(voters(5), delay=9, median=0))
    second = child(first, forced_change(voters(6), delay=1, median=0))
    after = START.after(first).after(second)
    assert (after.pending, after.forced) == (None, ForcedChange(10, voters(5), 0))


def test_the_first_standard_change_of_a_block_counts() -> None:
    header = child(GENESIS, change(voters(7)), change(voters(5)))
    assert START.after(header).current == AuthoritySet(1, voters(7))


def test_announcements_that_a_forced_change_has_replaced_no_longer_count() -> None:
    state_ = AuthorityState(START.current, settled=1)
    first = child(GENESIS, change(voters(5)))
    assert state_.after(first) is state_
    assert state_.after(first).after(child(first, change(voters(6)))).current == AuthoritySet(1, voters(6))


def test_final_chains_are_followed_over_standard_and_forced_changes() -> None:
    headers = [GENESIS]
    digests = {number: change(voters(number)) for number in (1, 3, 5)}
    digests[2] = forced_change(voters(5), 2, median=1)
    for number in range(1, 7):
        headers.append(child(headers[-1], *([digests[number]] if number in digests else [])))
    ids = [follow(START, headers[1:end]).current.set_id for end in range(2, 8)]
    assert ids == [1, 1, 2, 2, 3, 3], "the change of block 3 is replaced by the forced one"
    assert follow(START, headers[1:5]).current == AuthoritySet(2, voters(5))
    assert follow(START, headers[1:]).current == AuthoritySet(3, voters(5))


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\x01", b"\x02" + bytes(4), change(voters(1, 0)).payload, b"\x01\x00" + bytes(4),
        change(voters(5)).payload + b"\x00", b"\x04\x00", b"\x09",
    ],  # fmt: skip
)
def test_malformed_or_other_logs_change_nothing(payload: bytes) -> None:
    header = child(GENESIS, DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload))
    assert START.after(header) is START


def test_state_survives_the_database() -> None:
    pending = START.after(child(GENESIS, change(voters(5), delay=3)))
    forced = pending.after(child(child(GENESIS), forced_change(voters(4), delay=8, median=1)))
    for one in (START, pending, forced, forced.enact(3, 10)):
        assert AuthorityState.decode(one.encode()) == one
