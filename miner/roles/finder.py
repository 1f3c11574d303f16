"""Whistleblowers' findings: seals what a watcher saw of an unchallenged unit, and opens it when the time has come.

A seal says neither of which unit it is nor whether it is of any: who has looked seals something random where it found
nothing, so that nobody who has not looked learns where a prize is. A finding and its salt are in the store before the
seal is sent, so that a restart can still open it.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass

from chain.client import ExtrinsicFailed
from consensus.commit.hashing import Hash32
from consensus.commit.records import SegmentRecord, compute_opening, is_claim_false
from consensus.protocol.jackpot import compute_finding_commitment
from pallets_abi import jackpot

from miner.roles.context import RoleContext, to_account
from miner.roles.forms import to_abi_finding
from miner.roles.link import Head
from miner.roles.replay import Replayer
from miner.roles.taskbook import TaskBook, UnitKey, UnitView
from miner.store.errors import StoreError

log = logging.getLogger(__name__)

RECORD_PREFIX = "finding/"

SEAL_BLOCKS = 2
"""We seal so many blocks before the last one that counts: one look more may find something."""


@dataclass(frozen=True)
class _Found:
    """What we found, until it is opened."""

    key: UnitKey
    attempt: int
    segment: int
    witness: Hash32
    salt: bytes

    @property
    def name(self) -> str:
        """Of its record in the store."""
        return f"{RECORD_PREFIX}{self.key[0]}/{self.key[1]}/{self.attempt}"

    def encode(self) -> bytes:
        """JSON."""
        document = {
            "task": self.key[0], "unit": self.key[1], "attempt": self.attempt, "segment": self.segment,
            "witness": self.witness.hex(), "salt": self.salt.hex(),
        }  # fmt: skip
        return json.dumps(document).encode()


class Finder:
    """One watcher's findings; `judge` what was re-executed, `on_head` with every head."""

    def __init__(self, context: RoleContext, book: TaskBook, replayer: Replayer) -> None:
        self._context, self._book, self._replayer = context, book, replayer
        self._looked: dict[UnitKey, jackpot.Draw] = {}
        self._sealed_until = 0
        """While seals of draws that end here or before are done."""

    async def judge(self, unit: UnitView, record: SegmentRecord, witness: Hash32) -> None:
        """Looks for the decoy in a re-executed segment. Raises ChainClientError, `StoreError`."""
        draw = await self._context.link.query(jackpot.DRAWS, *unit.key)
        if draw is None or unit.assignment is None or draw.attempt != unit.attempt:
            return
        self._looked[unit.key] = draw
        if is_claim_false(record, to_account(unit.assignment.solver), witness, draw.counting):
            found = _Found(unit.key, unit.attempt, record.index, witness, secrets.token_bytes(32))
            log.info("unit %d/%d: claim %d is false in segment %d", *unit.key, draw.counting, record.index)
            self._context.store.put_record(found.name, found.encode())

    async def on_head(self, head: Head) -> None:
        """Seals and opens what is due. Raises ChainClientError, `StoreError`, `BlobError`."""
        self._looked = {key: draw for key, draw in self._looked.items() if head.number < draw.seal_until}
        due = [draw.seal_until for draw in self._looked.values() if draw.seal_until <= head.number + SEAL_BLOCKS]
        if due and min(due) > self._sealed_until:
            await self._seal()
            self._sealed_until = max(draw.seal_until for draw in self._looked.values())
        for found in self._list_found():
            draw = await self._context.link.query(jackpot.DRAWS, *found.key)
            if draw is None or draw.attempt != found.attempt or head.number >= draw.find_until:
                self._context.store.delete_record(found.name)
            elif head.number >= draw.seal_until:
                await self._open(found)

    async def _seal(self) -> None:
        """One seal for all that we looked at: of a finding if there is one."""
        found = next((found for found in self._list_found() if found.key in self._looked), None)
        commitment = secrets.token_bytes(32)
        if found is not None:
            account = self._context.account
            commitment = compute_finding_commitment(account, *found.key, found.segment, found.witness, found.salt)
        try:
            await self._context.submit(jackpot.SealCall("0x" + commitment.hex()))
        except ExtrinsicFailed as error:
            log.info("not sealed: %s", error)

    async def _open(self, found: _Found) -> None:
        unit = await self._book.get_unit(found.key)
        opening = compute_opening(await self._replayer.fetch_records(unit), found.segment, found.witness)
        call = jackpot.FindCall(*found.key, to_abi_finding(opening), "0x" + found.salt.hex())
        self._context.store.delete_record(found.name)
        try:
            await self._context.submit(call)
        except ExtrinsicFailed as error:
            log.info("the finding in unit %d/%d is not taken: %s", *found.key, error)
            return
        self._context.counters.decoys_found += 1
        log.info("found the decoy of unit %d/%d", *found.key)

    def _list_found(self) -> list[_Found]:
        return [_decode(name, raw) for name, raw in self._context.store.iterate_records(RECORD_PREFIX)]


def _decode(name: str, raw: bytes) -> _Found:
    try:
        document = json.loads(raw)
        key = (int(document["task"]), int(document["unit"]))
        witness, salt = Hash32(bytes.fromhex(document["witness"])), bytes.fromhex(document["salt"])
        return _Found(key, int(document["attempt"]), int(document["segment"]), witness, salt)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StoreError(f"the record {name} is damaged ({error}); delete it") from error
