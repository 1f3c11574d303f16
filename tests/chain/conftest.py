"""One authoring node, shared by the tests that only read and submit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chain.node_process import NodeProcess


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node of preset dev with //Alice's keys."""
    process = NodeProcess(tmp_path_factory.mktemp("node") / "alice", "--dev-key", "//Alice")
    try:
        yield process.start()
    finally:
        process.stop()
