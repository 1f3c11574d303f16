"""What the RPC methods need of a node, as protocols: the node fulfils them, tests may with less."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from chain.equivocation import EvidenceBox
from chain.errors import UnknownBlock
from chain.events import EventBus
from chain.keystore import Keystore
from chain.pool.service import PoolService
from chain.primitives import Header
from chain.rpc.runtimes import Runtimes
from chain.runtime.api import RuntimeVersion
from chain.state.view import StateView

T = TypeVar("T")


class ChainView(Protocol):
    """The blockchain as the RPC reads it. Hashes are 32 bytes; calls run on the chain thread."""

    @property
    def best(self) -> Header:
        """Header of the best block."""

    @property
    def finalized(self) -> Header:
        """Header of the last finalised block."""

    def header(self, block_hash: bytes) -> Header | None:
        """Header of a known block."""

    def body(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """Extrinsics, each with its length in front."""

    def justification(self, block_hash: bytes) -> bytes | None:
        """The stored GRANDPA justification of exactly this block."""

    def hash_of(self, number: int) -> bytes | None:
        """Hash of the block of this number on the best chain."""

    def fork_blocks(self) -> list[Header]:
        """Headers of all blocks above the finalised one, parents before children."""

    def state_at(self, block_hash: bytes) -> StateView:
        """The state after a block. Raises `UnknownBlock`, `StatePruned`."""

    def pin(self, block_hash: bytes) -> None:
        """Keeps a block and its state until it is unpinned as often."""

    def unpin(self, block_hash: bytes) -> None:
        """Takes a `pin` back."""

    def runtime_version(self, block_hash: bytes) -> RuntimeVersion:
        """The version of the runtime in the state after a block."""

    def recall_storage(self, block_hash: bytes, key: bytes) -> tuple[bool, bytes | None]:
        """(True, the value) if it is at hand, else (False, None). From any thread."""

    def storage(self, block_hash: bytes, key: bytes) -> bytes | None:
        """A value of the state after the block."""

    def storage_keys_paged(self, block_hash: bytes, prefix: bytes, count: int, start: bytes | None) -> list[bytes]:
        """Up to `count` keys with `prefix`, after `start`, in order."""

    def read_proof(self, block_hash: bytes, keys: list[bytes]) -> list[bytes]:
        """Trie nodes that prove the values (or absence) of `keys`."""

    def child_read_proof(self, block_hash: bytes, name: bytes, keys: list[bytes]) -> list[bytes]:
        """Trie nodes that prove the values (or absence) of `keys` in a default child trie."""

    def call(self, block_hash: bytes, method: str, arguments: bytes) -> bytes:
        """A runtime call on the state after the block; its changes are thrown away."""


class Runner(Protocol):
    """Runs a function on the chain thread, one at a time."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        """The function's result; its exceptions pass through."""


@dataclass(frozen=True)
class PeerView:
    """A connected peer, for `system_peers`."""

    peer_id: str
    roles: str
    best_hash: bytes
    best_number: int


@dataclass(frozen=True)
class NodeInfo:
    """What the node says of itself."""

    name: str
    version: str
    chain_name: str
    chain_type: str
    properties: dict[str, Any]
    is_authority: bool


class NetworkView(Protocol):
    """What `system_*` tells of the network."""

    def local_peer_id(self) -> str:
        """Our base58 peer id."""

    def listen_addresses(self) -> list[str]:
        """Our multiaddresses with peer id."""

    def peers(self) -> list[PeerView]:
        """Connected peers."""

    def is_syncing(self) -> bool:
        """Whether a peer is far ahead of us."""


@dataclass(frozen=True)
class RpcContext:
    """Everything the methods use. `run` puts a call on the chain thread; `allow_unsafe` is `--rpc-unsafe`."""

    chain: ChainView
    run: Runner
    pool: PoolService
    events: EventBus
    info: NodeInfo
    network: NetworkView
    keystore: Keystore
    evidence: EvidenceBox = field(default_factory=EvidenceBox)
    allow_unsafe: bool = False

    @cached_property
    def runtimes(self) -> Runtimes:
        """Which runtime each block's state holds."""
        return Runtimes(self.chain, self.run)

    def at(self, block_hash: bytes | None) -> bytes:
        """The given block, or the best one."""
        return self.chain.best.hash if block_hash is None else block_hash

    async def header_at(self, block_hash: bytes | None) -> Header:
        """Header of the given or the best block. Raises `UnknownBlock`."""
        if block_hash is None:
            return self.chain.best
        header = await self.run(self.chain.header, block_hash)
        if header is None:
            raise UnknownBlock(block_hash)
        return header
