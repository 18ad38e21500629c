;; checksum: a Fletcher sum, 100 times over 4 KiB
;;
;; stresses: word loads over all of a small memory
;; export:   run () -> i32
;; memory:   4096 bytes (one page declared, truncated at __heap_base)
;; expects:  0xa7914000 from every call
;;
;; A call fills 1,024 words, then passes over them 100 times, from the top down:
;; low += word, high += low. Neither is reset between passes. The call returns
;; low ^ high. The word at an address is (address + 4) * 0x9e3779b1.
(module
  ;; WAMR takes the first mutable i32 global at or below the heap base for the
  ;; stack pointer. It truncates only if there is one. Nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 4096))
  ;; One global has both names, because each costs an instance 40 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 4096))
  (memory (export "memory") 1 1)

  (func (export "run") (result i32)
    (local $address i32)
    (local $left i32)
    (local $low i32)
    (local $high i32)
    (loop $fill
      (i32.store
        (local.get $address)
        (i32.mul
          (local.tee $address (i32.add (local.get $address) (i32.const 4)))
          (i32.const 0x9e3779b1)))
      (br_if $fill (i32.lt_u (local.get $address) (i32.const 4096))))

    (local.set $left (i32.const 100))
    (loop $pass
      (local.set $address (i32.const 4096))
      (loop $word
        (local.set $high
          (i32.add
            (local.tee $low
              (i32.add
                (i32.load
                  (local.tee $address
                    (i32.sub (local.get $address) (i32.const 4))))
                (local.get $low)))
            (local.get $high)))
        (br_if $word (local.get $address)))
      (br_if $pass
        (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.xor (local.get $low) (local.get $high))))
