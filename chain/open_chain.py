"""From a preset's name or a spec file to an open chain: the impure half of `chain_spec.py`."""

from __future__ import annotations

from pathlib import Path

from chain.blockchain import KEPT_STATES, Blockchain
from chain.chain_spec import (
    PRESETS,
    ChainSpec,
    Json,
    genesis_children,
    genesis_storage,
    preset_spec,
    read_chain_spec,
    runtime_blob,
    to_json,
    to_raw,
    with_overrides,
)
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls


def load_chain_spec(chain: str, overrides: Json | None = None) -> ChainSpec:
    """The spec of a preset (`dev`, `local`, `test`) or of a file, with `overrides` merged into its genesis.

    Raises `ChainSpecError` and what `Executor` raises for an unusable blob.
    """
    if chain in PRESETS:
        code = runtime_blob()
        spec = preset_spec(chain, code, GenesisCalls(Executor(code, default_cache_folder())))
    else:
        spec = read_chain_spec(Path(chain))
    return with_overrides(spec, overrides) if overrides else spec


def export_spec(chain: str, is_raw: bool = False, overrides: Json | None = None) -> Json:
    """The standard JSON of a preset or a file; `is_raw` writes the genesis out entry by entry."""
    spec = load_chain_spec(chain, overrides)
    if is_raw:
        spec = to_raw(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
    return to_json(spec)


def open_blockchain(spec: ChainSpec, base_path: Path, kept_states: int | None = KEPT_STATES) -> Blockchain:
    """Opens (or makes) the chain of `spec` in `<base path>/db`, keeping the states of so many final blocks (None: all).

    Raises `DatabaseLocked`, `DatabaseCorrupt`, `WrongGenesis`, `GenesisRejected`.
    """
    genesis = genesis_storage(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
    children = genesis_children(spec)
    return Blockchain.open(base_path / "db", genesis, kept_states=kept_states, genesis_children=children)
