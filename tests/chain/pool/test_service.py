"""The pool's service against a runtime that answers from a table: watchers, revalidation, reorganisations."""

from __future__ import annotations

import asyncio

import pytest

from chain.errors import DecodeError
from chain.pool import InvalidTransaction, TransactionSource, ValidTransaction, decode_validity
from chain.pool.errors import BadFormat, Refused
from chain.pool.service import BlockView, PoolService, read_sender
from chain.pool.validity import UnknownValidity, Validity
from chain.primitives import blake2_256, encode_bytes

GENESIS = (b"\x00" * 32, 0)
ALICE = b"A" * 32


def extrinsic(nonce: int, sender: bytes = ALICE) -> bytes:
    return encode_bytes(b"\x84\x00" + sender + bytes([nonce]))


class Runtime:
    """Validates by nonce: below `nonce` stale, above it requires the one before."""

    def __init__(self) -> None:
        self.nonce = 0
        self.calls = 0

    async def validate(self, _source: TransactionSource, data: bytes, _at: bytes) -> Validity:
        self.calls += 1
        nonce = data[-1]
        if nonce < self.nonce:
            return InvalidTransaction("Stale")
        requires = (ALICE + (nonce - 1).to_bytes(4, "little"),) if nonce > self.nonce else ()
        return ValidTransaction(1, requires, (ALICE + nonce.to_bytes(4, "little"),), 64, True)


def block(number: int, *extrinsics: bytes) -> BlockView:
    return BlockView(bytes([number]) * 32, number, extrinsics)


async def test_watcher_sees_the_whole_life() -> None:
    runtime = Runtime()
    pool = PoolService(runtime.validate, GENESIS)
    watch = await pool.submit_and_watch(extrinsic(0))
    runtime.nonce = 1
    pool.on_best_changed([block(1, extrinsic(0))], [])
    pool.on_finalized([b"\x01" * 32])
    seen = [status.name async for status in watch]
    assert seen == ["ready", "inBlock", "finalized"]


async def test_retracted_transaction_comes_back() -> None:
    runtime = Runtime()
    pool = PoolService(runtime.validate, GENESIS)
    watch = await pool.submit_and_watch(extrinsic(0))
    runtime.nonce = 1
    pool.on_best_changed([block(1, extrinsic(0))], [])
    runtime.nonce = 0
    pool.on_best_changed([block(2)], [block(1, extrinsic(0))])
    await pool.work()
    assert [tx.data for tx in pool.ready()] == [extrinsic(0)]
    runtime.nonce = 1
    pool.on_best_changed([block(3, extrinsic(0))], [])
    pool.on_finalized([b"\x03" * 32])
    seen = [status.name async for status in watch]
    assert seen == ["ready", "inBlock", "retracted", "ready", "inBlock", "finalized"]


async def test_stale_after_a_strange_block_is_invalid() -> None:
    runtime = Runtime()
    pool = PoolService(runtime.validate, GENESIS)
    watch = await pool.submit_and_watch(extrinsic(0))
    runtime.nonce = 1
    other = encode_bytes(b"\x84\x00" + ALICE + b"\x00\x00")  # the same nonce, other content
    pool.on_best_changed([block(1, other)], [])
    await pool.work()
    assert [status.name async for status in watch] == ["ready", "invalid"]
    assert len(pool.pool) == 0


async def test_refused_leaves_nothing_behind() -> None:
    runtime = Runtime()
    runtime.nonce = 5
    pool = PoolService(runtime.validate, GENESIS)
    with pytest.raises(Refused, match="outdated"):
        await pool.submit_and_watch(extrinsic(4))
    assert len(pool.pool) == 0
    assert len(pool._watchers) == 0


async def test_next_nonce_counts_waiting_ones_without_gap() -> None:
    pool = PoolService(Runtime().validate, GENESIS)
    for nonce in (0, 1, 3):
        await pool.submit(extrinsic(nonce))
    assert pool.next_nonce(ALICE, 0) == 2
    assert pool.next_nonce(b"B" * 32, 7) == 7


async def test_a_hundred_submissions_at_once() -> None:
    runtime = Runtime()
    pool = PoolService(runtime.validate, GENESIS)
    await asyncio.gather(*(pool.submit(extrinsic(nonce)) for nonce in range(100)))
    assert [tx.data for tx in pool.ready()] == [extrinsic(nonce) for nonce in range(100)]


def test_sender_of_extrinsics() -> None:
    assert read_sender(extrinsic(0)) == ALICE
    assert read_sender(encode_bytes(b"\x04\x01\x00")) is None
    for bad in (b"", b"\x08\x84", extrinsic(0)[:-1], extrinsic(0) + b"\x00", encode_bytes(b"\x84\x00" + b"A" * 31)):
        with pytest.raises(BadFormat):
            read_sender(bad)


def test_decoding_what_the_runtime_answers() -> None:
    valid = b"\x00" + (7).to_bytes(8, "little") + b"\x00" + b"\x04\x04t" + (64).to_bytes(8, "little") + b"\x01"
    assert decode_validity(valid) == ValidTransaction(7, (), (b"t",), 64, True)
    assert decode_validity(b"\x01\x00\x03") == InvalidTransaction("Stale")
    assert decode_validity(b"\x01\x00\x07\x2a") == InvalidTransaction("Custom", 42)
    assert decode_validity(b"\x01\x01\x00") == UnknownValidity("CannotLookup")
    for bad in (b"", b"\x02", b"\x01\x00\x0d", b"\x01\x01\x03", valid + b"\x00", valid[:-1]):
        with pytest.raises(DecodeError):
            decode_validity(bad)


def test_hash_is_over_the_bytes_with_their_length() -> None:
    data = extrinsic(0)
    assert blake2_256(data) != blake2_256(data[1:])
