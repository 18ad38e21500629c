;; cpu: FNV-1a over one global, without memory
;;
;; stresses: the interpreter's dispatch: 15 instructions a round, one global
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x1002af15 from the first call
;;
;; 10,000 rounds over the round's index, low byte. The hash is carried over
;; calls, so a lost or doubled call shows in every later result. It is the only
;; mutable global because each costs an instance 40 bytes under WAMR.
(module
  (global $hash (mut i32) (i32.const 0x811c9dc5))

  (func (export "run") (result i32)
    (local $round i32)
    (local $acc i32)
    (local.set $acc (global.get $hash))
    (loop $next
      (local.set $acc
        (i32.mul
          (i32.xor
            (local.get $acc)
            (i32.and (local.get $round) (i32.const 0xff)))
          (i32.const 0x01000193)))
      (br_if $next
        (i32.lt_u
          (local.tee $round (i32.add (local.get $round) (i32.const 1)))
          (i32.const 10000))))
    (global.set $hash (local.get $acc))
    (local.get $acc)))
