;; add: 50,000 additions, without memory or state
;;
;; stresses: the smallest instance there is, and dispatch
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x4a81de28 from every call
;;
;; A call returns the sum of 1 ..= 50,000.
(module
  (func (export "run") (result i32)
    (local $number i32)
    (local $sum i32)
    (local.set $number (i32.const 50000))
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (local.get $number)))
      (br_if $next
        (local.tee $number (i32.sub (local.get $number) (i32.const 1)))))
    (local.get $sum)))
