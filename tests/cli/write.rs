//! Write commands: what goes over the socket, and what is printed of the answer.

use std::sync::{Arc, Mutex};

use overlane::control::protocol::{
    Command, Differing, Done, FdbFilter, FdbRequest, Flushed, MacText, Reloaded, Verified,
};
use serde_json::{Value, json};

use crate::{Served, finished, output::documented, overlane};

/// A socket that notes what it is asked and answers the same to all.
fn noting(answer: Value) -> (Served, Arc<Mutex<Vec<Command>>>) {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&noted);
    let served = Served::new(move |command| {
        asked.lock().unwrap().push(command);
        Ok(answer.clone())
    });
    (served, noted)
}

fn mac(text: &str) -> MacText {
    MacText(text.parse().unwrap())
}

#[test]
fn a_write_command_is_sent_as_meant_and_is_silent() {
    let (served, noted) = noting(json!(Done { changed: true }));
    let row = FdbRequest {
        mac: mac("02:42:0a:00:01:09"),
        network: Some("mynet".into()),
        dst: Some([172, 19, 188, 123].into()),
        ..FdbRequest::default()
    };
    for (line, command) in [
        (
            "fdb add 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123 network mynet",
            Command::FdbAdd(row.clone()),
        ),
        (
            "fdb replace 02:42:0a:00:01:09 dst 172.19.188.123 network mynet self permanent",
            Command::FdbReplace(row.clone()),
        ),
        ("fdb del 02:42:0a:00:01:09 dst 172.19.188.123 network mynet", Command::FdbDel(row)),
        (
            "fdb append 00:00:00:00:00:00 dst 172.19.188.123",
            Command::FdbAdd(FdbRequest {
                dst: Some([172, 19, 188, 123].into()),
                ..FdbRequest::default()
            }),
        ),
        ("network del blue", Command::NetworkDel { name: "blue".into() }),
        ("network delete blue", Command::NetworkDel { name: "blue".into() }),
        ("peer add node3 172.19.190.7", peer_add()),
        ("peer add node3 address 172.19.190.7", peer_add()),
        ("peer del node3", Command::PeerDel { name: "node3".into() }),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(served.show(&words), "", "{line}");
        assert_eq!(noted.lock().unwrap().pop(), Some(command), "{line}");
        assert_eq!(served.json(&words), json!({"changed": true}), "{line}");
    }
    for line in [
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh replace 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh del 10.0.1.9",
        "network add blue vni 4200 subnet 10.0.9.0/24",
        "endpoint add app.3 network mynet netns app3 address 10.0.1.7",
        "endpoint del app.3",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(served.show(&words), "", "{line}");
        let command = serde_json::to_value(noted.lock().unwrap().pop()).unwrap();
        assert_eq!(command["command"], words[..2].join("-"), "{line}");
    }
}

fn peer_add() -> Command {
    Command::PeerAdd { name: "node3".into(), address: "172.19.190.7".into() }
}

#[test]
fn keys_reach_the_switch_with_their_types() {
    let (served, noted) = noting(json!(Done { changed: true }));
    served.show(&["network", "add", "k8s", "vni=4202", "learning", "on", "follow.netns", "frr"]);
    let command = serde_json::to_value(noted.lock().unwrap().pop()).unwrap();
    assert_eq!(
        command,
        json!({"command": "network-add", "name": "k8s",
               "keys": {"vni": 4202, "learning": true, "follow": {"netns": "frr"}}})
    );
}

#[test]
fn a_flush_says_how_many() {
    let (served, _) = noting(json!(Flushed { removed: 2 }));
    let words = ["fdb", "flush", "dynamic", "network", "mynet"];
    assert_eq!(documented(&served, &words), "2 rows removed\n");
    let (served, noted) = noting(json!(Flushed { removed: 12 }));
    assert_eq!(served.show(&["fdb", "flush", "all"]), "12 rows removed\n");
    let words = ["fdb", "flush", "dst", "172.19.188.123", "vni", "4097", "dynamic"];
    assert_eq!(served.json(&words), json!({"removed": 12}));
    let filter = FdbFilter {
        dst: Some([172, 19, 188, 123].into()),
        vni: Some(4097),
        permanent: Some(false),
        ..FdbFilter::default()
    };
    let asked = noted.lock().unwrap().clone();
    assert_eq!(asked, [Command::FdbFlush(FdbFilter::default()), Command::FdbFlush(filter)]);
}

#[test]
fn nothing_is_asked_when_the_words_are_wrong() {
    let (served, noted) = noting(json!(Done { changed: true }));
    let mut process = overlane(&["fdb", "add", "02:42:0a:00:01:09", "dev", "app.1", "temp"]);
    process.arg("--socket").arg(served.path());
    let (code, stdout, stderr) = finished(process);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.starts_with("overlane: fdb add: `temp`: rows by command are perm"), "{stderr}");
    assert!(noted.lock().unwrap().is_empty());
}

#[test]
fn a_reload_says_what_changed() {
    let (served, _) = noting(json!(Reloaded {
        networks_added: 1,
        endpoints_added: 2,
        endpoints_removed: 1,
        ..Reloaded::default()
    }));
    let text = "networks 1 added; endpoints 2 added, 1 removed\n";
    assert_eq!(documented(&served, &["reload"]), text);
    assert_eq!(served.json(&["reload"])["endpoints_added"], 2);
    let (served, _) = noting(json!(Reloaded::default()));
    assert_eq!(served.show(&["reload"]), "nothing changed\n");
}

#[test]
fn verify_fails_on_what_differs_and_was_not_repaired() {
    let sums = Verified { fdb: 5, neighbours: 2, ports: 2, peers: 1, ..Verified::default() };
    let (served, _) = noting(json!(sums));
    let all_well = "5 forwarding rows, 2 neighbour rows, 2 ports, 1 peer: all as wanted\n";
    assert_eq!(documented(&served, &["verify"]), all_well);

    let served = Served::new(move |command| {
        let Command::Verify { repair } = command else { panic!("{command:?}") };
        let one = Differing {
            kind: "fdb".into(),
            what: "02:42:0a:00:01:03 network mynet".into(),
            wanted: "port app.1, of endpoint app.1".into(),
            found: "no row".into(),
            repaired: repair.then_some(true),
        };
        Ok(json!(Verified { differences: vec![one], differing: 1, ..sums.clone() }))
    });
    let list =
        "fdb 02:42:0a:00:01:03 network mynet: wanted port app.1, of endpoint app.1, found no row";
    let sums = "5 forwarding rows, 2 neighbour rows, 2 ports, 1 peer: 1 thing differs\n";
    let repaired = served.show(&["verify", "--repair"]);
    assert_eq!(repaired, format!("{list} (repaired)\n{sums}"));
    let mut process = overlane(&["verify", "--socket"]);
    process.arg(served.path());
    let (code, stdout, stderr) = finished(process);
    assert_eq!((code, stdout.clone()), (1, format!("{list}\n{sums}")));
    assert_eq!(
        stderr,
        "overlane: verify: 1 thing is not as wanted: `overlane verify --repair` puts right what it can\n"
    );
    let manual = include_str!("../../docs/cli.md");
    assert!(manual.contains(&(stdout + &stderr)), "docs/cli.md shows another failure");
}
