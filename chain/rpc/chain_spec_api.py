"""`chainSpec_v1_*`: what the chain is called, and its genesis. Source: json-rpc-interface-spec."""

from __future__ import annotations

from chain.rpc.archive_api import genesis_hash
from chain.rpc.registry import Registry
from chain.rpc.system_api import chain, properties


def register(registry: Registry) -> None:
    """Adds these methods; all three answer as older ones do."""
    registry.method("chainSpec_v1_chainName")(chain)
    registry.method("chainSpec_v1_genesisHash")(genesis_hash)
    registry.method("chainSpec_v1_properties")(properties)
