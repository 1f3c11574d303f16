"""The five top-level package names belong to this distribution alone, and the pins are exact."""

import ast
import importlib.metadata
import importlib.util
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("chain", "consensus", "miner", "pallets_abi", "devnet")


def test_packages_are_not_shadowed() -> None:
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        assert Path(spec.origin).is_relative_to(ROOT / name), f"{name} comes from {spec.origin}"


def test_no_other_distribution_owns_the_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in PACKAGES:
        assert set(owners.get(name, ["aipow"])) == {"aipow"}


def test_every_dependency_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = {pin.split("==")[0] for pin in project["tool"]["uv"]["constraint-dependencies"]}
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    assert not [name for name in wanted if name not in pins]


def test_installed_versions_are_the_pinned_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = [pin.split(" ; ")[0] for pin in project["tool"]["uv"]["constraint-dependencies"]]
    for name in ("torch", "numpy", "wasmtime", "libp2p", "substrate-interface"):
        assert f"{name}=={importlib.metadata.version(name).split('+')[0]}" in pins


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {*project["project"]["dependencies"], *project["dependency-groups"]["dev"]}
    owners = importlib.metadata.packages_distributions()
    ours = {*PACKAGES, "benchmarks", "tests", *sys.stdlib_module_names}
    own_environment = ROOT / "tests" / "clients" / "async-substrate-requirements.txt"
    undeclared = set()
    for folder in (*PACKAGES, "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            brought = {"triton"} if path.parent.name == "triton" else set()  # by torch, see below
            if path == own_environment.with_name("async_substrate.py"):
                brought = {line.split("==")[0].replace("-", "_") for line in own_environment.read_text().splitlines()}
            for module in list_imports(path) - ours - brought:
                if not {owner.lower().replace("_", "-") for owner in owners.get(module, [])} & declared:
                    undeclared.add((module, str(path.relative_to(ROOT))))
    assert undeclared == set()
    assert any(need.startswith("triton") for need in importlib.metadata.requires("torch") or [])


def list_imports(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found
