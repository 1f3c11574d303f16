"""Watching: re-executes units at random in their watch windows, and opens a game about what it finds wrong.

Whom the beacon has not drawn may look as well, and is paid where it looks at a forced error (`finder`). Which units and
segments follows from a secret of this daemon, so that no solver knows what is looked at, and a daemon that was killed
looks at the same again.
"""

from __future__ import annotations

import logging
import secrets

from consensus.commit.hashing import blake2_256, encode_u16, encode_u32
from consensus.commit.records import compute_salted_witness
from pallets_abi import verification

from miner.inspect.errors import MachineUnsound
from miner.roles.context import RoleContext, to_account, to_hash
from miner.roles.disputes import Disputes
from miner.roles.finder import Finder
from miner.roles.link import Head
from miner.roles.replay import Replayer
from miner.roles.taskbook import TaskBook, UnitView

log = logging.getLogger(__name__)

SECRET_RECORD = "watch-secret"  # noqa: S105 - the name of a record
SHARE_SCALE = 2**64


class Watcher:
    """Looks at a share (`rate`, 0 to 1) of the units of others; `on_head` with every head."""

    def __init__(
        self, context: RoleContext, book: TaskBook, disputes: Disputes, replayer: Replayer, finder: Finder, rate: float
    ) -> None:
        self._context, self._book, self._disputes, self._replayer = context, book, disputes, replayer
        self._finder = finder
        self._rate = rate
        self._seen: set[tuple[int, int, int]] = set()
        self._secret = context.store.get_record(SECRET_RECORD) or secrets.token_bytes(32)
        context.store.put_record(SECRET_RECORD, self._secret)

    async def on_head(self, head: Head) -> None:
        """Looks at the units whose windows are open. Raises ChainClientError, `StoreError`, `WorkError`."""
        for (task, number), watch in await self._context.link.query_map(verification.WATCHES):
            unit = await self._book.get_unit((int(task), int(number)))
            key = (*unit.key, unit.attempt)
            if key in self._seen or head.number >= watch.until or unit.is_of(self._context.wallet.address):
                continue
            self._seen.add(key)
            if self._draw(unit, "look") < self._rate * SHARE_SCALE:
                await self._look(unit)

    async def _look(self, unit: UnitView) -> None:
        """Re-executes one segment; a difference that a game can decide opens one."""
        task = await self._book.get_task(unit.key[0])
        segment = self._draw(unit, "segment") % task.spec.segments_per_unit
        log.info("watching segment %d of unit %d/%d", segment, *unit.key)
        try:
            (report,) = await self._replayer.replay(unit.key, [segment])
        except MachineUnsound as error:
            log.error("unit %d/%d: %s", *unit.key, error)
            return
        record, claim = (await self._replayer.fetch_records(unit))[segment], report.claim
        if unit.assignment is None or unit.submission is None or claim is None:
            return
        is_last = segment + 1 == task.spec.segments_per_unit
        end = to_hash(unit.submission.end_state_root) if is_last else record.end_state_root
        witness = compute_salted_witness(to_account(unit.assignment.solver), claim.witness)
        if (claim.end_state_root, witness) != (end, record.salted_witness):
            await self._disputes.open(unit, self._replayer, segment)
        else:
            await self._finder.judge(unit, record, claim.witness)

    def _draw(self, unit: UnitView, purpose: str) -> int:
        numbers = encode_u32(unit.key[0]) + encode_u32(unit.key[1]) + encode_u16(unit.attempt)
        return int.from_bytes(blake2_256(self._secret, purpose.encode(), numbers)[:8], "little")
