"""The node's chain and network as other parts want to see them."""

from __future__ import annotations

from chain.blockchain import Blockchain
from chain.network import NetworkService, Role
from chain.primitives import Header
from chain.rpc.context import PeerView
from chain.sync import SyncService


class NodeProvider:
    """Blocks for peers' requests (`network.BlockProvider`) and for GRANDPA (`grandpa.service.ChainView`)."""

    def __init__(self, chain: Blockchain) -> None:
        self._chain = chain

    @property
    def best(self) -> Header:
        """Header of the best block."""
        return self._chain.best

    @property
    def finalized(self) -> Header:
        """Header of the last finalised block."""
        return self._chain.finalized

    def leaves(self) -> list[bytes]:
        """Tips of all forks above the finalised block."""
        return self._chain.leaves()

    def header(self, block_hash: bytes) -> Header | None:
        """Header by hash."""
        return self._chain.header(block_hash)

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of block `number` on our best chain."""
        return self._chain.hash_of(number)

    def header_bytes(self, block_hash: bytes) -> bytes | None:
        """SCALE header with its seal."""
        header = self._chain.header(block_hash)
        return None if header is None else header.encode()

    def body_bytes(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """Extrinsics with their lengths."""
        return self._chain.body(block_hash)

    def justification_bytes(self, block_hash: bytes) -> bytes | None:
        """The stored justification of exactly this block."""
        return self._chain.justification(block_hash)


class NodeNetworkView:
    """The network for `system_*` (`rpc.NetworkView`)."""

    def __init__(self, network: NetworkService, sync: SyncService) -> None:
        self._network, self._sync = network, sync

    def local_peer_id(self) -> str:
        """Our base58 peer id."""
        return self._network.peer_id

    def listen_addresses(self) -> list[str]:
        """Our multiaddresses with peer id; empty until libp2p listens."""
        return list(self._network.listen_addresses)

    def peers(self) -> list[PeerView]:
        """Connected peers."""
        return [
            PeerView(
                peer_id=peer.peer,
                roles="AUTHORITY" if peer.roles & Role.AUTHORITY else "FULL",
                best_hash=peer.best_hash,
                best_number=peer.best_number,
            )
            for peer in self._network.peers()
        ]

    def is_syncing(self) -> bool:
        """Whether a peer is far ahead of us."""
        return self._sync.is_syncing
