;; call_native: 1,000 calls of a function that WAMR links and checks by itself
;;
;; CONFIG_WRAMP_NATIVE_CALL links env.native_call with the signature (i*~), so WAMR
;; checks the pointer and passes the arguments as C takes them.
(module
  (import "env" "native_call" (func $call (param i32 i32 i32)))
  (global $__stack_pointer (mut i32) (i32.const 64))
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 64))
  (memory (export "memory") 1 1)
  (func (export "run") (result i32)
    (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (call $call (i32.const -1) (i32.const 16) (i32.const 8))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
