"""Errors of the network.

PeerFault (chain.errors)               a peer broke a rule: its stream is reset, its reputation falls
└── NetworkPeerFault
    ├── MessageTooLarge                more bytes than the protocol allows
    ├── BadMessage                     bytes that do not decode
    ├── WrongNetwork                   a handshake of another genesis
    └── BadResponse                    an answer that does not fit its request
Misuse (chain.errors)
└── NetworkMisuse
    ├── NotRunning                     the service was not started, or has stopped
    ├── ListenFailed                   the port is in use or cannot be bound
    └── BadAddress                     a bootnode that is not a multiaddress with a peer id
ChainError (chain.errors)
└── RequestFailed                      no answer: peer unknown, gone, refused, too slow, or we are too busy
"""

from __future__ import annotations

from chain.errors import ChainError, Misuse, PeerFault


class NetworkPeerFault(PeerFault):
    """A peer broke a rule of a network protocol; `peer` is its base58 id (empty where not known yet)."""

    def __init__(self, detail: str, peer: str = "") -> None:
        self.detail, self.peer = detail, peer
        super().__init__(f"peer {peer or '?'}: {detail}")


class MessageTooLarge(NetworkPeerFault):
    """A length prefix above the protocol's bound."""

    def __init__(self, what: str, size: int, bound: int, peer: str = "") -> None:
        self.what, self.size, self.bound = what, size, bound
        super().__init__(f"{what} of {size} bytes is above the bound {bound}; the stream is reset", peer)


class BadMessage(NetworkPeerFault):
    """A message that does not decode."""


class WrongNetwork(NetworkPeerFault):
    """A handshake that names another genesis block."""


class BadResponse(NetworkPeerFault):
    """A response that does not fit its request (wrong start, gap, too many blocks)."""


class NetworkMisuse(Misuse):
    """The caller asked the network for what cannot be done."""


class NotRunning(NetworkMisuse):
    """The service is not running."""

    def __init__(self) -> None:
        super().__init__("the network service is not running; await start() first")


class ListenFailed(NetworkMisuse):
    """The listening address cannot be bound."""

    def __init__(self, address: str, detail: str) -> None:
        self.address, self.detail = address, detail
        super().__init__(f"cannot listen on {address}: {detail}; take another port or stop the other process")


class BadAddress(NetworkMisuse):
    """A bootnode address that cannot be used."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"{address!r} is no bootnode address; write /ip4/127.0.0.1/tcp/PORT/p2p/PEER_ID")


class RequestFailed(ChainError):
    """A block request got no answer; ask another peer."""

    def __init__(self, peer: str, reason: str) -> None:
        self.peer, self.reason = peer, reason
        super().__init__(f"request to peer {peer} failed: {reason}; ask another peer")
