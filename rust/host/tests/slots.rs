//! Slots: one thread each, joined before reuse, their stacks told apart.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use common::{QUICK, Wamr, built_in, never_gives_up, turn};
use wramp_core::config::Config;
use wramp_core::measure::Bytes;
use wramp_core::slots::{Crew, Slots as _, StartError, Work};
use wramp_host::slots::{HostSlots, allowed_cpus};
use wramp_host::{Setup, SetupError, run};

/// Runs a closure on each slot.
struct Do<F>(F);
impl<F: Fn(usize) + Sync> Work for Do<F> {
    fn run(&self, slot: usize) {
        (self.0)(slot);
    }
}

fn crew<R>(count: u32, work: impl Fn(usize) + Sync, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
    let mut slots = HostSlots::new(count, Bytes(4096)).unwrap();
    assert_eq!((slots.len(), slots.count()), (count as usize, count as usize));
    slots.with_crew(&Do(work), lead)
}

#[test]
fn a_slot_is_busy_until_it_was_joined() {
    let ran = AtomicU32::new(0);
    let work = |_| {
        ran.fetch_add(1, SeqCst);
    };
    crew(2, work, |crew| {
        for round in 1..=50 {
            assert_eq!(crew.start(0, None), Ok(()));
            // Whether or not it has ended, the slot is busy until it is joined.
            assert_eq!(crew.start(0, None), Err(StartError::Busy));
            crew.join(0);
            assert_eq!(ran.load(SeqCst), round);
        }
        assert_eq!(crew.start(2, None), Err(StartError::NoSuchSlot));
        // Never started, already joined, or not there at all: each returns at once.
        crew.join(1);
        crew.join(0);
        crew.join(7);
    });
}

#[test]
fn a_core_that_is_not_there() {
    crew(
        1,
        |_| (),
        |crew| {
            assert_eq!(crew.start(0, Some(u8::MAX)), Err(StartError::NoSuchCore));
            assert_eq!(crew.start(0, Some(0)), Ok(()), "the slot is free after a refusal");
        },
    );
}

#[test]
fn a_pinned_thread_stays_on_its_core() {
    let cpus = allowed_cpus();
    for (core, &cpu) in cpus.iter().enumerate() {
        let right = AtomicBool::new(false);
        let work = |_| {
            let seen: Vec<_> = (0..1000)
                .map(|_| {
                    std::thread::yield_now();
                    // SAFETY: it asks the kernel and touches nothing.
                    unsafe { libc::sched_getcpu() }
                })
                .collect();
            right.store(seen.iter().all(|&at| usize::try_from(at) == Ok(cpu)), SeqCst);
        };
        crew(1, work, |crew| {
            crew.start(0, Some(u8::try_from(core).unwrap())).unwrap();
            crew.join(0);
        });
        assert!(right.load(SeqCst));
    }
}

#[test]
fn what_was_started_is_joined_when_the_lead_returns() {
    let ended = AtomicU32::new(0);
    let work = |_| {
        std::thread::sleep(std::time::Duration::from_millis(30));
        ended.fetch_add(1, SeqCst);
    };
    crew(4, work, |crew| (0..4).for_each(|slot| crew.start(slot, None).unwrap()));
    assert_eq!(ended.load(SeqCst), 4);
}

#[inline(never)]
fn use_stack<const N: usize>() {
    let mut bytes = [0_u8; N];
    // The write must be observable, or the compiler would drop it.
    std::hint::black_box(&mut bytes).fill(1);
    std::hint::black_box(&bytes);
}

#[test]
fn the_stack_that_was_used_is_told() {
    const LARGE: usize = 24 * 1024;
    let real = HostSlots::new(1, Bytes(4096)).unwrap().real_size();
    assert!(real >= Bytes(4096));
    let deep = AtomicBool::new(false);
    let work = |_| if deep.load(SeqCst) { use_stack::<LARGE>() } else { use_stack::<64>() };
    crew(1, work, |crew| {
        let mut used = |is_deep| {
            deep.store(is_deep, SeqCst);
            crew.start(0, None).unwrap();
            crew.join(0);
            crew.stack_used(0).unwrap()
        };
        let shallow = used(false);
        let large = used(true);
        assert!(shallow > Bytes(0) && large < real, "{shallow} {large} {real}");
        assert!(large >= Bytes(LARGE as u32), "{large}");
        assert!(large.0 - shallow.0 >= LARGE as u32 / 2, "{shallow} {large}");
        // The stack is painted again, so the bytes of an earlier thread do not count.
        let again = used(false);
        assert!(again < large && again.0.abs_diff(shallow.0) < 4096, "{shallow} {again}");
        assert_eq!(crew.stack_used(1), None);
    });
}

#[test]
fn a_stack_that_no_thread_ran_on_used_nothing_that_is_told() {
    let mut slots = HostSlots::new(2, Bytes(4096)).unwrap();
    for _ in 0..2 {
        // The second crew finds the stacks as the first one left them.
        slots.with_crew(&Do(|_| use_stack::<8192>()), |crew| {
            assert_eq!((crew.stack_used(0), crew.stack_used(1)), (None, None));
            assert_eq!(crew.start(0, Some(u8::MAX)), Err(StartError::NoSuchCore));
            assert_eq!(crew.stack_used(0), None, "a refusal is no start");
            crew.start(0, None).unwrap();
            crew.join(0);
            assert!(crew.stack_used(0) >= Some(Bytes(8192)), "joined, and still told");
            assert_eq!(crew.stack_used(1), None);
        });
    }
}

#[test]
fn threads_run_side_by_side() {
    let arrived = AtomicU32::new(0);
    // The work ends only if all threads are there at the same time.
    let work = |_| {
        arrived.fetch_add(1, SeqCst);
        while arrived.load(SeqCst) < 8 {
            std::thread::yield_now();
        }
    };
    crew(8, work, |crew| (0..8).for_each(|slot| crew.start(slot, None).unwrap()));
    assert_eq!(arrived.load(SeqCst), 8);
}

#[test]
fn more_slots_than_memory_name_the_knob() {
    let _turn = turn();
    // 4 billion stacks of 4 GiB. No address space has that.
    let config = Config { slots: u32::MAX, slot_stack: Bytes(u32::MAX), ..QUICK };
    let setup = |config| Setup {
        config,
        sink: Box::new(|_| ()),
        interrupted: &NEVER,
        gave_up: &never_gives_up,
    };
    let error = run::<Wamr>(setup(config), &[]).unwrap_err();
    assert!(matches!(error, SetupError::Slots(_)), "{error}");
    assert!(error.to_string().contains("lower --slots"), "{error}");
    // Everything that was reserved before is free again.
    let summary = run::<Wamr>(setup(QUICK), &built_in(&["add"])).unwrap();
    assert_eq!(summary.exit(), 0);
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// Linux cannot end a thread from outside, and the crew does not claim that it did.
#[test]
fn a_thread_is_not_aborted() {
    let stop = AtomicBool::new(false);
    let work = |_| {
        while !stop.load(SeqCst) {
            std::thread::yield_now();
        }
    };
    crew(1, work, |crew| {
        crew.start(0, None).unwrap();
        assert!(!crew.abort(0));
        assert_eq!(crew.start(0, None), Err(StartError::Busy), "it is still there");
        stop.store(true, SeqCst);
        crew.join(0);
        assert_eq!(crew.start(0, None), Ok(()));
    });
}
