//! `wramp capture` over real PTYs, sockets and pipes.

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use support::{read_golden, scratch, stderr, stdout, wramp};

/// A capture that has opened its source.
struct Capture {
    child: Child,
    said: BufReader<ChildStderr>,
    began: String,
}

struct Ended {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Capture {
    fn start(directory: PathBuf, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wramp"))
            .arg("capture")
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut began = String::new();
        said.read_line(&mut began).unwrap();
        Self { child, said, began }
    }

    fn end(mut self) -> Ended {
        let mut out = self.child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut stderr = self.began;
        self.said.read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: reader.join().unwrap(), stderr }
    }
}

/// A PTY whose other end behaves like a board's cable: no echo, no line editing.
struct Cable {
    board: File,
    _held: File,
    path: String,
}

fn cable() -> Cable {
    let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&board).unwrap();
    unlockpt(&board).unwrap();
    let path = ptsname(&board, Vec::new()).unwrap().into_string().unwrap();
    let held = File::options().read(true).write(true).open(&path).unwrap();
    let mut settings = tcgetattr(&held).unwrap();
    settings.make_raw();
    tcsetattr(&held, OptionalActions::Now, &settings).unwrap();
    Cable { board: board.into(), _held: held, path }
}

#[test]
fn a_board_on_a_pty_is_captured_to_its_done() {
    let directory = scratch("pty");
    let raw = directory.join("raw.log");
    let mut cable = cable();
    let capture =
        Capture::start(directory, &[&cable.path, "--plain", "--raw", raw.to_str().unwrap()]);
    let sent = read_golden("esp32s3.log");
    let bytes = sent.clone();
    let writer = thread::spawn(move || {
        for piece in bytes.chunks(97) {
            cable.board.write_all(piece).unwrap();
        }
        cable
    });
    let ended = capture.end();
    drop(writer.join().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(std::fs::read(raw).unwrap(), sent, "every byte is kept");
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(shown.contains("Booting Zephyr") && shown.contains("wramp done"), "{shown}");
}

#[test]
fn a_socket_that_closes_early_leaves_what_came() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let directory = scratch("tcp");
    let capture = Capture::start(directory.clone(), &[&port, "--save"]);
    let (mut board, _) = listener.accept().unwrap();
    board.write_all(&read_golden("truncated.log")).unwrap();
    drop(board);
    let ended = capture.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("`wramp done` never came"), "{}", ended.stderr);
    let saved = ended.stderr.lines().find_map(|line| line.strip_prefix("saved: ")).unwrap();
    let saved = directory.join(saved);
    assert!(saved.starts_with(directory.join("results/linux")), "{}", saved.display());
    assert_eq!(std::fs::read(saved.join("raw.log")).unwrap(), read_golden("truncated.log"));
    let machine = std::fs::read_to_string(saved.join("machine.txt")).unwrap();
    assert!(machine.contains("command: wramp capture tcp:"), "{machine}");
    let again = wramp(&["table", saved.to_str().unwrap(), "--show", "summary"]);
    assert!(again.status.success() && stdout(&again).contains("cpu"), "{}", stderr(&again));
}

/// Captures these bytes from a pipe to the end.
fn piped(name: &str, bytes: &[u8]) -> Ended {
    let mut capture = Capture::start(scratch(name), &["-"]);
    let mut board = capture.child.stdin.take().unwrap();
    board.write_all(bytes).unwrap();
    drop(board);
    capture.end()
}

#[test]
fn a_reset_is_told_when_it_happens_and_the_second_run_counts() {
    let log = read_golden("interleaved-reset.log");
    let ended = piped("reset", &log);
    assert!(ended.stderr.contains("the board began again"), "{}", ended.stderr);
    assert!(ended.stderr.contains("garbled"), "{}", ended.stderr);
    // The second run lost a digit.
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("incomplete: 1 record could not be read"), "{}", ended.stderr);
    // The record that the reset cut short belongs to the first run.
    let cut = support::board("mps2/an385", 32);
    let whole = format!("{}{cut}", &cut[..cut.find("wramp step").unwrap() + 60]);
    let ended = piped("reset-whole", whole.as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Where the board says that all is well but some of its records never came, that is no success.
#[test]
fn a_capture_that_lost_records_does_not_end_with_0() {
    let whole = support::board("mps2/an385", 32);
    let without = |what: &str| {
        whole
            .lines()
            .filter(|line| !line.contains(what))
            .map(|line| line.to_owned() + "\n")
            .collect::<String>()
    };
    assert_eq!(piped("lost-none", whole.as_bytes()).code, Some(0));
    let ended = piped("lost-end", without("wramp end workload=mem").as_bytes());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("the ramp of mem has no end"), "{}", ended.stderr);
    let ended = piped("lost-ramp", without("workload=mem").as_bytes());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("3 ramps ended, and only 2 are here"), "{}", ended.stderr);
    let garbled = whole.replacen("wramp part workload=cpu", "wramp part workload=cp", 1);
    let ended = piped("lost-digit", garbled.as_bytes());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    // A ramp that could not begin has a fault and no end; the board's own status counts.
    let ended = piped("nothing-ran", &read_golden("nothing-ran.log"));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn the_exit_status_is_what_the_board_says() {
    let mut capture = Capture::start(scratch("status"), &["-"]);
    let mut board = capture.child.stdin.take().unwrap();
    let done = wramp_core::report::Done { workloads: 0, errors: 3, faults: None, exit: 1 };
    let text = support::header("mps2/an385", 32)
        + &format!("{}\n", wramp_core::report::Record::from(done));
    board.write_all(text.as_bytes()).unwrap();
    let ended = capture.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn silence_ends_it_with_what_never_came() {
    let quiet = cable();
    let silent = Capture::start(scratch("silent"), &[&quiet.path, "--timeout", "1"]).end();
    assert_eq!(silent.code, Some(2), "{}", silent.stderr);
    assert!(silent.stderr.contains("nothing came from /dev/pts/"), "{}", silent.stderr);

    let mut talking = cable();
    let capture = Capture::start(scratch("half"), &[&talking.path, "--timeout", "1"]);
    talking.board.write_all(support::header("mps2/an385", 32).as_bytes()).unwrap();
    for line in &support::ramp(&support::PUBLISHED[0])[..9] {
        talking.board.write_all(line.as_bytes()).unwrap();
    }
    let half = capture.end();
    assert_eq!(half.code, Some(1), "{}", half.stderr);
    assert!(half.stderr.contains("cpu with 5 instances"), "{}", half.stderr);
}

#[test]
fn a_wrong_baud_rate_is_recognised() {
    let mut board = cable();
    let capture =
        Capture::start(scratch("baud"), &[&board.path, "--timeout", "1", "--baud", "9600"]);
    board.board.write_all(&read_golden("garbage.log")).unwrap();
    let ended = capture.end();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("another rate than --baud 9600"), "{}", ended.stderr);
}

#[test]
fn another_program_on_the_port_is_told_so() {
    let mut capture = Capture::start(scratch("other"), &["-"]);
    let mut board = capture.child.stdin.take().unwrap();
    board.write_all(&read_golden("other.log")).unwrap();
    drop(board);
    let ended = capture.end();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("does the board run wramp?"), "{}", ended.stderr);
    // Lines of others pass through.
    assert_eq!(ended.stdout, read_golden("other.log"));
}

#[test]
fn ctrl_c_ends_it_with_what_came() {
    let mut board = cable();
    let capture = Capture::start(scratch("interrupt"), &[&board.path]);
    board.board.write_all(support::header("mps2/an385", 32).as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let id = rustix::process::Pid::from_child(&capture.child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let ended = capture.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("ended by Ctrl-C"), "{}", ended.stderr);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("wramp run"));
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    for (port, words) in [
        ("/dev/ttyNOWHERE", "no port /dev/ttyNOWHERE; th"),
        ("/dev/null", "is not a serial port"),
        ("tcp:127.0.0.1:1", "start the other end first"),
        ("tcp:nowhere", "tcp:HOST:PORT"),
        (&support::golden("host.log"), "wramp table"),
    ] {
        let output = wramp(&["capture", port]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{port}: {said}");
        assert!(said.contains(words), "{port}: {said}");
    }
    let output = wramp(&["capture", "-", "--raw", "/no/such/place/raw.log"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/no/such/place/raw.log"), "{}", stderr(&output));
}

/// Lines of a board that somebody else wrote reach a terminal without what steers it. A pipe gets
/// every byte, because the next program reads records from it.
#[test]
fn a_terminal_gets_no_control_characters() {
    let directory = scratch("plain");
    let evil = b"\x1b]0;owned\x07 \x1b[2Jgone \x1b[1;31mred\x1b[0m \xc2\x9b2J \xe2\x80\xaeevil\n";
    let mut sent = evil.to_vec();
    sent.extend(read_golden("host.log"));
    let mut screen = cable();
    let shows = File::options().write(true).open(&screen.path).unwrap();
    let run = |out: Stdio| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wramp"))
            .args(["capture", "-", "--plain"])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&sent).unwrap();
        child
    };
    let mut child = run(Stdio::from(shows));
    let mut line = Vec::new();
    BufReader::new(&mut screen.board).read_until(b'\n', &mut line).unwrap();
    // Whoever captures must not wait for a screen that nobody reads.
    child.kill().unwrap();
    child.wait().unwrap();
    let line = String::from_utf8(line).unwrap();
    assert_eq!(
        line.trim_end(),
        "\u{fffd}]0;owned\u{fffd} \u{fffd}[2Jgone red \u{fffd}2J \u{fffd}evil"
    );
    let piped = run(Stdio::piped()).wait_with_output().unwrap();
    assert!(piped.stdout.starts_with(evil), "a pipe gets every byte");
}

/// The name of a board is whatever came over the cable.
#[test]
fn a_long_board_name_loses_no_run() {
    let directory = scratch("long");
    let mut text = String::new();
    for line in String::from_utf8(read_golden("host.log")).unwrap().lines() {
        let body = line.rsplit_once(" crc=").unwrap().0;
        let body = body.replace("board=linux", &format!("board={}", "b".repeat(300)));
        let crc = body.bytes().fold(0xFFFF, wramp_core::report::crc16);
        text += &format!("{body} crc={crc:04x}\n");
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_wramp"))
        .args(["capture", "-", "--save"])
        .current_dir(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let saved = said.lines().find_map(|line| line.strip_prefix("saved: ")).expect(&said);
    assert_eq!(std::fs::read_to_string(directory.join(saved).join("run.log")).unwrap(), text);
}

/// A capture of days is larger than this machine's memory: saving it takes no more than reading it.
#[test]
fn saving_a_long_log_takes_no_memory_for_it() {
    let directory = scratch("bounded");
    let raw = directory.join("board.txt");
    let mut file = std::io::BufWriter::new(File::create(&raw).unwrap());
    let log = read_golden("host.log");
    let end = log.windows(10).rposition(|part| part == b"wramp done").unwrap();
    file.write_all(&log[..end]).unwrap();
    let message = "*** Booting Zephyr OS build v4.1.0 ***\n".repeat(1000);
    for _ in 0..1200 {
        file.write_all(message.as_bytes()).unwrap();
    }
    file.write_all(&log[end..]).unwrap();
    drop(file);
    // KiB of writable memory; the log has twice as many.
    let limited = format!(
        "ulimit -d 24000 && exec {} capture - --save <board.txt >/dev/null",
        env!("CARGO_BIN_EXE_wramp")
    );
    let output =
        Command::new("sh").args(["-c", &limited]).current_dir(&directory).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let saved = said.lines().find_map(|line| line.strip_prefix("saved: ")).expect(&said);
    assert_eq!(std::fs::read(directory.join(saved).join("run.log")).unwrap(), log);
}

/// A board that stopped says no more, so nobody waits the whole timeout for it.
#[test]
fn a_fatal_error_ends_it_soon_with_the_boards_words() {
    let mut cable = cable();
    let capture = Capture::start(scratch("fatal"), &[&cable.path, "--timeout", "60"]);
    let begun = std::time::Instant::now();
    let log = read_golden("truncated.log");
    let end = log.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    cable.board.write_all(&log[..end]).unwrap();
    cable.board.write_all(b"E: >>> ZEPHYR FATAL ERROR 2: Stack overflow on CPU 0\r\n").unwrap();
    let ended = capture.end();
    assert!(begun.elapsed().as_secs() < 30, "it waited {:?}", begun.elapsed());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for words in ["the board stopped", "ZEPHYR FATAL ERROR 2: Stack overflow", "never came"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    drop(cable);
}
