//! What guests get from this machine, and the memory for it. Only builds with imports have it.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use wramp_bench::Hosting;
use zephyr::sync::Mutex;

use crate::config;
use crate::machine::Machine;

/// Rooms: one for each instance that can live.
const ROOMS: usize = if config::RESIDENTS == 0 { config::SLOTS } else { config::RESIDENTS };
/// Their size, in 64-bit words.
const WORDS: usize = wramp_bench::office_words::<Machine>(ROOMS);

/// The rooms. Nothing needs them cleared.
#[unsafe(link_section = ".noinit.wramp_rooms")]
static MEMORY: Memory = Memory(UnsafeCell::new([const { MaybeUninit::uninit() }; WORDS]));

struct Memory(UnsafeCell<[MaybeUninit<u64>; WORDS]>);

// SAFETY: it is borrowed once, in `hosting`.
unsafe impl Sync for Memory {}

static TAKEN: Mutex<bool> = Mutex::new(false);

/// What the guests of the run get. `None` if no guest needs a host, and after the first call.
pub(crate) fn hosting() -> Option<Hosting<'static>> {
    let (grants, queue_bytes, expected) = config::host()?;
    let Ok(mut taken) = TAKEN.lock();
    if core::mem::replace(&mut *taken, true) {
        return None;
    }
    // SAFETY: the flag was false, so this is reached once.
    let rooms = unsafe { &mut *MEMORY.0.get() };
    Some(Hosting { grants, queue_bytes, expected, rooms })
}
