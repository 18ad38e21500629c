//! The functions themselves.

use wramp_core::runtime::Message;

use crate::guest::{Guest, Spoken};
use crate::memory::Memory;
use crate::provided::Function;
use crate::text::{LOG_BYTES, Line};
use crate::{MESSAGE_BYTES, TOO_LONG};

/// WASI's error numbers.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;

/// What a call needs of the host, for the instance that calls.
pub trait World {
    /// Microseconds since a moment before the run. It never goes back.
    fn now_us(&self) -> u64;

    /// The instance's number.
    fn id(&self) -> u32;

    /// Lends what the host keeps of the instance. `with` is short and calls nothing else.
    fn with_guest<R>(&self, with: impl FnOnce(&mut Guest) -> R) -> R;

    /// Prints a line of the instance, and before it that so many lines were dropped, if any.
    fn say(&self, dropped: u32, line: &Line);

    /// Puts a message of at most [`MESSAGE_BYTES`] into the queue of an instance. Returns
    /// [`OK`](crate::OK), [`FULL`](crate::FULL) or [`NO_INSTANCE`](crate::NO_INSTANCE).
    fn send(&self, to: u32, message: &[u8]) -> i32;

    /// Takes the instance's next message. Returns its length, [`EMPTY`](crate::EMPTY) or
    /// [`TOO_LONG`].
    fn receive(&self, to: &mut [u8]) -> i32;
}

/// Makes the call of a guest. See [`Host::call`](wramp_core::host::Host::call).
///
/// # Errors
/// The text of a trap.
pub fn call(
    world: &impl World,
    function: Function,
    memory: &mut [u8],
    values: &mut [u64],
) -> Result<(), Message> {
    // An engine passes as many as the function's type has. A missing one reads as 0.
    let word = |at: usize| values.get(at).map_or(0, |&value| value as u32);
    let signed = |at: usize| word(at).cast_signed();
    let result = match function {
        Function::Log => {
            let mut memory = Memory::new("wramp.log", memory);
            log(world, memory.slice(word(0), word(1))?);
            return Ok(());
        }
        Function::NowUs => return give(values, world.now_us()),
        Function::Id => world.id().cast_signed(),
        Function::Send => {
            let (to, at, length) = (word(0), word(1), word(2));
            let mut memory = Memory::new("wramp.send", memory);
            match memory.slice(at, length)? {
                message if message.len() <= MESSAGE_BYTES => world.send(to, message),
                _ => TOO_LONG,
            }
        }
        Function::Receive => {
            let mut memory = Memory::new("wramp.receive", memory);
            world.receive(memory.slice(word(0), word(1))?)
        }
        Function::Wait | Function::Sleep => {
            let (ms, now_us) = (word(0), world.now_us());
            let message = function == Function::Wait;
            world.with_guest(|guest| guest.wish.add(ms, now_us, message));
            return Ok(());
        }

        Function::FdWrite => {
            let memory = Memory::new("fd_write", memory);
            fd_write(world, memory, signed(0), word(1), word(2), word(3))?
        }
        Function::ProcExit => {
            let code = signed(0);
            world.with_guest(|guest| guest.exit = Some(code));
            return Err(exit(code));
        }
        Function::ClockTimeGet => match signed(0) {
            0 | 1 => {
                let now_ns = world.now_us().saturating_mul(1000);
                Memory::new("clock_time_get", memory).put(word(2), now_ns.to_le_bytes())?;
                SUCCESS
            }
            _ => INVAL,
        },
        Function::ClockResGet => match signed(0) {
            0 | 1 => {
                Memory::new("clock_res_get", memory).put(word(1), 1000_u64.to_le_bytes())?;
                SUCCESS
            }
            _ => INVAL,
        },
        Function::RandomGet => {
            let mut memory = Memory::new("random_get", memory);
            let bytes = memory.slice(word(0), word(1))?;
            world.with_guest(|guest| guest.fill(bytes));
            SUCCESS
        }
        Function::ArgsSizesGet | Function::EnvironSizesGet => {
            let name = match function {
                Function::ArgsSizesGet => "args_sizes_get",
                _ => "environ_sizes_get",
            };
            let mut memory = Memory::new(name, memory);
            memory.put(word(0), [0; 4])?;
            memory.put(word(1), [0; 4])?;
            SUCCESS
        }
        Function::ArgsGet | Function::EnvironGet | Function::SchedYield => SUCCESS,
        Function::FdClose
        | Function::FdSeek
        | Function::FdRead
        | Function::FdFdstatGet
        | Function::FdPrestatGet
        | Function::FdPrestatDirName => BADF,

        Function::Abort => return Err(abort(word(2), word(3))),
        Function::ClockMs => return give(values, world.now_us() / 1000),
        Function::Stub => return Ok(()),
    };
    give(values, u64::from(result.cast_unsigned()))
}

fn give(values: &mut [u64], result: u64) -> Result<(), Message> {
    if let Some(first) = values.first_mut() {
        *first = result;
    }
    Ok(())
}

#[cold]
fn exit(code: i32) -> Message {
    Message::format(format_args!("exit code {code}"))
}

#[cold]
fn abort(line: u32, column: u32) -> Message {
    Message::format(format_args!("abort at line {line}, column {column}"))
}

/// Writes one line of the instance.
fn log(world: &impl World, text: &[u8]) {
    let now_us = world.now_us();
    if let Spoken::Now { dropped } = world.with_guest(|guest| guest.speak(now_us)) {
        world.say(dropped, &Line::new(text));
    }
}

/// The text of WASI's list of pieces goes to the log, line by line. A line may lie in several
/// pieces.
fn fd_write(
    world: &impl World,
    mut memory: Memory<'_>,
    fd: i32,
    list: u32,
    count: u32,
    written: u32,
) -> Result<i32, Message> {
    if fd != 1 && fd != 2 {
        return Ok(BADF);
    }
    memory.slice(list, count.saturating_mul(8))?;
    memory.slice(written, 4)?;
    let mut size = 0_u64;
    for piece in 0..count {
        let (at, length) = entry(&mut memory, list, piece)?;
        memory.slice(at, length)?;
        size += u64::from(length);
    }
    // Pieces that lie over each other could have any size, and cost the host any time.
    let (Ok(total), true) = (u32::try_from(size), size <= memory.size() as u64) else {
        return Ok(INVAL);
    };
    let mut text = Text { line: [0; LOG_BYTES], length: 0, begun: false };
    for piece in 0..count {
        let (at, length) = entry(&mut memory, list, piece)?;
        let bytes = memory.slice(at, length)?;
        let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            text.add(part);
            if lines.peek().is_some() {
                text.end(world);
            }
        }
    }
    if text.begun {
        text.end(world);
    }
    memory.put(written, total.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Address and length of a piece.
fn entry(memory: &mut Memory<'_>, list: u32, piece: u32) -> Result<(u32, u32), Message> {
    // The whole list lies in the memory, so nothing overflows.
    let at = list.wrapping_add(piece.wrapping_mul(8));
    Ok((memory.number(at)?, memory.number(at.wrapping_add(4))?))
}

/// The beginning of a line, as far as it will be printed.
struct Text {
    line: [u8; LOG_BYTES],
    length: usize,
    begun: bool,
}

impl Text {
    fn add(&mut self, part: &[u8]) {
        let room = &mut self.line[self.length..];
        let fits = part.len().min(room.len());
        room[..fits].copy_from_slice(&part[..fits]);
        self.length += fits;
        self.begun |= !part.is_empty();
    }

    fn end(&mut self, world: &impl World) {
        log(world, &self.line[..self.length]);
        (self.length, self.begun) = (0, false);
    }
}
