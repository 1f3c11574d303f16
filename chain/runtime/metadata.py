"""Metadata of a runtime blob: `python -m chain.runtime.metadata > metadata.scale` writes that of the committed one."""

from __future__ import annotations

import sys

from chain.chain_spec import runtime_blob
from chain.runtime.api import decode_optional_metadata
from chain.runtime.executor import Executor, default_cache_folder
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, Trie

VERSION = 15
"""With runtime APIs, which version 14 has not."""


def read_metadata(blob: bytes) -> bytes:
    """`RuntimeMetadataPrefixed`, version 15. Raises RuntimeTrapped, and ValueError when the runtime has none."""
    executor, empty = Executor(blob, default_cache_folder()), Overlay(StateView(Trie({}), EMPTY_ROOT))
    answer = executor.call("Metadata_metadata_at_version", VERSION.to_bytes(4, "little"), empty)
    metadata = decode_optional_metadata(answer)
    if metadata is None:
        raise ValueError(f"the runtime has no metadata of version {VERSION}")
    return metadata


if __name__ == "__main__":
    sys.stdout.buffer.write(read_metadata(runtime_blob()))
