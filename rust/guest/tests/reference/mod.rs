//! A small, slow host that implements docs/guest.md, with a simulated clock.
//!
//! It shows that the interface can be implemented as the document says. It has no arena. The
//! real hosts run the same guests in their tests.
#![allow(dead_code, reason = "each suite uses another part of it")]

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use wasmi::{
    Caller, Config, Engine, Error, Extern, ExternType, FuncType, Instance, Linker, Memory, Module,
    Store, Val, ValType,
};
use wasmparser::{Operator, Parser, Payload};

/// The numbers of docs/guest.md.
pub(crate) const MESSAGE_BYTES: u32 = 256;
pub(crate) const LOG_BYTES: usize = 96;
pub(crate) const LOG_BURST: u32 = 16;
pub(crate) const LOG_PER_SECOND: i64 = 4;
pub(crate) const EMPTY: i32 = -1;
pub(crate) const FULL: i32 = -2;
pub(crate) const NO_INSTANCE: i32 = -3;
pub(crate) const TOO_LONG: i32 = -4;
const BADF: i32 = 8;
const INVAL: i32 = 28;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A committed guest, by its path in the repository.
pub(crate) fn guest(path: &str) -> Vec<u8> {
    let path = root().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reports a skipped test. `println` would not show it, because libtest hides the output of a
/// test that succeeds.
pub(crate) fn skip(what: &str) {
    let _ = writeln!(io::stderr(), "skipped: {what}");
}

/// The wait that a step asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    /// Whether it asked at all. `sleep(-1)` asks for a wait that nothing ends.
    asked: bool,
    until_us: Option<i64>,
    message: bool,
}

/// The state of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It can make a step now.
    Ready,
    /// It waits for what its wish names.
    Waits,
    /// `wramp_poll` returned 0.
    Done,
    /// A step failed for this reason.
    Failed(String),
}

/// What the host keeps for one instance.
struct Desk {
    queue: VecDeque<Vec<u8>>,
    /// Whether its module imports `receive`.
    receives: bool,
    place: Place,
    wish: Wish,
    lines_left: u32,
    lines_from_us: i64,
    dropped: u32,
    random: u64,
}

/// What all instances share.
#[derive(Default)]
struct World {
    now_us: i64,
    queue_messages: usize,
    desks: Vec<Desk>,
    lines: Vec<String>,
}

impl World {
    fn log(&mut self, id: usize, text: &[u8]) {
        let now = self.now_us;
        let desk = &mut self.desks[id];
        let earned = (now - desk.lines_from_us) * LOG_PER_SECOND / 1_000_000;
        if earned > 0 {
            desk.lines_from_us += earned * 1_000_000 / LOG_PER_SECOND;
            desk.lines_left = LOG_BURST.min(desk.lines_left.saturating_add(earned as u32));
        }
        if desk.lines_left == 0 {
            desk.dropped += 1;
            return;
        }
        desk.lines_left -= 1;
        if desk.dropped > 0 {
            self.lines.push(format!("guest {id}: ({} lines dropped)", desk.dropped));
            desk.dropped = 0;
        }
        self.lines.push(format!("guest {id}: {}", printable(text)));
    }

    fn send(&mut self, to: i32, message: &[u8]) -> i32 {
        let room = self.queue_messages;
        let desk = usize::try_from(to).ok().and_then(|to| self.desks.get_mut(to));
        match desk {
            None => NO_INSTANCE,
            Some(desk) if matches!(desk.place, Place::Done | Place::Failed(_)) => NO_INSTANCE,
            Some(desk) if desk.queue.len() >= room || !desk.receives => FULL,
            Some(desk) => {
                desk.queue.push_back(message.to_vec());
                0
            }
        }
    }
}

/// A guest's text as the log prints it.
fn printable(text: &[u8]) -> String {
    let text = &text[..text.len().min(LOG_BYTES)];
    let mut line = String::new();
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            line.push(match letter {
                '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => '?',
                ' ' if line.ends_with("wramp") => '_',
                letter if letter.is_control() => '?',
                letter => letter,
            });
        }
        line.extend(chunk.invalid().iter().map(|_| '?'));
    }
    line
}

/// The data of one instance's store, which every call into the host sees.
struct Seat {
    id: usize,
    world: Rc<RefCell<World>>,
    memory: Option<Memory>,
}

/// The error that ends a step which calls `proc_exit`.
#[derive(Debug)]
struct Exit(i32);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl wasmi::errors::HostError for Exit {}

/// What a guest may do, and which imports are stubs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leave<'a> {
    pub(crate) allow: &'a [&'a str],
    pub(crate) stub: &'a [&'a str],
}

/// All three capabilities.
pub(crate) const ALL: Leave<'static> = Leave { allow: &["log", "send", "receive"], stub: &[] };

struct Running {
    store: Store<Seat>,
    instance: Instance,
    module: Module,
    export: String,
    /// Whether WAMR would cut the memory at `__heap_base`.
    is_cut: bool,
    steps: u32,
    values: Vec<i64>,
}

/// Whether a module neither grows its memory nor asks for its size.
fn is_cut(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).all(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => !body
            .get_operators_reader()
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .any(|op| matches!(op, Operator::MemoryGrow { .. } | Operator::MemorySize { .. })),
        _ => true,
    })
}

/// A host with any number of instances.
pub(crate) struct Host {
    engine: Engine,
    world: Rc<RefCell<World>>,
    running: Vec<Option<Running>>,
    /// The instance whose turn is next.
    next: usize,
}

impl Host {
    /// A host whose queues hold `queue_messages` messages each.
    pub(crate) fn new(queue_messages: usize) -> Self {
        let world = World { queue_messages, ..World::default() };
        let mut config = Config::default();
        config.consume_fuel(true);
        Self {
            engine: Engine::new(&config),
            world: Rc::new(RefCell::new(world)),
            running: Vec::new(),
            next: 0,
        }
    }

    fn desk(&mut self) -> usize {
        let mut world = self.world.borrow_mut();
        let id = world.desks.len();
        let lines_from_us = world.now_us;
        world.desks.push(Desk {
            queue: VecDeque::new(),
            receives: true,
            place: Place::Ready,
            wish: Wish::default(),
            lines_left: LOG_BURST,
            lines_from_us,
            dropped: 0,
            random: id as u64,
        });
        id
    }

    /// Adds an instance whose part the test plays: it has a queue and makes no step.
    pub(crate) fn player(&mut self) -> usize {
        let id = self.desk();
        self.world.borrow_mut().desks[id].place = Place::Waits;
        self.running.push(None);
        id
    }

    /// Loads a module and starts one instance, or returns all reasons to refuse it.
    pub(crate) fn start(&mut self, wasm: &[u8], leave: &Leave<'_>) -> Result<usize, Vec<String>> {
        self.start_at(wasm, leave, None)
    }

    /// Does the same, with steps into that export.
    pub(crate) fn start_at(
        &mut self,
        wasm: &[u8],
        leave: &Leave<'_>,
        export: Option<&str>,
    ) -> Result<usize, Vec<String>> {
        let module = Module::new(&self.engine, wasm).map_err(|e| vec![e.to_string()])?;
        let linker = linker(&self.engine, &module, leave)?;
        let exports: BTreeSet<_> = module.exports().map(|export| export.name()).collect();
        let export = export
            .or(["wramp_poll", "run", "_start"].into_iter().find(|name| exports.contains(name)));
        let Some(export) = export.map(str::to_owned) else {
            return Err(vec![format!("none of wramp_poll, run, _start among {exports:?}")]);
        };
        let id = self.desk();
        self.world.borrow_mut().desks[id].receives =
            module.imports().any(|import| (import.module(), import.name()) == ("wramp", "receive"));
        let mut running = self.instantiate(&linker, module, id, export).map_err(|e| vec![e])?;
        running.is_cut = is_cut(wasm);
        self.running.push(Some(running));
        Ok(id)
    }

    fn instantiate(
        &self,
        linker: &Linker<Seat>,
        module: Module,
        id: usize,
        export: String,
    ) -> Result<Running, String> {
        let seat = Seat { id, world: Rc::clone(&self.world), memory: None };
        let mut store = Store::new(&self.engine, seat);
        store.set_fuel(u64::MAX).map_err(|error| error.to_string())?;
        let instance =
            linker.instantiate_and_start(&mut store, &module).map_err(|error| error.to_string())?;
        if let Some(Extern::Memory(memory)) = instance.get_export(&store, "memory") {
            store.data_mut().memory = Some(memory);
        }
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
            initialize.call(&mut store, ()).map_err(|error| error.to_string())?;
        }
        Ok(Running { store, instance, module, export, is_cut: false, steps: 0, values: Vec::new() })
    }

    /// Sends a message to an instance.
    pub(crate) fn send(&mut self, to: usize, message: &[u8]) -> i32 {
        self.world.borrow_mut().send(to as i32, message)
    }

    /// Takes a message from an instance's queue, as the instance itself would.
    pub(crate) fn take(&mut self, id: usize) -> Option<Vec<u8>> {
        self.world.borrow_mut().desks[id].queue.pop_front()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.world.borrow().lines.clone()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.world.borrow().now_us
    }

    pub(crate) fn place(&self, id: usize) -> Place {
        self.world.borrow().desks[id].place.clone()
    }

    pub(crate) fn steps(&self, id: usize) -> u32 {
        self.running[id].as_ref().map_or(0, |running| running.steps)
    }

    pub(crate) fn values(&self, id: usize) -> Vec<i64> {
        self.running[id].as_ref().map(|running| running.values.clone()).unwrap_or_default()
    }

    /// Whether an instance can make a step now.
    fn is_due(&self, id: usize) -> bool {
        let world = self.world.borrow();
        let desk = &world.desks[id];
        match desk.place {
            Place::Ready => true,
            Place::Waits => {
                (desk.wish.message && !desk.queue.is_empty())
                    || desk.wish.until_us.is_some_and(|until| until <= world.now_us)
            }
            Place::Done | Place::Failed(_) => false,
        }
    }

    /// Makes at most `steps` steps. When all instances wait, moves the clock forward. Returns the
    /// number of steps made, which is smaller if nothing can happen any more.
    pub(crate) fn run(&mut self, steps: u32) -> u32 {
        for made in 0..steps {
            let count = self.running.len();
            let due = (0..count)
                .map(|ahead| (self.next + ahead) % count)
                .find(|&id| self.running[id].is_some() && self.is_due(id));
            let id = match due {
                Some(id) => id,
                None => {
                    let mut world = self.world.borrow_mut();
                    let next = (0..count)
                        .filter(|&id| self.running[id].is_some())
                        .filter(|&id| world.desks[id].place == Place::Waits)
                        .filter_map(|id| Some((world.desks[id].wish.until_us?, id)))
                        .min();
                    let Some((until, id)) = next else { return made };
                    world.now_us = until;
                    id
                }
            };
            self.next = id + 1;
            self.step(id);
        }
        steps
    }

    /// Makes a step of an instance that must not be called any more.
    pub(crate) fn step_again(&mut self, id: usize) {
        self.step(id);
    }

    fn step(&mut self, id: usize) {
        self.world.borrow_mut().desks[id].wish = Wish::default();
        let mut running = self.running[id].take().unwrap();
        let is_task = running.export == "wramp_poll";
        if running.export == "_start" && running.steps > 0 {
            let linker = linker(&self.engine, &running.module, &ALL).unwrap();
            let module = running.module.clone();
            let fresh = self.instantiate(&linker, module, id, running.export.clone()).unwrap();
            running = Running { steps: running.steps, values: running.values, ..fresh };
        }
        running.steps += 1;
        let export = running.instance.get_func(&running.store, &running.export).unwrap();
        let ty = export.ty(&running.store);
        let arguments = vec![Val::I32(id as i32); ty.params().len()];
        let mut results: Vec<Val> = ty.results().iter().map(|_| Val::I32(0)).collect();
        let outcome = export.call(&mut running.store, &arguments, &mut results);
        let outcome = match outcome {
            Err(error) => match error.downcast_ref::<Exit>() {
                Some(Exit(0)) => Ok(0),
                _ => Err(error.to_string()),
            },
            Ok(()) => Ok(match results.first() {
                Some(Val::I32(value)) => i64::from(*value),
                Some(Val::I64(value)) => *value,
                _ => 0,
            }),
        };
        running.check_memory_above_heap_base();
        if let Ok(value) = outcome {
            running.values.push(value);
        }
        self.running[id] = Some(running);
        let mut world = self.world.borrow_mut();
        let desk = &mut world.desks[id];
        let waits = if desk.wish.asked { Place::Waits } else { Place::Ready };
        desk.place = match outcome {
            Err(error) => Place::Failed(error),
            Ok(_) if !is_task => waits,
            Ok(0) => Place::Done,
            Ok(1) => {
                desk.wish.message |= !desk.wish.asked;
                Place::Waits
            }
            Ok(other) => Place::Failed(format!("wramp_poll gave {other}: 0 is done, 1 is wait")),
        };
        if matches!(desk.place, Place::Done | Place::Failed(_)) {
            desk.queue.clear();
        }
    }
}

impl Running {
    /// WAMR gives an instance `__heap_base` bytes, and wasmi gives it whole pages. A guest that
    /// writes beyond `__heap_base` would trap in WAMR, so this check must find it.
    fn check_memory_above_heap_base(&self) {
        let Some(memory) = self.store.data().memory else { return };
        let Some(Extern::Global(base)) = self.instance.get_export(&self.store, "__heap_base")
        else {
            return;
        };
        let Val::I32(base) = base.get(&self.store) else { panic!("__heap_base is no i32") };
        if !self.is_cut {
            return;
        }
        let above = &memory.data(&self.store)[base as usize..];
        assert!(above.iter().all(|&byte| byte == 0), "memory above __heap_base was written");
    }
}

/// The bytes that a guest's pointer refers to. All checks of such pointers are here.
fn slice<'c>(
    caller: &'c mut Caller<'_, Seat>,
    name: &str,
    address: u32,
    length: u32,
) -> Result<&'c mut [u8], Error> {
    let memory = caller.data().memory.or(match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Some(memory),
        _ => None,
    });
    let data = memory.map_or(&mut [][..], |memory| memory.data_mut(caller));
    let size = data.len();
    // `usize` has 64 bits here, so the sum does not overflow.
    data.get_mut(address as usize..address as usize + length as usize).ok_or_else(|| {
        Error::new(format!("{name}: {length} bytes at {address} are beyond {size} bytes of memory"))
    })
}

fn number(caller: &mut Caller<'_, Seat>, name: &str, address: u32) -> Result<u32, Error> {
    let bytes = slice(caller, name, address, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn put(caller: &mut Caller<'_, Seat>, name: &str, address: u32, value: &[u8]) -> Result<(), Error> {
    slice(caller, name, address, value.len() as u32)?.copy_from_slice(value);
    Ok(())
}

fn wish(caller: &mut Caller<'_, Seat>, ms: i32, message: bool) {
    let seat = caller.data();
    let mut world = seat.world.borrow_mut();
    let until = world.now_us + i64::from(ms.cast_unsigned()) * 1_000;
    let wish = &mut world.desks[seat.id].wish;
    wish.asked = true;
    wish.message |= message;
    if ms != -1 {
        wish.until_us = Some(wish.until_us.map_or(until, |other| other.min(until)));
    }
}

/// A function that can be imported.
struct Provided {
    module: &'static str,
    name: &'static str,
    /// The capability that it needs, or an empty string.
    needs: &'static str,
    ty: FuncType,
}

/// Defines every function that can be imported, and lists them.
fn provide(linker: &mut Linker<Seat>, scratch: &mut Store<Seat>) -> Vec<Provided> {
    type C<'c> = Caller<'c, Seat>;
    let mut all = Vec::new();
    macro_rules! provide {
        ($module:literal, $name:literal, $leave:literal, $function:expr) => {
            let function = $function;
            linker.func_wrap($module, $name, function).unwrap();
            let ty = wasmi::Func::wrap(&mut *scratch, function).ty(&*scratch);
            all.push(Provided { module: $module, name: $name, needs: $leave, ty });
        };
    }
    provide!("wramp", "log", "log", |mut c: C<'_>, text: u32, length: u32| -> Result<(), Error> {
        let text = slice(&mut c, "wramp.log", text, length)?.to_vec();
        let seat = c.data();
        seat.world.borrow_mut().log(seat.id, &text);
        Ok(())
    });
    provide!("wramp", "now_us", "", |c: C<'_>| -> i64 { c.data().world.borrow().now_us });
    provide!("wramp", "id", "", |c: C<'_>| -> i32 { c.data().id as i32 });
    provide!("wramp", "wait", "", |mut c: C<'_>, ms: i32| wish(&mut c, ms, true));
    provide!("wramp", "sleep", "", |mut c: C<'_>, ms: i32| wish(&mut c, ms, false));
    provide!("wramp", "send", "send", |mut c: C<'_>,
                                       to: i32,
                                       bytes: u32,
                                       length: u32|
     -> Result<i32, Error> {
        let message = slice(&mut c, "wramp.send", bytes, length)?;
        if length > MESSAGE_BYTES {
            return Ok(TOO_LONG);
        }
        let message = message.to_vec();
        Ok(c.data().world.borrow_mut().send(to, &message))
    });
    provide!("wramp", "receive", "receive", |mut c: C<'_>,
                                             bytes: u32,
                                             length: u32|
     -> Result<i32, Error> {
        slice(&mut c, "wramp.receive", bytes, length)?;
        let seat = c.data();
        let mut world = seat.world.borrow_mut();
        let queue = &mut world.desks[seat.id].queue;
        match queue.front() {
            None => return Ok(EMPTY),
            Some(message) if message.len() > length as usize => return Ok(TOO_LONG),
            Some(_) => {}
        }
        let message = queue.pop_front().unwrap();
        drop(world);
        put(&mut c, "wramp.receive", bytes, &message)?;
        Ok(message.len() as i32)
    });

    macro_rules! wasi {
        ($name:literal, $leave:literal, $function:expr) => {
            provide!("wasi_snapshot_preview1", $name, $leave, $function);
        };
    }
    wasi!("fd_write", "log", |mut c: C<'_>,
                              fd: i32,
                              list: u32,
                              count: u32,
                              written: u32|
     -> Result<i32, Error> {
        if fd != 1 && fd != 2 {
            return Ok(BADF);
        }
        let (name, mut text) = ("fd_write", Vec::new());
        let size = c.data().memory.map_or(0, |memory| memory.data_size(&c));
        for entry in 0..count {
            let at = list.wrapping_add(entry * 8);
            let bytes = number(&mut c, name, at)?;
            let length = number(&mut c, name, at.wrapping_add(4))?;
            text.extend_from_slice(slice(&mut c, name, bytes, length)?);
            if text.len() > size {
                return Ok(INVAL);
            }
        }
        put(&mut c, name, written, &(text.len() as u32).to_le_bytes())?;
        let seat = c.data();
        let lines = text.strip_suffix(b"\n").unwrap_or(&text);
        if !text.is_empty() {
            for line in lines.split(|&byte| byte == b'\n') {
                seat.world.borrow_mut().log(seat.id, line);
            }
        }
        Ok(0)
    });
    wasi!("proc_exit", "", |_: C<'_>, code: i32| -> Result<(), Error> {
        Err(Error::host(Exit(code)))
    });
    wasi!("clock_time_get", "", |mut c: C<'_>,
                                 clock: i32,
                                 _precision: i64,
                                 at: u32|
     -> Result<i32, Error> {
        if clock != 0 && clock != 1 {
            return Ok(INVAL);
        }
        let now_ns = c.data().world.borrow().now_us * 1_000;
        put(&mut c, "clock_time_get", at, &now_ns.to_le_bytes())?;
        Ok(0)
    });
    wasi!("clock_res_get", "", |mut c: C<'_>, clock: i32, at: u32| -> Result<i32, Error> {
        if clock != 0 && clock != 1 {
            return Ok(INVAL);
        }
        put(&mut c, "clock_res_get", at, &1_000_i64.to_le_bytes())?;
        Ok(0)
    });
    wasi!("random_get", "", |mut c: C<'_>, at: u32, length: u32| -> Result<i32, Error> {
        slice(&mut c, "random_get", at, length)?;
        let mut bytes = Vec::new();
        {
            let seat = c.data();
            let state = &mut seat.world.borrow_mut().desks[seat.id].random;
            while bytes.len() < length as usize {
                // SplitMix64.
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut word = *state;
                word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                bytes.extend((word ^ (word >> 31)).to_le_bytes());
            }
        }
        bytes.truncate(length as usize);
        put(&mut c, "random_get", at, &bytes)?;
        Ok(0)
    });
    let none = |mut c: C<'_>, count: u32, bytes: u32| -> Result<i32, Error> {
        put(&mut c, "sizes_get", count, &[0; 4])?;
        put(&mut c, "sizes_get", bytes, &[0; 4])?;
        Ok(0)
    };
    wasi!("args_sizes_get", "", none);
    wasi!("environ_sizes_get", "", none);
    wasi!("args_get", "", |_: C<'_>, _: u32, _: u32| 0);
    wasi!("environ_get", "", |_: C<'_>, _: u32, _: u32| 0);
    wasi!("fd_close", "", |_: C<'_>, _: i32| BADF);
    wasi!("fd_seek", "", |_: C<'_>, _: i32, _: i64, _: i32, _: u32| BADF);
    wasi!("fd_read", "", |_: C<'_>, _: i32, _: u32, _: u32, _: u32| BADF);
    wasi!("fd_fdstat_get", "", |_: C<'_>, _: i32, _: u32| BADF);
    wasi!("fd_prestat_get", "", |_: C<'_>, _: i32, _: u32| BADF);
    wasi!("fd_prestat_dir_name", "", |_: C<'_>, _: i32, _: u32, _: u32| BADF);
    wasi!("sched_yield", "", |_: C<'_>| 0);

    provide!("env", "abort", "", |_: C<'_>,
                                  _: u32,
                                  _: u32,
                                  line: i32,
                                  column: i32|
     -> Result<(), Error> {
        Err(Error::new(format!("abort at line {line}, column {column}")))
    });
    provide!("env", "clock_ms", "clock_ms", |c: C<'_>| -> i64 {
        c.data().world.borrow().now_us / 1_000
    });
    all
}

fn type_text(ty: &FuncType) -> String {
    let list = |types: &[ValType]| {
        types.iter().map(|ty| format!("{ty:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
    };
    format!("({}) -> ({})", list(ty.params()), list(ty.results()))
}

/// A linker with the module's imports, or all reasons to refuse them.
fn linker(
    engine: &Engine,
    module: &Module,
    leave: &Leave<'_>,
) -> Result<Linker<Seat>, Vec<String>> {
    let mut linker = Linker::new(engine);
    let seat = Seat { id: 0, world: Rc::new(RefCell::new(World::default())), memory: None };
    let provided = provide(&mut linker, &mut Store::new(engine, seat));
    let mut refused = Vec::new();
    for import in module.imports() {
        let (of, name) = (import.module(), import.name());
        let full = format!("{of}.{name}");
        let ExternType::Func(ty) = import.ty() else {
            refused.push(format!("{full}: only functions can be imported"));
            continue;
        };
        let known = provided.iter().find(|known| (known.module, known.name) == (of, name));
        if let Some(Provided { needs, ty: is, .. }) = known {
            if is != ty {
                refused.push(format!("{full}: is {}, not {}", type_text(is), type_text(ty)));
            } else if !needs.is_empty() && !leave.allow.contains(needs) {
                refused.push(format!("{full}: allow it with --allow {needs}"));
            }
        } else if !leave.stub.contains(&full.as_str()) {
            refused.push(format!("{full}: --stub {full}, or link it into the module"));
        } else if !ty.results().is_empty() {
            refused.push(format!("{full}: a stub has no result, this has {}", type_text(ty)));
        } else {
            linker.func_new(of, name, ty.clone(), |_, _, _| Ok(())).unwrap();
        }
    }
    if refused.is_empty() { Ok(linker) } else { Err(refused) }
}
