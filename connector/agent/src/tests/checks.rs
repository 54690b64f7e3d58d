//! A relay that asks for a check of what it may not.

use std::io::Read as _;
use std::net::TcpListener;

use bytes::Bytes;
use postern_model::check::{CheckReport, StepResult};
use postern_model::ids::{AppId, TenantId};
use postern_tunnel::{Check, Event};

use super::world::{Keys, World, sim};
use crate::backend::tests::app;

/// A relay was taken over: it names another application, or an address.
#[test]
fn a_relay_has_nothing_fetched_that_is_not_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    sim(7, async move {
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let url = format!("http://127.0.0.1:{port}/");
        let made_up = format!(r#"{{"sign_on":false,"url":"{url}","internal_url":"{url}","host":"127.0.0.1:{port}"}}"#);
        let checks = [
            (AppId::new(TenantId::DEFAULT, 2), made_up.clone()),
            (AppId::new(TenantId(9), 1), made_up),
            (AppId::new(TenantId::DEFAULT, 1), "not what is asked".into()),
        ];
        for (id, (app, asked)) in (1..).zip(checks) {
            let check = Check { id, app, asked: Bytes::from(asked) };
            assert!(tunnel.connection.borrow_mut().check(&check));
            tunnel.flush();
            let found = tunnel
                .event(|event| match event {
                    Event::CheckAnswer(answer) if answer.id == id => Some(answer.found.clone()),
                    _ => None,
                })
                .await;
            let report: CheckReport = serde_json::from_slice(&found).unwrap();
            let [step] = report.steps.as_slice() else { panic!("{report:?}") };
            assert_eq!(step.result, StepResult::Fail, "{step:?}");
        }
    });
    assert!(listener.accept().is_err(), "nobody came");
}

/// The same relay names an application that there is, and another address.
#[test]
fn a_configured_application_is_looked_at_where_it_is_configured() {
    let (configured, made_up) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    made_up.set_nonblocking(true).unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let app = app(1, &format!("http://127.0.0.1:{}/", port(&configured)), &[]);
    let url = format!("http://127.0.0.1:{}/", port(&made_up));
    sim(8, async move {
        let world = World::with_app(app, 1, Keys::default()).await;
        let tunnel = world.relay.tunnel();
        let asked = format!(r#"{{"sign_on":false,"login":"{url}","url":"{url}","internal_url":"{url}"}}"#);
        let check = Check { id: 1, app: AppId::new(TenantId::DEFAULT, 1), asked: Bytes::from(asked) };
        assert!(tunnel.connection.borrow_mut().check(&check));
        tunnel.flush();
        tunnel.event(|event| matches!(event, Event::CheckAnswer(_)).then_some(())).await;
    });
    // The check goes on outside of the simulator, on a thread of its own.
    let (mut stream, _) = configured.accept().unwrap();
    let mut first = [0; 16];
    let bytes = stream.read(&mut first).unwrap();
    assert!(first[..bytes].starts_with(b"GET / HTTP/1.1"));
    assert!(made_up.accept().is_err(), "nobody came there");
}
