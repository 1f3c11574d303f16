"""The node's JSON-RPC: `server.py` (sockets), `registry.py` (messages), `*_api.py` (methods)."""

from chain.rpc.context import NetworkView, NodeInfo, PeerView, RpcContext
from chain.rpc.server import PortInUse, RpcConfig, RpcServer

__all__ = ["NetworkView", "NodeInfo", "PeerView", "PortInUse", "RpcConfig", "RpcContext", "RpcServer"]
