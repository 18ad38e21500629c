;; mul: 20,000 multiplications, without memory or state
;;
;; stresses: the multiplier, and dispatch
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x50224601 from every call
;;
;; A call returns 0x9e3779b1 to the power of 20,000, modulo 2^32. The base is
;; odd, so the product gathers no factor of 2 and never becomes 0.
(module
  (func (export "run") (result i32)
    (local $left i32)
    (local $product i32)
    (local.set $left (i32.const 20000))
    (local.set $product (i32.const 1))
    (loop $next
      (local.set $product
        (i32.mul (local.get $product) (i32.const 0x9e3779b1)))
      (br_if $next
        (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $product)))
