//! The seam to an engine: load, instantiate, call, in WebAssembly's nouns.
//!
//! The bench reaches an engine only through [`Runtime`]. Ownership mirrors what engines demand:
//!
//! - a [`Module`](Runtime::Module) outlives its instances;
//! - a [`Stack`](Runtime::Stack) belongs to one thread and one module;
//! - one thread at a time enters an instance, because a call takes it by `&mut`.

use core::fmt;

use crate::host::{Desk, Links};
use crate::measure::Bytes;
use crate::state::{Malformed, Refused, Shape, Sink, Source};

/// Longest text that an [`Error`] carries, in bytes. A longer text is cut.
pub const MESSAGE_BYTES: usize = 96;

/// A short text by value. It keeps an engine's own words without allocating.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message {
    bytes: [u8; MESSAGE_BYTES],
    length: u8,
}

impl Message {
    /// Keeps as many whole characters of `text` as fit into [`MESSAGE_BYTES`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut message = Self { bytes: [0; MESSAGE_BYTES], length: 0 };
        message.append(text);
        message
    }

    /// Does the same with raw bytes, up to the first NUL or the end. Bytes that are not UTF-8
    /// become `?`.
    #[must_use]
    pub fn from_bytes(text: &[u8]) -> Self {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut message = Self::new("");
        for chunk in text.utf8_chunks() {
            let invalid = if chunk.invalid().is_empty() { "" } else { "?" };
            // Once a character is cut off, the rest must go too: it would look adjacent.
            if !(message.append(chunk.valid()) && message.append(invalid)) {
                break;
            }
        }
        message
    }

    /// Formats a text, and keeps its beginning.
    #[must_use]
    pub fn format(text: fmt::Arguments<'_>) -> Self {
        let mut message = Self::new("");
        // A longer text is cut.
        let _ = fmt::Write::write_fmt(&mut message, text);
        message
    }

    /// Appends as many whole characters as there is room for. True if that was all of them.
    fn append(&mut self, text: &str) -> bool {
        let begin = usize::from(self.length);
        let mut length = text.len().min(MESSAGE_BYTES - begin);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.bytes[begin..begin + length].copy_from_slice(&text.as_bytes()[..length]);
        // MESSAGE_BYTES fits a u8.
        self.length += length as u8;
        length == text.len()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or("?")
    }
}

/// Appends text, of which it keeps what there is room for. It is an error to be cut, as ever.
impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.append(text) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! error_kinds {
    ($( $(#[$doc:meta])* $name:ident = $word:literal, )*) => {
        /// What went wrong, sorted by what to do about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ErrorKind {
            $( $(#[$doc])* $name, )*
        }

        impl ErrorKind {
            /// Every kind, in the order of its number.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// The word for this kind in a record.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$name => $word, )*
                }
            }

            /// The kind with that number: the inverse of `kind as u8`.
            #[must_use]
            pub fn from_u8(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }
        }
    };
}

error_kinds! {
    /// The arena could not serve an allocation: a larger arena, or fewer instances.
    OutOfMemory = "out-of-memory",
    /// The bytes are not a WebAssembly module the engine accepts: mend the module.
    Malformed = "malformed",
    /// The module imports what it may not have: link it without.
    Import = "import",
    /// The module does not export that function: name another.
    NoExport = "no-export",
    /// The export takes or gives what wramp does not call: wrap it in one that fits.
    Signature = "signature",
    /// The guest trapped (unreachable, out of bounds, division by zero ...).
    Trap = "trap",
    /// The interpreter's stack is too small for this call: a larger wasm stack.
    WasmStack = "wasm-stack",
    /// The thread's native stack is too small for the engine: larger slots.
    NativeStack = "native-stack",
    /// The call used up its instruction budget and was ended.
    Budget = "budget",
    /// A stack met an instance that is not of its module: a bug in the caller.
    WrongModule = "wrong-module",
    /// The engine could not be set up, or lacks what was asked of it.
    Engine = "engine",
    /// The call returned, but not what the reference says. The bench finds this.
    WrongResult = "wrong-result",
    /// The call has not returned for longer than a run waits. The bench finds this.
    Stuck = "stuck",
    /// The engine, or what the module uses, does not let an instance be parked.
    NotParkable = "not-parkable",
    /// An instance's state outgrew what one instance may park: a larger park budget.
    ParkBudget = "park-budget",
    /// A parked state does not open: a bug in the caller, or damage.
    ParkedState = "parked-state",
}

/// An engine's failure: what to do about it, and the engine's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What to do about it.
    pub kind: ErrorKind,
    /// The engine's own words, cut at [`MESSAGE_BYTES`].
    pub message: Message,
}

impl Error {
    /// An error of that kind, in those words.
    #[must_use]
    pub fn new(kind: ErrorKind, message: &str) -> Self {
        Self { kind, message: Message::new(message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.message, f)
    }
}

impl core::error::Error for Error {}

/// What a workload's export takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// `() -> i32`
    None,
    /// `(i32) -> i32`
    I32,
}

/// A module's bytes, and whether they need a copy.
#[derive(Clone, Copy, Debug)]
pub enum ModuleBytes<'b> {
    /// Bytes that never move and never change (flash, `.rodata`). An engine that never writes
    /// to a module and can run it in place does so.
    Static(&'static [u8]),
    /// Bytes that may go away after the load. The engine copies them into the arena.
    Borrowed(&'b [u8]),
}

impl<'b> ModuleBytes<'b> {
    /// The bytes, wherever they live.
    #[must_use]
    pub fn bytes(self) -> &'b [u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Borrowed(bytes) => bytes,
        }
    }
}

/// What an engine loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// A WebAssembly module in the binary format.
    Wasm,
    /// Machine code made from it ahead of time.
    Native,
}

impl Artefact {
    /// The word for it in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Native => "native",
        }
    }
}

/// How an instance gets the stack that its calls run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackKind {
    /// [`Runtime::stack`] reserves all of it.
    Reserved,
    /// It grows in the arena as calls need it. The size asked for is its limit.
    Grown,
    /// [`Runtime::instantiate`] reserves all of it: it is a part of the instance.
    OfInstance,
}

/// What an engine is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The engine's name: `wamr`.
    pub name: &'static str,
    /// Its version: `2.4.5`.
    pub version: &'static str,
    /// The kind of interpreter: `classic`, `fast`.
    pub interpreter: &'static str,
    /// How the compiler optimised the interpreter (`Os`, `O2`), if the build says so.
    pub interpreter_opt: Option<&'static str>,
    /// Block ends that a stack of the interpreter remembers, if that is a knob.
    pub block_cache: Option<u32>,
    /// Whether compiled modules are supported, if the build says so.
    pub aot: Option<bool>,
    /// What was corrected in the engine's own source before it was compiled: names joined by
    /// `+`. `none` where no fault is known; `unlisted` among them where nobody has looked at
    /// this source, so that the engine tests itself when it starts.
    pub fixes: &'static str,
    /// What it loads.
    pub artefact: Artefact,
    /// Whether a loaded module's bytes are copied into the arena.
    pub copies_modules: bool,
    /// Whether a call can be ended after a number of instructions.
    pub meters: bool,
    /// How instances get a stack.
    pub stack: StackKind,
    /// Whether one stack may serve every instance of its module. An instance without a thread
    /// then costs no interpreter stack. A pool needs this.
    pub shares_stack: bool,
    /// Reserve at the end of a thread's native stack. The engine ends a call that reaches it.
    pub stack_guard: Bytes,
    /// Whether a failed allocation is an error rather than the end of the program.
    pub survives_out_of_memory: bool,
}

/// What the bytes of an instance are for. These are the bytes that the engine asked the arena
/// for, without what the arena's allocator adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Its own copy of the module.
    pub module: Bytes,
    /// The module instance itself, its tables, and everything without a part of its own.
    pub module_instance: Bytes,
    /// The table of its functions.
    pub function_table: Bytes,
    /// The table of its exports.
    pub export_table: Bytes,
    /// Its globals.
    pub globals: Bytes,
    /// Its linear memory.
    pub linear_memory: Bytes,
    /// WAMR's execution environment, without the next two parts.
    pub environment: Bytes,
    /// The interpreter's cache of block ends.
    pub block_cache: Bytes,
    /// The interpreter's stack.
    pub wasm_stack: Bytes,
}

impl Parts {
    /// Each part with its word in a record.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Bytes)> + use<> {
        [
            ("module", self.module),
            ("module-instance", self.module_instance),
            ("function-table", self.function_table),
            ("export-table", self.export_table),
            ("globals", self.globals),
            ("linear-memory", self.linear_memory),
            ("environment", self.environment),
            ("block-cache", self.block_cache),
            ("wasm-stack", self.wasm_stack),
        ]
        .into_iter()
    }

    /// The sum of all parts.
    #[must_use]
    pub fn sum(&self) -> Bytes {
        self.iter().fold(Bytes(0), |sum, (_, bytes)| sum.saturating_add(bytes))
    }
}

/// The error of an engine that gives a module no imports.
#[cold]
fn links_nothing() -> Error {
    Error::new(ErrorKind::Import, "this engine gives a module no imports: link it without")
}

/// An engine.
///
/// An implementation has three duties:
///
/// - It MUST take all its memory from the one arena that it was made with.
/// - It MUST leave the arena as it found it once everything that it created is dropped.
/// - It MUST be callable from several threads, each with its own instance.
pub trait Runtime: Sync {
    /// Whether instances can be parked: [`shape`](Self::shape), [`park`](Self::park),
    /// [`revive`](Self::revive), [`reset`](Self::reset) and [`changed`](Self::changed) do more
    /// than refuse.
    ///
    /// It is a constant and no member of [`Facts`], so that a build without parking carries no
    /// code for it.
    const PARKS: bool = false;

    /// A loaded module. Instances borrow it, so it outlives them.
    type Module<'r>: Sync
    where
        Self: 'r;
    /// An instance of a module. It may move to another thread between calls.
    type Instance<'m>: Send
    where
        Self: 'm;
    /// What calls run on: an interpreter's stack and the engine's state of one thread. It
    /// belongs to one module and to the thread that made it, so it MUST NOT be `Send`.
    type Stack<'m>
    where
        Self: 'm;

    /// What does not change. The facts are known before there is an engine, so a run in which
    /// no engine starts can still name it.
    fn facts() -> Facts;

    /// Begins to note what the start of an instance allocates, until [`noted`](Self::noted) is
    /// called.
    ///
    /// `place` numbers the modules of a ramp from 0. Place 0 forgets what was noted before.
    /// Only one thread may allocate meanwhile.
    fn note(&self, place: usize);

    /// Ends the note and says what was allocated since [`note`](Self::note). That is an
    /// instance and, if it has its own, its stack of the given size. `None` where the engine
    /// cannot account for all of it.
    fn noted(
        &self,
        instance: &Self::Instance<'_>,
        stack: Option<(&Self::Stack<'_>, Bytes)>,
    ) -> Option<Parts>;

    /// Notes a block that the host takes from the arena for the instance whose start is being
    /// noted. It is no part of the instance, and the replay repeats it.
    #[inline]
    fn note_beside(&self, _bytes: Bytes) {}

    /// How many more instances the arena holds, up to `most`.
    ///
    /// The engine repeats the allocations that were noted at places 0 to `places - 1`, in turn,
    /// until one fails. Then it gives all of them back. `None` where nothing was noted or there
    /// was too much to keep.
    fn how_many_more(&self, places: usize, most: u32) -> Option<u32>;

    /// Bytes that the arena could not serve since this was last asked, and that came from
    /// elsewhere so that the engine could report an error. 0 for an engine that does not end
    /// the program when an allocation fails.
    #[inline]
    fn take_overdraft(&self) -> Bytes {
        Bytes(0)
    }

    /// Loads, validates and prepares a module.
    ///
    /// # Errors
    /// `Malformed`, `Import`, `OutOfMemory`.
    fn load<'r>(&'r self, bytes: ModuleBytes<'_>) -> Result<Self::Module<'r>, Error>;

    /// Whether it can give a module imports: [`load_linked`](Self::load_linked) and
    /// [`instantiate_linked`](Self::instantiate_linked).
    const LINKS: bool = false;

    /// Loads a module whose imports are functions of the host.
    ///
    /// # Errors
    /// As [`load`](Self::load). `Import` also if `links` refuses one, or the engine links none.
    fn load_linked<'r>(
        &'r self,
        _bytes: ModuleBytes<'_>,
        _links: &dyn Links,
    ) -> Result<Self::Module<'r>, Error> {
        Err(links_nothing())
    }

    /// Instantiates a module that was loaded with its imports. The calls of the instance go to
    /// `desk`, also from its start function and from `_initialize`, which runs if the module
    /// exports such a function without parameters and results. `budget` bounds each of the two
    /// as it bounds a call.
    ///
    /// # Errors
    /// As [`instantiate`](Self::instantiate).
    fn instantiate_linked<'m>(
        &'m self,
        _module: &'m Self::Module<'_>,
        _export: &str,
        _parameters: Parameters,
        _stack: Bytes,
        _budget: Option<u32>,
        _desk: &'m Desk<'m>,
    ) -> Result<Self::Instance<'m>, Error> {
        Err(links_nothing())
    }

    /// Instantiates a module and looks up the export that every call will enter.
    /// `stack` bounds the interpreter stack of a start function.
    ///
    /// # Errors
    /// `OutOfMemory`, `NoExport`, `Signature`, or what the start function did.
    fn instantiate<'m>(
        &'m self,
        module: &'m Self::Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
    ) -> Result<Self::Instance<'m>, Error>;

    /// [`instantiate`](Self::instantiate), with a start function that ends after about `budget`
    /// instructions if [`Facts::meters`] says so. An engine that does not meter ignores it.
    ///
    /// # Errors
    /// As [`instantiate`](Self::instantiate), and `Budget`.
    fn instantiate_within<'m>(
        &'m self,
        module: &'m Self::Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
        budget: Option<u32>,
    ) -> Result<Self::Instance<'m>, Error> {
        let _ = budget;
        self.instantiate(module, export, parameters, stack)
    }

    /// How many allocations the arena has refused so far, modulo 2^32. A guest sees a refusal of
    /// `memory.grow`, and computes something else from then on. Always 0 where the engine does
    /// not know.
    fn refusals(&self) -> u32 {
        0
    }

    /// Prepares the calling thread for calls of `module`'s instances, on a stack of `size`
    /// bytes. `first` is one of these instances, because some engines need one to begin with.
    ///
    /// # Errors
    /// `OutOfMemory`, `WrongModule`, `Engine`.
    fn stack<'m>(
        &'m self,
        module: &'m Self::Module<'_>,
        first: &Self::Instance<'_>,
        size: Bytes,
    ) -> Result<Self::Stack<'m>, Error>;

    /// Calls the instance's export.
    ///
    /// An export without a parameter ignores `argument`. `budget` ends the call after about
    /// that many instructions if [`Facts::meters`] says so, and is ignored otherwise.
    ///
    /// The call allocates nothing, formats nothing and locks nothing unless the guest fails.
    /// The instance can be called again after an error.
    ///
    /// # Errors
    /// `Trap`, `WasmStack`, `NativeStack`, `Budget`. `WrongModule` if the instance is not of
    /// the stack's module, or if the stack serves one instance only and this is another.
    fn call(
        &self,
        stack: &mut Self::Stack<'_>,
        instance: &mut Self::Instance<'_>,
        argument: i32,
        budget: Option<u32>,
    ) -> Result<i32, Error>;

    /// What the states of a module's instances look like.
    ///
    /// # Errors
    /// `NotParkable` if a state cannot be captured in full. The message names the feature.
    fn shape(&self, module: &Self::Module<'_>) -> Result<Shape, Error> {
        let _ = module;
        Err(cannot_park())
    }

    /// Writes an instance's state and makes the instance **blank**, whatever is returned.
    ///
    /// A blank instance is as its module's segments and initial values say, before its start
    /// function ran. It holds nothing of the one that was parked. The state of an instance that
    /// was never called is therefore parked once, and a new instance begins as a copy of that.
    ///
    /// Returns the blocks of memory that differed from the blank one, in the engine's unit.
    ///
    /// # Errors
    /// Those of the sink. Then the state is lost but for the record that was parked before.
    fn park(&self, instance: &mut Self::Instance<'_>, to: &mut dyn Sink) -> Result<u32, Refused> {
        let (_, _) = (instance, to);
        Err(Refused::Unknown)
    }

    /// Turns a blank instance of the same module into the one that was parked.
    ///
    /// # Errors
    /// `ParkedState`, or `OutOfMemory` if the state's memory is larger than the arena's holes.
    /// The instance is then neither: [`reset`](Self::reset) makes it blank.
    fn revive(
        &self,
        instance: &mut Self::Instance<'_>,
        from: &mut dyn Source,
    ) -> Result<(), Error> {
        let (_, _) = (instance, from);
        Err(cannot_park())
    }

    /// Makes any instance blank and writes no record.
    fn reset(&self, instance: &mut Self::Instance<'_>) {
        let _ = instance;
    }

    /// In how many bytes of memory two records of one instance differ, in whole blocks: what the
    /// calls in between made dirty.
    ///
    /// # Errors
    /// One of them is no record of this module.
    fn changed(
        &self,
        module: &Self::Module<'_>,
        before: &mut dyn Source,
        after: &mut dyn Source,
    ) -> Result<Bytes, Malformed> {
        let (_, _, _) = (module, before, after);
        Err(Malformed)
    }
}

#[cold]
fn cannot_park() -> Error {
    Error::new(ErrorKind::NotParkable, "the engine cannot park")
}
