//! The catalogue of boards: how much RAM each leaves for arena and slots.
//!
//! A file `boards/*.toml` describes a board. Its figures are those of a linked image, except
//! where its tier says that they were computed.

use std::path::Path;

use serde::Deserialize;

use crate::model::file::read_at_most;
use crate::problem::Problem;

/// How a board's figures were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The image was linked, and it ran in an emulator or on the board.
    Executed,
    /// The image was linked.
    Linked,
    /// Nobody linked it. The figures are from a datasheet and from a similar board.
    Computed,
}

impl Tier {
    /// What the tier means, in a few words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Executed => "linked and executed",
            Self::Linked => "linked, not executed",
            Self::Computed => "computed, not linked",
        }
    }
}

/// A board.
#[derive(Clone, Debug, Deserialize)]
pub struct Board {
    /// As `west build` takes it.
    pub board: String,
    /// What its maker calls it.
    pub name: String,
    /// Its core: `Cortex-M4F`.
    pub cpu: String,
    /// Bits of a pointer.
    pub pointer_bits: u32,
    /// RAM in which the linker places data, in bytes.
    pub ram_bytes: u32,
    /// How the figures were found.
    pub tier: Tier,
    /// What the firmware takes.
    pub image: Image,
}

/// What the firmware takes of a board, with the classic interpreter and a thread an instance.
#[derive(Clone, Debug, Deserialize)]
pub struct Image {
    /// RAM beside the arena and the slots.
    pub ram_bytes: u32,
    /// RAM of one slot more, with its stack.
    pub slot_bytes: u32,
    /// The stack in `slot_bytes`.
    pub slot_stack_bytes: u32,
    /// The least stack that the firmware accepts.
    pub slot_stack_least_bytes: Option<u32>,
    /// The day on which this was found.
    pub date: toml::value::Datetime,
    /// The version of Zephyr.
    pub zephyr: Option<String>,
    /// The same with the fast interpreter.
    pub fast: Option<Variant>,
    /// The same with a pool.
    pub pool: Option<Pool>,
}

/// What another build takes.
#[derive(Clone, Debug, Deserialize)]
pub struct Variant {
    /// RAM beside the arena and the slots.
    pub ram_bytes: u32,
}

/// What a build with a pool takes.
#[derive(Clone, Debug, Deserialize)]
pub struct Pool {
    /// RAM beside the arena, the workers and the table of residents.
    pub ram_bytes: u32,
    /// RAM of one worker more, with its stack.
    pub worker_bytes: u32,
    /// RAM of one resident more, beside the arena.
    pub resident_bytes: u32,
}

include!(concat!(env!("OUT_DIR"), "/boards.rs"));

impl Board {
    /// Every board of the catalogue, in the order of their names.
    ///
    /// # Errors
    /// A file of the catalogue that cannot be read. A test makes sure that there is none.
    pub fn all() -> Result<Vec<Self>, Problem> {
        CATALOGUE.iter().map(|(file, text)| Self::parse(file, text)).collect()
    }

    /// Every board's name, and the file that describes it, word for word.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn sources() -> Result<Vec<(String, &'static str)>, Problem> {
        CATALOGUE.iter().map(|&(file, text)| Ok((Self::parse(file, text)?.board, text))).collect()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let lines = |error: toml::de::Error| Problem::new(format!("{file}: {}", error.message()));
        toml::from_str(text).map_err(lines)
    }

    /// The board of that name, or of that file where the name ends in `.toml`.
    ///
    /// # Errors
    /// No such board, with those that come nearest; a file that cannot be read.
    pub fn find(name: &str) -> Result<Self, Problem> {
        if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
            let bytes = read_at_most(Path::new(name), 1 << 16)?;
            return Self::parse(name, &String::from_utf8_lossy(&bytes));
        }
        let mut all = Self::all()?;
        let same = |board: &Self| {
            let short = board.board.split('/').next();
            board.board == name || short == Some(name) || board.board.replace('/', "_") == name
        };
        if let Some(place) = all.iter().position(same) {
            return Ok(all.swap_remove(place));
        }
        let known: Vec<_> = all.into_iter().map(|board| board.board).collect();
        Err(Problem::new(format!(
            "--board {name}: the catalogue has no such board; it has {}; `west wramp boards -b \
             {name}` adds it, and a FILE.toml of your own will do",
            known.join(", ")
        )))
    }
}

/// RAM of a user's module beside the arena: the bench's `Agreement`, which the results of its
/// instances are compared with. Linked images differ by 2,052 bytes and alignment.
const AGREEMENT_BYTES: u32 = 2_056;

impl Board {
    /// RAM that the firmware takes with `own` modules of the user's, beyond the catalogue's
    /// image.
    #[must_use]
    pub fn own_modules_bytes(&self, own: usize, mode_is_threads: bool) -> u32 {
        // Kconfig's MAIN_STACK_SIZE: the catalogue's image has 6,144 bytes, or what it takes
        // anyway on 64 bits, on Xtensa and with a pool. With modules it is 8,192 at least.
        let has_more = self.pointer_bits == 64 || self.cpu.starts_with("Xtensa");
        let main_stack = if mode_is_threads && !has_more { 2_048 } else { 0 };
        main_stack + AGREEMENT_BYTES.saturating_mul(u32::try_from(own).unwrap_or(u32::MAX))
    }
}

/// Bytes of an arena that Zephyr's `sys_heap` keeps for itself.
///
/// `lib/heap/heap.c` puts its head in front of the region: on 32 bits 28 bytes with the
/// statistics of `CONFIG_SYS_HEAP_RUNTIME_STATS`, on 64 bits 40, then 4 bytes for each list of
/// free chunks. There is a list for each doubling of the chunks' number. A footer of 8 bytes
/// ends the region. The host's arena keeps nothing for itself.
#[must_use]
pub fn heap_overhead(arena: u32, pointer_bits: u32) -> u32 {
    const UNIT: u32 = 8;
    let head = if pointer_bits == 64 { 40 } else { 28 };
    let lists = (arena / UNIT).max(1).ilog2() + 1;
    (head + 4 * lists).next_multiple_of(UNIT) + UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_catalogue_is_a_board() {
        let all = Board::all().unwrap_or_else(|problem| panic!("{problem}"));
        assert!(!all.is_empty());
        for board in all {
            let image = &board.image;
            assert!([32, 64].contains(&board.pointer_bits), "{}", board.board);
            assert!(image.slot_bytes > image.slot_stack_bytes, "{}", board.board);
            assert!(image.ram_bytes < board.ram_bytes, "{}", board.board);
            assert_eq!(Board::find(&board.board).unwrap().board, board.board);
        }
    }

    #[test]
    fn an_unknown_board_is_answered_with_the_known_ones() {
        let said = Board::find("no_such").unwrap_err().to_string();
        assert!(said.contains("mps2/an385") && said.contains("west wramp boards"), "{said}");
    }

    /// The engine itself takes 160 bytes on 32 bits. What else is gone once the first module is
    /// loaded is the heap's.
    #[test]
    fn the_heap_keeps_what_the_recorded_runs_say() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
        let number = |line: &str, key: &str| -> Option<u32> {
            line.split(' ').find_map(|word| word.strip_prefix(key))?.parse().ok()
        };
        let mut judged = 0;
        for board in ["mps2_an385", "qemu_riscv32"] {
            for run in std::fs::read_dir(results.join(board)).unwrap() {
                let log = std::fs::read_to_string(run.unwrap().path().join("run.log")).unwrap();
                let line = |kind| log.lines().find(|line| line.starts_with(kind)).unwrap();
                let arena = number(line("wramp run "), "arena_bytes=").unwrap();
                let load = line("wramp load ");
                let rest = ["arena_bytes=", "arena_free_bytes="].map(|key| number(load, key));
                let gone = arena - rest.iter().flatten().sum::<u32>();
                assert_eq!(gone, heap_overhead(arena, 32) + 160, "{board}: {load}");
                judged += 1;
            }
        }
        assert!(judged > 5);
    }
}
