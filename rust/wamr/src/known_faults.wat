;; The smallest programs that show the known faults of WAMR.
;;
;; Each function returns 3 when it is given 1. docs/engine-faults.md describes the faults.
;; self_test.rs has this module in the binary format, and a test compares them. It has no
;; names, for they would be a third of it.
(module
  (type (func (param i32) (result i32)))
  (type (func (result i32)))
  (type (func (param f64 i32)))

  ;; fast-br-value: a br out of an inner block carries a value while two values lie below it.
  ;; The loader gives the place of a live value to the next sum, and the result is 8.
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
    end)

  ;; fast-dead-code: a block in dead code takes two parameters, and one of them is there. The
  ;; loader gives back a place too many, and the result is 8.
  (func (export "params") (type 0)
    local.get 0 local.get 0 i32.add
    local.get 0 local.get 0 i32.and
    block
      br 0
      local.get 0 i32.eqz
      block (type 2) drop drop end
    end
    local.get 0 i32.const 5 i32.add drop
    i32.add)
  ;; fast-dead-code: the first place of all has the result of a block whose end is dead code.
  ;; The loader gives it to the next result, and the sum is 0.
  (func (export "first") (type 0) call 4)
  (func (type 1)
    block (result i32)
      i32.const 3 i32.const 1 br_if 0
      unreachable
    end
    i32.const 1 i32.eqz drop)

  ;; null-element: a null reference in a segment becomes function 0, and the result is 8.
  (func (export "null") (type 0)
    i32.const 3 i32.const 8 local.get 0 table.get 0 ref.is_null select)
  (table 2 funcref)
  (elem (i32.const 0) funcref (ref.func 0) (ref.null func)))
