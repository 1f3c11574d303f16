"""`system_*`: the node, its chain, its network, and nonces."""

from __future__ import annotations

from typing import Any

from chain.primitives import Reader
from chain.rpc.context import RpcContext
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry

MAX_EXTRINSIC_BYTES = 5 * 1024 * 1024


async def name(context: RpcContext, params: Params) -> Any:
    """The implementation's name."""
    params.finish()
    return context.info.name


async def version(context: RpcContext, params: Params) -> Any:
    """The implementation's version."""
    params.finish()
    return context.info.version


async def chain(context: RpcContext, params: Params) -> Any:
    """The chain's name."""
    params.finish()
    return context.info.chain_name


async def chain_type(context: RpcContext, params: Params) -> Any:
    """Development, Local or Live."""
    params.finish()
    return context.info.chain_type


async def properties(context: RpcContext, params: Params) -> Any:
    """The chain spec's properties: prefix, decimals, symbol."""
    params.finish()
    return context.info.properties


async def health(context: RpcContext, params: Params) -> Any:
    """Number of peers and whether we are behind them."""
    params.finish()
    return health_json(context)


async def peers(context: RpcContext, params: Params) -> Any:
    """Connected peers and their best blocks."""
    params.finish()
    return [
        {
            "peerId": peer.peer_id,
            "roles": peer.roles,
            "bestHash": to_hex(peer.best_hash),
            "bestNumber": peer.best_number,
        }
        for peer in context.network.peers()
    ]


async def local_peer_id(context: RpcContext, params: Params) -> Any:
    """Our peer id."""
    params.finish()
    return context.network.local_peer_id()


async def local_listen_addresses(context: RpcContext, params: Params) -> Any:
    """Multiaddresses that others can take as bootnode."""
    params.finish()
    return context.network.listen_addresses()


async def node_roles(context: RpcContext, params: Params) -> Any:
    """Authority or Full."""
    params.finish()
    return ["Authority" if context.info.is_authority else "Full"]


async def sync_state(context: RpcContext, params: Params) -> Any:
    """Our best block, and the highest one that a peer told of."""
    params.finish()
    best = context.chain.best.number
    highest = max([best, *(peer.best_number for peer in context.network.peers())])
    return {"startingBlock": 0, "currentBlock": best, "highestBlock": highest}


async def account_next_index(context: RpcContext, params: Params) -> Any:
    """The nonce of the account's next transaction, those that wait in the pool counted."""
    account = params.account("account")
    params.finish()
    answer = await context.run(context.chain.call, context.at(None), "AccountNonceApi_account_nonce", account)
    return context.pool.next_nonce(account, Reader(answer).u32("nonce"))


async def dry_run(context: RpcContext, params: Params) -> Any:
    """`ApplyExtrinsicResult` of an extrinsic on the state after a block, in hex."""
    data, at = params.bytes_("extrinsic", MAX_EXTRINSIC_BYTES), context.at(params.optional_hash("at"))
    params.finish()
    return to_hex(await context.run(context.chain.call, at, "BlockBuilder_apply_extrinsic", data))


def health_json(context: RpcContext) -> dict[str, Any]:
    """What `system_health` and `/health` answer."""
    return {
        "peers": len(context.network.peers()),
        "isSyncing": context.network.is_syncing(),
        "shouldHavePeers": context.info.chain_type != "Development",
    }


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("system_name")(name)
    registry.method("system_version")(version)
    registry.method("system_chain")(chain)
    registry.method("system_chainType")(chain_type)
    registry.method("system_properties")(properties)
    registry.method("system_health")(health)
    registry.method("system_peers")(peers)
    registry.method("system_localPeerId")(local_peer_id)
    registry.method("system_localListenAddresses")(local_listen_addresses)
    registry.method("system_nodeRoles")(node_roles)
    registry.method("system_syncState")(sync_state)
    registry.method("system_accountNextIndex", "account_nextIndex")(account_next_index)
    registry.method("system_dryRun", "system_dryRunAt", unsafe=True)(dry_run)
