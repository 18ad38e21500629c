"""The catalogue of boards: reads linked images, writes boards/*.toml, prints one table.

`west wramp boards` (scripts/west_commands.py) links the images. This file says what they take.
Run by itself it prints the table of the files that are there; with --markdown, as docs/boards.md
has it; with --compute it writes the files of boards that were not linked.

A figure comes from one link: from where the image ends in RAM, and from the sizes of the arrays
that have an element for each slot, worker or resident. Another link, with another geometry,
then shows whether the figures predict the end of its image to the byte.
"""

import dataclasses
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "boards"

TIERS = ("executed", "linked", "computed")


class NoFigure(Exception):
    """An image lacks what a figure needs; the sentence says what."""


# ---- One linked image ------------------------------------------------------------------


@dataclasses.dataclass
class Image:
    """What an ELF file and its .config say. All sizes are bytes."""

    symbols: dict
    ram_start: int
    ram_end: int
    image_end: int
    flash_bytes: int
    # Size of each array that grows with the geometry; 0 where there is none.
    threads: int = 0
    stacks: int = 0
    seats: int = 0
    table: int = 0

    def number(self, name):
        return int(self.symbols.get(name, "0"), 0)

    @property
    def ram_region_bytes(self):
        return self.ram_end - self.ram_start

    @property
    def ram_used_bytes(self):
        return self.image_end - self.ram_start

    @property
    def arena_bytes(self):
        """The arena inside the image. One of -1 lies behind it."""
        return max(self.number("WRAMP_ARENA_SIZE"), 0)

    @property
    def pool(self):
        return self.symbols.get("WRAMP_MODE_POOL") == "y"

    @property
    def slots(self):
        return self.number("WRAMP_SLOTS")

    @property
    def workers(self):
        return self.number("WRAMP_WORKERS")

    @property
    def residents(self):
        return self.number("WRAMP_RESIDENTS")

    @property
    def thread_bytes(self):
        """A kernel thread and its stack, with what guards it."""
        return each(self.threads, self.slots, "slot_threads") + each(
            self.stacks, self.slots, "slot_stacks"
        )

    @property
    def slot_bytes(self):
        """What one more slot takes, its tally included."""
        return self.thread_bytes + each(self.seats, self.slots, "SEATS")

    @property
    def worker_bytes(self):
        """What one more worker takes, with the slot that it needs."""
        return self.thread_bytes + each(self.seats, self.workers, "SEATS")

    @property
    def resident_bytes(self):
        return each(self.table, self.residents, "TABLE")

    @property
    def growing_bytes(self):
        """All that the geometry decides, the arena beside."""
        if self.pool:
            return self.threads + self.stacks + self.seats + self.table
        return self.threads + self.stacks + self.seats

    @property
    def fixed_bytes(self):
        """RAM beside the arena and all that the geometry decides."""
        return self.ram_used_bytes - self.arena_bytes - self.growing_bytes

    def predicted_end(self, other):
        """Where the image of `other`'s geometry ends, by the figures of this one."""
        if self.pool:
            growing = other.workers * self.worker_bytes + other.residents * self.resident_bytes
        else:
            growing = other.slots * self.slot_bytes
        return self.ram_start + self.fixed_bytes + other.arena_bytes + growing


def each(size, count, name):
    if count == 0 or size == 0:
        return 0
    if size % count:
        raise NoFigure(f"{name} has {size} bytes, which {count} elements do not share evenly")
    return size // count


# The arrays of src/machine.c and rust/firmware/src/lib.rs, whose names Rust mangles.
ARRAYS = {
    "threads": re.compile(r"^slot_threads$"),
    "stacks": re.compile(r"^slot_stacks$"),
    "seats": re.compile(r"rustapp5SEATS"),
    "table": re.compile(r"rustapp5TABLE"),
}


def read_image(directory, symbols):
    """The image in a build's `zephyr` directory."""
    # Zephyr itself needs this package, so each workspace has it.
    from elftools.elf.elffile import ELFFile

    with open(Path(directory, "zephyr.elf"), "rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        if table is None:
            raise NoFigure("zephyr.elf has no symbols")
        found = {}
        sizes = dict.fromkeys(ARRAYS, 0)
        for symbol in table.iter_symbols():
            name = symbol.name
            if name in ("_end", "wramp_ram_start", "wramp_ram_end"):
                found[name] = symbol["st_value"]
            elif symbol["st_info"]["type"] == "STT_OBJECT":
                for array, pattern in ARRAYS.items():
                    if pattern.search(name):
                        sizes[array] += symbol["st_size"]
        missing = {"_end", "wramp_ram_start", "wramp_ram_end"} - set(found)
        if missing:
            raise NoFigure(f"zephyr.elf has no symbol {', '.join(sorted(missing))}")
        start, end = found["wramp_ram_start"], found["wramp_ram_end"]
        # What is loaded outside of RAM is what flash holds.
        flash = [
            (segment["p_paddr"], segment["p_paddr"] + segment["p_filesz"])
            for segment in elf.iter_segments()
            if segment["p_type"] == "PT_LOAD"
            and segment["p_filesz"] > 0
            and not start <= segment["p_paddr"] < end
        ]
    flash_bytes = max(high for _, high in flash) - min(low for low, _ in flash) if flash else 0
    return Image(symbols, start, end, found["_end"], flash_bytes, **sizes)


# ---- What a board is --------------------------------------------------------------------

# The clock of the CPU, where the kernel's clock is another and the devicetree does not tell:
# from the chips' product specifications, at the setting that Zephyr leaves.
CLOCKS_HZ = {
    "nrf52832": 64_000_000,
    "nrf52833": 64_000_000,
    "nrf52840": 64_000_000,
    "nrf5340": 64_000_000,
    "nrf9160": 64_000_000,
    "nrf9161": 64_000_000,
}


def cpu_of(symbols):
    """The core, as its maker calls it; F where the chip has an FPU."""
    for name in symbols:
        found = re.fullmatch(r"CPU_CORTEX_(M\d+)(PLUS)?", name)
        if found and symbols[name] == "y":
            fpu = "F" if found[1] in ("M4", "M33") and symbols.get("CPU_HAS_FPU") == "y" else ""
            return f"Cortex-{found[1]}{'+' if found[2] else ''}{fpu}"
    if symbols.get("RISCV") == "y":
        bits = "64" if symbols.get("64BIT") == "y" else "32"
        letters = "".join(
            letter.lower()
            for letter in "IMAC"
            if symbols.get(f"RISCV_ISA_EXT_{letter}") == "y"
            or symbols.get(f"RISCV_ISA_RV{bits}{letter}") == "y"
        )
        return f"RISC-V rv{bits}{letters}"
    return "unknown"


def clock_of(symbols, devicetree_hz):
    """The CPU's clock, or None where nothing tells it."""
    if symbols.get("SOC") in CLOCKS_HZ:
        return CLOCKS_HZ[symbols["SOC"]]
    if devicetree_hz:
        return devicetree_hz
    # SysTick and mtime of an emulator count at the CPU's clock; an RTC does not.
    hz = int(symbols.get("SYS_CLOCK_HW_CYCLES_PER_SEC", "0"))
    return hz if hz >= 1_000_000 else None


# ---- A file of the catalogue -------------------------------------------------------------


def file_name(board):
    return f"{board.replace('/', '_')}.toml"


DATE = re.compile(r"\d{4}-\d\d-\d\d")


def words(value):
    """A value of TOML. A date is one too, and has no quotes."""
    return f'"{value}"' if isinstance(value, str) and not DATE.fullmatch(value) else str(value)


def text_of(entry, notes):
    """The text of a file: the tables of `entry`, each with the notes under its name."""
    lines = [f"# {entry['']['board']}: what its linked image takes; `west wramp boards` wrote it."]
    for name, table in entry.items():
        if name:
            lines += ["", f"[{name}]"]
        lines += [f"# {note}" for note in notes.get(name, ())]
        lines += [f"{key} = {words(value)}" for key, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


def read_file(path):
    """A file's tables by name; the first has the name ''."""
    tables = {"": {}}
    name = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = re.sub(r'\s+#[^"]*$', "", line).strip()
        if not line or line.startswith("#"):
            continue
        if found := re.fullmatch(r"\[([\w.]+)\]", line):
            name = found[1]
            tables[name] = {}
            continue
        found = re.fullmatch(r'(\w+) = (?:"([^"]*)"|(-?[\d_]+|\d{4}-\d\d-\d\d))', line)
        if not found:
            raise NoFigure(f"{path}:{number}: no key with a value: {line}")
        key, string, bare = found.groups()
        dated = bare is not None and DATE.fullmatch(bare)
        tables[name][key] = string if bare is None else bare if dated else int(bare)
    return tables


def read_notes(path):
    """The notes under the name of each table."""
    notes = {}
    name = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[([\w.]+)\]", line):
            name = found[1]
        elif name and line.startswith("# "):
            notes.setdefault(name, []).append(line[2:])
    return notes


def catalogue(directory=BOARDS):
    """The tables of each file, by board, the most RAM last."""
    entries = [read_file(path) for path in sorted(directory.glob("*.toml"))]
    return sorted(entries, key=lambda entry: (entry[""]["ram_bytes"], entry[""]["board"]))


def slots_of(ram_bytes):
    """Kconfig's default: a slot for each 20 KiB, 1 at least and 24 at most."""
    return min(24, max(1, ram_bytes // 1024 // 20))


def left_bytes(entry):
    """RAM for the arena beside the default slots; below 0 where they do not fit."""
    board, image = entry[""], entry["image"]
    slots = slots_of(board["ram_bytes"])
    return board["ram_bytes"] - image["ram_bytes"] - slots * image["slot_bytes"]


def table(entries):
    """The table that is printed: a row a board, right at 80 columns."""
    rows = [("board", "tier", "flash", "RAM", "image", "slots", "arena", "linked")]
    for entry in entries:
        board, image = entry[""], entry["image"]
        rows.append(
            (
                board["board"],
                board["tier"],
                kib(board.get("flash_bytes")),
                kib(board["ram_bytes"]),
                f"{image['flash_bytes']}",
                str(slots_of(board["ram_bytes"])),
                f"{left_bytes(entry)}",
                f"{image.get('date', '-')}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    widths[0] = min(widths[0], 80 - sum(widths[1:]) - len(widths) + 1)
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        if len(row[0]) > widths[0]:
            # A name too long for its column has a line to itself.
            lines.append(row[0])
            cells[0] = " " * widths[0]
        lines.append(" ".join(cells).rstrip())
    return "\n".join(lines)


def kib(size):
    return "-" if size is None else f"{size // 1024}K"


def markdown(entries):
    """The table as docs/boards.md has it."""
    lines = [
        "| board | cpu | tier | flash | RAM | flash taken | RAM beside arena and slots | a slot | "
        "slots | left for the arena |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for entry in entries:
        board, image = entry[""], entry["image"]
        cells = [
            f"[{board['board']}](../boards/{file_name(board['board'])})",
            board["cpu"],
            board["tier"],
            kib(board.get("flash_bytes") or None),
            kib(board["ram_bytes"]),
            f"{image['flash_bytes']:,}",
            f"{image['ram_bytes']:,}",
            f"{image['slot_bytes']:,}",
            str(slots_of(board["ram_bytes"])),
            f"{left_bytes(entry):,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


# ---- Boards that were not linked ----------------------------------------------------------

# Boards of Zephyr whose HALs were not at hand. The clock is that of the maker's data sheet. RAM
# and flash are those that Zephyr's board file gives to an image, which may be less than the
# chip has.
DATA_SHEETS = [
    # board, name, cpu, Hz, KiB of RAM, KiB of flash
    ("nrf54l15dk/nrf54l15/cpuapp", "nRF54L15-DK", "Cortex-M33F", 128_000_000, 188, 1428),
    ("gd32f450i_eval", "GD32F450I-EVAL", "Cortex-M4F", 200_000_000, 112, 3072),
    ("max32655fthr/max32655/m4", "MAX32655FTHR", "Cortex-M4F", 100_000_000, 128, 512),
    ("max32690evkit/max32690/m4", "MAX32690EVKIT", "Cortex-M4F", 120_000_000, 1024, 3072),
    ("numaker_pfm_m487", "NuMaker-PFM-M487", "Cortex-M4F", 192_000_000, 160, 512),
]

FIGURES = ("flash_bytes", "ram_bytes", "slot_bytes")


def family(cpu):
    """CPUs whose images are alike: code is as dense, and a thread has as many registers."""
    return re.sub(r"F$|\+$", "", cpu) if cpu.startswith("Cortex") else cpu.split()[0]


def estimate(cpu, linked):
    """The median of each figure over the linked boards of that family, or of all."""
    alike = [e for e in linked if family(e[""]["cpu"]) == family(cpu)] or linked
    return {key: sorted(e["image"][key] for e in alike)[len(alike) // 2] for key in FIGURES}


def misses(linked):
    """The largest miss of each figure, when each linked board is estimated from the others."""
    worst = dict.fromkeys(FIGURES, 0)
    for entry in linked:
        others = [other for other in linked if other is not entry]
        guess = estimate(entry[""]["cpu"], others)
        for key in FIGURES:
            worst[key] = max(worst[key], abs(guess[key] - entry["image"][key]))
    return worst


def compute(entries):
    """Writes a file for each data sheet whose board was not linked."""
    # A machine whose whole image lies in RAM is no guide.
    linked = [e for e in entries if e[""]["tier"] != "computed" and e["image"]["flash_bytes"] > 0]
    names = {entry[""]["board"] for entry in linked}
    worst = misses(linked)
    dates = [entry["image"]["date"] for entry in linked]
    for board, name, cpu, clock_hz, ram_kib, flash_kib in DATA_SHEETS:
        if board in names:
            continue
        guess = estimate(cpu, linked)
        entry = {
            "": {
                "board": board,
                "name": name,
                "cpu": cpu,
                "pointer_bits": 32,
                "clock_hz": clock_hz,
                "ram_bytes": ram_kib * 1024,
                "flash_bytes": flash_kib * 1024,
                "tier": "computed",
            },
            "image": guess | {"slot_stack_bytes": 4096, "date": max(dates)},
        }
        notes = {
            "image": [
                f"Not linked: the median of linked boards with such a CPU. Over the {len(linked)}",
                "linked boards such an estimate missed by at most "
                f"{worst['flash_bytes']} (flash),",
                f"{worst['ram_bytes']} (RAM) and {worst['slot_bytes']} (slot) bytes.",
            ]
        }
        text = text_of(entry, notes).replace("what its linked image takes", "what an image would take")
        path = BOARDS / file_name(board)
        path.write_text(text.replace("`west wramp boards`", "`scripts/catalogue.py --compute`"))
        print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)


def main(arguments=()):
    entries = catalogue()
    if "--compute" in arguments:
        return compute(entries)
    if "--markdown" in arguments:
        return print(markdown(entries))
    print(table(entries))
    linked = [entry for entry in entries if entry[""]["tier"] != "computed"]
    print(
        "\nflash, RAM: of the board. image: bytes of flash that wramp takes. slots, arena: what\n"
        f"the default configuration gets. {len(linked)} boards were linked, with Zephyr "
        + ", ".join(sorted({entry["image"]["zephyr"] for entry in linked}))
        + "."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
