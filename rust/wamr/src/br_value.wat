;; A br out of an inner block carries a value while two values lie below it.
;;
;; Both functions return 3 when they are given 1. A WAMR with the fault fast-br-value
;; (docs/engine-faults.md) returns 8: it gives the place of a live value to the next sum.
;; self_test.rs has this module in the binary format, and a test compares them. It has no
;; names, for they would be a third of it.
(module
  (type (func (param i32) (result i32)))
  (func (export "live") (type 0)
    block (result i32)
      local.get 0 local.get 0 i32.add
      local.get 0 local.get 0 i32.and
      block
        local.get 0 br_if 0
        i32.const 77 br 1
      end
      local.get 0 i32.const 5 i32.add drop
      i32.add
    end)
  (func (export "dead") (type 0)
    block (result i32)
      local.get 0 local.get 0 i32.add
      local.get 0 local.get 0 i32.and
      block
        br 0
        i32.const 77 br 1
      end
      local.get 0 i32.const 5 i32.add drop
      i32.add
    end))
