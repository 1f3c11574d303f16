"""Disputes: defends the own units in every open game, challenges others', and opens the games that are due.

What to do follows from chain storage alone, so that a daemon that was killed goes on with the next head: whose turn it
is, what was committed to, from which state the segment starts. A move that comes twice, or too late, is refused by the
chain and changes nothing. The execution behind the moves runs in a worker process of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consensus.commit.hashing import Hash32
from consensus.dispute.challenger import open_segment
from consensus.dispute.view import Side, Unit
from pallets_abi import disputes

from miner.disputes.chain import RawGame, to_call
from miner.disputes.player import PlayRequest
from miner.roles.context import RoleContext, find_endpoint, guard, to_account, to_hash
from miner.roles.link import EncodedCall, Head
from miner.roles.replay import Replayer
from miner.roles.taskbook import TaskBook, UnitKey, UnitView
from miner.store.address import Address, Kind
from miner.store.errors import BlobError
from miner.work.cheat import Cheat
from miner.work.inputs import compute_state_limit, fetch_state
from miner.work.unit import get_state_source
from miner.work.worker import TaskInputs

log = logging.getLogger(__name__)

PALLET = "Disputes"
PIN_PREFIX = "game/"
"""Of the labels of states that a challenger keeps for its games; the game's number follows."""

PATIENCE_BLOCKS = 4
"""Blocks that a move has to get into one before it is made again."""

OPEN_TO_BOTH = {"Arbitration", "Data"}
"""Stages in which the challenger may settle although it is the defender's turn."""


@dataclass(frozen=True)
class OpenGame:
    """An open game in which we are a party."""

    number: int
    game: disputes.Game
    side: Side

    @property
    def is_due(self) -> bool:
        """Whether we may move."""
        is_turn = self.game.turn.value == self.side.name.capitalize()
        return is_turn or (self.side is Side.CHALLENGER and self.game.stage.name in OPEN_TO_BOTH)

    @property
    def deadline(self) -> int:
        """Last block in which the turn's move is in time."""
        is_defender = self.game.turn is disputes.Side.DEFENDER
        return self.game.since + (self.game.defender_clock if is_defender else self.game.challenger_clock)


@dataclass(frozen=True)
class _Setting:
    """What stays the same in a game: the unit, the task's inputs, the segment's start state."""

    unit: Unit
    inputs: TaskInputs
    start: bytes | Path


class Disputes:
    """One account's games; `on_head` with every head. `cheat`: the lie that a devnet's liar defends."""

    def __init__(self, context: RoleContext, book: TaskBook, cheat: Cheat) -> None:
        self._context, self._book, self._cheat = context, book, cheat
        self._running: dict[int, asyncio.Task[bool]] = {}
        self._playing: frozenset[UnitKey] = frozenset()
        self._settings: dict[int, _Setting] = {}
        self._open: dict[int, Side] = {}
        self._sent: dict[int, tuple[int, int]] = {}
        self._block = 0
        self._silent: set[tuple[int, int]] = set()
        self._was_playing = False
        self.starts: frozenset[Hash32] = frozenset()
        """Roots of the states from which the segments start that we defend: they must stay or be made again."""

    async def on_head(self, head: Head) -> None:
        """Begins the moves that are due, the most urgent first. Raises ChainClientError."""
        games, self._block = await self.list_games(), head.number
        numbers = {entry.number for entry in games}
        self._settings = {number: setting for number, setting in self._settings.items() if number in numbers}
        self.starts = frozenset(to_hash(entry.game.start) for entry in games if entry.side is Side.DEFENDER)
        self._playing = frozenset((entry.game.task, entry.game.unit) for entry in games)
        await self._count_ended({entry.number: entry.side for entry in games})
        for entry in sorted(games, key=lambda entry: entry.deadline):
            if entry.is_due and entry.number not in self._running and not self._is_sent(entry, head):
                self._start(entry.number, self._move(entry))
        await asyncio.to_thread(self._unpin_all_but, numbers)
        if self._was_playing and not games and not self._running:
            await self._context.players.close()  # frees the memory; the next game starts another process
        self._was_playing = bool(games)

    async def list_games(self) -> list[OpenGame]:
        """The open games in which we are a party. Raises ChainClientError."""
        address, found = self._context.wallet.address, []
        for (number,), game in await self._context.link.query_map(disputes.GAMES):
            if address in (game.defender, game.challenger):
                side = Side.DEFENDER if game.defender == address else Side.CHALLENGER
                found.append(OpenGame(int(number), game, side))
        return found

    async def stop(self) -> None:
        """Ends moves under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def open(self, unit: UnitView, replayer: Replayer, segment: int) -> None:
        """Opens a game about a segment of a unit, unless we play one about it already. Raises ChainClientError,
        `BlobError`, `FetchError`."""
        if unit.key in self._playing:
            return
        records = await replayer.fetch_records(unit)
        log.warning("opening a game about segment %d of unit %d/%d", segment, *unit.key)
        call = to_call(open_segment(*unit.key, records, segment))
        await self._context.submit(EncodedCall(PALLET, call.function, call.arguments))
        self._context.counters.games_opened += 1
        self._playing |= {unit.key}

    async def _count_ended(self, games: dict[int, Side]) -> None:
        """Counts the games that have ended since the last head; a fork may take one back, then it counts twice."""
        for number in self._open.keys() - games.keys():
            ended = await self._context.link.query(disputes.ENDED, number)
            if ended is not None and ended.winner is not None:
                is_won = ended.winner.value == self._open[number].name.capitalize()
                self._context.counters.games_won += int(is_won)
                self._context.counters.games_lost += int(not is_won)
        self._open = games

    def _start(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(guard(f"game {number}", self._context.counters, work))
        self._running[number] = task
        task.add_done_callback(lambda _: self._running.pop(number, None))

    def _is_sent(self, entry: OpenGame, head: Head) -> bool:
        """Whether the move that is due is on its way to a block."""
        moves, block = self._sent.get(entry.number, (-1, 0))
        return moves == entry.game.moves and head.number < block + PATIENCE_BLOCKS

    async def _move(self, entry: OpenGame) -> None:
        """One move of a game, if we have one."""
        setting = self._settings.get(entry.number) or await self._find_setting(entry)
        if setting is None:
            return
        self._settings[entry.number] = setting
        request = PlayRequest(
            entry.number, entry.side, setting.unit, entry.game.segment, await self._read_raw(entry.number),
            to_hash(entry.game.start), setting.start, self._cheat,
        )  # fmt: skip
        call = await self._context.players.play(setting.inputs, request)
        turn = (entry.number, entry.game.moves)
        if call is not None:
            log.info("game %d, move %d: %s", entry.number, entry.game.moves, call.function)
            await self._context.link.send(EncodedCall(PALLET, call.function, call.arguments))
            self._sent[entry.number] = (entry.game.moves, self._block)
        elif turn not in self._silent:
            self._silent.add(turn)
            log.warning("game %d: nothing holds in stage %s; the clock runs", entry.number, entry.game.stage.name)

    async def _find_setting(self, entry: OpenGame) -> _Setting | None:
        """What stays the same in a game; None when it is over, or while its start state is being made again."""
        key = (entry.game.task, entry.game.unit)
        unit, task = await self._book.get_unit(key), await self._book.get_task(key[0])
        if unit.assignment is None or unit.submission is None or unit.attempt != entry.game.attempt:
            return None
        inputs = await self._book.get_inputs(key[0], task)
        start = await self._find_start(entry, unit, inputs)
        return None if start is None else _Setting(_make_unit(unit, entry.game, inputs), inputs, start)

    async def _find_start(self, entry: OpenGame, unit: UnitView, inputs: TaskInputs) -> bytes | Path | None:
        """The state from which the disputed segment starts; None while a dropped checkpoint is being made again."""
        context, root = self._context, to_hash(entry.game.start)
        address = Address(Kind.STATE, root)
        if entry.side is Side.DEFENDER and not context.store.is_stored(address):
            log.info("game %d waits for the state %s", entry.number, root.hex()[:16])
            return None  # the checkpoint keeper has it made
        if entry.side is Side.CHALLENGER and unit.assignment is not None:
            endpoints = [await find_endpoint(context, unit.assignment.solver)]
            limit = compute_state_limit(inputs)
            await fetch_state(context.client, context.store, endpoints, root, limit, f"{PIN_PREFIX}{entry.number}")
        return await asyncio.to_thread(get_state_source, context.store, address)

    async def _read_raw(self, number: int) -> RawGame:
        """A game's entries in storage, all of the best block."""
        items = ("Games", "Nodes", "Claims", "Tiles")
        raw = await self._context.link.client.query_raw(PALLET, items, [number])
        if not raw[0]:
            raise BlobError(f"game/{number}", "has ended")
        return RawGame(*(part or b"" for part in raw))

    def _unpin_all_but(self, numbers: set[int]) -> None:
        """Lets go of the states of games that have ended."""
        for label in self._context.store.list_pins(PIN_PREFIX):
            if int(label.removeprefix(PIN_PREFIX)) not in numbers:
                self._context.store.unpin(label)


class Accuser:
    """A verifier's duty after a mismatch: whoever attested something else than the solver must open a game about it."""

    def __init__(self, context: RoleContext, book: TaskBook, disputes: Disputes, replayer: Replayer) -> None:
        self._context, self._book, self._disputes, self._replayer = context, book, disputes, replayer
        self._running: dict[UnitKey, asyncio.Task[bool]] = {}

    async def on_head(self, head: Head) -> None:
        """Opens the games that are due, side by side: the time for it is short. Raises ChainClientError."""
        for (task, unit), case in await self._context.link.query_map(disputes.CASES):
            key = (int(task), int(unit))
            if not case.accused or case.refuted is not None or head.number >= case.until or key in self._running:
                continue
            agreement = dict(case.attesters).get(self._context.wallet.address)
            segment = None if agreement is None else find_first_difference(agreement, case.segments)
            if segment is not None:
                work = guard(f"unit {task}/{unit}", self._context.counters, self._open(key, case.attempt, segment))
                self._running[key] = opening = asyncio.create_task(work)
                opening.add_done_callback(lambda _, key=key: self._running.pop(key, None))  # type: ignore[misc]

    async def stop(self) -> None:
        """Ends openings under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _open(self, key: UnitKey, attempt: int, segment: int) -> None:
        unit = await self._book.get_unit(key)
        if unit.attempt == attempt:
            await self._disputes.open(unit, self._replayer, segment)


def find_first_difference(agreement: int, segments: list[int]) -> int | None:
    """The first drawn segment on which a verifier differs from the solver: bit i of `agreement` is set where it agrees
    on `segments[i]`."""
    return next((segment for i, segment in enumerate(segments) if not agreement >> i & 1), None)


def _make_unit(unit: UnitView, game: disputes.Game, inputs: TaskInputs) -> Unit:
    """What the chain knows of the disputed unit; `start` is the segment's, for nothing looks at the unit's own."""
    spec = inputs.spec
    if unit.assignment is None or unit.submission is None:
        raise BlobError(f"unit/{unit.key[0]}/{unit.key[1]}", "is not submitted any more")
    return Unit(
        Hash32(bytes.fromhex(spec.graph_root)), spec.node_count, spec.state_count, spec.data, spec.steps_per_segment,
        spec.segments_per_unit, to_hash(unit.assignment.seed), to_hash(game.start),
        to_hash(unit.submission.transcript_root), to_account(unit.assignment.solver),
    )  # fmt: skip
