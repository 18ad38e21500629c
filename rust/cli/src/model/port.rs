//! The port that a capture reads: a serial port, a PTY, a TCP socket or stdin.
//!
//! If one cannot be opened, the message says what to do: which ports there are, which group may
//! open it, which program to start first.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use crate::problem::Problem;

/// How long a read of a port may block.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a host may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Opens `-` (stdin), `tcp:HOST:PORT`, or the path of a serial port or PTY.
///
/// # Errors
/// Where it cannot be opened. The sentence says what to change.
pub fn open(name: &str, baud: u32) -> Result<Box<dyn Read + Send>, Problem> {
    if name == "-" {
        return Ok(Box::new(io::stdin()));
    }
    if let Some(address) = name.strip_prefix("tcp:") {
        return connect(address);
    }
    let path = Path::new(name);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(no_port(name)),
        Err(error) => Err(Problem::new(format!("{name}: {error}"))),
        Ok(found) if found.is_file() => Err(Problem::new(format!(
            "{name} is a file: read it with `wramp table {name}`, or pipe it into `wramp capture -`"
        ))),
        Ok(found) if !found.file_type().is_char_device() => {
            Err(Problem::new(format!("{name} is not a serial port; {}", ports())))
        }
        Ok(_) => serialport::new(name, baud)
            .timeout(GLANCE)
            .open_native()
            .map(|port| Box::new(port) as Box<dyn Read + Send>)
            .map_err(|error| refused(path, baud, &error)),
    }
}

fn connect(address: &str) -> Result<Box<dyn Read + Send>, Problem> {
    let shape =
        || Problem::new(format!("tcp:{address}: give tcp:HOST:PORT, as in tcp:127.0.0.1:5555"));
    let found = address.to_socket_addrs().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => shape(),
        _ => Problem::new(format!("tcp:{address}: {error}")),
    })?;
    let mut last = None;
    for candidate in found {
        match TcpStream::connect_timeout(&candidate, CONNECT) {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => last = Some(error),
        }
    }
    let last = last.ok_or_else(shape)?;
    Err(Problem::new(format!(
        "tcp:{address}: {last}: start the other end first (QEMU: -serial tcp:{address},server=on)"
    )))
}

fn no_port(name: &str) -> Problem {
    Problem::new(format!("no port {name}; {}", ports()))
}

/// The serial ports of this machine, in a sentence.
fn ports() -> String {
    let mut names: Vec<String> = serialport::available_ports()
        .unwrap_or_default()
        .into_iter()
        .map(|port| port.port_name)
        .collect();
    names.sort();
    if names.is_empty() {
        "this machine has no serial port: is the board plugged in?".into()
    } else {
        format!("there are: {}", names.join(", "))
    }
}

fn refused(path: &Path, baud: u32, error: &serialport::Error) -> Problem {
    let name = path.display();
    let words = error.description.to_ascii_lowercase();
    let denied = error.kind() == serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied);
    if denied || words.contains("permission denied") {
        let group = fs::metadata(path).ok().and_then(|found| {
            group_name(&fs::read_to_string("/etc/group").unwrap_or_default(), found.gid())
        });
        return Problem::new(denied_words(&name.to_string(), group.as_deref()));
    }
    if words.contains("busy") {
        return Problem::new(format!(
            "{name} is in use: close the other program that reads it (a terminal, a monitor)"
        ));
    }
    if words.contains("not a typewriter") || words.contains("inappropriate ioctl") {
        return Problem::new(format!("{name} is not a serial port; {}", ports()));
    }
    Problem::new(format!("{name} at {baud} baud: {error}"))
}

fn denied_words(name: &str, group: Option<&str>) -> String {
    match group {
        Some(group) => format!(
            "no permission to open {name}: it belongs to group {group}; \
             `sudo usermod -aG {group} $USER`, then log in again"
        ),
        None => format!("no permission to open {name}: ask who administers this machine"),
    }
}

/// The name of a group in the text of `/etc/group`.
fn group_name(groups: &str, id: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_may_not_be_opened_names_its_group() {
        let groups = "root:x:0:\ndialout:x:20:someone\n";
        assert_eq!(group_name(groups, 20).as_deref(), Some("dialout"));
        assert_eq!(group_name(groups, 21), None);
        let words = denied_words("/dev/ttyUSB0", Some("dialout"));
        assert!(words.contains("belongs to group dialout"), "{words}");
        assert!(words.contains("usermod -aG dialout"), "{words}");
    }
}
