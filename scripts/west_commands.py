"""`west wramp`: builds, runs, flashes, records and sizes the firmware.

West loads this file in a workspace of wramp (scripts/bootstrap makes one). Each
command prints the calls it makes, so that a reader can repeat them by hand.

The functions at the top need no west and no Zephyr; scripts/tests has their tests.
"""

import argparse
import dataclasses
import datetime
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from west.commands import WestCommand

ROOT = Path(__file__).resolve().parent.parent
# West loads this file by its path, so what lies beside it is not found by itself.
sys.path.insert(0, str(ROOT / "scripts"))

import catalogue  # noqa: E402  (it lies beside this file)

# The preset without an overlay.
PLAIN = "classic"

# A run that prints nothing for this long counts as hung. The longest silence of any preset is
# the start of the first step of `dense` on a loaded machine.
SILENCE_S = 600

NOT_FINISHED = 1
TIMED_OUT = 124


class Problem(Exception):
    """An error for the user: what is wrong, and what to do about it."""


# ---- Names ------------------------------------------------------------------------


def board_directory(board):
    """The name of a board in a path: mps2/an385 becomes mps2_an385.

    `claim` in rust/cli/src/model/results.rs names the directories of `wramp capture --save`
    by the same rule.
    """
    return re.sub(r"[^A-Za-z0-9_-]", "-", board.replace("/", "_"))


def presets(root=ROOT):
    """All presets: `classic`, and each overlay beside prj.conf."""
    overlays = sorted(path.stem for path in root.glob("*.conf") if path.stem != "prj")
    return [PLAIN, *overlays]


def overlay_of(preset, root=ROOT):
    """The value of EXTRA_CONF_FILE, empty for `classic`. A preset may be a path."""
    if preset == PLAIN:
        return ""
    if preset.endswith(".conf"):
        path = Path(preset).resolve()
        if not path.is_file():
            raise Problem(f"there is no overlay {preset}")
        return str(path)
    if preset not in presets(root):
        names = ", ".join(presets(root))
        raise Problem(
            f"there is no preset `{preset}`: name one of {names}, or the path of an overlay"
        )
    return f"{preset}.conf"


def preset_name(preset):
    return Path(preset).stem if preset.endswith(".conf") else preset


def split_words(words):
    """Separates presets from CMake's arguments.

    Python 3.12 and later keep the `--` between the two, and earlier versions drop it. CMake's
    arguments always start with a dash, and presets never do.
    """
    names = []
    for place, word in enumerate(words):
        if word.startswith("-"):
            return names, [word for word in words[place:] if word != "--"]
        names.append(word)
    return names, []


# ---- What a build directory says about itself ---------------------------------------


def cache_entries(text):
    """Name to value, from the text of a CMakeCache.txt."""
    return dict(re.findall(r"^([\w./-]+):[A-Z]+=(.*)$", text, re.MULTILINE))


def effective_options(cache):
    """The options of this call and of earlier ones that shaped the build.

    Zephyr remembers `-DCONFIG_X=y` as CLI_CONFIG_X, and EXTRA_CONF_FILE as itself. Both
    outlive the call that gave them.
    """
    kept = [f"-D{name[4:]}={cache[name]}" for name in sorted(cache) if name.startswith("CLI_CONFIG_")]
    files = ("EXTRA_CONF_FILE", "EXTRA_DTC_OVERLAY_FILE", "CONF_FILE", "SHIELD", "SNIPPET")
    kept += [f"-D{name}={cache[name]}" for name in files if cache.get(name)]
    # Zephyr also stores its default: prj.conf, and the files of boards/.
    default = f"-DCONF_FILE={ROOT / 'prj.conf'}"
    return [option for option in kept if option.split(";")[0] != default]


def kconfig_symbols(text):
    """Name to value, from the text of a .config. Quotes of strings are removed."""
    pairs = re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)
    return {name: value.strip('"') for name, value in pairs}


def end_of_run(line):
    """The exit status in a `wramp done` record, or None."""
    if line.startswith("wramp done "):
        found = re.search(r" exit=(\d+)\b", line)
        return int(found[1]) if found else None
    return None


def core_opt(sysroot, target, environment):
    """How Rust's core was compiled: `3` as rustup ships it, `size`, or `unknown`.

    The size of an image depends on it. A precompiled library does not say how it was compiled.
    So this returns `3` or `size` only if a file or a variable proves it.
    """
    if environment.get("CARGO_UNSTABLE_BUILD_STD") or environment.get("RUSTUP_TOOLCHAIN") == "esp":
        # Built as part of the firmware, whose profile says opt-level = "z".
        return "size"
    # rustup leaves this file for each target that it installs.
    shipped = Path(sysroot, "lib/rustlib", f"manifest-rust-std-{target}")
    return "3" if shipped.is_file() else "unknown"


# ---- Rows of `switches` ---------------------------------------------------------------

_NO_AOT = ("WRAMP_AOT=n",)
_FIT = ("WRAMP_FIT_WASM_STACK=y",)
_CACHE_16 = ("WRAMP_BLOCK_ADDR_CACHE_SIZE=16",)
_FAST = ("WRAMP_INTERPRETER_FAST=y",)
_COPY = ("WRAMP_MODULE_COPY=y",)
_SPEED = ("WRAMP_INTERPRETER_SPEED=y",)
_POOL = ("WRAMP_MODE_POOL=y", "WRAMP_WORKERS=1", "WRAMP_RESIDENTS=1")

# One instance of each workload, so that nothing shares the CPU with a call.
SWITCHES_BASE = ("WRAMP_AOT=y", "WRAMP_SLOTS=1", "WRAMP_WORKLOAD_STATE=y", "WRAMP_WORKLOAD_NEST=y")

# Each row `a` changes one switch of the published configuration. Each row `s` changes one more
# switch than the row before it.
SWITCHES = {
    "0-published": (),
    "a1-no-aot": _NO_AOT,
    "a2-fitted-stack": _FIT,
    "a3-cache-16": _CACHE_16,
    "a4-cache-4": ("WRAMP_BLOCK_ADDR_CACHE_SIZE=4",),
    "a5-fast-copying": _FAST + _COPY,
    "a6-fast": _FAST,
    "a7-O2": _SPEED,
    "a8-pool": _POOL,
    "s1-no-aot": _NO_AOT,
    "s2-fitted-stack": _NO_AOT + _FIT,
    "s3-cache-16": _NO_AOT + _FIT + _CACHE_16,
    "s4-fast-copying": _NO_AOT + _FIT + _FAST + _COPY,
    "s5-from-flash": _NO_AOT + _FIT + _FAST,
    "s6-O2": _NO_AOT + _FIT + _FAST + _SPEED,
    "s7-pool": _NO_AOT + _FIT + _FAST + _SPEED + _POOL,
    "s8-metering": _NO_AOT + _FIT + _FAST + _SPEED + _POOL + ("WRAMP_METERING=y",),
}


def switch_overlay(row):
    """The text of a row's overlay."""
    return "".join(f"CONFIG_{symbol}\n" for symbol in SWITCHES_BASE + SWITCHES[row])


def module_options(items, export):
    """What names a user's modules to CMake. A file that is here gets its absolute path."""
    words = []
    for item in items:
        rest, equals, number = item.partition("=")
        file, colon, name = rest.rpartition(":") if ":" in rest else (rest, "", "")
        if Path(file).is_file():
            file = str(Path(file).resolve())
        if any(space in file for space in " \t\"\\"):
            raise Problem(f"{file}: a module's path may hold no space, quote or backslash")
        words.append(f"{file}{colon}{name}{equals}{number}")
    # The quotes are Kconfig's.
    options = [f'-DCONFIG_WRAMP_MODULE="{" ".join(words)}"']
    if export:
        options.append(f'-DCONFIG_WRAMP_MODULE_EXPORT="{export}"')
    return options


def leb128(data, place):
    """An unsigned LEB128 number, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


# Exports that only a host can call, in rust/modules/src/guest.rs too.
HOSTED_EXPORTS = (b"wramp_poll", b"_start", b"_initialize")


def needs_host(path):
    """Whether a module has imports, or an export that only a host calls.

    The build decides: this only saves the user a Kconfig symbol. What it cannot read it leaves to
    the build, which says why.
    """
    data = path.read_bytes()
    if path.suffix == ".wat":
        code = re.sub(rb";;.*|\(;(?s:.)*?;\)", b"", data)
        names = b"|".join(HOSTED_EXPORTS)
        return re.search(rb"\(\s*import\b|\"(?:" + names + rb")\"", code) is not None
    try:
        place = 8
        while place < len(data):
            kind = data[place]
            size, place = leb128(data, place + 1)
            count, entry = leb128(data, place)
            if kind == 2 and count > 0:
                return True
            if kind == 7:
                for _ in range(count):
                    length, entry = leb128(data, entry)
                    name = data[entry : entry + length]
                    _, entry = leb128(data, entry + length + 1)
                    if name in HOSTED_EXPORTS:
                        return True
            place += size
    except IndexError:
        pass
    return False


def host_options(items, allow=None, stubs=(), seed=None, queue_bytes=None, expect=None):
    """What gives the guests of these modules a host, in Kconfig's terms."""
    files = [Path(item.partition("=")[0].split(":")[0]) for item in items]
    # A file that is relative to the application, as in CONFIG_WRAMP_MODULE.
    files = [file if file.is_file() else ROOT / file for file in files]
    asked = stubs or any(option is not None for option in (allow, seed, queue_bytes, expect))
    if not asked and not any(file.is_file() and needs_host(file) for file in files):
        return []
    options = ["-DCONFIG_WRAMP_IMPORTS=y"]
    if allow is not None:
        options.append(f'-DCONFIG_WRAMP_ALLOW="{allow}"')
    if stubs:
        options.append(f'-DCONFIG_WRAMP_STUB="{" ".join(stubs)}"')
    if seed is not None:
        options.append(f"-DCONFIG_WRAMP_SEED={seed}")
    if queue_bytes is not None:
        options.append(f"-DCONFIG_WRAMP_QUEUE_BYTES={queue_bytes}")
    if expect is not None:
        options.append(f'-DCONFIG_WRAMP_EXPECT="{expect}"')
    return options


# ---- Calls ----------------------------------------------------------------------------


def show(call):
    print(f"+ {shlex.join(map(str, call))}", file=sys.stderr, flush=True)


def must(call, what):
    """Runs a call whose failure ends the command."""
    show(call)
    if subprocess.run(call, cwd=ROOT).returncode != 0:
        raise Problem(f"{what} failed; what it printed says why")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def answer(*call):
    """The first line that a call prints, or None if it fails."""
    try:
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    lines = done.stdout.splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def emulate(call, sink, silence_s=SILENCE_S):
    """Runs an emulator and hands each line of its UART to `sink`.

    Returns the status of the run: what `wramp done` says, 124 after `silence_s` seconds
    without a byte, and 1 if the emulator ends without that record. The emulator's own status
    is of no use here, because ninja replaces it by 1.
    """
    show(call)
    status = None
    # A process group of its own, so that the signal also reaches the emulator below ninja.
    with subprocess.Popen(
        call, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    ) as process:

        def stop(_signal=None, _frame=None):
            os.killpg(process.pid, signal.SIGTERM)

        def silent(_signal, _frame):
            nonlocal status
            status = TIMED_OUT
            stop()

        earlier = signal.signal(signal.SIGALRM, silent)
        try:
            signal.alarm(silence_s)
            for raw in process.stdout:
                signal.alarm(silence_s)
                if status is not None:
                    # The run is over. What follows are complaints about QEMU's exit status.
                    continue
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                sink(line)
                status = end_of_run(line)
        except KeyboardInterrupt:
            stop()
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, earlier)
    if status == TIMED_OUT:
        print(f"west wramp: no output for {silence_s} s: the run hangs", file=sys.stderr)
    elif status is None:
        print("west wramp: the run ended without a `wramp done` record", file=sys.stderr)
        status = NOT_FINISHED
    return status


@dataclasses.dataclass
class Firmware:
    """A build directory, for one board and one preset."""

    board: str
    preset: str
    directory: Path

    @property
    def cache(self):
        path = self.directory / "CMakeCache.txt"
        return cache_entries(path.read_text(errors="replace")) if path.is_file() else {}

    @property
    def symbols(self):
        return kconfig_symbols((self.directory / "zephyr/.config").read_text())

    def build(self, options=(), fresh=False):
        """Builds, and prints the options in force, those of earlier calls included."""
        arguments = [f"-DEXTRA_CONF_FILE={overlay_of(self.preset)}", *options]
        if fresh:
            # Forget what earlier calls and menuconfig chose, but keep what was compiled.
            arguments = ["-UCLI_CONFIG_*", "-UEXTRA_*", *arguments]
            (self.directory / "zephyr/.config").unlink(missing_ok=True)
        must(
            [*WEST, "build", "-b", self.board, "-d", self.directory, ROOT, "--", *arguments],
            "the build",
        )
        effective = effective_options(self.cache)
        print(f"options: {shlex.join(effective) or 'none, prj.conf alone'}", file=sys.stderr)
        given = {option for option in arguments if option.startswith("-DCONFIG_")}
        stale = [o for o in effective if o.startswith("-DCONFIG_") and o not in given]
        if stale:
            print(
                f"west wramp: {shlex.join(stale)} stayed from an earlier call; "
                "--fresh forgets it",
                file=sys.stderr,
            )

    def emulator(self):
        """The call that runs the image here, or None for a real board."""
        if self.board in QEMU_MACHINES:
            call = ["qemu-system-arm", "-M", QEMU_MACHINES[self.board], *QEMU_OPTIONS]
            return [*call, "-kernel", str(self.directory / "zephyr/zephyr.elf")]
        simulator = self.directory / "zephyr/zephyr.exe"
        if simulator.is_file():
            # Faster than real time.
            return [str(simulator), "-no-rt"]
        if self.symbols.get("QEMU_TARGET") == "y":
            return [*WEST, "build", "-d", str(self.directory), "-t", "run"]
        return None


# Boards that QEMU has and for which Zephyr calls no emulator.
QEMU_MACHINES = {"mps2/an386": "mps2-an386", "mps2/an500": "mps2-an500"}

# As Zephyr calls it for their neighbours: an instruction takes 4 ns.
QEMU_SHIFT = "2"
QEMU_OPTIONS = (
    ["-nographic", "-vga", "none", "-net", "none", "-semihosting"]
    + ["-icount", f"shift={QEMU_SHIFT},align=off,sleep=off", "-rtc", "clock=vm"]
)

# The west that runs this, wherever it is installed.
WEST = [sys.executable, "-m", "west"]


def describe(firmware, command, identical, opt=None):
    """The lines of machine.txt: what made a recording, and on which machine."""
    cache, symbols = firmware.cache, firmware.symbols
    changed = answer("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    commit = answer("git", "describe", "--always") or "unknown"
    sysroot = answer("rustc", "--print", "sysroot") or ""
    rows = [
        ("date", now().strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("command", command),
        ("options", shlex.join(effective_options(cache))),
        # Changes in results/, such as those of earlier recordings, do not count.
        ("commit", commit + ("-dirty" if changed else "")),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("cpu", processor(Path("/proc/cpuinfo"))),
        ("rustc", answer("rustc", "--version")),
        ("core_opt", opt or core_opt(sysroot, rust_target(firmware.directory), os.environ)),
        ("cc", compiler(cache)),
    ]
    qemu, shift = cache.get("QEMU"), symbols.get("QEMU_ICOUNT_SHIFT")
    if firmware.board in QEMU_MACHINES:
        qemu, shift = "qemu-system-arm", QEMU_SHIFT
    if qemu and (symbols.get("QEMU_TARGET") == "y" or firmware.board in QEMU_MACHINES):
        rows.append(("qemu", answer(qemu, "--version")))
    rows.append(("icount_shift", shift))
    rows.append(("two_runs_identical", "yes" if identical else "no"))
    lines = [f"{key}: {value}" for key, value in rows if value not in (None, "")]
    return lines + image_sizes(firmware.directory / "zephyr")


def image_sizes(directory):
    """The lines `text_bytes` and `ram_beyond_bytes`, which `wramp check --image` prints."""
    call = [os.environ.get("WRAMP", ROOT / "scripts/wramp"), "check", "--image", directory]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Problem(f"{shlex.join(map(str, call))} failed: the sizes of the image are not known")
    return done.stdout.splitlines()


def processor(cpuinfo):
    if not cpuinfo.is_file():
        return None
    found = re.search(r"^model name\s*:\s*(.*)$", cpuinfo.read_text(), re.MULTILINE)
    return found[1] if found else None


def compiler(cache):
    path = cache.get("CMAKE_C_COMPILER")
    return answer(path, "--version") if path else None


def rust_target(directory):
    """The target that zephyr-lang-rust chose, from the cargo configuration it generates."""
    path = directory / "rust/firmware/rust/sample-cargo-config.toml"
    found = re.search(r'^target = "(.*)"$', path.read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def record(board, preset, out, command, opt=None):
    """Builds, runs twice, and stores the records and a description of what made them."""
    firmware = Firmware(board, preset, ROOT / "build" / f"{board_directory(board)}-record")
    firmware.build(fresh=True)
    call = firmware.emulator()
    if call is None:
        raise Problem(
            f"{board} is not emulated here: `west wramp run -b {board}` flashes it, "
            "`west wramp capture PORT --save` records it"
        )
    runs = []
    for _ in range(2):
        lines = []
        emulate(call, lines.append)
        if all(end_of_run(line) is None for line in lines):
            tail = "\n".join(lines[-5:])
            raise Problem(f"the run was not done, so nothing was recorded; its last lines:\n{tail}")
        runs.append([line for line in lines if line.startswith("wramp ")])
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.log").write_text("".join(f"{line}\n" for line in runs[0]))
    about = describe(firmware, command, runs[0] == runs[1], opt)
    (out / "machine.txt").write_text("".join(f"{line}\n" for line in about))
    print(out.relative_to(ROOT) if out.is_relative_to(ROOT) else out)
    if "core_opt: unknown" in about:
        print(
            "west wramp: how Rust's core was compiled is not known; give --core-opt",
            file=sys.stderr,
        )


# ---- The catalogue of boards ------------------------------------------------------------

# The variants of a file of the catalogue: its table, the preset, and more options.
VARIANTS = {
    "image": (PLAIN, ()),
    "image.fast": ("fast", ()),
    "image.pool": (PLAIN, ("-DCONFIG_WRAMP_MODE_POOL=y", "-DCONFIG_WRAMP_SLOTS=4")),
}


def other_geometries(image):
    """Two geometries of which the figures of `image` have to predict the image's end."""
    if image.pool:
        return [
            ("-DCONFIG_WRAMP_WORKERS=3", f"-DCONFIG_WRAMP_RESIDENTS={image.residents}"),
            ("-DCONFIG_WRAMP_WORKERS=2", f"-DCONFIG_WRAMP_RESIDENTS={image.residents - 5}"),
        ]
    fewer = image.slots - 1 if image.slots > 1 else 3
    return [(f"-DCONFIG_WRAMP_SLOTS={slots}",) for slots in (fewer, 2)]


class BoardLinks:
    """Links one board's images in one build directory."""

    def __init__(self, board, directory):
        self.board = board
        self.directory = directory

    def image(self, variant, more=()):
        preset, options = VARIANTS[variant]
        firmware = Firmware(self.board, preset, self.directory)
        # The later of two options is the one that counts.
        firmware.build([*options, *more], fresh=True)
        return firmware, catalogue.read_image(self.directory / "zephyr", firmware.symbols)

    def figures(self, variant, check):
        """The table of a variant, what is said above it, its firmware and its image."""
        firmware, image = self.image(variant)
        row = {"flash_bytes": image.flash_bytes, "ram_bytes": image.fixed_bytes}
        if variant == "image":
            row |= {
                "slot_bytes": image.slot_bytes,
                "slot_stack_bytes": image.number("WRAMP_SLOT_STACK_SIZE"),
                "slot_stack_least_bytes": image.number("WRAMP_SLOT_STACK_LEAST"),
            }
        elif variant == "image.pool":
            row |= {"worker_bytes": image.worker_bytes, "resident_bytes": image.resident_bytes}
        notes = []
        if variant != "image.fast":
            misses = []
            for geometry in other_geometries(image) if check else ():
                _, other = self.image(variant, geometry)
                misses.append(other.image_end - image.predicted_end(other))
            if not misses:
                notes = ["One link, and no second one to compare with."]
            elif any(misses):
                told = " and ".join(f"{miss:+}" for miss in misses)
                notes = [f"Links of two other geometries end {told} bytes from the prediction."]
            else:
                notes = ["Links of two other geometries end where these figures predict."]
        return row, notes, firmware, image


def board_entry(board, directory, variants, check):
    """Links the variants of a board; returns the text of its file."""
    links = BoardLinks(board, directory)
    path = catalogue.BOARDS / catalogue.file_name(board)
    entry = catalogue.read_file(path) if path.is_file() else {"": {}}
    notes = catalogue.read_notes(path) if path.is_file() else {}
    for variant in variants:
        if variant == "image.fast" and no_fast(directory):
            continue
        row, notes[variant], firmware, image = links.figures(variant, check)
        cache, symbols = firmware.cache, firmware.symbols
        if variant == "image":
            entry[""] = {
                "board": board,
                "name": board_name(cache, board),
                "cpu": catalogue.cpu_of(symbols),
                "pointer_bits": 64 if symbols.get("64BIT") == "y" else 32,
                "clock_hz": catalogue.clock_of(symbols, devicetree_clock(directory)),
                "ram_bytes": image.ram_region_bytes,
                "flash_bytes": int(symbols.get("FLASH_SIZE", "0"), 0) * 1024,
                "tier": "executed" if executed(board) else "linked",
            }
            row |= {
                "date": str(now().date()),
                "zephyr": kernel_version(directory),
                "cc": f"gcc-{answer(cache['CMAKE_C_COMPILER'], '-dumpfullversion')}",
                "rustc": (answer("rustc", "--version") or "rustc unknown").split()[1],
                "command": f"west build -b {board}",
            }
        entry[variant] = row
    order = ["", *VARIANTS]
    return catalogue.text_of(
        {name: entry[name] for name in order if name in entry}, notes
    )


# Where cargo compiles, in a build directory.
RUST = Path("rust/firmware/rust/target")


def forget_board(directory):
    """Empties a build directory, but for what cargo compiled in it.

    Boards share Rust's programs for the host and, where the CPU is the same, its libraries. What
    depends on the board is compiled anew, because the files that it was made from are newer:
    bindgen tells cargo the headers that it read, and the name of the configuration has a hash.
    """
    place = directory
    for part in RUST.parts:
        if place.is_dir():
            for other in place.iterdir():
                if other.name != part:
                    shutil.rmtree(other) if other.is_dir() else other.unlink()
        place = place / part


def no_fast(directory):
    """Whether Kconfig refuses the fast interpreter for the board that was built there."""
    config = directory / "zephyr/.config"
    return (
        config.is_file()
        and kconfig_symbols(config.read_text()).get("ARMV6_M_ARMV8_M_BASELINE") == "y"
    )


def executed(board):
    """Whether a run of this board is in results/."""
    return any((ROOT / "results" / board_directory(board)).glob("*/run.log"))


def board_name(cache, board):
    """The board's full name, from the file that describes it to Zephyr."""
    name = board.split("/")[0].split("@")[0]
    path = Path(cache.get("BOARD_DIR", ""), "board.yml")
    if not path.is_file():
        return name
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"name: {re.escape(name)}\n\s+full_name: (.*)", text)
    return found[1].strip("\"' ") if found else name


def devicetree_clock(directory):
    """The clock-frequency of the first CPU in the devicetree, or None."""
    text = (directory / "zephyr/zephyr.dts").read_text(errors="replace")
    cpus = re.search(r"\n\tcpus \{\n.*?\n\t\};", text, re.DOTALL)
    found = re.search(r"clock-frequency = < (0x[0-9a-f]+|\d+) >", cpus[0]) if cpus else None
    return int(found[1], 0) if found else None


def kernel_version(directory):
    text = (directory / "zephyr/include/generated/zephyr/version.h").read_text()
    return re.search(r'KERNEL_VERSION_STRING\s+"(.*)"', text)[1]


# ---- The command ----------------------------------------------------------------------

RUN_HELP = """\
Builds into build/<board>[-<preset>]. If the board is emulated (native_sim,
QEMU), it then runs the image, prints what comes from its UART, and stores it in
run.log in the build directory. The exit status is that of the run. A real board
is flashed instead, and `west wramp capture PORT` reads its run.

  west wramp run -b native_sim/native/64
  west wramp run -b mps2/an385 dense
  west wramp run -b nrf52840dk/nrf52840 fast --build-only
  west wramp run -b mps2/an385 -- -DCONFIG_WRAMP_SLOTS=12
  west wramp run -b mps2/an385 --module my.wasm --export tick
  west wramp run -b mps2/an385 --module a.wasm:tick=3 --module cpu=*
  west wramp run -b mps2/an385 dense --module counter.wasm --allow log

CMake remembers each -DCONFIG_... of an earlier call for the same build
directory. The line `options:` shows all that are in force, and --fresh forgets
them.
"""

RECORD_HELP = """\
Builds each preset, runs it twice, and stores the records and a description of
what made them in results/<board>/<date>-<preset>. A preset may be the path of
an overlay. This is for emulated boards. `west wramp capture PORT --save`
records a real one.

  west wramp record -b mps2/an385 classic published fast
"""

SWITCHES_HELP = """\
Builds and runs the published configuration once for each row, and records the
runs in results/switches/<date>-<board>. `wramp table --show costs` compares
them. A row takes about a minute.

  west wramp switches -b mps2/an385
  west wramp switches -b mps2/an385 --row 0-published --row s6-O2
"""

BOARDS_HELP = """\
Links the images of each board and rewrites its file in boards/: what the image takes of
flash and RAM, and what one more slot, worker or resident takes. Two more links, with other
geometries, show whether these figures predict the end of the image; the file says so. Then
it prints the table of all boards. A board takes eight links, and --quick three.

  west wramp boards                              the table
  west wramp boards -b nrf52840dk/nrf52840       links this board
  west wramp boards --all                        links every board of the catalogue
"""

CAPTURE_HELP = """\
Reads the UART of a board until the run is done. This is `wramp capture` with
all its options, which `scripts/wramp capture --help` lists.

  west wramp capture /dev/ttyACM0 --save
"""


class Wramp(WestCommand):
    """`west wramp run`, `record`, `switches`, `boards` and `capture`."""

    def __init__(self):
        super().__init__(
            "wramp",
            "build, run, flash and record wramp's firmware",
            "Finds out how many isolated WebAssembly instances fit on a board.",
            accepts_unknown_args=True,
        )

    def do_add_parser(self, parser_adder):
        raw = argparse.RawDescriptionHelpFormatter
        parser = parser_adder.add_parser(
            self.name,
            help=self.help,
            description=self.description,
            formatter_class=raw,
            epilog=f"presets: {', '.join(presets())}",
        )
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

        def command(name, summary, text, board=True):
            sub = commands.add_parser(
                name, help=summary, description=text, formatter_class=raw
            )
            if board:
                sub.add_argument(
                    "-b", "--board", required=True, help="a board of `west build`, as mps2/an385"
                )
            return sub

        run = command("run", "build, then run or flash", RUN_HELP)
        run.add_argument(
            "--module",
            action="append",
            metavar="FILE[:EXPORT][=N|=*]",
            help="a module of your own in place of the built-in workloads; several with numbers "
            "run side by side",
        )
        run.add_argument("--export", metavar="NAME", help="for the modules that name none")
        run.add_argument(
            "--allow", metavar="NAME,...", help="what their guests may do: log, send, receive, clock_ms"
        )
        run.add_argument(
            "--stub",
            action="append",
            default=[],
            metavar="MODULE.NAME",
            help="an import without a result that shall do nothing",
        )
        run.add_argument("--seed", type=int, metavar="N", help="where random_get of WASI begins")
        run.add_argument(
            "--queue-bytes",
            type=int,
            metavar="BYTES",
            help="queue of messages of each instance that receives",
        )
        run.add_argument(
            "--expect", metavar="N|any", help="what each call has to give"
        )
        run.add_argument("--build-only", action="store_true", help="do not run or flash")
        run.add_argument(
            "--fresh", action="store_true", help="forget the options of earlier calls"
        )
        run.add_argument(
            "words",
            nargs="*",
            metavar="PRESET | -- CMAKE-ARGUMENT",
            help=f"one of {', '.join(presets())} (default: {PLAIN})",
        )
        run.set_defaults(act=self.run_board)

        keep = command("record", "run twice and keep the records in results/", RECORD_HELP)
        keep.add_argument("preset", nargs="+", metavar="PRESET")
        keep.set_defaults(act=self.record)

        rows = command("switches", "record what each build switch saves", SWITCHES_HELP)
        rows.add_argument(
            "--row", action="append", choices=list(SWITCHES), metavar="ROW", help=", ".join(SWITCHES)
        )
        rows.set_defaults(act=self.switches)
        for sub in (keep, rows):
            sub.add_argument(
                "--core-opt",
                choices=["3", "size"],
                help="how Rust's core was compiled, if this command cannot find out",
            )

        boards = command("boards", "link boards and say what their images take", BOARDS_HELP, board=False)
        boards.add_argument("-b", "--board", action="append", default=[], metavar="BOARD")
        boards.add_argument("--all", action="store_true", help="every board of the catalogue")
        boards.add_argument("--quick", action="store_true", help="no links of other geometries")
        boards.add_argument(
            "--variant",
            action="append",
            choices=list(VARIANTS),
            help="link this variant only, and keep what the file says of the others",
        )
        boards.set_defaults(act=self.boards)

        capture = command("capture", "read a board's UART", CAPTURE_HELP, board=False)
        capture.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PORT [OPTION...]")
        capture.set_defaults(act=self.capture)
        return parser

    def do_run(self, args, unknown_args):
        if unknown_args and args.command != "capture":
            self.die(
                f"unknown argument {unknown_args[0]}; `west wramp {args.command} --help` lists "
                "them, and what is meant for CMake follows `--`"
            )
        try:
            sys.exit(args.act(args, unknown_args))
        except Problem as problem:
            self.die(str(problem), exit_code=2)
        except KeyboardInterrupt:
            sys.exit(130)

    def run_board(self, args, _unknown):
        names, options = split_words(args.words)
        if len(names) > 1:
            raise Problem(f"one preset at a time, not {' and '.join(names)}")
        preset = names[0] if names else PLAIN
        overlay_of(preset)
        suffix = "" if preset == PLAIN else f"-{preset_name(preset)}"
        if args.module:
            # A directory of its own, because CMake remembers the modules.
            suffix += "-module"
            host = host_options(
                args.module, args.allow, args.stub, args.seed, args.queue_bytes, args.expect
            )
            options = module_options(args.module, args.export) + host + options
        elif args.stub or any(
            option is not None
            for option in (args.export, args.allow, args.seed, args.queue_bytes, args.expect)
        ):
            raise Problem(
                "--export, --allow, --stub, --seed, --queue-bytes and --expect belong to --module"
            )
        directory = ROOT / "build" / f"{board_directory(args.board)}{suffix}"
        firmware = Firmware(args.board, preset, directory)
        firmware.build(options, fresh=args.fresh)
        if args.build_only:
            return 0
        call = firmware.emulator()
        if call is None:
            must([*WEST, "flash", "-d", directory], "flashing")
            print("flashed; `west wramp capture PORT` reads the run", file=sys.stderr)
            return 0
        with open(directory / "run.log", "w", encoding="utf-8") as log:

            def both(line):
                print(line, flush=True)
                print(line, file=log, flush=True)

            return emulate(call, both)

    def record(self, args, _unknown):
        for preset in args.preset:
            overlay_of(preset)
        board = board_directory(args.board)
        for preset in args.preset:
            date = now().date()
            out = ROOT / "results" / board / f"{date}-{preset_name(preset)}"
            command = f"west wramp record -b {args.board} {preset}"
            record(args.board, preset, out, command, args.core_opt)
        return 0

    def switches(self, args, _unknown):
        date = now().date()
        out = ROOT / "results/switches" / f"{date}-{board_directory(args.board)}"
        work = ROOT / "build/switches"
        work.mkdir(parents=True, exist_ok=True)
        for row in args.row or SWITCHES:
            overlay = work / f"{row}.conf"
            overlay.write_text(switch_overlay(row))
            command = f"west wramp switches -b {args.board} --row {row}"
            record(args.board, str(overlay), out / row, command, args.core_opt)
        return 0

    def boards(self, args, _unknown):
        chosen = list(args.board)
        if args.all:
            entries = (entry[""] for entry in catalogue.catalogue())
            chosen += [row["board"] for row in entries if row["tier"] != "computed"]
        directory = ROOT / "build/boards"
        failed = []
        for board in chosen:
            forget_board(directory)
            try:
                text = board_entry(board, directory, args.variant or list(VARIANTS), not args.quick)
            except (Problem, catalogue.NoFigure) as problem:
                print(f"west wramp: {board}: {problem}", file=sys.stderr)
                failed.append(board)
                continue
            path = catalogue.BOARDS / catalogue.file_name(board)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
        catalogue.main()
        if failed:
            raise Problem(f"not linked: {', '.join(failed)}; the lines above say why")
        return 0

    def capture(self, args, unknown):
        words = unknown + [word for word in args.arguments if word != "--"]
        if not any(not word.startswith("-") for word in words):
            raise Problem("name the port: `west wramp capture /dev/ttyACM0`")
        # --save writes to results/ of this repository.
        place = ROOT if "--save" in words else None
        return subprocess.run([ROOT / "scripts/wramp", "capture", *words], cwd=place).returncode
