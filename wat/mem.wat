;; mem: a KiB written and read back, a byte at a time, in a whole page
;;
;; stresses: loads, stores, their bounds checks; 64 KiB of arena an instance
;; export:   run () -> i32
;; memory:   65536 bytes
;; expects:  0xa8a58000 from every call
;;
;; A call makes 100 passes. A pass fills the first 1,024 bytes with
;; (address + pass), from the top down, and reads them back in the same order:
;; checksum * 31 + byte. It uses only 1 KiB of the page but costs the whole
;; page, because nothing here tells an engine that it may allocate less.
(module
  (memory (export "memory") 1 1)

  (func (export "run") (result i32)
    (local $pass i32)
    (local $address i32)
    (local $checksum i32)
    (loop $again
      (local.set $address (i32.const 1024))
      (loop $write
        (i32.store8
          (local.tee $address (i32.sub (local.get $address) (i32.const 1)))
          (i32.add (local.get $address) (local.get $pass)))
        (br_if $write (local.get $address)))

      (local.set $address (i32.const 1024))
      (loop $read
        (local.set $checksum
          (i32.add
            (i32.mul (local.get $checksum) (i32.const 31))
            (i32.load8_u
              (local.tee $address
                (i32.sub (local.get $address) (i32.const 1))))))
        (br_if $read (local.get $address)))

      (br_if $again
        (i32.lt_u
          (local.tee $pass (i32.add (local.get $pass) (i32.const 1)))
          (i32.const 100))))
    (local.get $checksum)))
