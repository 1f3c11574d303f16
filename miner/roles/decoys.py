"""A solver's decoys: hidden in its units, and shown when one of them turns out to count (docs/jackpot.md).

Where the decoy of a unit is follows from a secret of this daemon, so that a restart changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from chain.client import ExtrinsicFailed
from consensus.protocol.jackpot import Decoy, compute_decoy_commitment, derive_decoy
from consensus.protocol.units import PPM, UnitRef
from pallets_abi import jackpot, verification

from miner.roles.context import RoleContext
from miner.roles.forms import to_abi_finding
from miner.roles.link import Head
from miner.roles.taskbook import TaskBook, UnitKey
from miner.work.journal import load_journal
from miner.work.unit import compute_label_prefix

log = logging.getLogger(__name__)

SECRET_RECORD = "decoy-secret"  # noqa: S105 - the name of a record


class Decoys:
    """One solver's decoys; `on_head` with every head."""

    def __init__(self, context: RoleContext, book: TaskBook) -> None:
        self._context, self._book = context, book
        self._secret = context.store.get_record(SECRET_RECORD) or secrets.token_bytes(32)
        context.store.put_record(SECRET_RECORD, self._secret)

    def get_decoy(self, ref: UnitRef) -> Decoy:
        """The decoy of a unit of ours."""
        return derive_decoy(self._secret, ref)

    async def hide(self, ref: UnitRef) -> None:
        """Commits to a unit's decoy on chain, once, where any unit is left unchallenged. Raises ChainClientError.

        Without the commitment the unit is only no forced error.
        """
        if (await self._context.link.query(verification.PARAMS)).challenge_ppm >= PPM:
            return
        hidden = await self._context.link.query(jackpot.DECOYS, ref.task, ref.unit)
        if hidden is None or hidden.attempt != ref.attempt:
            commitment = compute_decoy_commitment(self._context.account, ref, self.get_decoy(ref))
            await self._context.submit(jackpot.HideCall(ref.task, ref.unit, "0x" + commitment.hex()))

    async def on_head(self, head: Head) -> None:
        """Shows the decoys that count. Raises ChainClientError, `StoreError`, `WorkError`."""
        for parts, draw in await self._context.link.query_map(jackpot.DRAWS):
            key = (int(parts[0]), int(parts[1]))
            if not draw.find_until <= head.number < draw.show_until:
                continue
            unit = await self._book.get_unit(key)
            decoy = self.get_decoy(UnitRef(*key, draw.attempt))
            if unit.is_of(self._context.wallet.address) and decoy.place == draw.counting:
                await self._show(key, draw, decoy)

    async def _show(self, key: UnitKey, draw: jackpot.Draw, decoy: Decoy) -> None:
        """Raises ChainClientError; what the chain refuses is logged: a fork may have taken findings away."""
        shown = None if draw.finders else await asyncio.to_thread(self._find_segment, key, draw)
        if not draw.finders and shown is None:
            return
        try:
            await self._context.submit(jackpot.ShowCall(*key, decoy.place, "0x" + decoy.salt.hex(), shown))
        except ExtrinsicFailed as error:
            log.warning("the decoy of unit %d/%d is not shown: %s", *key, error)
            return
        self._context.counters.forced_errors += 1
        log.info("unit %d/%d was a forced error; found by %d", *key, len(draw.finders))

    def _find_segment(self, key: UnitKey, draw: jackpot.Draw) -> jackpot.Finding | None:
        """The segment by which a decoy is shown that nobody has found; None when its journal is not in our store."""
        for label, _ in self._context.store.iterate_records(compute_label_prefix(UnitRef(*key, draw.attempt))):
            journal = load_journal(self._context.store, label)
            if journal is not None and len(journal.progress.records) > draw.segment:
                return to_abi_finding(journal.progress.open(draw.segment))
        log.warning("unit %d/%d: its journal is not in our store, so its decoy cannot be shown", *key)
        return None
