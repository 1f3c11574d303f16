"""The blob client: fetches by address from a peer's endpoint, resumes by range, believes only the hash."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from miner.store.address import Address, verify_bytes
from miner.store.blobs import MAX_BLOB_BYTES, BlobStore
from miner.store.errors import (
    BadAnswerError,
    BlobNotFoundError,
    BlobTooLargeError,
    EndpointError,
    StillPendingError,
    UnreachableError,
)

MAX_ENDPOINT_BYTES = 128  # bound of `Endpoints` on chain
MAX_PENDING_PAUSE = 10.0  # seconds: we ask again no later, whatever Retry-After says
MIN_PENDING_PAUSE = 0.1
_READ_BYTES = 2**16  # (= 65,536)


@dataclass(frozen=True)
class FetchPolicy:
    """Patience of a client: seconds to connect, without a byte and in all; retries; first pause (doubles);
    `pending_seconds` for a peer that makes a dropped checkpoint again, before the transfer begins."""

    connect_seconds: float = 3.0
    idle_seconds: float = 10.0
    total_seconds: float = 300.0
    retries: int = 4
    pause_seconds: float = 0.25
    pending_seconds: float = 240.0


def verify_endpoint(url: str) -> str:
    """The URL without a slash at its end; raises `EndpointError` for anything but plain http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointError(url, f"not a URL ({error})") from error
    if len(url.encode()) > MAX_ENDPOINT_BYTES:
        raise EndpointError(url[:64], f"longer than {MAX_ENDPOINT_BYTES} bytes")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise EndpointError(url, "must be http://host:port or https://host:port")
    if parts.username is not None or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise EndpointError(url, "must have no user, query or fragment")
    return url.rstrip("/")


class BlobClient:
    """Fetches verified bytes; use as an async context manager."""

    def __init__(self, policy: FetchPolicy | None = None) -> None:
        self._policy = policy or FetchPolicy()
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._policy.connect_seconds, sock_read=self._policy.idle_seconds
        )
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)

    async def __aenter__(self) -> BlobClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()

    async def fetch(
        self, endpoint: str, address: Address, max_bytes: int = MAX_BLOB_BYTES, pending_seconds: float | None = None
    ) -> bytes:
        """The blob's verified bytes.

        Raises `BlobNotFoundError` (404), `BlobTooLargeError`, `BlobMismatchError`, `EndpointError`, `BadAnswerError`,
        `UnreachableError` (no complete answer after all retries), `StillPendingError` (being made again, and not done
        within `pending_seconds`, the policy's unless given). Nothing about the peer is trusted afterwards.
        """
        data = await self._download(endpoint, address, max_bytes, pending_seconds)
        await asyncio.to_thread(verify_bytes, address, data)
        return data

    async def fetch_into(
        self,
        store: BlobStore,
        endpoint: str,
        address: Address,
        max_bytes: int = MAX_BLOB_BYTES,
        pin: str | None = None,
        pending_seconds: float | None = None,
    ) -> None:
        """Makes sure that the store has the blob; raises as `fetch` and `BlobStore.put_verified`."""
        if store.is_stored(address):
            if pin is not None:
                store.pin(address, pin)
            return
        data = await self._download(endpoint, address, max_bytes, pending_seconds)
        await asyncio.to_thread(store.put_verified, address, data, pin)

    async def _download(
        self, endpoint: str, address: Address, max_bytes: int, pending_seconds: float | None
    ) -> bytes:
        """The bytes that a peer gives, not verified yet."""
        url = f"{verify_endpoint(endpoint)}/{address}"
        patience = self._policy.pending_seconds if pending_seconds is None else pending_seconds
        give_up = asyncio.get_running_loop().time() + patience
        while True:
            received = bytearray()
            try:
                async with asyncio.timeout(self._policy.total_seconds):
                    await self._fetch_with_retries(url, address, max_bytes, received)
                return bytes(received)
            except _Pending as pending:
                left = give_up - asyncio.get_running_loop().time()
                if left <= 0:
                    raise StillPendingError(url, patience) from None
                await asyncio.sleep(min(pending.seconds, left))
            except TimeoutError as error:
                raise UnreachableError(url, f"not complete after {self._policy.total_seconds} s") from error

    async def _fetch_with_retries(self, url: str, address: Address, max_bytes: int, received: bytearray) -> None:
        reason = "no attempt made"
        for attempt in range(self._policy.retries + 1):
            if attempt:
                await asyncio.sleep(self._policy.pause_seconds * 2 ** (attempt - 1))
            try:
                if await self._fetch_rest(url, address, max_bytes, received):
                    return
                reason = f"the answer ended after {len(received)} bytes"
            except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                reason = f"{type(error).__name__} {error}".strip()
            except aiohttp.ClientError as error:
                raise BadAnswerError(url, f"{type(error).__name__} {error}") from error
        raise UnreachableError(url, f"{reason} (after {self._policy.retries + 1} attempts)")

    async def _fetch_rest(self, url: str, address: Address, max_bytes: int, received: bytearray) -> bool:
        """Appends what is missing; True when the blob is complete, False when another attempt is worth it."""
        headers = {"Range": f"bytes={len(received)}-"} if received else {}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status == 404:
                raise BlobNotFoundError(address, url)
            if response.status == 202:
                raise _Pending(response.headers.get("Retry-After", ""))
            if response.status in (500, 502, 503, 504):
                return False
            if response.status == 416 and received:
                return True  # nothing is left to send; the hash will tell
            if response.status == 200:
                received.clear()
            elif response.status != 206 or not received:
                raise BadAnswerError(url, f"unexpected status {response.status}")
            total = _compute_total(url, response, len(received))
            if total > max_bytes:
                raise BlobTooLargeError(address, total, max_bytes)
            async for chunk in response.content.iter_chunked(_READ_BYTES):
                received += chunk
                if len(received) > max_bytes:
                    raise BlobTooLargeError(address, len(received), max_bytes)
            return len(received) == total


class _Pending(Exception):
    """A 202: the peer makes the blob again; `seconds` until it is worth asking, within our own bounds."""

    def __init__(self, retry_after: str) -> None:
        wanted = float(retry_after) if re.fullmatch(r"\d{1,6}", retry_after) else 0.0
        self.seconds = min(max(wanted, MIN_PENDING_PAUSE), MAX_PENDING_PAUSE)


def _compute_total(url: str, response: aiohttp.ClientResponse, offset: int) -> int:
    """Size of the whole blob that the answer announces; a partial answer must continue where we stopped."""
    if response.content_length is None:
        raise BadAnswerError(url, "no Content-Length")
    total = offset + response.content_length
    if response.status == 206:
        expected = f"bytes {offset}-{total - 1}/{total}"
        if response.headers.get("Content-Range") != expected:
            raise BadAnswerError(url, f"Content-Range is not {expected!r}")
    return total
