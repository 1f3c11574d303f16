"""Every error the chain client raises.

    ChainError
    ├── PeerFault                        bytes or claims that came from elsewhere break a rule
    │   ├── DecodeError                  SCALE bytes are malformed, too long or have left-overs
    │   ├── HeaderInvalid                a header breaks a rule of verify/header.py
    │   │   ├── MissingSeal  WrongDigest  WrongSeal  WrongAuthor  FutureSlot  SlotNotIncreasing
    │   │   └── WrongParent  WrongNumber
    │   ├── KnownBad                     a block that was refused before
    │   ├── BodyInvalid                  a body breaks a rule of verify/body.py or of the runtime
    │   │   ├── WrongExtrinsicsRoot  WrongStateRoot  ExecutionRejected
    │   │   └── BodyTooLarge
    │   ├── JustificationInvalid         a finality proof does not prove what it claims
    │   ├── ProofInvalid                 a storage proof does not lead to its root
    │   └── ConflictsWithFinalized       a block that would undo a finalised one
    ├── Misuse                           the caller asked for what cannot be
    │   ├── UnknownBlock  StatePruned  UnknownParent
    │   ├── NotOurSlot                   authoring was asked for in a slot of another key
    │   ├── DatabaseLocked  DatabaseCorrupt  DatabaseUnwritable  WrongGenesis
    │   └── RuntimeUnusable              the Wasm blob cannot be run by this host
    │       ├── BlobMalformed  UnknownImports  MissingExport
    │       └── GenesisRejected
    └── HostFault                        our own bug, or a runtime that trapped
        ├── RuntimeTrapped               the call panicked or ran into unreachable code
        ├── AllocatorFault               the freeing-bump heap was misused or is exhausted
        ├── TransactionFault             nested storage transactions opened and closed unevenly
        └── TrieCorrupt                  a trie node that must be there is missing or malformed

An error carries its data as typed fields and writes its own message, which says what to do.
"""

from __future__ import annotations

__all__ = [
    "AllocatorFault", "BlobMalformed", "BodyInvalid", "BodyTooLarge", "ChainError",
    "ConflictsWithFinalized", "DatabaseCorrupt", "DatabaseLocked", "DatabaseUnwritable", "DecodeError",
    "ExecutionRejected", "FutureSlot", "GenesisRejected", "HeaderInvalid", "HostFault", "JustificationInvalid",
    "KnownBad", "MissingExport", "MissingSeal", "Misuse", "NotOurSlot",
    "PeerFault", "ProofInvalid", "RuntimeTrapped", "RuntimeUnusable", "SlotNotIncreasing", "StatePruned",
    "TransactionFault", "TrieCorrupt", "UnknownBlock", "UnknownImports", "UnknownParent", "WrongAuthor", "WrongDigest",
    "WrongExtrinsicsRoot", "WrongGenesis", "WrongNumber", "WrongParent", "WrongSeal", "WrongStateRoot",
]  # fmt: skip


class ChainError(Exception):
    """Root of all errors of this package."""


class PeerFault(ChainError):
    """Something that came from a peer or a user breaks a rule; our state is unchanged."""


class Misuse(ChainError):
    """The caller asked for what cannot be done; the message says what to do instead."""


class HostFault(ChainError):
    """A bug of ours, or a runtime that trapped."""


# ---- peer faults


class DecodeError(PeerFault):
    """SCALE bytes that cannot be read: `what` was being read, at byte `offset`, and `reason`."""

    def __init__(self, what: str, offset: int, reason: str) -> None:
        self.what, self.offset, self.reason = what, offset, reason
        super().__init__(f"cannot decode {what} at byte {offset}: {reason}; refuse the message")


class HeaderInvalid(PeerFault):
    """A header breaks a rule; `number` and `hash_hex` say which one."""

    def __init__(self, number: int, detail: str) -> None:
        self.number, self.detail = number, detail
        super().__init__(f"header #{number}: {detail}")


class MissingSeal(HeaderInvalid):
    """The last digest item is not an Aura seal."""


class WrongDigest(HeaderInvalid):
    """The header does not carry exactly one well-formed Aura pre-runtime digest."""


class WrongSeal(HeaderInvalid):
    """The seal is not the slot author's sr25519 signature over the pre-seal hash."""


class WrongAuthor(HeaderInvalid):
    """The slot belongs to another authority (or there are none)."""


class FutureSlot(HeaderInvalid):
    """The slot lies further in the future than the allowed clock drift."""


class SlotNotIncreasing(HeaderInvalid):
    """The slot is not greater than the parent's."""


class WrongParent(HeaderInvalid):
    """The parent hash is not that of the given parent."""


class WrongNumber(HeaderInvalid):
    """The number is not the parent's plus one."""


class BodyInvalid(PeerFault):
    """A body does not belong to its header, or the runtime refuses it."""

    def __init__(self, number: int, detail: str) -> None:
        self.number, self.detail = number, detail
        super().__init__(f"block #{number}: {detail}")


class WrongExtrinsicsRoot(BodyInvalid):
    """The extrinsics do not hash to the header's root."""


class WrongStateRoot(BodyInvalid):
    """Re-execution gives another state root than the header's."""


class ExecutionRejected(BodyInvalid):
    """`Core_execute_block` panicked: an extrinsic, a digest or a root is wrong."""


class BodyTooLarge(BodyInvalid):
    """More bytes or extrinsics than a block may have."""


class KnownBad(PeerFault):
    """A block comes again that was refused: `number` is its height, `why` the refusal's message."""

    def __init__(self, number: int, why: str) -> None:
        self.number, self.why = number, why
        super().__init__(f"block #{number} was refused before ({why}); drop it")


class JustificationInvalid(PeerFault):
    """A finality proof does not prove what it claims."""


class ProofInvalid(PeerFault):
    """A storage proof lacks a node or leads to another root."""


class ConflictsWithFinalized(PeerFault):
    """The block does not descend from the finalised one."""

    def __init__(self, number: int, finalized: int) -> None:
        self.number, self.finalized = number, finalized
        super().__init__(f"block #{number} is not a descendant of finalised #{finalized}; drop it")


# ---- misuse


class UnknownBlock(Misuse):
    """No block of this hash is stored."""

    def __init__(self, block_hash: bytes) -> None:
        self.block_hash = block_hash
        super().__init__(f"block 0x{block_hash.hex()} is unknown here; fetch it from a peer first")


class UnknownParent(UnknownBlock):
    """The block's parent is not stored yet."""


class StatePruned(Misuse):
    """The block is known but its state was pruned."""

    def __init__(self, block_hash: bytes, number: int) -> None:
        self.block_hash, self.number = block_hash, number
        super().__init__(f"the state of block #{number} was pruned; ask a node with a longer kept window")


class NotOurSlot(Misuse):
    """A block was to be authored in a slot that the schedule gives to another key."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        super().__init__(f"slot {slot} belongs to another key; wait for one of ours")


class DatabaseLocked(Misuse):
    """Another process has the database folder open."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is in use by another process; stop it or take another --base-path")


class DatabaseCorrupt(Misuse):
    """The database folder cannot be read."""

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(f"{path} is damaged ({detail}); move it away and sync again")


class DatabaseUnwritable(Misuse):
    """The database folder cannot be written (a full disk, for instance); what it holds is whole."""

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(f"{path} cannot be written ({detail}); make room on the disk and start again: nothing is lost")


class WrongGenesis(Misuse):
    """The database belongs to another chain than the chain spec."""

    def __init__(self, path: str, stored: bytes, wanted: bytes) -> None:
        self.path, self.stored, self.wanted = path, stored, wanted
        super().__init__(
            f"{path} holds the chain of genesis 0x{stored.hex()}, the chain spec gives 0x{wanted.hex()}; "
            "take another --base-path or the matching --chain"
        )


class RuntimeUnusable(Misuse):
    """The Wasm blob cannot be run by this host."""


class BlobMalformed(RuntimeUnusable):
    """The blob is neither Wasm nor zstd-compressed Wasm, or decompresses to too much."""


class UnknownImports(RuntimeUnusable):
    """The blob imports host functions this host does not have."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(f"the runtime imports unknown host functions: {', '.join(names)}; use a newer host")


class MissingExport(RuntimeUnusable):
    """The blob has no such entry point."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the runtime does not export {name}; it is not offered by this runtime version")


class GenesisRejected(RuntimeUnusable):
    """`GenesisBuilder_build_state` refused the genesis configuration with `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the runtime refuses this genesis configuration: {reason}")


# ---- host faults


class RuntimeTrapped(HostFault):
    """The runtime call `method` trapped; `detail` holds its panic message if it left one."""

    def __init__(self, method: str, detail: str) -> None:
        self.method, self.detail = method, detail
        super().__init__(f"{method} trapped: {detail}")


class AllocatorFault(HostFault):
    """The runtime's heap was misused (double free, foreign pointer) or is exhausted."""


class TransactionFault(HostFault):
    """A storage transaction was closed that was never opened, or left open."""


class TrieCorrupt(HostFault):
    """A trie node that must be there is missing or malformed."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(f"trie is damaged: {detail}; move the database away and sync again")
