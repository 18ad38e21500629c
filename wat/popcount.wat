;; popcount: the one bits of 50,000 numbers, without memory or state
;;
;; stresses: an instruction that small cores lack and engines emulate
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x0005d636 from every call
;;
;; A call returns how many bits are 1 in the numbers 1 ..= 50,000 together.
(module
  (func (export "run") (result i32)
    (local $number i32)
    (local $ones i32)
    (local.set $number (i32.const 50000))
    (loop $next
      (local.set $ones
        (i32.add (local.get $ones) (i32.popcnt (local.get $number))))
      (br_if $next
        (local.tee $number (i32.sub (local.get $number) (i32.const 1)))))
    (local.get $ones)))
