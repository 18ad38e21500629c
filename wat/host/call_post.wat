;; call_post: 1,000 times a message of 8 bytes to itself, and its receipt
;;
;; What it takes more than call_none is 1,000 calls of `wramp.send` and as many of
;; `wramp.receive`, each with its check of a pointer, its locks and its clock.
(module
  (import "wramp" "id" (func $id (result i32)))
  (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
  (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
  (global $__stack_pointer (mut i32) (i32.const 64))
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 64))
  (memory (export "memory") 1 1)
  (func (export "run") (result i32)
    (local $left i32)
    (local $self i32)
    (local.set $self (call $id))
    (local.set $left (i32.const 1000))
    (loop $again
      (if (call $send (local.get $self) (i32.const 16) (i32.const 8)) (then (unreachable)))
      (if (i32.ne (call $receive (i32.const 32) (i32.const 8)) (i32.const 8))
        (then (unreachable)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
