//! What engines behind the `Runtime` seam have in common when a session serves them.

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Artefact, Error, Facts, StackKind};

use crate::error::wrong_module;
use crate::{Lane, Session};

/// The facts of an engine that loads WebAssembly, whose stacks grow, and which has none of
/// WAMR's switches. An engine overrides where it differs.
#[must_use]
pub const fn facts(name: &'static str, version: &'static str, interpreter: &'static str) -> Facts {
    Facts {
        name,
        version,
        interpreter,
        interpreter_opt: None,
        block_cache: None,
        aot: None,
        fixes: "none",
        artefact: Artefact::Wasm,
        copies_modules: false,
        meters: false,
        stack: StackKind::Grown,
        shares_stack: true,
        stack_guard: Bytes(0),
        survives_out_of_memory: false,
    }
}

/// A thread's right to call instances of one module.
#[derive(Debug)]
pub struct Stack<'m> {
    lane: Lane<'m>,
    module: u32,
}

impl<'m> Stack<'m> {
    /// A stack for instances of the module `module`, of which `first` MUST be one. `of_a_call`
    /// is what [`Session::lane`] calls `first`.
    ///
    /// # Errors
    /// `WrongModule`, `OutOfMemory`.
    pub fn new(
        session: &'m Session<'_>,
        module: u32,
        first: u32,
        of_a_call: &[usize],
    ) -> Result<Self, Error> {
        if first != module {
            return Err(wrong_module());
        }
        Ok(Self { lane: session.lane(of_a_call)?, module })
    }

    /// The lane for a call of an instance of the module `module`.
    ///
    /// # Errors
    /// `WrongModule`.
    #[inline]
    pub fn lane_for(&mut self, module: u32) -> Result<&mut Lane<'m>, Error> {
        if module == self.module { Ok(&mut self.lane) } else { Err(wrong_module()) }
    }

    /// The sizes of the blocks that this thread keeps from call to call, in bytes.
    #[must_use]
    pub fn kept(&self) -> Vec<usize> {
        self.lane.kept()
    }
}

/// The types and methods of `Runtime` that are the same for every engine with a `session`. It
/// stands in the `impl`, and takes the names of the engine's own module and instance.
#[macro_export]
macro_rules! runtime_on_a_session {
    ($module:ident, $instance:ident) => {
        type Module<'r>
            = $module<'r>
        where
            Self: 'r;
        type Instance<'m>
            = $instance<'m>
        where
            Self: 'm;
        type Stack<'m>
            = $crate::Stack<'m>
        where
            Self: 'm;

        fn note(&self, place: usize) {
            self.session.note(place);
        }

        fn noted(
            &self,
            _: &$instance<'_>,
            stack: Option<(&$crate::Stack<'_>, wramp_core::measure::Bytes)>,
        ) -> Option<wramp_core::runtime::Parts> {
            self.session.noted(stack.is_some())
        }

        fn how_many_more(&self, _places: usize, most: u32) -> Option<u32> {
            self.session.how_many_more(most)
        }

        fn take_overdraft(&self) -> wramp_core::measure::Bytes {
            self.session.take_overdraft()
        }
    };
}
