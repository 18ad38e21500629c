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
        let (rest, count) = match text.rsplit_once('=') {
            None => (text, Count::Exactly(1)),
            Some((rest, "*")) => (rest, Count::Most),
            Some((rest, number)) => match number.parse() {
                Ok(count) if count > 0 => (rest, Count::Exactly(count)),
                _ => return Err(format!("`={number}`: the number is 1 or more, or *")),
            },
        };
        let (module, export) = match rest.rsplit_once(':') {
            Some((module, export)) if !export.contains('/') && !export.is_empty() => {
                (module, Some(export.to_owned()))
            }
            _ => (rest, None),
        };
        if module.is_empty() {
            return Err("FILE[:EXPORT][=N|=*], as in a.wasm=3 or b.wasm:tick=*".into());
        }
        Ok(Self { module: module.to_owned(), export, count })
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
