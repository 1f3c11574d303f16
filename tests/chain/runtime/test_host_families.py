"""The trie, offchain, transaction index and tracing families through the host functions."""

from __future__ import annotations

import pytest
import wasmtime

from chain.errors import RuntimeTrapped
from chain.primitives import encode_bytes, encode_compact
from chain.primitives.block import blake2_256
from chain.runtime import Executor
from chain.runtime.host import OutOfBounds
from chain.runtime.host_offchain import OffchainRefused
from chain.runtime.host_trie import keccak_256
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, Trie
from chain.trie.trie import Hasher
from tests.chain.runtime.guest import Guest

LONG = b"v" * 40


def overlay() -> Overlay:
    return Overlay(StateView(Trie({}), EMPTY_ROOT))


def vector(*items: bytes) -> bytes:
    return encode_compact(len(items)) + b"".join(map(encode_bytes, items))


def pointer(guest: Guest, name: str, *arguments: bytes | int) -> bytes:
    at = guest(name, *arguments)
    assert isinstance(at, int)
    return guest.memory.read(at, 32)


HASHES = [("blake2_256", blake2_256), ("keccak_256", keccak_256)]


@pytest.mark.parametrize(("name", "hasher"), HASHES)
def test_roots_of_one_leaf_are_those_written_by_hand(name: str, hasher: Hasher) -> None:
    guest = Guest(overlay())
    pair = encode_compact(1) + encode_bytes(b"k") + encode_bytes(LONG)
    leaf, hashed = b"\x42k" + encode_bytes(LONG), b"\x22k" + hasher(LONG)
    assert pointer(guest, f"trie_{name}_root_version_1", pair) == hasher(leaf)
    assert pointer(guest, f"trie_{name}_root_version_2", pair, 0) == hasher(leaf)
    assert pointer(guest, f"trie_{name}_root_version_2", pair, 1) == hasher(hashed)
    first = b"\x42\x00" + encode_bytes(b"v")
    assert pointer(guest, f"trie_{name}_ordered_root_version_1", vector(b"v")) == hasher(first)
    assert pointer(guest, f"trie_{name}_ordered_root_version_2", vector(), 1) == hasher(b"\0")


def test_the_empty_keccak_root_is_the_known_one() -> None:
    known = "bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a"
    assert pointer(Guest(overlay()), "trie_keccak_256_root_version_1", b"\0").hex() == known


@pytest.mark.parametrize(("name", "hasher"), HASHES)
@pytest.mark.parametrize(("version", "is_hashed"), [(0, False), (1, True)])
def test_a_compact_proof_written_by_hand(name: str, hasher: Hasher, version: int, is_hashed: bool) -> None:
    # a branch at nibble 6 with leaves 1 ("a" = 0x61: a long value) and 2 ("b" = 0x62: one byte, inline)
    leaf = (b"\x20" + hasher(LONG)) if is_hashed else b"\x40" + encode_bytes(LONG)
    inline = b"\x40" + encode_bytes(b"2")
    head = b"\x81\x06" + (0b110).to_bytes(2, "little")
    root = hasher(head + encode_bytes(hasher(leaf)) + encode_bytes(inline))
    guest = Guest(overlay())
    top = guest.host.put(root)

    def verify(proof: bytes, key: bytes, value: bytes, at: int = top) -> bytes | int | None:
        return guest(f"trie_{name}_verify_proof_version_2", at, proof, key, value, version)

    proof = vector(head + encode_bytes(b"") + encode_bytes(inline), b"\x40\x00")
    assert verify(proof, b"a", LONG) == 1
    assert verify(proof, b"a", LONG + b"!") == 0
    assert verify(proof, b"b", LONG) == 0
    assert verify(proof, b"c", LONG) == 0
    assert verify(proof, b"a", LONG, guest.host.put(bytes(32))) == 0
    assert verify(vector(head + encode_bytes(b"") + encode_bytes(inline)), b"a", LONG) == 0
    assert verify(vector(head + encode_bytes(hasher(leaf)) + encode_bytes(inline), b"\x40\x00"), b"a", LONG) == 0
    assert verify(vector(b"\xff\xff"), b"a", LONG) == 0
    short = vector(head + encode_bytes(hasher(leaf)) + encode_bytes(b"\x40\x00"))
    assert verify(short, b"b", b"2") == 1
    assert verify(vector(head + encode_bytes(hasher(leaf)) + encode_bytes(inline)), b"b", b"2") == 0


def test_what_only_workers_may_call_is_refused_by_name() -> None:
    guest = Guest(overlay())
    refused = [name for name in guest.functions if name.startswith("ext_offchain_") and "_index_" not in name]
    assert len(refused) == 17
    for name in refused:
        with pytest.raises(OffchainRefused, match=name):
            guest.functions[name].run(*[0] * len(guest.functions[name].params))


def test_what_has_no_effect_on_the_state_still_checks_its_memory() -> None:
    guest = Guest(overlay())
    guest("offchain_index_set_version_1", b"k", b"v")
    guest("transaction_index_renew_version_1", 0, guest.host.put(bytes(32)))
    assert guest.host.overlay.changes() == {}
    outside = 1 << 31 | 8 << 32
    for name, arguments in (
        ("offchain_index_set_version_1", (b"k", outside)),
        ("offchain_index_clear_version_1", (outside,)),
        ("transaction_index_index_version_1", (0, 0, 1 << 31)),
        ("transaction_index_renew_version_1", (0, 1 << 31)),
    ):
        with pytest.raises(OutOfBounds):
            guest(name, *arguments)
    assert guest("wasm_tracing_enabled_version_1", b"") == 0


@pytest.mark.parametrize("body", ["(call $f)", "(drop (call $f))"])
def test_every_function_links_with_the_signature_of_the_table(body: str) -> None:
    kinds = {"i": "i32", "l": "i64"}
    imports = "".join(
        f'(import "env" "{name}" (func (param {" ".join(kinds[p] for p in function.params)}) '
        f"(result {' '.join(kinds[r] for r in function.result)})))"
        for name, function in Guest(overlay()).functions.items()
    )
    called, result = ("ext_offchain_is_validator_version_1", "(result i32)")
    if body == "(call $f)":
        called, result = ("ext_crypto_start_batch_verify_version_1", "")
    runner = Executor(
        bytes(
            wasmtime.wat2wasm(
                f'(module {imports} (import "env" "{called}" (func $f {result})) (import "env" "memory" (memory 1))'
                '(global (export "__heap_base") i32 (i32.const 4096))'
                f'(func (export "go") (param i32 i32) (result i64) {body} (i64.const 0)))'
            )
        )
    )
    if result:
        with pytest.raises(RuntimeTrapped, match="offchain workers only"):
            runner.call("go", b"", overlay())
    else:
        assert runner.call("go", b"", overlay()) == b""
        assert runner.call("go", b"", overlay()) == b""  # no batch is left open by the call before
