//! A mix: modules side by side, each in the number that the user asks for.

use std::path::Path;
use std::str::FromStr;

use wramp_bench::Count;

/// One module of a mix: `FILE[:EXPORT][=N|=*]`.
///
/// Without a number it is 1 instance. `*` is as many as fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// A file, or the name of a built-in workload.
    pub module: String,
    /// The export that each call enters, where it is named.
    pub export: Option<String>,
    /// How many instances.
    pub count: Count,
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let item = wramp_bench::Item::parse(text).ok_or_else(|| {
            format!(
                "`{text}`: FILE[:EXPORT][=N|=*], as in a.wasm=3 or b.wasm:tick=*; N is 1 or more"
            )
        })?;
        Ok(Self {
            module: item.module.to_owned(),
            export: item.export.map(str::to_owned),
            count: item.count.unwrap_or(Count::Exactly(1)),
        })
    }
}

impl Item {
    /// What the module is called in records: the file's name without its ending.
    #[must_use]
    pub fn name(&self) -> String {
        let stem = Path::new(&self.module).file_stem();
        stem.map_or_else(|| self.module.clone(), |stem| stem.to_string_lossy().into_owned())
    }

    /// Whether this is the name of a built-in workload and not a file.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        wramp_workloads::find(&self.module).is_some()
    }

    /// The number as a person writes it.
    #[must_use]
    pub fn asked(&self) -> String {
        match self.count {
            Count::Most => "*".into(),
            Count::Exactly(count) => count.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Result<(String, Option<String>, Count), String> {
        text.parse().map(|item: Item| (item.module, item.export, item.count))
    }

    #[test]
    fn a_number_a_star_or_one() {
        assert_eq!(item("a.wasm"), Ok(("a.wasm".into(), None, Count::Exactly(1))));
        assert_eq!(item("d/a.wasm=3"), Ok(("d/a.wasm".into(), None, Count::Exactly(3))));
        assert_eq!(item("a.wasm:tick=*"), Ok(("a.wasm".into(), Some("tick".into()), Count::Most)));
        // A colon of a directory is none of an export.
        assert_eq!(item("x:y/a.wasm"), Ok(("x:y/a.wasm".into(), None, Count::Exactly(1))));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["a=0", "a=-1", "a=", "a=4294967296", "a=x", "=3", ""] {
            assert!(item(text).is_err(), "{text}");
        }
    }
}
