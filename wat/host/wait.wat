;; wait: a guest that waits a second, again and again, and does nothing else
;;
;; It shows what an instance costs that only waits: its bytes, no worker, next to
;; no CPU. `west wramp run -b mps2/an385 waiting` runs a hundred of them.
(module
  (import "wramp" "sleep" (func $sleep (param i32)))

  ;; 1 asks the host to call this again when the wait ends.
  (func (export "wramp_poll") (result i32)
    (call $sleep (i32.const 1000))
    (i32.const 1)))
