//! The state file as an operator meets it when something is wrong: shared by mistake, damaged,
//! or not to be written.

use std::{fs, thread, time::Duration};

use super::Case;
use crate::support::{
    command,
    restart::LastingNode,
    scenario::{node1_profile, node2_profile},
    underlay::Underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_state_two_nodes_of_one_name", &[], two_nodes_of_one_name),
    Case::new("case_state_two_nodes_before_the_first_change", &[], two_nodes_before_the_first),
    Case::new("case_state_file_damaged", &[], file_damaged),
    Case::new("case_state_file_torn", &[], file_torn),
    Case::new("case_state_directory_read_only", &[], directory_read_only),
    Case::new("case_state_directory_is_a_file", &[], directory_is_a_file),
];

const PEERS: [&str; 2] = ["peer", "list"];

/// The second one is refused with nothing touched, and the first goes on.
fn two_nodes_of_one_name() {
    let (underlay, other) = (Underlay::routed(1), Underlay::routed(1));
    let mut first = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    first.start();
    first.does("peer add p1 198.51.100.1");
    let elsewhere = &other.node1.namespace;
    let mut second = LastingNode::beside(&first, elsewhere, &node1_profile().text());
    let before = elsewhere.links_without_counters();
    let text = second.refusal();
    let file = first.state_file().display().to_string();
    let pid = format!("(pid {})", first.pid());
    for word in ["in use by a running overlane", &file, &pid, "[control] state"] {
        assert!(text.contains(word), "it does not say {word:?}:\n{text}");
    }
    assert_eq!(elsewhere.links_without_counters(), before, "the refused start left something");
    first.does("peer add p2 198.51.100.2");
    // Another name in the same directory is another file.
    let node2 = &other.node2.namespace;
    let mut third = LastingNode::beside(&first, node2, &node2_profile().text());
    third.start();
    third.does("peer add p3 198.51.100.3");
    third.stop();
    first.kill();
    second.start();
    let peers = ["node2", "p1", "p2"].map(|name| second.has(PEERS, "name", name));
    assert_eq!(peers, [true; 3], "the file is free, and has what the first one was told");
    assert!(!second.has(PEERS, "name", "p3"));
}

/// Until something is saved there is no file to lock: then the one that saves second is told.
fn two_nodes_before_the_first() {
    let (underlay, other) = (Underlay::routed(1), Underlay::routed(1));
    let mut first = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    let mut second = LastingNode::beside(&first, &other.node1.namespace, &node1_profile().text());
    first.start();
    second.start();
    first.does("peer add p1 198.51.100.1");
    let said = second.refuses("peer add p2 198.51.100.2");
    let pid = format!("(pid {})", first.pid());
    for word in ["in effect but will not survive", "in use by a running overlane", &pid] {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    assert!(second.has(PEERS, "name", "p2"), "it is in effect");
    second.stop();
    first.kill();
    first.start();
    assert!(first.has(PEERS, "name", "p1") && !first.has(PEERS, "name", "p2"));
}

/// A node whose file has `count` records, one by one.
#[track_caller]
fn node_with_peers<'a>(underlay: &'a Underlay, count: u8) -> LastingNode<'a> {
    let mut node = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    node.start();
    for number in 1..=count {
        node.does(&format!("peer add p{number} 198.51.100.{number}"));
    }
    node.stop();
    node
}

/// No crash does this: what the damaged record held cannot be known.
fn file_damaged() {
    let underlay = Underlay::routed(1);
    let mut node = node_with_peers(&underlay, 5);
    let good = node.saved();
    let third: usize = good.lines().take(3).map(|line| line.len() + 1).sum();
    let mut bad = good.clone().into_bytes();
    let at = third + good[third..].find("198.51").expect("an address");
    bad[at] = b'2';
    fs::write(node.state_file(), &bad).expect("damage the file");
    let before = underlay.node1.namespace.links_without_counters();
    let text = node.refusal();
    let file = node.state_file().display().to_string();
    for word in [&file, "is damaged", &format!("line 4 (byte {third})"), "move the file away"] {
        assert!(text.contains(word), "it does not say {word:?}:\n{text}");
    }
    assert_eq!(fs::read(node.state_file()).expect("the file"), bad, "it is left as it is");
    assert_eq!(underlay.node1.namespace.links_without_counters(), before);

    // The two ways out that the message names.
    fs::rename(node.state_file(), node.state_file().with_extension("away")).expect("move it");
    node.start();
    assert!(!node.has(PEERS, "name", "p1"));
    node.stop();
    fs::write(node.state_file(), good).expect("put it back");
    node.start();
    assert!((1..=5).all(|number| node.has(PEERS, "name", &format!("p{number}"))));
}

/// What a crash leaves of the last record is cut off, with one warning.
fn file_torn() {
    let underlay = Underlay::routed(1);
    let mut node = node_with_peers(&underlay, 3);
    let good = node.saved();
    let last = good.lines().last().expect("a record");
    fs::write(node.state_file(), format!("{good}{}", &last[..last.len() / 2])).expect("tear it");
    node.start();
    let text = node.text();
    assert_eq!(text.matches("a crash tore it").count(), 1, "{text}");
    assert!((1..=3).all(|number| node.has(PEERS, "name", &format!("p{number}"))));
    node.does("peer add p4 198.51.100.4");
    node.kill();
    node.start();
    let text = node.text();
    assert!(!text.contains("a crash tore it"), "{text}");
    assert!((1..=4).all(|number| node.has(PEERS, "name", &format!("p{number}"))));
}

/// The change is made, and whoever asked is told that it will not last.
fn directory_read_only() {
    let underlay = Underlay::routed(1);
    let mut node = node_with_peers(&underlay, 1);
    let directory = node.state_directory().display().to_string();
    // `ip netns exec` has given it a mount namespace of its own.
    let script = format!(
        "mount --bind {directory} {directory} && mount -o remount,bind,ro {directory} && exec \"$@\""
    );
    node.wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    node.start();
    let saved = node.saved();
    assert!(node.has(PEERS, "name", "p1"), "what is in the file can be read");
    assert_unsaved(&node, &node.refuses("peer add p2 198.51.100.2"), "Read-only file system");
    assert_unsaved(&node, &node.refuses("peer del p1"), "Read-only file system");
    assert!(node.has(PEERS, "name", "p2") && !node.has(PEERS, "name", "p1"), "both are in effect");
    assert_eq!(node.saved(), saved);
    let text = node.text();
    assert_eq!(text.matches("will not survive a restart until").count(), 1, "{text}");
    node.stop();
    node.wrapper.clear();
    node.start();
    assert!(node.has(PEERS, "name", "p1") && !node.has(PEERS, "name", "p2"), "as it was told");
}

#[track_caller]
fn assert_unsaved(node: &LastingNode, said: &str, why: &str) {
    let directory = node.state_directory().display().to_string();
    for word in ["in effect but will not survive", why, &directory, "[control] state"] {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
}

/// It comes to rights by itself once the directory can be made.
fn directory_is_a_file() {
    let underlay = Underlay::routed(1);
    let mut node = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    node.start();
    fs::write(node.state_directory(), "mine").expect("write a file");
    // Asked again, it is in effect already, and still not saved.
    for _ in 0..2 {
        assert_unsaved(&node, &node.refuses("peer add p1 198.51.100.1"), "Not a directory");
        assert!(node.has(PEERS, "name", "p1"), "it is in effect");
    }
    assert_eq!(fs::read_to_string(node.state_directory()).expect("the file"), "mine");
    let verified = || String::from_utf8_lossy(&node.client(&["verify"]).stdout).into_owned();
    assert!(verified().contains("every change by command on disk"), "{}", verified());
    fs::remove_file(node.state_directory()).expect("remove it");
    node.does("peer add p2 198.51.100.2");
    assert!(!verified().contains("on disk"), "{}", verified());
    node.kill();
    node.start();
    assert!(node.has(PEERS, "name", "p1") && node.has(PEERS, "name", "p2"), "{}", node.text());

    // Without another change it is tried again every ten seconds.
    fs::rename(node.state_directory(), node.state_directory().with_extension("away"))
        .expect("move the directory");
    fs::write(node.state_directory(), "mine").expect("write a file");
    node.refuses("peer add p3 198.51.100.3");
    fs::remove_file(node.state_directory()).expect("remove it");
    command::wait_until("it is written", Duration::from_secs(30), || {
        thread::sleep(Duration::from_millis(100));
        node.state_file().exists()
    });
    node.kill();
    node.start();
    assert!((1..=3).all(|number| node.has(PEERS, "name", &format!("p{number}"))));
}
