;; state: mean and variance of the last 507 samples of a 12-bit converter
;;
;; stresses: a memory that is used to the last byte; 64-bit division
;; export:   run () -> i32
;; memory:   2048 bytes (one page declared, truncated at __heap_base)
;; expects:  0xbb07c8cc from the first call
;;
;; A call takes 50 samples into a ring of 507 that starts as zeros. A sample is
;; the top 12 bits of x = 1664525 x + 1013904223, where x starts at 0. The call
;; keeps the running sums and returns mean * 0x01000193 + variance, both of the
;; whole ring and rounded down. Bookkeeping is in memory, because a global costs
;; more. Every byte is used:
;;
;;     0  sum of squares, 64 bits
;;     8  sum
;;    12  x
;;    16  cursor, in bytes from the first sample
;;    20  507 samples of 32 bits, up to 2048
(module
  ;; WAMR takes the first mutable i32 global at or below the heap base for the
  ;; stack pointer. It truncates only if there is one. Nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 2048))
  ;; One global has both names, because each costs an instance 40 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 2048))
  (memory (export "memory") 1 1)

  (func (export "run") (result i32)
    (local $left i32)
    (local $squares i64)
    (local $sum i32)
    (local $x i32)
    (local $cursor i32)
    (local $new i32)
    (local $old i32)
    (local.set $squares (i64.load (i32.const 0)))
    (local.set $sum (i32.load (i32.const 8)))
    (local.set $x (i32.load (i32.const 12)))
    (local.set $cursor (i32.load (i32.const 16)))
    (local.set $left (i32.const 50))
    (loop $sample
      (local.set $new
        (i32.shr_u
          (local.tee $x
            (i32.add
              (i32.mul (local.get $x) (i32.const 1664525))
              (i32.const 1013904223)))
          (i32.const 20)))
      (local.set $old (i32.load offset=20 (local.get $cursor)))
      (i32.store offset=20 (local.get $cursor) (local.get $new))
      (local.set $sum
        (i32.sub
          (i32.add (local.get $sum) (local.get $new))
          (local.get $old)))
      (local.set $squares
        (i64.add
          (local.get $squares)
          (i64.extend_i32_s
            (i32.sub
              (i32.mul (local.get $new) (local.get $new))
              (i32.mul (local.get $old) (local.get $old))))))
      (local.set $cursor
        (select
          (i32.const 0)
          (local.tee $cursor (i32.add (local.get $cursor) (i32.const 4)))
          (i32.eq (local.get $cursor) (i32.const 2028))))
      (br_if $sample
        (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.store (i32.const 0) (local.get $squares))
    (i32.store (i32.const 8) (local.get $sum))
    (i32.store (i32.const 12) (local.get $x))
    (i32.store (i32.const 16) (local.get $cursor))
    (i32.add
      (i32.mul
        (i32.div_u (local.get $sum) (i32.const 507))
        (i32.const 0x01000193))
      ;; (507 * squares - sum^2) / 507^2. It rounds only in the last division.
      (i32.wrap_i64
        (i64.div_u
          (i64.sub
            (i64.mul (local.get $squares) (i64.const 507))
            (i64.mul
              (i64.extend_i32_u (local.get $sum))
              (i64.extend_i32_u (local.get $sum))))
          (i64.const 257049))))))
