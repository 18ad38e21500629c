//! A parked instance goes on as if it had never been parked, and leaves nothing behind.

mod arena;

use proptest::prelude::*;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};
use wramp_core::state::{Malformed, Refused, Shape, Sink};
use wramp_park::{Buffer, Count};
use wramp_wamr::{Engine, Instance, Module, Stack};

const STACK: Bytes = Bytes(16_384);

fn load<'r>(engine: &'r Engine<'_>, text: &str) -> Module<'r> {
    engine.load(ModuleBytes::Borrowed(&wat::parse_str(text).unwrap())).unwrap()
}

fn instance<'m>(engine: &'m Engine<'_>, module: &'m Module<'_>) -> Instance<'m> {
    engine.instantiate(module, "run", Parameters::I32, STACK).unwrap()
}

fn parked<'a>(engine: &Engine<'a>, instance: &mut Instance<'a>) -> Vec<u8> {
    let mut bytes = vec![0; 300_000];
    let mut buffer = Buffer::new(&mut bytes);
    engine.park(instance, &mut buffer).unwrap();
    buffer.written().to_vec()
}

fn revive<'a>(
    engine: &Engine<'a>,
    instance: &mut Instance<'a>,
    record: &[u8],
) -> Result<(), Error> {
    engine.revive(instance, &mut &*record)
}

/// A guest with one of everything that a call can change. Bits 0 to 3 of the argument say what
/// a call does, the others with which value. It returns a digest of all of its state.
const EVERYTHING: &str = r#"(module
  (type $unary (func (param i32) (result i32)))
  (global $i (mut i32) (i32.const -7))
  (global $l (mut i64) (i64.const 0x123456789abcdef))
  (global $constant i32 (i32.const 5))
  (global $f (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -2.25))
  (global $r (mut funcref) (ref.func $one))
  (global $n (mut funcref) (ref.null func))
  (memory 1 2)
  (data (i32.const 100) "a text of forty bytes that lies in memory")
  (data (i32.const 90) "another one over it")
  (data $passive "passive bytes")
  (data $other "others")
  (table $t 6 9 funcref)
  (table $u 3 3 funcref)
  (elem (table $t) (i32.const 1) func $one $two)
  (elem (table $t) (i32.const 2) func $three)
  (elem $late funcref (ref.func $two) (ref.null func) (ref.func $one))
  (elem declare func $one $two $three)
  (start $begin)
  (func $begin
    (i32.store (i32.const 2000) (i32.const 77))
    (global.set $i (i32.const 99)))
  (func $one (type $unary) (i32.add (local.get 0) (i32.const 1)))
  (func $two (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $three (type $unary) (i32.xor (local.get 0) (i32.const 3)))
  (func $mix (param $hash i32) (param $word i32) (result i32)
    (i32.mul (i32.xor (local.get $hash) (local.get $word)) (i32.const 0x01000193)))
  (func $name (param $f funcref) (result i32)
    (if (ref.is_null (local.get $f)) (then (return (i32.const 0))))
    (table.set $u (i32.const 2) (local.get $f))
    (call_indirect $u (type $unary) (i32.const 41) (i32.const 2)))
  (func $digest (result i32)
    (local $hash i32) (local $at i32)
    (local.set $hash (i32.const 0x811c9dc5))
    (local.set $hash (call $mix (local.get $hash) (global.get $i)))
    (local.set $hash (call $mix (local.get $hash) (i32.wrap_i64 (global.get $l))))
    (local.set $hash (call $mix (local.get $hash) (i32.wrap_i64 (i64.shr_u (global.get $l) (i64.const 32)))))
    (local.set $hash (call $mix (local.get $hash) (i32.reinterpret_f32 (global.get $f))))
    (local.set $hash (call $mix (local.get $hash) (i32.wrap_i64 (i64.rotl (i64.reinterpret_f64 (global.get $d)) (i64.const 17)))))
    (local.set $hash (call $mix (local.get $hash) (call $name (global.get $r))))
    (local.set $hash (call $mix (local.get $hash) (call $name (global.get $n))))
    (local.set $hash (call $mix (local.get $hash) (memory.size)))
    (local.set $hash (call $mix (local.get $hash) (table.size $t)))
    (loop $words
      (local.set $hash (call $mix (local.get $hash) (i32.load (local.get $at))))
      (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 2048))))
    (local.set $at (i32.const 65504))
    (loop $words
      (local.set $hash (call $mix (local.get $hash) (i32.load (local.get $at))))
      (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 65536))))
    (if (i32.gt_u (memory.size) (i32.const 1)) (then
      (loop $words
        (local.set $hash (call $mix (local.get $hash) (i32.load (local.get $at))))
        (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 66600))))))
    (local.set $at (i32.const 0))
    (loop $elements
      (local.set $hash (call $mix (local.get $hash) (call $name (table.get $t (local.get $at)))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (table.size $t))))
    (local.get $hash))
  (func (export "run") (param $argument i32) (result i32)
    (local $v i32)
    (local.set $v (i32.shr_u (local.get $argument) (i32.const 4)))
    (block $done
    (block $15 (block $14 (block $13 (block $12 (block $11 (block $10 (block $9 (block $8
    (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
      (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $12 $13 $14 $15
        (i32.and (local.get $argument) (i32.const 15))))
      ;; 0
      (global.set $i (local.get $v)) (br $done))
      (global.set $l (i64.mul (i64.extend_i32_u (local.get $v)) (i64.const 0x9e3779b97f4a7c15))) (br $done))
      (global.set $f (f32.reinterpret_i32 (local.get $v))) (br $done))
      (global.set $d (f64.reinterpret_i64 (i64.mul (i64.extend_i32_u (local.get $v)) (i64.const 0x123456789)))) (br $done))
      (global.set $r (table.get $t (i32.rem_u (local.get $v) (table.size $t)))) (br $done))
      ;; 5
      (i32.store (i32.rem_u (local.get $v) (i32.const 2045)) (local.get $v)) (br $done))
      (drop (memory.grow (i32.const 1))) (br $done))
      (memory.fill (i32.and (local.get $v) (i32.const 1023)) (local.get $v) (i32.const 70)) (br $done))
      (memory.init $passive (i32.and (local.get $v) (i32.const 511)) (i32.const 3) (i32.const 7)) (br $done))
      (data.drop $passive) (br $done))
      ;; 10
      (table.set $t (i32.rem_u (local.get $v) (table.size $t)) (ref.func $three)) (br $done))
      (drop (table.grow $t (ref.func $two) (i32.const 1))) (br $done))
      (table.fill $t (i32.rem_u (local.get $v) (i32.const 5)) (ref.null func) (i32.const 1)) (br $done))
      (table.init $t $late (i32.rem_u (local.get $v) (i32.const 4)) (i32.const 1) (i32.const 2)) (br $done))
      (elem.drop $late) (br $done))
      ;; 15: the end of the memory, or a trap
      (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.and (local.get $v) (i32.const 7))) (i32.const 0x55aa55aa)))
    (call $digest)))"#;

#[test]
fn a_module_of_globals_alone_has_states_of_one_length() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let shape = |text: &str| engine.shape(&load(&engine, text)).unwrap();
        let run = "(func (export \"run\") (param i32) (result i32) (i32.const 0))";
        assert_eq!(shape(&format!("(module {run})")), Shape::Empty);
        let globals = "(global (mut i32) (i32.const 1)) (global (mut f64) (f64.const 1)) (global i64 (i64.const 3))";
        assert_eq!(
            shape(&format!("(module {globals} {run})")),
            Shape::Fixed(12.try_into().unwrap())
        );
        assert_eq!(shape(&format!("(module (memory 1) {run})")), Shape::Variable);
        assert_eq!(shape(EVERYTHING), Shape::Variable);
    });
}

#[test]
fn what_cannot_be_captured_is_named() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let run = "(func (export \"run\") (param i32) (result i32) (i32.const 0))";
        for (text, name) in [
            ("(table 1 externref)", "externref"),
            ("(global (mut externref) (ref.null extern))", "externref"),
        ] {
            let error =
                engine.shape(&load(&engine, &format!("(module {text} {run})"))).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotParkable);
            assert!(error.message.as_str().contains(name), "{error}");
        }
        // One that nobody can write does not matter.
        let constant = "(global externref (ref.null extern))";
        assert!(engine.shape(&load(&engine, &format!("(module {constant} {run})"))).is_ok());
    });
}

/// What one does with an instance.
#[derive(Clone, Copy, Debug)]
enum Step {
    Call(i32),
    /// Park it, and revive it in another live instance, in which another guest was before.
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let call = (0..16_i32, prop_oneof![0..64_i32, any::<i32>()]);
    prop_oneof![
        4 => call.prop_map(|(what, value)| Step::Call(what | value << 4)),
        1 => Just(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two guests share two live instances. Each goes on as one that was never parked.
    #[test]
    fn a_parked_instance_goes_on_as_if_it_had_never_been(
        ones in prop::collection::vec(step(), 1..60), others in prop::collection::vec(step(), 1..60),
    ) {
        arena::with(arena::ROOMY, || {
            let engine = Engine::new(&arena::TestArena).unwrap();
            let module = load(&engine, EVERYTHING);
            let mut live = [instance(&engine, &module), instance(&engine, &module)];
            let mut stack = engine.stack(&module, &live[0], STACK).unwrap();
            let fresh = live.each_mut().map(|live| parked(&engine, live));
            assert_eq!(fresh[0], fresh[1]);
            let mut records = fresh.clone();
            let mut expected: [Vec<_>; 2] = Default::default();
            for (steps, expected) in [&ones, &others].into_iter().zip(&mut expected) {
                let mut never_parked = instance(&engine, &module);
                for step in steps {
                    let Step::Call(argument) = step else { continue };
                    expected.push(engine.call(&mut stack, &mut never_parked, *argument, None));
                }
            }
            // In turns: each step of one between steps of the other, each in either instance.
            let mut home = [0, 1];
            let mut found: [Vec<_>; 2] = Default::default();
            for at in 0..ones.len().max(others.len()) {
                for (guest, steps) in [&ones, &others].into_iter().enumerate() {
                    match steps.get(at) {
                        Some(Step::Call(argument)) => {
                            let live = &mut live[home[guest]];
                            revive(&engine, live, &records[guest]).unwrap();
                            found[guest].push(engine.call(&mut stack, live, *argument, None));
                            records[guest] = parked(&engine, live);
                        }
                        Some(Step::Move) => home[guest] ^= 1,
                        None => {}
                    }
                }
            }
            assert_eq!(found, expected);
            // A new guest finds what the first one did.
            for live in &mut live {
                revive(&engine, live, &fresh[0]).unwrap();
                assert_eq!(parked(&engine, live), fresh[0]);
            }
        });
    }

    /// Whatever a record holds, it is refused or revived, and a reset makes all well.
    #[test]
    fn no_record_brings_an_engine_down(
        noise in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        arena::with(arena::ROOMY, || {
            let engine = Engine::new(&arena::TestArena).unwrap();
            let module = load(&engine, EVERYTHING);
            let mut live = instance(&engine, &module);
            let mut stack = engine.stack(&module, &live, STACK).unwrap();
            let fresh = parked(&engine, &mut live);
            revive(&engine, &mut live, &fresh).unwrap();
            for argument in [6, 5 | 300 << 4, 10 | 4 << 4, 11, 9] {
                engine.call(&mut stack, &mut live, argument, None).unwrap();
            }
            let good = parked(&engine, &mut live);
            let mut damaged = good.clone();
            for (at, byte) in damage {
                let at = at.index(damaged.len());
                damaged[at] ^= byte;
            }
            damaged.truncate(cut.index(damaged.len()) + 1);
            for record in [noise, damaged] {
                match revive(&engine, &mut live, &record) {
                    Ok(()) => drop(engine.call(&mut stack, &mut live, 0, None)),
                    Err(error) => prop_assert!(
                        matches!(error.kind, ErrorKind::ParkedState | ErrorKind::OutOfMemory), "{error:?}"
                    ),
                }
                engine.reset(&mut live);
            }
            revive(&engine, &mut live, &good).unwrap();
            prop_assert_eq!(parked(&engine, &mut live), good);
            Ok(())
        })?;
    }
}

/// Takes so many bytes, then refuses.
struct Short(usize);

impl Sink for Short {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(Refused::Budget)?;
        Ok(())
    }
}

#[test]
fn an_instance_is_blank_wherever_the_sink_refuses() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let module = load(&engine, EVERYTHING);
        let mut live = instance(&engine, &module);
        let mut stack = engine.stack(&module, &live, STACK).unwrap();
        let fresh = parked(&engine, &mut live);
        engine.reset(&mut live);
        let mut count = Count::default();
        engine.park(&mut live, &mut count).unwrap();
        let mut dirty = |live: &mut Instance<'_>| {
            revive(&engine, live, &fresh).unwrap();
            for argument in [0, 1 | 99 << 4, 6, 5 | 1500 << 4, 10, 11, 9, 14] {
                engine.call(&mut stack, live, argument, None).unwrap();
            }
        };
        dirty(&mut live);
        let whole = parked(&engine, &mut live).len();
        for room in 0..whole {
            dirty(&mut live);
            let refused = engine.park(&mut live, &mut Short(room));
            assert_eq!(refused, Err(Refused::Budget), "{room}");
            let mut blank = Count::default();
            assert_eq!(engine.park(&mut live, &mut blank), Ok(0), "{room}");
            assert_eq!(blank, count);
        }
    });
}

/// Writes a marker wherever a guest can, or looks for it wherever a guest can look. Its argument
/// says which, and how deep its calls go.
const HUNTER: &str = r#"(module
  (type $deep (func (param i32) (result i32)))
  (global $a (mut i32) (i32.const 0))
  (global $b (mut i64) (i64.const 0))
  (memory 1 3)
  (table 4 8 funcref)
  (func $planted (type $deep) (i32.const 0x5eed))
  (elem declare func $planted)
  ;; Locals and operands of the marker, then deeper.
  (func $plant (param $depth i32) (result i32)
    (local $x i32) (local $y i64) (local $z i32)
    (local.set $x (i32.const 0x4d41524b))
    (local.set $y (i64.const 0x4d41524b4d41524b))
    (local.set $z (i32.const 0x4d41524b))
    (if (i32.eqz (local.get $depth)) (then (return (i32.const 1))))
    (i32.const 0x4d41524b) (i32.const 0x4d41524b)
    (call $plant (i32.sub (local.get $depth) (i32.const 1)))
    (drop) (i32.xor)
    (i32.eq (local.get $x) (local.get $z)) (i32.add))
  ;; Locals that nobody set.
  (func $hunt (param $depth i32) (result i32)
    (local $x i32) (local $y i64) (local $z i32) (local $v i64) (local $w i32)
    (local $found i32)
    (local.set $found (i32.or (i32.or (local.get $x) (local.get $z))
      (i32.or (local.get $w) (i32.wrap_i64 (i64.or (local.get $y) (local.get $v))))))
    (if (local.get $depth) (then (local.set $found (i32.or (local.get $found)
      (call $hunt (i32.sub (local.get $depth) (i32.const 1)))))))
    (local.get $found))
  (func (export "run") (param $what i32) (result i32)
    (local $at i32) (local $found i32)
    (if (i32.lt_s (local.get $what) (i32.const 0)) (then
      ;; Plant, then trap if the argument is even.
      (global.set $a (i32.const 0x4d41524b))
      (global.set $b (i64.const 0x4d41524b4d41524b))
      (drop (memory.grow (i32.const 1)))
      (memory.fill (i32.const 0) (i32.const 0x4d) (i32.mul (memory.size) (i32.const 65536)))
      (drop (table.grow (ref.func $planted) (i32.const 2)))
      (table.fill (i32.const 0) (ref.func $planted) (table.size))
      (drop (call $plant (i32.const 20)))
      (if (i32.eqz (i32.and (local.get $what) (i32.const 1))) (then unreachable))
      (return (i32.const 1))))
    (local.set $found (i32.or (global.get $a) (i32.wrap_i64 (global.get $b))))
    (local.set $found (i32.or (local.get $found) (i32.ne (memory.size) (i32.const 1))))
    (local.set $found (i32.or (local.get $found) (i32.ne (table.size) (i32.const 4))))
    (drop (memory.grow (i32.const 1)))
    (drop (table.grow (ref.null func) (i32.const 2)))
    (loop $words
      (local.set $found (i32.or (local.get $found) (i32.load (local.get $at))))
      (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4)))
        (i32.mul (memory.size) (i32.const 65536)))))
    (local.set $at (i32.const 0))
    (loop $elements
      (local.set $found (i32.or (local.get $found) (i32.eqz (ref.is_null (table.get (local.get $at))))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (table.size))))
    (i32.or (local.get $found) (call $hunt (i32.const 20)))))"#;

#[test]
fn the_next_tenant_finds_no_marker() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let module = load(&engine, HUNTER);
        let mut live = instance(&engine, &module);
        let mut stack = engine.stack(&module, &live, STACK).unwrap();
        let fresh = parked(&engine, &mut live);
        let mut call =
            |live: &mut Instance<'_>, argument| engine.call(&mut stack, live, argument, None);
        // The hunt works: a planter finds its own marker.
        revive(&engine, &mut live, &fresh).unwrap();
        assert_eq!(call(&mut live, -1), Ok(1));
        assert_ne!(call(&mut live, 0), Ok(0));
        engine.reset(&mut live);
        for trap in [false, true] {
            for by_reset in [false, true] {
                revive(&engine, &mut live, &fresh).unwrap();
                let planted = call(&mut live, if trap { -2 } else { -1 });
                assert_eq!(planted.is_err(), trap);
                if by_reset {
                    engine.reset(&mut live);
                } else {
                    let record = parked(&engine, &mut live);
                    assert!(
                        record.windows(8).any(|bytes| bytes == [0x4b, 0x52, 0x41, 0x4d].repeat(2))
                    );
                }
                revive(&engine, &mut live, &fresh).unwrap();
                assert_eq!(call(&mut live, 0), Ok(0), "trap {trap}, reset {by_reset}");
                engine.reset(&mut live);
            }
        }
    });
}

/// Blank is as the segments say. What a start function did is part of the first state, whoever
/// calls the start function: WAMR, or wramp where it meters or links imports.
#[test]
fn a_start_function_is_part_of_the_first_state() {
    const STARTS: &str = r#"(module (memory 1) (data (i32.const 8) "\07")
      (global $g (mut i32) (i32.const 100)) (table $t 2 funcref) (elem declare func $start)
      (start $start)
      (func $start
        (global.set $g (i32.add (global.get $g) (i32.const 1000)))
        (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 10)))
        (table.set $t (i32.const 1) (ref.func $start)))
      (func (export "run") (param i32) (result i32)
        (i32.add (i32.add (global.get $g) (i32.load8_u (i32.const 8)))
          (i32.mul (i32.const 10000) (ref.is_null (table.get $t (i32.const 1)))))))"#;
    const BLANK: i32 = 100 + 7 + 10_000;
    const STARTED: i32 = 1_100 + 17;
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let module = load(&engine, STARTS);
        let mut live = instance(&engine, &module);
        let mut stack = engine.stack(&module, &live, STACK).unwrap();
        let mut call = |live: &mut Instance<'_>| engine.call(&mut stack, live, 0, None);
        assert_eq!(call(&mut live), Ok(STARTED));
        let fresh = parked(&engine, &mut live);
        assert_eq!(call(&mut live), Ok(BLANK));
        for _ in 0..2 {
            revive(&engine, &mut live, &fresh).unwrap();
            assert_eq!(call(&mut live), Ok(STARTED));
            assert_eq!(parked(&engine, &mut live), fresh);
            revive(&engine, &mut live, &fresh).unwrap();
            engine.reset(&mut live);
            assert_eq!(call(&mut live), Ok(BLANK));
        }
    });
}

/// What a call makes dirty is the difference of two records, in blocks of 32 bytes.
#[test]
fn dirty_bytes_are_known_from_two_records() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let module = load(&engine, EVERYTHING);
        let mut live = instance(&engine, &module);
        let mut stack = engine.stack(&module, &live, STACK).unwrap();
        let before = parked(&engine, &mut live);
        revive(&engine, &mut live, &before).unwrap();
        engine.call(&mut stack, &mut live, 5 | 1000 << 4, None).unwrap();
        let after = parked(&engine, &mut live);
        let changed = |one: &[u8], other: &[u8]| engine.changed(&module, &mut &*one, &mut &*other);
        assert_eq!(changed(&before, &after), Ok(Bytes(32)));
        assert_eq!(changed(&after, &after), Ok(Bytes(0)));
        assert_eq!(changed(&after, &[1]), Err(Malformed));
    });
}

#[test]
fn all_of_it_comes_back_to_the_arena() {
    arena::with(arena::ROOMY, || {
        let engine = Engine::new(&arena::TestArena).unwrap();
        let module = load(&engine, HUNTER);
        let before = arena::used();
        for _ in 0..3 {
            let mut live = instance(&engine, &module);
            let mut stack: Stack<'_> = engine.stack(&module, &live, STACK).unwrap();
            engine.call(&mut stack, &mut live, -1, None).unwrap();
            let record = parked(&engine, &mut live);
            revive(&engine, &mut live, &record).unwrap();
            engine.reset(&mut live);
        }
        assert_eq!(arena::used(), before);
    });
}
