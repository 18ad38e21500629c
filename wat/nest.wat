;; nest: 40 blocks inside one another, left at another depth each round
;;
;; stresses: what an engine knows about where blocks end
;; export:   run () -> i32
;; memory:   0 bytes
;; expects:  0x49855554 from every call
;;
;; A call makes 40 rounds. Round r enters all blocks. With one branch it leaves
;; blocks 0 to r, counted from the innermost. After the end of each block d,
;; from r outwards, it computes hash * 31 + d. Some interpreters search for the
;; end of a block and cache a few ends. This module has more than a few.
(module
  (func (export "run") (result i32)
    (local $round i32)
    (local $hash i32)
    (loop $next
      block block block block block block block block block block block
      block block block block block block block block block block block
      block block block block block block block block block block block
      block block block block block block block
      (br_table 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22
        23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
        (local.get $round))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 0)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 1)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 2)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 3)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 4)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 5)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 6)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 7)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 8)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 9)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 10)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 11)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 12)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 13)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 14)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 15)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 16)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 17)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 18)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 19)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 20)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 21)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 22)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 23)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 24)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 25)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 26)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 27)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 28)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 29)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 30)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 31)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 32)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 33)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 34)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 35)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 36)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 37)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 38)))
      end
      (local.set $hash
        (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.const 39)))
      (br_if $next
        (i32.lt_u
          (local.tee $round (i32.add (local.get $round) (i32.const 1)))
          (i32.const 40))))
    (local.get $hash)))
