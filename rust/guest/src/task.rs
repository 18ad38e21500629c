//! The executor: one task in a static, which each call of the host polls once.

use core::cell::UnsafeCell;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// Results of `wramp_poll`.
const DONE: i32 = 0;
const NOT_YET: i32 = 1;

/// The strictest alignment that a task may need, in bytes.
const ALIGNMENT: usize = 16;

/// Bytes of the future that `main` returns. A static needs this function, because it cannot name
/// the type of that future.
pub const fn size_of_task<F: Future<Output = ()>>(_main: fn() -> F) -> usize {
    size_of::<F>()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The bytes do not hold the future yet.
    New,
    /// The bytes hold the future, and nobody polls it.
    Waiting,
    /// The future is being polled, or a poll of it ended in a trap.
    Polled,
    /// The future has returned and was dropped.
    Done,
}

struct Inside<const BYTES: usize> {
    state: State,
    future: Aligned<BYTES>,
}

/// Room for the future. The alignment is [`ALIGNMENT`].
#[repr(C, align(16))]
struct Aligned<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

/// Room for the one task of a guest. `BYTES` is its [`size_of_task`].
pub struct Task<const BYTES: usize> {
    inside: UnsafeCell<Inside<BYTES>>,
}

// SAFETY: only the export `wramp_poll` reaches the static. As a guest, it runs on one thread at
// a time: the interface creates no thread, and by `docs/guest.md` a host enters an instance on
// one thread at a time. In a native test of a host, nobody calls `wramp_poll` from two threads.
unsafe impl<const BYTES: usize> Sync for Task<BYTES> {}

impl<const BYTES: usize> Task<BYTES> {
    /// A task that has not begun.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        let future = Aligned(MaybeUninit::uninit());
        Self { inside: UnsafeCell::new(Inside { state: State::New, future }) }
    }

    /// Makes one step: runs the future until it waits or ends.
    ///
    /// # Panics
    /// If the task itself calls this, and after a trap in the task. A future that was left in
    /// the middle of a poll could do anything.
    pub fn poll<F: Future<Output = ()>>(&'static self, main: fn() -> F) -> i32 {
        const { assert!(size_of::<F>() <= BYTES && align_of::<F>() <= ALIGNMENT) };
        let inside = self.inside.get();
        // SAFETY: `inside` points into the cell, and nobody keeps a reference to the state.
        let state = unsafe { (*inside).state };
        // SAFETY: as above. From now on any other call finds `Polled` and goes no further, so
        // only this call uses the bytes of the future.
        unsafe { (*inside).state = State::Polled };
        // SAFETY: within the cell. Room and alignment for an `F` are asserted above.
        let future = unsafe { (&raw mut (*inside).future).cast::<F>() };
        match state {
            // SAFETY: there is room and alignment for an `F`, and nobody else uses it now.
            State::New => unsafe { future.write(main()) },
            State::Waiting => {}
            State::Done => {
                // SAFETY: as above.
                unsafe { (*inside).state = State::Done };
                return DONE;
            }
            State::Polled => panic!("the task is in a step, or trapped in one"),
        }
        // SAFETY: an `F` was written when the state was `New`. It stays at this address, in a
        // static, until it is dropped there, so it is pinned. Every call for this task has the
        // same `main`, and so the same `F`, because one macro writes both task and call.
        let pinned = unsafe { Pin::new_unchecked(&mut *future) };
        let (state, step) = match pinned.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => (State::Waiting, NOT_YET),
            Poll::Ready(()) => {
                // SAFETY: a live `F`, which nobody uses after this, because `Done` is final.
                unsafe { future.drop_in_place() };
                (State::Done, DONE)
            }
        };
        // SAFETY: as above.
        unsafe { (*inside).state = state };
        step
    }
}
