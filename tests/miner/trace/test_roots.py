"""A model's root is the same in every process and the one that is stored."""

import json
import os
import subprocess
import sys

import pytest

from tests.miner.trace.vectors import CASES, PATH

STORED = json.loads(PATH.read_text())


def test_every_case_is_stored() -> None:
    assert set(STORED) == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_root_is_the_stored_one(name: str) -> None:
    """When this fails, our rules or what PyTorch calls changed: `python -m tests.miner.trace.vectors`, and say why."""
    graph = CASES[name]()
    found = {"root": f"0x{graph.root().hex()}", "nodes": len(graph.nodes), "macs": str(graph.macs())}
    assert found == STORED[name]


def test_root_is_the_same_in_another_process_with_other_hashes_and_threads() -> None:
    code = "from tests.miner.trace.vectors import CASES; print(CASES['mixed-recipe']().root().hex())"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300, env=environment
    )
    assert f"0x{done.stdout.strip()}" == STORED["mixed-recipe"]["root"]
