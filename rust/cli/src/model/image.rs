//! Sizes of a firmware image, from its ELF file and its configuration.

use std::path::Path;

use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use crate::model::file::read_at_most;
use crate::problem::Problem;

/// The longest ELF file that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Sizes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSizes {
    /// Code and constants: what lies in flash.
    pub text_bytes: u64,
    /// RAM beyond the arena and the slots' stacks.
    pub ram_beyond_bytes: i64,
}

impl ImageSizes {
    /// Reads `zephyr.elf` and `.config` of a build's `zephyr` directory.
    ///
    /// # Errors
    /// Where one of them cannot be read or lacks what is needed; the sentence names it.
    pub fn of(directory: &Path) -> Result<Self, Problem> {
        let read = |name: &str| {
            let path = directory.join(name);
            let told = |problem: Problem| Problem::new(format!("{}: {problem}", path.display()));
            read_at_most(&path, MOST_BYTES).map_err(told)
        };
        let config = String::from_utf8_lossy(&read(".config")?).into_owned();
        let elf = read("zephyr.elf")?;
        Self::from(&elf, &config)
            .map_err(|problem| Problem::new(format!("{}: {problem}", directory.display())))
    }

    /// The sizes of an ELF file that was built with this `.config`.
    ///
    /// # Errors
    /// Where the file cannot be read, or the configuration lacks a symbol.
    pub fn from(elf: &[u8], config: &str) -> Result<Self, Problem> {
        let symbol = |name: &str| -> Option<i64> {
            let value =
                config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            match value.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok(),
                None => value.parse().ok(),
            }
        };
        let needed = |name: &str| {
            symbol(name).ok_or_else(|| Problem::new(format!(".config has no number {name}")))
        };
        let arena = needed("CONFIG_WRAMP_ARENA_SIZE")?.max(0);
        let stacks = needed("CONFIG_WRAMP_SLOTS")? * needed("CONFIG_WRAMP_SLOT_STACK_SIZE")?;
        // Where the machine has no such symbol, all that is writable is RAM.
        let ram = symbol("CONFIG_SRAM_BASE_ADDRESS").unwrap_or(0).cast_unsigned();
        let file = object::File::parse(elf)
            .map_err(|error| Problem::new(format!("zephyr.elf cannot be read: {error}")))?;
        let (mut text_bytes, mut ram_bytes) = (0, 0);
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
                continue;
            }
            // Zephyr marks some tables in flash as writable.
            if sh_flags & u64::from(elf::SHF_WRITE) != 0 && section.address() >= ram {
                ram_bytes += section.size();
            } else {
                text_bytes += section.size();
            }
        }
        let ram_bytes = i64::try_from(ram_bytes).unwrap_or(i64::MAX);
        Ok(Self { text_bytes, ram_beyond_bytes: ram_bytes - arena - stacks })
    }
}
