//! The house's rules about `src/`, checked: modules stand in layer order in `src/lib.rs` and
//! import only from modules above their own, `unsafe` stays in its rooms and says why it is
//! right, and files are short and say what they are for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Lines that a file may have, tests that stand in files of their own excepted.
const MOST_LINES: usize = 400;
/// How far above an `unsafe` its `SAFETY` comment may start, in lines.
const SAFETY_WITHIN: usize = 3;

/// One file of `src/`.
struct Source {
    /// Below `src/`, as `af_xdp/ring.rs`.
    path: String,
    text: String,
    /// The text with comments and the contents of literals blanked out, line by line the same.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into(), code: code_only(text) }
    }

    /// The top-level module that the file is in; `None` for the roots.
    fn module(&self) -> Option<&str> {
        let module = self.path.split('/').next().unwrap_or_default();
        let module = module.strip_suffix(".rs").unwrap_or(module);
        (!matches!(module, "lib" | "main")).then_some(module)
    }

    /// How many modules the file is inside of, below the crate's root.
    fn depth(&self) -> usize {
        let file = self.path.trim_end_matches("/mod.rs");
        file.split('/').count()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    fn may_be_unsafe(&self) -> bool {
        ["af_xdp/", "tables/raw/"].iter().any(|room| self.path.starts_with(room))
            || self.path == "cpu.rs"
    }
}

/// Blanks out comments, and what is inside of string and character literals.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !code.ends_with(is_word) => raw_string(rest).unwrap_or(0),
            '\'' => character(rest).unwrap_or(0),
            _ => 0,
        };
        if len == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[len..];
        }
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes of the block comment at the start of `text`; they may be nested.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `None` when the `r` at the start begins no raw string.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end)? + end.len())
}

/// `None` when the quote at the start begins a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return text[3..].find('\'').map(|end| 3 + end + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

/// The words at the start of the paths of a use tree: `{a, b::{c, d}}` has `a` and `b`.
fn first_words(tree: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect();
    let Some(group) = tree.trim_start().strip_prefix('{') else {
        return vec![word(tree)];
    };
    let mut depth = 0;
    let mut at_start = true;
    let mut words = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && is_word(c) => {
                words.push(word(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    words
}

/// The top-level modules that a file names, by `crate::` or by enough `super::`.
fn imports(source: &Source) -> BTreeSet<String> {
    let code = &source.code;
    let mut found = BTreeSet::new();
    let starts = |path: &str| -> Vec<usize> {
        let hits = code.match_indices(path).map(|(at, _)| at);
        hits.filter(|at| !code[..*at].ends_with(|c| is_word(c) || c == ':')).collect()
    };
    for at in starts("crate::") {
        found.extend(first_words(&code[at + "crate::".len()..]));
    }
    for at in starts("super::") {
        let mut rest = &code[at..];
        let mut steps = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, steps) = (next, steps + 1);
        }
        // In a module inside of the file it takes more steps: then this finds words of the
        // file's own, which are no top-level modules.
        if steps >= source.depth() {
            found.extend(first_words(rest));
        }
    }
    found
}

/// The modules of `src/lib.rs`, in its order.
fn layers(lib: &str) -> Vec<String> {
    let lines = code_only(lib);
    let names = lines.lines().filter_map(|line| {
        let line = line.trim();
        let module = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?;
        Some(module.trim_end_matches(';').to_owned())
    });
    names.collect()
}

fn layer_violations(source: &Source, layers: &[String]) -> Vec<String> {
    let Some(own) = source.module() else { return Vec::new() };
    let place = |module: &str| layers.iter().position(|layer| layer == module);
    let Some(own_place) = place(own) else {
        return vec![format!("{}: `{own}` is not in src/lib.rs", source.path)];
    };
    let mut wrong = Vec::new();
    for module in imports(source) {
        let says = match place(&module) {
            Some(at) if at > own_place => "stands below it in src/lib.rs",
            _ if [(own, &*module), (&*module, own)].contains(&("datapath", "control")) => {
                "is the other room: what both need belongs above both"
            }
            _ => continue,
        };
        wrong.push(format!("{}: `{own}` imports from `{module}`, which {says}", source.path));
    }
    wrong
}

/// Lines, from 0, where `unsafe` stands as a word.
fn unsafe_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().filter(|(_, line)| {
        line.match_indices("unsafe").any(|(at, word)| {
            !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word)
        })
    })
}

fn unsafe_violations(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().collect();
    let mut wrong = Vec::new();
    for (at, line) in unsafe_lines(&source.code) {
        let place = format!("{}:{}", source.path, at + 1);
        if !source.may_be_unsafe() {
            wrong.push(format!("{place}: unsafe outside of af_xdp/, cpu.rs and tables/raw/"));
        }
        if line.contains("pub unsafe fn") {
            wrong.push(format!("{place}: a public unsafe function"));
        }
        // A long comment may start earlier, as long as it reaches down to here.
        let mut first = at;
        while first > 0 && lines[first - 1].trim_start().starts_with("//") {
            first -= 1;
        }
        let first = first.min(at.saturating_sub(SAFETY_WITHIN));
        let says_why = lines[first..=at].iter().any(|line| {
            line.split_once("//").is_some_and(|(_, comment)| comment.contains("SAFETY:"))
                || line.trim_start().starts_with("/// # Safety")
        });
        if !says_why {
            wrong.push(format!("{place}: no SAFETY comment"));
        }
    }
    if source.code.contains("allow(unsafe_code)") && !source.may_be_unsafe() {
        wrong.push(format!("{}: allows unsafe code", source.path));
    }
    wrong
}

fn shape_violations(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    if !source.text.starts_with("//!") {
        wrong.push(format!("{}: does not begin with what it is for (`//!`)", source.path));
    }
    let lines = source.text.lines().count();
    if lines > MOST_LINES && !source.is_test() {
        wrong.push(format!("{}: {lines} lines, more than {MOST_LINES}", source.path));
    }
    wrong
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    rust_files(&root, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
        Source::new(below, &fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn lib_layers(sources: &[Source]) -> Vec<String> {
    let lib = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    layers(&lib.text)
}

#[test]
fn modules_import_only_from_above() {
    let sources = sources();
    let layers = lib_layers(&sources);
    // What is known of the layers for certain: if the reading of files broke, this would too.
    assert!(layers.starts_with(&["wire".into()]) && layers.ends_with(&["cli".into()]));
    let worker = sources.iter().find(|source| source.path == "datapath/worker.rs").unwrap();
    assert!(imports(worker).contains("af_xdp") && imports(worker).contains("tables"));
    assert_none(sources.iter().flat_map(|s| layer_violations(s, &layers)).collect());
}

#[test]
fn unsafe_stays_in_its_rooms_and_says_why_it_is_right() {
    let sources = sources();
    let found = sources.iter().map(|source| unsafe_lines(&source.code).count()).sum::<usize>();
    assert!(found > 0, "AF_XDP cannot do without: the search is broken");
    assert_none(sources.iter().flat_map(unsafe_violations).collect());
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    assert_none(sources().iter().flat_map(shape_violations).collect());
}

/// The checks themselves: each finds what it is there to find, and nothing else.
mod checks {
    use super::*;

    fn order() -> Vec<String> {
        layers(
            "//! pub mod not;\npub mod wire;\nmod cpu;\npub mod tables;\npub mod datapath;\npub mod control;\n",
        )
    }

    fn count(path: &str, text: &str) -> usize {
        layer_violations(&Source::new(path, text), &order()).len()
    }

    #[test]
    fn layers_are_read_in_order() {
        assert_eq!(order(), ["wire", "cpu", "tables", "datapath", "control"]);
    }

    #[test]
    fn imports_from_below_are_found() {
        assert_eq!(count("wire/arp.rs", "use crate::tables::Fdb;"), 1);
        assert_eq!(count("wire/arp.rs", "fn f() { crate::tables::f() }"), 1);
        assert_eq!(count("cpu.rs", "use crate::{wire, tables::{a, control}, datapath};"), 2);
        assert_eq!(count("cpu.rs", "use crate::{\n    wire::{a, b},\n    tables as t,\n};"), 1);
        assert_eq!(count("wire/arp.rs", "use super::super::tables::Fdb;"), 1);
        assert_eq!(count("wire/mod.rs", "use super::{cpu, tables};"), 2);
        assert_eq!(count("stray.rs", ""), 1);
    }

    #[test]
    fn the_two_rooms_are_apart() {
        assert_eq!(count("control/rows.rs", "use crate::datapath::Worker;"), 1);
        assert_eq!(count("datapath/worker.rs", "use crate::{tables, control::Control};"), 1);
    }

    #[test]
    fn imports_from_above_and_words_that_are_no_imports_pass() {
        for text in [
            "use crate::{wire::Mac, cpu, tables::Fdb};",
            "// use crate::control::Control;",
            "/* crate::control /* nested */ crate::control */",
            "//! See [`crate::control`].",
            "const A: &str = \"\\\"crate::control\";",
            "const A: &str = r#\"\"crate::control\"#;",
            "const A: char = '\"'; // crate::control \"",
            "fn f<'a>(x: &'a str) -> char { '\\'' } // crate::control",
            "pub(crate) mod control;",
            "use super::tables;",
            "use other_crate::control;",
        ] {
            assert_eq!(count("datapath/worker.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn unsafe_is_found_where_it_should_not_be() {
        let wrong = |path: &str, text: &str| unsafe_violations(&Source::new(path, text)).len();
        let block = "// SAFETY: it is.\nlet a = unsafe { f() };";
        assert_eq!(wrong("af_xdp/ring.rs", block), 0);
        assert_eq!(wrong("tables/raw/bucket.rs", block), 0);
        assert_eq!(wrong("cpu.rs", block), 0);
        assert_eq!(wrong("tables/fdb.rs", block), 1);
        assert_eq!(wrong("tables/fdb.rs", "#![allow(unsafe_code)]"), 1);
        assert_eq!(wrong("cpu.rs", "let a = unsafe { f() };"), 1);
        assert_eq!(wrong("cpu.rs", "// SAFETY: far.\n\n\n\n\nlet a = unsafe { f() };"), 1);
        assert_eq!(wrong("cpu.rs", "let a = unsafe { \"SAFETY:\" };"), 1);
        assert_eq!(wrong("cpu.rs", "// SAFETY: a\n// b\n// c\n// d\n// e\nunsafe { f() }"), 0);
        assert_eq!(wrong("cpu.rs", "/// # Safety\n/// Mind it.\npub unsafe fn f() {}"), 1);
        assert_eq!(wrong("wire/arp.rs", "// unsafe\nlet unsafely = \"unsafe\";"), 0);
    }

    #[test]
    fn shapeless_files_are_found() {
        let wrong = |path: &str, text: &str| shape_violations(&Source::new(path, text)).len();
        let long = format!("//! Long.\n{}", "\n".repeat(MOST_LINES));
        assert_eq!(wrong("wire/arp.rs", "//! ARP.\n"), 0);
        assert_eq!(wrong("wire/arp.rs", "use std::fmt;\n"), 1);
        assert_eq!(wrong("wire/arp.rs", &long), 1);
        assert_eq!(wrong("wire/flow/tests.rs", &long), 0);
    }
}
