//! Devices: the host where browsers show them is apart from every other, both ways, and a policy that misses one sends them there.

use bytes::Bytes;
use postern_http::Method;
use postern_io::NullIdentity;
use postern_io::duplex::Duplex;
use postern_model::device::SessionDevice;
use postern_model::identity::DEVICE_HOST_PATH;
use postern_model::ids::DeviceId;
use postern_model::policy::DeviceState;
use postern_model::session::AuthMethod;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::super::policies::policy;
use super::*;
use crate::side::testing;
use crate::worker::accept::connection;

const DEVICES: &str = "device.login.example.com";

/// A host where people show their devices: below a wildcard that is an application.
fn with_devices(snapshot: &mut Snapshot) {
    let wildcard = postern_model::config::App {
        id: AppId::new(TenantId::DEFAULT, 8),
        name: "wild".parse().unwrap(),
        external_url: format!("https://*.{LOGIN}/"),
        preauth: Preauth::Passthrough,
        ..snapshot.apps[&APP].clone()
    };
    snapshot.apps.insert(wildcard.id, wildcard);
    snapshot.identity.as_mut().unwrap().device_host = Some(DEVICES.parse().unwrap());
}

fn devices_scene() -> Rc<Worker> {
    let (worker, _control) = scene();
    publish_for_people(&worker, with_devices);
    worker
}

fn for_app(name: &str) -> OpenedFor {
    OpenedFor::Applications(Some(name.to_owned()))
}

fn for_devices() -> OpenedFor {
    OpenedFor::Devices(DEVICES.to_owned())
}

/// A client whose connection was opened for this, with a certificate if it has one.
async fn opened(worker: &Rc<Worker>, opened_for: OpenedFor, certificate: Option<&[u8]>) -> Client {
    thread_local!(static PORT: Cell<u16> = const { Cell::new(1_000) });
    let address = SocketAddr::from(([10, 0, 0, 9], PORT.replace(PORT.get() + 1)));
    let (worker, has_one) = (Rc::clone(worker), certificate.is_some());
    let listener = Listener::sim(address).unwrap();
    spawn(async move {
        let socket = listener.accept().await.unwrap();
        let stream = match has_one {
            true => Stream::tls_null(socket, &NullIdentity::default(), Vec::new()).await.unwrap(),
            false => Stream::plain(socket),
        };
        let client = Http1Connection::new(stream, "192.0.2.7:50000".parse().unwrap(), opened_for);
        client.serve(worker).await;
    })
    .detach();
    let socket = Socket::connect(address, &ConnectOptions::default()).await.unwrap();
    let stream = match certificate {
        Some(certificate) => {
            let own = NullIdentity { certificate: certificate.to_vec(), ..NullIdentity::default() };
            Stream::tls_null(socket, &own, Vec::new()).await.unwrap()
        }
        None => Stream::plain(socket),
    };
    Client { stream, inbox: Inbox::default() }
}

/// What comes of one request.
async fn asks_at(client: &mut Client, method: &str, host: &str, path: &str, fields: &str) -> (u16, String) {
    client.stream.queue(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n").as_bytes());
    let (head, body) = client.response().await.unwrap();
    (head.status, String::from_utf8(body).unwrap())
}

#[test]
fn a_connection_serves_the_hosts_that_its_handshake_was_for() {
    in_the_simulator(90, async {
        let worker = devices_scene();
        let tunnel = connect(&worker, 1).await;
        let elsewhere = "once.example.com";
        for (opened_for, host) in [
            (for_app(HOST), DEVICES),
            (for_app(LOGIN), DEVICES),
            (OpenedFor::Applications(None), DEVICES),
            // It was a published host when the handshake was made, or nothing at all.
            (for_app(DEVICES), DEVICES),
            (for_devices(), HOST),
            (for_devices(), LOGIN),
            (for_devices(), "x.login.example.com"),
            // It was the host for devices when the handshake was made.
            (OpenedFor::Devices(elsewhere.into()), elsewhere),
            (OpenedFor::Devices(elsewhere.into()), DEVICES),
            (OpenedFor::Devices(HOST.into()), HOST),
            (OpenedFor::Devices(LOGIN.into()), LOGIN),
        ] {
            let told = format!("{opened_for:?}, then {host}");
            let mut client = opened(&worker, opened_for, Some(b"device")).await;
            for path in [DEVICE_HOST_PATH, "/", "/name"] {
                let (status, body) = asks_at(&mut client, "GET", host, path, "").await;
                assert_eq!(status, 421, "{told}{path}");
                assert!(body.contains("host-unknown"), "{body}");
            }
        }
        assert_eq!(tunnel.open_streams(), 0);
        for (opened_for, host, path) in [
            (for_devices(), DEVICES, DEVICE_HOST_PATH),
            (for_devices(), "Device.LOGIN.example.com", DEVICE_HOST_PATH),
            (for_app(LOGIN), LOGIN, "/name"),
            (for_app("x.login.example.com"), "x.login.example.com", "/name"),
            (OpenedFor::Applications(None), LOGIN, "/name"),
        ] {
            let mut client = opened(&worker, opened_for, None).await;
            assert_eq!(asks_at(&mut client, "GET", host, path, "").await.0, 200, "{host}{path}");
        }
    });
}

#[test]
fn where_no_identity_process_is_online_no_connector_is_missed() {
    in_the_simulator(96, async {
        let (worker, _control) = scene();
        for (host, code) in [(LOGIN, "sign-in-unavailable"), (HOST, "sign-in-required")] {
            let mut client = opened(&worker, for_app(host), None).await;
            let (status, body) = asks_at(&mut client, "GET", host, "/", "").await;
            assert!(body.contains(code), "{status} {host}: {body}");
        }
    });
}

#[test]
fn without_a_host_for_devices_there_is_no_such_host() {
    in_the_simulator(91, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        for opened_for in [for_devices(), for_app(DEVICES), OpenedFor::Applications(None)] {
            let mut client = opened(&worker, opened_for, Some(b"device")).await;
            assert_eq!(asks_at(&mut client, "GET", DEVICES, DEVICE_HOST_PATH, "").await.0, 421);
        }
    });
}

#[test]
fn nothing_but_its_one_page_is_where_devices_are_shown() {
    in_the_simulator(92, async {
        let worker = devices_scene();
        let tunnel = connect(&worker, 1).await;
        let mut client = opened(&worker, for_devices(), Some(b"device")).await;
        let page = DEVICE_HOST_PATH;
        let upper = page.to_ascii_uppercase();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/name"),
            ("GET", "/authorize"),
            ("GET", "/.well-known/oauth-protected-resource"),
            ("GET", "/.postern/callback"),
            ("GET", &format!("{page}/")),
            ("GET", &format!("{page}/x")),
            ("GET", &format!("/{page}")),
            ("GET", &format!("{page};x")),
            ("GET", &format!("/%{:02x}{}", page.as_bytes()[1], &page[2..])),
            ("GET", &upper),
            ("POST", page),
            ("PUT", page),
            ("HEAD", page),
            ("TRACE", page),
            ("OPTIONS", page),
            ("OPTIONS", "*"),
        ] {
            let fields = if matches!(method, "POST" | "PUT") { "content-length: 0\r\n" } else { "" };
            client.stream.queue(format!("{method} {path} HTTP/1.1\r\nhost: {DEVICES}\r\n{fields}\r\n").as_bytes());
            let method = Method::parse(method.as_bytes()).unwrap();
            let (head, _) = client.response_to(&method).await.unwrap();
            assert_eq!(head.status, 404, "{method:?} {path}");
        }
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
        assert_eq!(asks_at(&mut client, "GET", DEVICES, page, upgrade).await.0, 404);
        assert_eq!(tunnel.open_streams(), 0);
        assert_eq!(asks_at(&mut client, "GET", DEVICES, &format!("{page}?ticket=x"), "").await.0, 200);
    });
}

const FORGED: &str = "client-cert: :Zm9yZ2Vk:\r\nClient_Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\nclient_cert_chain: :Zm9yZ2Vk:\r\nCLIENT-CERT: :Zm9yZ2Vk:\r\ncookie: __Host-postern-sso=s; a=b\r\n";

/// The lines of what a backend heard that are about certificates.
fn certificates(heard: &str) -> Vec<&str> {
    heard.lines().filter(|line| line.replace('_', "-").starts_with("client-cert")).collect()
}

#[test]
fn the_certificate_is_told_where_devices_are_shown_and_nowhere_else() {
    in_the_simulator(93, async {
        let worker = devices_scene();
        connect(&worker, 1).await;
        let certificate = &[0x30, 0x03, 0xfb, 0xff, 0xfe][..];
        let mut client = opened(&worker, for_devices(), Some(certificate)).await;
        for fields in ["", FORGED] {
            let (_, heard) = asks_at(&mut client, "GET", DEVICES, DEVICE_HOST_PATH, fields).await;
            assert_eq!(certificates(&heard), ["client-cert: :MAP7//4=:"], "{heard}");
            assert!(heard.contains(&format!("x-forwarded-host: {DEVICES}\n")), "{heard}");
            // No cookie of ours is at this host.
            assert_eq!(heard.contains("cookie: (3 bytes)"), !fields.is_empty(), "{heard}");
        }
        let mut without = opened(&worker, for_devices(), None).await;
        let (status, heard) = asks_at(&mut without, "GET", DEVICES, DEVICE_HOST_PATH, FORGED).await;
        assert_eq!((status, certificates(&heard).is_empty()), (200, true), "{heard}");

        // Nowhere else, whatever the handshake knows, also where the application asks nobody.
        for host in [LOGIN, "x.login.example.com"] {
            let mut client = opened(&worker, for_app(host), Some(certificate)).await;
            for path in ["/fields", DEVICE_HOST_PATH] {
                let (status, heard) = asks_at(&mut client, "GET", host, path, FORGED).await;
                assert_eq!((status, certificates(&heard).is_empty()), (200, true), "{host} {heard}");
            }
        }
        sessions(&worker).put(session(1), wall_clock());
        let cookie = format!("{FORGED}cookie: {}\r\n", cookie_of(&worker, APP, 0));
        let mut client = opened(&worker, for_app(HOST), Some(certificate)).await;
        let (status, heard) = asks_at(&mut client, "GET", HOST, "/fields", &cookie).await;
        assert_eq!((status, certificates(&heard).is_empty()), (200, true), "{heard}");
    });
}

fn device(state: DeviceState) -> Option<SessionDevice> {
    let id = DeviceId::new(TenantId::DEFAULT, 4);
    Some(SessionDevice::new(id, "anna's laptop".parse().unwrap(), state))
}

/// A policy, and what is missed by it of a session without a device.
const MISSED: &[(&str, &[(&str, &str)])] = &[
    (r#""grant": {"require": {"all": ["registered-device"]}}"#, &[("device", "1")]),
    (r#""grant": {"require": {"any": ["registered-device", "compliant-device"]}}"#, &[("device", "1")]),
    (r#""grant": {"require": {"all": ["mfa", "compliant-device"]}}"#, &[("acr_values", "mfa"), ("device", "1")]),
    (r#""grant": {"require": {"any": ["mfa", "compliant-device"]}}"#, &[("acr_values", "mfa")]),
    (r#""grant": {"require": {"all": ["compliant-device", "terms/use"]}}"#, &[("terms", "use"), ("device", "1")]),
    (r#""grant": {"require": {"any": ["compliant-device", "terms/use"]}}"#, &[("terms", "use")]),
    (
        r#""grant": {"require": {"all": ["registered-device"]}}, "session": {"sign_in_frequency_s": 300}"#,
        &[("prompt", "login"), ("device", "1")],
    ),
];

#[test]
fn a_device_that_is_missed_is_asked_for_once() {
    in_the_simulator(94, async {
        let worker = devices_scene();
        let tunnel = connect(&worker, 1).await;
        let cookie = format!("cookie: {}\r\n", cookie_of(&worker, APP, 0));
        let signed_in = |device| SessionRecord {
            authenticated_unix: wall_clock().as_secs() - 400,
            methods: [AuthMethod::Password].into(),
            device,
            ..session(1)
        };
        let publish = |rest: &str| {
            publish_for_people(&worker, |snapshot| {
                with_devices(snapshot);
                let policy = policy(1, &format!(r#""state": "on", {rest}"#));
                snapshot.policies.insert(policy.id, policy);
            });
        };
        let mut client = Client::new().await;
        sessions(&worker).put(signed_in(None), wall_clock());
        for (rest, missed) in MISSED {
            publish(rest);
            let (head, _) = client.asks("/name", &format!("{PAGE}{cookie}")).await;
            assert_eq!(head.status, 302, "{rest}");
            let asked = query(location(&head));
            for name in ["acr_values", "prompt", "terms", "device"] {
                let wanted = missed.iter().find(|(missed, _)| *missed == name).map(|(_, value)| *value);
                assert_eq!(asked.get(name).map(String::as_str), wanted, "{rest}: {name}");
            }
            let (head, _) = client.asks("/name", &cookie).await;
            assert!(matches!(head.status, 401 | 403), "programs are sent nowhere: {rest}");
        }
        // One that was shown is not asked for again, good enough or not: browsers would go round in circles.
        let devices = [DeviceState::Unknown, DeviceState::Registered, DeviceState::Compliant];
        for (state, registered) in devices.into_iter().zip([403, 200, 200]) {
            let compliant = if state == DeviceState::Compliant { 200 } else { 403 };
            for (wanted, status) in [("registered-device", registered), ("compliant-device", compliant)] {
                publish(&format!(r#""grant": {{"require": {{"all": ["{wanted}"]}}}}"#));
                sessions(&worker).put(signed_in(device(state)), wall_clock());
                let (head, body) = client.asks("/name", &format!("{PAGE}{cookie}")).await;
                assert_eq!(head.status, status, "{wanted} {state:?}");
                assert!(status == 200 || body.contains("policy-step-up"), "{body}");
            }
        }
        assert_eq!(tunnel.open_streams(), 0);
    });
}

/// People and devices, with one certificate for all hosts; and who trusts it.
fn reachable(authority: &testing::Authority) -> (Snapshot, RootCertStore) {
    let mut snapshot = testing::snapshot(5);
    people(&mut snapshot);
    with_devices(&mut snapshot);
    let key = rcgen::KeyPair::generate().unwrap();
    let hosts: Vec<String> = [HOST, LOGIN, DEVICES].map(String::from).into();
    let made = rcgen::CertificateParams::new(hosts.clone()).unwrap().self_signed(&key).unwrap();
    for certificate in snapshot.certificates.values_mut() {
        certificate.hosts.clone_from(&hosts);
        certificate.chain_pem = made.pem();
        certificate.key_pem = SecretText::new(key.serialize_pem());
    }
    let certificate = postern_model::device::AuthorityCertificate::new(&authority.certificate()).unwrap();
    let own = postern_model::device::DeviceAuthority {
        tenant: TenantId::DEFAULT,
        name: "own".parse().unwrap(),
        certificate,
        compliant: false,
    };
    snapshot.device_authorities.insert(own.key(), own);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.pem().as_bytes()).unwrap()).unwrap();
    (snapshot, roots)
}

/// A browser's connection over HTTP/2, opened for `name`.
async fn browser(config: &Arc<ClientConfig>, name: &'static str) -> h2::client::SendRequest<Bytes> {
    let socket = Socket::connect(CLIENTS.parse().unwrap(), &ConnectOptions::default()).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    let stream = Stream::tls_client(socket, Arc::clone(config), name).await.unwrap();
    let (requests, driver) = h2::client::handshake(Duplex::new(stream)).await.unwrap();
    spawn(async move { drop(driver.await) }).detach();
    requests
}

async fn gets(requests: &h2::client::SendRequest<Bytes>, host: &str, path: &str) -> (u16, String) {
    let mut requests = requests.clone().ready().await.unwrap();
    let request = http::Request::builder().uri(format!("https://{host}{path}")).body(()).unwrap();
    let (head, mut body) = requests.send_request(request, true).unwrap().0.await.unwrap().into_parts();
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        all.extend_from_slice(&piece.unwrap());
    }
    (head.status.as_u16(), String::from_utf8(all).unwrap())
}

/// One certificate for all hosts, one address: browsers then send requests for one host on a connection to another (RFC 9113
/// §9.1.1), unless they are told not to.
#[test]
fn browsers_that_share_connections_between_hosts_are_told_to_open_another() {
    in_the_simulator(95, async {
        let authority = testing::Authority::named("devices");
        let device = authority.issue_device(None);
        let shown = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &device.chain[0]);
        let (snapshot, roots) = reachable(&authority);
        let worker = worker_on(testing::kept(snapshot));
        connect(&worker, 9).await;
        let listener = Listener::sim(CLIENTS.parse().unwrap()).unwrap();
        let serving = Rc::clone(&worker);
        spawn(async move {
            while let Ok(socket) = listener.accept().await {
                let worker = Rc::clone(&serving);
                let address = "192.0.2.7:50000".parse().unwrap();
                spawn(async move { connection(&worker, socket, Vec::new(), address, false).await.unwrap() }).detach();
            }
        })
        .detach();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = builder.with_client_auth_cert(device.chain, device.key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let config = Arc::new(config);
        // Twice: what was kept of the first time counts for nothing where devices are shown.
        for _ in 0..2 {
            let (login, devices) = (browser(&config, LOGIN).await, browser(&config, DEVICES).await);
            assert_eq!(gets(&login, LOGIN, "/name").await, (200, "c1-9".into()));
            assert_eq!(gets(&login, DEVICES, DEVICE_HOST_PATH).await.0, 421);
            assert_eq!(gets(&login, HOST, "/name").await.0, 421);
            let (status, heard) = gets(&devices, DEVICES, &format!("{DEVICE_HOST_PATH}?ticket=x")).await;
            assert_eq!((status, certificates(&heard)), (200, vec![&*format!("client-cert: :{shown}:")]));
            for host in [LOGIN, HOST] {
                for path in ["/name", DEVICE_HOST_PATH] {
                    assert_eq!(gets(&devices, host, path).await.0, 421, "{host}{path}");
                }
            }
            assert_eq!(gets(&devices, DEVICES, "/name").await.0, 404);
            let (_, heard) = gets(&login, LOGIN, "/fields").await;
            assert_eq!(certificates(&heard), [""; 0], "it was asked for none");
        }
    });
}
