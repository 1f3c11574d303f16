"""The messages of Substrate's network protocols, encoded and decoded with a bound on everything.

Source: polkadot-sdk `client/network/sync` (block announces, api.v1.proto), `client/network/transactions`;
Polkadot specification, chapter "Networking". Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from chain.errors import DecodeError, PeerFault
from chain.network.errors import BadMessage
from chain.network.protobuf import FieldBudget, encode_blob, encode_uint, encode_varint, iter_fields
from chain.primitives import Header, Reader, encode_bytes, encode_compact

MAX_ANNOUNCE_BYTES = 1 << 20  # 1 MiB (= 1,048,576): as a stock node
MAX_TRANSACTIONS_BYTES = 16 << 20  # 16 MiB (= 16,777,216): as a stock node
MAX_GRANDPA_BYTES = 1 << 20  # 1 MiB: as a stock node
MAX_HANDSHAKE_BYTES = 1 << 10  # 1 KiB: a block-announces handshake has 69 bytes
MAX_REQUEST_BYTES = 1 << 10  # 1 KiB: a block request has some 50 bytes
MAX_RESPONSE_BYTES = 16 << 20  # 16 MiB: as a stock node
MAX_BLOCKS_PER_REQUEST = 128  # as a stock node
MAX_TRANSACTIONS = 4_096  # extrinsics in one transactions message
MAX_EXTRINSIC_BYTES = 5 << 20  # 5 MiB: the runtime's block length


class Role(IntFlag):
    """Roles of a node in a handshake."""

    FULL = 1
    LIGHT = 2
    AUTHORITY = 4


ROLES = range(8)  # role bytes: any of the three bits


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a node says of itself when a block-announces substream opens; hashes are 32 bytes."""

    roles: Role
    best_number: int
    best_hash: bytes
    genesis_hash: bytes

    def encode(self) -> bytes:
        """69 bytes: roles u8, best number u32 LE, best hash, genesis hash."""
        return bytes((self.roles,)) + self.best_number.to_bytes(4, "little") + self.best_hash + self.genesis_hash

    @staticmethod
    def decode(data: bytes) -> Handshake:
        """Raises BadMessage."""
        if len(data) != 69:
            raise BadMessage(f"a block-announces handshake has 69 bytes, not {len(data)}")
        if data[0] not in ROLES:
            raise BadMessage(f"role byte {data[0]} is unknown")
        return Handshake(Role(data[0]), int.from_bytes(data[1:5], "little"), data[5:37], data[37:69])


@dataclass(frozen=True, slots=True)
class BlockAnnounce:
    """A peer's new block: header bytes as received, and whether it is that peer's best block."""

    header: Header
    is_best: bool
    data: bytes = b""

    def encode(self) -> bytes:
        """SCALE(header, state u8, data)."""
        return self.header.encode() + bytes((self.is_best,)) + encode_bytes(self.data)

    @staticmethod
    def decode(data: bytes) -> BlockAnnounce:
        """Raises BadMessage; state and data may be absent, as in old nodes."""
        reader = Reader(data)
        try:
            header = Header.read(reader)
            is_best = reader.boolean("block state") if reader.remaining else False
            extra = reader.bytes_(MAX_ANNOUNCE_BYTES, "announce data") if reader.remaining else b""
            reader.finish("block announce")
        except DecodeError as error:
            raise BadMessage(str(error)) from error
        return BlockAnnounce(header, is_best, extra)


def encode_transactions(extrinsics: list[bytes]) -> bytes:
    """`Vec<OpaqueExtrinsic>`: each extrinsic *with* its own compact length in front."""
    return encode_compact(len(extrinsics)) + b"".join(extrinsics)


def decode_transactions(data: bytes) -> list[bytes]:
    """Extrinsics, each with its compact length; raises BadMessage."""
    reader = Reader(data)
    try:
        count = reader.compact(MAX_TRANSACTIONS, "transactions count")
        extrinsics = [encode_bytes(reader.bytes_(MAX_EXTRINSIC_BYTES, "extrinsic")) for _ in range(count)]
        reader.finish("transactions")
    except DecodeError as error:
        raise BadMessage(str(error)) from error
    return extrinsics


class Direction(IntEnum):
    """Order of the blocks of a request: towards newer or towards older ones."""

    ASCENDING = 0
    DESCENDING = 1


class BlockField(IntFlag):
    """Parts of a block that a request asks for."""

    HEADER = 1
    BODY = 2
    JUSTIFICATION = 16


ALL_FIELDS = BlockField.HEADER | BlockField.BODY | BlockField.JUSTIFICATION
GRANDPA_ID = b"FRNK"


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Asks for up to `max_blocks` blocks from `start` (hash of 32 bytes, or number) on; 0 means the most allowed."""

    start: bytes | int
    max_blocks: int = MAX_BLOCKS_PER_REQUEST
    direction: Direction = Direction.ASCENDING
    fields: BlockField = ALL_FIELDS

    def encode(self) -> bytes:
        """Protobuf; field bits in the top byte, number as SCALE u32."""
        start = (
            encode_blob(3, self.start.to_bytes(4, "little"))
            if isinstance(self.start, int)
            else encode_blob(2, self.start)
        )
        return b"".join((
            encode_uint(1, int(self.fields) << 24),
            start,
            encode_uint(5, self.direction),
            encode_uint(6, self.max_blocks),
            encode_uint(7, 1),
        ))  # fmt: skip

    @staticmethod
    def decode(data: bytes) -> BlockRequest:
        """Raises BadMessage."""
        fields, direction, max_blocks = BlockField(0), Direction.ASCENDING, 0
        start: bytes | int | None = None
        for number, value in iter_fields(data):
            if number == 1 and isinstance(value, int):
                fields = BlockField(value >> 24 & ALL_FIELDS)
            elif number == 2 and isinstance(value, bytes):
                start = _sized(value, 32, "block hash")
            elif number == 3 and isinstance(value, bytes):
                start = int.from_bytes(_sized(value, 4, "block number"), "little")
            elif number == 5:
                if value not in (0, 1):
                    raise BadMessage(f"direction {value!r} is unknown")
                direction = Direction(int(value))
            elif number == 6 and isinstance(value, int):
                max_blocks = value
        if start is None:
            raise BadMessage("a block request has no starting block")
        return BlockRequest(start, min(max_blocks or MAX_BLOCKS_PER_REQUEST, MAX_BLOCKS_PER_REQUEST), direction, fields)


@dataclass(frozen=True, slots=True)
class BlockData:
    """One block of a response. `body`: extrinsics with their lengths, None if not asked; `justification`: GRANDPA's."""

    hash: bytes
    header: bytes | None = None
    body: tuple[bytes, ...] | None = None
    justification: bytes | None = None

    def encode(self) -> bytes:
        """Protobuf BlockData; the justification as SCALE Vec<(engine, bytes)> in field 8."""
        parts = [encode_blob(1, self.hash)]
        if self.header is not None:
            parts.append(encode_blob(2, self.header))
        parts.extend(encode_blob(3, extrinsic) for extrinsic in self.body or ())
        if self.justification is not None:
            parts.append(encode_blob(8, encode_compact(1) + GRANDPA_ID + encode_bytes(self.justification)))
        return b"".join(parts)

    @staticmethod
    def decode(data: bytes, fields: BlockField, budget: FieldBudget | None = None) -> BlockData:
        """Raises BadMessage. An empty body is told from an absent one by what was asked."""
        block_hash, header, justification = b"", None, None
        body: list[bytes] = []
        for number, value in iter_fields(data, budget):
            if number == 1 and isinstance(value, bytes):
                block_hash = _sized(value, 32, "block hash")
            elif number == 2 and isinstance(value, bytes):
                header = value or None
            elif number == 3 and isinstance(value, bytes):
                body.append(value)
            elif number == 8 and isinstance(value, bytes) and value:
                justification = _grandpa_justification(value)
        if not block_hash:
            raise BadMessage("a block without a hash")
        return BlockData(block_hash, header, tuple(body) if fields & BlockField.BODY else None, justification)


def encode_response(blocks: list[BlockData]) -> bytes:
    """Protobuf BlockResponse."""
    return b"".join(encode_blob(1, block.encode()) for block in blocks)


def decode_response(data: bytes, request: BlockRequest) -> list[BlockData]:
    """The blocks of an answer to `request`; raises BadMessage, also when there are more than asked for."""
    blocks: list[BlockData] = []
    budget = FieldBudget()
    for number, value in iter_fields(data, budget):
        if number == 1 and isinstance(value, bytes):
            if len(blocks) >= (request.max_blocks or MAX_BLOCKS_PER_REQUEST):
                raise BadMessage("more blocks than asked for")
            blocks.append(BlockData.decode(value, request.fields, budget))
    return blocks


def frame(message: bytes) -> bytes:
    """The message with its length as unsigned varint in front."""
    return encode_varint(len(message)) + message


def _sized(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise BadMessage(f"{what} has {size} bytes, not {len(value)}")
    return value


def _grandpa_justification(data: bytes) -> bytes | None:
    reader, found = Reader(data), None
    try:
        for _ in range(reader.compact(8, "justifications")):
            engine = reader.take(4, "justification engine")
            payload = reader.bytes_(MAX_GRANDPA_BYTES, "justification")
            found = payload if engine == GRANDPA_ID else found
        reader.finish("justifications")
    except PeerFault as error:
        raise BadMessage(str(error)) from error
    return found
