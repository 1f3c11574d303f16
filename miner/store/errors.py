"""Errors of the blob store.

StoreError
├── StoreOpenError          the LevelDB folder cannot be opened
│   ├── StoreLockedError      another process has it
│   └── CorruptStoreError     its files are damaged
├── BlobError               one blob
│   ├── BlobNotFoundError
│   ├── BlobCorruptError      stored bytes are damaged
│   ├── BlobMismatchError     bytes are not those of their address
│   ├── BlobTooLargeError     above a stated limit
│   ├── StoreFullError        no room left that may be freed
│   └── RecoveryBusyError     others are being made again, and we do no more for strangers now
├── TensorFileError         bytes that are not a safetensors file within bounds
└── FetchError              a peer's server
    ├── EndpointError         its URL is not acceptable
    ├── UnreachableError      no answer, or none in time, after all retries
    ├── StillPendingError     it is making the blob again, and our patience is over
    ├── BadAnswerError        an answer that breaks HTTP or our contract
    └── TaskUnservedError     nobody gives us what a task's owner must serve
"""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """Root of this package's errors."""


class StoreOpenError(StoreError):
    """A LevelDB folder cannot be opened."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"blob store {path}: {reason}; {advice}")
        self.path = path
        self.reason = reason


class StoreLockedError(StoreOpenError):
    """Another process has the folder open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "another process has it open", "end that process or choose another --base-path")


class CorruptStoreError(StoreOpenError):
    """The folder's files are damaged or are no LevelDB."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, f"damaged ({reason})", "move the folder away and start again: blobs can be fetched anew")


class BlobError(StoreError):
    """Something about one blob; `address` prints as kind/hex."""

    def __init__(self, address: object, message: str) -> None:
        super().__init__(f"{address}: {message}")
        self.address = address


class BlobNotFoundError(BlobError):
    """Nobody put such a blob here, or it was evicted; peers answer 404."""

    def __init__(self, address: object, where: str = "this store") -> None:
        super().__init__(address, f"not in {where}; fetch it from another holder")
        self.where = where


class BlobCorruptError(BlobError):
    """The bytes that LevelDB gives back are damaged."""

    def __init__(self, address: object, reason: str) -> None:
        super().__init__(address, f"stored bytes are damaged ({reason}); delete it and fetch it again")
        self.reason = reason


class BlobMismatchError(BlobError):
    """Bytes offered under an address that is not theirs."""

    def __init__(self, address: object, found: str) -> None:
        super().__init__(address, f"the bytes belong to {found}; do not trust their sender")
        self.found = found


class BlobTooLargeError(BlobError):
    """A blob above the limit; sizes in bytes."""

    def __init__(self, address: object, size: int, limit: int) -> None:
        super().__init__(address, f"{size} bytes are above the limit of {limit}")
        self.size = size
        self.limit = limit


class StoreFullError(BlobError):
    """Pinned blobs fill the store; sizes in bytes."""

    def __init__(self, address: object, needed: int, limit: int) -> None:
        super().__init__(address, f"no room: {needed} bytes needed of {limit}, the rest is pinned; raise --store-bytes")
        self.needed = needed
        self.limit = limit


class RecoveryBusyError(BlobError):
    """Strangers have asked for so much that no further request is taken for `seconds`; peers answer 503."""

    def __init__(self, address: object, seconds: float) -> None:
        super().__init__(address, f"others are being made again; ask in {seconds:.0f} s")
        self.seconds = seconds


class TensorFileError(StoreError):
    """Bytes that are not a safetensors file within our bounds."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"safetensors refused: {reason}")
        self.reason = reason


class FetchError(StoreError):
    """Something about a peer's blob server."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class EndpointError(FetchError):
    """The URL that stands on chain is not one that we visit."""


class UnreachableError(FetchError):
    """No complete answer after all retries; for a validator this is `Unavailable`."""


class StillPendingError(FetchError):
    """The peer makes a dropped checkpoint again (202) and had not finished after `seconds`; worth another try."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url, f"still being made again after {seconds:.1f} s; ask again before the deadline")
        self.seconds = seconds


class BadAnswerError(FetchError):
    """An answer that breaks HTTP or our contract; not worth a retry."""


class TaskUnservedError(FetchError):
    """A task's document, graph or data set is served by nobody that we know; `reason` is what the last one said. That
    is its owner's guilt and no solver's."""

    def __init__(self, task: int, reason: str) -> None:
        super().__init__(f"task/{task}", f"document, graph or data set not served: {reason}")
        self.task = task
