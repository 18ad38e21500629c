;; A block in dead code takes two parameters, and one of them is there. Right is 3. The fast
;; interpreter of an uncorrected WAMR 2.4.5 computes 8 (docs/engine-faults.md, fast-dead-code).
(module
  (func (export "run") (param i32) (result i32)
    (local.set 0 (i32.const 1))
    local.get 0 local.get 0 i32.add
    local.get 0 local.get 0 i32.and
    block
      br 0
      local.get 0 i32.eqz
      block (param f64 i32) drop drop end
    end
    local.get 0 i32.const 5 i32.add drop
    i32.add))
