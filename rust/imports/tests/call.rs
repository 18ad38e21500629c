//! Each function, called as an engine calls it, in a world of two instances.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use wramp_core::runtime::Message;
use wramp_imports::{
    EMPTY, FULL, Function, Guest, Line, MESSAGE_BYTES, NO_INSTANCE, TOO_LONG, World, call,
};

struct Test {
    now_us: Cell<u64>,
    guest: RefCell<Guest>,
    lines: RefCell<Vec<String>>,
    queue: RefCell<VecDeque<Vec<u8>>>,
}

const PAGE: u32 = 65_536;

impl World for Test {
    fn now_us(&self) -> u64 {
        self.now_us.get()
    }
    fn id(&self) -> u32 {
        3
    }
    fn with_guest<R>(&self, with: impl FnOnce(&mut Guest) -> R) -> R {
        with(&mut self.guest.borrow_mut())
    }
    fn say(&self, dropped: u32, line: &Line) {
        let mut lines = self.lines.borrow_mut();
        if dropped > 0 {
            lines.push(format!("({dropped} lines dropped)"));
        }
        lines.push(line.as_str().to_owned());
    }
    fn send(&self, to: u32, message: &[u8]) -> i32 {
        let mut queue = self.queue.borrow_mut();
        match to {
            3 if queue.len() < 2 => {
                queue.push_back(message.to_vec());
                0
            }
            3 => FULL,
            _ => NO_INSTANCE,
        }
    }
    fn receive(&self, to: &mut [u8]) -> i32 {
        let mut queue = self.queue.borrow_mut();
        match queue.front() {
            None => EMPTY,
            Some(first) if first.len() > to.len() => TOO_LONG,
            Some(first) => {
                to[..first.len()].copy_from_slice(first);
                queue.pop_front().map_or(0, |first| first.len() as i32)
            }
        }
    }
}

fn world() -> Test {
    Test {
        now_us: Cell::new(5_000),
        guest: RefCell::new(Guest::new(3, 0, 0)),
        lines: RefCell::default(),
        queue: RefCell::default(),
    }
}

/// A call, with arguments whose upper halves mean nothing.
fn does(
    world: &Test,
    memory: &mut [u8],
    function: Function,
    arguments: &[i64],
) -> Result<i32, Message> {
    let mut values: Vec<u64> =
        arguments.iter().map(|value| value.cast_unsigned() | 0xdead_beef << 32).collect();
    values.resize(values.len().max(1), 0xdead_beef_0000_0000);
    call(world, function, memory, &mut values)?;
    Ok(values[0] as u32 as i32)
}

fn trap(function: Function, arguments: &[i64]) -> String {
    let mut memory = vec![0; PAGE as usize];
    does(&world(), &mut memory, function, arguments).unwrap_err().to_string()
}

#[test]
fn a_pointer_beyond_memory_is_a_trap_before_any_other_refusal() {
    for (at, length) in [
        (65_536, 1),
        (65_535, 2),
        (65_281, 256),
        (0, 65_537),
        (1, 65_536),
        (-1, 0),
        (-1, 1),
        (-1, -1),
        (0, -1),
        (4, -4),
    ] {
        for (function, arguments) in [
            (Function::Log, vec![at, length]),
            (Function::Send, vec![3, at, length]),
            (Function::Send, vec![99, at, length]),
            (Function::Receive, vec![at, length]),
            (Function::RandomGet, vec![at, length]),
        ] {
            let said = trap(function, &arguments);
            assert!(said.ends_with("are beyond 65,536 bytes of memory"), "{function:?}: {said}");
        }
    }
    assert_eq!(
        trap(Function::Send, &[0, 65_528, 16]),
        "wramp.send: 16 bytes at 65,528 are beyond 65,536 bytes of memory"
    );
    for (function, arguments) in [
        (Function::ClockTimeGet, vec![0, 0, 65_529]),
        (Function::ClockResGet, vec![1, 65_529]),
        (Function::ArgsSizesGet, vec![65_533, 0]),
        (Function::EnvironSizesGet, vec![0, -1]),
        // The list, its entries' own bytes, and the place for the result.
        (Function::FdWrite, vec![1, 65_529, 1, 0]),
        (Function::FdWrite, vec![1, 0, 0x2000_0000, 0]),
        (Function::FdWrite, vec![1, 0, -1, 0]),
        (Function::FdWrite, vec![1, 0, 0, 65_533]),
    ] {
        assert!(trap(function, &arguments).contains("are beyond"), "{function:?}");
    }
}

#[test]
fn messages_of_all_lengths() {
    let mut memory = vec![7; PAGE as usize];
    let world = world();
    let mut send = |to, at, length| does(&world, &mut memory, Function::Send, &[to, at, length]);
    assert_eq!(send(3, 65_536, 0), Ok(0), "nothing, at the very end");
    assert_eq!(send(3, 65_280, MESSAGE_BYTES as i64), Ok(0));
    assert_eq!(send(3, 0, 1), Ok(FULL));
    assert_eq!(send(3, 0, 257), Ok(TOO_LONG));
    assert_eq!(send(3, 0, 65_536), Ok(TOO_LONG));
    for nobody in [4, -1, i64::from(i32::MIN)] {
        assert_eq!(send(nobody, 0, 1), Ok(NO_INSTANCE));
        assert_eq!(send(nobody, 0, 257), Ok(TOO_LONG), "the order of the checks");
    }
    let mut receive = |at, length| does(&world, &mut memory, Function::Receive, &[at, length]);
    assert_eq!(receive(65_536, 0), Ok(0));
    assert_eq!(receive(0, 255), Ok(TOO_LONG));
    assert_eq!(receive(0, 256), Ok(256));
    assert_eq!(receive(0, 256), Ok(EMPTY));
}

#[test]
fn clocks_and_the_number() {
    let (world, mut memory) = (world(), vec![0; 64]);
    let mut values = [0xffff_ffff_ffff_ffff];
    call(&world, Function::NowUs, &mut memory, &mut values).unwrap();
    assert_eq!(values, [5_000]);
    assert_eq!(does(&world, &mut memory, Function::Id, &[]), Ok(3));
    world.now_us.set((1 << 32) * 1000 + 7_000);
    assert_eq!(does(&world, &mut memory, Function::ClockMs, &[]), Ok(7));
    world.now_us.set(5_000);
    for clock in [0, 1] {
        assert_eq!(does(&world, &mut memory, Function::ClockTimeGet, &[clock, 1, 8]), Ok(0));
        assert_eq!(memory[8..16], 5_000_000_u64.to_le_bytes());
        assert_eq!(does(&world, &mut memory, Function::ClockResGet, &[clock, 16]), Ok(0));
        assert_eq!(memory[16..24], 1_000_u64.to_le_bytes());
    }
    assert_eq!(does(&world, &mut memory, Function::ClockTimeGet, &[2, 1, -1]), Ok(28));
    assert_eq!(does(&world, &mut memory, Function::ClockResGet, &[3, -1]), Ok(28));
}

#[test]
fn a_wish_is_kept_for_the_host() {
    let (world, mut memory) = (world(), vec![]);
    does(&world, &mut memory, Function::Sleep, &[20]).unwrap();
    let wish = world.guest.borrow().wish;
    assert_eq!((wish.asked, wish.until_us, wish.message), (true, Some(25_000), false));
    does(&world, &mut memory, Function::Wait, &[-1]).unwrap();
    let wish = world.guest.borrow().wish;
    assert_eq!((wish.until_us, wish.message), (Some(25_000), true));
    world.guest.borrow_mut().begin_step();
    assert!(!world.guest.borrow().wish.asked);
}

/// Memory with a list of pieces at 0, whose texts lie from 512 on.
fn pieces(texts: &[&[u8]]) -> Vec<u8> {
    let mut memory = vec![0; 4096];
    let mut at = 512_usize;
    for (piece, text) in texts.iter().enumerate() {
        memory[piece * 8..piece * 8 + 4].copy_from_slice(&(at as u32).to_le_bytes());
        memory[piece * 8 + 4..piece * 8 + 8].copy_from_slice(&(text.len() as u32).to_le_bytes());
        memory[at..at + text.len()].copy_from_slice(text);
        at += text.len();
    }
    memory
}

#[test]
fn what_a_program_prints_is_its_lines() {
    for (texts, lines) in [
        (&[&b"hello\n"[..]][..], &["hello"][..]),
        (&[b"hel", b"lo", b"\n"], &["hello"]),
        (&[b"a\nb"], &["a", "b"]),
        (&[b"a\n\nb\n"], &["a", "", "b"]),
        (&[b"\n"], &[""]),
        (&[b"", b"a\n", b"", b"b"], &["a", "b"]),
        (&[b""], &[]),
        (&[], &[]),
        (&[b"caf\xc3", b"\xa9\n"], &["caf\u{e9}"]),
    ] {
        for fd in [1, 2] {
            let (world, mut memory) = (world(), pieces(texts));
            let count = texts.len() as i64;
            assert_eq!(does(&world, &mut memory, Function::FdWrite, &[fd, 0, count, 400]), Ok(0));
            assert_eq!(*world.lines.borrow(), lines, "{texts:?}");
            let size: usize = texts.iter().map(|text| text.len()).sum();
            assert_eq!(memory[400..404], (size as u32).to_le_bytes());
        }
    }
    let (world, mut memory) = (world(), pieces(&[&b"x".repeat(300)]));
    does(&world, &mut memory, Function::FdWrite, &[1, 0, 1, 400]).unwrap();
    assert_eq!(*world.lines.borrow(), ["x".repeat(96)]);
    for fd in [0, 3, -1] {
        assert_eq!(does(&world, &mut memory, Function::FdWrite, &[fd, -1, -1, -1]), Ok(8));
    }
}

#[test]
fn pieces_over_each_other_are_refused_and_change_nothing() {
    let mut memory = vec![0; 4096];
    for piece in 0..400 {
        memory[piece * 8 + 4..piece * 8 + 8].copy_from_slice(&4096_u32.to_le_bytes());
    }
    let (world, before) = (world(), memory.clone());
    assert_eq!(does(&world, &mut memory, Function::FdWrite, &[1, 0, 400, 4000]), Ok(28));
    assert!(world.lines.borrow().is_empty() && memory == before);
}

#[test]
fn a_flood_is_counted_and_reported_as_written() {
    let world = world();
    for _ in 0..10 {
        let mut memory = pieces(&[b"1\n2\n3\n"]);
        assert_eq!(does(&world, &mut memory, Function::FdWrite, &[1, 0, 1, 400]), Ok(0));
        assert_eq!(memory[400..404], 6_u32.to_le_bytes());
    }
    assert_eq!(world.lines.borrow().len(), 16);
    world.now_us.set(1_000_000);
    does(&world, &mut pieces(&[b"4"]), Function::FdWrite, &[1, 0, 1, 400]).unwrap();
    assert_eq!(world.lines.borrow()[16..], ["(14 lines dropped)", "4"]);
}

#[test]
fn an_exit_ends_the_step_and_its_code_is_kept() {
    for code in [0, 1, -1, 42] {
        let world = world();
        let said = does(&world, &mut [], Function::ProcExit, &[code]).unwrap_err();
        assert_eq!(said.as_str(), format!("exit code {code}"));
        assert_eq!(world.guest.borrow().exit, Some(code as i32));
    }
    assert_eq!(trap(Function::Abort, &[-1, -1, 12, 3]), "abort at line 12, column 3");
}

#[test]
fn the_rest_of_wasi_is_honest() {
    let (world, mut memory) = (world(), vec![0x55; 64]);
    for function in [
        Function::FdClose,
        Function::FdSeek,
        Function::FdRead,
        Function::FdFdstatGet,
        Function::FdPrestatGet,
        Function::FdPrestatDirName,
    ] {
        for fd in [0, 1, 3] {
            assert_eq!(
                does(&world, &mut memory, function, &[fd, -1, -1, -1]),
                Ok(8),
                "{function:?}"
            );
        }
    }
    for function in [Function::ArgsGet, Function::EnvironGet, Function::SchedYield] {
        assert_eq!(does(&world, &mut memory, function, &[-1, -1]), Ok(0), "{function:?}");
    }
    assert!(memory.iter().all(|&byte| byte == 0x55));
    for function in [Function::ArgsSizesGet, Function::EnvironSizesGet] {
        memory.fill(0x55);
        assert_eq!(does(&world, &mut memory, function, &[0, 8]), Ok(0));
        assert_eq!(memory[..12], [0, 0, 0, 0, 0x55, 0x55, 0x55, 0x55, 0, 0, 0, 0]);
    }
}

/// CoreMark imports it so (wasm3/wasm-coremark). It does not go round after 49 days.
#[test]
fn the_milliseconds_of_a_benchmark_have_64_bits() {
    let wasm = wat::parse_str(r#"(module (import "env" "clock_ms" (func (result i64))))"#).unwrap();
    let grants = wramp_imports::Grants::NONE.allow(wramp_imports::Capability::ClockMs);
    assert_eq!(wramp_imports::missing(&wasm, &grants).count(), 0);
}
