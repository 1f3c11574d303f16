"""The runtime's APIs.

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


class Core:
    """The `Core` runtime api that every Substrate runtime needs to implement."""

    VERSION: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "Core", "version", (), Any
    )
    """Returns the version of the runtime."""

    EXECUTE_BLOCK: ClassVar[RuntimeCall[None]] = RuntimeCall(
        "Core", "execute_block", (("block", Any),), None
    )
    """Execute the given block."""

    INITIALIZE_BLOCK: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "Core", "initialize_block", (("header", Any),), Any
    )
    """Initialize a block with the given header and return the runtime executive mode."""


class Metadata:
    """The `Metadata` api trait that returns metadata for the runtime."""

    METADATA: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "Metadata", "metadata", (), Any
    )
    """Returns the metadata of a runtime."""

    METADATA_AT_VERSION: ClassVar[RuntimeCall[Any | None]] = RuntimeCall(
        "Metadata", "metadata_at_version", (("version", int),), Any | None
    )
    """Returns the metadata at a given version.

    If the given `version` isn't supported, this will return `None`.
    Use [`Self::metadata_versions`] to find out about supported metadata version of the runtime.
    """

    METADATA_VERSIONS: ClassVar[RuntimeCall[list[int]]] = RuntimeCall(
        "Metadata", "metadata_versions", (), list[int]
    )
    """Returns the supported metadata versions.

    This can be used to call `metadata_at_version`.
    """


class BlockBuilder:
    """The `BlockBuilder` api trait that provides the required functionality for building a block."""

    APPLY_EXTRINSIC: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "BlockBuilder", "apply_extrinsic", (("extrinsic", Any),), Any
    )
    """Apply the given extrinsic.

    Returns an inclusion outcome which specifies if this extrinsic is included in
    this block or not.
    """

    FINALIZE_BLOCK: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "BlockBuilder", "finalize_block", (), Any
    )
    """Finish the current block."""

    INHERENT_EXTRINSICS: ClassVar[RuntimeCall[list[Any]]] = RuntimeCall(
        "BlockBuilder", "inherent_extrinsics", (("inherent", Any),), list[Any]
    )
    """Generate inherent extrinsics. The inherent data will vary from chain to chain."""

    CHECK_INHERENTS: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "BlockBuilder", "check_inherents", (("block", Any), ("data", Any),), Any
    )
    """Check that the inherents are valid. The inherent data will vary from chain to chain."""


class TaggedTransactionQueue:
    """The `TaggedTransactionQueue` api trait for interfering with the transaction queue."""

    VALIDATE_TRANSACTION: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "TaggedTransactionQueue", "validate_transaction", (("source", Any), ("tx", Any), ("block_hash", Hash),), Any
    )
    """Validate the transaction.

    This method is invoked by the transaction pool to learn details about given transaction.
    The implementation should make sure to verify the correctness of the transaction
    against current state. The given `block_hash` corresponds to the hash of the block
    that is used as current state.

    Note that this call may be performed by the pool multiple times and transactions
    might be verified in any possible order.
    """


class OffchainWorkerApi:
    """The offchain worker api."""

    OFFCHAIN_WORKER: ClassVar[RuntimeCall[None]] = RuntimeCall(
        "OffchainWorkerApi", "offchain_worker", (("header", Any),), None
    )
    """Starts the off-chain task for given block header."""


class AuraApi:
    """API necessary for block authorship with aura."""

    SLOT_DURATION: ClassVar[RuntimeCall[int]] = RuntimeCall(
        "AuraApi", "slot_duration", (), int
    )
    """Returns the slot duration for Aura.

    Currently, only the value provided by this type at genesis will be used.
    """

    AUTHORITIES: ClassVar[RuntimeCall[list[Hash]]] = RuntimeCall(
        "AuraApi", "authorities", (), list[Hash]
    )
    """Return the current set of authorities."""


class SessionKeys:
    """Session keys runtime api."""

    GENERATE_SESSION_KEYS: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "SessionKeys", "generate_session_keys", (("owner", bytes), ("seed", bytes | None),), Any
    )
    """Generate a set of session keys with optionally using the given seed.
    The keys should be stored within the keystore exposed via runtime
    externalities.

    The seed needs to be a valid `utf8` string.

    Returns the concatenated SCALE encoded public keys.
    """

    DECODE_SESSION_KEYS: ClassVar[RuntimeCall[list[tuple[bytes, Any]] | None]] = RuntimeCall(
        "SessionKeys", "decode_session_keys", (("encoded", bytes),), list[tuple[bytes, Any]] | None
    )
    """Decode the given public session keys.

    Returns the list of public raw public keys + key type.
    """


class GrandpaApi:
    """APIs for integrating the GRANDPA finality gadget into runtimes.
    This should be implemented on the runtime side.

    This is primarily used for negotiating authority-set changes for the
    gadget. GRANDPA uses a signaling model of changing authority sets:
    changes should be signaled with a delay of N blocks, and then automatically
    applied in the runtime after those N blocks have passed.

    The consensus protocol will coordinate the handoff externally.
    """

    GRANDPA_AUTHORITIES: ClassVar[RuntimeCall[list[tuple[Hash, int]]]] = RuntimeCall(
        "GrandpaApi", "grandpa_authorities", (), list[tuple[Hash, int]]
    )
    """Get the current GRANDPA authorities and weights. This should not change except
    for when changes are scheduled and the corresponding delay has passed.

    When called at block B, it will return the set of authorities that should be
    used to finalize descendants of this block (B+1, B+2, ...). The block B itself
    is finalized by the authorities from block B-1.
    """

    SUBMIT_REPORT_EQUIVOCATION_UNSIGNED_EXTRINSIC: ClassVar[RuntimeCall[None]] = RuntimeCall(
        "GrandpaApi", "submit_report_equivocation_unsigned_extrinsic", (("equivocation_proof", Any), ("key_owner_proof", Any),), None
    )
    """Submits an unsigned extrinsic to report an equivocation. The caller
    must provide the equivocation proof and a key ownership proof
    (should be obtained using `generate_key_ownership_proof`). The
    extrinsic will be unsigned and should only be accepted for local
    authorship (not to be broadcast to the network). This method returns
    `None` when creation of the extrinsic fails, e.g. if equivocation
    reporting is disabled for the given runtime (i.e. this method is
    hardcoded to return `None`). Only useful in an offchain context.
    """

    GENERATE_KEY_OWNERSHIP_PROOF: ClassVar[RuntimeCall[Any | None]] = RuntimeCall(
        "GrandpaApi", "generate_key_ownership_proof", (("set_id", int), ("authority_id", Hash),), Any | None
    )
    """Generates a proof of key ownership for the given authority in the
    given set. An example usage of this module is coupled with the
    session historical module to prove that a given authority key is
    tied to a given staking identity during a specific session. Proofs
    of key ownership are necessary for submitting equivocation reports.
    NOTE: even though the API takes a `set_id` as parameter the current
    implementations ignore this parameter and instead rely on this
    method being called at the correct block height, i.e. any point at
    which the given set id is live on-chain. Future implementations will
    instead use indexed data through an offchain worker, not requiring
    older states to be available.
    """

    CURRENT_SET_ID: ClassVar[RuntimeCall[int]] = RuntimeCall(
        "GrandpaApi", "current_set_id", (), int
    )
    """Get current GRANDPA authority set id."""


class AccountNonceApi:
    """The API to query account nonce."""

    ACCOUNT_NONCE: ClassVar[RuntimeCall[int]] = RuntimeCall(
        "AccountNonceApi", "account_nonce", (("account", AccountId),), int
    )
    """Get current account nonce of given `AccountId`."""


class TransactionPaymentApi:
    """Runtime API TransactionPaymentApi."""

    QUERY_INFO: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "TransactionPaymentApi", "query_info", (("uxt", Any), ("len", int),), Any
    )
    """TransactionPaymentApi_query_info."""

    QUERY_FEE_DETAILS: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "TransactionPaymentApi", "query_fee_details", (("uxt", Any), ("len", int),), Any
    )
    """TransactionPaymentApi_query_fee_details."""

    QUERY_WEIGHT_TO_FEE: ClassVar[RuntimeCall[int]] = RuntimeCall(
        "TransactionPaymentApi", "query_weight_to_fee", (("weight", Any),), int
    )
    """TransactionPaymentApi_query_weight_to_fee."""

    QUERY_LENGTH_TO_FEE: ClassVar[RuntimeCall[int]] = RuntimeCall(
        "TransactionPaymentApi", "query_length_to_fee", (("length", int),), int
    )
    """TransactionPaymentApi_query_length_to_fee."""


class ExactApi:
    """Answers of the arbiter; every argument is an encoding that `consensus/arbiter/codec.py` documents."""

    COMPUTE: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "ExactApi", "compute", (("statement", bytes), ("operands", bytes),), Any
    )
    """The value of a place from a Statement and \\[Operand\\], whose origin is not looked at."""

    ARBITRATE: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "ExactApi", "arbitrate", (("agreed", bytes), ("opening", bytes),), Any
    )
    """The value of a place from an Opening, proved under the roots and claims of Agreed."""


class GenesisBuilder:
    """API to interact with `RuntimeGenesisConfig` for the runtime"""

    BUILD_STATE: ClassVar[RuntimeCall[Any]] = RuntimeCall(
        "GenesisBuilder", "build_state", (("json", bytes),), Any
    )
    """Build `RuntimeGenesisConfig` from a JSON blob not using any defaults and store it in the
    storage.

    In the case of a FRAME-based runtime, this function deserializes the full
    `RuntimeGenesisConfig` from the given JSON blob and puts it into the storage. If the
    provided JSON blob is incorrect or incomplete or the deserialization fails, an error
    is returned.

    Please note that provided JSON blob must contain all `RuntimeGenesisConfig` fields, no
    defaults will be used.
    """

    GET_PRESET: ClassVar[RuntimeCall[bytes | None]] = RuntimeCall(
        "GenesisBuilder", "get_preset", (("id", str | None),), bytes | None
    )
    """Returns a JSON blob representation of the built-in `RuntimeGenesisConfig` identified by
    `id`.

    If `id` is `None` the function should return JSON blob representation of the default
    `RuntimeGenesisConfig` struct of the runtime. Implementation must provide default
    `RuntimeGenesisConfig`.

    Otherwise function returns a JSON representation of the built-in, named
    `RuntimeGenesisConfig` preset identified by `id`, or `None` if such preset does not
    exist. Returned `Vec<u8>` contains bytes of JSON blob (patch) which comprises a list of
    (potentially nested) key-value pairs that are intended for customizing the default
    runtime genesis config. The patch shall be merged (rfc7386) with the JSON representation
    of the default `RuntimeGenesisConfig` to create a comprehensive genesis config that can
    be used in `build_state` method.
    """

    PRESET_NAMES: ClassVar[RuntimeCall[list[str]]] = RuntimeCall(
        "GenesisBuilder", "preset_names", (), list[str]
    )
    """Returns a list of identifiers for available builtin `RuntimeGenesisConfig` presets.

    The presets from the list can be queried with [`GenesisBuilder::get_preset`] method. If
    no named presets are provided by the runtime the list is empty.
    """
