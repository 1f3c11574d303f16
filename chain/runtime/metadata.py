"""Metadata of a runtime blob: `python -m chain.runtime.metadata > metadata.scale` writes that of the committed one."""

from __future__ import annotations

import sys

from chain.chain_spec import runtime_blob
from chain.runtime.api import decode_metadata
from chain.runtime.executor import Executor, default_cache_folder
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, Trie


def read_metadata(blob: bytes) -> bytes:
    """`RuntimeMetadataPrefixed`, version 14, from the runtime's own `Metadata_metadata`. Raises RuntimeTrapped."""
    executor = Executor(blob, default_cache_folder())
    return decode_metadata(executor.call("Metadata_metadata", b"", Overlay(StateView(Trie({}), EMPTY_ROOT))))


if __name__ == "__main__":
    sys.stdout.buffer.write(read_metadata(runtime_blob()))
