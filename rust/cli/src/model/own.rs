//! A user's module as a guest: read, checked, and with the types of its export.

use std::path::Path;

use wramp_bench::{Agreement, Check, Count, Guest};
use wramp_core::runtime::{ModuleBytes, Parameters};
use wramp_imports::Grants;
use wramp_modules::guest;

use crate::model::mix::Item;
use crate::model::module;
use crate::problem::Problem;

/// A user's module, read and compiled.
#[derive(Clone, Debug)]
pub struct OwnModule {
    /// The name in records: that of the file, without its ending.
    pub name: String,
    /// The module in the binary format.
    pub wasm: Vec<u8>,
    /// The export that each call enters.
    pub export: String,
    /// What the export takes.
    pub parameters: Parameters,
    /// Whether a function of its own runs when it is instantiated.
    pub has_start: bool,
    /// Whether its instances need more of their host than calls of an i32.
    pub needs_host: bool,
    /// Whether it takes messages.
    pub receives: bool,
}

impl OwnModule {
    /// Reads a module, refuses what cannot run, and finds out what its export takes. `option` is
    /// the option that named the file.
    ///
    /// # Errors
    /// A file that cannot be read, or a module that cannot be a guest.
    pub fn read(
        option: &str,
        path: &str,
        export: Option<&str>,
        grants: &Grants<'_>,
    ) -> Result<Self, Problem> {
        let named = |problem| Problem::new(format!("{option} {path}: {problem}"));
        let wasm = module::read(Path::new(path)).map_err(named)?;
        let export = guest::check(&wasm, export, grants).map_err(|why| named(Problem::new(why)))?;
        let has_start = guest::has_start(&wasm);
        let parameters = module::parameters(&wasm, &export);
        let (needs_host, receives) = (guest::needs_host(&wasm, &export), guest::receives(&wasm));
        let stem = Path::new(path).file_stem();
        let name = stem.map_or("module".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Self { name, wasm, export, parameters, has_start, needs_host, receives })
    }

    /// The guest, judged by agreement.
    #[must_use]
    pub fn guest<'a>(&'a self, agreement: &'a Agreement, count: Count) -> Guest<'a> {
        Guest {
            name: &self.name,
            module: ModuleBytes::Borrowed(&self.wasm),
            export: &self.export,
            parameters: self.parameters,
            check: Check::Agreement(agreement),
            count,
            budget: None,
        }
    }
}

/// The modules of a mix, read: the files among them, and where each finds its results.
pub struct Mixed {
    items: Vec<Item>,
    own: Vec<Option<(OwnModule, Agreement)>>,
}

impl Mixed {
    /// Reads every file of a mix. `export` serves those that name none.
    ///
    /// # Errors
    /// See [`OwnModule::read`]. Too many modules, or two of one name.
    pub fn read(
        option: &str,
        items: &[Item],
        export: Option<&str>,
        grants: &Grants<'_>,
    ) -> Result<Self, Problem> {
        let most = wramp_bench::MAX_MODULES;
        if items.len() > most {
            return Err(Problem::new(format!(
                "{option}: {} modules, and a mix takes {most} at most",
                items.len()
            )));
        }
        for (place, item) in items.iter().enumerate() {
            // Records tell modules apart by their names.
            if let Some(twin) = items[..place].iter().find(|twin| twin.name() == item.name()) {
                return Err(Problem::new(format!(
                    "{option}: {} and {} are both called {} in records: rename one file",
                    twin.module,
                    item.module,
                    item.name()
                )));
            }
        }
        let read = |item: &Item| {
            if item.is_built_in() {
                return Ok(None);
            }
            let export = item.export.as_deref().or(export);
            let own = OwnModule::read(option, &item.module, export, grants)?;
            Ok(Some((own, Agreement::new())))
        };
        let own = items.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { items: items.to_vec(), own })
    }

    /// The modules and their numbers, as they were asked for.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The users' modules among them.
    pub fn own(&self) -> impl Iterator<Item = &OwnModule> {
        self.own.iter().flatten().map(|(own, _)| own)
    }

    /// The guests, in the order of the items.
    #[must_use]
    pub fn guests(&self) -> Vec<Guest<'_>> {
        self.items
            .iter()
            .zip(&self.own)
            .filter_map(|(item, own)| match own {
                Some((own, agreement)) => {
                    Some(Guest { budget: item.budget, ..own.guest(agreement, item.count) })
                }
                None => {
                    let workload = wramp_workloads::find(&item.module)?;
                    let Item { count, budget, .. } = *item;
                    Some(Guest { count, budget, ..Guest::from(workload) })
                }
            })
            .collect()
    }
}
