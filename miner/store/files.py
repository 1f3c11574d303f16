"""Large blobs as files beside LevelDB, which would write each of their bytes several times and compact them for ever.

`files/` holds whole blobs named by their addresses; `spool/` what is being written: by the store itself, or by worker
processes whose checkpoints it then takes over. A file is complete before it is renamed into `files/`; a blob exists
when LevelDB names it. What a killed process leaves behind in either folder is removed when the store opens.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from pathlib import Path

from miner.store.address import Address
from miner.store.errors import BlobCorruptError, BlobNotFoundError

FILE_BYTES = 2**22  # (= 4,194,304): larger blobs are files


class BlobFiles:
    """The two folders of one store."""

    def __init__(self, path: Path) -> None:
        self._files, self.spool = path / "files", path / "spool"
        for folder in (self._files, self.spool):
            folder.mkdir(parents=True, exist_ok=True)

    def get_path(self, address: Address) -> Path:
        """Where a blob's file is or would be."""
        return self._files / f"{address.kind.value}-{address.root.hex()}"

    def get_size(self, address: Address) -> int | None:
        """Bytes of a blob's file, None without one."""
        try:
            return self.get_path(address).stat().st_size
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> Path:
        """A new file in the spool folder."""
        path = self.spool / f"store-{secrets.token_hex(8)}"
        try:
            path.write_bytes(data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def adopt(self, path: Path, address: Address) -> None:
        """Renames a complete and synced spool file to a blob's name."""
        path.replace(self.get_path(address))
        sync(self._files)

    def read(self, address: Address, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; raises `BlobNotFoundError`, `BlobCorruptError`."""
        try:
            with self.get_path(address).open("rb") as file:
                file.seek(start)
                data = file.read(length)
        except FileNotFoundError as error:
            raise BlobNotFoundError(address) from error
        except OSError as error:
            raise BlobCorruptError(address, str(error)) from error
        if len(data) != length:
            raise BlobCorruptError(address, f"its file ends after {start + len(data)} bytes")
        return data

    def remove(self, address: Address) -> None:
        """Removes a blob's file; harmless without one."""
        self.get_path(address).unlink(missing_ok=True)

    def tidy(self, known: Collection[Address]) -> None:
        """Removes everything that no blob of `known` needs, and all of the spool folder."""
        kept = {self.get_path(address) for address in known}
        for path in [*self._files.iterdir(), *self.spool.iterdir()]:
            if path not in kept:
                path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Makes a file's bytes, or a folder's names, outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
