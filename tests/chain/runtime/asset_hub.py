"""Asset Hub, a parachain's runtime of others' making, on our host: the spec that `@substrate/connect-known-chains` has.

The runtime is statemine 900 (the first of Rococo's), state version 0. `genesis()` is the published one; `dev_genesis()`
differs in three entries: Alice holds all Aura keys and some money, so that a test may author and pay.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from chain.chain_spec import ChainSpec, RawGenesis, parse_chain_spec
from chain.identity import sr25519_from_uri
from chain.primitives import blake2_256, encode_bytes, encode_compact
from chain.runtime.host_crypto import twox
from chain.trie import EMPTY_ROOT, StateVersion, Trie
from tests.clients.install import install_node_clients

SPECS = Path("node_modules") / "@substrate" / "connect-known-chains" / "dist" / "esm" / "specs"
SPEC = "rococo_v2_2_asset_hub"
GENESIS_HASH = "7c34d42fc815d392057c78b49f2755c753440ccd38bcb0405b3bcfb601d08734"
"""Of the live chain."""

PARA_ID = 1_000
SLOT_MS = 12_000
ALICE = sr25519_from_uri("//Alice")
ENDOWMENT = 10**18
PARACHAIN_INHERENT = b"sysi1337"
MAX_POV_BYTES = 5 << 20

# well-known keys of the relay chain's state (polkadot-primitives, `well_known_keys`)
ACTIVE_CONFIG = bytes.fromhex("06de3d8a54d27e44a9d5ce189618f22db4b49d95320d9021994c850f25b8e385")
CURRENT_SLOT = bytes.fromhex("1cb6f36e027abb2091cfb5110ab5087f06155b3cd9a8c9e5e9a23fd5dc13a5ed")
DISPATCH_QUEUE_SIZE = bytes.fromhex("f5207f03cfdce586301014700e2c2593fad157e461d71fd4c1f936839a5f1f3e")


@functools.cache
def spec() -> ChainSpec:
    """The package's chain spec, as our own parser reads it. Installs the package if it is not there (npm, Node 20)."""
    text = (install_node_clients() / SPECS / f"{SPEC}.js").read_text()
    return parse_chain_spec(json.loads(text[text.index("`") + 1 : text.rindex("`")]))


def genesis() -> Mapping[bytes, bytes]:
    """All storage of the live chain's block 0."""
    raw = spec().genesis
    assert isinstance(raw, RawGenesis)
    return raw.top


def dev_genesis() -> dict[bytes, bytes]:
    """The same with Alice as the only author, endowed."""
    state = dict(genesis())
    for pallet in (b"Aura", b"AuraExt"):
        state[storage_key(pallet, b"Authorities")] = encode_compact(4) + ALICE.public * 4
    counts = b"".join(n.to_bytes(4, "little") for n in (0, 1, 1, 0))  # nonce, consumers, providers, sufficients
    state[account_key(ALICE.public)] = counts + ENDOWMENT.to_bytes(16, "little") + bytes(48)
    return state


def storage_key(pallet: bytes, item: bytes) -> bytes:
    """The key of a storage value."""
    return twox(pallet, 2) + twox(item, 2)


def account_key(account: bytes) -> bytes:
    """The key of `System.Account`."""
    return storage_key(b"System", b"Account") + hashlib.blake2b(account, digest_size=16).digest() + account


class RelayChain:
    """A relay chain's state, as far as a parachain reads it: the configuration, its slot, our queue of messages."""

    def __init__(self, number: int, slot: int) -> None:
        self.number = number
        # bytes of code, of a head; upward messages, their bytes, of one, per candidate; hrmp per candidate; upgrade
        # cooldown, delay in blocks
        limits = (5 << 20, 20_480, 174_762, 1 << 20, 65_531, 16, 10, 14_400, 600)
        pairs = {
            ACTIVE_CONFIG: b"".join(value.to_bytes(4, "little") for value in limits),
            CURRENT_SLOT: slot.to_bytes(8, "little"),
            DISPATCH_QUEUE_SIZE + twox(PARA_ID.to_bytes(4, "little"), 1) + PARA_ID.to_bytes(4, "little"): bytes(8),
        }
        update = Trie({}).update(EMPTY_ROOT, pairs, StateVersion.V1)
        self.state_root, self.nodes = update.root, sorted(update.nodes.values())

    def inherent(self, parent_head: bytes) -> bytes:
        """`ParachainInherentData`: the parent's header, this state with all its nodes as proof, no messages."""
        head = encode_bytes(parent_head) + self.number.to_bytes(4, "little") + self.state_root
        proof = encode_compact(len(self.nodes)) + b"".join(map(encode_bytes, self.nodes))
        return head + MAX_POV_BYTES.to_bytes(4, "little") + proof + encode_compact(0) + encode_compact(0)


def signed(call: bytes, nonce: int, genesis_hash: bytes, spec_version: int, transaction_version: int) -> bytes:
    """An extrinsic of Alice's with its length in front. Extra: mortality, nonce, tip, asset to pay with (none)."""
    extra = b"\x00" + encode_compact(nonce) + encode_compact(0) + b"\x00"
    implicit = spec_version.to_bytes(4, "little") + transaction_version.to_bytes(4, "little") + genesis_hash * 2
    payload = call + extra + implicit
    signature = ALICE.sign(payload if len(payload) <= 256 else blake2_256(payload))
    return encode_bytes(b"\x84\x00" + ALICE.public + b"\x01" + signature + extra + call)
