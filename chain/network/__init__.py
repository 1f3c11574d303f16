"""The node's network: Substrate's own protocols over libp2p, in a thread behind two bounded queues."""

from chain.network.events import (
    BlockAnnounced,
    GrandpaMessage,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    TransactionsReceived,
)
from chain.network.messages import BlockAnnounce, BlockData, BlockField, Direction, Handshake, Role
from chain.network.provider import BlockProvider
from chain.network.service import NetworkConfig, NetworkService, PeerInfo

__all__ = [
    "BlockAnnounce",
    "BlockAnnounced",
    "BlockData",
    "BlockField",
    "BlockProvider",
    "Direction",
    "GrandpaMessage",
    "Handshake",
    "NetworkConfig",
    "NetworkEvent",
    "NetworkService",
    "PeerConnected",
    "PeerDisconnected",
    "PeerInfo",
    "Role",
    "TransactionsReceived",
]
