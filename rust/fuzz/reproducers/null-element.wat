;; A null reference in an active element segment. Right is a trap. An uncorrected WAMR 2.4.5
;; calls function 0 and gives 7 (docs/engine-faults.md, null-element).
(module
  (type $f (func (result i32)))
  (table 4 funcref)
  (func $zero (type $f) i32.const 7)
  (elem (i32.const 0) funcref (ref.func $zero) (ref.null func) (ref.func $zero))
  (func (export "run") (param i32) (result i32) (call_indirect (type $f) (i32.const 1))))
