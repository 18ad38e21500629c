//! The allocator as this program's own: what is inside lies in the arena, and comes back.

use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wramp_arena::{Arena, ArenaStats, Blocks, FirstFit, Lock};
use wramp_core::measure::Bytes;
use wramp_core::runtime::ErrorKind;
use wramp_engine_arena::{EngineAllocator, Session};

#[global_allocator]
static ALLOCATOR: EngineAllocator = EngineAllocator;

struct Locked<T>(Mutex<T>);

impl<T: Send> Lock<T> for Locked<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type TestArena<'m> = FirstFit<'m, Locked<Blocks<'m>>>;

/// The program has one session at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `check` with a session on an arena of so many bytes, which must be whole afterwards.
fn with_session(bytes: usize, check: impl FnOnce(&Session<'_>, &TestArena<'_>)) {
    let _alone = alone();
    let mut region = vec![MaybeUninit::<u8>::uninit(); bytes];
    let arena: TestArena<'_> = FirstFit::over(&mut region);
    let before = arena.stats();
    let session = Session::open(&arena).unwrap();
    check(&session, &arena);
    drop(session);
    let ArenaStats { free, blocks, .. } = arena.stats();
    assert_eq!((free, blocks), (before.free, before.blocks));
    assert_eq!(arena.corrupt(), 0);
}

/// The addresses of the arena's region.
fn addresses(arena: &TestArena<'_>) -> std::ops::Range<usize> {
    let region = arena.region().unwrap();
    let from = region.cast::<u8>().addr().get();
    from..from + region.len()
}

/// Whether a value of the heap lies in the arena.
fn lies_in<T>(arena: &TestArena<'_>, value: &T) -> bool {
    addresses(arena).contains(&std::ptr::from_ref(value).addr())
}

// The standard library boxes a thread's work, and frees the box in a function that it went into:
// see `a_replay_counts_starts_as_they_come`.
#[test]
#[cfg_attr(miri, ignore)]
fn a_thread_inside_allocates_from_the_arena_and_another_does_not() {
    with_session(16 << 10, |session, arena| {
        let outside = Box::new(1_u64);
        // SAFETY: all of it is dropped in this closure, before the session.
        let inside = unsafe {
            session.run(|| {
                let here = Box::new(2_u64);
                let there =
                    std::thread::scope(|scope| scope.spawn(|| Box::new(3_u64)).join().unwrap());
                (here, there)
            })
        };
        let (here, there) = inside.unwrap();
        assert!(!lies_in(arena, &*outside) && lies_in(arena, &*here) && !lies_in(arena, &*there));
        assert_eq!((*outside, *here, *there), (1, 2, 3));
    });
}

#[test]
fn a_block_stays_where_it_came_from_and_any_thread_frees_it() {
    with_session(64 << 10, |session, arena| {
        let mut outside = vec![1_u8; 100];
        // SAFETY: as above.
        let mut inside = unsafe { session.run(|| vec![2_u8; 100]) }.unwrap();
        // It grows outside, and stays in the arena.
        inside.extend((0..1000).map(|n| n as u8));
        assert!(lies_in(arena, &inside[0]));
        assert_eq!((inside[99], inside[100], inside[1099]), (2, 0, 231));
        // SAFETY: as above.
        unsafe { session.run(|| outside.resize(5000, 7)) }.unwrap();
        assert!(!lies_in(arena, &outside[0]));
        assert_eq!((outside[99], outside[4999]), (1, 7));
        let free = arena.stats().free;
        std::thread::scope(|scope| scope.spawn(move || drop(inside)).join().unwrap());
        assert!(arena.stats().free > free);
    });
}

#[test]
fn an_alignment_beyond_the_arenas_is_kept() {
    #[repr(align(64))]
    struct Wide([u8; 70]);
    #[repr(align(16))]
    struct Quad(u64);

    with_session(32 << 10, |session, arena| {
        // SAFETY: as above.
        let all = unsafe {
            session.run(|| {
                let odd = vec![1_u8; 9];
                let wide: Vec<_> = (0..9).map(|n| Box::new(Wide([n; 70]))).collect();
                let quad: Vec<Quad> = (0..9).map(Quad).collect();
                (odd, wide, quad)
            })
        };
        let (_odd, wide, mut quad) = all.unwrap();
        for (n, one) in wide.iter().enumerate() {
            assert!(lies_in(arena, &**one) && std::ptr::from_ref(&**one).addr() % 64 == 0);
            assert!(one.0.iter().all(|&byte| usize::from(byte) == n));
        }
        quad.extend((9..50).map(Quad));
        assert_eq!(std::ptr::from_ref(&quad[0]).addr() % 16, 0);
        assert!(quad.iter().enumerate().all(|(n, one)| one.0 == n as u64));
    });
}

#[test]
fn what_the_arena_lacks_is_counted_and_is_an_error() {
    with_session(4096, |session, arena| {
        let before = arena.stats().free;
        // SAFETY: as above.
        let made = unsafe { session.run(|| (vec![1_u8; 3000], vec![2_u8; 2000])) };
        let error = made.unwrap_err();
        assert_eq!(error.kind, ErrorKind::OutOfMemory);
        assert!(error.message.as_str().contains("2000 bytes"), "{error}");
        assert_eq!(arena.stats().free, before, "what was made is dropped");
        assert_eq!(session.take_overdraft(), Bytes(2000));
        assert_eq!(session.take_overdraft(), Bytes(0));
        // The reserve has an end, and then an allocation fails as it does anywhere.
        // SAFETY: as above.
        let refused =
            unsafe { session.run(|| Vec::<u8>::new().try_reserve_exact(64 << 20).is_err()) };
        assert_eq!(refused.unwrap_err().kind, ErrorKind::OutOfMemory);
    });
}

#[test]
fn a_guests_memory_is_refused_in_a_call_and_the_call_stands() {
    with_session(16 << 10, |session, _| {
        let mut lane = session.lane(&[]).unwrap();
        // SAFETY: as above.
        let grows = unsafe {
            session.call(&mut lane, || Vec::<u8>::new().try_reserve_exact(65_536).is_ok())
        };
        assert_eq!(grows, Ok(false));
        assert_eq!(session.take_overdraft(), Bytes(0));
        // SAFETY: as above.
        let short = unsafe { session.call(&mut lane, || vec![0_u8; 20_000].len()) };
        assert_eq!(short.unwrap_err().kind, ErrorKind::OutOfMemory);
        assert_eq!(session.take_overdraft(), Bytes(20_000));
    });
}

#[test]
fn a_call_uses_the_blocks_of_the_call_before() {
    with_session(16 << 10, |session, arena| {
        let before = arena.stats();
        let mut lane = session.lane(&[100, 24]).unwrap();
        let ready = arena.stats();
        assert!(ready.free < before.free);
        let mut call = |bytes: usize| {
            // SAFETY: as above.
            unsafe { session.call(&mut lane, || (vec![1_u8; bytes], Box::new([0_u64; 3])).0[0]) }
        };
        assert_eq!(call(100), Ok(1));
        assert_eq!(arena.stats(), ready, "nothing was taken");
        assert_eq!(call(200), Ok(1));
        let more = arena.stats().free;
        assert!(more < ready.free);
        assert_eq!((call(200), call(100)), (Ok(1), Ok(1)));
        assert_eq!(arena.stats().free, more);
        // A block as large as a guest's memory is not kept.
        assert_eq!(call(9000), Ok(1));
        assert_eq!(arena.stats().free, more);
        // Two lanes of a thread share the blocks, and the last one gives them back.
        let second = session.lane(&[100]).unwrap();
        drop(lane);
        assert_eq!(arena.stats().free, more);
        drop(second);
        assert_eq!(arena.stats().free, before.free);
    });
}

#[test]
fn a_panic_takes_the_thread_out() {
    with_session(16 << 10, |session, arena| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: as above.
            let _ = unsafe {
                session.run(|| {
                    let held = std::hint::black_box(vec![1_u8; 100]);
                    assert!(held.is_empty(), "of course it is not: {}", held.len());
                })
            };
        }));
        let payload = caught.unwrap_err();
        assert!(payload.downcast_ref::<String>().unwrap().contains("100"));
        assert!(!lies_in(arena, &*Box::new(1_u8)));
    });
}

#[test]
fn a_session_that_was_forgotten_does_not_claim_memory_that_went_back() {
    // The claim stays taken for good, so this is a process of its own.
    if std::env::var_os("WRAMP_FORGET").is_none() {
        // Miri has no processes.
        if !cfg!(miri) {
            let this = std::env::current_exe().unwrap();
            let name = "a_session_that_was_forgotten_does_not_claim_memory_that_went_back";
            let status = std::process::Command::new(this)
                .args(["--exact", name, "--nocapture"])
                .env("WRAMP_FORGET", "1")
                .status();
            assert!(status.unwrap().success());
        }
        return;
    }
    // Small enough that the system keeps the memory and gives it to the next one who asks.
    let bytes = 48 << 10;
    let at = {
        let mut region = vec![MaybeUninit::<u8>::uninit(); bytes];
        let arena: TestArena<'_> = FirstFit::over(&mut region);
        std::mem::forget(Session::open(&arena).unwrap());
        addresses(&arena)
    };
    // The system gives the same addresses again, and takes them back.
    let mut again = Vec::new();
    let mut met = false;
    for _ in 0..64 {
        let block = vec![7_u8; bytes];
        met |= at.contains(&(std::ptr::from_ref(&block[0]).addr() + 4096));
        again.push(block);
    }
    assert!(met, "the system never gave that memory again: this test shows nothing");
    drop(again);
    let refused = {
        let mut region = vec![MaybeUninit::<u8>::uninit(); bytes];
        let arena: TestArena<'_> = FirstFit::over(&mut region);
        Session::open(&arena).is_err()
    };
    assert!(refused, "two sessions");
}

#[test]
fn a_replay_counts_starts_as_they_come() {
    // No `Box` goes into a function that frees it: Miri lets no allocator in Rust write to such
    // a box's memory before that function is over.
    with_session(16 << 10, |session, _| {
        let start = || {
            // SAFETY: as above.
            let made = unsafe {
                session.run(|| {
                    let passing = vec![0_u8; 700];
                    (vec![passing[0]; 500], vec![1_u8; 300])
                })
            };
            made.unwrap()
        };
        session.note(0);
        let mut all = vec![start()];
        assert!(session.noted(false).is_some_and(|parts| parts.sum() == Bytes(800)));
        let more = session.how_many_more(1000).unwrap();
        all.extend((0..more).map(|_| start()));
        // SAFETY: as above.
        let one_more = unsafe {
            session.run(|| {
                let passing = vec![0_u8; 700];
                (vec![passing[0]; 500], vec![1_u8; 300])
            })
        };
        assert!(one_more.is_err(), "{more} more were predicted");
        assert_eq!(session.how_many_more(1000), Some(0));
    });
}
