"""A game as the pallet stores it (its `types.rs`), of a view: the way back of `read_view`."""

from __future__ import annotations

from consensus.arbiter.codec import encode_bytes, encode_form, encode_hashes, encode_list, encode_node, encode_place
from consensus.arbiter.statement import Element, Place, Tile
from consensus.commit.hashing import Hash32, encode_u8, encode_u16, encode_u32
from consensus.dispute import view as v
from consensus.dispute.moves import Way
from miner.disputes.chain import RawGame

PARTIES = bytes(32) + bytes([1]) * 32


def encode_game(view: v.GameView) -> RawGame:
    """The game's entries in storage."""
    place = find_place(view.stage)
    clocks = encode_u32(view.clocks[0]) + encode_u32(view.clocks[1])
    game = encode_u32(1) + encode_u32(2) + encode_u16(0) + encode_u16(view.record.index) + PARTIES + encode_u32(9)
    game += clocks + encode_u8(view.turn) + encode_u32(view.began) + encode_u32(3) + (5).to_bytes(16, "little")
    game += view.start + view.record.end_state_root + view.record.salted_witness + encode_stage(view.stage)
    game += option(view.history_root) + option(None if view.step is None else encode_step(view.step))
    game += option(None if view.node is None else encode_u32(view.node.index))
    game += option(None if place is None else encode_place(place[0]) + place[1])
    claims = view.stage.claims if isinstance(view.stage, v.ClaimsPick | v.Arbitration) else ()
    tile = encode_bytes(view.stage.data) if isinstance(view.stage, v.TilePick) else b""
    return RawGame(game, b"" if view.node is None else encode_opened(view.node), encode_hashes(claims), tile)


def encode_opened(node: v.NodeClaim) -> bytes:
    forms = encode_bytes(encode_list(node.input_forms, encode_form))
    accepted = encode_list(node.accepted, lambda entry: encode_place(entry[0]) + entry[1])
    parts = encode_bytes(encode_node(node.node)) + node.root + node.inner_root + forms
    return parts + encode_hashes(node.input_roots) + accepted


def encode_step(step: v.StepClaim) -> bytes:
    return encode_u32(step.index) + step.start + step.after.encode() + step.trace_root


def encode_cursor(stage: v.Narrowing | v.Picking) -> bytes:
    cursor = stage.cursor
    numbers = encode_u32(cursor.count) + encode_u8(cursor.height) + encode_u32(cursor.index)
    return encode_u8(stage.level) + numbers + cursor.hash


def find_place(stage: v.Stage) -> tuple[Place, Hash32] | None:
    match stage:
        case v.TileStage(tile, hash_):
            return Tile(tile), hash_
        case v.TilePick(tile, _):
            return Tile(tile), Hash32(bytes(32))
        case v.DataStage(element, hash_):
            return Element(element), hash_
        case v.ClaimsStage(place, hash_) | v.ClaimsPick(place, hash_, _) | v.Arbitration(place, hash_, _):
            return place, hash_
    return None


def encode_stage(stage: v.Stage) -> bytes:
    match stage:
        case v.Narrowing():
            return encode_u8(3) + encode_cursor(stage)
        case v.Picking():
            return encode_u8(4) + encode_cursor(stage) + encode_hashes(stage.children)
        case v.StepStage(index, hash_):
            return encode_u8(5) + encode_u32(index) + hash_
        case v.OutputStage(way):
            return encode_u8(7) + encode_u8(way is Way.GRAD_NORM)
        case v.StateStage(index, hash_):
            return encode_u8(9) + encode_u32(index) + hash_
        case v.StateRefute(name, root):
            return encode_u8(10) + encode_bytes(name.encode()) + root
        case v.NodeStage(index, hash_):
            return encode_u8(11) + encode_u32(index) + hash_
        case v.LinkStage(number):
            return encode_u8(14) + encode_u16(number)
    plain = {
        v.HistoryStage: 0, v.HistoryPick: 1, v.WitnessStage: 2, v.StepPick: 6, v.OutputRefute: 8, v.StateInput: 12,
        v.NodePick: 13, v.EndsStage: 15, v.TileStage: 16, v.TilePick: 17, v.ClaimsStage: 18, v.ClaimsPick: 19,
        v.Arbitration: 20, v.DataStage: 21,
    }  # fmt: skip
    return encode_u8(plain[type(stage)])


def option(value: bytes | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + value
