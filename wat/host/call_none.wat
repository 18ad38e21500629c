;; call_none: a loop of 1,000 turns that calls nothing
;;
;; The two others of these three have a call in the loop. What they take more is the
;; call: docs/guest.md has the figures.
(module
  (global $__stack_pointer (mut i32) (i32.const 64))
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 64))
  (memory (export "memory") 1 1)
  (func (export "run") (result i32)
    (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
