"""A task's owner after the posting: serves what the task needs, and answers on chain for chunks of its data sets.

What to answer follows from chain and store alone, so that it may be ended and started again at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import ProofError
from consensus.commit.state import State, compute_state_commitment
from consensus.commit.tensor import Array, compute_form, compute_tensor_root_of_hashes
from consensus.dispute.availability import DataChunk, DataOpening, Tensors, encode_answer, open_data
from consensus.dispute.moves import Siblings
from pallets_abi import availability, tasks

from miner.kernels.native.hashing import Hasher, Hashes, get_hasher
from miner.roles.availability import PALLET, PATIENCE_BLOCKS, list_asks, to_chunk
from miner.roles.context import Counters, guard, to_hash
from miner.roles.link import ChainLink, EncodedCall, Head
from miner.store.blobs import BlobStore
from miner.store.errors import BlobError
from miner.store.tensor_file import decode_tensors
from miner.work.task import parse_task_spec

log = logging.getLogger(__name__)

MAX_DATASETS = 2
"""Data sets that are kept in memory with their hashes."""


class DataAnswerer:
    """One owner's answers; `on_head` with every head."""

    def __init__(self, link: ChainLink, store: BlobStore) -> None:
        self._link, self._store = link, store
        self._datasets: OrderedDict[Hash32, Tensors] = OrderedDict()
        self._sent: dict[int, int] = {}

    async def prepare(self) -> None:
        """Hashes the data sets of our newest tasks that are not done, so that no answer must wait for that. Raises
        ChainClientError, `StoreError`, `WorkError`."""
        entries = [(int(number), task) for (number,), task in await self._link.query_map(tasks.TASKS)]
        mine = [entry for entry in entries if entry[1].owner == self._link.wallet.address and entry[1].escrowed]
        for number, task in sorted(mine, key=lambda entry: entry[0])[-MAX_DATASETS:]:
            log.info("hashing the data set of task %d", number)
            await asyncio.to_thread(self._load, to_hash(task.spec.spec_hash))

    async def on_head(self, head: Head) -> None:
        """Answers what is open, the most urgent first. Raises ChainClientError, `StoreError`, `WorkError`."""
        asks = await list_asks(self._link, is_data=True)
        self._sent = {number: self._sent[number] for number, _ in asks if number in self._sent}
        for number, ask in asks:
            if head.number < self._sent.get(number, -PATIENCE_BLOCKS) + PATIENCE_BLOCKS:
                continue
            opening = await self._open(ask)
            log.info("answering ask %d of %s about task %d: %s", number, ask.asker, ask.task, ask.chunk)
            await self._link.send(EncodedCall(PALLET, "answer", encode_answer(number, opening)))
            self._sent[number] = head.number

    async def _open(self, ask: availability.Ask) -> DataOpening:
        task, chunk = await self._link.query(tasks.TASKS, ask.task), to_chunk(ask.chunk)
        if task is None or not isinstance(chunk, DataChunk):
            raise BlobError(f"task/{ask.task}", "has no such data set")
        try:
            return await asyncio.to_thread(lambda: open_data(chunk, self._load(to_hash(task.spec.spec_hash))))
        except ProofError as error:
            raise BlobError(f"task/{ask.task}", f"cannot be opened: {error}") from error

    def _load(self, spec_hash: Hash32) -> Tensors:
        """A task's data set, hashed once; raises `BlobError`, `TaskSpecError`, `TensorFileError`."""
        root = parse_task_spec(self._store.get_blob(spec_hash)).dataset.root
        if root not in self._datasets:
            self._datasets[root] = hash_arrays(decode_tensors(self._store.get_blob(root)))
            while len(self._datasets) > MAX_DATASETS:
                self._datasets.popitem(last=False)
        self._datasets.move_to_end(root)
        return self._datasets[root]


def hash_arrays(arrays: State) -> Tensors:
    """A data set with the hashes of all its tiles, so that an answer hashes no tile."""
    hasher = get_hasher()
    hashes = {id(array): hasher.compute_hash_array(array) for array in arrays.values()}

    def compute_root(array: Array) -> Hash32:
        found = hashes[id(array)]
        roots = [hasher.compute_root_of_array(found)] if len(found) else []
        return compute_tensor_root_of_hashes(compute_form(array), roots)

    def prove(array: Array, tile: int) -> tuple[Hash32, Siblings]:
        found = hashes[id(array)]
        return hasher.compute_root_of_array(found), compute_siblings(hasher, found, tile)

    return Tensors(arrays, compute_state_commitment(arrays, compute_root), prove)


def compute_siblings(hasher: Hasher, hashes: Hashes, index: int) -> Siblings:
    """Siblings from a leaf to the root over all leaf hashes, (count, 32) bytes: each is the root over the leaves below
    it; at a level on which the node is promoted there is none."""
    siblings: list[Hash32] = []
    width = 1
    while width < len(hashes):
        first = (index // width ^ 1) * width
        if first < len(hashes):
            siblings.append(hasher.compute_root_of_array(hashes[first : first + width]))
        width *= 2
    return tuple(siblings)


async def answer_until(link: ChainLink, store: BlobStore, stopping: asyncio.Event) -> None:
    """Answers with every head until the event is set; errors are logged and tried again."""
    answerer, counters = DataAnswerer(link, store), Counters()

    async def follow() -> None:
        await guard("data sets", counters, answerer.prepare())
        async for head in link.heads():
            await guard("asks", counters, answerer.on_head(head))

    following = asyncio.create_task(follow())
    waiting = asyncio.create_task(stopping.wait())
    done, pending = await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for job in pending:
        job.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for job in done:
        job.result()
