"""A daemon: embedded node (or a link to another), blob store and server, worker processes, roles, metrics, status.

Everything it starts it ends: Ctrl-C or SIGTERM stops roles, workers, servers and node within `STOP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.node import Node, NodeConfig
from chain.open_chain import load_chain_spec
from pallets_abi import beacon, block_rights, stakes

from miner.console import Status, print_status
from miner.inspect.selftest import OwnMachine
from miner.metrics import Metrics
from miner.roles.availability import Answerer, Asker
from miner.roles.beacon_keeper import BeaconKeeper
from miner.roles.context import PLANCKS, RETRY_SECONDS, ROLE_ERRORS, RoleContext, guard
from miner.roles.decoys import Decoys
from miner.roles.disputes import Accuser, Disputes
from miner.roles.finder import Finder
from miner.roles.link import ChainLink, Head
from miner.roles.replay import Replayer
from miner.roles.reporter import Reporter
from miner.roles.solver import Solver
from miner.roles.taskbook import TaskBook
from miner.roles.verifier import Verifier
from miner.roles.watcher import Watcher
from miner.store.blobs import DEFAULT_LIMIT_BYTES, BlobStore
from miner.store.client import BlobClient
from miner.store.server import BlobServer
from miner.wallet import Wallet
from miner.work.cheat import CheatKind
from miner.work.recovery import CheckpointMaker
from miner.work.segment import Pace
from miner.work.worker import WorkerOptions, WorkerPool

log = logging.getLogger(__name__)

STATUS_SECONDS = 4.0
"""Between two status lines."""

STOP_SECONDS = 2.0
"""What the parts get to end before they are left alone; the promise to the user is 3 s."""

CONNECT_SECONDS = 60.0
"""How long a daemon waits at its start for the node given with --node."""


SYNC_SECONDS = 60.0
"""How long a daemon with bootnodes waits for blocks before it acts on its own view."""

RECOVERY_NICENESS = 5
"""Of the worker that makes checkpoints again: verifiers wait for it, so training (10) gives way, the node (0) not."""

POLL_SECONDS = 0.5
"""Between two looks at something that is waited for."""


Handler = tuple[str, Callable[[Head], Awaitable[None]]]
"""A name for the log, and what is given every new head."""


@dataclass(frozen=True)
class DaemonOptions:
    """How a daemon runs. `node_url` None: an embedded node of its own on `chain` (preset or spec file). `watch`: share
    of others' units that a validator re-executes unasked. `is_bonding_again`: a bond that was lost is replaced."""

    wallet: Wallet
    base_path: Path
    node_url: str | None = None
    chain: str = "dev"
    bootnodes: tuple[str, ...] = ()
    rpc_port: int = 0
    p2p_port: int = 0
    blob_port: int = 0
    metrics_port: int = 0
    threads: int = 1
    store_bytes: int = DEFAULT_LIMIT_BYTES
    pace: Pace = field(default_factory=Pace)
    watch: float = 0.0
    is_bonding_again: bool = False


class Daemon:
    """Runs one role until it is told to stop."""

    def __init__(self, options: DaemonOptions, role: stakes.Role) -> None:
        self._options, self._role = options, role
        self._metrics = Metrics()
        self._node: Node | None = None
        self._rate = (time.monotonic(), 0)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until a signal; raises what makes going on impossible (port in use, damaged store, failed node)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        async with AsyncExitStack() as stack:
            context = await self._open(stack)
            await self._serve(context)
            log.info("stopping")

    async def _open(self, stack: AsyncExitStack) -> RoleContext:
        """Opens everything in order; the stack closes it in reverse."""
        options = self._options
        options.base_path.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(BlobStore(options.base_path / "blobs", options.store_bytes))
        maker = CheckpointMaker(store, WorkerPool(1, WorkerOptions(RECOVERY_NICENESS, options.threads)))
        stack.push_async_callback(_in_time, maker.close)
        server = self._make_server(stack, store, maker)
        endpoint = await server.start()
        stack.push_async_callback(_in_time, server.stop)
        metrics_port = await self._metrics.start(options.metrics_port)
        stack.push_async_callback(_in_time, self._metrics.stop)
        url = options.node_url or await self._start_node(stack)
        client = BlobClient()
        stack.push_async_callback(_in_time, client.close)
        pool = WorkerPool(1, WorkerOptions(threads=options.threads))
        stack.push_async_callback(_in_time, pool.close)
        players = WorkerPool(1, WorkerOptions(RECOVERY_NICENESS, options.threads))
        stack.push_async_callback(_in_time, players.close)
        link = ChainLink(url, options.wallet)
        stack.push_async_callback(_in_time, link.close)
        connecting = asyncio.create_task(link.connect(CONNECT_SECONDS))
        await self._wait_or_stop(connecting)
        if self._node is not None and options.bootnodes:
            await self._wait_or_stop(asyncio.create_task(_wait_for_sync(link)))
        log.info("account %s, node %s, blobs %s", options.wallet.address, url, endpoint)
        log.info("metrics http://127.0.0.1:%d/metrics", metrics_port)
        return RoleContext(
            link, options.wallet, store, client, pool, players, maker, options.base_path, endpoint,
            options.is_bonding_again,
        )  # fmt: skip

    def _make_server(self, stack: AsyncExitStack, store: BlobStore, maker: CheckpointMaker) -> BlobServer:
        """The blob server; a devnet's withholder serves an empty store."""
        if self._options.pace.cheat.kind is not CheatKind.WITHHOLD:
            return BlobServer(store, port=self._options.blob_port, recoverer=maker)
        nothing = stack.enter_context(BlobStore(self._options.base_path / "withheld", self._options.store_bytes))
        return BlobServer(nothing, port=self._options.blob_port)

    async def _start_node(self, stack: AsyncExitStack) -> str:
        options = self._options
        config = NodeConfig(
            spec=load_chain_spec(options.chain), base_path=options.base_path / "node", rpc_port=options.rpc_port,
            p2p_port=options.p2p_port, bootnodes=options.bootnodes, aura_uri=options.wallet.uri,
            grandpa_uri=options.wallet.uri, name=f"aipow-{self._role.value.lower()}",
        )  # fmt: skip
        self._node = Node(config)
        await self._node.start()
        stack.push_async_callback(_in_time, self._node.stop)
        url = str(self._node.rpc.url)
        return url if url.startswith("ws") else "ws" + url.removeprefix("http")

    async def _serve(self, context: RoleContext) -> None:
        """Runs role, status and node until the stop or a failure."""
        if self._stopping.is_set():
            return
        jobs: list[Coroutine[Any, Any, None]] = [self._run_role(context), self._run_status(context)]
        if self._node is not None:
            jobs.append(self._node.wait())
        tasks = [asyncio.create_task(job) for job in jobs]
        stop = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stop):
            task.cancel()
        await asyncio.wait([*tasks, stop], timeout=STOP_SECONDS)
        for task in done - {stop}:
            task.result()

    async def _run_role(self, context: RoleContext) -> None:
        keeper, book, options = BeaconKeeper(context, self._role), TaskBook(context), self._options
        disputes = Disputes(context, book, options.pace.cheat)
        handlers: list[Handler] = [("beacon", keeper.on_head), ("disputes", disputes.on_head)]
        if self._role is stakes.Role.SOLVER:
            answerer = Answerer(context, options.pace.cheat)
            decoys = Decoys(context, book)
            solver = Solver(context, book, options.pace, disputes, answerer, Asker(context, book), decoys)
            await self._until_done("preparing", context, solver.prepare)
            handlers += [("reveal", solver.on_head), ("asks", answerer.on_head), ("decoys", decoys.on_head)]
            try:
                await _run_together(solver.work(), self._follow(context, handlers))
            finally:
                await solver.stop()
                await keeper.stop()
                await answerer.stop()
                await disputes.stop()
        else:
            replayer = Replayer(context, book, OwnMachine(), options.pace.cheat)
            verifier = Verifier(context, replayer, Asker(context, book))
            await self._until_done("preparing", context, verifier.prepare)
            handlers += [("duties", verifier.on_head)]
            accuser = Accuser(context, book, disputes, replayer)
            reporter = Reporter(context.link, context.counters)
            handlers += [("accusations", accuser.on_head), ("evidence", reporter.on_head)]
            if options.watch:
                finder = Finder(context, book, replayer)
                watcher = Watcher(context, book, disputes, replayer, finder, options.watch)
                handlers += [("watch", watcher.on_head), ("findings", finder.on_head)]
            try:
                await self._follow(context, handlers)
            finally:
                await verifier.stop()
                await keeper.stop()
                await accuser.stop()
                await disputes.stop()

    async def _until_done(self, name: str, context: RoleContext, work: Callable[[], Awaitable[None]]) -> None:
        while not await guard(name, context.counters, work()):
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, context: RoleContext, handlers: Sequence[Handler]) -> None:
        """Gives every new head to every handler; a handler that is still busy with an earlier head skips this one."""
        busy: dict[str, asyncio.Task[bool]] = {}
        try:
            async for head in context.link.heads():
                for name, handler in handlers:
                    running = busy.get(name)
                    if running is None or running.done():
                        if running is not None:
                            running.result()
                        busy[name] = asyncio.create_task(guard(name, context.counters, handler(head)))
        finally:
            for task in busy.values():
                task.cancel()

    async def _run_status(self, context: RoleContext) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            try:
                status = await self._read_status(context)
            except ROLE_ERRORS as error:
                log.warning("status: %s", error)
                continue
            print_status(status)
            counters = context.counters
            self._metrics.set(
                work_rate_macs=status.work_rate, macs_done=counters.macs_done, units_submitted=status.units_submitted,
                units_final=status.units_final, units_lost=counters.units_lost, mismatches=counters.mismatches,
                segments_checked=status.segments_checked, credits_macs=status.credits, slots=status.slots,
                difficulty_macs=status.difficulty, balance_units=status.balance, best_block=status.block,
                epoch=status.epoch, errors=counters.errors, loss=status.loss, macs_checked=counters.macs_checked,
                games_opened=counters.games_opened, games_won=counters.games_won, games_lost=counters.games_lost,
                equivocations_reported=counters.equivocations_reported, forced_errors=counters.forced_errors,
                decoys_found=counters.decoys_found,
            )  # fmt: skip

    async def _read_status(self, context: RoleContext) -> Status:
        link, counters, address = context.link, context.counters, context.wallet.address
        epoch = await link.query(beacon.EPOCH)
        schedule = await link.query(block_rights.SCHEDULE)
        head = await link.client.head()
        now, done = time.monotonic(), counters.macs_done + counters.macs_checked
        before, done_before = self._rate
        self._rate = (now, done)
        return Status(
            role="miner" if self._role is stakes.Role.SOLVER else "validator",
            block=head.number, epoch=epoch, activity=counters.activity,
            work_rate=(done - done_before) / max(now - before, 1e-3),
            units_submitted=counters.units_submitted, units_final=counters.units_final,
            segments_checked=counters.segments_checked,
            credits=await link.query(block_rights.CREDITS, epoch, address),
            slots=schedule.entries.count(address), slots_total=len(schedule.entries),
            difficulty=await link.query(block_rights.CREDITS_PER_SLOT),
            balance=await link.free_balance() / PLANCKS, loss=counters.loss,
        )  # fmt: skip

    async def _wait_or_stop(self, task: asyncio.Task[None]) -> None:
        """Waits for a task; a stop cancels it, and so does a failure of the embedded node, which is raised."""
        others: list[asyncio.Task[Any]] = [asyncio.create_task(self._stopping.wait())]
        if self._node is not None:
            others.append(asyncio.create_task(self._node.wait()))
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        ended = [other for other in (task, *others) if other.done()]
        for waiting in (task, *others):
            waiting.cancel()
        for waiting in ended:
            waiting.result()


async def _wait_for_sync(link: ChainLink) -> None:
    """Waits until the node has peers and their blocks; on a chain where nobody is, `SYNC_SECONDS`."""
    deadline = time.monotonic() + SYNC_SECONDS
    while time.monotonic() < deadline:
        health = await link.client.rpc("system_health")
        if health["peers"] and not health["isSyncing"] and (await link.client.head()).number:
            return
        await asyncio.sleep(POLL_SECONDS)
    log.warning(
        "no peers with blocks for %.0f s (are they running, is --bootnode right?); going on with what this node has",
        SYNC_SECONDS,
    )


async def _run_together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Runs jobs that never end; the first failure ends all."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job)


async def _in_time(close: Callable[[], Awaitable[Any]]) -> None:
    """Closes one part; one that does not end in `STOP_SECONDS` is left to the end of the process."""
    try:
        await asyncio.wait_for(close(), STOP_SECONDS)
    except TimeoutError:
        log.warning("%s did not end within %.0f s", getattr(close, "__qualname__", close), STOP_SECONDS)
