//! The seam from an engine back to the host: what a guest's imports reach.
//!
//! An engine that links imports knows three things of them: which number an import has
//! ([`Links`]), whom a call goes to ([`Host`]), and where that stands for an instance
//! ([`Desk`]). What the functions do is none of its business: see the crate `wramp-imports`.

use crate::runtime::Message;

/// The number of a function of the host. The engine keeps it and passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionNumber(pub u16);

/// Decides which import of a module is which function of the host.
pub trait Links {
    /// The number of the module's import `index`, counted over its functions only. `None` if
    /// there is no such function, or if the module may not have it: the engine then refuses
    /// the module.
    fn link(&self, index: u32) -> Option<FunctionNumber>;
}

/// The host, as a guest's call sees it. One value serves all instances of a run.
pub trait Host: Sync {
    /// Makes the call of a guest.
    ///
    /// `id` is the instance that calls. `memory` is its linear memory, empty if it has none.
    /// `values` holds the arguments, one each; a shorter type stands in the low bits and what
    /// stands above is not defined. The result goes into the first of them, so there is always
    /// at least one.
    ///
    /// # Errors
    /// A text: the engine ends the guest's call with a trap that says it.
    fn call(
        &self,
        id: u32,
        function: FunctionNumber,
        memory: &mut [u8],
        values: &mut [u64],
    ) -> Result<(), Message>;
}

/// Where an instance's calls go. The engine keeps a pointer to it in the instance.
#[derive(Clone, Copy)]
pub struct Desk<'h> {
    /// The host.
    pub host: &'h dyn Host,
    /// The number of the instance.
    pub id: u32,
}

impl core::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Desk").field("id", &self.id).finish_non_exhaustive()
    }
}
