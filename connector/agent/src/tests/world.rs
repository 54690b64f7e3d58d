//! A relay that speaks the tunnel's protocol, a backend that does as it is told, and a worker of the connector between.

mod backend;
mod requests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use postern_http::{Limits, RequestHead, ResponseHead};
use postern_io::mailbox::mailbox;
use postern_io::{
    BackendKind, Listener, NullIdentity, Runtime, RuntimeOptions, Stream, now, sleep, sleep_until, spawn,
};
use postern_model::group_config::BackendApp;
use postern_model::ids::{AppId, RelayId, RequestId, TenantId};
use postern_sso::SignOn;
use postern_tunnel::{
    Connection, Event, ExternalScheme, Hello, Identity, OpenMeta, Output, PeerHello, Sent, SessionKey, SsoLogin,
    StreamId, StreamKind,
};

use crate::backend::BackendTable;
use crate::backend::tests::{app, config};
use crate::check::Checks;
use crate::counters::Counters;
use crate::dial::Relay;
use crate::keeper::{Offered, Offers};
use crate::limits::{REPORTS_MAILBOX, WORKER_MAILBOX};
use crate::proxy::Proxies;
use crate::resolve::Resolver;
use crate::transactions::TransactionLog;
use crate::vault::Vault;
use crate::worker::{Shared, SharedParts, Transport, Worker};

pub(super) use backend::{answer_all, backend, backend_at, mortal_backend, read_head};
pub(super) use requests::{drain, fetch, get, pattern, request};

pub(super) const BACKEND: &str = "10.0.0.2:80";
const RELAY: &str = "10.0.0.1:443";

/// Runs `test` in the simulator.
pub(super) fn sim<T: 'static>(seed: u64, test: impl Future<Output = T> + 'static) -> T {
    let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(seed), ..RuntimeOptions::default() };
    Runtime::new(options).unwrap().run(test).unwrap()
}

/// The connector with one application, and a relay that holds one tunnel to it.
pub(super) struct World {
    pub(super) shared: Arc<Shared>,
    pub(super) relay: Rc<FakeRelay>,
    /// What relays offered; a test decides on it itself.
    pub(super) offers: Arc<Offers>,
}

impl World {
    pub(super) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::with_relay(settings, 1).await
    }

    /// `workers`: what the relay says it has.
    pub(super) async fn with_relay(settings: &[(&str, &str)], workers: u16) -> Self {
        Self::with_sign_on(settings, workers, None).await
    }

    pub(super) async fn with_sign_on(settings: &[(&str, &str)], workers: u16, by: Option<Arc<dyn SignOn>>) -> Self {
        let app = app(1, &format!("http://{BACKEND}/"), settings);
        Self::with_app(app, workers, Keys { sign_on: by, ..Keys::default() }).await
    }

    /// The application is at [`BACKEND`].
    pub(super) async fn with_app(app: BackendApp, workers: u16, keys: Keys) -> Self {
        let relay = FakeRelay::listen(workers);
        let offers = Arc::new(Offers::default());
        let shared = connector(app, Arc::clone(&offers), keys);
        relay.tunnels_up(usize::from(workers)).await;
        Self { shared, relay, offers }
    }
}

/// What a connector has of its own: what users are signed on with, what knows names, and proxies.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) sign_on: Option<Arc<dyn SignOn>>,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) resolver: Option<Resolver>,
    pub(super) proxies: Proxies,
}

/// One worker that knows one application at [`BACKEND`] and dials [`RELAY`].
fn connector(app: BackendApp, offers: Arc<Offers>, keys: Keys) -> Arc<Shared> {
    let counters = Arc::new(Counters::default());
    let (sender, orders) = mailbox(WORKER_MAILBOX);
    let shared = Shared::new(SharedParts {
        counters: Arc::clone(&counters),
        transactions: TransactionLog::off(counters),
        sign_on: keys.sign_on,
        vault: keys.vault,
        checks: Checks::default(),
        proxies: keys.proxies,
        connector: "c1-9".parse().unwrap(),
        transport: Transport::Null("c1-9".parse().unwrap()),
        workers: vec![sender],
        offer: Box::new(move |config| offers.offer(config)),
    });
    let resolver = keys.resolver.unwrap_or_else(Resolver::none);
    let worker = Worker::new(0, Arc::clone(&shared), resolver, None);
    spawn(worker.run(orders, Default::default())).detach();
    let relay = Relay {
        address: Arc::new(RELAY.parse().unwrap()),
        shared: Arc::clone(&shared),
        reports: mailbox(REPORTS_MAILBOX),
        first_tunnel: 0,
    };
    spawn(relay.keep()).detach();
    let table = config(1, vec![app]);
    shared.decided(Offered::default(), Some(&Arc::new(BackendTable::build(&table, None))));
    shared
}

/// Accepts tunnels, and keeps what happens on them.
pub(super) struct FakeRelay {
    workers: Cell<u16>,
    pub(super) generation: Cell<u32>,
    pub(super) tunnels: RefCell<Vec<Rc<FakeTunnel>>>,
    /// Server names dialled.
    pub(super) names: RefCell<Vec<String>>,
}

pub(super) struct FakeTunnel {
    pub(super) connection: RefCell<Connection>,
    pub(super) stream: Stream,
    events: RefCell<VecDeque<Event>>,
    waker: RefCell<Option<Waker>>,
    pub(super) closed: Cell<bool>,
    pub(super) hello: RefCell<Option<Box<PeerHello>>>,
}

impl FakeRelay {
    fn listen(workers: u16) -> Rc<Self> {
        let relay = Rc::new(Self {
            workers: Cell::new(workers),
            generation: Cell::new(1),
            tunnels: RefCell::default(),
            names: RefCell::default(),
        });
        let listener = Listener::sim(RELAY.parse().unwrap()).unwrap();
        let accepting = Rc::clone(&relay);
        spawn(async move {
            loop {
                let socket = listener.accept().await.unwrap();
                spawn(Rc::clone(&accepting).serve(socket)).detach();
            }
        })
        .detach();
        relay
    }

    async fn serve(self: Rc<Self>, socket: postern_io::Socket) {
        // The simulator's stand-in for TLS hides the server name: it is read from the first bytes.
        let mut socket = socket;
        let mut first = Vec::new();
        let peer = loop {
            let Ok(Some(more)) = socket.recv().await else { return };
            first.extend_from_slice(&more);
            if let Some((peer, _)) = NullIdentity::parse(&first).unwrap() {
                break peer;
            }
        };
        let worker = peer.server_name.strip_prefix('w').and_then(|name| name.split_once("-g"));
        let worker = worker.and_then(|(worker, _)| worker.parse().ok()).unwrap_or(0) % self.workers.get();
        self.names.borrow_mut().push(peer.server_name);
        let own = NullIdentity { alpn: b"postern-tunnel/1".to_vec(), ..NullIdentity::default() };
        let stream = Stream::tls_null(socket, &own, first).await.unwrap();
        let identity = Identity::Relay {
            relay: RelayId(3),
            generation: self.generation.get(),
            workers: self.workers.get(),
            worker,
        };
        let hello = Hello { identity, software: "fake".into(), has_keytab: false };
        let tunnel = Rc::new(FakeTunnel {
            connection: RefCell::new(Connection::new(&hello, Default::default(), now().since_origin())),
            stream,
            events: RefCell::default(),
            waker: RefCell::default(),
            closed: Cell::new(false),
            hello: RefCell::default(),
        });
        self.tunnels.borrow_mut().push(Rc::clone(&tunnel));
        tunnel.run().await;
    }

    /// Waits until as many tunnels introduced themselves and live.
    pub(super) async fn tunnels_up(&self, count: usize) {
        let up = |tunnel: &&Rc<FakeTunnel>| !tunnel.closed.get() && tunnel.hello.borrow().is_some();
        for _ in 0..10_000 {
            if self.tunnels.borrow().iter().filter(up).count() == count {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("{} tunnels are not up: {:?}", count, self.names.borrow());
    }

    pub(super) fn tunnel(&self) -> Rc<FakeTunnel> {
        Rc::clone(self.tunnels.borrow().last().unwrap())
    }

    pub(super) fn restart(&self, generation: u32, workers: u16) {
        self.generation.set(generation);
        self.workers.set(workers);
    }
}

impl FakeTunnel {
    async fn run(&self) {
        self.flush();
        while let Ok(input) = self.stream.read().await {
            if input.is_empty() {
                break;
            }
            self.connection.borrow_mut().handle_input(input, now().since_origin()).unwrap();
            self.collect();
        }
        self.closed.set(true);
        self.wake();
    }

    fn collect(&self) {
        loop {
            let event = self.connection.borrow_mut().poll_event();
            match event {
                Some(Event::Hello(hello)) => drop(self.hello.replace(Some(hello))),
                Some(event) => self.events.borrow_mut().push_back(event),
                None => break,
            }
        }
        self.flush();
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn flush(&self) {
        let mut output = Output::new();
        self.connection.borrow_mut().poll_output(&mut output);
        for segment in output.drain() {
            self.stream.queue_bytes(&segment);
        }
    }

    /// The next event that `wanted` picks; others stay.
    pub(super) async fn event<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut patience = Box::pin(sleep_until(now().after(Duration::from_secs(1_000))));
        poll_fn(|cx| {
            let mut events = self.events.borrow_mut();
            let found = events.iter().enumerate().find_map(|(at, event)| wanted(event).map(|value| (at, value)));
            if let Some((at, value)) = found {
                events.remove(at);
                return Poll::Ready(value);
            }
            assert!(!self.closed.get(), "the tunnel was closed");
            assert!(patience.as_mut().poll(cx).is_pending(), "waited in vain; there are {events:?}");
            self.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Opens a stream for a request.
    pub(super) fn open(&self, head: &RequestHead, end: bool) -> StreamId {
        self.open_for(None, head, end)
    }

    /// The same for a user who is to be signed on.
    pub(super) fn open_for(&self, login: Option<&str>, head: &RequestHead, end: bool) -> StreamId {
        self.open_as(login, None, head, end)
    }

    /// The same in a session.
    pub(super) fn open_as(
        &self,
        login: Option<&str>,
        session: Option<SessionKey>,
        head: &RequestHead,
        end: bool,
    ) -> StreamId {
        let mut encoded = Vec::new();
        head.encode(&mut encoded);
        let meta = OpenMeta {
            app: AppId::new(TenantId::DEFAULT, 1),
            request: RequestId(7),
            client: "192.0.2.1:5000".parse::<SocketAddr>().unwrap(),
            scheme: ExternalScheme::Https,
            kind: StreamKind::Http,
            session,
            sso_login: login.and_then(SsoLogin::new),
        };
        let stream = self.connection.borrow_mut().open(&meta, &encoded, end).unwrap();
        self.flush();
        stream
    }

    /// Sends all of `data` under credit.
    pub(super) async fn send(&self, stream: StreamId, mut data: Bytes, end: bool) {
        loop {
            let sent = self.connection.borrow_mut().send_data(stream, &mut data, end).unwrap();
            self.flush();
            self.collect();
            if sent == Sent::All {
                return;
            }
            self.event(|event| matches!(event, Event::Writable { stream: ready } if *ready == stream).then_some(()))
                .await;
        }
    }

    /// The answer's head and whether it is all.
    pub(super) async fn head(&self, stream: StreamId) -> (ResponseHead, bool) {
        let (head, end) = self
            .event(|event| match event {
                Event::Head { stream: of, head, end, .. } if *of == stream => Some((head.clone(), *end)),
                Event::Cancelled { stream: of, cancel } if *of == stream => panic!("cancelled: {cancel:?}"),
                _ => None,
            })
            .await;
        (ResponseHead::decode(&head, &Limits::default()).unwrap(), end)
    }

    /// The answer's body, consumed as it comes after `pause` each.
    pub(super) async fn body(&self, stream: StreamId, pause: Duration) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let (data, end) = self
                .event(|event| match event {
                    Event::Data { stream: of, data, end } if *of == stream => Some((data.clone(), *end)),
                    Event::Trailers { stream: of, .. } if *of == stream => Some((Bytes::new(), true)),
                    Event::Cancelled { stream: of, cancel } if *of == stream => panic!("cancelled: {cancel:?}"),
                    _ => None,
                })
                .await;
            if !pause.is_zero() {
                sleep(pause).await;
            }
            self.connection.borrow_mut().consumed(stream, data.len());
            self.collect();
            body.extend_from_slice(&data);
            if end {
                return body;
            }
        }
    }

    /// The cancel that ends a stream.
    pub(super) async fn cancelled(&self, stream: StreamId) -> postern_tunnel::Cancel {
        self.event(|event| match event {
            Event::Cancelled { stream: of, cancel } if *of == stream => Some(cancel.clone()),
            _ => None,
        })
        .await
    }
}
