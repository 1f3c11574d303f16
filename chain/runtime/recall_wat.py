"""Recently read and written storage values, kept in Wasm: nine of ten reads of a transfer need no way out of it.

A direct-mapped table of slots, each with a key and its value or absence. What it answers is what the overlay would:
a write goes to the host always and to the slot as well, an append forgets its key, whatever changes many keys at once
(a rollback, a removed prefix) forgets all, and so does every call's beginning. Keys that are short, long or a child
trie's root, and long values, are never kept. Answers are laid out as the host lays them out, so the heap is the same.
"""

from __future__ import annotations

SLOTS = 256
SLOT_BYTES = 512
KEY_AT, MAX_KEY = 16, 112
VALUE_AT, MAX_VALUE = 128, 384  # = SLOT_BYTES - VALUE_AT
MIN_KEY = 8
GENERATION_AT = 0  # u64; a slot of another generation is empty
_TABLE_AT = SLOT_BYTES  # the first slot's place holds the generation
_PAGES = -(-(SLOTS + 1) * SLOT_BYTES // 65_536)  # = 3
_ABSENT = 0xFFFF_FFFF
_CHILD = int.from_bytes(b":child_s", "little")  # the head of `:child_storage:`

_IMPORTS = {
    "get": ("ext_storage_get_version_1", "(param i64) (result i64)"),
    "exists": ("ext_storage_exists_version_1", "(param i64) (result i32)"),
    "set": ("ext_storage_set_version_1", "(param i64 i64)"),
    "clear": ("ext_storage_clear_version_1", "(param i64)"),
    "append": ("ext_storage_append_version_1", "(param i64 i64)"),
    "rollback": ("ext_storage_rollback_transaction_version_1", ""),
    "clear_prefix": ("ext_storage_clear_prefix_version_1", "(param i64)"),
    "clear_limited": ("ext_storage_clear_prefix_version_2", "(param i64 i64) (result i64)"),
}
HOST_FUNCTIONS = tuple(name for name, _ in _IMPORTS.values())
"""What the module imports after `env.memory` and `heap.malloc`, in this order, and exports again."""

_GENERATION = f"(i64.load $table (i32.const {GENERATION_AT}))"
_FORGET_ALL = f"(i64.store $table (i32.const {GENERATION_AT}) (i64.add {_GENERATION} (i64.const 1)))"

RECALL_WAT = f"""
(module
  (import "env" "memory" (memory $main 1))
  (import "heap" "malloc" (func $malloc (param i32) (result i32)))
  {"".join(f'(import "host" "{name}" (func $host_{short} {kind}))' for short, (name, kind) in _IMPORTS.items())}
  (memory $table (export "table") {_PAGES})

  ;; the slot of a key, 0 for one that is never kept
  (func $slot (param $span i64) (result i32)
    (local $at i32) (local $length i32) (local $mixed i64)
    (local.set $at (i32.wrap_i64 (local.get $span)))
    (local.set $length (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    (if (i32.or
          (i32.gt_u (i32.sub (local.get $length) (i32.const {MIN_KEY})) (i32.const {MAX_KEY - MIN_KEY}))
          (i64.gt_u
            (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $length)))
            (i64.shl (i64.extend_i32_u (memory.size $main)) (i64.const 16))))
      (then (return (i32.const 0))))
    (if (i64.eq (i64.load $main (local.get $at)) (i64.const {_CHILD:#x})) (then (return (i32.const 0))))
    (local.set $mixed (i64.load $main (i32.sub (i32.add (local.get $at) (local.get $length)) (i32.const 8))))
    (if (i32.ge_u (local.get $length) (i32.const 24))
      (then (local.set $mixed (i64.xor (i64.rotl (local.get $mixed) (i64.const 13))
        (i64.load $main offset=16 (local.get $at))))))
    (i32.add (i32.const {_TABLE_AT}) (i32.mul (i32.const {SLOT_BYTES})
      (i32.wrap_i64 (i64.shr_u (i64.mul (local.get $mixed) (i64.const 0x9e3779b97f4a7c15)) (i64.const 56))))))

  ;; whether a slot holds this key
  (func $holds (param $slot i32) (param $span i64) (result i32)
    (local $at i32) (local $length i32) (local $i i32)
    (local.set $at (i32.wrap_i64 (local.get $span)))
    (local.set $length (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    (if (i32.eqz (local.get $slot)) (then (return (i32.const 0))))
    (if (i64.ne (i64.load $table (local.get $slot)) {_GENERATION})
      (then (return (i32.const 0))))
    (if (i32.ne (i32.load $table offset=8 (local.get $slot)) (local.get $length)) (then (return (i32.const 0))))
    (local.set $length (i32.sub (local.get $length) (i32.const 8)))
    (loop $words
      (if (i64.ne
            (i64.load $table offset={KEY_AT} (i32.add (local.get $slot) (local.get $i)))
            (i64.load $main (i32.add (local.get $at) (local.get $i))))
        (then (return (i32.const 0))))
      (if (i32.eq (local.get $i) (local.get $length)) (then (return (i32.const 1))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (if (i32.gt_u (local.get $i) (local.get $length)) (then (local.set $i (local.get $length))))
      (br $words))
    unreachable)

  ;; puts a key with its value ({_ABSENT:#x} bytes: its absence) into its slot; one that is too long empties the slot
  (func $keep (param $slot i32) (param $span i64) (param $value i32) (param $size i32)
    (if (i32.eqz (local.get $slot)) (then return))
    (if (i32.and (i32.gt_u (local.get $size) (i32.const {MAX_VALUE})) (i32.ne (local.get $size) (i32.const -1)))
      (then
        (i64.store $table (local.get $slot) (i64.sub {_GENERATION} (i64.const 1)))
        return))
    (i64.store $table (local.get $slot) {_GENERATION})
    (i32.store $table offset=8 (local.get $slot) (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    (i32.store $table offset=12 (local.get $slot) (local.get $size))
    (memory.copy $table $main (i32.add (local.get $slot) (i32.const {KEY_AT})) (i32.wrap_i64 (local.get $span))
      (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))
    (if (i32.ne (local.get $size) (i32.const -1))
      (then (memory.copy $table $main (i32.add (local.get $slot) (i32.const {VALUE_AT}))
        (local.get $value) (local.get $size)))))

  ;; the slot's value as `Option<Vec<u8>>` on the heap: a pointer-size
  (func $encode (param $slot i32) (result i64)
    (local $size i32) (local $head i32) (local $out i32)
    (local.set $size (i32.load $table offset=12 (local.get $slot)))
    (if (i32.eq (local.get $size) (i32.const -1))
      (then
        (local.set $out (call $malloc (i32.const 1)))
        (i32.store8 $main (local.get $out) (i32.const 0))
        (return (i64.or (i64.extend_i32_u (local.get $out)) (i64.const 0x100000000)))))
    (local.set $head (select (i32.const 2) (i32.const 3) (i32.lt_u (local.get $size) (i32.const 64))))
    (local.set $out (call $malloc (i32.add (local.get $head) (local.get $size))))
    (i32.store8 $main (local.get $out) (i32.const 1))
    (if (i32.eq (local.get $head) (i32.const 2))
      (then (i32.store8 $main offset=1 (local.get $out) (i32.shl (local.get $size) (i32.const 2))))
      (else (i32.store16 $main offset=1 (local.get $out)
        (i32.or (i32.shl (local.get $size) (i32.const 2)) (i32.const 1)))))
    (memory.copy $main $table (i32.add (local.get $out) (local.get $head))
      (i32.add (local.get $slot) (i32.const {VALUE_AT})) (local.get $size))
    (i64.or (i64.extend_i32_u (local.get $out))
      (i64.shl (i64.extend_i32_u (i32.add (local.get $head) (local.get $size))) (i64.const 32))))

  (func (export "{_IMPORTS["get"][0]}") (param $key i64) (result i64)
    (local $slot i32) (local $found i64) (local $length i32) (local $head i32)
    (local.set $slot (call $slot (local.get $key)))
    (if (call $holds (local.get $slot) (local.get $key)) (then (return (call $encode (local.get $slot)))))
    (local.set $found (call $host_get (local.get $key)))
    (local.set $length (i32.wrap_i64 (i64.shr_u (local.get $found) (i64.const 32))))
    (if (i32.eq (local.get $length) (i32.const 1))
      (then (call $keep (local.get $slot) (local.get $key) (i32.const 0) (i32.const -1)))
      (else
        (local.set $head (select (i32.const 2) (i32.const 3) (i32.lt_u (local.get $length) (i32.const 66))))
        (call $keep (local.get $slot) (local.get $key)
          (i32.add (i32.wrap_i64 (local.get $found)) (local.get $head))
          (i32.sub (local.get $length) (local.get $head)))))
    (local.get $found))

  (func (export "{_IMPORTS["exists"][0]}") (param $key i64) (result i32)
    (local $slot i32)
    (local.set $slot (call $slot (local.get $key)))
    (if (call $holds (local.get $slot) (local.get $key))
      (then (return (i32.ne (i32.load $table offset=12 (local.get $slot)) (i32.const -1)))))
    (call $host_exists (local.get $key)))

  (func (export "{_IMPORTS["set"][0]}") (param $key i64) (param $value i64)
    (call $host_set (local.get $key) (local.get $value))
    (call $keep (call $slot (local.get $key)) (local.get $key)
      (i32.wrap_i64 (local.get $value)) (i32.wrap_i64 (i64.shr_u (local.get $value) (i64.const 32)))))

  (func (export "{_IMPORTS["clear"][0]}") (param $key i64)
    (call $host_clear (local.get $key))
    (call $keep (call $slot (local.get $key)) (local.get $key) (i32.const 0) (i32.const -1)))

  (func (export "{_IMPORTS["append"][0]}") (param $key i64) (param $item i64)
    (call $host_append (local.get $key) (local.get $item))
    (call $keep (call $slot (local.get $key)) (local.get $key) (i32.const 0) (i32.const {MAX_VALUE + 1})))

  (func (export "{_IMPORTS["rollback"][0]}")
    (call $host_rollback)
    {_FORGET_ALL})

  (func (export "{_IMPORTS["clear_prefix"][0]}") (param $prefix i64)
    (call $host_clear_prefix (local.get $prefix))
    {_FORGET_ALL})

  (func (export "{_IMPORTS["clear_limited"][0]}") (param $prefix i64) (param $limit i64) (result i64)
    {_FORGET_ALL}
    (call $host_clear_limited (local.get $prefix) (local.get $limit))))
"""
