"""From an executed segment to a committed one, while the next one runs.

The training thread hands over each segment's end state and goes on at once; a second thread computes the roots (in C,
without the GIL), writes the checkpoint into the store's spool folder and tells the daemon, all straight from the arrays
that the executor gave. At most one checkpoint is under way, and it adds no memory to the two states that an executor
has anyway: one step runs beside it; the step after that, which writes where the checkpoint's state lies, waits for its
end. Executors promise for this: the arrays that a step returns stay valid and unchanged for as long as somebody holds
them (so that a missing wait would cost a third state, never a wrong byte), and a tensor that a step leaves alone comes
back as the same array object.
"""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from consensus.commit.hashing import Hash32
from consensus.commit.state import State, StateCommitment, compute_state_commitment
from consensus.commit.tensor import Array
from consensus.exact.errors import NonFiniteState

from miner.kernels.native.hashing import Hasher, get_hasher
from miner.store.tensor_file import write_tensors
from miner.work.segment import SegmentExecution, SegmentResult

MAX_SPOOLED = 2  # checkpoint files that may wait for the store before the worker does
HELD_BYTES = 2**24  # (= 16,777,216): a smaller state may be held for longer than a step; its steps take milliseconds
POLL_SECONDS = 0.01


class StateCommitter:
    """Commits to the checkpoints of one run; remembers tensor roots, so that an unchanged array is hashed once.

    "Unchanged" is the same array object: only weak references are kept, so a freed array is never mistaken for another.
    """

    def __init__(self, hasher: Hasher | None = None) -> None:
        self._hasher = hasher or get_hasher()
        self._known: dict[str, tuple[weakref.ref[Array], Hash32]] = {}
        self.hashed_bytes = 0

    def commit(self, state: State) -> StateCommitment:
        """Root and entries of a state; raises `NonFiniteState` (rule E8), `StateNameError`, `TensorFormError`."""
        names = {id(tensor): name for name, tensor in state.items()}
        commitment = compute_state_commitment(state, lambda tensor: self._get_root(names[id(tensor)], tensor))
        roots = {entry.name: entry.root for entry in commitment.entries}
        self._known = {name: (weakref.ref(tensor), roots[name]) for name, tensor in state.items()}
        return commitment

    def _get_root(self, name: str, tensor: Array) -> Hash32:
        known = self._known.get(name)
        if known is not None and known[0]() is tensor:
            return known[1]
        if not self._hasher.is_finite(tensor):
            raise NonFiniteState(f"state tensor {name}")
        self.hashed_bytes += tensor.nbytes
        return self._hasher.compute_tensor_root(tensor)


class Spool:
    """Writes checkpoint files that the store takes over by renaming; names are this process's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[Path] = []

    def write(self, state: State) -> Path:
        """A new safetensors file of a state; waits while `MAX_SPOOLED` earlier ones are still there."""
        while len(self._waiting) >= MAX_SPOOLED:
            self._waiting = [path for path in self._waiting if path.exists()]
            if len(self._waiting) >= MAX_SPOOLED:
                time.sleep(POLL_SECONDS)
        path = self._folder / f"{compute_spool_prefix(os.getpid())}{secrets.token_hex(8)}"
        try:
            with path.open("xb") as file:
                write_tensors(file, state)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._waiting.append(path)
        return path


def compute_spool_prefix(pid: int) -> str:
    """How the names of a worker's spool files begin; what a killed one leaves is removed by it."""
    return f"{pid}-"


SegmentCallback = Callable[[SegmentResult, Path | None], None]
"""Called in the second thread, in the segments' order, with the checkpoint's file (None where none was asked for)."""


class CheckpointPipeline:
    """Commits to segments behind the training, which calls `put` after a segment, `on_step` after a step; errors of a
    commitment come out of the next call."""

    def __init__(
        self,
        start_root: Hash32,
        spool: Spool,
        on_segment: SegmentCallback,
        written: Collection[int] | None = None,
        committer: StateCommitter | None = None,
    ) -> None:
        """`written`: the segments whose end states become files, None for all."""
        self._start_root = start_root
        self._spool = spool
        self._on_segment = on_segment
        self._written = written
        self._committer = committer or StateCommitter()
        self._threads = ThreadPoolExecutor(1, "commit")
        self._pending: Future[None] | None = None
        self._is_large = False
        self.cpu_seconds = 0.0

    def put(self, execution: SegmentExecution) -> None:
        """Begins to commit to a segment, after the one before is done; raises that one's error."""
        self.finish()
        self._is_large = sum(tensor.nbytes for tensor in execution.end_state.values()) > HELD_BYTES
        self._pending = self._threads.submit(self._commit, execution)

    def on_step(self) -> None:
        """Waits for a commitment under way that holds more than `HELD_BYTES`; raises the error of one that failed.

        What is held after the first step beside it is the state that is being committed and the newest one: the next
        step would need a third.
        """
        if self._pending is not None and (self._is_large or self._pending.done()):
            self.finish()

    def finish(self) -> None:
        """Waits for the commitment under way; raises its error."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Ends the thread; a commitment under way is finished first, its error dropped."""
        self._threads.shutdown()

    def _commit(self, execution: SegmentExecution) -> None:
        started = time.thread_time()
        end_root = self._committer.commit(execution.end_state).root
        file = None
        if self._written is None or execution.index in self._written:
            file = self._spool.write(execution.end_state)
        self._on_segment(execution.commit(self._start_root, end_root), file)
        self._start_root = end_root
        self.cpu_seconds += time.thread_time() - started
