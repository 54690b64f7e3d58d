//! Backends that users are signed on to: what goes with a request, what comes back, and what becomes of refusals.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use postern_http::{BodyKind, Known, Method};
use postern_io::Stream;
use postern_io::duplex::Duplex;
use postern_sso::{FailureKind, KerberosFailure, Negotiation, Proof, Reply, SignOn, Wanted};
use postern_tunnel::{Cancel, CancelCode, Culprit};

use super::world::{World, backend, get, read_head, request, sim};

/// Gives the tokens `token-1`, `token-2` … of a ticket that it says to hold, to all but whom it does not know.
#[derive(Default)]
struct Kdc {
    asked: Mutex<Vec<(String, bool)>>,
    refuses: Option<KerberosFailure>,
}

struct FromTheService;

impl Proof for FromTheService {
    fn check(self: Box<Self>, answer: &[u8]) -> Result<(), KerberosFailure> {
        let unproven = KerberosFailure::without_code(FailureKind::PeerUnproven, "of another");
        if answer == b"it is me" { Ok(()) } else { Err(unproven) }
    }
}

impl SignOn for Kdc {
    fn negotiate(&self, wanted: Wanted, fresh: bool, reply: Reply<Negotiation>) {
        let mut asked = self.asked.lock().unwrap();
        asked.push((format!("{} {}", wanted.user, wanted.service), fresh));
        reply.send(match &self.refuses {
            Some(failure) => Err(failure.clone()),
            None => Ok(Negotiation {
                token: format!("token-{}", asked.len()).into_bytes(),
                from_held: !fresh,
                proof: Box::new(FromTheService),
            }),
        });
    }

    fn check(&self, proof: Box<dyn Proof>, answer: Vec<u8>, reply: Reply<()>) {
        reply.send(proof.check(&answer));
    }
}

const SETTINGS: &[(&str, &str)] = &[("sso", "kerberos"), ("sso_spn", "HTTP/app@TEST")];

/// `Negotiate token-1` and so on.
fn authorization(head: &str) -> Vec<String> {
    use base64::Engine as _;
    let decoded = |value: &str| match value.strip_prefix("Negotiate ") {
        Some(token) => {
            let token = base64::engine::general_purpose::STANDARD.decode(token).unwrap();
            format!("Negotiate {}", String::from_utf8(token).unwrap())
        }
        None => value.to_owned(),
    };
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| decoded(value)).collect()
}

/// Answers each request with the next of `answers`, the last one again and again; keeps what came.
fn answering(answers: &'static [&'static str]) -> Rc<RefCell<Vec<Vec<String>>>> {
    let came = Rc::new(RefCell::new(Vec::new()));
    let keeping = Rc::clone(&came);
    backend(move |_, stream: Stream| {
        let came = Rc::clone(&keeping);
        async move {
            let mut rest = Vec::new();
            while let Some(head) = read_head(&stream, &mut rest).await {
                let number = came.borrow().len();
                came.borrow_mut().push(authorization(&head));
                stream.queue(answers[number.min(answers.len() - 1)].as_bytes());
            }
        }
    });
    came
}

async fn world(kdc: &Arc<Kdc>) -> World {
    let sign_on: Arc<dyn SignOn> = Arc::clone(kdc) as _;
    World::with_sign_on(SETTINGS, 1, Some(sign_on)).await
}

/// `it is me`, as a backend says it.
const PROVEN: &str = "HTTP/1.1 200 OK\r\nwww-authenticate: Negotiate aXQgaXMgbWU=\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 2\r\n\r\nok";
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Negotiate\r\ncontent-length: 2\r\n\r\nno";

#[test]
fn a_user_is_signed_on_and_sees_nothing_of_it() {
    sim(1, async {
        let came = answering(&[PROVEN]);
        let kdc = Arc::new(Kdc::default());
        let world = world(&kdc).await;
        let tunnel = world.relay.tunnel();
        let mut head = get("/");
        head.headers.append(Known::Authorization, "Bearer from-the-client").unwrap();
        head.headers.append(Known::Authorization, "Negotiate Zm9yZ2Vk").unwrap();
        let stream = tunnel.open_for(Some("anna@TEST"), &head, true);
        let (head, _) = tunnel.head(stream).await;
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"ok");
        let said: Vec<_> = head.headers.get_all(Known::WwwAuthenticate).collect();
        assert_eq!((head.status, said), (200, vec![b"Basic realm=\"x\"".as_slice()]));
        assert_eq!(*came.borrow(), [["Negotiate token-1"]]);
        assert_eq!(*kdc.asked.lock().unwrap(), [("anna@TEST HTTP/app@TEST".to_owned(), false)]);
    });
}

#[test]
fn a_ticket_that_is_not_taken_is_replaced_once() {
    sim(2, async {
        let came = answering(&[CHALLENGE, PROVEN]);
        let kdc = Arc::new(Kdc::default());
        let world = world(&kdc).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open_for(Some("anna@TEST"), &get("/"), true);
        assert_eq!(tunnel.head(stream).await.0.status, 200);
        assert_eq!(*came.borrow(), [["Negotiate token-1"], ["Negotiate token-2"]]);
        let fresh: Vec<bool> = kdc.asked.lock().unwrap().iter().map(|asked| asked.1).collect();
        assert_eq!(fresh, [false, true]);
    });
}

async fn refused(world: &World, login: Option<&str>) -> Cancel {
    let tunnel = world.relay.tunnel();
    let stream = tunnel.open_for(login, &get("/"), true);
    tunnel.cancelled(stream).await
}

#[test]
fn a_backends_challenge_never_reaches_the_user() {
    sim(3, async {
        let came = answering(&[CHALLENGE]);
        let world = world(&Arc::default()).await;
        let cancel = refused(&world, Some("anna@TEST")).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::SSO_FAILED));
        assert!(!cancel.unprocessed && cancel.detail.as_str().contains("HTTP/app@TEST"), "{cancel:?}");
        assert_eq!(came.borrow().len(), 2, "once more, and no more");
    });
}

#[test]
fn content_that_is_gone_is_not_sent_again() {
    sim(4, async {
        let came = answering(&[CHALLENGE, PROVEN]);
        let world = world(&Arc::default()).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open_for(Some("anna@TEST"), &request(Method::Post, "/", BodyKind::Length(4)), false);
        tunnel.send(stream, Bytes::from_static(b"post"), true).await;
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::SSO_FAILED));
        assert_eq!(came.borrow().len(), 1);
    });
}

#[test]
fn a_backend_that_proves_to_be_another_is_not_believed() {
    sim(5, async {
        answering(&["HTTP/1.1 200 OK\r\nwww-authenticate: Negotiate aXQgaXMgTWU=\r\ncontent-length: 2\r\n\r\nok"]);
        let cancel = refused(&world(&Arc::default()).await, Some("anna@TEST")).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::SSO_FAILED));
    });
}

#[test]
fn a_401_of_the_applications_own_passes() {
    sim(6, async {
        answering(&["HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n"]);
        let world = world(&Arc::default()).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open_for(Some("anna@TEST"), &get("/"), true);
        assert_eq!(tunnel.head(stream).await.0.status, 401);
    });
}

#[test]
fn the_kdcs_word_reaches_the_relay_and_nothing_the_backend() {
    for (minor, culprit, code, elsewhere) in [
        (0x96c7_3a0d, Culprit::Client, CancelCode::SSO_REFUSED, false),
        (0x96c7_3a06, Culprit::Client, CancelCode::SSO_REFUSED, false),
        (0x96c7_3a25, Culprit::Connector, CancelCode::SSO_FAILED, true),
        (0x96c7_3a9c, Culprit::Connector, CancelCode::SSO_FAILED, true),
    ] {
        sim(7, async move {
            let came = answering(&[PROVEN]);
            let failure = KerberosFailure::of_status(minor, "in its words");
            let name = failure.name().unwrap();
            let kdc = Arc::new(Kdc { refuses: Some(failure), ..Kdc::default() });
            let cancel = refused(&world(&kdc).await, Some("anna@TEST")).await;
            assert_eq!((cancel.culprit, cancel.code, cancel.unprocessed), (culprit, code, elsewhere));
            let detail = cancel.detail.as_str();
            assert!(detail.contains(name) && detail.contains("in its words"), "{detail}");
            assert!(came.borrow().is_empty());
        });
    }
}

#[test]
fn what_is_missing_is_named() {
    sim(8, async {
        let came = answering(&[PROVEN]);
        let kdc = Arc::new(Kdc::default());
        let cancel = refused(&world(&kdc).await, None).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Connector, CancelCode::SSO_UNAVAILABLE));
        assert!(cancel.unprocessed && cancel.detail.as_str().contains("whom"), "{cancel:?}");
        assert!(came.borrow().is_empty() && kdc.asked.lock().unwrap().is_empty());
    });
    sim(9, async {
        let came = answering(&[PROVEN]);
        let world = World::start(SETTINGS).await;
        let cancel = refused(&world, Some("anna@TEST")).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Connector, CancelCode::SSO_UNAVAILABLE));
        let missing = if cfg!(feature = "kerberos") { "--keytab" } else { "--features kerberos" };
        assert!(cancel.unprocessed && cancel.detail.as_str().contains(missing), "{cancel:?}");
        assert!(came.borrow().is_empty());
    });
}

/// Some backends take a whole connection for whom they saw on it first.
#[test]
fn users_do_not_share_connections() {
    for (connections, expected) in [("10", [0, 0, 1, 0]), ("1", [0, 0, 1, 2])] {
        sim(11, async move {
            let came = Rc::new(RefCell::new(Vec::new()));
            let keeping = Rc::clone(&came);
            backend(move |number, stream: Stream| {
                let came = Rc::clone(&keeping);
                async move {
                    let mut rest = Vec::new();
                    while read_head(&stream, &mut rest).await.is_some() {
                        came.borrow_mut().push(number);
                        stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                }
            });
            let settings = [SETTINGS, &[("backend_connections_max", connections)]].concat();
            let kdc: Arc<dyn SignOn> = Arc::new(Kdc::default());
            let world = World::with_sign_on(&settings, 1, Some(kdc)).await;
            let tunnel = world.relay.tunnel();
            for login in ["anna@TEST", "anna@TEST", "bob@TEST", "anna@TEST"] {
                let stream = tunnel.open_for(Some(login), &get("/"), true);
                assert_eq!(tunnel.head(stream).await.0.status, 200);
            }
            assert_eq!(*came.borrow(), expected, "{connections}");
        });
    }
}

#[test]
fn over_http_2_it_is_the_same_where_that_is_demanded() {
    sim(12, async {
        backend(|_, stream: Stream| async move {
            let mut connection = h2::server::handshake(Duplex::new(stream)).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let has_token = request.headers()["authorization"].to_str().unwrap().starts_with("Negotiate ");
                assert!(has_token);
                let response = match request.uri().path() {
                    "/" => http::Response::builder().header("www-authenticate", "Negotiate aXQgaXMgbWU="),
                    _ => http::Response::builder().status(401).header("www-authenticate", "Negotiate"),
                };
                respond.send_response(response.body(()).unwrap(), true).unwrap();
            }
        });
        let settings = [SETTINGS, &[("backend_http", "h2c")]].concat();
        let kdc: Arc<dyn SignOn> = Arc::new(Kdc::default());
        let world = World::with_sign_on(&settings, 1, Some(kdc)).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open_for(Some("anna@TEST"), &get("/"), true);
        let (head, _) = tunnel.head(stream).await;
        assert_eq!((head.status, head.headers.contains(Known::WwwAuthenticate)), (200, false));
        let stream = tunnel.open_for(Some("anna@TEST"), &get("/refused"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::SSO_FAILED));
    });
}

#[test]
fn a_kdc_that_hangs_ends_in_a_clear_failure() {
    struct Silent;
    impl SignOn for Silent {
        fn negotiate(&self, _: Wanted, _: bool, reply: Reply<Negotiation>) {
            std::mem::forget(reply);
        }
        fn check(&self, _: Box<dyn Proof>, _: Vec<u8>, _: Reply<()>) {}
    }
    sim(10, async {
        answering(&[PROVEN]);
        let world = World::with_sign_on(SETTINGS, 1, Some(Arc::new(Silent))).await;
        let cancel = refused(&world, Some("anna@TEST")).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Connector, CancelCode::SSO_FAILED));
        assert!(cancel.unprocessed && cancel.detail.as_str().contains("in time"), "{cancel:?}");
    });
}
