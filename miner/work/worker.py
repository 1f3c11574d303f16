"""The daemon's side of worker processes: jobs run out of the event loop, so that an embedded node keeps its slots.

A worker is started at its first job and again after a crash or a cancellation (which kills it: a step cannot be stopped
half-way). Nothing of a job is lost: segments that were reported are in the store.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import SegmentRecord, make_record
from consensus.protocol.attestation import SegmentClaim

from miner.disputes.chain import GameCall
from miner.disputes.player import PlayRequest
from miner.store.address import encode_transcript
from miner.work.cheat import HONEST, Cheat
from miner.work.commitment import compute_spool_prefix
from miner.work.errors import WorkerCrashedError, WorkerFailedError
from miner.work.segment import CommittedSegment, Pace, ReplayReport
from miner.work.task import TaskSpec
from miner.work.wire import Frame, FrameError, read_frame_async, write_frame_async

DEFAULT_FACTORY = "miner.kernels:load_executor"
STDERR_BYTES = 8192
PIPE_BYTES = 2**22  # (= 4,194,304): a state comes in few large pieces


@dataclass(frozen=True)
class TaskInputs:
    """A task's verified inputs in memory: document, graph bytes, data-set bytes."""

    spec: TaskSpec
    graph: bytes = field(repr=False)
    dataset: bytes = field(repr=False)


@dataclass(frozen=True)
class RunRequest:
    """Segments `first_segment` to `stop` − 1 (None: the unit's last) from a start state.

    `start_state`: its safetensors bytes, or the file that has them; the worker compares them with `start_state_root`.
    `spool`: the store's folder for checkpoint files; `written`: the segments whose ends become such files (None: all).
    """

    inputs: TaskInputs
    unit_seed: Hash32
    first_segment: int
    previous_record: Hash32
    start_state: bytes | Path = field(repr=False)
    start_state_root: Hash32
    spool: Path
    pace: Pace = Pace()
    stop: int | None = None
    written: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Progress:
    """Steps done in a segment, the last step's loss, and all MACs of this job so far."""

    segment: int
    steps: int
    loss: float
    macs: int


@dataclass(frozen=True)
class FinishedSegment:
    """A segment as the worker gives it: the record's fields without the salt, outcomes; `checkpoint` is the file of its
    end state in the spool folder, for `BlobStore.adopt`; `seconds` since the segment before came or the start."""

    index: int
    start_state_root: Hash32
    end_state_root: Hash32
    first_step_record: Hash32
    last_step_record: Hash32
    witness: Hash32
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]
    checkpoint: Path | None
    seconds: float

    def compute_record(self, account: AccountId, decoy: int | None = None) -> SegmentRecord:
        """The record that `account` commits to, with a decoy in its claims if a place is given."""
        states, steps = (self.start_state_root, self.end_state_root), (self.first_step_record, self.last_step_record)
        return make_record(account, self.index, states, steps, self.witness, decoy)


ProgressHandler = Callable[[Progress], None]
SegmentHandler = Callable[[FinishedSegment], Awaitable[None]]


@dataclass(frozen=True)
class WorkerOptions:
    """`niceness` 0 to 19; `threads` of the numeric libraries; `factory` module:function that makes the executor."""

    niceness: int = 10
    threads: int = 1
    factory: str = DEFAULT_FACTORY


class _Answers:
    """The answers to one request; `finished` once the worker waits for the next."""

    def __init__(self, process: asyncio.subprocess.Process, request: Frame) -> None:
        self._process, self._request = process, request
        self.finished = False

    async def read(self) -> AsyncIterator[Frame]:
        """Frames up to `done`; raises `WorkerFailedError` for `failed`, `FrameError` when the process is gone."""
        if self._process.stdin is None or self._process.stdout is None:
            raise FrameError("the worker has no pipes")
        try:
            await write_frame_async(self._process.stdin, self._request)
        except OSError as error:
            raise FrameError(f"the worker does not read ({error})") from error
        while frame := await read_frame_async(self._process.stdout):
            kind = frame.header.get("type")
            self.finished = kind in ("done", "failed")
            if kind == "failed":
                raise WorkerFailedError(str(frame.header.get("error")), str(frame.header.get("message")))
            if kind == "done":
                return
            yield frame
        raise FrameError("the worker closed its side")


class Worker:
    """One worker process; one job at a time, others wait."""

    def __init__(self, options: WorkerOptions | None = None) -> None:
        self._options = options or WorkerOptions()
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._stderr = bytearray()
        self._stderr_task: asyncio.Task[None] | None = None
        self._loaded: list[str] = []
        self._spool: Path | None = None

    @property
    def pid(self) -> int | None:
        """Process id while a process is there."""
        return None if self._process is None else self._process.pid

    async def run_unit(
        self, request: RunRequest, on_segment: SegmentHandler, on_progress: ProgressHandler | None = None
    ) -> None:
        """Runs the rest of a unit; `on_segment` is awaited for each finished segment in order.

        Raises `WorkerFailedError`, `WorkerCrashedError`. Cancelling the task kills the process.
        """
        spec = request.inputs.spec
        is_file = isinstance(request.start_state, Path)
        header = {
            "type": "run", "key": spec.spec_hash.hex(), "unit_seed": request.unit_seed.hex(),
            "first_segment": request.first_segment, "steps": spec.steps_per_segment,
            "stop": spec.segments_per_unit if request.stop is None else request.stop,
            "previous_record": request.previous_record.hex(), "start_root": request.start_state_root.hex(),
            "start_file": str(request.start_state) if is_file else None,
            "spool": str(request.spool), "written": request.written,
            "throttle": request.pace.throttle, "cheat": str(request.pace.cheat),
        }  # fmt: skip
        blobs = () if isinstance(request.start_state, Path) else (request.start_state,)
        async with self._lock:
            await self._load(request.inputs)
            self._spool = request.spool
            since = asyncio.get_running_loop().time()
            async with self._converse(Frame(header, blobs)) as answers:
                async for frame in answers:
                    if frame.header["type"] == "progress" and on_progress is not None:
                        on_progress(_parse_progress(frame, spec, request.first_segment))
                    elif frame.header["type"] == "segment":
                        now = asyncio.get_running_loop().time()
                        await on_segment(_parse_segment(frame, now - since))
                        since = now

    async def replay(
        self,
        inputs: TaskInputs,
        committed: CommittedSegment,
        start_state: bytes,
        on_progress: ProgressHandler | None = None,
        cheat: Cheat = HONEST,
    ) -> ReplayReport:
        """Re-executes a committed segment from safetensors bytes; raises as `run_unit`."""
        header = {
            "type": "replay", "key": inputs.spec.spec_hash.hex(), "solver": committed.solver.hex(),
            "unit_seed": committed.unit_seed.hex(), "steps": committed.steps, "index": committed.index,
            "unit_start_root": committed.unit_start_root.hex(), "cheat": str(cheat),
        }  # fmt: skip
        report: ReplayReport | None = None
        async with self._lock:
            await self._load(inputs)
            request = Frame(header, (start_state, encode_transcript(list(committed.records))))
            async with self._converse(request) as answers:
                async for frame in answers:
                    if frame.header["type"] == "report":
                        report = _parse_report(frame)
                    elif frame.header["type"] == "progress" and on_progress is not None:
                        on_progress(_parse_progress(frame, inputs.spec, committed.index))
        if report is None:
            raise WorkerFailedError("FrameError", "the worker ended a replay without a report")
        return report

    async def play(self, inputs: TaskInputs, request: PlayRequest) -> GameCall | None:
        """The next move of a dispute, None when there is none; raises as `run_unit`."""
        start = request.start_state
        is_file = isinstance(start, Path)
        header = {
            **request.describe(), "type": "play", "key": inputs.spec.spec_hash.hex(),
            "start_file": str(start) if is_file else None,
        }  # fmt: skip
        blobs = request.raw.blobs() if isinstance(start, Path) else (*request.raw.blobs(), start)
        call: GameCall | None = None
        async with self._lock:
            await self._load(inputs)
            async with self._converse(Frame(header, blobs)) as answers:
                async for frame in answers:
                    if frame.header["type"] == "move":
                        call = GameCall(frame.header["function"], bytes.fromhex(frame.header["arguments"]))
        return call

    async def close(self) -> None:
        """Kills the process and waits for it; harmless when repeated."""
        process, self._process, self._loaded = self._process, None, []
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        if self._spool is not None:
            for path in self._spool.glob(compute_spool_prefix(process.pid) + "*"):
                path.unlink(missing_ok=True)
        if self._stderr_task is not None:
            await self._stderr_task

    async def _load(self, inputs: TaskInputs) -> None:
        key = inputs.spec.spec_hash.hex()
        if self._process is not None and self._process.returncode is None and key in self._loaded:
            return
        header = {"type": "load", "key": key, "factory": self._options.factory, "order": asdict(inputs.spec.order)}
        async with self._converse(Frame(header, (inputs.graph, inputs.dataset))) as answers:
            async for _ in answers:
                pass
        self._loaded = [key]  # one task at a time keeps both sides' idea of what is loaded equal and memory low

    async def _start(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.close()
        threads = str(self._options.threads)
        environment = {
            **os.environ,
            "AIPOW_WORKER_NICE": str(self._options.niceness),
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "miner.work.worker_main", env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, limit=PIPE_BYTES,
        )  # fmt: skip
        self._stderr.clear()
        self._stderr_task = asyncio.create_task(self._collect_stderr(self._process))
        return self._process

    async def _collect_stderr(self, process: asyncio.subprocess.Process) -> None:
        while process.stderr is not None and (data := await process.stderr.read(4096)):
            self._stderr += data
            del self._stderr[:-STDERR_BYTES]

    @asynccontextmanager
    async def _converse(self, request: Frame) -> AsyncIterator[AsyncIterator[Frame]]:
        """Sends a request and gives its answers; kills the process unless they were read to their end."""
        process = await self._start()
        answers = _Answers(process, request)
        try:
            yield answers.read()
        except FrameError as error:
            returncode = await self._reap(process)
            raise WorkerCrashedError(returncode, self._stderr.decode(errors="replace") or str(error)) from error
        finally:
            if not answers.finished:
                await self.close()

    async def _reap(self, process: asyncio.subprocess.Process) -> int | None:
        """Return code after a moment's patience for a process that is just ending."""
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 1.0)
        returncode = process.returncode
        await self.close()
        return returncode


class WorkerPool:
    """Several workers; a job takes the first free one. Use as an async context manager."""

    def __init__(self, size: int = 1, options: WorkerOptions | None = None) -> None:
        self._workers = [Worker(options) for _ in range(size)]
        self._free: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        for worker in self._workers:
            self._free.put_nowait(worker)

    async def __aenter__(self) -> WorkerPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Worker]:
        """A worker for one job; waits for a free one. The last used comes first: it has its task loaded."""
        worker = await self._free.get()
        try:
            yield worker
        finally:
            self._free.put_nowait(worker)

    async def run_unit(
        self, request: RunRequest, on_segment: SegmentHandler, on_progress: ProgressHandler | None = None
    ) -> None:
        """`Worker.run_unit` on a free worker."""
        async with self.acquire() as worker:
            await worker.run_unit(request, on_segment, on_progress)

    async def replay(
        self,
        inputs: TaskInputs,
        committed: CommittedSegment,
        start_state: bytes,
        on_progress: ProgressHandler | None = None,
        cheat: Cheat = HONEST,
    ) -> ReplayReport:
        """`Worker.replay` on a free worker."""
        async with self.acquire() as worker:
            return await worker.replay(inputs, committed, start_state, on_progress, cheat)

    async def play(self, inputs: TaskInputs, request: PlayRequest) -> GameCall | None:
        """`Worker.play` on a free worker."""
        async with self.acquire() as worker:
            return await worker.play(inputs, request)

    async def close(self) -> None:
        """Kills all processes."""
        await asyncio.gather(*(worker.close() for worker in self._workers))


def _parse_progress(frame: Frame, spec: TaskSpec, first_segment: int) -> Progress:
    segment, steps = int(frame.header["segment"]), int(frame.header["steps"])
    done = (segment - first_segment) * spec.steps_per_segment + steps
    return Progress(segment, steps, float(frame.header["loss"]), done * spec.macs_per_step)


def _parse_segment(frame: Frame, seconds: float) -> FinishedSegment:
    header = frame.header
    names = ("start_state_root", "end_state_root", "first_step_record", "last_step_record", "witness")
    start, end, first, last, witness = (Hash32(bytes.fromhex(header[name])) for name in names)
    losses, grad_norms = tuple(header["losses"]), tuple(header["grad_norms"])
    file = None if header["checkpoint"] is None else Path(header["checkpoint"])
    return FinishedSegment(int(header["index"]), start, end, first, last, witness, losses, grad_norms, file, seconds)


def _parse_report(frame: Frame) -> ReplayReport:
    header = frame.header
    claim = header["claim"]
    return ReplayReport(
        bool(header["bytes_match"]), bool(header["state_committed"]), bool(header["end_matches"]),
        None if claim is None else SegmentClaim(*(Hash32(bytes.fromhex(part)) for part in claim)),
        float(header["seconds"]), str(header["detail"]),
    )  # fmt: skip
