//! The guests of `--scenario messages`, which are in this program.

use wramp_core::runtime::Parameters;
use wramp_imports::{Capability, Grants};

use crate::model::own::OwnModule;
use crate::problem::Problem;

/// Each guest's name and text. What it sends whom is in its first lines.
const GUESTS: [(&str, &str); 3] = [
    ("ring", include_str!("../../../../wat/host/ring.wat")),
    ("fan_in", include_str!("../../../../wat/host/fan_in.wat")),
    ("pipeline", include_str!("../../../../wat/host/pipeline.wat")),
];

/// What they need leave for.
pub const GRANTS: Grants<'static> = Grants::NONE.allow(Capability::Send).allow(Capability::Receive);

/// The guests, in the order of their ramps.
///
/// # Errors
/// A text that is none, which a test excludes.
pub fn guests() -> Result<Vec<OwnModule>, Problem> {
    let guest = |(name, text): (&str, &str)| {
        let wasm = wat::parse_str(text);
        let wasm = wasm.map_err(|error| Problem::new(format!("wat/host/{name}.wat: {error}")))?;
        Ok(OwnModule {
            name: name.to_owned(),
            wasm,
            export: "wramp_poll".to_owned(),
            parameters: Parameters::None,
            has_start: false,
            needs_host: true,
            receives: true,
        })
    };
    GUESTS.into_iter().map(guest).collect()
}

#[cfg(test)]
mod tests {
    use wramp_modules::guest;

    use super::*;

    #[test]
    fn each_may_have_its_imports_and_has_the_export() {
        let guests = guests().unwrap();
        assert_eq!(guests.len(), 3);
        for OwnModule { name, wasm, export, .. } in &guests {
            assert_eq!(guest::check(wasm, None, &GRANTS).as_ref(), Ok(export), "{name}");
            assert!(guest::receives(wasm), "{name}");
        }
    }
}
