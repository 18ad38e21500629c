;; Right is 100 for the argument 0 and otherwise the argument. wasmi 2.0.0 computes 100 for every
;; argument (docs/engine-faults.md).
(module
  (func (export "run") (param i32) (result i32)
    (select (i32.const 100) (local.get 0) (i32.eqz (local.get 0)))))
