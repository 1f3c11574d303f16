"""Pallet System (index 0).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class RemarkCall(Call):
    """Make some on-chain remark.

    Can be executed by every `origin`.
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "remark"

    remark: bytes


@dataclass(frozen=True)
class SetHeapPagesCall(Call):
    """Set the number of pages in the WebAssembly environment's heap."""

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "set_heap_pages"

    pages: int


@dataclass(frozen=True)
class SetCodeCall(Call):
    """Set the new runtime code."""

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "set_code"

    code: bytes


@dataclass(frozen=True)
class SetCodeWithoutChecksCall(Call):
    """Set the new runtime code without doing any checks of the given `code`.

    Note that runtime upgrades will not run if this is called with a not-increasing spec
    version!
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "set_code_without_checks"

    code: bytes


@dataclass(frozen=True)
class SetStorageCall(Call):
    """Set some items of storage."""

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "set_storage"

    items: list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class KillStorageCall(Call):
    """Kill some items from storage."""

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "kill_storage"

    keys: list[bytes]


@dataclass(frozen=True)
class KillPrefixCall(Call):
    """Kill all storage items with a key that starts with the given prefix.

    **NOTE:** We rely on the Root origin to provide us the number of subkeys under
    the prefix we are removing to accurately calculate the weight of this function.
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "kill_prefix"

    prefix: bytes
    subkeys: int


@dataclass(frozen=True)
class RemarkWithEventCall(Call):
    """Make some on-chain remark and emit event."""

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "remark_with_event"

    remark: bytes


@dataclass(frozen=True)
class AuthorizeUpgradeCall(Call):
    """Authorize an upgrade to a given `code_hash` for the runtime. The runtime can be supplied
    later.

    This call requires Root origin.
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "authorize_upgrade"

    code_hash: Hash


@dataclass(frozen=True)
class AuthorizeUpgradeWithoutChecksCall(Call):
    """Authorize an upgrade to a given `code_hash` for the runtime. The runtime can be supplied
    later.

    WARNING: This authorizes an upgrade that will take place without any safety checks, for
    example that the spec name remains the same and that the version number increases. Not
    recommended for normal use. Use `authorize_upgrade` instead.

    This call requires Root origin.
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "authorize_upgrade_without_checks"

    code_hash: Hash


@dataclass(frozen=True)
class ApplyAuthorizedUpgradeCall(Call):
    """Provide the preimage (runtime binary) `code` for an upgrade that has been authorized.

    If the authorization required a version check, this call will ensure the spec name
    remains unchanged and that the spec version has increased.

    Depending on the runtime's `OnSetCode` configuration, this function may directly apply
    the new `code` in the same block or attempt to schedule the upgrade.

    All origins are allowed.
    """

    PALLET: ClassVar[str] = "System"
    FUNCTION: ClassVar[str] = "apply_authorized_upgrade"

    code: bytes


@dataclass(frozen=True)
class ExtrinsicSuccessEvent(Event):
    """An extrinsic completed successfully."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "ExtrinsicSuccess"

    dispatch_info: Any


@dataclass(frozen=True)
class ExtrinsicFailedEvent(Event):
    """An extrinsic failed."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "ExtrinsicFailed"

    dispatch_error: Any
    dispatch_info: Any


@dataclass(frozen=True)
class CodeUpdatedEvent(Event):
    """`:code` was updated to the code with the given hash."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "CodeUpdated"

    hash: Hash


@dataclass(frozen=True)
class NewAccountEvent(Event):
    """A new account was created."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "NewAccount"

    account: AccountId


@dataclass(frozen=True)
class KilledAccountEvent(Event):
    """An account was reaped."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "KilledAccount"

    account: AccountId


@dataclass(frozen=True)
class RemarkedEvent(Event):
    """On on-chain remark happened."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "Remarked"

    sender: AccountId
    hash: Hash


@dataclass(frozen=True)
class UpgradeAuthorizedEvent(Event):
    """An upgrade was authorized."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "UpgradeAuthorized"

    code_hash: Hash
    check_version: bool


@dataclass(frozen=True)
class RejectedInvalidAuthorizedUpgradeEvent(Event):
    """An invalid authorized upgrade was rejected while trying to apply it."""

    PALLET: ClassVar[str] = "System"
    NAME: ClassVar[str] = "RejectedInvalidAuthorizedUpgrade"

    code_hash: Hash
    error: Any


class SystemError(StrEnum):
    """Errors of the calls of pallet System."""

    INVALID_SPEC_NAME = "InvalidSpecName"
    """The name of specification does not match between the current runtime
    and the new runtime.
    """

    SPEC_VERSION_NEEDS_TO_INCREASE = "SpecVersionNeedsToIncrease"
    """The specification version is not allowed to decrease between the current runtime
    and the new runtime.
    """

    FAILED_TO_EXTRACT_RUNTIME_VERSION = "FailedToExtractRuntimeVersion"
    """Failed to extract the runtime version from the new runtime.

    Either calling `Core_version` or decoding `RuntimeVersion` failed.
    """

    NON_DEFAULT_COMPOSITE = "NonDefaultComposite"
    """Suicide called when the account has non-default composite data."""

    NON_ZERO_REF_COUNT = "NonZeroRefCount"
    """There is a non-zero reference count preventing the account from being purged."""

    CALL_FILTERED = "CallFiltered"
    """The origin filter prevent the call to be dispatched."""

    MULTI_BLOCK_MIGRATIONS_ONGOING = "MultiBlockMigrationsOngoing"
    """A multi-block migration is ongoing and prevents the current code from being replaced."""

    NOTHING_AUTHORIZED = "NothingAuthorized"
    """No upgrade authorized."""

    UNAUTHORIZED = "Unauthorized"
    """The submitted code is not authorized."""


ACCOUNT: StorageItem[Any] = StorageItem("System", "Account", (AccountId,), Any, False)
"""The full account information for a particular account ID."""

EXTRINSIC_COUNT: StorageItem[int | None] = StorageItem("System", "ExtrinsicCount", (), int, True)
"""Total extrinsics count for the current block."""

INHERENTS_APPLIED: StorageItem[bool] = StorageItem("System", "InherentsApplied", (), bool, False)
"""Whether all inherents have been applied."""

BLOCK_WEIGHT: StorageItem[Any] = StorageItem("System", "BlockWeight", (), Any, False)
"""The current weight for the block."""

BLOCK_SIZE: StorageItem[int | None] = StorageItem("System", "BlockSize", (), int, True)
"""Total size (in bytes) of the current block.

Tracks the size of the header and all extrinsics.
"""

BLOCK_HASH: StorageItem[Hash] = StorageItem("System", "BlockHash", (int,), Hash, False)
"""Map of block numbers to block hashes."""

EXTRINSIC_DATA: StorageItem[bytes] = StorageItem("System", "ExtrinsicData", (int,), bytes, False)
"""Extrinsics data for the current block (maps an extrinsic's index to its data)."""

NUMBER: StorageItem[int] = StorageItem("System", "Number", (), int, False)
"""The current block number being processed. Set by `execute_block`."""

PARENT_HASH: StorageItem[Hash] = StorageItem("System", "ParentHash", (), Hash, False)
"""Hash of the previous block."""

DIGEST: StorageItem[Any] = StorageItem("System", "Digest", (), Any, False)
"""Digest of the current block, also part of the block header."""

EVENTS: StorageItem[list[Any]] = StorageItem("System", "Events", (), list[Any], False)
"""Events deposited for the current block.

NOTE: The item is unbound and should therefore never be read on chain.
It could otherwise inflate the PoV size of a block.

Events have a large in-memory size. Box the events to not go out-of-memory
just in case someone still reads them from within the runtime.
"""

EVENT_COUNT: StorageItem[int] = StorageItem("System", "EventCount", (), int, False)
"""The number of events in the `Events<T>` list."""

EVENT_TOPICS: StorageItem[list[tuple[int, int]]] = StorageItem("System", "EventTopics", (Hash,), list[tuple[int, int]], False)
"""Mapping between a topic (represented by T::Hash) and a vector of indexes
of events in the `<Events<T>>` list.

All topic vectors have deterministic storage locations depending on the topic. This
allows light-clients to leverage the changes trie storage tracking mechanism and
in case of changes fetch the list of events of interest.

The value has the type `(BlockNumberFor<T>, EventIndex)` because if we used only just
the `EventIndex` then in case if the topic has the same contents on the next block
no notification will be triggered thus the event might be lost.
"""

LAST_RUNTIME_UPGRADE: StorageItem[Any | None] = StorageItem("System", "LastRuntimeUpgrade", (), Any, True)
"""Stores the `spec_version` and `spec_name` of when the last runtime upgrade happened."""

BLOCKS_TILL_UPGRADE: StorageItem[int | None] = StorageItem("System", "BlocksTillUpgrade", (), int, True)
"""Number of blocks till the pending code upgrade is applied."""

UPGRADED_TO_U32_REF_COUNT: StorageItem[bool] = StorageItem("System", "UpgradedToU32RefCount", (), bool, False)
"""True if we have upgraded so that `type RefCount` is `u32`. False (default) if not."""

UPGRADED_TO_TRIPLE_REF_COUNT: StorageItem[bool] = StorageItem("System", "UpgradedToTripleRefCount", (), bool, False)
"""True if we have upgraded so that AccountInfo contains three types of `RefCount`. False
(default) if not.
"""

EXECUTION_PHASE: StorageItem[Any | None] = StorageItem("System", "ExecutionPhase", (), Any, True)
"""The execution phase of the block."""

AUTHORIZED_UPGRADE: StorageItem[Any | None] = StorageItem("System", "AuthorizedUpgrade", (), Any, True)
"""`Some` if a code upgrade has been authorized."""

EXTRINSIC_WEIGHT_RECLAIMED: StorageItem[Any] = StorageItem("System", "ExtrinsicWeightReclaimed", (), Any, False)
"""The weight reclaimed for the extrinsic.

This information is available until the end of the extrinsic execution.
More precisely this information is removed in `note_applied_extrinsic`.

Logic doing some post dispatch weight reduction must update this storage to avoid duplicate
reduction.
"""

BLOCK_WEIGHTS: Constant[Any] = Constant("System", "BlockWeights", Any)
"""Block & extrinsics weights: base values and limits."""

BLOCK_LENGTH: Constant[Any] = Constant("System", "BlockLength", Any)
"""The maximum length of a block (in bytes)."""

BLOCK_HASH_COUNT: Constant[int] = Constant("System", "BlockHashCount", int)
"""Maximum number of block number to block hash mappings to keep (oldest pruned first)."""

DB_WEIGHT: Constant[Any] = Constant("System", "DbWeight", Any)
"""The weight of runtime database operations the runtime can invoke."""

VERSION: Constant[Any] = Constant("System", "Version", Any)
"""Get the chain's in-code version."""

SS58_PREFIX: Constant[int] = Constant("System", "SS58Prefix", int)
"""The designated SS58 prefix of this chain.

This replaces the "ss58Format" property declared in the chain spec. Reason is
that the runtime should know about the prefix in order to make use of it as
an identifier of the chain.
"""
