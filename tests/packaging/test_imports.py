"""Imports point one way, `consensus` needs neither chain nor PyTorch, and no daemon pays for PyTorch at its start."""

from __future__ import annotations

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import consensus

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    "pallets_abi": {"pallets_abi"},
    "consensus": {"consensus"},
    "chain": {"chain", "pallets_abi"},
    "miner": {"miner", "chain", "consensus", "pallets_abi"},
    "devnet": {"devnet", "miner", "chain", "consensus", "pallets_abi"},
}
"""What a package may import of ours: pallets_abi <- chain <- miner <- devnet and consensus <- miner."""

PURE = {"asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}
"""I/O, clocks and entropy: consensus takes what it needs as arguments."""


def imported(source: str) -> set[str]:
    """Top-level names of all imports of a module's source, those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def loaded(module_list: list[str], watched: tuple[str, ...]) -> list[str]:
    """Which of `watched` a fresh Python has loaded after importing `module_list`."""
    code = (
        "import importlib, sys\n"
        f"for name in {module_list!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {watched!r} if name in sys.modules])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_reader_of_imports_sees_all_forms() -> None:
    source = "import a.b, c\nfrom d.e import f\ndef g():\n    import h\n    from . import i\n"
    assert imported(source) == {"a", "c", "d", "h"}


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    wrong = {
        str(file.relative_to(ROOT)): forbidden
        for file in files
        if (forbidden := (imported(file.read_text()) & set(ALLOWED)) - ALLOWED[package])
    }
    assert not wrong, f"imports against the direction: {wrong}"


def test_consensus_is_pure() -> None:
    wrong = {
        str(file.relative_to(ROOT)): found
        for file in (ROOT / "consensus").rglob("*.py")
        if (found := imported(file.read_text()) & PURE)
    }
    assert not wrong, f"consensus reaches for I/O, clock or entropy: {wrong}"


def test_consensus_loads_neither_chain_nor_miner_nor_torch() -> None:
    modules = [module.name for module in pkgutil.walk_packages(consensus.__path__, "consensus.")]
    assert len(modules) > 10
    assert loaded(modules, ("chain", "miner", "devnet", "pallets_abi", "torch", "plyvel", "aiohttp")) == []


def test_no_command_loads_torch_at_its_start() -> None:
    commands = ["miner.cli.miner", "miner.cli.validator", "miner.cli.aipow", "devnet.cli"]
    assert loaded(commands, ("torch", "sklearn", "scipy")) == []


def test_the_node_loads_no_numerics() -> None:
    assert loaded(["chain.node", "chain.node_main"], ("torch", "miner", "consensus", "devnet")) == []
