"""Authoring: a block is put together by runtime calls on one overlay, extrinsic by extrinsic."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from chain.errors import RuntimeTrapped
from chain.primitives.block import ZERO_HASH, Block, Header, read_body
from chain.primitives.digest import aura_pre_runtime
from chain.primitives.scale import Reader
from chain.runtime.api import encode_inherents
from chain.runtime.executor import Executor
from chain.state.overlay import Overlay
from chain.state.view import StateView

log = logging.getLogger(__name__)

INVALID_CALL = b"\x00\x00"
"""`TransactionValidityError::Invalid(InvalidTransaction::Call)`: also the answer for what makes the runtime trap."""


class SigningKey(Protocol):
    """An sr25519 key."""

    @property
    def public(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature."""
        ...


class BlockBuilder:
    """One block in the making; an extrinsic that the runtime refuses leaves no trace."""

    def __init__(self, executor: Executor, view: StateView, parent: Header, slot: int) -> None:
        self._executor = executor
        self.overlay = Overlay(view)
        self.dispatched = b""
        """Encoded `DispatchResult` of the last extrinsic that got in: 00, or 01 and a `DispatchError`."""
        self._extrinsics: list[bytes] = []
        header = Header(parent.hash, parent.number + 1, ZERO_HASH, ZERO_HASH, (aura_pre_runtime(slot),))
        executor.call("Core_initialize_block", header.encode(), self.overlay)

    def add_inherents(self, timestamp_ms: int, others: Mapping[bytes, bytes] | None = None) -> None:
        """The runtime's own extrinsics: the timestamp, and those of `others` (inherent data by 8-byte identifier).

        Raises RuntimeTrapped if it refuses them.
        """
        given = encode_inherents(timestamp_ms, others)
        data = self._executor.call("BlockBuilder_inherent_extrinsics", given, self.overlay)
        for extrinsic in read_body(Reader(data)):
            error = self._apply(extrinsic)
            if error is not None:
                raise RuntimeTrapped("BlockBuilder_apply_extrinsic", f"the inherent was refused: 0x{error.hex()}")

    def add(self, extrinsic: bytes) -> bytes | None:
        """Applies an extrinsic (with its length in front); None, or the encoded TransactionValidityError.

        A dispatch that fails is in the block, and paid for. One that makes the runtime trap is refused as
        INVALID_CALL, so that it cannot keep us from authoring.
        """
        try:
            return self._apply(extrinsic)
        except RuntimeTrapped as error:
            log.warning("extrinsic refused: %s", error)
            return INVALID_CALL

    def _apply(self, extrinsic: bytes) -> bytes | None:
        self.overlay.start()
        try:
            result = self._executor.call("BlockBuilder_apply_extrinsic", extrinsic, self.overlay)
        except BaseException:
            self.overlay.rollback()
            raise
        if result[:1] != b"\x00":
            self.overlay.rollback()
            return result[1:]
        self.overlay.commit()
        self._extrinsics.append(extrinsic)
        self.dispatched = result[1:]
        return None

    def finish(self) -> Block:
        """The block without its seal; raises RuntimeTrapped."""
        header = Header.decode(self._executor.call("BlockBuilder_finalize_block", b"", self.overlay))
        return Block(header, tuple(self._extrinsics))
