;; A block has a dead end and its result in the first slot of a function without locals. Right
;; is 77. The fast interpreter of an uncorrected WAMR 2.4.5 computes 0 (docs/engine-faults.md,
;; fast-dead-code).
(module
  (func $alone (result i32)
    block (result i32)
      i32.const 77 i32.const 1 br_if 0
      unreachable
    end
    i32.const 1 i32.eqz drop)
  (func (export "run") (param i32) (result i32) call $alone))
