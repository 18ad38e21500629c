;; cpu: an FNV hash over one global, without memory
;;
;; stresses: the interpreter's dispatch: 15 instructions a round, one global
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x62cfb515 from the first call
;;
;; A call makes 10,000 rounds in a loop that tests at its top. Each round hashes
;; its own number as one word of FNV-1a. The next call continues the hash, so a
;; lost or doubled call shows in every later result. The hash is the only
;; mutable global, because each costs an instance 40 bytes under WAMR.
(module
  (global $hash (mut i32) (i32.const 0x811c9dc5))

  (func (export "run") (result i32)
    (local $round i32)
    (local $acc i32)
    (local.set $acc (global.get $hash))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $round) (i32.const 10000)))
        (local.set $acc
          (i32.mul
            (i32.xor (local.get $acc) (local.get $round))
            (i32.const 0x01000193)))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br $next)))
    (global.set $hash (local.get $acc))
    (local.get $acc)))
