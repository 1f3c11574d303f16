"""What the network tells the node. Peers are named by their base58 peer id."""

from __future__ import annotations

from dataclasses import dataclass

from chain.network.messages import BlockAnnounce, Handshake


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A peer of our genesis opened block announces with us; `handshake` says its best block."""

    peer: str
    handshake: Handshake


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The peer is gone; forget what it had promised."""

    peer: str


@dataclass(frozen=True, slots=True)
class BlockAnnounced:
    """A peer has a new block (decoded, not verified)."""

    peer: str
    announce: BlockAnnounce


@dataclass(frozen=True, slots=True)
class TransactionsReceived:
    """Extrinsics, each with its compact length in front (not validated)."""

    peer: str
    extrinsics: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class GrandpaMessage:
    """The bytes of a GRANDPA GossipMessage (not decoded): give them to GrandpaService.on_message."""

    peer: str
    message: bytes


NetworkEvent = PeerConnected | PeerDisconnected | BlockAnnounced | TransactionsReceived | GrandpaMessage
