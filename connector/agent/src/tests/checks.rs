//! A relay that asks for a check of what it may not.

use std::net::TcpListener;

use bytes::Bytes;
use postern_model::check::{CheckReport, StepResult};
use postern_model::ids::{AppId, TenantId};
use postern_tunnel::{Check, Event};

use super::world::{World, sim};

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
