//! HTTP/2 clients of a worker in the simulator.

mod access;
mod uploads;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use postern_io::duplex::Duplex;
use postern_io::sim::{self, Faults};
use postern_io::{ConnectOptions, Listener, Socket, Stream, Task, now, sleep, spawn, timeout};

use super::super::Worker;
use super::super::drain::DrainState;
use super::super::session::OpenedFor;
use super::super::tests::{connect, in_the_simulator, pattern, worker};
use super::Http2Connection;
use crate::limits::IDLE_TIMEOUT;
use crate::side::testing::HOST;

const CLIENTS: &str = "10.0.0.2:443";

/// Listens for clients; what they send is served by the worker, without TLS.
fn serve_clients(worker: &Rc<Worker>) {
    let worker = Rc::clone(worker);
    let listener = Listener::sim(CLIENTS.parse().unwrap()).unwrap();
    spawn(async move {
        while let Ok(socket) = listener.accept().await {
            let address = "192.0.2.7:50000".parse().unwrap();
            let client =
                Http2Connection::new(Stream::plain(socket), address, OpenedFor::Applications(Some(HOST.to_owned())));
            spawn(client.serve(Rc::clone(&worker))).detach();
        }
    })
    .detach();
}

/// A client, and the task that drives its connection.
struct Client {
    requests: SendRequest<Bytes>,
    driver: Task<Result<(), h2::Error>>,
}

impl Client {
    async fn new() -> Self {
        Self::with(&mut h2::client::Builder::new()).await
    }

    async fn with(builder: &mut h2::client::Builder) -> Self {
        let socket = Socket::connect(CLIENTS.parse().unwrap(), &ConnectOptions::default()).await.unwrap();
        let io = Duplex::new(Stream::plain(socket));
        let (requests, connection) = builder.handshake(io).await.unwrap();
        Self { requests, driver: spawn(connection) }
    }

    /// Begins a request; the content is the caller's to send.
    async fn begin(&self, method: Method, path: &str) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let request = Request::builder().method(method).uri(format!("https://{HOST}{path}"));
        requests.send_request(request.body(()).unwrap(), false).unwrap()
    }

    async fn get(&self, path: &str) -> Result<(Response<()>, Vec<u8>), h2::Error> {
        let (response, mut content) = self.begin(Method::GET, path).await;
        content.send_data(Bytes::new(), true)?;
        let (head, mut body) = response.await?.into_parts();
        Ok((Response::from_parts(head, ()), read(&mut body).await?))
    }
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

async fn send(content: &mut SendStream<Bytes>, data: &[u8]) {
    let mut data = Bytes::copy_from_slice(data);
    while !data.is_empty() {
        content.reserve_capacity(data.len().min(16_000));
        let room = std::future::poll_fn(|cx| content.poll_capacity(cx)).await.unwrap().unwrap();
        content.send_data(data.split_to(room.min(data.len())), false).unwrap();
    }
    content.send_data(Bytes::new(), true).unwrap();
}

#[test]
fn requests_are_answered_side_by_side_whatever_the_network_does() {
    for seed in 1..4 {
        in_the_simulator(seed, async move {
            let worker = worker();
            serve_clients(&worker);
            connect(&worker, 1).await;
            sim::set_faults(Faults {
                delay: (Duration::from_micros(10), Duration::from_millis(2)),
                piece_bytes_max: 3_000,
                reset_one_in: 0,
            });
            let client = Rc::new(Client::new().await);
            let (slow, mut waiting) = client.begin(Method::GET, "/slow").await;
            waiting.send_data(Bytes::new(), true).unwrap();
            let echoes: Vec<_> = (0..20)
                .map(|nth| {
                    let client = Rc::clone(&client);
                    spawn(async move {
                        let content = pattern(nth * 9_000);
                        let (response, mut upload) = client.begin(Method::POST, "/echo").await;
                        let sent = content.clone();
                        let sending = spawn(async move { send(&mut upload, &sent).await });
                        let mut body = response.await.unwrap().into_body();
                        assert!(read(&mut body).await.unwrap() == content, "content changed on its way");
                        sending.await;
                    })
                })
                .collect();
            for echo in echoes {
                timeout(Duration::from_secs(60), echo).await.unwrap();
            }
            let (head, body) = client.get("/name").await.unwrap();
            assert_eq!((head.status(), body.as_slice()), (StatusCode::OK, &b"c1-1"[..]));
            assert_eq!(head.headers()["content-length"], "4");
            drop(slow);
        });
    }
}

#[test]
fn a_client_that_takes_nothing_waits_without_holding_up_others() {
    in_the_simulator(2, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        let (response, mut upload) = client.begin(Method::GET, "/zeros/10000000").await;
        upload.send_data(Bytes::new(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(body.flow_control().used_capacity(), 65_535, "the client's window is full");
        let tunnel = &worker.hub.tunnels()[0];
        assert_eq!(tunnel.open_streams(), 1);
        let (head, _) = Client::new().await.get("/name").await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(read(&mut body).await.unwrap().len(), 10_000_000);
    });
}

#[test]
fn a_reset_ends_the_request_at_the_connector_too() {
    in_the_simulator(3, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        let (response, mut upload) = client.begin(Method::GET, "/slow").await;
        upload.send_data(Bytes::new(), true).unwrap();
        sleep(Duration::from_millis(50)).await;
        assert_eq!(tunnel.open_streams(), 1);
        upload.send_reset(Reason::CANCEL);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(tunnel.open_streams(), 0);
        drop(response);
        assert_eq!(client.get("/name").await.unwrap().0.status(), 200, "the connection goes on");
    });
}

#[test]
fn a_reset_ends_also_what_the_application_takes_nothing_of() {
    in_the_simulator(4, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        let (_response, mut upload) = client.begin(Method::POST, "/deaf").await;
        upload.send_data(Bytes::from(vec![0; 200_000]), false).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(tunnel.open_streams(), 1);
        upload.send_reset(Reason::CANCEL);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(tunnel.open_streams(), 0);
        assert_eq!(client.get("/name").await.unwrap().0.status(), 200, "the connection goes on");
    });
}

#[test]
fn uploads_that_nobody_takes_hold_up_no_other() {
    in_the_simulator(5, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        let mut stalled = Vec::new();
        for _ in 0..8 {
            let (response, mut upload) = client.begin(Method::POST, "/deaf").await;
            upload.send_data(Bytes::from(vec![0; 1_000_000]), false).unwrap();
            stalled.push((response, upload));
        }
        sleep(Duration::from_secs(1)).await;
        let (response, mut upload) = client.begin(Method::POST, "/echo").await;
        send(&mut upload, &pattern(300_000)).await;
        let mut body = timeout(Duration::from_secs(5), response).await.unwrap().unwrap().into_body();
        assert!(read(&mut body).await.unwrap() == pattern(300_000));
    });
}

#[test]
fn an_answer_that_is_cut_ends_as_a_reset_and_the_others_go_on() {
    in_the_simulator(4, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        let (response, mut upload) = client.begin(Method::GET, "/zeros/10000000").await;
        upload.send_data(Bytes::new(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        body.data().await.unwrap().unwrap();
        tunnel.cut();
        let error = read(&mut body).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{error}");
        let (head, body) = client.get("/name").await.unwrap();
        assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(String::from_utf8(body).unwrap().contains("connector-unavailable"));
    });
}

#[test]
fn refusals_concern_one_request() {
    in_the_simulator(5, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        for (authority, path, status) in
            [("other.example", "/", 421), (HOST, "/a/../b", 400), ("u@other.example", "/", 400), (HOST, "/name", 200)]
        {
            let mut requests = client.requests.clone().ready().await.unwrap();
            let uri = http::Uri::builder().scheme("https").authority(authority).path_and_query(path).build().unwrap();
            let (response, _) = requests.send_request(Request::get(uri).body(()).unwrap(), true).unwrap();
            assert_eq!(response.await.unwrap().status(), status, "{authority}{path}");
        }
        let mut requests = client.requests.clone().ready().await.unwrap();
        let head = Request::head(format!("https://{HOST}/a/../b")).body(()).unwrap();
        let (response, _) = requests.send_request(head, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert!(read(&mut body).await.unwrap().is_empty(), "HEAD has no content, also when it is refused");
    });
}

#[test]
fn draining_finishes_what_was_begun() {
    in_the_simulator(6, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        let (response, mut upload) = client.begin(Method::POST, "/echo").await;
        let mut body = response.await.unwrap().into_body();
        worker.drain.advance(DrainState::Draining);
        worker.look(&mut false);
        sleep(Duration::from_millis(100)).await;
        assert!(client.requests.clone().ready().await.is_err(), "no further request is taken");
        send(&mut upload, b"the end").await;
        assert_eq!(read(&mut body).await.unwrap(), b"the end");
        drop((body, upload));
        timeout(Duration::from_secs(5), client.driver).await.unwrap().unwrap();
    });
}

#[test]
fn an_idle_connection_is_left() {
    in_the_simulator(7, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        assert_eq!(client.get("/name").await.unwrap().0.status(), 200);
        let begun = now();
        timeout(IDLE_TIMEOUT * 2, client.driver).await.unwrap().unwrap();
        assert!(now().since(begun) >= IDLE_TIMEOUT);
    });
}

/// An extended CONNECT (RFC 8441 §4).
async fn connect_websocket(client: &Client, path: &str) -> (StatusCode, RecvStream, SendStream<Bytes>) {
    connect_websocket_with(client, path, ("x", "y")).await
}

/// The same with a further field.
async fn connect_websocket_with(
    client: &Client,
    path: &str,
    (name, value): (&str, &str),
) -> (StatusCode, RecvStream, SendStream<Bytes>) {
    let mut requests = client.requests.clone().ready().await.unwrap();
    while !requests.is_extended_connect_protocol_enabled() {
        sleep(Duration::from_millis(1)).await;
    }
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("https://{HOST}{path}"));
    request = request.header("sec-websocket-version", "13").header("cookie", "a=b").header(name, value);
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, send) = requests.send_request(request, false).unwrap();
    let (head, body) = response.await.unwrap().into_parts();
    assert!(!head.headers.contains_key("sec-websocket-accept") && !head.headers.contains_key("upgrade"));
    (head.status, body, send)
}

#[test]
fn a_websocket_passes_beside_other_requests() {
    in_the_simulator(8, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        let (status, mut body, mut send) = connect_websocket(&client, "/switch").await;
        assert_eq!(status, 200);
        for size in [3, 100, 50_000] {
            let message = Bytes::from(pattern(size));
            send.send_data(message.clone(), false).unwrap();
            let mut echoed = Vec::new();
            while echoed.len() < size {
                let piece = body.data().await.unwrap().unwrap();
                body.flow_control().release_capacity(piece.len()).unwrap();
                echoed.extend_from_slice(&piece);
            }
            assert!(echoed == message, "a message of {size} bytes was changed");
            assert_eq!(client.get("/name").await.unwrap().0.status(), 200);
        }
        send.send_data(Bytes::new(), true).unwrap();
        assert!(read(&mut body).await.unwrap().is_empty(), "the end passes both ways");
        sleep(Duration::from_millis(50)).await;
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn a_websocket_that_is_not_taken_is_not_opened() {
    in_the_simulator(9, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        // The application answers as if it were an ordinary GET: a 200 would open the WebSocket.
        assert_eq!(connect_websocket(&client, "/name").await.0, StatusCode::BAD_GATEWAY);
        assert_eq!(connect_websocket(&client, "/switch").await.0, StatusCode::OK);
    });
}

#[test]
fn a_websocket_says_good_bye_at_drain() {
    in_the_simulator(10, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        let (_, mut body, mut send) = connect_websocket(&client, "/switch").await;
        send.send_data(Bytes::from_static(b"\x81\x02hi"), false).unwrap();
        let mut echoed = 0;
        while echoed < 4 {
            echoed += body.data().await.unwrap().unwrap().len();
        }
        worker.drain.advance(DrainState::Draining);
        worker.look(&mut false);
        let rest = timeout(Duration::from_secs(1), read(&mut body)).await.unwrap().unwrap();
        assert_eq!(rest, [0x88, 2, 3, 0xe9], "1001, then the end");
        drop((body, send));
        timeout(Duration::from_secs(5), client.driver).await.unwrap().unwrap();
    });
}
