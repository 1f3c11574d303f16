"""The Wasm runtime: executor, allocator, host functions by family, typed runtime API calls."""

from chain.runtime.api import RuntimeVersion, encode_inherents
from chain.runtime.executor import Executor, Executors
from chain.runtime.genesis import GenesisCalls, genesis_block, genesis_state_from_patch

__all__ = [
    "Executor",
    "Executors",
    "GenesisCalls",
    "RuntimeVersion",
    "encode_inherents",
    "genesis_block",
    "genesis_state_from_patch",
]
