"""The worker process: `python -m miner.work.worker_main`. Frames come on stdin, answers go to stdout (see wire.py).

It ends by itself when its daemon does (stdin closes). Requests: `load` (an executor and a data set under a key), `run`
(segments of a unit, each committed to while the next one runs: commitment.py), `replay` (one committed segment), `play`
(the next move of a dispute). Answers: `progress`, `segment`, `report`, `move`, then `done`; or `failed`.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.tensor import Array

from miner.disputes.chain import RAW_PARTS, RawGame
from miner.disputes.player import Players
from miner.store.address import decode_transcript
from miner.store.tensor_file import decode_tensors, read_tensors
from miner.work.cheat import parse_cheat
from miner.work.commitment import CheckpointPipeline, Spool, StateCommitter
from miner.work.data import Dataset, load_dataset
from miner.work.errors import JobError
from miner.work.segment import (
    CommittedSegment,
    Pace,
    ProgressCallback,
    SegmentJob,
    SegmentResult,
    StepExecutor,
    Training,
    replay_segment,
)
from miner.work.task import DataOrder
from miner.work.wire import Frame, FrameError, read_frame, write_frame

PROGRESS_SECONDS = 0.25  # at most one progress frame in that time, so that short steps do not drown the daemon
MAX_LOADED = 4  # tasks kept ready; the least recently used goes first

Loaded = tuple[StepExecutor, Dataset]


class WorkerProcess:
    """Serves requests until stdin ends."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._answers = answers
        self._sending = threading.Lock()
        self._queue: queue.Queue[Frame] = queue.Queue(maxsize=4)
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._players = Players()
        threading.Thread(target=self._read_requests, args=(requests,), daemon=True).start()

    def serve(self) -> None:
        """Answers requests one by one, for ever."""
        while True:
            frame = self._queue.get()
            try:
                self._on_request(frame)
                self._send({"type": "done"})
            except Exception as error:  # noqa: BLE001 - whatever a job raises is told to the daemon, which decides
                self._send({"type": "failed", "error": type(error).__name__, "message": str(error)})

    def _read_requests(self, requests: BinaryIO) -> None:
        """Runs in a thread of its own, so that the end of the daemon ends us even in the middle of a step."""
        try:
            while (frame := read_frame(requests)) is not None:
                self._queue.put(frame)
        except (FrameError, OSError) as error:
            print(f"worker: {error}", file=sys.stderr, flush=True)
        os._exit(0)

    def _on_request(self, frame: Frame) -> None:
        handlers: dict[str, Callable[[Frame], None]] = {
            "load": self._on_load,
            "run": self._on_run,
            "replay": self._on_replay,
            "play": self._on_play,
        }
        handler = handlers.get(str(frame.header.get("type")))
        if handler is None:
            raise JobError(f"unknown request {frame.header.get('type')!r}")
        handler(frame)

    def _on_load(self, frame: Frame) -> None:
        header = frame.header
        module, _, name = str(header["factory"]).partition(":")
        factory = getattr(importlib.import_module(module), name)
        dataset = load_dataset(frame.blobs[1], DataOrder(**header["order"]))
        self._loaded[header["key"]] = (factory(frame.blobs[0]), dataset)
        while len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)

    def _on_run(self, frame: Frame) -> None:
        header = frame.header
        executor, dataset = self._get_loaded(header["key"])
        pace = Pace(header["throttle"], parse_cheat(header["cheat"]))
        state, committer = _load_start(frame.header, frame.blobs), StateCommitter()
        start_root = committer.commit(state).root
        if start_root.hex() != header["start_root"]:
            raise JobError(f"the start state has the root {start_root.hex()}, not {header['start_root']}")
        pipeline = CheckpointPipeline(
            start_root, Spool(Path(header["spool"])), self._send_segment, header["written"], committer
        )
        previous = Hash32(bytes.fromhex(header["previous_record"]))
        training = Training(executor, dataset, state)
        del state
        try:
            for index in range(header["first_segment"], header["stop"]):
                job = SegmentJob(Hash32(bytes.fromhex(header["unit_seed"])), index, header["steps"], previous)
                execution = training.execute(job, pace, self._make_progress(index, pipeline.on_step))
                previous = execution.last_step_record
                pipeline.put(execution)
                del execution
        except Exception:
            pipeline.finish()  # what was executed before the error is told first; an error of its commitment counts
            raise
        else:
            pipeline.finish()
        finally:
            pipeline.close()

    def _on_replay(self, frame: Frame) -> None:
        header = frame.header
        executor, dataset = self._get_loaded(header["key"])
        committed = CommittedSegment(
            AccountId(bytes.fromhex(header["solver"])), Hash32(bytes.fromhex(header["unit_seed"])), header["steps"],
            tuple(decode_transcript(frame.blobs[1])), header["index"],
            Hash32(bytes.fromhex(header["unit_start_root"])),
        )  # fmt: skip
        progress, cheat = self._make_progress(committed.index), parse_cheat(header["cheat"])
        report = replay_segment(executor, dataset, decode_tensors(frame.blobs[0]), committed, progress, cheat)
        claim = report.claim
        self._send({
            "type": "report", "bytes_match": report.bytes_match, "state_committed": report.state_committed,
            "end_matches": report.end_matches, "seconds": report.seconds, "detail": report.detail,
            "claim": None if claim is None else [claim.end_state_root.hex(), claim.witness.hex()],
        })  # fmt: skip

    def _on_play(self, frame: Frame) -> None:
        executor, dataset = self._get_loaded(frame.header["key"])
        game, start = RawGame(*frame.blobs[:RAW_PARTS]), frame.blobs[RAW_PARTS:]

        def load_start() -> dict[str, Array]:
            return _load_start(frame.header, start)

        call = self._players.play(frame.header, game, load_start, executor, dataset)
        if call is not None:
            self._send({"type": "move", "function": call.function, "arguments": call.arguments.hex()})

    def _get_loaded(self, key: str) -> Loaded:
        if key not in self._loaded:
            raise JobError(f"task {key} is not loaded")
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _make_progress(self, segment: int, on_step: Callable[[], None] | None = None) -> ProgressCallback:
        """Called after each step: tells the daemon now and then; `on_step` raises what has failed beside the steps."""
        last = 0.0

        def report(steps: int, loss: float) -> None:
            nonlocal last
            if on_step is not None:
                on_step()
            now = time.monotonic()
            if now - last >= PROGRESS_SECONDS:
                last = now
                self._send({"type": "progress", "segment": segment, "steps": steps, "loss": loss})

        return report

    def _send_segment(self, result: SegmentResult, checkpoint: Path | None) -> None:
        self._send(describe_segment(result, checkpoint))

    def _send(self, header: dict[str, Any]) -> None:
        """From any thread; a frame is never mixed with another's."""
        try:
            with self._sending:
                write_frame(self._answers, Frame(header))
        except BrokenPipeError:
            os._exit(0)


def _load_start(header: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Array]:
    """The start state from the file that the header names, else from the first blob."""
    file = header["start_file"]
    return decode_tensors(blobs[0]) if file is None else read_tensors(Path(file))


def describe_segment(result: SegmentResult, checkpoint: Path | None) -> dict[str, Any]:
    """The `segment` answer's header; the end state is in the spool file `checkpoint`."""
    return {
        "type": "segment",
        "index": result.index,
        "start_state_root": result.start_state_root.hex(),
        "end_state_root": result.end_state_root.hex(),
        "first_step_record": result.first_step_record.hex(),
        "last_step_record": result.last_step_record.hex(),
        "witness": result.witness.hex(),
        "losses": list(result.losses),
        "grad_norms": list(result.grad_norms),
        "checkpoint": None if checkpoint is None else str(checkpoint),
    }


def main() -> None:
    """Keeps the real stdout for frames; whatever else prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(int(os.environ.get("AIPOW_WORKER_NICE", "0")))
    WorkerProcess(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    main()
