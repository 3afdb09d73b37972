//! What the switch answers itself: ARP (RFC 826, RFC 5227) and ICMP echo (RFC 792), and what
//! it leaves to others.

use overlane::counters::Reason;

use crate::{
    node::*,
    packets::*,
    table::{both, head_end, none, run},
};

fn to_us(inner: &[u8]) -> Vec<u8> {
    from_peer(NODE_2, MYNET, inner).bytes()
}

#[test]
fn arp_for_a_remote_endpoint() {
    let asked_of_all = arp_request(BROADCAST, APP_1, APP_2.ip);
    let asked_of_owner = arp_request(APP_2.mac, APP_1, APP_2.ip);
    let padded = [&asked_of_all[..], &[0; 18]].concat();
    let answer = arp_reply(APP_2, APP_1);
    let unreachable = arp_request(BROADCAST, APP_1, AT_NODE_4.ip);
    let from_overlay = arp_request(BROADCAST, LB_OF_NODE_2, AT_NODE_3.ip);
    let to_all = arp_request(BROADCAST, APP_1, STRANGER.ip);
    run(&[
        both("broadcast").put(PORT_1, &asked_of_all).sends(PORT_1, &answer),
        both("padded").put(PORT_1, &padded).sends(PORT_1, &[&answer[..], &[0; 18]].concat()),
        none("unicast: the owner's reply might never come")
            .put(PORT_1, &asked_of_owner)
            .sends(PORT_1, &answer),
        head_end("unicast passes to the owner").put(PORT_1, &asked_of_owner).encapsulates(
            NODE_2,
            MYNET,
            &asked_of_owner,
        ),
        both("answered though its owner cannot be reached")
            .put(PORT_1, &unreachable)
            .sends(PORT_1, &arp_reply(AT_NODE_4, APP_1)),
        both("asked from the overlay, it is not ours to answer")
            .put(UNDERLAY, &to_us(&from_overlay))
            .sends(PORT_1, &from_overlay)
            .sends(PORT_2, &from_overlay)
            .copies(1),
        none("an unknown address is not asked of an owner elsewhere either")
            .put(PORT_1, &arp_request(APP_2.mac, APP_1, STRANGER.ip))
            .drops(Reason::NoFloodTarget, 1),
        none("an unknown address stays here").put(PORT_1, &to_all).sends(PORT_2, &to_all),
        head_end("an unknown address is asked of all")
            .put(PORT_1, &to_all)
            .sends(PORT_2, &to_all)
            .encapsulates(NODE_2, MYNET, &to_all)
            .encapsulates(NODE_3, MYNET, &to_all)
            .copies(2),
        none("the other network has no such neighbour")
            .put(OTHER_PORT, &asked_of_all)
            .drops(Reason::NoFloodTarget, 1),
    ]);
}

/// Nobody else has the gateway's or the load balancer's address, whatever they say.
#[test]
fn claims_to_our_addresses_are_dropped() {
    let as_gateway = Host { mac: LOCAL_2.mac, ..GATEWAY };
    let as_balancer = Host { mac: APP_2.mac, ..LB };
    let spoofed =
        |name, frame: &[u8]| both(name).put(PORT_2, frame).drops(Reason::SpoofedAddress, 1);
    run(&[
        spoofed("an announcement", &arp_request(BROADCAST, as_gateway, GATEWAY.ip)),
        spoofed("a request", &arp_request(BROADCAST, as_gateway, APP_1.ip)),
        spoofed("a reply", &arp_reply(as_gateway, APP_1)),
        both("from the overlay too")
            .put(UNDERLAY, &to_us(&arp_request(BROADCAST, as_balancer, LB.ip)))
            .drops(Reason::SpoofedAddress, 1),
    ]);
}

#[test]
fn arp_that_is_left_alone() {
    let garp = arp_request(BROADCAST, APP_1, APP_1.ip);
    let garp_for_remote = arp_request(BROADCAST, APP_2, APP_2.ip);
    let probe_by_owner = arp_probe(APP_2.mac, APP_2.ip);
    let probe_by_another = arp_probe(LOCAL_2.mac, APP_2.ip);
    let answer = arp_reply(APP_2, Host { mac: LOCAL_2.mac, ip: [0; 4] });
    let asked_of_itself = arp_request(BROADCAST, LOCAL_2, MOVED_HERE.ip);
    let asked_of_neighbour = arp_request(BROADCAST, APP_1, MOVED_HERE.ip);
    let reply_out = arp_reply(APP_1, APP_2);
    let reply_back = arp_reply(APP_2, APP_1);
    run(&[
        none("gratuitous").put(PORT_1, &garp).sends(PORT_2, &garp),
        head_end("gratuitous, to everyone")
            .put(PORT_1, &garp)
            .sends(PORT_2, &garp)
            .encapsulates(NODE_2, MYNET, &garp)
            .encapsulates(NODE_3, MYNET, &garp)
            .copies(2),
        none("gratuitous, for an address of the table")
            .put(PORT_2, &garp_for_remote)
            .sends(PORT_1, &garp_for_remote),
        none("a probe by the address's own MAC")
            .put(PORT_2, &probe_by_owner)
            .sends(PORT_1, &probe_by_owner),
        both("a probe by another is told").put(PORT_2, &probe_by_another).sends(PORT_2, &answer),
        none("the target lives on the asking port")
            .put(PORT_2, &asked_of_itself)
            .sends(PORT_1, &asked_of_itself),
        both("the target lives on another port")
            .put(PORT_1, &asked_of_neighbour)
            .sends(PORT_1, &arp_reply(MOVED_HERE, APP_1)),
        both("a reply, outbound").put(PORT_1, &reply_out).encapsulates(NODE_2, MYNET, &reply_out),
        both("a reply, inbound").put(UNDERLAY, &to_us(&reply_back)).sends(PORT_1, &reply_back),
        none("a request cut short is forwarded as any frame")
            .put(PORT_1, &garp[..41])
            .sends(PORT_2, &garp[..41]),
    ]);
}

#[test]
fn arp_for_our_own_addresses() {
    let gateway = arp_request(BROADCAST, APP_1, GATEWAY.ip);
    let gateway_unicast = arp_request(GATEWAY.mac, APP_1, GATEWAY.ip);
    let gateway_answer = arp_reply(GATEWAY, APP_1);
    let overlay_asks_gateway = arp_request(BROADCAST, APP_2, GATEWAY.ip);
    let overlay_asks_gateway_unicast = arp_request(GATEWAY.mac, APP_2, GATEWAY.ip);
    let lb = arp_request(BROADCAST, APP_1, LB.ip);
    let lb_unicast = arp_request(LB.mac, APP_1, LB.ip);
    let overlay_asks_lb = arp_request(BROADCAST, APP_2, LB.ip);
    let overlay_asks_lb_unicast = arp_request(LB.mac, APP_2, LB.ip);
    let lb_answer = arp_reply(LB, APP_2);
    run(&[
        both("the gateway").put(PORT_1, &gateway).sends(PORT_1, &gateway_answer),
        both("the gateway, unicast").put(PORT_1, &gateway_unicast).sends(PORT_1, &gateway_answer),
        both("every network has its gateway")
            .put(OTHER_PORT, &gateway)
            .sends(OTHER_PORT, &gateway_answer),
        both("the gateway, for the overlay: every node has its own")
            .put(UNDERLAY, &to_us(&overlay_asks_gateway))
            .sends(PORT_1, &overlay_asks_gateway)
            .sends(PORT_2, &overlay_asks_gateway)
            .copies(1),
        both("the gateway, for the overlay, unicast")
            .put(UNDERLAY, &to_us(&overlay_asks_gateway_unicast))
            .drops(Reason::NotAnswered, 1),
        both("the load balancer").put(PORT_1, &lb).sends(PORT_1, &arp_reply(LB, APP_1)),
        both("the load balancer, unicast")
            .put(PORT_1, &lb_unicast)
            .sends(PORT_1, &arp_reply(LB, APP_1)),
        both("the load balancer, for the overlay")
            .put(UNDERLAY, &to_us(&overlay_asks_lb))
            .encapsulates(NODE_2, MYNET, &lb_answer),
        both("the load balancer, for the overlay, unicast")
            .put(UNDERLAY, &to_us(&overlay_asks_lb_unicast))
            .encapsulates(NODE_2, MYNET, &lb_answer),
        both("the answer goes to the peer that asked")
            .put(UNDERLAY, &from_peer(NODE_3, MYNET, &overlay_asks_lb).bytes())
            .encapsulates(NODE_3, MYNET, &lb_answer),
    ]);
}

/// `frame` with one byte changed.
fn damaged(frame: &[u8], at: usize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] ^= 0x04;
    frame
}

#[test]
fn ping() {
    const IP_CHECKSUM: usize = 14 + 10;
    const DATA: usize = 14 + 20 + 8;
    let gateway = echo_request(APP_1, GATEWAY, 64);
    let lb = echo_request(APP_1, LB, 7);
    let far_lb = echo_request(APP_2, LB, 64);
    let padded = [&gateway[..], &[0; 7]].concat();
    let other_mac = echo_request(APP_1, Host { mac: LB.mac, ip: GATEWAY.ip }, 64);
    let other_address = echo_request(APP_1, Host { mac: GATEWAY.mac, ip: [8, 8, 8, 8] }, 64);
    let reply = echo_reply(APP_1, GATEWAY);
    let app_2 = echo_request(APP_1, APP_2, 64);
    run(&[
        both("the gateway").put(PORT_1, &gateway).sends(PORT_1, &echo_reply(GATEWAY, APP_1)),
        both("TTL is our own").put(PORT_1, &lb).sends(PORT_1, &echo_reply(LB, APP_1)),
        both("from the overlay").put(UNDERLAY, &to_us(&far_lb)).encapsulates(
            NODE_2,
            MYNET,
            &echo_reply(LB, APP_2),
        ),
        both("padding is no part of the message")
            .put(PORT_1, &padded)
            .sends(PORT_1, &[&echo_reply(GATEWAY, APP_1)[..], &[0; 7]].concat()),
        both("other people's pings pass").put(PORT_1, &app_2).encapsulates(NODE_2, MYNET, &app_2),
        both("wrong ICMP checksum")
            .put(PORT_1, &damaged(&gateway, DATA))
            .drops(Reason::NotAnswered, 1),
        both("wrong IP checksum")
            .put(PORT_1, &damaged(&gateway, IP_CHECKSUM))
            .drops(Reason::NotAnswered, 1),
        both("cut short").put(PORT_1, &gateway[..gateway.len() - 1]).drops(Reason::NotAnswered, 1),
        both("an echo reply").put(PORT_1, &reply).drops(Reason::NotAnswered, 1),
        both("the MAC of one, the address of another")
            .put(PORT_1, &other_mac)
            .drops(Reason::NotAnswered, 1),
        both("we are no router").put(PORT_1, &other_address).drops(Reason::NotAnswered, 1),
        both("TCP to the gateway")
            .put(PORT_1, &tcp_syn(APP_1, GATEWAY))
            .drops(Reason::NotAnswered, 1),
        both("UDP to the load balancer, from the overlay")
            .put(UNDERLAY, &to_us(&udp(APP_2, LB, b"")))
            .drops(Reason::NotAnswered, 1),
    ]);
}

/// Every byte of the reply's checksums is right for every size of message.
#[test]
fn pings_of_every_size() {
    let mut node = Node::new(FLOOD_NONE);
    for bytes in 0..1400 {
        let payload: Vec<u8> = (0..bytes).map(|n| (n * 7) as u8).collect();
        let message = |from: Host, to: Host, is_request: bool| {
            let builder = etherparse::PacketBuilder::ethernet2(from.mac, to.mac);
            let builder = builder.ipv4(from.ip, to.ip, 64);
            let builder = match is_request {
                true => builder.icmpv4_echo_request(bytes as u16, 3),
                false => builder.icmpv4_echo_reply(bytes as u16, 3),
            };
            let mut frame = Vec::new();
            builder.write(&mut frame, &payload).unwrap();
            frame
        };
        node.put(PORT_1, &message(APP_1, GATEWAY, true));
        node.settle();
        assert_eq!(node.take(PORT_1), [message(GATEWAY, APP_1, false)], "{bytes} bytes");
    }
    node.check_at_rest().unwrap();
}
