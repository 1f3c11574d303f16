"""The committed runtime blob: it belongs to the sources beside it, speaks all APIs, and rotates the authors."""

import hashlib
import importlib.util
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chain.blockchain import Blockchain
from chain.errors import GenesisRejected
from chain.identity import sr25519_from_uri
from chain.runtime.api import RuntimeVersion, decode_optional_metadata
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls, genesis_state_from_patch
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, Trie

RUNTIME = Path(__file__).resolve().parents[2] / "devnet" / "runtime"
SLOTS = 12  # of an epoch of preset test
START = 1_700_000_000 // SLOTS * SLOTS + 5  # slot of block 1: the sixth of epoch 0
APIS = (
    "Core",
    "Metadata",
    "BlockBuilder",
    "TaggedTransactionQueue",
    "OffchainWorkerApi",
    "AuraApi",
    "SessionKeys",
    "GrandpaApi",
    "AccountNonceApi",
    "TransactionPaymentApi",
    "GenesisBuilder",
)


def load_build_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aipow_runtime_build", RUNTIME / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


build = load_build_script()


@pytest.fixture(scope="module")
def blob() -> bytes:
    return bytes(build.BLOB.read_bytes())


@pytest.fixture(scope="module")
def executor(blob: bytes) -> Executor:
    return Executor(blob, default_cache_folder())


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "runtime"
    shutil.copytree(RUNTIME, copy, ignore=shutil.ignore_patterns("target", "blob"))
    yield copy


def empty() -> Overlay:
    return Overlay(StateView(Trie({}), EMPTY_ROOT))


def test_blob_belongs_to_the_sources() -> None:
    assert build.is_current(), "run `python devnet/runtime/build.py` and commit devnet/runtime/blob"


@pytest.mark.parametrize("name", ["Cargo.lock", "Cargo.toml", "runtime/src/lib.rs", "pallets/beacon/src/types.rs"])
def test_changed_source_changes_the_digest(tree: Path, name: str) -> None:
    before = build.sources_digest(tree)
    assert before == build.sources_digest()
    (tree / name).write_bytes((tree / name).read_bytes() + b"\n")
    assert build.sources_digest(tree) != before


def test_renamed_source_changes_the_digest_and_a_test_does_not(tree: Path) -> None:
    before = build.sources_digest(tree)
    (tree / "pallets/beacon/src/tests.rs").write_text("")
    assert build.sources_digest(tree) == before
    (tree / "pallets/beacon/src/weights.rs").rename(tree / "pallets/beacon/src/weight.rs")
    assert build.sources_digest(tree) != before


def test_blob_is_a_bounded_compressed_module(blob: bytes) -> None:
    assert blob.startswith(build.COMPRESSED_MAGIC)
    assert len(blob) < 600_000
    assert b"/root/" not in blob


def test_build_of_an_oversized_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = random.Random(1).randbytes(1_000)  # does not compress
    size = len(build.compress(module))
    monkeypatch.setattr(build, "MAX_BLOB_BYTES", size)
    assert build.compress(module).startswith(build.COMPRESSED_MAGIC)
    monkeypatch.setattr(build, "MAX_BLOB_BYTES", size - 1)
    with pytest.raises(build.BuildError, match="debug build"):
        build.compress(module)


def test_version_names_all_apis(executor: Executor) -> None:
    version = RuntimeVersion.decode(executor.call("Core_version", b"", empty()))
    assert (version.spec_name, version.system_version) == ("aipow", 1)
    ids = {identifier for identifier, _ in version.apis}
    assert {hashlib.blake2b(name.encode(), digest_size=8).digest() for name in APIS} <= ids


@pytest.mark.parametrize("version", [14, 15, 16])
def test_metadata_versions(executor: Executor, version: int) -> None:
    answer = executor.call("Metadata_metadata_at_version", version.to_bytes(4, "little"), empty())
    metadata = decode_optional_metadata(answer)
    assert metadata is not None and metadata[:5] == b"meta" + bytes([version])


@pytest.mark.parametrize("preset", ["dev", "local", "test"])
def test_presets_build(blob: bytes, executor: Executor, preset: str) -> None:
    assert genesis_state_from_patch(blob, preset, executor)[b":code"] == blob


def merged(executor: Executor, changes: dict[str, Any]) -> bytes:
    calls = GenesisCalls(executor)
    config: dict[str, Any] = json.loads(calls.genesis_preset(None) or b"")
    for patch in (json.loads(calls.genesis_preset("dev") or b""), changes):
        for pallet, values in patch.items():
            config[pallet] |= values
    return json.dumps(config).encode()


BAD_GENESIS = [
    ({"stakes": {"minSolverBond": 1}, "verification": {"challengePpm": 1}}, "cheating pays"),
    ({"verification": {"challengePpm": 1_000_001}}, "challengePpm"),
    ({"verification": {"verifiers": 0}}, "verifiers"),
    ({"verification": {"segments": 17}}, "segments"),
    ({"tasks": {"burnShare": 900_001}}, "burnShare"),
    ({"stakes": {"minVerifierBond": 0}}, "minVerifierBond"),
    ({"blockRights": {"slotsPerEpoch": 5}}, "slotsPerEpoch"),
    ({"blockRights": {"bootstrap": []}}, "bootstrap"),
    ({"blockRights": {"slotDuration": "fast"}}, "JSON"),
    ({"blockRights": {"slotDurationMs": 1}}, "JSON"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD_GENESIS)
def test_bad_genesis_is_refused_with_its_reason(executor: Executor, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(GenesisRejected, match=reason):
        GenesisCalls(executor).build_genesis(merged(executor, changes))


def test_genesis_parameters_at_the_bound_of_the_inequality(executor: Executor) -> None:
    """p·(1−r²)·(R+S) > C with p = 1, r = 0, R + S = 10^9 + bond plancks and C = 10^9 + 1: a bond of 1 is not enough."""
    changes = {
        "verification": {"challengePpm": 1_000_000, "attackerShare": 0},
        "tasks": {"floorPrice": 1_000_000, "macCost": 1_000_001},
    }
    bound = 1_000  # C − R: cost 1,000,001 · 1,000 and price 1,000,000 · 1,000 plancks for the 10^9 reference MACs
    calls = GenesisCalls(executor)
    with pytest.raises(GenesisRejected, match="cheating pays"):
        calls.build_genesis(merged(executor, changes | {"stakes": {"minSolverBond": bound}}))
    assert calls.build_genesis(merged(executor, changes | {"stakes": {"minSolverBond": bound + 1}}))


def test_unknown_preset(executor: Executor) -> None:
    assert GenesisCalls(executor).genesis_preset("mainnet") is None


def test_blocks_over_two_rotations(blob: bytes, executor: Executor, tmp_path: Path) -> None:
    alice = sr25519_from_uri("//Alice")
    state = genesis_state_from_patch(blob, "test", executor)
    chain = Blockchain.open(tmp_path / "chain", state, clock_ms=lambda: (START + 100) * 1_000)
    try:
        assert chain.slot_duration(chain.best.hash) == 1_000
        changes = []
        for slot in range(START, START + 2 * SLOTS):
            block = chain.build_block(chain.best.hash, slot, slot * 1_000, (), alice)
            assert chain.import_block(block).is_best
            # consensus logs of Aura (item 4, engine "aura"): the list of authors changes
            changes += [slot for item in block.header.digest if item.encode()[:5] == b"\x04aura"]
        assert [(slot + 1) % SLOTS for slot in changes] == [0, 0]
        assert chain.authorities(chain.best.hash) == (alice.public,) * SLOTS
        ((_, weight),) = chain.grandpa_authorities(chain.best.hash)
        assert weight == 1
    finally:
        chain.close()
