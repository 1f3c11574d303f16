"""The executor: what it refuses to load, what a trap leaves behind, and that no call leaves traces for the next."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import wasmtime
import zstandard

from chain.chain_spec import runtime_blob
from chain.errors import BlobMalformed, GenesisRejected, MissingExport, RuntimeTrapped, UnknownImports
from chain.primitives import encode_bytes
from chain.runtime import Executor, GenesisCalls, RuntimeVersion, genesis_block, genesis_state_from_patch
from chain.runtime.api import decode_metadata, decode_optional_metadata
from chain.runtime.executor import COMPRESSED_PREFIX, MAX_WASM_BYTES, decompress_blob
from chain.runtime.host_crypto import EcdsaError, is_ed25519_valid, is_sr25519_valid, recover_secp256k1, twox
from chain.runtime.wasm import count_mutable_globals, find_heap_base
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, Trie, compute_trie_root
from tests.chain.devchain import ALICE, executor, genesis


def overlay() -> Overlay:
    """The state of block 0 of preset dev, nothing written yet."""
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    update = trie.update(EMPTY_ROOT, genesis())
    store.update(update.nodes)
    return Overlay(StateView(trie, update.root))


def wat(imports: str = "", body: str = "") -> bytes:
    """A module that looks like a runtime."""
    return bytes(
        wasmtime.wat2wasm(
            f'(module {imports} (import "env" "memory" (memory 1)) (global (export "__heap_base") i32 (i32.const 4096))'
            f"{body})"
        )
    )


def test_unknown_imports_are_named_at_load() -> None:
    blob = wat('(import "env" "ext_time_travel_version_1" (func (param i32)))')
    with pytest.raises(UnknownImports, match="ext_time_travel_version_1") as caught:
        Executor(blob)
    assert caught.value.names == ("ext_time_travel_version_1",)


def test_a_known_import_with_another_signature_is_refused() -> None:
    Executor(wat('(import "env" "ext_storage_clear_version_1" (func (param i64)))'))
    with pytest.raises(UnknownImports, match="ext_storage_clear_version_1"):
        Executor(wat('(import "env" "ext_storage_clear_version_1" (func (param i32)))'))


@pytest.mark.parametrize(
    "blob",
    [b"", b"\x00asm", b"junk" * 10, COMPRESSED_PREFIX, COMPRESSED_PREFIX + b"junk", wat()[:-3]],
)
def test_malformed_blobs_are_refused(blob: bytes) -> None:
    with pytest.raises(BlobMalformed):
        Executor(blob)


def test_a_decompression_bomb_is_refused() -> None:
    bomb = COMPRESSED_PREFIX + zstandard.ZstdCompressor().compress(b"\x00asm" + bytes(MAX_WASM_BYTES))
    assert len(bomb) < 10_000
    with pytest.raises(BlobMalformed, match="more than"):
        decompress_blob(bomb)


def test_heap_base_and_globals_are_read_from_the_binary() -> None:
    assert find_heap_base(wat()) == 4096
    assert count_mutable_globals(wat()) == 0
    more = wat(body="(global (mut i64) (i64.const -5)) (global f64 (f64.const 1)) (global (mut i32) (i32.const 70000))")
    assert count_mutable_globals(more) == 2
    with pytest.raises(BlobMalformed, match="__heap_base"):
        find_heap_base(bytes(wasmtime.wat2wasm('(module (memory (export "m") 1))')))


ALLOCATE = '(import "env" "ext_allocator_malloc_version_1" (func $malloc (param i32) (result i32)))'
COUNTER = """
  (data (i32.const 16) "\\00\\00\\00\\00")
  (global $g (mut i32) (i32.const 1024))
  (func (export "count") (param i32 i32) (result i64) (local $block i32)
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (i32.store (i32.const 2000) (i32.add (i32.load (i32.const 2000)) (i32.const 1)))
    (local.set $block (call $malloc (i32.const 64)))
    (i32.store (local.get $block) (i32.add (i32.load (local.get $block)) (i32.const 1)))
    (i32.store (i32.const 3000) (i32.load (i32.const 16)))
    (i32.store (i32.const 3004) (i32.load (i32.const 2000)))
    (i32.store (i32.const 3008) (i32.load (local.get $block)))
    (i32.store (i32.const 3012) (local.get $block))
    (i64.const 0x0000001000000bb8))
  (func (export "trap") (param i32 i32) (result i64)
    (i32.store (i32.const 16) (i32.const 7)) (global.set $g (i32.const 3)) unreachable)
  (func (export "global") (param i32 i32) (result i64)
    (i32.store (i32.const 3000) (global.get $g)) (i64.const 0x0000000400000bb8))
"""


def test_data_stack_heap_and_globals_are_fresh_in_every_call() -> None:
    runner = Executor(wat(ALLOCATE, COUNTER))
    first = runner.call("count", b"", overlay())
    assert first[:12] == b"\x01\0\0\0" * 3
    for _ in range(3):
        assert runner.call("count", b"", overlay()) == first
        with pytest.raises(RuntimeTrapped):
            runner.call("trap", b"", overlay())
        assert runner.call("global", b"", overlay()) == (1024).to_bytes(4, "little")


def test_calls_in_any_order_give_what_they_give_alone() -> None:
    calls = [
        ("Core_version", b""),
        ("AuraApi_authorities", b""),
        ("Metadata_metadata", b""),
        ("GrandpaApi_grandpa_authorities", b""),
        ("AccountNonceApi_account_nonce", ALICE.public),
        ("GenesisBuilder_get_preset", b"\x01" + encode_bytes(b"dev")),
        ("Core_initialize_block", genesis_block(genesis()).encode()),
        ("BlockBuilder_apply_extrinsic", b"\x04\x00"),  # traps or is refused
    ]
    blob = runtime_blob()

    def run(runner: Executor, method: str, arguments: bytes) -> tuple[bytes, dict[bytes, bytes | None]]:
        state = overlay()
        try:
            return runner.call(method, arguments, state), state.changes()
        except RuntimeTrapped as error:
            return str(error).encode(), state.changes()

    cache = Path.home() / ".cache" / "aipow" / "wasm"
    alone = {call: run(Executor(blob, cache), *call) for call in calls}
    order = random.Random(7).choices(calls, k=60)
    for call in order:
        assert run(executor(), *call) == alone[call]


def test_a_call_that_trapped_leaves_no_open_transaction_and_its_message() -> None:
    state = overlay()
    state.start()
    with pytest.raises(RuntimeTrapped, match="panicked"):
        executor().call("Core_execute_block", b"\xff" * 10, state)
    assert state.depth == 1


def test_missing_entry_points_are_told() -> None:
    with pytest.raises(MissingExport, match="Nothing_here"):
        executor().call("Nothing_here", b"", overlay())


def test_compiled_modules_are_cached_and_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    blob = wat(ALLOCATE, COUNTER)
    answer = Executor(blob, tmp_path).call("count", b"", overlay())
    sizes = {file: file.stat().st_size for file in tmp_path.iterdir()}
    assert len(sizes) == 4  # the runtime; heap, hashes and storage of the host
    assert Executor(blob, tmp_path).call("count", b"", overlay()) == answer
    for file in sizes:
        file.unlink()  # the first executor may still have it mapped
        file.write_bytes(b"damaged")
    assert Executor(blob, tmp_path).call("count", b"", overlay()) == answer
    assert {file: file.stat().st_size for file in tmp_path.iterdir()} == sizes


def test_version_and_metadata_are_typed() -> None:
    version = RuntimeVersion.decode(executor().call("Core_version", b"", overlay()))
    assert version.spec_name == "aipow"
    assert decode_metadata(executor().call("Metadata_metadata", b"", overlay()))[:5] == b"meta\x0e"
    at_15 = executor().call("Metadata_metadata_at_version", (15).to_bytes(4, "little"), overlay())
    assert (decode_optional_metadata(at_15) or b"")[:5] == b"meta\x0f"
    at_99 = executor().call("Metadata_metadata_at_version", (99).to_bytes(4, "little"), overlay())
    assert decode_optional_metadata(at_99) is None


def test_genesis_takes_presets_and_patches_and_refuses_nonsense() -> None:
    blob = runtime_blob()
    assert GenesisCalls(executor()).genesis_preset("no such preset") is None
    with pytest.raises(GenesisRejected, match="no preset"):
        genesis_state_from_patch(blob, "no such preset", executor())
    with pytest.raises(GenesisRejected):
        genesis_state_from_patch(blob, {"noSuchPallet": {}}, executor())
    with pytest.raises(GenesisRejected):
        GenesisCalls(executor()).build_genesis(b"{no json")
    dev = json.loads(GenesisCalls(executor()).genesis_preset("dev") or b"")
    dev["balances"]["balances"] = [[ALICE.address, 5 * 10**12]]
    state = genesis_state_from_patch(blob, dev, executor())
    assert len(state) < len(genesis())
    assert state[b":code"] == blob
    assert any(ALICE.public in key for key in state)
    header = genesis_block(state)
    assert (header.number, header.state_root) == (
        0,
        compute_trie_root(state, RuntimeVersion.decode(executor().call("Core_version", b"", overlay())).state_version),
    )


def test_an_incentive_compatible_genesis_is_demanded() -> None:
    """p·(1−r^v)·(R+S) > C is checked by the runtime: without challenges honesty would not pay."""
    dev = json.loads(GenesisCalls(executor()).genesis_preset("dev") or b"")
    dev["verification"]["challengePpm"] = 0
    with pytest.raises(GenesisRejected, match="cheating pays"):
        genesis_state_from_patch(runtime_blob(), dev, executor())


def test_hashes_and_signatures_match_known_answers() -> None:
    assert twox(b"System", 2).hex() == "26aa394eea5630e07c48ae0c9558cef7"  # the well-known storage prefix
    assert twox(b"", 1).hex() == "99e9d85137db46ef"
    signature = ALICE.sign(b"message")
    assert is_sr25519_valid(signature, b"message", ALICE.public)
    assert not is_sr25519_valid(signature, b"other", ALICE.public)
    assert not is_sr25519_valid(b"\xff" * 64, b"message", b"\xff" * 32)
    assert not is_ed25519_valid(b"\xff" * 64, b"message", b"\xff" * 32)
    assert recover_secp256k1(b"\xff" * 65, bytes(32)) is EcdsaError.BAD_V
