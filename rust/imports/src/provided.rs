//! The table of everything that is provided: name, type, capability.

use core::fmt;

use wramp_core::host::FunctionNumber;

use crate::grants::Capability;

/// The type of a value that a function takes or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number of 32 bits.
    I32,
    /// A number of 64 bits.
    I64,
    /// A floating-point number of 32 bits.
    F32,
    /// A floating-point number of 64 bits.
    F64,
}

impl ValueType {
    /// The type that a module writes as that byte.
    #[must_use]
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            0x7f => Some(Self::I32),
            0x7e => Some(Self::I64),
            0x7d => Some(Self::F32),
            0x7c => Some(Self::F64),
            _ => None,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// A function that a guest can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provided {
    /// The module that it is imported from.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it takes.
    pub parameters: &'static [ValueType],
    /// What it gives.
    pub results: &'static [ValueType],
    /// The leave that it needs.
    pub needs: Option<Capability>,
}

macro_rules! functions {
    ($( $variant:ident = $module:ident . $name:ident ($($parameter:ident)*) ($($result:ident)?) $needs:expr; )*) => {
        /// A function of the host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Function {
            $(
                #[doc = concat!("`", stringify!($module), ".", stringify!($name), "`")]
                $variant,
            )*
            /// Does nothing: an import without a result that was given a stub.
            Stub,
        }

        impl Function {
            const ALL: &'static [Self] = &[$( Self::$variant, )* Self::Stub];
        }

        const PROVIDED: &[Provided] = &[$( Provided {
            module: stringify!($module),
            name: stringify!($name),
            parameters: &[$( ValueType::$parameter ),*],
            results: &[$( ValueType::$result )?],
            needs: $needs,
        }, )*];
    };
}

use Capability::{ClockMs as CLOCK_MS, Log as LOG, Receive as RECEIVE, Send as SEND};

functions! {
    Log = wramp.log (I32 I32) () Some(LOG);
    NowUs = wramp.now_us () (I64) None;
    Id = wramp.id () (I32) None;
    Send = wramp.send (I32 I32 I32) (I32) Some(SEND);
    Receive = wramp.receive (I32 I32) (I32) Some(RECEIVE);
    Wait = wramp.wait (I32) () None;
    Sleep = wramp.sleep (I32) () None;

    FdWrite = wasi_snapshot_preview1.fd_write (I32 I32 I32 I32) (I32) Some(LOG);
    ProcExit = wasi_snapshot_preview1.proc_exit (I32) () None;
    ClockTimeGet = wasi_snapshot_preview1.clock_time_get (I32 I64 I32) (I32) None;
    ClockResGet = wasi_snapshot_preview1.clock_res_get (I32 I32) (I32) None;
    RandomGet = wasi_snapshot_preview1.random_get (I32 I32) (I32) None;
    ArgsSizesGet = wasi_snapshot_preview1.args_sizes_get (I32 I32) (I32) None;
    ArgsGet = wasi_snapshot_preview1.args_get (I32 I32) (I32) None;
    EnvironSizesGet = wasi_snapshot_preview1.environ_sizes_get (I32 I32) (I32) None;
    EnvironGet = wasi_snapshot_preview1.environ_get (I32 I32) (I32) None;
    FdClose = wasi_snapshot_preview1.fd_close (I32) (I32) None;
    FdSeek = wasi_snapshot_preview1.fd_seek (I32 I64 I32 I32) (I32) None;
    FdRead = wasi_snapshot_preview1.fd_read (I32 I32 I32 I32) (I32) None;
    FdFdstatGet = wasi_snapshot_preview1.fd_fdstat_get (I32 I32) (I32) None;
    FdPrestatGet = wasi_snapshot_preview1.fd_prestat_get (I32 I32) (I32) None;
    FdPrestatDirName = wasi_snapshot_preview1.fd_prestat_dir_name (I32 I32 I32) (I32) None;
    SchedYield = wasi_snapshot_preview1.sched_yield () (I32) None;

    Abort = env.abort (I32 I32 I32 I32) () None;
    ClockMs = env.clock_ms () (I64) Some(CLOCK_MS);
}

/// Every function that can be imported.
#[must_use]
pub const fn provided() -> &'static [Provided] {
    PROVIDED
}

/// The function of those names.
pub(crate) fn find(module: &[u8], name: &[u8]) -> Option<(Function, &'static Provided)> {
    let at = PROVIDED
        .iter()
        .position(|known| known.module.as_bytes() == module && known.name.as_bytes() == name)?;
    Some((Function::ALL[at], &PROVIDED[at]))
}

/// The function with that number.
#[must_use]
pub fn function(number: FunctionNumber) -> Option<Function> {
    Function::ALL.get(usize::from(number.0)).copied()
}

impl Function {
    /// Its number, by which an engine knows it.
    #[must_use]
    pub const fn number(self) -> FunctionNumber {
        FunctionNumber(self as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_that_of_its_function() {
        for (at, &known) in Function::ALL.iter().enumerate() {
            assert_eq!(usize::from(known.number().0), at);
            assert_eq!(function(known.number()), Some(known));
        }
        assert_eq!(function(FunctionNumber(Function::Stub.number().0 + 1)), None);
        assert_eq!(Function::ALL.len(), PROVIDED.len() + 1);
    }
}
