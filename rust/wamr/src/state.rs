//! An instance's state: written into a sink, read back, and made blank.
//!
//! A record is these parts in this order: the mutable globals; the memory as its difference from
//! the data segments; each table as its difference from the element segments; a bit for each
//! segment that code can drop. Each part says where it ends.
//!
//! Nothing of the engine's own is a state. The text of an exception is forgotten. A budget of
//! instructions is set anew before each call. The interpreter's stack belongs to a worker.

use core::slice;

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind};
use wramp_core::state::{Malformed, Refused, Shape, Sink, Source};
use wramp_park::{BLOCK, Image, NUMBER, Segment, Segments, put_number, read_number};
use wramp_wamr_sys as sys;

use crate::failure;
use crate::instance::Instance;
use crate::module::Module;

/// What keeps an instance from being parked, in the order of src/wamr_parts.c.
const UNPARKABLE: [&str; 8] = [
    "an imported memory",
    "an imported table",
    "an imported global",
    "more than one memory",
    "a shared memory",
    "a memory of 64-bit addresses",
    "externref: a reference to the host's objects",
    "a table of 64-bit indices",
];

/// An element of a table that names no function. WAMR compares 32 bits.
const NO_FUNCTION: u32 = u32::MAX;

/// See [`Runtime::shape`](wramp_core::runtime::Runtime::shape).
pub(crate) fn shape(module: &Module<'_>) -> Result<Shape, Error> {
    // SAFETY: the module is loaded, and of bytecode (nothing else is ever loaded). Nobody writes
    // a loaded module.
    let feature = unsafe { sys::wramp_wamr_unparkable(module.handle().as_ptr()) };
    if let Some(name) = (feature as usize).checked_sub(1).and_then(|n| UNPARKABLE.get(n)) {
        return Err(failure::error(
            ErrorKind::NotParkable,
            format_args!("the module uses {name}, which cannot be parked"),
        ));
    }
    let shape = raw_shape(module);
    if shape.memories + shape.tables > 0 {
        return Ok(Shape::Variable);
    }
    let bits = shape.passive_data + shape.passive_elements;
    let bytes = shape.global_bytes as usize + bits.div_ceil(8) as usize;
    Ok(core::num::NonZeroUsize::new(bytes).map_or(Shape::Empty, Shape::Fixed))
}

fn raw_shape(module: &Module<'_>) -> sys::Shape {
    let mut shape = sys::Shape::default();
    // SAFETY: as in `shape`. `shape` is of the layout that the C has.
    unsafe { sys::wramp_wamr_shape(module.handle().as_ptr(), &raw mut shape) };
    shape
}

/// See [`Runtime::changed`](wramp_core::runtime::Runtime::changed).
pub(crate) fn changed(
    module: &Module<'_>,
    before: &mut dyn Source,
    after: &mut dyn Source,
) -> Result<Bytes, Malformed> {
    let shape = raw_shape(module);
    if shape.memories == 0 {
        return Ok(Bytes(0));
    }
    before.advance(shape.global_bytes as usize);
    after.advance(shape.global_bytes as usize);
    let blocks = wramp_park::changed(before, after)?;
    Ok(Bytes(blocks.saturating_mul(BLOCK as u32)))
}

/// See [`Runtime::park`](wramp_core::runtime::Runtime::park).
pub(crate) fn park(instance: &mut Instance<'_>, to: &mut dyn Sink) -> Result<u32, Refused> {
    let mut gate = Gate { sink: to, refused: None };
    let dirty = blank(instance, &mut gate);
    gate.refused.map_or(Ok(dirty), Err)
}

/// See [`Runtime::reset`](wramp_core::runtime::Runtime::reset).
pub(crate) fn reset(instance: &mut Instance<'_>) {
    let mut nowhere = Gate { sink: &mut Nowhere, refused: Some(Refused::Unknown) };
    blank(instance, &mut nowhere);
}

/// A sink that refuses everything from its first refusal on. What makes an instance blank can
/// thus go on to its end.
struct Gate<'s> {
    sink: &'s mut dyn Sink,
    refused: Option<Refused>,
}

impl Sink for Gate<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.refused.is_none() {
            self.refused = self.sink.put(bytes).err();
        }
        self.refused.map_or(Ok(()), Err)
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: &[u8]) -> Result<(), Refused> {
        Err(Refused::Unknown)
    }
}

/// Puts the state into `gate`, which keeps its refusal, and makes the instance blank. Returns
/// the blocks of memory that differed, if the gate took them.
fn blank(instance: &mut Instance<'_>, gate: &mut Gate<'_>) -> u32 {
    let pieces = pieces(instance);
    let mut index = 0;
    while let Some(global) = next_global(instance, &mut index) {
        let _ = gate.put(global.value);
        global.value.copy_from_slice(global.initial);
    }
    let mut dirty = 0;
    if pieces.memories > 0 {
        let segments = DataSegments::of(instance);
        let taken = wramp_park::take(memory(instance, &pieces), Image::new(&segments), &mut *gate);
        dirty = taken.unwrap_or(0);
        // SAFETY: the instance lives and has a memory, which nobody borrows here. No call is in
        // it, because it is borrowed mutably.
        unsafe { sys::wramp_wamr_shrink(instance.handle.0.as_ptr()) };
    }
    for index in 0..pieces.tables {
        take_table(instance, index, gate);
    }
    for_each_dropped(instance, &pieces, |passive| {
        let byte = passive.read();
        let _ = gate.put(&[byte]);
        passive.write(0);
        Ok(())
    })
    .unwrap_or(());
    // SAFETY: the instance lives, and no call is in it.
    unsafe { sys::wramp_wamr_forget_exception(instance.handle.0.as_ptr()) };
    dirty
}

/// See [`Runtime::revive`](wramp_core::runtime::Runtime::revive).
pub(crate) fn revive(instance: &mut Instance<'_>, from: &mut dyn Source) -> Result<(), Error> {
    let old = pieces(instance);
    let mut index = 0;
    while let Some(global) = next_global(instance, &mut index) {
        let mut value = [0; 8];
        let value = &mut value[..global.value.len()];
        from.take(value)?;
        if global.reference {
            let bytes = value.first_chunk().ok_or(Malformed)?;
            check_function(u32::from_ne_bytes(*bytes), &old)?;
        }
        global.value.copy_from_slice(value);
    }
    if old.memories > 0 {
        let bytes = u64::from(wramp_park::memory_bytes(&&mut *from)?);
        // SAFETY: the instance lives and has a memory, which nobody borrows here. No call is in
        // it, because it is borrowed mutably.
        if !unsafe { sys::wramp_wamr_grow_to(instance.handle.0.as_ptr(), bytes) } {
            let page = 65_536;
            if bytes < old.memory_bytes as u64 || bytes % page != 0 {
                return Err(Malformed.into());
            }
            return Err(failure::error(
                ErrorKind::OutOfMemory,
                format_args!("the arena has no {bytes} bytes in one piece to revive a memory"),
            ));
        }
        wramp_park::apply(&mut *from, memory(instance, &pieces(instance)))?;
    }
    for index in 0..old.tables {
        apply_table(instance, index, from, &old)?;
    }
    for_each_dropped(instance, &old, |passive| {
        let mut byte = [0];
        from.take(&mut byte)?;
        let [byte] = byte;
        if byte.checked_shr(passive.count).unwrap_or(0) != 0 {
            return Err(Malformed);
        }
        passive.write(byte);
        Ok(())
    })?;
    from.end()?;
    Ok(())
}

fn pieces(instance: &Instance<'_>) -> sys::Pieces {
    let mut pieces = core::mem::MaybeUninit::uninit();
    // SAFETY: the instance lives and is of bytecode. The C writes all of `pieces`, which is of
    // the layout that it has there.
    unsafe {
        sys::wramp_wamr_pieces(instance.handle.0.as_ptr(), pieces.as_mut_ptr());
        pieces.assume_init()
    }
}

/// The bytes of the instance's memory, of which `pieces` is a fresh account.
fn memory<'i>(_: &'i mut Instance<'_>, pieces: &sys::Pieces) -> &'i mut [u8] {
    if pieces.memory.is_null() {
        return &mut [];
    }
    let bytes = pieces.memory_bytes;
    // SAFETY: WAMR has a block of at least that many bytes there, all initialised, which it moves
    // or frees only in a call, in `grow_to` or in `shrink`. All of these take the instance
    // mutably, so not as long as the slice lives. A data segment lies in the module's own memory,
    // so the slice aliases none.
    unsafe { slice::from_raw_parts_mut(pieces.memory, bytes) }
}

/// A mutable global: its bytes in the machine's order, which is little-endian on every target.
struct Global<'i> {
    value: &'i mut [u8],
    initial: &'i [u8],
    reference: bool,
}

const _: () = assert!(cfg!(target_endian = "little"), "records are little-endian");

fn next_global<'i>(instance: &'i mut Instance<'_>, index: &mut u32) -> Option<Global<'i>> {
    let (mut value, mut initial, mut reference) = (core::ptr::null_mut(), core::ptr::null(), false);
    // SAFETY: the instance lives, and the C only reads it. The rest is ours to write.
    let bytes = unsafe {
        sys::wramp_wamr_global(
            instance.handle.0.as_ptr(),
            index,
            &raw mut value,
            &raw mut initial,
            &raw mut reference,
        )
    } as usize;
    if bytes == 0 {
        return None;
    }
    // SAFETY: a global of that many bytes has its value in the instance and its initial value in
    // the instance's description of it. Both live as long as the instance, do not overlap, and
    // are written by calls and by this module only, which take the instance mutably.
    let (value, initial) =
        unsafe { (slice::from_raw_parts_mut(value, bytes), slice::from_raw_parts(initial, bytes)) };
    Some(Global { value, initial, reference })
}

/// The data segments of a loaded module, as the image of a memory.
struct DataSegments {
    instance: sys::wasm_module_inst_t,
    count: u32,
}

impl DataSegments {
    /// They must not outlive the instance, which the only caller sees to.
    fn of(instance: &Instance<'_>) -> Self {
        let instance = instance.handle.0.as_ptr();
        // SAFETY: the instance lives, and the C only reads it.
        let count = unsafe { sys::wramp_wamr_data_segments(instance) };
        Self { instance, count }
    }
}

impl Segments for DataSegments {
    fn count(&self) -> usize {
        self.count as usize
    }

    fn segment(&self, number: usize) -> Option<Segment<'_>> {
        let index = u32::try_from(number).ok().filter(|index| *index < self.count)?;
        let (mut offset, mut bytes) = (0, core::ptr::null());
        // SAFETY: the instance lives (see `of`) and has that many segments. The C only reads.
        let length = unsafe {
            sys::wramp_wamr_data_segment(self.instance, index, &raw mut offset, &raw mut bytes)
        };
        if length == 0 || bytes.is_null() {
            return Some(Segment { offset: 0, bytes: &[] });
        }
        // SAFETY: the loaded module keeps that many bytes there as long as it is loaded, which
        // is longer than its instances live, and nobody writes them.
        let bytes = unsafe { slice::from_raw_parts(bytes, length as usize) };
        Some(Segment { offset, bytes })
    }
}

fn table(instance: &Instance<'_>, index: u32) -> sys::Table {
    let mut table = sys::Table::default();
    // SAFETY: the instance lives and has that table (the callers count). `table` is of the layout
    // that the C has.
    unsafe { sys::wramp_wamr_table(instance.handle.0.as_ptr(), index, &raw mut table) };
    table
}

/// Writes an element and returns the one that was there.
fn exchange(instance: &mut Instance<'_>, table: u32, at: u32, function: u32) -> u32 {
    // SAFETY: the instance lives, has that table, and the table has room for that element (the
    // callers count). No call is in the instance, because it is borrowed mutably.
    unsafe { sys::wramp_wamr_exchange_element(instance.handle.0.as_ptr(), table, at, function) }
}

fn set_table_size(instance: &mut Instance<'_>, index: u32, size: u32) {
    // SAFETY: the instance lives, has that table, and the callers keep to its largest size.
    unsafe { sys::wramp_wamr_set_table_size(instance.handle.0.as_ptr(), index, size) };
}

fn first_element(instance: &Instance<'_>, table: u32, element: u32) -> u32 {
    // SAFETY: the instance lives and has that table. The C only reads.
    unsafe { sys::wramp_wamr_first_element(instance.handle.0.as_ptr(), table, element) }
}

/// Writes how a table differs from its segments, and makes it so again: its size, then gaps of
/// elements that do not differ, each but the last with the element behind it.
fn take_table(instance: &mut Instance<'_>, index: u32, gate: &mut Gate<'_>) {
    let sizes = table(instance, index);
    let mut number = [0; NUMBER];
    let mut put = |value: u32| {
        let used = put_number(&mut number, value);
        let _ = gate.put(&number[..used]);
    };
    put(sizes.size);
    let mut gap = 0;
    for at in 0..sizes.most {
        let first = first_element(instance, index, at);
        let now = exchange(instance, index, at, first);
        if at >= sizes.size {
            continue;
        }
        if now == first {
            gap += 1;
        } else {
            put(gap);
            put(now.wrapping_add(1));
            gap = 0;
        }
    }
    if gap > 0 {
        put(gap);
    }
    set_table_size(instance, index, sizes.first_size);
}

/// Makes a blank table the one that was written.
fn apply_table(
    instance: &mut Instance<'_>,
    index: u32,
    from: &mut dyn Source,
    pieces: &sys::Pieces,
) -> Result<(), Malformed> {
    let mut number = || {
        let mut window = [0; NUMBER];
        let there = from.peek(&mut window);
        let (value, used) = read_number(&window[..there])?;
        from.advance(used);
        Ok(value)
    };
    let size = number()?;
    let sizes = table(instance, index);
    if size < sizes.first_size || size > sizes.most {
        return Err(Malformed);
    }
    let mut at = 0;
    while at < size {
        at = number()?.saturating_add(at);
        if at >= size {
            break;
        }
        let function = number()?.wrapping_sub(1);
        check_function(function, pieces)?;
        exchange(instance, index, at, function);
        at += 1;
    }
    if at != size {
        return Err(Malformed);
    }
    set_table_size(instance, index, size);
    Ok(())
}

/// A reference names a function or nothing.
fn check_function(function: u32, pieces: &sys::Pieces) -> Result<(), Malformed> {
    if function == NO_FUNCTION || function < pieces.functions { Ok(()) } else { Err(Malformed) }
}

/// Up to 8 segments that code can drop, a bit each.
struct Passive {
    instance: sys::wasm_module_inst_t,
    data: u32,
    first: u32,
    count: u32,
}

impl Passive {
    /// Reads segment `bit`, and changes it if `set` is 0 or 1.
    fn access(&self, bit: u32, set: i32) -> bool {
        let number = self.first + bit;
        let (elements, number) = match number.checked_sub(self.data) {
            None => (false, number),
            Some(number) => (true, number),
        };
        // SAFETY: `for_each_dropped` made this of a live instance that it borrows mutably, and of
        // numbers of passive segments that it has.
        unsafe { sys::wramp_wamr_dropped(self.instance, elements, number, set) }
    }

    fn read(&self) -> u8 {
        (0..self.count).fold(0, |byte, bit| byte | u8::from(self.access(bit, -1)) << bit)
    }

    fn write(&self, byte: u8) {
        for bit in 0..self.count {
            self.access(bit, i32::from(byte >> bit & 1));
        }
    }
}

/// Calls `work` with all segments that code can drop, data first, eight at a time.
fn for_each_dropped(
    instance: &mut Instance<'_>,
    pieces: &sys::Pieces,
    mut work: impl FnMut(&Passive) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let data = pieces.passive_data;
    let all = data + pieces.passive_elements;
    let instance = instance.handle.0.as_ptr();
    for first in (0..all).step_by(8) {
        work(&Passive { instance, data, first, count: (all - first).min(8) })?;
    }
    Ok(())
}
