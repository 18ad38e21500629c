;; fib: the 30th Fibonacci number, 500 times over
;;
;; stresses: two locals that change places, in nested loops
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x18cbf620 from every call
;;
;; It iterates, with fib(0) = 0 and fib(1) = 1, and returns the sum of the 500.
(module
  (func (export "run") (result i32)
    (local $left i32)
    (local $steps i32)
    (local $this i32)
    (local $next i32)
    (local $sum i32)
    (local.set $left (i32.const 500))
    (loop $again
      (local.set $this (i32.const 0))
      (local.set $next (i32.const 1))
      (local.set $steps (i32.const 30))
      (loop $step
        ;; The operands go from left to right: the old $this plus the old $next.
        (local.set $next
          (i32.add (local.get $this) (local.tee $this (local.get $next))))
        (br_if $step
          (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
      (local.set $sum (i32.add (local.get $sum) (local.get $this)))
      (br_if $again
        (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $sum)))
