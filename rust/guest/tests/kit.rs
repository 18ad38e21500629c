//! The kit without WebAssembly: executor, futures, log and errors.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::process::Command;
use std::task::Poll;
use std::{env, fs};

use wramp_guest::macros::{Task, size_of_task};
use wramp_guest::stand_in::Host;
use wramp_guest::{
    LOG_BYTES, MESSAGE_BYTES, NotReceived, NotSent, id, log, now_us, receive, send, sleep,
    try_receive,
};

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
    static DROPS: Cell<u32> = const { Cell::new(0) };
}

struct Noisy;

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() + 1);
    }
}

async fn three_steps() {
    let _noisy = Noisy;
    for _ in 0..3 {
        STEPS.set(STEPS.get() + 1);
        let mut first = true;
        poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

#[test]
fn a_task_is_polled_to_its_end_and_dropped_once() {
    static TASK: Task<{ size_of_task(three_steps) }> = Task::new();
    let results: Vec<i32> = (0..6).map(|_| TASK.poll(three_steps)).collect();
    assert_eq!(results, [1, 1, 1, 0, 0, 0]);
    assert_eq!((STEPS.get(), DROPS.get()), (3, 1));
}

#[test]
#[should_panic(expected = "in a step, or trapped in one")]
fn a_task_that_polls_itself_is_stopped() {
    static TASK: Task<{ size_of_task(itself) }> = Task::new();
    async fn itself() {
        poll_itself();
    }
    fn poll_itself() {
        TASK.poll(itself);
    }
    TASK.poll(itself);
}

#[test]
fn a_task_that_panicked_is_not_polled_again() {
    static TASK: Task<{ size_of_task(fails) }> = Task::new();
    async fn fails() {
        let _noisy = Noisy;
        panic!("on purpose");
    }
    let drops = DROPS.get();
    assert!(std::panic::catch_unwind(|| TASK.poll(fails)).is_err());
    let again = std::panic::catch_unwind(|| TASK.poll(fails)).unwrap_err();
    assert!(again.downcast_ref::<&str>().is_some_and(|why| why.contains("trapped in one")));
    assert_eq!(DROPS.get() - drops, 1);
}

#[test]
fn sleeping_takes_its_time_and_leaves_messages() {
    let host = Host::new();
    host.deliver(b"later");
    assert!(host.run(async || {
        sleep(0).await;
        assert_eq!(now_us(), 0);
        sleep(250).await;
        assert_eq!(now_us(), 250_000);
        assert_eq!(receive().await.bytes(), b"later");
        assert_eq!(now_us(), 250_000);
        // 49.7 days, which is longer than one wait can be.
        sleep(u32::MAX).await;
    }));
    assert_eq!(host.now_us(), 250_000 + 4_294_967_295_000);
}

#[test]
fn waiting_for_what_does_not_come_is_no_end() {
    let host = Host::new();
    assert!(!host.run(async || {
        receive().await;
    }));
}

/// Awaits two futures at once. The earlier wish counts, and neither wakes the task uselessly.
#[test]
fn a_message_or_a_time() {
    async fn either() -> Option<usize> {
        let (mut message, mut time) = (pin!(receive()), pin!(sleep(50)));
        poll_fn(|context| {
            if let Poll::Ready(message) = message.as_mut().poll(context) {
                return Poll::Ready(Some(message.bytes().len()));
            }
            time.as_mut().poll(context).map(|()| None)
        })
        .await
    }
    let host = Host::new();
    host.deliver(&[0; MESSAGE_BYTES]);
    assert!(host.run(async || {
        assert_eq!(either().await, Some(MESSAGE_BYTES));
        assert_eq!(either().await, None);
    }));
    assert_eq!(host.now_us(), 50_000);
}

#[test]
fn messages_and_their_refusals() {
    let host = Host::new();
    host.set_id(3);
    host.refuse(1);
    host.deliver(&7_i32.to_le_bytes());
    host.deliver(b"12345");
    assert!(host.run(async || {
        assert_eq!(id(), 3);
        assert_eq!(send(4, b"a"), Err(NotSent::Full));
        assert_eq!(send(4, b"a"), Ok(()));
        assert_eq!(send(4, &[0; MESSAGE_BYTES]), Ok(()));
        assert_eq!(send(4, &[0; MESSAGE_BYTES + 1]), Err(NotSent::TooLong));
        assert_eq!(receive().await.as_i32(), Some(7));
        assert_eq!(try_receive(&mut [0; 4]), Err(NotReceived::TooLong));
        let mut buffer = [0; 5];
        assert_eq!(try_receive(&mut buffer), Ok(&b"12345"[..]));
        assert_eq!(try_receive(&mut buffer), Err(NotReceived::Empty));
    }));
    assert_eq!(host.sent(), [(4, b"a".to_vec()), (4, vec![0; MESSAGE_BYTES])]);
}

#[test]
fn lines_are_formatted_and_cut() {
    let host = Host::new();
    let long = "x".repeat(LOG_BYTES);
    assert!(host.run(async || {
        log!("as it is");
        log!("{} of {:>3}", 1, 2);
        log!("{long}{long}");
    }));
    assert_eq!(host.lines(), ["as it is", "1 of   2", &long]);
}

/// The attribute refuses these at compile time, with a sentence that helps.
#[test]
#[cfg_attr(miri, ignore = "it starts a compiler")]
fn what_cannot_be_a_task_is_refused() {
    // Cargo built the proc macro and the library for this test.
    let deps = env::current_exe().unwrap().parent().unwrap().to_owned();
    let newest = |prefix: &str, suffix: &str| {
        let files = fs::read_dir(&deps).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                name.starts_with(prefix) && name.ends_with(suffix)
            })
            .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
            .unwrap()
    };
    let library = newest("libwramp_guest-", ".rlib");
    let compile = |source: &str| {
        let out = env!("CARGO_TARGET_TMPDIR");
        let file = format!("{out}/refused.rs");
        fs::write(&file, source).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--out-dir", out]);
        rustc.arg(format!("-Ldependency={}", deps.display()));
        rustc.arg(format!("--extern=wramp_guest={}", library.display()));
        let output = rustc.arg(&file).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let good = compile("#[wramp_guest::main] async fn main() {}");
    assert!(!good.contains("error"), "{good}");
    for (source, sentence) in [
        ("#[wramp_guest::main] fn main() {}", "write `async fn`"),
        ("#[wramp_guest::main] async fn main(n: i32) {}", "no parameters, no generics"),
        ("#[wramp_guest::main] async fn main<T>() {}", "no parameters, no generics"),
        ("#[wramp_guest::main] async fn main() -> i32 { 1 }", "no result"),
        ("#[wramp_guest::main(now)] async fn main() {}", "takes no arguments"),
        ("#[wramp_guest::main] struct Main;", "a guest's task is an `async fn main()`"),
    ] {
        let error = compile(source);
        assert!(error.contains(sentence), "{source}: {error}");
    }
}
