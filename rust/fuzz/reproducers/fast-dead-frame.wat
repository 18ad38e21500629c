;; A result of 64 bits behind a dead end, in a function that needs no other slot. Right is 3. The
;; fast interpreter of an uncorrected WAMR 2.4.5 counts one cell too few for the frame, and gives
;; 4 bytes of its own data to the guest (docs/engine-faults.md, fast-dead-code).
(module
  (func $other (local i64 i64) i64.const -1 local.set 0 i64.const -1 local.set 1)
  (func $alone (result i64)
    block (result i64) i64.const 0x300000001 br 0 end
    call $other)
  (func (export "run") (param i32) (result i32)
    call $alone i64.const 32 i64.shr_u i32.wrap_i64))
