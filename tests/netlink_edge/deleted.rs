//! Interfaces deleted together: those and no others.

use std::collections::BTreeSet;

use overlane::control::netlink::{Netlink, Refusal};

use crate::{Namespace, may_run};

/// The first group that is looked at for deleting.
const GROUP: u32 = 0x6f76_6c00;

#[test]
fn links_go_together_and_no_others() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("node-d");
    for number in 1..=5 {
        node.ip(&format!("link add v{number} type veth peer name w{number}"));
    }
    // Somebody else's, in the groups that would be taken otherwise.
    node.ip(&format!("link set v4 group {GROUP}"));
    node.ip(&format!("link set v5 group {}", GROUP + 1));
    let delete = |names: &[&str]| {
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        node.run(|| Netlink::open().unwrap().delete_links_by_name(&names))
    };
    let left = || {
        let mut names: Vec<_> = node.run(|| Netlink::open().unwrap().links().unwrap());
        names.retain(|link| link.name.starts_with(['v', 'w']));
        names.into_iter().map(|link| link.name).collect::<BTreeSet<_>>()
    };
    delete(&["v1", "v2", "gone"]).unwrap();
    assert_eq!(left(), BTreeSet::from(["v3", "v4", "v5", "w3", "w4", "w5"].map(str::to_owned)));
    delete(&["gone", "gone too"]).unwrap();
    delete(&["gone"]).unwrap();
    delete(&[]).unwrap();
    assert_eq!(left().len(), 6);
    // Both ends of one pair, and one of a kind that cannot be deleted.
    delete(&["v3", "w3"]).unwrap();
    assert_eq!(left().len(), 4);
    let error = delete(&["v4", "lo"]).unwrap_err();
    assert_eq!(Refusal::errno_of(&error), Some(libc::EOPNOTSUPP), "{error:#}");
}
