//! The executor: one task in a static, polled when the host says so.

use core::cell::UnsafeCell;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// Results of `wramp_poll`.
const DONE: i32 = 0;
const NOT_YET: i32 = 1;

/// The greatest alignment that a task may need, in bytes.
const ALIGNMENT: usize = 16;

/// Bytes of the future that `main` returns. A `const fn`, because the type of that future has
/// no name by which a static could be declared.
pub const fn size_of_task<F: Future<Output = ()>>(_main: fn() -> F) -> usize {
    size_of::<F>()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The bytes are not a future yet.
    New,
    /// The bytes are the future, and it is not being polled.
    Waiting,
    /// It is being polled, or a poll of it ended in a trap.
    Polled,
    /// It has returned and is dropped.
    Done,
}

struct Inside<const BYTES: usize> {
    state: State,
    future: Aligned<BYTES>,
}

/// Room for the future. The alignment is [`ALIGNMENT`].
#[repr(C, align(16))]
struct Aligned<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

/// Room for the one task of a guest, `BYTES` of [`size_of_task`].
pub struct Task<const BYTES: usize> {
    inside: UnsafeCell<Inside<BYTES>>,
}

// SAFETY: a guest has one thread: the interface has no other, and `docs/guest.md` has the host
// enter an instance on one thread at a time. Elsewhere (a test of a host) nobody exports or
// calls `wramp_poll` from two threads: the static is reached through that export alone.
unsafe impl<const BYTES: usize> Sync for Task<BYTES> {}

impl<const BYTES: usize> Task<BYTES> {
    /// A task that has not begun.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        let future = Aligned(MaybeUninit::uninit());
        Self { inside: UnsafeCell::new(Inside { state: State::New, future }) }
    }

    /// One step: runs the future until it waits or ends.
    ///
    /// # Panics
    /// Where it is called from within the task, and after a trap in the task: what a future
    /// that was left in the middle of a poll would do is unknown.
    pub fn poll<F: Future<Output = ()>>(&'static self, main: fn() -> F) -> i32 {
        const { assert!(size_of::<F>() <= BYTES && align_of::<F>() <= ALIGNMENT) };
        let inside = self.inside.get();
        // SAFETY: `inside` is of the cell, and no reference to the state is kept.
        let state = unsafe { (*inside).state };
        // SAFETY: as above. Whoever comes in from now on finds `Polled` and goes no further, so
        // what follows has the bytes of the future to itself.
        unsafe { (*inside).state = State::Polled };
        // SAFETY: in bounds of the cell; room and alignment for an `F` are asserted above.
        let future = unsafe { (&raw mut (*inside).future).cast::<F>() };
        match state {
            // SAFETY: room and alignment for an `F`, that nobody else uses now.
            State::New => unsafe { future.write(main()) },
            State::Waiting => {}
            State::Done => {
                // SAFETY: as above.
                unsafe { (*inside).state = State::Done };
                return DONE;
            }
            State::Polled => panic!("the task is in a step, or trapped in one"),
        }
        // SAFETY: an `F` was written when the state was `New` and stays at this address, in a
        // static, until it is dropped there: so it is pinned. One `main`, and so one `F`, is
        // passed for this task: the macro that declares it writes both.
        let pinned = unsafe { Pin::new_unchecked(&mut *future) };
        let (state, step) = match pinned.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => (State::Waiting, NOT_YET),
            Poll::Ready(()) => {
                // SAFETY: an `F`, not used after this: `Done` is final.
                unsafe { future.drop_in_place() };
                (State::Done, DONE)
            }
        };
        // SAFETY: as above.
        unsafe { (*inside).state = state };
        step
    }
}
