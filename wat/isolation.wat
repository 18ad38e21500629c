;; isolation: 2 KiB and two globals that only this instance may change
;;
;; stresses: isolation: a write by another instance shows as a result of 0
;; export:   run (i32) -> i32
;; memory:   2048 bytes (one page declared, truncated at __heap_base)
;; expects:  0x96a0f96b from the first call, with the argument 1
;;
;; The argument is the instance's seed, the same at every call. A call checks
;; that all 512 words and both globals hold what the previous call left there.
;; The first call checks for zeros, so bytes of an earlier guest show too. The
;; call then overwrites all of them with the next pattern and returns that
;; pattern's key with bit 0 set. If anything differs, it returns 0, which is
;; never right. So does every later call, because the globals then stay behind
;; the memory.
;;
;; Patterns of different (seed, call) differ in every word as long as both
;; numbers are below 2^15. See $key_of. It works for 2^32 - 1 calls.
(module
  ;; WAMR takes the first mutable i32 global at or below the heap base for the
  ;; stack pointer and guards its writes. So it is first and nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 2048))
  ;; One global has both names, because each costs an instance 40 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 2048))
  (global $calls (mut i32) (i32.const 0))
  (global $key (mut i32) (i32.const 0))
  (memory (export "memory") 1 1)

  ;; Word 0 of a pattern: MurmurHash3's finalizer, a bijection, over
  ;; seed + call * (2^32 / golden ratio). The multiples of that number keep the
  ;; greatest distance from one another, so small seeds cannot bridge it.
  (func $key_of (param $seed i32) (param $call i32) (result i32)
    (local.set $seed
      (i32.add
        (local.get $seed)
        (i32.mul (local.get $call) (i32.const 0x9e3779b9))))
    (local.set $seed
      (i32.mul
        (i32.xor
          (local.get $seed)
          (i32.shr_u (local.get $seed) (i32.const 16)))
        (i32.const 0x85ebca6b)))
    (local.set $seed
      (i32.mul
        (i32.xor
          (local.get $seed)
          (i32.shr_u (local.get $seed) (i32.const 13)))
        (i32.const 0xc2b2ae35)))
    (i32.xor
      (local.get $seed)
      (i32.shr_u (local.get $seed) (i32.const 16))))

  (func (export "run") (param $seed i32) (result i32)
    (local $address i32)
    (local $held i32) ;; what this word must hold
    (local $held_step i32)
    (local $left i32) ;; what this word is left with
    (local $next i32)
    (local $damage i32)
    (if (global.get $calls)
      (then
        (local.set $held
          (call $key_of (local.get $seed) (global.get $calls)))
        (local.set $held_step (i32.const 0x6d2b79f5))))
    (local.set $damage (i32.xor (global.get $key) (local.get $held)))
    (local.set $next
      (call $key_of
        (local.get $seed)
        (i32.add (global.get $calls) (i32.const 1))))
    (local.set $left (local.get $next))
    (loop $word
      (local.set $damage
        (i32.or
          (local.get $damage)
          (i32.xor (i32.load (local.get $address)) (local.get $held))))
      (i32.store (local.get $address) (local.get $left))
      (local.set $held (i32.add (local.get $held) (local.get $held_step)))
      (local.set $left (i32.add (local.get $left) (i32.const 0x6d2b79f5)))
      (br_if $word
        (i32.lt_u
          (local.tee $address (i32.add (local.get $address) (i32.const 4)))
          (i32.const 2048))))
    (if (local.get $damage) (then (return (i32.const 0))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.set $key (local.get $next))
    (i32.or (local.get $next) (i32.const 1))))
