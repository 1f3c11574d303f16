"""Host functions whose work lies outside of the state: offchain workers, offchain index, stored transactions.

This host runs no offchain workers, so that what only they may call is refused; what a block may call at any time and
has no effect on the state is taken and dropped (docs/host.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from chain.errors import HostFault
from chain.runtime.host import Host, HostFunction

_WORKER_ONLY = {
    "is_validator": ("", "i"),
    "submit_transaction": ("l", "l"),
    "network_state": ("", "l"),
    "timestamp": ("", "l"),
    "sleep_until": ("l", ""),
    "random_seed": ("", "i"),
    "local_storage_set": ("ill", ""),
    "local_storage_clear": ("il", ""),
    "local_storage_compare_and_set": ("illl", "i"),
    "local_storage_get": ("il", "l"),
    "http_request_start": ("lll", "l"),
    "http_request_add_header": ("ill", "l"),
    "http_request_write_body": ("ill", "l"),
    "http_response_wait": ("ll", "l"),
    "http_response_headers": ("i", "l"),
    "http_response_read_body": ("ill", "l"),
    "set_authorized_nodes": ("li", ""),
}
NO_RECORDER = -1  # u64::MAX: the size of a proof that nobody records


class OffchainRefused(HostFault):
    """The runtime called in a block what only an offchain worker may call."""

    def __init__(self, function: str) -> None:
        self.function = function
        super().__init__(f"{function} may be called by offchain workers only, and this host runs none")


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(*_given: int) -> NoReturn:
        raise OffchainRefused(name)

    return refuse


def offchain_functions(host: Host) -> dict[str, HostFunction]:
    """The three families; spans and pointers are checked also where their bytes are dropped."""
    memory = host.memory

    def index_set(key: int, value: int) -> None:
        memory.read_span(key)
        memory.read_span(value)

    def index_clear(key: int) -> None:
        memory.read_span(key)

    def transaction_index(_extrinsic: int, _size: int, content_hash: int) -> None:
        memory.read(content_hash, 32)

    def transaction_renew(_extrinsic: int, content_hash: int) -> None:
        memory.read(content_hash, 32)

    functions = {
        "ext_offchain_index_set_version_1": HostFunction("ll", "", index_set),
        "ext_offchain_index_clear_version_1": HostFunction("l", "", index_clear),
        "ext_transaction_index_index_version_1": HostFunction("iii", "", transaction_index),
        "ext_transaction_index_renew_version_1": HostFunction("ii", "", transaction_renew),
        "ext_storage_proof_size_storage_proof_size_version_1": HostFunction("", "l", lambda: NO_RECORDER),
    }
    for short, (params, result) in _WORKER_ONLY.items():
        name = f"ext_offchain_{short}_version_1"
        functions[name] = HostFunction(params, result, _refusal(name))
    return functions
