//! The built binary's command line: usage, exit codes, and what it makes of the answers of a
//! control socket that this process serves. The rows are the walk-through's. No privileges.

#[path = "cli/batch.rs"]
mod batch;
#[path = "cli/generated.rs"]
mod generated;
#[path = "cli/monitor.rs"]
mod monitor;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/walkthrough.rs"]
mod walkthrough;
#[path = "cli/write.rs"]
mod write;

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command as Process, Output, Stdio},
    thread,
};

use overlane::control::{
    protocol::{Command, FdbRow},
    server::{self, Answer, Serving},
};
use serde_json::{Value, json};

const OVERLANE: &str = env!("CARGO_BIN_EXE_overlane");

/// The binary, its environment free of settings of the machine that the tests run on.
fn overlane(arguments: &[&str]) -> Process {
    let mut process = Process::new(OVERLANE);
    process.args(arguments).stdin(Stdio::null());
    for setting in ["OVERLANE_SOCKET", "OVERLANE_LOG", "JOURNAL_STREAM"] {
        process.env_remove(setting);
    }
    process
}

/// Exit code, stdout, stderr.
fn finished(mut process: Process) -> (i32, String, String) {
    let Output { status, stdout, stderr } = process.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    finished(overlane(arguments))
}

/// A control socket that gives the walk-through's rows.
struct Served {
    directory: tempfile::TempDir,
    _serving: Serving,
}

impl Served {
    fn new(answer: impl Fn(Command) -> Result<Value, String> + Send + Sync + 'static) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let listener = server::bind(&directory.path().join("sock"), None).unwrap();
        let serving = listener
            .serve(move |asked| {
                let answer = answer(asked.command);
                asked.reply.send(answer.map(Answer::Ready));
            })
            .unwrap();
        Served { directory, _serving: serving }
    }

    fn walkthrough() -> Served {
        Served::new(walkthrough::answer)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    /// Runs a client command that must succeed silently; its stdout.
    fn show(&self, arguments: &[&str]) -> String {
        let mut process = overlane(arguments);
        process.arg("--socket").arg(self.path());
        let (code, stdout, stderr) = finished(process);
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        stdout
    }

    /// The same with `-j`.
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.show(&[arguments, &["-j"]].concat());
        assert!(text.ends_with('\n'));
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn usage_errors_are_code_2_and_one_chain() {
    for (arguments, says) in [
        (&["frobnicate"][..], "overlane: unrecognized subcommand 'frobnicate'"),
        (&["fdb", "learn"], "overlane: unrecognized subcommand 'learn'"),
        (&["fdb", "add"], "overlane: fdb add: which MAC? it comes first"),
        (&["fdb", "flush"], "overlane: fdb flush: which rows? use filters"),
        (&["monitor", "link"], "overlane: monitor: `link` is no object"),
        (&["completions", "tcsh"], "overlane: invalid value 'tcsh'"),
        (&["man", "--socket", "x"], "overlane: --socket is for client commands"),
        (&["completions", "bash", "-j"], "overlane: --json is for commands that print"),
        (&["batch"], "overlane: the following required arguments were not provided"),
        (&["doctor"], "overlane: unrecognized subcommand 'doctor'"),
        (&["run"], "overlane: the following required arguments were not provided"),
        (&["stats", "--nonsense"], "overlane: unexpected argument '--nonsense'"),
        (&["stats", "--socket"], "overlane: a value is required for '--socket <PATH>'"),
        (&["fdb", "show", "br0"], "overlane: fdb show: `br0` is no filter"),
        (&["neigh", "show", "x"], "overlane: neigh show: `x` is no filter"),
        (
            &["neigh", "show", "dev", "app.1"],
            "overlane: neigh show: `dev app.1`: neighbour rows are of `dev vxlan0`",
        ),
        (&["run", "--config", "x", "--socket", "y"], "overlane: --socket is for client commands"),
        (&["--json", "run", "--config", "x"], "overlane: --json is for commands that print"),
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_missing_profile_is_code_2_and_is_named() {
    for command in ["run", "check"] {
        let (code, stdout, stderr) = run(&[command, "--config", "/nonexistent/node.toml"]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with("overlane: "), "{stderr}");
        assert!(stderr.contains("/nonexistent/node.toml"), "{stderr}");
    }
}

#[test]
fn a_log_filter_that_is_none_is_code_2() {
    let mut process = overlane(&["run", "--config", "/nonexistent/node.toml"]);
    process.env("OVERLANE_LOG", "overlane=loud");
    let (code, _, stderr) = finished(process);
    assert_eq!(code, 2);
    assert!(stderr.starts_with("overlane: OVERLANE_LOG=overlane=loud: not a log filter"));
}

#[test]
fn help_names_the_commands_of_this_release_and_no_others() {
    let (code, help, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let expected = [
        "run",
        "check",
        "fdb",
        "neigh",
        "network",
        "endpoint",
        "peer",
        "port",
        "stats",
        "runtime",
        "reload",
        "verify",
        "monitor",
        "batch",
        "pktgen",
        "completions",
        "man",
    ];
    assert_eq!(commands, expected);
    for command in expected {
        let (code, help, _) = run(&[command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(help.contains("Usage: overlane"), "{command}: {help}");
    }
    for leaf in [
        &["run"][..],
        &["check"],
        &["fdb", "show"],
        &["fdb", "add"],
        &["fdb", "append"],
        &["fdb", "replace"],
        &["fdb", "del"],
        &["fdb", "flush"],
        &["neigh", "show"],
        &["neigh", "add"],
        &["neigh", "replace"],
        &["neigh", "del"],
        &["network", "list"],
        &["network", "inspect"],
        &["network", "add"],
        &["network", "del"],
        &["endpoint", "list"],
        &["endpoint", "add"],
        &["endpoint", "del"],
        &["peer", "list"],
        &["peer", "add"],
        &["peer", "del"],
        &["port", "list"],
        &["stats"],
        &["runtime"],
        &["reload"],
        &["verify"],
        &["monitor"],
        &["batch"],
        &["completions"],
        &["man"],
        &["pktgen", "rate"],
        &["pktgen", "burst"],
        &["pktgen", "mrr"],
        &["pktgen", "search"],
        &["pktgen", "sizes"],
        &["pktgen", "back-to-back"],
        &["pktgen", "latency"],
        &["pktgen", "soak"],
    ] {
        let (_, help, _) = run(&[leaf, &["--help"]].concat());
        assert!(help.contains(&format!("\n  overlane {}", leaf.join(" "))), "no example: {help}");
    }
    assert_eq!(run(&["--version"]).1, format!("overlane {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_socket_is_code_1_and_says_how_to_get_one() {
    let (code, stdout, stderr) = run(&["stats", "--socket", "/nonexistent/overlane.sock"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "overlane: no control socket at /nonexistent/overlane.sock: is overlane running? start it \
         with `overlane run --config FILE`, or name its socket with --socket\n"
    );
}

#[test]
fn a_stale_socket_and_one_that_is_forbidden_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = directory.path().join("sock");
    let socket = path.to_str().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    // Root passes every mode, so the forbidden client is nobody, with a binary it can reach.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let binary = directory.path().join("overlane");
    std::fs::copy(OVERLANE, &binary).unwrap();
    let mut process = Process::new(binary);
    process.args(["stats", "--socket", socket]).current_dir("/");
    if rustix::process::geteuid().is_root() {
        process.uid(65534);
    }
    let (code, _, stderr) = finished(process);
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        format!(
            "overlane: control socket {socket}: permission denied, it belongs to uid {uid}, gid \
             {gid}, mode 0000: run as root, as the socket's owner, or as a member of its group if \
             its mode is 0660 (`[control] group`)\n"
        )
    );
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    drop(listener);
    let (code, _, stderr) = run(&["stats", "--socket", socket]);
    assert_eq!(code, 1);
    assert!(stderr.contains("nobody listens, the overlane that made it has gone"), "{stderr}");
}

/// Serves one connection: reads a line, sends `answer`, closes.
fn answering_once(path: &Path, answer: &'static str) -> thread::JoinHandle<String> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        (&stream).write_all(answer.as_bytes()).unwrap();
        request
    })
}

#[test]
fn answers_of_another_version_or_of_no_overlane_are_code_1() {
    for (answer, says) in [
        (
            "{\"version\":2,\"rows\":[]}\n",
            "the running overlane speaks protocol version 2, this command 1",
        ),
        ("SSH-2.0-OpenSSH\n", "the answer is not overlane's"),
        (
            "{\"result\":[]}\n",
            "the answer is not overlane's: is this its socket?: it has no version",
        ),
        ("", "closed before it answered"),
        ("{\"version\":1,\"resu", "closed before it answered"),
        ("{\"version\":1,\"result\":[{\"x\":1}]}\n", "the answer is not understood"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let server = answering_once(&path, answer);
        let (code, stdout, stderr) = run(&["fdb", "show", "--socket", path.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{answer}");
        assert!(stderr.starts_with("overlane: ") && stderr.contains(says), "{answer}: {stderr}");
        let request = server.join().unwrap();
        assert_eq!(request, "{\"version\":1,\"command\":\"fdb-show\"}\n");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let _mute = UnixListener::bind(&path).unwrap();
    let (code, _, stderr) = run(&["stats", "--socket", path.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no answer within 6s"), "{stderr}");
}

#[test]
fn the_socket_is_named_before_after_or_by_the_environment() {
    let served = Served::walkthrough();
    let path = served.path();
    let path = path.to_str().unwrap();
    let expected = served.show(&["fdb", "show"]);
    for arguments in [
        ["--socket", path, "fdb", "show"],
        ["fdb", "--socket", path, "show"],
        ["fdb", "show", "--socket", path],
    ] {
        assert_eq!(run(&arguments), (0, expected.clone(), String::new()), "{arguments:?}");
    }
    let mut process = overlane(&["fdb", "show"]);
    process.env("OVERLANE_SOCKET", path);
    assert_eq!(finished(process).1, expected);
    let mut process = overlane(&["--socket", path, "fdb", "show"]);
    process.env("OVERLANE_SOCKET", "/nonexistent");
    assert_eq!(finished(process).1, expected, "the option wins");
    let json = run(&["-j", "fdb", "show", "--socket", path]).1;
    assert_eq!(json, run(&["fdb", "show", "--json", "--socket", path]).1);
    assert!(json.starts_with("[\n  {\n    \"mac\""), "{json}");
}

#[test]
fn a_refusal_is_code_1_and_is_passed_on() {
    let served = Served::walkthrough();
    let path = served.path();
    let socket = path.to_str().unwrap();
    let (code, stdout, stderr) = run(&["network", "inspect", "nonet", "--socket", socket]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "overlane: no network nonet here; there is mynet\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let many: Vec<FdbRow> = (0..50_000u32)
        .map(|number| {
            let [a, b, c, d] = number.to_be_bytes();
            walkthrough::remote(&format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"), "permanent")
        })
        .collect();
    let many = serde_json::to_value(many).unwrap();
    let served = Served::new(move |_| Ok(many.clone()));
    let mut process = overlane(&["fdb", "show"]);
    process.arg("--socket").arg(served.path());
    let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.starts_with("02:42:00:00:00:00 dev vxlan0 dst 172.19.188.123"), "{first}");
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_protocol_is_one_json_line_each_way() {
    let served = Served::walkthrough();
    let mut stream = UnixStream::connect(served.path()).unwrap();
    stream.write_all(b"{\"version\":1,\"command\":\"neigh-show\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, json!({"version": 1, "result": walkthrough::neighbours()}));
}

#[test]
fn every_reason_is_documented() {
    let text = include_str!("../docs/cli.md");
    let drops = overlane::counters::Reason::ALL.iter().map(|reason| reason.name());
    for name in drops.chain(overlane::af_xdp::LEFT_REASONS) {
        assert!(text.contains(&format!("| `{name}` |")), "docs/cli.md does not explain {name}");
    }
}
