//! A mix: modules side by side, each in the number that the user asks for.

use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;

use wramp_bench::Count;

/// One module of a mix: `FILE[:EXPORT][=N|=*]`, and after a number `:budget=INSTRUCTIONS`.
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
    /// Instructions that a call may take, where that is said.
    pub budget: Option<NonZeroU32>,
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let item = wramp_bench::Item::parse(text).ok_or_else(|| {
            format!(
                "`{text}`: FILE[:EXPORT][=N|=*], as in a.wasm=3 or b.wasm:tick=*; N is 1 or more; \
                 a budget comes after a number, as in a.wasm=3:budget=100000"
            )
        })?;
        Ok(Self {
            module: item.module.to_owned(),
            export: item.export.map(str::to_owned),
            count: item.count.unwrap_or(Count::Exactly(1)),
            budget: item.budget,
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

    /// The number as a person writes it, with the budget if there is one.
    #[must_use]
    pub fn asked(&self) -> String {
        let count = match self.count {
            Count::Most => "*".into(),
            Count::Exactly(count) => count.to_string(),
        };
        match self.budget {
            Some(budget) => format!("{count}:budget={budget}"),
            None => count,
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
    fn a_budget_comes_after_a_number() {
        let item = |text: &str| text.parse::<Item>();
        let three = item("a.wasm:tick=3:budget=100000").unwrap();
        assert_eq!((three.export.as_deref(), three.count), (Some("tick"), Count::Exactly(3)));
        assert_eq!(three.budget, NonZeroU32::new(100_000));
        assert_eq!(three.asked(), "3:budget=100000");
        assert_eq!(item("a.wasm=*:budget=7").unwrap().budget, NonZeroU32::new(7));
        // An export may have that name.
        let export = item("a.wasm:budget=3").unwrap();
        assert_eq!((export.export.as_deref(), export.budget), (Some("budget"), None));
        for text in ["a=1:budget=0", "a=1:budget=", "a=1:budget=x", "a=1:budget=4294967296"] {
            assert!(item(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["a=0", "a=-1", "a=", "a=4294967296", "a=x", "=3", ""] {
            assert!(item(text).is_err(), "{text}");
        }
    }
}
