//! What a relay says when it cannot start: one line, and the documented status.

use std::net::TcpListener;

use crate::relay::{Relay, program, refused};

#[test]
fn a_port_in_use_is_named() {
    let relay = Relay::new();
    let _other = TcpListener::bind(relay.address).unwrap();
    let (code, line) = refused(relay.command());
    assert_eq!(code, Some(1));
    assert!(line.contains(&format!("cannot listen on {}: the port is in use", relay.address)), "{line}");
}

#[test]
fn a_second_relay_is_refused_by_port_and_by_folder() {
    let relay = Relay::started();
    let (code, line) = refused(relay.command());
    assert_eq!(code, Some(1));
    assert!(line.contains("in use by another relay"), "{line}");
    let mut other = Relay::new();
    other.address = relay.address;
    let (code, line) = refused(other.command());
    assert_eq!(code, Some(1));
    assert!(line.contains("the port is in use"), "{line}");
}

#[test]
fn one_address_speaks_one_protocol() {
    let relay = Relay::new();
    let mut command = relay.command();
    command.args(["--listen-http", &relay.address.to_string()]);
    let (code, line) = refused(command);
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("is given twice"), "{line}");
}

#[test]
fn a_packet_filter_needs_an_interface_that_is_there_and_bpf() {
    let mut command = Relay::new().command();
    command.args(["--xdp", "lo"]);
    let (code, line) = refused(command);
    assert_eq!(code, Some(1));
    assert!(line.contains("--xdp is BPF's to do, but --ebpf is off"), "{line}");
    let relay = Relay::new();
    let mut command = program();
    command.arg("--state-dir").arg(relay.folder.path().join("state")).args(["--control", "unix:/nowhere"]);
    let (code, line) = refused({
        command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--xdp", "nosuch0"]);
        command
    });
    assert_eq!(code, Some(1));
    assert!(line.contains("--xdp nosuch0: there is no interface of this name; there are "), "{line}");
    assert!(line.contains("interface-unknown"), "{line}");
}

#[test]
fn usage_is_status_2_and_the_dataplane_is_not_for_people() {
    let mut command = program();
    command.args(["--listen", "127.0.0.1:1"]);
    assert_eq!(refused(command).0, Some(2));
    let mut command = program();
    command.arg("--dataplane");
    let (code, line) = refused(command);
    assert_eq!(code, Some(2));
    assert!(line.contains("supervisor only"), "{line}");
}

#[test]
fn a_trust_anchor_must_be_one() {
    let relay = Relay::new();
    let file = relay.folder.path().join("ca.pem");
    let start = || {
        let mut command = program();
        command.arg("--state-dir").arg(relay.folder.path().join("state")).arg("--trust-anchor").arg(&file);
        command.args(["--listen", "127.0.0.1:0", "--ebpf", "off", "--workers", "1"]);
        refused(command)
    };
    let (code, line) = start();
    assert_eq!(code, Some(1));
    assert!(line.contains("cannot read the trust anchor"), "{line}");
    std::fs::write(&file, "not a certificate").unwrap();
    let (code, line) = start();
    assert_eq!(code, Some(1));
    assert!(line.contains("not a certificate in PEM form"), "{line}");
}
