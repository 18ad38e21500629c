;; sparse: 32 generators in 128 bytes of a memory of 2,048
;;
;; stresses: nothing: a guest that has more memory than it uses
;; export:   run () -> i32
;; memory:   2048 bytes (one page declared, truncated at __heap_base)
;; expects:  0x03379c85 from the first call
;;
;; Word k, from 1, starts at 0. A call makes it 1664525 x + 1013904223 k and
;; hashes all of them as words of FNV-1a, in order. It is no workload of a run
;; without being asked for: it shows what a parked state takes that is mostly
;; as it was at first.
(module
  ;; WAMR takes the first mutable i32 global at or below the heap base for the
  ;; stack pointer. It truncates only if there is one. Nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 2048))
  ;; One global has both names, because each costs an instance 40 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 2048))
  (memory (export "memory") 1 1)

  (func (export "run") (result i32)
    (local $number i32)
    (local $address i32)
    (local $hash i32)
    (local.set $hash (i32.const 0x811c9dc5))
    (local.set $address (i32.const 960))
    (loop $next
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (i32.store (local.get $address)
        (i32.add
          (i32.mul (i32.load (local.get $address)) (i32.const 1664525))
          (i32.mul (local.get $number) (i32.const 1013904223))))
      (local.set $hash
        (i32.mul
          (i32.xor (local.get $hash) (i32.load (local.get $address)))
          (i32.const 0x01000193)))
      (local.set $address (i32.add (local.get $address) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $number) (i32.const 32))))
    (local.get $hash)))
