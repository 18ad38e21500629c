;; pipeline: the first guest sends, each one passes on, and the last one keeps
;;
;; A guest whose next one has no room keeps the message and takes no other, so a
;; slow stage slows the ones before it. Each message has its sender and a number,
;; and a guest traps where one is missing, doubled or out of order.
;;
;; The memory:
;;
;;     0  for each sender the low byte of its next number, by the sender's number
;;        modulo 1024
;;  1024  the message that came: its sender and its number, 4 bytes each; 16 bytes
;;        of room
;;  1040  the message that goes, 8 bytes
;;  1048  messages sent to the next instance
(module
  (import "wramp" "id" (func $id (result i32)))
  (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
  (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
  (import "wramp" "wait" (func $wait (param i32)))
  (import "wramp" "sleep" (func $sleep (param i32)))

  ;; WAMR takes the first mutable i32 global at or below the heap base for the
  ;; stack pointer. It cuts the memory only if there is one. Nothing writes it.
  (global $__stack_pointer (mut i32) (i32.const 1056))
  ;; One global has both names, because each costs an instance 28 bytes.
  (global (export "__data_end") (export "__heap_base") i32 (i32.const 1056))
  (memory (export "memory") 1 1)
  ;; Whether a message waits for room in the next instance.
  (global $held (mut i32) (i32.const 0))

  ;; Takes the next message. False if there is none. A message that is not the
  ;; one that its sender sent after the one before is a trap.
  (func $take (result i32)
    (local $place i32)
    (local $length i32)
    (local.set $length (call $receive (i32.const 1024) (i32.const 16)))
    (if (i32.lt_s (local.get $length) (i32.const 0)) (then (return (i32.const 0))))
    (if (i32.ne (local.get $length) (i32.const 8)) (then (unreachable)))
    (local.set $place (i32.and (i32.load (i32.const 1024)) (i32.const 1023)))
    (if (i32.ne
          (i32.load8_u (local.get $place))
          (i32.and (i32.load (i32.const 1028)) (i32.const 255)))
      (then (unreachable)))
    (i32.store8
      (local.get $place)
      (i32.add (i32.load8_u (local.get $place)) (i32.const 1)))
    (i32.const 1))

  ;; Sends the next message of the count at `$counter` to an instance, and counts
  ;; it where it was sent.
  (func $next (param $to i32) (param $counter i32) (result i32)
    (local $result i32)
    (i32.store (i32.const 1040) (call $id))
    (i32.store (i32.const 1044) (i32.load (local.get $counter)))
    (local.set $result (call $send (local.get $to) (i32.const 1040) (i32.const 8)))
    (if (i32.eqz (local.get $result))
      (then
        (i32.store
          (local.get $counter)
          (i32.add (i32.load (local.get $counter)) (i32.const 1)))))
    (local.get $result))

  ;; Sends a message on. False if there is no room. Where no instance is next, it
  ;; has arrived. -2 is "full".
  (func $pass (result i32)
    (global.set $held
      (i32.eq
        (call $next (i32.add (call $id) (i32.const 1)) (i32.const 1048))
        (i32.const -2)))
    (i32.eqz (global.get $held)))

  (func $source
    (local $left i32)
    (local $result i32)
    (local.set $left (i32.const 4))
    (loop $again
      (local.set $result (call $next (i32.const 1) (i32.const 1048)))
      ;; It is full, or nobody is there yet.
      (if (local.get $result)
        (then
          (call $sleep (i32.const 1))
          (return)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    ;; Another turn when the others had theirs.
    (call $wait (i32.const 0)))

  (func $stage
    (block $full
      (if (global.get $held) (then (br_if $full (i32.eqz (call $pass)))))
      (loop $again
        (if (call $take)
          (then
            (br_if $full (i32.eqz (call $pass)))
            (br $again))))
      (call $wait (i32.const -1))
      (return))
    ;; A `wait` would end at once while messages are in the own queue.
    (call $sleep (i32.const 1)))

  (func (export "wramp_poll") (result i32)
    (if (call $id) (then (call $stage)) (else (call $source)))
    (i32.const 1)))
