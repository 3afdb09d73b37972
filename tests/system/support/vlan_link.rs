//! A container whose overlay interface is in a VLAN: every frame leaves with a tag and is taken
//! only with it. Two classifiers do it (tc-bpf(8)), since not every kernel has VLAN devices.

use std::fs;

use super::{
    command,
    containers::{self, Container},
};

/// TC_ACT_OK is 0, TC_ACT_SHOT 2; the helpers are numbered in linux/bpf.h. `vlan_present` and
/// `vlan_tci` are the sixth and seventh word of `struct __sk_buff`.
const PROGRAM: &str = r#"
static long (*vlan_push)(void *, unsigned short, unsigned short) = (void *)18;
static long (*vlan_pop)(void *) = (void *)19;
struct __sk_buff { unsigned len, pkt_type, mark, queue, protocol, vlan_present, vlan_tci; };

__attribute__((section("classifier"), used)) int tag(struct __sk_buff *skb)
{
#ifdef PUSH
	return vlan_push(skb, 0x0081, VLAN) ? 2 : 0;
#else
	if (!skb->vlan_present || (skb->vlan_tci & 0xfff) != VLAN)
		return 2;
	return vlan_pop(skb) ? 2 : 0;
#endif
}
char _license[] __attribute__((section("license"), used)) = "GPL";
"#;

/// Tools beyond those that every case uses.
pub const TOOLS: &[&str] = &["bridge", "tcpdump", "clang", "tc"];

/// Puts a container's interface into VLAN `vlan`, with 4 bytes less of MTU for the tag.
#[track_caller]
pub fn put_into(container: &Container, vlan: u16) {
    let folder = tempfile::tempdir().expect("a folder for the programs");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    fs::write(path("tag.c"), PROGRAM).expect("write the program");
    let namespace = &container.namespace;
    let mtu = (containers::MTU - 4).to_string();
    namespace.run(&["ip", "link", "set", containers::DEVICE, "mtu", &mtu]);
    namespace.run(&["tc", "qdisc", "add", "dev", containers::DEVICE, "clsact"]);
    for (hook, what) in [("egress", "-DPUSH"), ("ingress", "-DPOP")] {
        let (source, object) = (path("tag.c"), path("tag.o"));
        let vlan = format!("-DVLAN={vlan}");
        let compile = ["clang", "-O2", "-g", "-target", "bpf", what, &vlan, "-c"];
        command::run(&[&compile[..], &[&source, "-o", &object]].concat());
        let add = ["tc", "filter", "add", "dev", containers::DEVICE, hook, "bpf", "direct-action"];
        namespace.run(&[&add[..], &["obj", &object, "sec", "classifier"]].concat());
    }
}
