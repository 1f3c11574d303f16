"""A unit's journal: what of it is finished, in one record of the store, and which unit can make which checkpoint again.

The journal holds all that a re-execution needs beside the task's blobs, so that after a restart any checkpoint of an
open unit can be made again without asking the chain. Beside it stands one record for each checkpoint: its root leads to
the unit. Both go when the unit's window is closed (`forget_journal`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import Opening, SegmentRecord, compute_opening

from miner.store.address import decode_transcript, encode_transcript
from miner.store.blobs import BlobStore
from miner.store.errors import TensorFileError
from miner.work.cheat import Cheat, parse_cheat
from miner.work.errors import JobError, JournalError

JOURNAL_VERSION = 3
CHECKPOINT_PREFIX = "checkpoint/"


@dataclass(frozen=True)
class UnitProgress:
    """What a finished or half-done unit has: records, witnesses and losses of its finished segments."""

    records: tuple[SegmentRecord, ...]
    witnesses: tuple[Hash32, ...]
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]

    def open(self, segment: int) -> Opening:
        """A finished segment, opened. Raises `IndexError`."""
        return compute_opening(self.records, segment, self.witnesses[segment])

    def cut(self, segments: int, steps: int) -> UnitProgress:
        """The progress of the first `segments` of it, each of `steps` steps."""
        return UnitProgress(
            self.records[:segments], self.witnesses[:segments],
            self.losses[: segments * steps], self.grad_norms[: segments * steps],
        )  # fmt: skip


NO_PROGRESS = UnitProgress((), (), (), ())


@dataclass(frozen=True)
class Journal:
    """One unit on its way: what it runs, from where, how far it is.

    `cheat` as in `Pace`: a cheater's checkpoints come again only by the same cheating. `segment_seconds` is what a
    segment took lately, 0 before the first.
    """

    label: str
    spec_hash: Hash32
    unit_seed: Hash32
    solver: AccountId
    start_state_root: Hash32
    cheat: Cheat
    segment_seconds: float
    progress: UnitProgress

    def get_checkpoint_root(self, checkpoint: int) -> Hash32:
        """Root of checkpoint i: the start (0) or the end of segment i − 1."""
        return self.progress.records[checkpoint - 1].end_state_root if checkpoint else self.start_state_root

    def encode(self) -> bytes:
        """JSON."""
        document: dict[str, Any] = {
            "version": JOURNAL_VERSION,
            "spec": self.spec_hash.hex(),
            "seed": self.unit_seed.hex(),
            "solver": self.solver.hex(),
            "start": self.start_state_root.hex(),
            "cheat": str(self.cheat),
            "segment_seconds": self.segment_seconds,
            "records": encode_transcript(list(self.progress.records)).hex(),
            "witnesses": [witness.hex() for witness in self.progress.witnesses],
            "losses": self.progress.losses,
            "grad_norms": self.progress.grad_norms,
        }
        return json.dumps(document).encode()


@dataclass(frozen=True)
class CheckpointPlace:
    """A checkpoint as number `index` of the unit whose journal is `label`."""

    label: str
    index: int


def load_journal(store: BlobStore, label: str) -> Journal | None:
    """A unit's journal, None when there is none; raises `JournalError`."""
    raw = store.get_record(label)
    if raw is None:
        return None
    try:
        document = json.loads(raw)
        if document["version"] != JOURNAL_VERSION:
            raise JournalError(f"the journal {label} is of version {document['version']}; delete it")
        progress = UnitProgress(
            tuple(decode_transcript(bytes.fromhex(document["records"]))),
            tuple(_hash(witness) for witness in document["witnesses"]),
            tuple(document["losses"]),
            tuple(document["grad_norms"]),
        )
        journal = Journal(
            label, _hash(document["spec"]), _hash(document["seed"]), AccountId(bytes.fromhex(document["solver"])),
            _hash(document["start"]), parse_cheat(document["cheat"]), float(document["segment_seconds"]), progress,
        )  # fmt: skip
    except JournalError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, TensorFileError, JobError) as error:
        raise JournalError(f"the journal {label} is damaged ({error}); delete it") from error
    if len(progress.records) != len(progress.witnesses):
        raise JournalError(f"the journal {label} contradicts itself; delete it")
    return journal


def save_journal(store: BlobStore, journal: Journal) -> None:
    """Stores a journal durably, its last checkpoint's place before it."""
    checkpoints = len(journal.progress.records)
    if checkpoints:
        place = f"{checkpoints} {journal.label}".encode()
        store.put_record(CHECKPOINT_PREFIX + journal.get_checkpoint_root(checkpoints).hex(), place)
    store.put_record(journal.label, journal.encode())


def forget_journal(store: BlobStore, label: str) -> None:
    """Removes a unit's journal and its checkpoints' places (of a damaged journal they stay); harmless without one."""
    try:
        journal = load_journal(store, label)
    except JournalError:
        journal = None
    store.delete_record(label)
    if journal is None:
        return
    for record in journal.progress.records:
        place = find_checkpoint(store, record.end_state_root)
        if place is not None and place.label == label:
            store.delete_record(CHECKPOINT_PREFIX + record.end_state_root.hex())


def find_checkpoint(store: BlobStore, root: Hash32) -> CheckpointPlace | None:
    """Which open unit of ours has a checkpoint of that root; None for any other root. One look-up.

    Raises `JournalError`.
    """
    raw = store.get_record(CHECKPOINT_PREFIX + root.hex())
    if raw is None:
        return None
    try:
        index, _, label = raw.decode().partition(" ")
        return CheckpointPlace(label, int(index))
    except ValueError as error:
        raise JournalError(f"the place of checkpoint {root.hex()} is damaged ({error}); delete it") from error


def _hash(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text))
