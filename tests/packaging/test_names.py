"""The five top-level package names belong to this distribution alone, and the pins are exact."""

import importlib.metadata
import importlib.util
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
