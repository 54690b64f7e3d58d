//! Backends that want a password: whose goes with which request, what never does, and that no account is locked by trying.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use postern_http::{BodyKind, Known, Method};
use postern_io::{Stream, sleep, spawn};
use postern_model::group_config::BackendApp;
use postern_model::ids::{AppId, TenantId, UserId};
use postern_model::secret::SecretText;
use postern_model::vault::{Credential, Login, Owner, Purpose, SetBy, VaultKeyPair};
use postern_tunnel::{Cancel, CancelCode, Culprit};

use super::world::{BACKEND, Keys, World, backend, get, read_head, request, sim};
use crate::backend::tests::app;
use crate::vault::Vault;
use crate::vault::gate::HELD_MIN;

pub(super) const ANNA: &str = "u1-7";
pub(super) const BOB: &str = "u1-8";

fn owner(id: &str) -> Owner {
    id.parse().unwrap()
}

pub(super) fn purpose(id: &str) -> Purpose {
    Purpose { app: AppId::new(TenantId::DEFAULT, 1), owner: owner(id), origin: "http://10.0.0.2".into() }
}

/// A credential for `purpose`, and what it says to be for.
pub(super) fn sealed(pair: &VaultKeyPair, purpose: &Purpose, user: &str, password: &str) -> Credential {
    let login = Login::new(SecretText::new(user.into()), SecretText::new(password.into())).unwrap();
    let sealed = pair.public.seal(&login, purpose).unwrap();
    Credential { purpose: purpose.clone(), key: pair.public.fingerprint(), sealed, set_unix_ms: 1, by: SetBy::Operator }
}

fn basic(credentials: Vec<Credential>) -> BackendApp {
    BackendApp {
        credentials,
        ..app(1, &format!("http://{BACKEND}/"), &[("sso", "basic"), ("backend_plaintext", "allow")])
    }
}

pub(super) async fn world(pair: VaultKeyPair, credentials: Vec<Credential>) -> World {
    let vault = Some(Arc::new(Vault::new(vec![pair.secret]).unwrap()));
    World::with_app(basic(credentials), 1, Keys { vault, ..Keys::default() }).await
}

/// `anna:hunter2` of each request that came, and 200 to that, 401 to all else, after `pause`.
fn taking_hunter2(pause: Duration) -> Rc<RefCell<Vec<String>>> {
    let came = Rc::new(RefCell::new(Vec::new()));
    let keeping = Rc::clone(&came);
    backend(move |_, stream: Stream| {
        let came = Rc::clone(&keeping);
        async move {
            let mut rest = Vec::new();
            while let Some(head) = read_head(&stream, &mut rest).await {
                let fields = head.lines().filter_map(|line| line.split_once(": "));
                let mut sent = fields.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                let value = sent.next().map(|(_, value)| value.to_owned()).unwrap_or_default();
                assert!(sent.next().is_none(), "one, and no other: {head}");
                let decoded = value.strip_prefix("Basic ").map_or_else(
                    || value.clone(),
                    |encoded| {
                        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap()
                    },
                );
                came.borrow_mut().push(decoded.clone());
                sleep(pause).await;
                let answer: &[u8] = if decoded.ends_with(":hunter2") {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                } else {
                    b"HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=\"a, b\"\r\ncontent-length: 0\r\n\r\n"
                };
                stream.queue(answer);
            }
        }
    });
    came
}

async fn refused(world: &World, login: Option<&str>) -> Cancel {
    let tunnel = world.relay.tunnel();
    let stream = tunnel.open_for(login, &get("/"), true);
    tunnel.cancelled(stream).await
}

pub(super) async fn served(world: &World, login: &str) -> u16 {
    let tunnel = world.relay.tunnel();
    let mut head = get("/");
    head.headers.append(Known::Authorization, "Basic Zm9yZ2VkOmh1bnRlcjI=").unwrap();
    head.headers.append(Known::Authorization, "Bearer from-the-client").unwrap();
    let stream = tunnel.open_for(Some(login), &head, true);
    tunnel.head(stream).await.0.status
}

#[test]
fn a_users_own_password_goes_before_the_shared_one_and_the_clients_own_never() {
    sim(1, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![
            sealed(&pair, &purpose("shared"), "reader", "hunter2"),
            sealed(&pair, &purpose(ANNA), "anna", "a:hunter2"),
        ];
        let world = world(pair, credentials).await;
        for login in [ANNA, BOB, ANNA] {
            assert_eq!(served(&world, login).await, 200);
        }
        assert_eq!(*came.borrow(), ["anna:a:hunter2", "reader:hunter2", "anna:a:hunter2"]);
    });
}

#[test]
fn without_a_password_nothing_reaches_the_backend() {
    sim(2, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let world = world(pair, credentials).await;
        let cancel = refused(&world, Some(BOB)).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::SSO_CREDENTIAL_MISSING));
        assert!(cancel.detail.as_str().contains(BOB), "{cancel:?}");
        for (login, said) in [(None, "whom"), (Some("anna"), "by an id"), (Some("u2-7"), "another tenant")] {
            let cancel = refused(&world, login).await;
            let told = (cancel.culprit, cancel.code, cancel.unprocessed);
            assert_eq!(told, (Culprit::Connector, CancelCode::SSO_UNAVAILABLE, true));
            assert!(cancel.detail.as_str().contains(said), "{cancel:?}");
        }
        assert!(came.borrow().is_empty());
    });
}

/// The backend would show the password to whom it signs on.
#[test]
fn what_signs_users_on_is_not_traced() {
    sim(11, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let world = world(pair, credentials).await;
        for method in [Method::Trace, Method::parse(b"track").unwrap()] {
            let tunnel = world.relay.tunnel();
            let stream = tunnel.open_for(Some(ANNA), &request(method, "/", BodyKind::None), true);
            let cancel = tunnel.cancelled(stream).await;
            assert!(cancel.code == CancelCode::SSO_FAILED && cancel.detail.as_str().contains("TRACE"), "{cancel:?}");
        }
        assert!(came.borrow().is_empty());
    });
}

/// Control and relays carry ciphertexts and say whose they are. What they say must not count.
#[test]
fn a_credential_in_anothers_place_is_not_used() {
    let pair = || VaultKeyPair::generate().unwrap();
    let other_app = Purpose { app: AppId::new(TenantId::DEFAULT, 2), ..purpose(ANNA) };
    let other_origin = Purpose { origin: "http://10.0.0.3".into(), ..purpose(ANNA) };
    let other_port = Purpose { origin: "http://10.0.0.2:81".into(), ..purpose(ANNA) };
    let other_tenant = Purpose { owner: Owner::User(UserId::new(TenantId(2), 7)), ..purpose(ANNA) };
    for meant in [purpose(BOB), purpose("shared"), other_app, other_origin, other_port, other_tenant] {
        sim(3, async move {
            let came = taking_hunter2(Duration::ZERO);
            let pair = pair();
            let swapped = Credential { purpose: purpose(ANNA), ..sealed(&pair, &meant, "bob", "hunter2") };
            let cancel = refused(&world(pair, vec![swapped]).await, Some(ANNA)).await;
            let told = (cancel.culprit, cancel.code, cancel.unprocessed);
            assert_eq!(told, (Culprit::Client, CancelCode::SSO_UNAVAILABLE, true), "{meant:?}");
            assert!(cancel.detail.as_str().contains("not sealed for this"), "{cancel:?}");
            assert!(came.borrow().is_empty(), "{meant:?}");
        });
    }
    sim(4, async move {
        let came = taking_hunter2(Duration::ZERO);
        let others = sealed(&pair(), &purpose(ANNA), "anna", "hunter2");
        let cancel = refused(&world(pair(), vec![others]).await, Some(ANNA)).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::SSO_UNAVAILABLE));
        assert!(cancel.detail.as_str().contains("sealed to the key"), "{cancel:?}");
        assert!(came.borrow().is_empty());
    });
}

#[test]
fn without_the_vaults_key_nothing_reaches_the_backend() {
    sim(5, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let world = World::with_app(basic(credentials), 1, Keys::default()).await;
        let cancel = refused(&world, Some(ANNA)).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Connector, CancelCode::SSO_UNAVAILABLE));
        assert!(cancel.unprocessed && cancel.detail.as_str().contains("--vault-key"), "{cancel:?}");
        assert!(came.borrow().is_empty());
    });
}

#[test]
fn a_user_name_with_a_colon_is_no_other_users() {
    sim(6, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "root:x", "hunter2")];
        let cancel = refused(&world(pair, credentials).await, Some(ANNA)).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::SSO_UNAVAILABLE));
        assert!(cancel.detail.as_str().contains("colon") && !cancel.detail.as_str().contains("root"), "{cancel:?}");
        assert!(came.borrow().is_empty());
    });
}

#[test]
fn a_password_that_was_refused_is_not_tried_for_a_while() {
    sim(7, async {
        let came = taking_hunter2(Duration::ZERO);
        let pair = VaultKeyPair::generate().unwrap();
        let credentials =
            vec![sealed(&pair, &purpose(ANNA), "anna", "secret-1"), sealed(&pair, &purpose(BOB), "bob", "hunter2")];
        let world = world(pair, credentials).await;
        let tries = |waited: Duration, expected: usize| {
            let (world, came) = (&world, &came);
            async move {
                sleep(waited).await;
                let cancel = refused(world, Some(ANNA)).await;
                assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::SSO_CREDENTIAL_REFUSED));
                assert!(!cancel.unprocessed && cancel.detail.as_str().contains(ANNA), "{cancel:?}");
                assert!(!format!("{cancel:?}").contains("secret-1"));
                assert_eq!(came.borrow().iter().filter(|sent| *sent == "anna:secret-1").count(), expected);
            }
        };
        tries(Duration::ZERO, 1).await;
        tries(HELD_MIN - Duration::from_secs(2), 1).await;
        assert_eq!(served(&world, BOB).await, 200, "others go on");
        tries(Duration::from_secs(4), 2).await;
        tries(HELD_MIN + Duration::from_secs(4), 2).await;
        tries(HELD_MIN, 3).await;
    });
}

/// A page with forty pictures must not be forty tries.
#[test]
fn requests_at_once_are_one_try() {
    sim(8, async {
        let came = taking_hunter2(Duration::from_millis(100));
        let pair = VaultKeyPair::generate().unwrap();
        let credentials =
            vec![sealed(&pair, &purpose(ANNA), "anna", "wrong"), sealed(&pair, &purpose(BOB), "bob", "hunter2")];
        let world = Rc::new(world(pair, credentials).await);
        let tunnel = world.relay.tunnel();
        let wrong: Vec<_> = (0..40).map(|_| tunnel.open_for(Some(ANNA), &get("/"), true)).collect();
        let right: Vec<_> = (0..40).map(|_| tunnel.open_for(Some(BOB), &get("/"), true)).collect();
        for stream in wrong {
            assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::SSO_CREDENTIAL_REFUSED);
        }
        for stream in right {
            assert_eq!(tunnel.head(stream).await.0.status, 200);
        }
        assert_eq!(came.borrow().iter().filter(|sent| *sent == "anna:wrong").count(), 1);
    });
}

/// The client went away while its request was the one that tried.
#[test]
fn a_try_that_came_to_nothing_is_made_by_the_next() {
    sim(9, async {
        let came = taking_hunter2(Duration::from_secs(2));
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let world = world(pair, credentials).await;
        let tunnel = world.relay.tunnel();
        let first = tunnel.open_for(Some(ANNA), &get("/"), true);
        let second = tunnel.open_for(Some(ANNA), &get("/"), true);
        let cancelling = Rc::clone(&tunnel);
        spawn(async move {
            sleep(Duration::from_secs(1)).await;
            let gone = Cancel::new(Culprit::Client, CancelCode::GONE);
            cancelling.connection.borrow_mut().cancel(first, &gone);
            cancelling.flush();
        })
        .detach();
        assert_eq!(tunnel.head(second).await.0.status, 200);
        assert_eq!(came.borrow().len(), 2);
    });
}

#[test]
fn the_challenge_and_the_password_are_not_shown() {
    sim(10, async {
        backend(move |_, stream: Stream| async move {
            let mut rest = Vec::new();
            while read_head(&stream, &mut rest).await.is_some() {
                stream.queue(b"HTTP/1.1 401 No\r\nwww-authenticate: Bearer realm=\"x\"\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let vault = Arc::new(Vault::new(vec![pair.secret]).unwrap());
        let shown = format!("{vault:?}");
        let world = World::with_app(basic(credentials), 1, Keys { vault: Some(vault), ..Keys::default() }).await;
        // The application's own, of another kind, passes: it says nothing of the password.
        assert_eq!(served(&world, ANNA).await, 401);
        assert_eq!(served(&world, ANNA).await, 401);
        assert!(!shown.contains("hunter2") && shown.contains("VaultSecretKey(…)"), "{shown}");
    });
}

/// Some page refuses what all others take: that is not a wrong password, and one user is not to keep out the others.
#[test]
fn a_shared_password_that_was_good_is_tried_again_before_it_is_held() {
    sim(12, async {
        let wrong = Rc::new(Cell::new(false));
        let tries = Rc::new(Cell::new(0));
        let (now_wrong, counting) = (Rc::clone(&wrong), Rc::clone(&tries));
        backend(move |_, stream: Stream| {
            let (wrong, tries) = (Rc::clone(&now_wrong), Rc::clone(&counting));
            async move {
                let mut rest = Vec::new();
                while let Some(head) = read_head(&stream, &mut rest).await {
                    tries.set(tries.get() + 1);
                    let answer: &[u8] = if wrong.get() || head.starts_with("GET /odd ") {
                        b"HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n"
                    } else {
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                    };
                    stream.queue(answer);
                }
            }
        });
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose("shared"), "reader", "hunter2")];
        let world = world(pair, credentials).await;
        let odd = || async {
            let tunnel = world.relay.tunnel();
            let stream = tunnel.open_for(Some(ANNA), &get("/odd"), true);
            tunnel.cancelled(stream).await.code
        };
        for _ in 0..3 {
            assert_eq!(served(&world, BOB).await, 200);
            assert_eq!(odd().await, CancelCode::SSO_CREDENTIAL_REFUSED);
        }
        assert_eq!(served(&world, BOB).await, 200, "others go on");
        wrong.set(true);
        let before = tries.get();
        for _ in 0..5 {
            assert_eq!(refused(&world, Some(BOB)).await.code, CancelCode::SSO_CREDENTIAL_REFUSED);
        }
        assert_eq!(tries.get() - before, 2, "the one that it was good for, and the one that tried");
        // What is good again was never refused.
        wrong.set(false);
        sleep(HELD_MIN).await;
        assert_eq!(served(&world, BOB).await, 200);
        wrong.set(true);
        for _ in 0..2 {
            refused(&world, Some(BOB)).await;
        }
        wrong.set(false);
        sleep(HELD_MIN + Duration::from_secs(1)).await;
        assert_eq!(served(&world, BOB).await, 200, "held for the shortest time");
    });
}
