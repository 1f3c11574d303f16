"""xxHash64 and BLAKE2b in Wasm: half of a transfer's host calls are for them, and need no way out of Wasm.

The digests, their pointers and the state of the heap are those of `host_crypto.hashing_functions`, which a test
compares with these. Sources: xxHash's specification ("XXH64"), RFC 7693.
"""

from __future__ import annotations

_PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_IV = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
_SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_ROUNDS = 12
_COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_H = 128  # where the chaining value lies in the scratch memory; the message block lies at 0
_BLAKE2 = {"blake2_128": 16, "blake2_256": 32}
_TWOX = {"twox_64": 1, "twox_128": 2, "twox_256": 4}


def _mix(a: int, b: int, c: int, d: int, x: int, y: int) -> str:
    """BLAKE2b's G on locals, with message words x and y."""

    def half(word: int, first: int, second: int) -> str:
        return f"""
    (local.set $v{a} (i64.add (i64.add (local.get $v{a}) (local.get $v{b}))
      (i64.load $scratch offset={8 * word} (i32.const 0))))
    (local.set $v{d} (i64.rotr (i64.xor (local.get $v{d}) (local.get $v{a})) (i64.const {first})))
    (local.set $v{c} (i64.add (local.get $v{c}) (local.get $v{d})))
    (local.set $v{b} (i64.rotr (i64.xor (local.get $v{b}) (local.get $v{c})) (i64.const {second})))"""

    return half(x, 32, 24) + half(y, 16, 63)


def _compress() -> str:
    """The compression function: twelve rounds, written out."""
    rounds = "".join(
        _mix(*lane, *_SIGMA[turn % 10][2 * i : 2 * i + 2])
        for turn in range(_ROUNDS)
        for i, lane in enumerate(_COLUMNS + _DIAGONALS)
    )
    names = " ".join(f"$v{i}" for i in range(16))
    load = "".join(f"(local.set $v{i} (i64.load $scratch offset={_H + 8 * i} (i32.const 0)))" for i in range(8))
    load += "".join(f"(local.set $v{8 + i} (i64.const {iv:#x}))" for i, iv in enumerate(_IV))
    store = "".join(
        f"(i64.store $scratch offset={_H + 8 * i} (i32.const 0) (i64.xor (i64.load $scratch offset={_H + 8 * i}"
        f" (i32.const 0)) (i64.xor (local.get $v{i}) (local.get $v{i + 8}))))"
        for i in range(8)
    )
    return f"""
  (func $compress (param $count i64) (param $last i64)
    {"".join(f"(local {name} i64)" for name in names.split())}
    {load}
    (local.set $v12 (i64.xor (local.get $v12) (local.get $count)))
    (local.set $v14 (i64.xor (local.get $v14) (local.get $last)))
    {rounds}
    {store})"""


def _blake2(name: str, size: int) -> str:
    """`ext_hashing_…`: a pointer-size to a pointer."""
    start = "".join(
        f"(i64.store $scratch offset={_H + 8 * i} (i32.const 0)"
        f" (i64.const {iv ^ (0x01010000 | size if i == 0 else 0):#x}))"
        for i, iv in enumerate(_IV)
    )
    return f"""
  (func (export "{name}") (param $span i64) (result i32)
    (local $at i32) (local $left i32) (local $count i64)
    (call $check (local.get $span))
    (local.set $at (i32.wrap_i64 (local.get $span)))
    (local.set $left (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    {start}
    (block $short
      (loop $next
        (br_if $short (i32.le_u (local.get $left) (i32.const 128)))
        (memory.copy $scratch $main (i32.const 0) (local.get $at) (i32.const 128))
        (local.set $count (i64.add (local.get $count) (i64.const 128)))
        (call $compress (local.get $count) (i64.const 0))
        (local.set $at (i32.add (local.get $at) (i32.const 128)))
        (local.set $left (i32.sub (local.get $left) (i32.const 128)))
        (br $next)))
    (memory.fill $scratch (i32.const 0) (i32.const 0) (i32.const 128))
    (memory.copy $scratch $main (i32.const 0) (local.get $at) (local.get $left))
    (call $compress (i64.add (local.get $count) (i64.extend_i32_u (local.get $left))) (i64.const -1))
    (local.set $at (call $malloc (i32.const {size})))
    (memory.copy $main $scratch (local.get $at) (i32.const {_H}) (i32.const {size}))
    (local.get $at))"""


def _lane(name: str, offset: int) -> str:
    """One step of an accumulator over its 8 bytes."""
    return f"(local.set {name} (call $round (local.get {name}) (i64.load $main offset={offset} (local.get $at))))"


def _twox(name: str, rounds: int) -> str:
    """`ext_hashing_…`: a pointer-size to a pointer."""
    hashes = "".join(f"(local.set $h{i} (call $xxh64 (local.get $span) (i64.const {i})))" for i in range(rounds))
    stores = "".join(f"(i64.store $main offset={8 * i} (local.get $out) (local.get $h{i}))" for i in range(rounds))
    return f"""
  (func (export "{name}") (param $span i64) (result i32)
    (local $out i32) {"".join(f"(local $h{i} i64)" for i in range(rounds))}
    (call $check (local.get $span))
    {hashes}
    (local.set $out (call $malloc (i32.const {8 * rounds})))
    {stores}
    (local.get $out))"""


_P1, _P2, _P3, _P4, _P5 = (f"(i64.const {prime:#x})" for prime in _PRIMES)
_MERGES = "".join(f"(local.set $h (call $merge (local.get $h) (local.get ${lane})))" for lane in "abcd")

HASHING_WAT = f"""
(module
  (import "env" "memory" (memory $main 1))
  (import "heap" "malloc" (func $malloc (param i32) (result i32)))
  (memory $scratch 1)

  (func $check (param $span i64)
    (if (i64.gt_u
          (i64.add (i64.and (local.get $span) (i64.const 0xffffffff)) (i64.shr_u (local.get $span) (i64.const 32)))
          (i64.shl (i64.extend_i32_u (memory.size $main)) (i64.const 16)))
      (then unreachable)))

  (func $round (param $lane i64) (param $word i64) (result i64)
    (i64.mul (i64.rotl (i64.add (local.get $lane) (i64.mul (local.get $word) {_P2})) (i64.const 31)) {_P1}))

  (func $merge (param $h i64) (param $lane i64) (result i64)
    (i64.add (i64.mul (i64.xor (local.get $h) (call $round (i64.const 0) (local.get $lane))) {_P1}) {_P4}))

  (func $xxh64 (param $span i64) (param $seed i64) (result i64)
    (local $at i32) (local $left i32) (local $h i64)
    (local $a i64) (local $b i64) (local $c i64) (local $d i64)
    (local.set $at (i32.wrap_i64 (local.get $span)))
    (local.set $left (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    (if (i32.ge_u (local.get $left) (i32.const 32))
      (then
        (local.set $a (i64.add (i64.add (local.get $seed) {_P1}) {_P2}))
        (local.set $b (i64.add (local.get $seed) {_P2}))
        (local.set $c (local.get $seed))
        (local.set $d (i64.sub (local.get $seed) {_P1}))
        (loop $stripe
          {_lane("$a", 0)} {_lane("$b", 8)} {_lane("$c", 16)} {_lane("$d", 24)}
          (local.set $at (i32.add (local.get $at) (i32.const 32)))
          (local.set $left (i32.sub (local.get $left) (i32.const 32)))
          (br_if $stripe (i32.ge_u (local.get $left) (i32.const 32))))
        (local.set $h (i64.add
          (i64.add (i64.rotl (local.get $a) (i64.const 1)) (i64.rotl (local.get $b) (i64.const 7)))
          (i64.add (i64.rotl (local.get $c) (i64.const 12)) (i64.rotl (local.get $d) (i64.const 18)))))
        {_MERGES})
      (else (local.set $h (i64.add (local.get $seed) {_P5}))))
    (local.set $h (i64.add (local.get $h) (i64.shr_u (local.get $span) (i64.const 32))))
    (block $words
      (loop $word
        (br_if $words (i32.lt_u (local.get $left) (i32.const 8)))
        (local.set $h (i64.xor (local.get $h) (call $round (i64.const 0) (i64.load $main (local.get $at)))))
        (local.set $h (i64.add (i64.mul (i64.rotl (local.get $h) (i64.const 27)) {_P1}) {_P4}))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $left (i32.sub (local.get $left) (i32.const 8)))
        (br $word)))
    (if (i32.ge_u (local.get $left) (i32.const 4))
      (then
        (local.set $h (i64.xor (local.get $h) (i64.mul (i64.load32_u $main (local.get $at)) {_P1})))
        (local.set $h (i64.add (i64.mul (i64.rotl (local.get $h) (i64.const 23)) {_P2}) {_P3}))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $left (i32.sub (local.get $left) (i32.const 4)))))
    (block $bytes
      (loop $byte
        (br_if $bytes (i32.eqz (local.get $left)))
        (local.set $h (i64.xor (local.get $h) (i64.mul (i64.load8_u $main (local.get $at)) {_P5})))
        (local.set $h (i64.mul (i64.rotl (local.get $h) (i64.const 11)) {_P1}))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $byte)))
    (local.set $h (i64.mul (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 33))) {_P2}))
    (local.set $h (i64.mul (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 29))) {_P3}))
    (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 32))))
  {_compress()}
  {"".join(_twox(f"ext_hashing_{name}_version_1", rounds) for name, rounds in _TWOX.items())}
  {"".join(_blake2(f"ext_hashing_{name}_version_1", size) for name, size in _BLAKE2.items())})
"""
"""Imports the runtime's memory and the heap's `malloc`; exports host functions under their names."""
