//! A relay and a control played by the test, over the Unix socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use postern_model::config::Tenant;
use postern_model::delta::{Change, Delta};
use postern_model::frame::{self, Frames};
use postern_model::ids::{AppId, TenantId};
use postern_model::link::{ToControl, ToRelay};
use postern_model::snapshot::Snapshot;

use crate::relay::{Relay, eventually};

/// Control's end of a link.
struct Control {
    stream: UnixStream,
    frames: Frames,
}

impl Control {
    /// Takes the relay's connection and its upgrade.
    fn accept(listener: &UnixListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"POST /v1/link HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: postern-link/1\r\n\r\n")
            .unwrap();
        Self { stream, frames: Frames::new(1 << 20) }
    }

    fn send(&mut self, message: &ToRelay) {
        self.stream.write_all(&frame::encode(message, 1 << 20).unwrap()).unwrap();
    }

    /// The next message but statuses.
    fn receive(&mut self) -> ToControl {
        loop {
            match self.frames.next_message().unwrap() {
                Some(ToControl::Status(_)) => {}
                Some(message) => return message,
                None => {
                    let mut bytes = [0; 4096];
                    let read = self.stream.read(&mut bytes).unwrap();
                    assert_ne!(read, 0, "the relay closed the link");
                    self.frames.push(&bytes[..read]);
                }
            }
        }
    }

    fn hello_version(&mut self) -> u64 {
        let message = self.receive();
        let ToControl::Hello(hello) = message else { panic!("not a hello: {message:?}") };
        hello.last_version
    }
}

fn snapshot(version: u64) -> ToRelay {
    let tenant = Tenant { id: TenantId::DEFAULT, name: "default".parse().unwrap(), app_suffix: None };
    ToRelay::Snapshot(Box::new(Snapshot { version, tenants: [(tenant.id, tenant)].into(), ..Snapshot::default() }))
}

fn delta(version: u64, change: Change) -> ToRelay {
    ToRelay::Delta(Box::new(Delta { version, at_unix_ms: 1, tenant: Some(TenantId::DEFAULT), change }))
}

#[test]
fn the_last_good_state_survives_broken_changes_and_a_restart_without_control() {
    let mut relay = Relay::new();
    let listener = UnixListener::bind(relay.control_socket()).unwrap();
    let control = std::thread::spawn(move || {
        let mut control = Control::accept(&listener);
        assert_eq!(control.hello_version(), 0);
        control.send(&snapshot(5));
        assert_eq!(control.receive(), ToControl::Applied { version: 5 });
        control.send(&ToRelay::Ping { n: 77 });
        assert_eq!(control.receive(), ToControl::Pong { n: 77 });
        // Removes what is not there: the relay refuses, and comes back for a whole state.
        control.send(&delta(6, Change::AppRemoved { id: AppId::new(TenantId::DEFAULT, 1) }));
        assert!(matches!(control.receive(), ToControl::Rejected { version: 6, .. }));
        let mut again = Control::accept(&listener);
        assert_eq!(again.hello_version(), 0);
        again.send(&snapshot(7));
        assert_eq!(again.receive(), ToControl::Applied { version: 7 });
        // What follows is control's silence for good.
        drop(listener);
    });
    relay.start();
    control.join().unwrap();
    eventually("version 7 is in force", || relay.metric("postern_relay_state_version") == Some(7));

    relay.signal(Signal::SIGKILL);
    relay.ended();
    relay.start();
    assert_eq!(relay.metric("postern_relay_state_version"), Some(7));
    assert_eq!(relay.metric("postern_relay_control_linked"), Some(0));
}

#[test]
fn a_link_that_ends_is_opened_again_from_where_it_was() {
    let mut relay = Relay::new();
    let listener = UnixListener::bind(relay.control_socket()).unwrap();
    let control = std::thread::spawn(move || {
        let mut control = Control::accept(&listener);
        control.hello_version();
        control.send(&snapshot(5));
        assert_eq!(control.receive(), ToControl::Applied { version: 5 });
        drop(control);
        let mut control = Control::accept(&listener);
        assert_eq!(control.hello_version(), 5);
        control.send(&ToRelay::Refused { reason: "another link took over".into(), removed: false });
        drop(control);
        let mut control = Control::accept(&listener);
        assert_eq!(control.hello_version(), 5);
        control.send(&ToRelay::Refused { reason: "this relay was removed".into(), removed: true });
        drop(control);
        assert_eq!(Control::accept(&listener).hello_version(), 0, "it has given up a part of its state");
    });
    relay.start();
    control.join().unwrap();
}
