"""JSON forms of chain data, as polkadot-sdk's RPC writes them."""

from __future__ import annotations

from typing import Any

from chain.pool.pool import Status
from chain.primitives import Header, Reader
from chain.rpc.params import to_hex

MAX_APIS = 256
MAX_NAME_BYTES = 256
DISPATCH_CLASSES = ("normal", "operational", "mandatory")


def header_json(header: Header) -> dict[str, Any]:
    """A header; digest items as hex of their SCALE."""
    return {
        "parentHash": to_hex(header.parent_hash),
        "number": hex(header.number),
        "stateRoot": to_hex(header.state_root),
        "extrinsicsRoot": to_hex(header.extrinsics_root),
        "digest": {"logs": [to_hex(item.encode()) for item in header.digest]},
    }


def block_json(header: Header, extrinsics: tuple[bytes, ...], justification: bytes | None) -> dict[str, Any]:
    """A signed block: extrinsics with their lengths; the justification as list of [engine, bytes]."""
    proofs = None if justification is None else [[list(b"FRNK"), list(justification)]]
    return {
        "block": {"header": header_json(header), "extrinsics": [to_hex(data) for data in extrinsics]},
        "justifications": proofs,
    }


def status_json(status: Status) -> Any:
    """A transaction status as `author_extrinsicUpdate` carries it."""
    if status.name == "broadcast":
        return {"broadcast": (status.payload or b"").decode().split("\n")}
    return status.name if status.payload is None else {status.name: to_hex(status.payload)}


def runtime_version_json(data: bytes) -> dict[str, Any]:
    """`Core_version`'s answer. Raises `DecodeError`."""
    reader = Reader(data)
    spec_name = reader.bytes_(MAX_NAME_BYTES, "spec name").decode("utf-8", "replace")
    impl_name = reader.bytes_(MAX_NAME_BYTES, "impl name").decode("utf-8", "replace")
    authoring, spec, impl = reader.u32(), reader.u32(), reader.u32()
    count = reader.compact(MAX_APIS, "runtime APIs")
    apis = [[to_hex(reader.take(8, "API id")), reader.u32("API version")] for _ in range(count)]
    transaction = reader.u32("transaction version")
    system = reader.u8("system version")
    return {
        "specName": spec_name,
        "implName": impl_name,
        "authoringVersion": authoring,
        "specVersion": spec,
        "implVersion": impl,
        "apis": apis,
        "transactionVersion": transaction,
        "systemVersion": system,
        "stateVersion": system,
    }


def dispatch_info_json(data: bytes) -> dict[str, Any]:
    """`TransactionPaymentApi_query_info`'s answer; the fee in plancks, as decimal text. Raises `DecodeError`."""
    reader = Reader(data)
    ref_time = reader.compact(2**64 - 1, "ref time")
    proof_size = reader.compact(2**64 - 1, "proof size")
    name = reader.u8("dispatch class")
    fee = reader.u128("partial fee")
    return {
        "weight": {"ref_time": ref_time, "proof_size": proof_size},
        "class": DISPATCH_CLASSES[name] if name < len(DISPATCH_CLASSES) else str(name),
        "partialFee": str(fee),
    }


def fee_details_json(data: bytes) -> dict[str, Any]:
    """`TransactionPaymentApi_query_fee_details`' answer, in plancks as hex. Raises `DecodeError`."""
    reader = Reader(data)
    if not reader.option("inclusion fee"):
        return {"inclusionFee": None}
    names = ("baseFee", "lenFee", "adjustedWeightFee")
    return {"inclusionFee": {name: hex(reader.u128(name)) for name in names}}
