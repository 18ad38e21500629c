;; A value is carried out of an inner block while values lie below. Right is 3. The fast
;; interpreter of an uncorrected WAMR 2.4.5 computes 8 (docs/engine-faults.md).
(module
  (func (export "run") (param i32) (result i32)
    (local.set 0 (i32.const 1))
    block $outer (result i32)
      local.get 0 local.get 0 i32.add
      local.get 0 local.get 0 i32.and
      block $inner
        local.get 0 br_if $inner
        i32.const 77 br $outer
      end
      local.get 0 i32.const 5 i32.add drop
      i32.add
    end))
