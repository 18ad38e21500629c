//! Errors in the words of wramp, for all engines alike.

use std::fmt::{Arguments, Display};

use wramp_core::runtime::{Error, ErrorKind, MESSAGE_BYTES, Parameters};

/// An error. A text that is too long is cut.
#[cold]
pub fn error(kind: ErrorKind, message: Arguments<'_>) -> Error {
    use std::io::Write as _;

    let mut text = [0_u8; MESSAGE_BYTES];
    let mut rest = &mut text[..];
    // A message cut short is still a message.
    let _ = rest.write_fmt(message);
    let length = MESSAGE_BYTES - rest.len();
    Error::new(kind, &String::from_utf8_lossy(&text[..length]))
}

/// The arena could not serve so many bytes.
#[cold]
pub(crate) fn out_of_memory(bytes: u32) -> Error {
    error(ErrorKind::OutOfMemory, format_args!("the arena lacks {bytes} bytes"))
}

/// The module has no function of that name.
#[cold]
pub fn no_export(name: &str) -> Error {
    error(ErrorKind::NoExport, format_args!("the module exports no function `{name}`"))
}

/// The module imports something.
#[cold]
pub fn import(module: impl Display, name: impl Display) -> Error {
    error(ErrorKind::Import, format_args!("the module imports {module}.{name}"))
}

/// The export takes and gives so many values, or other types than the caller wants.
#[cold]
pub fn signature(parameters: Parameters, takes: usize, gives: usize) -> Error {
    let expected = match parameters {
        Parameters::None => "() -> i32",
        Parameters::I32 => "(i32) -> i32",
    };
    error(
        ErrorKind::Signature,
        format_args!(
            "expected {expected}; the export takes {takes} and gives {gives} values, or other \
             types"
        ),
    )
}

/// The stack is of another module than the instance.
#[cold]
pub fn wrong_module() -> Error {
    Error::new(ErrorKind::WrongModule, "the stack is of another module")
}
