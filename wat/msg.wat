;; msg: a ring of 64 messages, filled and drained by one guest
;;
;; stresses: word loads and stores, masks, nested loops, two globals
;; export:   run () -> i32
;; memory:   65536 bytes
;; expects:  0x000000c0 from every call
;;
;; There is one producer and one consumer. Slots of 32 bytes begin at address 0.
;; A call makes 3 bursts: it sends until the ring is full, then receives until
;; the ring is empty. It returns how many messages arrived with all 8 words as
;; they were sent. $head and $tail count all messages so far, modulo 2^32, so
;; contents differ from call to call. Word k of message n is
;; n * 0x9e3779b1 + k * 0x85ebca6b.
(module
  (memory (export "memory") 1 1)
  (global $head (mut i32) (i32.const 0))
  (global $tail (mut i32) (i32.const 0))

  (func (export "run") (result i32)
    (local $bursts i32)
    (local $address i32)
    (local $word i32)
    (local $damage i32)
    (local $intact i32)
    (local.set $bursts (i32.const 3))
    (loop $burst
      (loop $send
        (local.set $address
          (i32.shl (i32.and (global.get $head) (i32.const 63)) (i32.const 5)))
        (local.set $word (i32.mul (global.get $head) (i32.const 0x9e3779b1)))
        (loop $write
          (i32.store (local.get $address) (local.get $word))
          (local.set $word (i32.add (local.get $word) (i32.const 0x85ebca6b)))
          ;; A slot ends where the next multiple of 32 begins.
          (br_if $write
            (i32.and
              (local.tee $address (i32.add (local.get $address) (i32.const 4)))
              (i32.const 31))))
        (global.set $head (i32.add (global.get $head) (i32.const 1)))
        (br_if $send
          (i32.lt_u
            (i32.sub (global.get $head) (global.get $tail))
            (i32.const 64))))

      (loop $receive
        (local.set $address
          (i32.shl (i32.and (global.get $tail) (i32.const 63)) (i32.const 5)))
        (local.set $word (i32.mul (global.get $tail) (i32.const 0x9e3779b1)))
        (local.set $damage (i32.const 0))
        (loop $read
          (local.set $damage
            (i32.or
              (local.get $damage)
              (i32.xor (i32.load (local.get $address)) (local.get $word))))
          (local.set $word (i32.add (local.get $word) (i32.const 0x85ebca6b)))
          (br_if $read
            (i32.and
              (local.tee $address (i32.add (local.get $address) (i32.const 4)))
              (i32.const 31))))
        (local.set $intact
          (i32.add (local.get $intact) (i32.eqz (local.get $damage))))
        (global.set $tail (i32.add (global.get $tail) (i32.const 1)))
        (br_if $receive (i32.ne (global.get $head) (global.get $tail))))

      (br_if $burst
        (local.tee $bursts (i32.sub (local.get $bursts) (i32.const 1)))))
    (local.get $intact)))
