;; call_host: 1,000 calls of the host that check a pointer and do nothing more
;;
;; What it takes more than call_none is 1,000 calls. Nobody has the number -1, so the
;; result is -3: the call ends after the check of the pointer.
(module
  (import "wramp" "send" (func $call (param i32 i32 i32) (result i32)))
  (global $__stack_pointer (mut i32) (i32.const 64))
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 64))
  (memory (export "memory") 1 1)
  (func (export "run") (result i32)
    (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (drop (call $call (i32.const -1) (i32.const 16) (i32.const 8)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
