"""The trained model as its owner sees it: a checkpoint fetched by its root, evaluated by plain PyTorch."""

from __future__ import annotations

import asyncio
from pathlib import Path

from consensus.commit.hashing import Hash32
from miner.models import evaluate
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient


class HeldOutModel:
    """Held-out losses of one built-in model's checkpoints; fetched states are kept in a store in `folder`."""

    def __init__(self, model: str, folder: Path) -> None:
        self._model, self._folder = model, folder

    def loss_of(self, endpoint: str, state_root: str) -> float:
        """Mean held-out loss in nats of the state under `state_root` (hex), fetched from a blob server.

        The bytes are checked against the root. Raises `StoreError`, `WrongCheckpoint`.
        """
        return asyncio.run(self._loss_of(endpoint, Hash32(bytes.fromhex(state_root.removeprefix("0x")))))

    async def _loss_of(self, endpoint: str, root: Hash32) -> float:
        with BlobStore(self._folder) as store:
            async with BlobClient() as client:
                await client.fetch_into(store, endpoint, Address(Kind.STATE, root))
            return evaluate(self._model, store.get_state(root)).loss
