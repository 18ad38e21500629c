"""Tests of `west wramp` that build no firmware.

scripts/test runs them where Python has west. An emulator is a shell script here, and a build
directory holds the few files that the command reads.
"""

import argparse
import contextlib
import datetime
import io
import os
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

try:
    import tomllib
except ImportError:  # Python before 3.11
    tomllib = None

from west.configuration import Configuration

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import catalogue  # noqa: E402  (it lies in the parent directory)
import west_commands as wramp  # noqa: E402  (it lies in the parent directory)

DONE = "wramp done workloads=1 errors=0 exit={} crc=0000"

# What Zephyr 4.1 writes after a call with -DCONFIG_WRAMP_SLOTS=12 and dense.conf.
CACHE = """\
// Application Binary Directory
APPLICATION_BINARY_DIR:PATH=/b
BOARD:STRING=mps2/an385
CLI_CONFIG_WRAMP_SLOTS:INTERNAL=12
CLI_CONFIG_WRAMP_AOT:INTERNAL=y
CMAKE_C_COMPILER:STRING=/sdk/arm-zephyr-eabi-gcc
CONF_FILE:STRING={root}/prj.conf;{root}/boards/mps2_an385.conf
EXTRA_CONF_FILE:UNINITIALIZED=dense.conf
EXTRA_DTC_OVERLAY_FILE:UNINITIALIZED=
SHIELD:STRING=
""".format(root=wramp.ROOT)


def quiet():
    """Captures what the command prints, for tests that check it."""
    stack = contextlib.ExitStack()
    out, err = io.StringIO(), io.StringIO()
    stack.enter_context(contextlib.redirect_stdout(out))
    stack.enter_context(contextlib.redirect_stderr(err))
    return stack, out, err


class Scratch(unittest.TestCase):
    """Gives each test a temporary directory, and captures its output."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        stack, self.out, self.err = quiet()
        self.addCleanup(stack.close)

    def script(self, text):
        return ["sh", "-c", text]


class Modules(Scratch):
    def test_a_file_that_is_here_is_named_in_full(self):
        file = self.place / "a.wasm"
        file.write_bytes(b"")
        options = wramp.module_options([f"{file}:tick=3", "cpu=*", "far/b.wat"], "run")
        full = file.resolve()
        self.assertEqual(
            options,
            [
                f'-DCONFIG_WRAMP_MODULE="{full}:tick=3 cpu=* far/b.wat"',
                '-DCONFIG_WRAMP_MODULE_EXPORT="run"',
            ],
        )

    def test_a_module_that_needs_a_host_is_seen(self):
        def module(name, text):
            path = self.place / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            return wramp.needs_host(path)

        head = b"\0asm\1\0\0\0"
        self.assertTrue(module("i.wasm", head + b"\2\7\1\1a\1b\0\0"))
        self.assertFalse(module("n.wasm", head + b"\2\1\0\7\7\1\3run\0\0"))
        self.assertTrue(module("s.wasm", head + b"\7\x0a\1\6_start\0\0"))
        self.assertFalse(module("cut.wasm", head + b"\7\x80"))
        self.assertTrue(module("a.wat", '(module (import "env" "x" (func)))'))
        self.assertTrue(module("b.wat", '(module (func (export "wramp_poll") (result i32)))'))
        self.assertTrue(module("d.wat", '(; a\n ;) ;; b\n(module (import "env" "x" (func)))'))
        self.assertFalse(module("c.wat", ';; (import "env" "x")\n(module (func (export "run")))'))

    def test_a_host_is_given_where_it_is_needed_or_asked_for(self):
        file = self.place / "g.wat"
        file.write_text('(module (import "wramp" "id" (func (result i32))))')
        plain = self.place / "p.wat"
        plain.write_text("(module)")
        self.assertEqual(wramp.host_options([f"{file}:run=3"]), ["-DCONFIG_WRAMP_IMPORTS=y"])
        self.assertEqual(wramp.host_options([str(plain), "cpu=*"]), [])
        self.assertEqual(
            wramp.host_options([str(plain)], "log,send", ["env.a", "env.b"], 7, 524),
            [
                "-DCONFIG_WRAMP_IMPORTS=y",
                '-DCONFIG_WRAMP_ALLOW="log,send"',
                '-DCONFIG_WRAMP_STUB="env.a env.b"',
                "-DCONFIG_WRAMP_SEED=7",
                "-DCONFIG_WRAMP_QUEUE_BYTES=524",
            ],
        )

    def test_a_path_that_kconfig_could_not_hold_is_refused(self):
        for path in ("a b.wasm", 'a".wasm'):
            with self.assertRaisesRegex(wramp.Problem, "may hold no space"):
                wramp.module_options([path], None)


@unittest.skipUnless(shutil.which("gcc") and shutil.which("ld"), "no gcc or no ld")
class Flash(Scratch):
    """src/flash.ld in a small script of its own, linked for this machine."""

    def link(self, flash_bytes, *defines):
        source = self.place / "image.c"
        source.write_text("const char module[1000] = {1}; void _start(void) {}\n")
        script = self.place / "image.ld.c"
        script.write_text(
            f"MEMORY {{ FLASH (rx) : ORIGIN = 0x1000, LENGTH = {flash_bytes} }}\n"
            "SECTIONS {\n"
            ".text : { *(.text*) *(.rodata*) } > FLASH\n"
            ".last_section : { LONG(0) } > FLASH\n"
            "/DISCARD/ : { *(.comment) *(.note*) *(.eh_frame) }\n"
            f'#include "{wramp.ROOT / "src/flash.ld"}"\n'
            "}\n"
        )
        ready, objects = self.place / "image.ld", self.place / "image.o"
        options = [f"-D{name}=1" for name in defines]
        subprocess.run(["gcc", "-E", "-P", *options, script, "-o", ready], check=True)
        subprocess.run(["gcc", "-c", source, "-o", objects], check=True)
        call = ["ld", "-T", ready, objects, "-o", self.place / "image"]
        return subprocess.run(call, capture_output=True, text=True)

    def test_a_module_that_does_not_fit_is_named_with_the_knob(self):
        said = self.link(600, "CONFIG_XIP", "CONFIG_WRAMP_OWN_MODULES")
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("wramp: the flash has no room for CONFIG_WRAMP_MODULE", said.stderr)
        said = self.link(600, "CONFIG_XIP")
        self.assertIn("wramp: the flash has no room for this image", said.stderr)

    def test_what_fits_links_and_an_image_in_ram_is_not_asked(self):
        self.assertEqual(self.link(4096, "CONFIG_XIP", "CONFIG_WRAMP_OWN_MODULES").returncode, 0)
        self.assertNotIn("wramp:", self.link(600).stderr)


class Names(Scratch):
    def test_a_board_s_directory_is_that_of_capture(self):
        self.assertEqual(wramp.board_directory("mps2/an385"), "mps2_an385")
        self.assertEqual(wramp.board_directory("native_sim/native/64"), "native_sim_native_64")
        # No name leads out of results/.
        self.assertEqual(wramp.board_directory("../x@1.0"), "--_x-1-0")

    def test_presets_are_the_overlays_and_classic(self):
        names = wramp.presets()
        self.assertEqual(names[0], "classic")
        for name in ("published", "fast", "dense", "preemptive", "busy", "debug", "psram"):
            self.assertIn(name, names)
        self.assertNotIn("prj", names)

    def test_a_preset_is_an_overlay_s_name_or_path(self):
        self.assertEqual(wramp.overlay_of("classic"), "")
        self.assertEqual(wramp.overlay_of("dense"), "dense.conf")
        mine = self.place / "mine.conf"
        mine.write_text("CONFIG_WRAMP_SLOTS=2\n")
        self.assertEqual(wramp.overlay_of(str(mine)), str(mine.resolve()))
        self.assertEqual(wramp.preset_name(str(mine)), "mine")

    def test_an_unknown_preset_is_refused_with_those_that_exist(self):
        with self.assertRaisesRegex(wramp.Problem, "`dens`.*classic.*dense"):
            wramp.overlay_of("dens")
        with self.assertRaisesRegex(wramp.Problem, "no overlay"):
            wramp.overlay_of(str(self.place / "none.conf"))

    def test_words_before_the_first_dash_are_presets(self):
        self.assertEqual(wramp.split_words([]), ([], []))
        self.assertEqual(wramp.split_words(["dense"]), (["dense"], []))
        # What Python up to 3.11 passes, and what 3.12 passes.
        for words in (["dense", "-DA=1", "-DB=2"], ["dense", "--", "-DA=1", "-DB=2"]):
            self.assertEqual(wramp.split_words(words), (["dense"], ["-DA=1", "-DB=2"]))
        # A CMake argument may have a value of its own.
        self.assertEqual(wramp.split_words(["--", "-G", "Ninja"]), ([], ["-G", "Ninja"]))


class BuildDirectory(Scratch):
    def test_options_of_earlier_calls_are_seen(self):
        options = wramp.effective_options(wramp.cache_entries(CACHE))
        self.assertEqual(
            options,
            ["-DCONFIG_WRAMP_AOT=y", "-DCONFIG_WRAMP_SLOTS=12", "-DEXTRA_CONF_FILE=dense.conf"],
        )

    def firmware(self, cache=CACHE, config="CONFIG_QEMU_TARGET=y\n"):
        (self.place / "zephyr").mkdir()
        (self.place / "CMakeCache.txt").write_text(cache)
        (self.place / "zephyr/.config").write_text(config)
        return wramp.Firmware("mps2/an385", "dense", self.place)

    def test_a_build_tells_what_stayed_from_an_earlier_call(self):
        firmware = self.firmware()
        with mock.patch.object(wramp, "must") as must:
            firmware.build(["-DCONFIG_WRAMP_SLOTS=12"])
        call = must.call_args.args[0]
        self.assertEqual(call[-2:], ["-DEXTRA_CONF_FILE=dense.conf", "-DCONFIG_WRAMP_SLOTS=12"])
        said = self.err.getvalue()
        self.assertIn(
            "options: -DCONFIG_WRAMP_AOT=y -DCONFIG_WRAMP_SLOTS=12 -DEXTRA_CONF_FILE=dense.conf",
            said,
        )
        self.assertIn("-DCONFIG_WRAMP_AOT=y stayed from an earlier call", said)
        self.assertTrue((self.place / "zephyr/.config").exists())

    def test_a_fresh_build_forgets_them(self):
        firmware = self.firmware()
        with mock.patch.object(wramp, "must") as must:
            firmware.build(fresh=True)
        self.assertIn("-UCLI_CONFIG_*", must.call_args.args[0])
        # CMake reads its arguments in order: this call's overlay must come last.
        self.assertEqual(must.call_args.args[0][-1], "-DEXTRA_CONF_FILE=dense.conf")
        self.assertFalse((self.place / "zephyr/.config").exists())

    def test_the_configuration_says_whether_a_board_is_emulated(self):
        firmware = self.firmware()
        self.assertEqual(firmware.emulator()[-2:], ["-t", "run"])
        (self.place / "zephyr/.config").write_text("# CONFIG_QEMU_TARGET is not set\n")
        self.assertIsNone(firmware.emulator())
        (self.place / "zephyr/zephyr.exe").touch()
        self.assertEqual(firmware.emulator()[-1], "-no-rt")

    def test_a_board_is_not_recorded_here(self):
        firmware = self.firmware(config="")
        with mock.patch.object(wramp, "Firmware", return_value=firmware), mock.patch.object(
            wramp, "must"
        ):
            firmware.build = lambda fresh: None
            with self.assertRaisesRegex(wramp.Problem, "west wramp capture PORT --save"):
                wramp.record("rpi_pico", "classic", self.place / "out", "command")
        self.assertFalse((self.place / "out").exists())


class Emulator(Scratch):
    def run_script(self, text, silence_s=30):
        lines = []
        return wramp.emulate(self.script(text), lines.append, silence_s), lines

    def test_the_status_is_the_run_s_and_not_the_emulator_s(self):
        status, lines = self.run_script(f"printf 'boot\\r\\n{DONE.format(2)}\\r\\nFAILED: run_qemu\\n'; exit 1")
        self.assertEqual(status, 2)
        self.assertEqual(lines, ["boot", DONE.format(2)])
        self.assertEqual(self.run_script(f"echo '{DONE.format(0)}'; exit 1")[0], 0)

    def test_a_run_that_was_not_done_fails(self):
        status, _ = self.run_script("echo 'wramp run format=2'; exit 0")
        self.assertEqual(status, 1)
        self.assertIn("without a `wramp done` record", self.err.getvalue())
        # This text only looks like the record.
        self.assertEqual(self.run_script("echo 'x wramp done exit=0'")[0], 1)

    def test_a_silent_run_is_ended_with_its_children(self):
        child = self.place / "child"
        status, _ = self.run_script(f"echo begun; sleep 60 & echo $! >{child}; wait", silence_s=1)
        self.assertEqual(status, 124)
        with self.assertRaises(ProcessLookupError):
            for _ in range(100):
                os.kill(int(child.read_text()), 0)
                wramp.subprocess.run(["sleep", "0.05"], check=True)


class Machine(Scratch):
    def test_how_core_was_built_is_proved_or_unknown(self):
        self.assertEqual(wramp.core_opt(self.place, "thumbv7m-none-eabi", {}), "unknown")
        library = self.place / "lib/rustlib"
        library.mkdir(parents=True)
        (library / "manifest-rust-std-thumbv7m-none-eabi").touch()
        self.assertEqual(wramp.core_opt(self.place, "thumbv7m-none-eabi", {}), "3")
        self.assertEqual(wramp.core_opt(self.place, "thumbv6m-none-eabi", {}), "unknown")
        environment = {"CARGO_UNSTABLE_BUILD_STD": "core,alloc"}
        self.assertEqual(wramp.core_opt(self.place, "xtensa", environment), "size")

    def test_the_rust_target_is_read_from_the_build(self):
        path = self.place / "rust/firmware/rust"
        path.mkdir(parents=True)
        (path / "sample-cargo-config.toml").write_text('[build]\ntarget = "thumbv7m-none-eabi"\n')
        self.assertEqual(wramp.rust_target(self.place), "thumbv7m-none-eabi")

    def test_the_processor_is_named_where_linux_names_it(self):
        path = self.place / "cpuinfo"
        self.assertIsNone(wramp.processor(path))
        path.write_text("processor\t: 0\nmodel name\t: A Chip 9000\nmodel name\t: again\n")
        self.assertEqual(wramp.processor(path), "A Chip 9000")

    def record(self, script, sizes="text_bytes: 1\nram_beyond_bytes: 2\n"):
        build = self.place / "build/zephyr"
        build.mkdir(parents=True, exist_ok=True)
        (build.parent / "CMakeCache.txt").write_text(CACHE)
        (build / ".config").write_text("CONFIG_QEMU_TARGET=y\nCONFIG_QEMU_ICOUNT_SHIFT=2\n")
        rust = build.parent / "rust/firmware/rust"
        rust.mkdir(parents=True, exist_ok=True)
        (rust / "sample-cargo-config.toml").write_text('target = "t"\n')
        reader = self.place / "reader"
        reader.write_text(f"#!/bin/sh\nprintf '%s' '{sizes}'\n")
        reader.chmod(0o755)
        firmware = wramp.Firmware("mps2/an385", "dense", build.parent)
        out = self.place / "out"
        with mock.patch.object(wramp.Firmware, "build"), mock.patch.object(
            wramp.Firmware, "emulator", return_value=self.script(script)
        ), mock.patch.object(wramp, "Firmware", return_value=firmware), mock.patch.dict(
            os.environ, {"WRAMP": str(reader)}
        ):
            wramp.record("mps2/an385", "dense", out, "west wramp record ...", "3")
        about = dict(line.split(": ", 1) for line in (out / "machine.txt").read_text().splitlines())
        return (out / "run.log").read_text(), about

    def test_a_record_holds_the_records_and_what_made_them(self):
        log, about = self.record(f"echo boot; echo '{DONE.format(0)}'")
        self.assertEqual(log, DONE.format(0) + "\n")
        self.assertEqual(about["command"], "west wramp record ...")
        self.assertEqual(about["core_opt"], "3")
        self.assertEqual(about["icount_shift"], "2")
        self.assertEqual(about["two_runs_identical"], "yes")
        self.assertEqual((about["text_bytes"], about["ram_beyond_bytes"]), ("1", "2"))
        self.assertIn("-DCONFIG_WRAMP_SLOTS=12", about["options"])

    def test_two_runs_that_differ_are_told_apart(self):
        count = self.place / "count"
        script = f"echo x >>{count}; echo \"wramp step n=$(wc -l <{count})\"; echo '{DONE.format(0)}'"
        log, about = self.record(script)
        self.assertIn("n=1", log)
        self.assertEqual(about["two_runs_identical"], "no")

    def test_a_run_without_an_end_is_not_recorded(self):
        with self.assertRaisesRegex(wramp.Problem, "(?s)nothing was recorded.*wramp run format=2"):
            self.record("echo 'wramp run format=2'")
        self.assertFalse((self.place / "out").exists())


class Switches(Scratch):
    def test_each_row_s_overlay_names_symbols_of_kconfig(self):
        kconfig = (wramp.ROOT / "Kconfig").read_text()
        known = {line.split()[1] for line in kconfig.splitlines() if line.startswith("config ")}
        for row in wramp.SWITCHES:
            for line in wramp.switch_overlay(row).splitlines():
                symbol = line.removeprefix("CONFIG_").split("=")[0]
                self.assertIn(symbol, known, row)

    def test_each_further_row_changes_one_thing_more(self):
        # The fast interpreter has no cache, and row s5 removes the copy that s4 added.
        gone = {*wramp._CACHE_16, *wramp._COPY}
        rows = [set(wramp.SWITCHES[row]) - gone for row in wramp.SWITCHES if row.startswith("s")]
        self.assertEqual(len(rows), 8)
        for earlier, later in zip(rows, rows[1:]):
            self.assertLessEqual(earlier, later)


class Command(Scratch):
    """The command line, through west's own class."""

    def west(self, *words):
        parser = argparse.ArgumentParser()
        command = wramp.Wramp()
        command.add_parser(parser.add_subparsers())
        args, unknown = parser.parse_known_args(["wramp", *words])
        args.verbose = 0
        with self.assertRaises(SystemExit) as end:
            command.run(args, unknown, str(self.place), config=Configuration())
        return end.exception.code

    def test_run_builds_runs_and_keeps_the_log(self):
        built = []

        def emulator(firmware):
            firmware.directory.mkdir(parents=True, exist_ok=True)
            return ["echo", DONE.format(1)]

        with mock.patch.object(wramp, "ROOT", self.place), mock.patch.object(
            wramp, "overlay_of", return_value=""
        ), mock.patch.object(
            wramp.Firmware, "build", lambda self, options, fresh: built.append((options, fresh))
        ), mock.patch.object(wramp.Firmware, "emulator", emulator):
            words = ["run", "-b", "mps2/an385", "dense", "--", "-DCONFIG_WRAMP_SLOTS=3"]
            self.assertEqual(self.west(*words), 1)
        self.assertEqual(built, [(["-DCONFIG_WRAMP_SLOTS=3"], False)])
        log = self.place / "build/mps2_an385-dense/run.log"
        self.assertEqual(log.read_text(), DONE.format(1) + "\n")
        self.assertEqual(self.out.getvalue(), DONE.format(1) + "\n")

    def test_a_board_is_flashed(self):
        calls = []
        with mock.patch.object(wramp.Firmware, "build"), mock.patch.object(
            wramp.Firmware, "emulator", return_value=None
        ), mock.patch.object(wramp, "must", lambda call, what: calls.append((call[3], what))):
            self.assertEqual(self.west("run", "-b", "rpi_pico"), 0)
        self.assertEqual(calls, [("flash", "flashing")])
        self.assertIn("west wramp capture PORT", self.err.getvalue())

    def test_what_is_wrong_is_said_before_anything_is_built(self):
        with mock.patch.object(wramp, "must", side_effect=AssertionError("built")):
            self.assertEqual(self.west("run", "-b", "x", "nonsense"), 2)
            self.assertEqual(self.west("run", "-b", "x", "dense", "fast"), 2)
            self.assertEqual(self.west("run", "-b", "x", "--nonsense"), 1)
            self.assertEqual(self.west("record", "-b", "x", "classic", "nonsense"), 2)
            self.assertEqual(self.west("capture", "--save"), 2)

    def test_capture_hands_everything_on(self):
        done = types.SimpleNamespace(returncode=3)
        with mock.patch.object(wramp.subprocess, "run", return_value=done) as run:
            self.assertEqual(self.west("capture", "--baud", "9600", "/dev/ttyACM0", "--save"), 3)
        self.assertEqual(
            run.call_args.args[0][1:], ["capture", "--baud", "9600", "/dev/ttyACM0", "--save"]
        )


class Emulators(Scratch):
    def test_qemu_runs_what_zephyr_has_no_emulator_for(self):
        directory = self.place / "build"
        (directory / "zephyr").mkdir(parents=True)
        (directory / "zephyr/.config").write_text("CONFIG_X=y\n")
        call = wramp.Firmware("mps2/an500", "classic", directory).emulator()
        self.assertEqual(call[:3], ["qemu-system-arm", "-M", "mps2-an500"])
        self.assertEqual(call[-2:], ["-kernel", str(directory / "zephyr/zephyr.elf")])
        self.assertIsNone(wramp.Firmware("nrf52840dk/nrf52840", "classic", directory).emulator())


class Boards(Scratch):
    SYMBOLS = {"WRAMP_SLOTS": "12", "WRAMP_ARENA_SIZE": "-1", "WRAMP_SLOT_STACK_SIZE": "4096"}

    def image(self, **changed):
        return catalogue.Image(
            self.SYMBOLS | changed.pop("symbols", {}),
            **{
                "ram_start": 0x20000000,
                "ram_end": 0x20040000,
                "image_end": 0x20000000 + 68096,
                "flash_bytes": 139032,
                "threads": 12 * 144,
                "stacks": 12 * 4160,
                "seats": 12 * 432,
            }
            | changed,
        )

    def test_a_figure_predicts_the_image_of_another_geometry(self):
        image = self.image()
        self.assertEqual((image.slot_bytes, image.fixed_bytes), (4736, 68096 - 12 * 4736))
        other = self.image(symbols={"WRAMP_SLOTS": "7"})
        self.assertEqual(image.predicted_end(other), image.image_end - 5 * 4736)
        # A fixed arena lies inside the image, and is no part of what the image takes.
        fixed = self.image(symbols={"WRAMP_ARENA_SIZE": "65536"}, image_end=0x20000000 + 133632)
        self.assertEqual(fixed.fixed_bytes, image.fixed_bytes)
        self.assertEqual(image.predicted_end(fixed), fixed.image_end)

    def test_a_pool_has_workers_and_residents(self):
        symbols = {"WRAMP_MODE_POOL": "y", "WRAMP_SLOTS": "4", "WRAMP_WORKERS": "4"}
        symbols |= {"WRAMP_RESIDENTS": "512"}
        sizes = {"threads": 4 * 144, "stacks": 4 * 4096, "seats": 8 * 1700, "table": 512 * 72}
        image = self.image(symbols=symbols, **sizes)
        self.assertEqual((image.worker_bytes, image.resident_bytes), (144 + 4096 + 3400, 72))
        other = self.image(symbols=symbols | {"WRAMP_WORKERS": "3", "WRAMP_RESIDENTS": "507"})
        less = 144 + 4096 + 3400 + 5 * 72
        self.assertEqual(image.predicted_end(other), image.image_end - less)

    def test_an_array_that_slots_do_not_share_evenly_is_no_figure(self):
        with self.assertRaises(catalogue.NoFigure):
            self.image(stacks=12 * 4160 + 1).slot_bytes

    def test_a_file_is_read_as_it_was_written(self):
        entry = {
            "": {"board": "a/b", "name": "A B", "clock_hz": None, "ram_bytes": 1024},
            "image": {"flash_bytes": 1, "date": "2026-11-21", "command": "west build -b a/b"},
            "image.pool": {"worker_bytes": 2},
        }
        notes = {"image": ["One link.", "Two lines."]}
        path = self.place / "a_b.toml"
        path.write_text(catalogue.text_of(entry, notes))
        del entry[""]["clock_hz"]
        self.assertEqual(catalogue.read_file(path), entry)
        self.assertEqual(catalogue.read_notes(path), notes)
        path.write_text("ram_bytes = many\n")
        with self.assertRaisesRegex(catalogue.NoFigure, "a_b.toml:1"):
            catalogue.read_file(path)

    def test_the_catalogue_is_whole(self):
        entries = catalogue.catalogue()
        self.assertGreaterEqual(len(entries), 1)
        for entry in entries:
            board, image = entry[""], entry["image"]
            path = catalogue.BOARDS / catalogue.file_name(board["board"])
            with self.subTest(path=path.name):
                self.assertTrue(path.is_file())
                self.assertIn(board["tier"], catalogue.TIERS)
                self.assertIn(board["pointer_bits"], (32, 64))
                for key in ("ram_bytes", "flash_bytes", "slot_bytes", "slot_stack_bytes"):
                    self.assertIsInstance(image[key], int)
                self.assertGreater(image["slot_bytes"], image["slot_stack_bytes"])
                self.assertGreater(board["ram_bytes"], image["ram_bytes"])
                if tomllib is not None:
                    # What `wramp fit` reads.
                    read = tomllib.loads(path.read_text())
                    self.assertEqual(read["ram_bytes"], board["ram_bytes"])
                    self.assertIsInstance(read["image"]["date"], datetime.date)
                    self.assertGreater(read.get("clock_hz", 1), 0)
                    self.assertEqual(read["image"]["slot_bytes"], image["slot_bytes"])
                # A claim that this repository holds the run needs the run.
                runs = wramp.ROOT / "results" / wramp.board_directory(board["board"])
                self.assertEqual(board["tier"] == "executed", any(runs.glob("*/run.log")))
                for name in ("image.fast", "image.pool"):
                    self.assertGreater(entry.get(name, image)["flash_bytes"] + 1, 0)
        lines = catalogue.table(entries).splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_an_estimate_says_how_far_it_missed(self):
        def linked(cpu, flash, ram, slot):
            image = {"flash_bytes": flash, "ram_bytes": ram, "slot_bytes": slot}
            return {"": {"cpu": cpu}, "image": image}

        # Three alike, and one of another family that only the others can stand for.
        known = [linked("Cortex-M4F", 140 + n, 50, 4700) for n in range(3)]
        known.append(linked("Cortex-M0+", 160, 52, 4600))
        self.assertEqual(catalogue.estimate("Cortex-M4", known)["flash_bytes"], 141)
        worst = catalogue.misses(known)
        self.assertEqual(worst, {"flash_bytes": 19, "ram_bytes": 2, "slot_bytes": 100})

    def test_another_board_keeps_what_cargo_compiled_and_nothing_else(self):
        kept = self.place / wramp.RUST / "release/bindgen"
        kept.parent.mkdir(parents=True)
        kept.write_text("")
        for name in ("CMakeCache.txt", "rust/firmware/config-1", "zephyr/.config"):
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        wramp.forget_board(self.place)
        self.assertEqual([p for p in self.place.rglob("*") if p.is_file()], [kept])


if __name__ == "__main__":
    unittest.main()
