"""What a solver keeps: has the checkpoints made that duties and games ask for, forgets units whose windows are closed.

A unit's store keeps about √n of its checkpoints (`miner/work/retention.py`). The draw on chain says which segments are
re-executed, so that their start states can be there before the verifiers ask. All is read from chain and store, so that
a restart changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from consensus.commit.hashing import Hash32
from consensus.protocol.units import UnitRef
from pallets_abi import verification

from miner.roles.context import RoleContext
from miner.roles.taskbook import TaskBook
from miner.work.errors import JournalError
from miner.work.journal import load_journal
from miner.work.unit import compute_label_prefix, forget_unit, list_units

log = logging.getLogger(__name__)

DutyKey = tuple[UnitRef, int]
"""Unit and draw."""

Duties = list[tuple[tuple[Any, ...], verification.Duty]]
"""All open duties with their keys, task and unit."""


class CheckpointKeeper:
    """Looks after the checkpoints of one solver's units."""

    def __init__(self, context: RoleContext, book: TaskBook) -> None:
        self._context, self._book = context, book
        self._drawn: dict[DutyKey, frozenset[Hash32]] = {}

    async def on_duties(self, duties: Duties, disputed: frozenset[Hash32]) -> None:
        """Has the start states of drawn segments made, as long as verifiers may ask for them, and of disputed ones."""
        drawn: dict[DutyKey, frozenset[Hash32]] = {}
        for parts, duty in duties:
            if duty.phase is verification.Phase.COMMIT:
                ref = UnitRef(int(parts[0]), int(parts[1]), duty.attempt)
                key = (ref, duty.draws)
                known = self._drawn.get(key)
                drawn[key] = await asyncio.to_thread(self._find_starts, ref, duty) if known is None else known
        self._drawn = drawn
        await self._context.maker.expect(disputed.union(*drawn.values()))

    async def tidy(self) -> list[UnitRef]:
        """Forgets units that are final or not ours any more, and says which. Raises ChainClientError."""
        counters, forgotten = self._context.counters, []
        for ref, label in list_units(self._context.store):
            unit = await self._book.get_unit((ref.task, ref.unit))
            is_ours = unit.is_of(self._context.wallet.address) and unit.attempt == ref.attempt
            if is_ours and unit.state != "Final":
                continue
            counters.units_final += int(is_ours)
            counters.units_lost += int(not is_ours)
            forgotten.append(ref)
            await asyncio.to_thread(forget_unit, self._context.store, label)
        return forgotten

    def _find_starts(self, ref: UnitRef, duty: verification.Duty) -> frozenset[Hash32]:
        """Roots of the states in which drawn segments start; none for a unit that is not in our store."""
        roots = set()
        for label, _ in self._context.store.iterate_records(compute_label_prefix(ref)):
            try:
                journal = load_journal(self._context.store, label)
            except JournalError as error:
                log.error("states that verifiers will ask for cannot be made: %s", error)
                continue
            if journal is not None and len(journal.progress.records) >= max(duty.segments, default=0):
                roots |= {journal.get_checkpoint_root(segment) for segment in duty.segments}
        return frozenset(roots)
