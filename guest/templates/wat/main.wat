;; GUEST_NAME: logs a line for each message that it gets
;;
;; A step takes all messages, asks for the next one and returns.
(module
  (import "wramp" "log" (func $log (param i32 i32)))
  (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
  (import "wramp" "wait" (func $wait (param i32)))

  ;; The memory ends at __heap_base: 256 bytes for a message and 16 for the text. WAMR takes
  ;; the first mutable i32 global for the stack pointer. So it is first and nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 272))
  ;; One global has both names, because each global costs an instance 28 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 272))
  (memory (export "memory") 1 1)
  (data (i32.const 256) "a message")

  ;; The result 1 asks the host to call this again when the wait ends.
  (func (export "wramp_poll") (result i32)
    (block $empty
      (loop $next
        (br_if $empty
          (i32.lt_s
            (call $receive (i32.const 0) (i32.const 256))
            (i32.const 0)))
        (call $log (i32.const 256) (i32.const 9))
        (br $next)))
    (call $wait (i32.const -1))
    (i32.const 1)))
