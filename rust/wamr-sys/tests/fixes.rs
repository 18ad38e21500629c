//! Corrections of WAMR's source: reading, applying and refusing them.
//!
//! The last tests compare this code with `src/wamr_fixes.cmake`, which does the same. They are
//! skipped if cmake is not installed.

#[path = "../build/fixes.rs"]
mod fixes;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixes::{correct, parse, read, sha256};

const ORIGINAL: &str = "one \\\n    two; \\\nthree [x]\n";
const CORRECTED: &str = "one \\\n    two; \\\nand; ${two} \\\nthree [x]\n";

/// A description of [`ORIGINAL`]'s correction, in which `with` takes the place of `replace`.
fn description(replace: &str, with: &str) -> String {
    let (from, to) = (sha256(ORIGINAL.as_bytes()), sha256(CORRECTED.as_bytes()));
    let text = format!(
        "# why\n\ninterpreter fast\nfile a/b.c\nfaulty {} {to} WAMR 0\nfaulty {from} {to} WAMR 1\n\
         after two; \\\ninsert and; ${{two}} \\\n",
        "0".repeat(64)
    );
    assert!(text.contains(replace));
    text.replacen(replace, with, 1)
}

/// An empty directory.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fixes").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A source and a directory of descriptions, one for `fast` and one for `classic`.
fn tree(name: &str, original: &str, description: &str) -> (PathBuf, PathBuf) {
    let (root, fixes) = (directory(&format!("{name}/root")), directory(&format!("{name}/fixes")));
    fs::create_dir(root.join("a")).unwrap();
    fs::write(root.join("a/b.c"), original).unwrap();
    fs::write(root.join("a/c.c"), original).unwrap();
    fs::write(fixes.join("some-fault.txt"), description).unwrap();
    let other = description.replace("a/b.c", "a/c.c").replace("fast", "classic");
    fs::write(fixes.join("other-fault.txt"), other).unwrap();
    (root, fixes)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn sha256_is_that_of_fips_180() {
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(b"abc"), of_abc);
}

#[test]
fn corrects_a_source_that_is_listed() {
    let fix = parse("some-fault", &description("why", "why")).unwrap();
    let corrected = fix.apply(ORIGINAL.as_bytes()).unwrap().unwrap();
    assert_eq!(String::from_utf8(corrected).unwrap(), CORRECTED);
}

#[test]
fn leaves_a_source_that_is_not_listed() {
    let fix = parse("some-fault", &description("why", "why")).unwrap();
    // The line exists exactly once, but the description does not list this source.
    assert!(fix.apply(format!("{ORIGINAL}\n").as_bytes()).unwrap().is_none());
    assert!(fix.apply(CORRECTED.as_bytes()).unwrap().is_none());
}

#[test]
fn refuses_to_guess() {
    let twice = "two; \\\ntwo; \\\n";
    let from = sha256(ORIGINAL.as_bytes());
    for (replace, with, original, why) in [
        ("after two", "after too", ORIGINAL, "a/b.c does not have `too; \\` exactly once"),
        (&*from, &*sha256(twice.as_bytes()), twice, "a/b.c does not have `two; \\` exactly once"),
        ("insert and", "insert or", ORIGINAL, "the corrected a/b.c has SHA-256 "),
    ] {
        let fix = parse("some-fault", &description(replace, with)).unwrap();
        let error = fix.apply(original.as_bytes()).unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn refuses_a_description_that_it_does_not_understand() {
    let error =
        |replace: &str, with: &str| parse("some-fault", &description(replace, with)).unwrap_err();
    assert_eq!(error("file a/b.c\n", ""), "the line `file` is missing");
    assert_eq!(error("file a/b.c", "files a/b.c"), "line 4: not a word of a description");
    assert_eq!(error("file a/b.c", "file"), "line 4: a word alone");
    assert_eq!(error("# why", "file x"), "line 4: said twice");
    let checksums = "line 5: expected two SHA-256 checksums and the name of a source";
    assert_eq!(error(" WAMR 0", ""), checksums);
    assert_eq!(error("faulty 0", "faulty F"), checksums);
    assert_eq!(error("faulty 0", "faulty "), checksums);
    let name = parse("Some", &description("why", "why")).unwrap_err();
    assert_eq!(name, "a name is lower-case letters, digits and hyphens");
}

/// The second correction of a file lists what the first one corrected.
const TWICE: &str = "one \\\n    two; \\\nand; ${two} \\\nthree [x]\nfour;\n";

/// A tree with a second correction of the same file. Its name is the last one.
fn tree_of_two(name: &str) -> (PathBuf, PathBuf) {
    let (root, fixes) = tree(name, ORIGINAL, &description("why", "why"));
    let (from, to) = (sha256(CORRECTED.as_bytes()), sha256(TWICE.as_bytes()));
    let text = format!(
        "# why\n\ninterpreter fast\nfile a/b.c\nfaulty {from} {to} WAMR 1\nafter three [x]\n\
         insert four;\n"
    );
    fs::write(fixes.join("third-fault.txt"), text).unwrap();
    (root, fixes)
}

#[test]
fn corrections_of_a_file_follow_each_other() {
    let (root, fixes) = tree_of_two("twice");
    let fixes = read(&fixes).unwrap();
    let to = directory("twice/to");
    let done = correct(&fixes, "fast", &root, &to).unwrap();
    assert_eq!((&*done.names, done.warnings.len()), ("some-fault+third-fault", 0));
    assert_eq!(done.copies, [(root.join("a/b.c"), to.join("a/b.c"))]);
    assert_eq!(fs::read_to_string(to.join("a/b.c")).unwrap(), TWICE);

    // Without the first one, the second one does not know the source.
    let third: Vec<_> = fixes.into_iter().filter(|fix| fix.name == "third-fault").collect();
    let done = correct(&third, "fast", &root, &directory("twice/alone")).unwrap();
    assert_eq!((&*done.names, done.copies.len(), done.warnings.len()), ("unlisted", 0, 1));
}

#[test]
fn writes_copies_and_names_them() {
    let (root, fixes) = tree("copies", ORIGINAL, &description("why", "why"));
    let fixes = read(&fixes).unwrap();
    let to = directory("copies/to");
    let done = correct(&fixes, "fast", &root, &to).unwrap();
    assert_eq!((&*done.names, done.warnings.len()), ("some-fault", 0));
    assert_eq!(done.copies, [(root.join("a/b.c"), to.join("a/b.c"))]);
    assert_eq!(fs::read_to_string(to.join("a/b.c")).unwrap(), CORRECTED);
    assert_eq!(fs::read_to_string(root.join("a/b.c")).unwrap(), ORIGINAL);
    assert_eq!(correct(&fixes, "classic", &root, &to).unwrap().names, "other-fault");
    assert_eq!(correct(&fixes, "another", &root, &to).unwrap().names, "none");

    fs::write(root.join("a/b.c"), "something else").unwrap();
    let done = correct(&fixes, "fast", &root, &to).unwrap();
    assert_eq!((&*done.names, done.copies.len()), ("unlisted", 0));
    let [warning] = &*done.warnings else { panic!("{:?}", done.warnings) };
    assert!(warning.contains("a/b.c is not in src/wamr_fixes/some-fault.txt"), "{warning}");
}

/// Whether CMake is installed. Reports a skipped test if not, directly to stderr, because libtest
/// hides what a passing test prints.
fn has_cmake() -> bool {
    let found = Command::new("cmake").arg("--version").output().is_ok();
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: CMake's form of the corrections (apt-get install cmake)"
        );
    }
    found
}

/// Runs `src/wamr_fixes.cmake`. Returns what it prints, or its error.
fn cmake(fixes: &Path, engine: &str, root: &Path, to: &Path) -> Result<String, String> {
    let define = |name: &str, path: &Path| format!("-D{name}={}", path.display());
    let output = Command::new("cmake")
        .args([define("FIXES", fixes), define("ROOT", root), define("TO", to)])
        .arg(format!("-DENGINE={engine}"))
        .arg("-P")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixes.cmake"))
        .output()
        .expect("this test needs cmake (apt-get install cmake)");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // CMake wraps the lines of its errors, so join them.
    let errors = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    if output.status.success() {
        Ok(format!("{}{errors}", text(&output.stdout)))
    } else {
        Err(errors)
    }
}

#[test]
fn cmake_writes_the_same_bytes() {
    if !has_cmake() {
        return;
    }
    let (root, fixes) = tree("cmake", ORIGINAL, &description("why", "why"));
    let to = directory("cmake/to");
    for engine in ["fast", "classic", "another"] {
        let here =
            correct(&read(&fixes).unwrap(), engine, &root, &directory("cmake/rust")).unwrap();
        let said = cmake(&fixes, engine, &root, &to).unwrap();
        assert!(said.contains(&format!("-- names {}\n", here.names)), "{said}");
        let copies: String = here
            .copies
            .iter()
            .map(|(original, _)| {
                let file = original.strip_prefix(&root).unwrap();
                format!(";{}", to.join(file).display())
            })
            .collect();
        let root = root.display();
        assert!(
            said.contains(&format!("-- sources {root}/first.c{copies};{root}/last.c\n")),
            "{said}"
        );
        for (original, copy) in here.copies {
            let file = original.strip_prefix(root.to_string()).unwrap();
            assert_eq!(fs::read(to.join(file)).unwrap(), fs::read(copy).unwrap());
        }
    }

    // Two corrections of one file are one copy, also if CMake runs again.
    let (twice_root, twice_fixes) = tree_of_two("cmake-twice");
    let twice_to = directory("cmake-twice/to");
    for _ in 0..2 {
        let said = cmake(&twice_fixes, "fast", &twice_root, &twice_to).unwrap();
        assert!(said.contains("-- names some-fault+third-fault\n"), "{said}");
        assert_eq!(said.matches(&format!("{}", twice_to.join("a/b.c").display())).count(), 1);
        assert_eq!(fs::read_to_string(twice_to.join("a/b.c")).unwrap(), TWICE);
    }

    // CMake keeps a copy that is right, and overwrites one that is not.
    let copy = to.join("a/b.c");
    let age = || fs::metadata(&copy).unwrap().modified().unwrap();
    let before = age();
    cmake(&fixes, "fast", &root, &to).unwrap();
    assert_eq!(age(), before);
    fs::write(&copy, "damaged").unwrap();
    cmake(&fixes, "fast", &root, &to).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), CORRECTED);
}

#[test]
fn cmake_refuses_what_this_refuses() {
    if !has_cmake() {
        return;
    }
    let to = directory("refuses/to");
    for (replace, with, why) in [
        ("after two", "after too", "does not have `too; \\` exactly once"),
        ("insert and", "insert or", "correction some-fault: the corrected a/b.c has SHA-256"),
        ("file a/b.c\n", "", "the line `file` is missing"),
    ] {
        let (root, fixes) = tree("refuses/tree", ORIGINAL, &description(replace, with));
        fs::remove_file(fixes.join("other-fault.txt")).unwrap();
        let error = cmake(&fixes, "fast", &root, &to).unwrap_err();
        assert!(error.contains(why), "{error}");
        assert!(!to.join("a/b.c").exists());
    }
    let (root, fixes) = tree("refuses/tree", "something else", &description("why", "why"));
    let said = cmake(&fixes, "fast", &root, &to).unwrap();
    assert!(said.contains("-- names unlisted\n"), "{said}");
    assert!(said.contains("a/b.c is not in src/wamr_fixes/some-fault.txt"), "{said}");
    assert!(!to.join("a/b.c").exists());
}

/// Each description fits the source that this build has, here and in CMake.
#[test]
fn both_forms_correct_this_wamr_alike() {
    if !has_cmake() {
        return;
    }
    let fixes = repository().join("src/wamr_fixes");
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = source::find(manifest_dir).unwrap().root;
    let (rust, to) = (directory("this/rust"), directory("this/cmake"));
    let here = correct(&read(&fixes).unwrap(), "fast", &root, &rust).unwrap();
    let said = cmake(&fixes, "fast", &root, &to).unwrap();
    assert!(said.contains(&format!("-- names {}\n", here.names)), "{said}");
    for (original, copy) in here.copies {
        let file = original.strip_prefix(&root).unwrap();
        let (there, here) = (fs::read(to.join(file)).unwrap(), fs::read(copy).unwrap());
        assert!(there == here, "{}", file.display());
    }
}

#[path = "../build/source.rs"]
#[allow(dead_code, reason = "the build script uses the rest")]
mod source;
