"""Availability: a solver answers what it is asked for on chain; whom a server fails asks, a solver or a task's owner.

What to answer follows from chain storage and the store alone, so that a daemon that was killed goes on with the next
head. A checkpoint that was dropped is made again first (`wanted`, for the checkpoint keeper). An answer that comes
twice is refused by the chain and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import astuple

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import ProofError
from consensus.dispute.availability import (
    CheckpointChunk,
    Chunk,
    ChunkOpening,
    DataChunk,
    Tensors,
    TranscriptChunk,
    TranscriptOpening,
    encode_answer,
    open_checkpoint,
    open_record,
)
from consensus.protocol.units import UnitRef
from pallets_abi import availability, tasks, verification

from miner.kernels.native.hashing import get_hasher
from miner.roles.context import RoleContext, guard, to_hash
from miner.roles.link import ChainLink, EncodedCall, Head
from miner.roles.taskbook import TaskBook, UnitKey
from miner.store.address import Address, Kind
from miner.store.errors import BlobError, BlobNotFoundError
from miner.work.cheat import Cheat, CheatKind
from miner.work.errors import JournalError
from miner.work.journal import Journal, load_journal
from miner.work.unit import compute_label_prefix

log = logging.getLogger(__name__)

PALLET = "Availability"

PATIENCE_BLOCKS = 4
"""Blocks that an answer has to get into one before it is sent again."""

TILES = 2**32
"""A tile is drawn from so many numbers and counts modulo those that its tensor has."""


class Answerer:
    """One solver's answers; `on_head` with every head. `cheat`: a devnet's withholder answers nothing."""

    def __init__(self, context: RoleContext, cheat: Cheat) -> None:
        self._context = context
        self._is_silent = cheat.kind is CheatKind.WITHHOLD
        self._running: dict[int, asyncio.Task[bool]] = {}
        self._sent: dict[int, int] = {}
        self._told: set[int] = set()
        self.wanted: frozenset[Hash32] = frozenset()
        """Roots of the checkpoints that are asked for: they must stay or be made again."""

    async def on_head(self, head: Head) -> None:
        """Answers what is open, the most urgent first. Raises ChainClientError."""
        if self._is_silent:
            return
        asks = await self.list_asks()
        found = [(number, ask, await asyncio.to_thread(self._find_journal, ask)) for number, ask in asks]
        roots = (_find_root(ask, journal) for _, ask, journal in found if journal is not None)
        self.wanted = frozenset(root for root in roots if root is not None)
        open_numbers = {number for number, _ in asks}
        self._sent = {number: block for number, block in self._sent.items() if number in open_numbers}
        for number, ask, journal in found:
            is_sent = head.number < self._sent.get(number, -PATIENCE_BLOCKS) + PATIENCE_BLOCKS
            if journal is None:
                self._tell(number, "its unit's journal is not in our store")
            elif number not in self._running and not is_sent:
                work = guard(f"ask {number}", self._context.counters, self._answer(number, ask, journal, head.number))
                self._running[number] = task = asyncio.create_task(work)
                task.add_done_callback(lambda _, number=number: self._running.pop(number, None))  # type: ignore[misc]

    async def list_asks(self) -> list[tuple[int, availability.Ask]]:
        """The open asks that we must answer as a solver, by deadline. Raises ChainClientError."""
        return await list_asks(self._context.link, is_data=False)

    async def stop(self) -> None:
        """Ends answers under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _answer(self, number: int, ask: availability.Ask, journal: Journal, block: int) -> None:
        opening = await asyncio.to_thread(self._open, to_chunk(ask.chunk), journal)
        if opening is None:
            self._tell(number, "its checkpoint is being made again")
            return
        log.info("answering ask %d of %s about unit %d/%d: %s", number, ask.asker, ask.task, ask.unit, ask.chunk)
        await self._context.link.send(EncodedCall(PALLET, "answer", encode_answer(number, opening)))
        self._sent[number] = block

    def _open(self, chunk: Chunk, journal: Journal) -> ChunkOpening | None:
        """What answers; None while the checkpoint is not in the store. Raises `BlobError`."""
        records = journal.progress.records
        try:
            if isinstance(chunk, TranscriptChunk):
                return TranscriptOpening(open_record(records, chunk.segment))
            if isinstance(chunk, DataChunk):
                raise ProofError("a data set is its owner's to open")
            root = journal.get_checkpoint_root(chunk.checkpoint)
            hasher = get_hasher()
            state = self._context.store.get_state(root)
            tensors = Tensors.of(state, hasher.compute_tensor_root, hasher.compute_tile_hashes)
            return open_checkpoint(chunk, records, tensors)
        except BlobNotFoundError:
            return None
        except (ProofError, IndexError) as error:
            raise BlobError(journal.label, f"cannot be opened: {error}") from error

    def _find_journal(self, ask: availability.Ask) -> Journal | None:
        """The journal of the asked unit, whole."""
        prefix = compute_label_prefix(UnitRef(ask.task, ask.unit, ask.attempt))
        for label, _ in self._context.store.iterate_records(prefix):
            try:
                journal = load_journal(self._context.store, label)
            except JournalError as error:
                log.error("what is asked for cannot be opened: %s", error)
                continue
            if journal is not None and journal.progress.records:
                return journal
        return None

    def _tell(self, number: int, reason: str) -> None:
        if number not in self._told:
            self._told.add(number)
            log.warning("ask %d is not answered yet: %s", number, reason)


class Asker:
    """Asks about what could not be fetched: a solver for what a duty needs, a task's owner for the data set; each once
    a unit and attempt."""

    def __init__(self, context: RoleContext, book: TaskBook) -> None:
        self._context, self._book = context, book
        self._failing: dict[int, float] = {}
        """Since when nobody has served a task, monotonic seconds."""

    async def is_asked(self, key: UnitKey, attempt: int) -> bool:
        """Whether we asked about this attempt. Raises ChainClientError."""
        asks = await self._context.link.query(availability.ASKS_OF_UNIT, *key)
        return asks is not None and asks.attempt == attempt and self._context.wallet.address in asks.askers

    async def ask(self, key: UnitKey, duty: verification.Duty) -> None:
        """Asks for a chunk at random. Raises ChainClientError."""
        chunk = await self._draw(key, duty)
        log.warning("unit %d/%d is not served; asking on chain for %s", *key, chunk)
        await self._context.submit(availability.AskCall(*key, to_abi_chunk(chunk)))

    async def ask_owner(self, key: UnitKey, attempt: int) -> None:
        """Asks the owner for a tile of the data set, for the unit that we work on or verify; once, and only when its
        server has failed us for an answer's time: it may be starting again. Raises ChainClientError."""
        since = self._failing.setdefault(key[0], time.monotonic())
        if time.monotonic() - since < await self.get_answer_seconds() or await self._is_owner_asked(key, attempt):
            return
        spec = (await self._book.get_task(key[0])).spec
        chunk = DataChunk(secrets.randbelow(spec.data.arrays), secrets.randbelow(TILES))
        log.warning("task %d is not served; asking its owner on chain for %s", key[0], chunk)
        await self._context.submit(availability.AskCall(*key, to_abi_chunk(chunk)))

    async def get_answer_seconds(self) -> float:
        """How long an answer may take. Raises ChainClientError."""
        params = await self._context.link.query(availability.PARAMS)
        return params.answer_blocks * await self._context.link.slot_seconds()

    async def _is_owner_asked(self, key: UnitKey, attempt: int) -> bool:
        """Whether we asked for this attempt, or the owner has lost already for its silence."""
        if await self._context.link.query(tasks.FORFEITS, key[0]) is not None:
            return True
        asks = await self._context.link.query(availability.ASKS_OF_UNIT, *key)
        return asks is not None and asks.attempt == attempt and self._context.wallet.address in asks.askers_of_data

    async def _draw(self, key: UnitKey, duty: verification.Duty) -> Chunk:
        """A record while we have no transcript, else a tile of a drawn segment's start."""
        unit, spec = await self._book.get_unit(key), (await self._book.get_task(key[0])).spec
        if unit.submission is not None:
            address = Address(Kind.TRANSCRIPT, to_hash(unit.submission.transcript_root))
            if not self._context.store.is_stored(address):
                return TranscriptChunk(secrets.randbelow(spec.segments_per_unit))
        entry, tile = secrets.randbelow(spec.state_count), secrets.randbelow(TILES)
        return CheckpointChunk(secrets.choice(duty.segments), entry, tile)


_CHUNKS: dict[str, type[Chunk]] = {"Transcript": TranscriptChunk, "Checkpoint": CheckpointChunk, "Data": DataChunk}


async def list_asks(link: ChainLink, is_data: bool) -> list[tuple[int, availability.Ask]]:
    """The open asks that the link's account must answer, for data sets or for results, by deadline. Raises
    ChainClientError."""
    entries = [(int(number), ask) for (number,), ask in await link.query_map(availability.ASKS)]
    mine = [entry for entry in entries if entry[1].answerer == link.wallet.address]
    return sorted((entry for entry in mine if _is_data(entry[1]) is is_data), key=lambda entry: entry[1].deadline)


def to_chunk(chunk: availability.Chunk) -> Chunk:
    """A chunk of the chain's in our terms."""
    return _CHUNKS[chunk.name](*chunk.args)


def to_abi_chunk(chunk: Chunk) -> availability.Chunk:
    """A chunk in the form of the call."""
    return availability.Chunk(type(chunk).__name__.removesuffix("Chunk"), astuple(chunk))


def _is_data(ask: availability.Ask) -> bool:
    return ask.chunk.name == "Data"


def _find_root(ask: availability.Ask, journal: Journal) -> Hash32 | None:
    """Root of the checkpoint that is asked for; None for a record, and for one that our journal does not have."""
    chunk = to_chunk(ask.chunk)
    if not isinstance(chunk, CheckpointChunk) or chunk.checkpoint > len(journal.progress.records):
        return None
    return journal.get_checkpoint_root(chunk.checkpoint)
