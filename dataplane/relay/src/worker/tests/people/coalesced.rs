//! Applications at hosts of their own that one connection reaches, over HTTP/1.1 and HTTP/2: what it remembers of its client at one
//! of them opens no other. Only one whose handshake named no host reaches several; every other serves its host alone.

use h2::client::SendRequest;
use postern_io::duplex::Duplex;
use postern_model::config::{App, Group, Tenant};

use super::programs::{programs, shows_token, signed, with_keys};
use super::*;
use crate::side::testing::{bearer, service_token};
use crate::worker::h2::Http2Connection;

const OTHER: &str = "other.example.com";
const ABROAD: &str = "app.example.org";
const FOREIGN: AppId = AppId::new(TenantId(2), 1);

/// One more application, at a host of its own with the same certificate. Nobody is assigned to it.
fn with_other(snapshot: &mut Snapshot) {
    let mut other = snapshot.apps[&APP].clone();
    (other.id, other.name) = (SECOND, "second".parse().unwrap());
    other.external_url = format!("https://{OTHER}/");
    let certificate = snapshot.certificates.get_mut(&other.certificate).unwrap();
    certificate.hosts.push(OTHER.to_owned());
    snapshot.apps.insert(SECOND, other);
}

/// The same, and the user is assigned to it, too.
fn with_other_open(snapshot: &mut Snapshot) {
    with_other(snapshot);
    let principal = Principal::User(USER);
    let assignment = Assignment { app: SECOND, principal, role: None, expires_unix: None, created_unix_ms: 1 };
    snapshot.assignments.insert(assignment.key(), assignment);
}

/// An application of another tenant, with a certificate of its own.
fn with_foreign(snapshot: &mut Snapshot) {
    let app = snapshot.apps[&APP].clone();
    let tenant = Tenant { id: FOREIGN.tenant, name: "abroad".parse().unwrap(), app_suffix: None };
    let group = Group { id: GroupId::new(FOREIGN.tenant, 1), name: "default".parse().unwrap(), directory_sync: false };
    let certificate = Certificate {
        id: CertificateId::new(FOREIGN.tenant, 1),
        hosts: vec![ABROAD.to_owned()],
        ..snapshot.certificates[&app.certificate].clone()
    };
    let foreign = App {
        id: FOREIGN,
        external_url: format!("https://{ABROAD}/"),
        group: group.id,
        certificate: certificate.id,
        ..app
    };
    snapshot.tenants.insert(tenant.id, tenant);
    snapshot.groups.insert(group.id, group);
    snapshot.certificates.insert(certificate.id, certificate);
    snapshot.apps.insert(FOREIGN, foreign);
}

/// A client's connection.
enum Connected {
    Http1(Client),
    Http2(SendRequest<Bytes>),
}

/// What one request got.
#[derive(Debug)]
struct Got {
    http2: bool,
    status: u16,
    body: String,
    /// The cookies that were set.
    sets: Vec<String>,
}

impl Connected {
    async fn open(worker: &Rc<Worker>, opened_for: OpenedFor, http2: bool) -> Self {
        thread_local!(static PORT: Cell<u16> = const { Cell::new(1_000) });
        let address = SocketAddr::from(([10, 0, 0, 8], PORT.replace(PORT.get() + 1)));
        let worker = Rc::clone(worker);
        let listener = Listener::sim(address).unwrap();
        spawn(async move {
            let stream = Stream::plain(listener.accept().await.unwrap());
            let client: SocketAddr = "192.0.2.7:50000".parse().unwrap();
            match http2 {
                true => Http2Connection::new(stream, client, opened_for).serve(worker).await,
                false => Http1Connection::new(stream, client, opened_for).serve(worker).await,
            }
        })
        .detach();
        let stream = Stream::plain(Socket::connect(address, &ConnectOptions::default()).await.unwrap());
        if !http2 {
            return Self::Http1(Client { stream, inbox: Inbox::default() });
        }
        let (requests, driver) = h2::client::handshake(Duplex::new(stream)).await.unwrap();
        spawn(async move { drop(driver.await) }).detach();
        Self::Http2(requests)
    }

    /// `fields` are lines, as in a head of HTTP/1.1.
    async fn asks(&mut self, host: &str, path: &str, fields: &str) -> Got {
        match self {
            Self::Http1(client) => {
                client.stream.queue(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n").as_bytes());
                let (head, body) = client.response().await.unwrap();
                let (body, sets) = (String::from_utf8(body).unwrap(), set_cookies(&head));
                Got { http2: false, status: head.status, body, sets }
            }
            Self::Http2(requests) => {
                let mut request = http::Request::get(format!("https://{host}{path}"));
                for line in fields.lines() {
                    let (name, value) = line.split_once(": ").unwrap();
                    request = request.header(name, value);
                }
                let mut requests = requests.clone().ready().await.unwrap();
                let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
                let (head, mut content) = answer.await.unwrap().into_parts();
                let mut body = Vec::new();
                while let Some(piece) = content.data().await {
                    body.extend_from_slice(&piece.unwrap());
                }
                let sets = head.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap().to_owned());
                let (body, sets) = (String::from_utf8(body).unwrap(), sets.collect());
                Got { http2: true, status: head.status.as_u16(), body, sets }
            }
        }
    }
}

impl Got {
    #[track_caller]
    fn is(&self, status: u16, said: &str) {
        let Self { http2, status: got, body, .. } = self;
        assert!(*got == status && body.contains(said), "{status} {said}, not {got} (HTTP/2: {http2}): {body}");
    }
}

/// The value of a cookie that is good for an application, last used `ago` seconds ago.
fn sealed_for(worker: &Worker, app: AppId, ago: u64) -> String {
    cookie_of(worker, app, ago).split_once('=').unwrap().1.to_owned()
}

/// The field that shows this value under the name of an application's cookie.
fn shows(app: AppId, sealed: &str) -> String {
    format!("cookie: __Host-postern-{app}={sealed}\r\n")
}

#[test]
fn a_cookie_that_a_connection_remembers_opens_no_other_host() {
    for http2 in [false, true] {
        in_the_simulator(210, async move {
            let (worker, mut control) = scene();
            publish_for_people(&worker, with_other);
            connect(&worker, 1).await;
            sessions(&worker).put(session(1), wall_clock());
            let (of_first, of_other) = (sealed_for(&worker, APP, 0), sealed_for(&worker, SECOND, 0));
            let (first, own) = (shows(APP, &of_first), shows(SECOND, &of_other));
            // The same bytes, under the name that counts at the other host.
            let (moved, back) = (shows(SECOND, &of_first), shows(APP, &of_other));
            let both = format!("cookie: __Host-postern-{APP}={of_first}; __Host-postern-{SECOND}={of_first}\r\n");
            let mut client = Connected::open(&worker, OpenedFor::Applications(None), http2).await;
            for _ in 0..2 {
                client.asks(HOST, "/name", &first).await.is(200, "c1-1");
                for wrong in [&first, &moved, &both] {
                    client.asks(OTHER, "/name", wrong).await.is(401, "sign-in-required");
                }
                // One that was sealed for it says who they are: nobody assigned them.
                client.asks(HOST, "/name", &first).await.is(200, "c1-1");
                client.asks(OTHER, "/name", &own).await.is(403, "not-assigned");
                for wrong in [&own, &back] {
                    client.asks(HOST, "/name", wrong).await.is(401, "sign-in-required");
                }
            }
            publish_for_people(&worker, with_other_open);
            for _ in 0..2 {
                client.asks(OTHER, "/name", &own).await.is(200, "c1-1");
                client.asks(HOST, "/name", &back).await.is(401, "sign-in-required");
                client.asks(HOST, "/name", &first).await.is(200, "c1-1");
                client.asks(OTHER, "/name", &moved).await.is(401, "sign-in-required");
            }
            assert!(control.is_asked_nothing());
        });
    }
}

#[test]
fn a_token_that_a_connection_remembers_opens_no_other_host() {
    for http2 in [false, true] {
        in_the_simulator(211, async move {
            let (worker, _control) = programs();
            publish_for_people(&worker, |snapshot| {
                with_keys(snapshot);
                with_other(snapshot);
                let token = service_token(1, None);
                snapshot.service_tokens.insert(token.id, token);
            });
            connect(&worker, 1).await;
            let first = shows_token(&signed(|_| {}));
            let second = shows_token(&signed(|claims| {
                claims.aud = format!("https://{OTHER}/");
                claims.scope = "app:second".into();
            }));
            let machine = format!("authorization: {}\r\n", bearer(1));
            let mut client = Connected::open(&worker, OpenedFor::Applications(None), http2).await;
            for _ in 0..2 {
                for token in [&first, &machine] {
                    client.asks(HOST, "/name", token).await.is(200, "c1-1");
                    client.asks(OTHER, "/name", token).await.is(403, "access-token-not-for-app");
                }
                client.asks(OTHER, "/name", &second).await.is(403, "not-assigned");
                client.asks(HOST, "/name", &second).await.is(403, "access-token-not-for-app");
            }
        });
    }
}

#[test]
fn a_renewed_cookie_is_that_of_the_host_that_was_asked() {
    for http2 in [false, true] {
        in_the_simulator(212, async move {
            let (worker, _control) = scene();
            publish_for_people(&worker, with_other_open);
            connect(&worker, 1).await;
            sessions(&worker).put(session(1), wall_clock());
            let mut client = Connected::open(&worker, OpenedFor::Applications(None), http2).await;
            for (host, app) in [(HOST, APP), (OTHER, SECOND), (HOST, APP)] {
                let old = shows(app, &sealed_for(&worker, app, COOKIE_RENEWED_AFTER_S + 1));
                let got = client.asks(host, "/name", &old).await;
                got.is(200, "c1-1");
                let [set] = &got.sets[..] else { panic!("{got:?}") };
                let (name, rest) = set.split_once('=').unwrap();
                assert_eq!(name, format!("__Host-postern-{app}"));
                let sealed = rest.split(';').next().unwrap();
                let opened = worker.config.current().plan.cookies().open_session(sealed.as_bytes(), app);
                assert!(opened.is_some_and(|cookie| cookie.session == SESSION), "{set}");
            }
        });
    }
}

#[test]
fn a_connection_for_one_host_reaches_no_other_whatever_it_shows() {
    for http2 in [false, true] {
        in_the_simulator(213, async move {
            let (worker, mut control) = scene();
            publish_for_people(&worker, |snapshot| {
                with_other_open(snapshot);
                with_foreign(snapshot);
            });
            connect(&worker, 1).await;
            sessions(&worker).put(session(1), wall_clock());
            let of_first = sealed_for(&worker, APP, 0);
            let (first, own) = (shows(APP, &of_first), shows(SECOND, &sealed_for(&worker, SECOND, 0)));
            let mut client = Connected::open(&worker, OpenedFor::Applications(Some(HOST.to_owned())), http2).await;
            for _ in 0..2 {
                client.asks(HOST, "/name", &first).await.is(200, "c1-1");
                // One with the same certificate, another tenant's, where nobody is asked who it is, and nothing at all.
                for host in [OTHER, ABROAD, LOGIN, "nowhere.example.com"] {
                    for fields in ["", &*first, &*own] {
                        client.asks(host, "/name", fields).await.is(421, "host-unknown");
                    }
                }
            }
            // Without a name, another tenant's application asks as every other.
            let mut client = Connected::open(&worker, OpenedFor::Applications(None), http2).await;
            client.asks(HOST, "/name", &first).await.is(200, "c1-1");
            for fields in [&first, &shows(FOREIGN, &of_first)] {
                client.asks(ABROAD, "/name", fields).await.is(401, "sign-in-required");
            }
            assert!(control.is_asked_nothing());
        });
    }
}
