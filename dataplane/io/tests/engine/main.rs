//! The engine on the kernel's ring, on epoll and on the simulator: the same tasks on all.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

use std::{
    cell::RefCell,
    future::Future,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use postern_io::{
    BackendKind, ConnectOptions, Listener, NullIdentity, Runtime, RuntimeOptions, Socket, Stream, mailbox::mailbox,
    now, sim, sleep, spawn, sync, timeout,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, ServerName};

mod hardship;
mod start_tls;

/// Each of these on both of the kernel's interfaces.
macro_rules! on_the_kernel {
    ($($name:ident)*) => {
        mod uring {
            $(#[test] fn $name() { super::$name(postern_io::BackendKind::Uring); })*
        }
        mod epoll {
            $(#[test] fn $name() { super::$name(postern_io::BackendKind::Epoll); })*
        }
    };
}
pub(crate) use on_the_kernel;

on_the_kernel! {
    plain_echo
    tls_echo
    tls_with_an_unknown_issuer_fails_on_both_sides
    stalled_readers_do_not_starve_the_others
    what_was_queued_before_the_drop_arrives
    a_refused_connection_says_so
    other_threads_wake_the_loop
    a_socket_moves_to_another_loop_with_its_unread_bytes
    records_cut_in_their_headers_are_read_at_once_and_broken_ones_refused
}

fn on<T: 'static>(backend: BackendKind, seed: u64, test: impl Future<Output = T> + 'static) -> T {
    let options = RuntimeOptions { backend, seed: Some(seed), ..RuntimeOptions::default() };
    Runtime::new(options).unwrap().run(test).unwrap()
}

fn listen(backend: BackendKind) -> (Listener, SocketAddr) {
    match backend {
        BackendKind::Uring | BackendKind::Epoll => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            (Listener::from_std(listener).unwrap(), address)
        }
        BackendKind::Sim => {
            let address = "10.0.0.1:443".parse().unwrap();
            (Listener::sim(address).unwrap(), address)
        }
    }
}

async fn connect(address: SocketAddr) -> Socket {
    // Long: other tests, and what else runs on the machine, take turns of the CPU.
    let options = ConnectOptions { timeout: Duration::from_secs(60), ..ConnectOptions::default() };
    Socket::connect(address, &options).await.unwrap()
}

fn tls_configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::generate_simple_self_signed(vec!["app.example".to_owned()]).unwrap();
    let der = key.cert.der().clone();
    let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![der.clone()], secret).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// Bytes that differ at every position a mix-up could move them to.
fn pattern(len: usize, salt: u64) -> Bytes {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9).wrapping_add(salt) >> 11) as u8).collect::<Vec<_>>().into()
}

async fn echo(stream: Stream) {
    loop {
        let bytes = match stream.read().await {
            Ok(bytes) if !bytes.is_empty() => bytes,
            _ => break,
        };
        stream.queue_bytes(&bytes);
        if stream.writable().await.is_err() {
            break;
        }
    }
    stream.close(Duration::from_secs(1)).await;
}

async fn write_all(stream: &Stream, data: &Bytes) {
    for piece in data.chunks(50_000) {
        stream.queue_bytes(&data.slice_ref(piece));
        stream.writable().await.unwrap();
    }
}

async fn read_exactly(stream: &Stream, len: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < len {
        let bytes = stream.read().await.unwrap();
        assert!(!bytes.is_empty(), "the stream ended after {} bytes", got.len());
        got.extend_from_slice(&bytes);
    }
    got
}

async fn echoes(stream: Stream, len: usize, salt: u64) {
    let data = pattern(len, salt);
    let (_, got) = sync::join(write_all(&stream, &data), read_exactly(&stream, len)).await;
    assert!(got == data, "the echo differs from what was sent");
    stream.close(Duration::from_secs(1)).await;
}

async fn many_plain_echoes(backend: BackendKind, connections: u64, len: usize) {
    let (listener, address) = listen(backend);
    let server = spawn(async move {
        loop {
            let socket = listener.accept().await.unwrap();
            spawn(echo(Stream::plain(socket))).detach();
        }
    });
    let clients: Vec<_> = (0..connections)
        .map(|n| spawn(async move { echoes(Stream::plain(connect(address).await), len, n).await }))
        .collect();
    for client in clients {
        timeout(Duration::from_secs(120), client).await.unwrap();
    }
    drop(server);
}

fn plain_echo(backend: BackendKind) {
    on(backend, 1, many_plain_echoes(backend, 100, 1_000_000));
}

#[test]
fn plain_echo_sim() {
    for seed in 0..20 {
        on(BackendKind::Sim, seed, many_plain_echoes(BackendKind::Sim, 10, 300_000));
    }
}

async fn tls_echoes(backend: BackendKind) {
    let (listener, address) = listen(backend);
    let (server_config, client_config) = tls_configs();
    let server = spawn(async move {
        loop {
            let socket = listener.accept().await.unwrap();
            let config = Arc::clone(&server_config);
            spawn(async move {
                if let Ok(stream) = Stream::tls_server(socket, config, Vec::new()).await {
                    echo(stream).await;
                }
            })
            .detach();
        }
    });
    let name = ServerName::try_from("app.example").unwrap();
    // Again and again: the later ones resume the session of an earlier one.
    let mut resumed = 0;
    for (nth, len) in [1, 100, 16_384, 3_000_000, 10, 70_000].into_iter().enumerate() {
        let socket = connect(address).await;
        let stream = Stream::tls_client(socket, Arc::clone(&client_config), name.clone()).await.unwrap();
        resumed += usize::from(stream.tls().resumed);
        timeout(Duration::from_secs(60), echoes(stream, len, nth as u64)).await.unwrap();
    }
    assert!(resumed > 0, "no session was resumed");
    drop(server);
}

fn tls_echo(backend: BackendKind) {
    on(backend, 2, tls_echoes(backend));
}

#[test]
fn tls_echo_sim() {
    for seed in 0..5 {
        on(BackendKind::Sim, seed, tls_echoes(BackendKind::Sim));
    }
}

fn tls_with_an_unknown_issuer_fails_on_both_sides(backend: BackendKind) {
    on(backend, 3, async move {
        let (listener, address) = listen(backend);
        let (server_config, _) = tls_configs();
        let (_, other_client) = tls_configs();
        let server = spawn(async move {
            let socket = listener.accept().await.unwrap();
            Stream::tls_server(socket, server_config, Vec::new()).await.map(drop)
        });
        let name = ServerName::try_from("app.example").unwrap();
        let error = Stream::tls_client(connect(address).await, other_client, name).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        // The client's alert reached the server: it names the reason instead of a bare EOF.
        let error = server.await.unwrap_err();
        assert!(error.to_string().contains("alert"), "{error}");
    });
}

#[test]
fn a_cut_tls_stream_is_no_clean_end() {
    on(BackendKind::Sim, 4, async {
        let (listener, address) = listen(BackendKind::Sim);
        let (server_config, client_config) = tls_configs();
        let server = spawn(async move {
            let socket = listener.accept().await.unwrap();
            let stream = Stream::tls_server(socket, server_config, Vec::new()).await.unwrap();
            stream.read().await
        });
        let name = ServerName::try_from("app.example").unwrap();
        let stream = Stream::tls_client(connect(address).await, client_config, name).await.unwrap();
        // Until the server has the client's last handshake message.
        sleep(Duration::from_millis(50)).await;
        stream.abort();
        drop(stream);
        assert!(server.await.is_err());
    });
}

/// 64 connections whose readers never read must not slow another one, although they together
/// could hold far more than the ring's buffers.
fn stalled_readers_do_not_starve_the_others(backend: BackendKind) {
    on(backend, 5, async move {
        let (listener, address) = listen(backend);
        let stalled: Rc<RefCell<Vec<Stream>>> = Rc::default();
        let kept = Rc::clone(&stalled);
        let server = spawn(async move {
            for nth in 0.. {
                let stream = Stream::plain(listener.accept().await.unwrap());
                if nth < 64 {
                    // One read arms the receive; then nobody reads any more.
                    let _ = stream.read().await;
                    kept.borrow_mut().push(stream);
                } else {
                    spawn(echo(stream)).detach();
                }
            }
        });
        let mut senders = Vec::new();
        for n in 0..64 {
            let stream = Stream::plain(connect(address).await);
            stream.queue_bytes(&pattern(200_000, n));
            senders.push(stream);
        }
        sleep(Duration::from_millis(200)).await;
        let begun = now();
        timeout(Duration::from_secs(10), echoes(Stream::plain(connect(address).await), 5_000_000, 99)).await.unwrap();
        assert!(now().since(begun) < Duration::from_secs(5));
        drop((server, senders));
    });
}

fn what_was_queued_before_the_drop_arrives(backend: BackendKind) {
    on(backend, 6, async move {
        let (listener, address) = listen(backend);
        let data = pattern(2_000_000, 7);
        let expected = data.clone();
        let server = spawn(async move {
            let stream = Stream::plain(listener.accept().await.unwrap());
            sleep(Duration::from_millis(50)).await;
            let mut got = Vec::new();
            loop {
                let bytes = stream.read().await.unwrap();
                if bytes.is_empty() {
                    return got == expected;
                }
                got.extend_from_slice(&bytes);
            }
        });
        let stream = Stream::plain(connect(address).await);
        stream.queue_bytes(&data);
        drop(stream);
        assert!(server.await, "bytes queued before the drop were lost");
    });
}

fn a_refused_connection_says_so(backend: BackendKind) {
    on(backend, 7, async move {
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let error = Socket::connect(closed, &ConnectOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

fn other_threads_wake_the_loop(backend: BackendKind) {
    on(backend, 8, async move {
        let (sender, mut receiver) = mailbox::<u32>(1024);
        let thread = std::thread::spawn(move || {
            for n in 0..1000 {
                sender.send(n).unwrap();
                if n % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut expected = 0;
        while let Some(n) = timeout(Duration::from_secs(5), receiver.recv()).await.unwrap() {
            assert_eq!(n, expected);
            expected += 1;
        }
        assert_eq!(expected, 1000);
        thread.join().unwrap();
    });
}

#[test]
fn a_full_mailbox_gives_the_value_back() {
    let (sender, receiver) = mailbox::<u32>(1);
    sender.send(1).unwrap();
    assert_eq!(sender.send(2).unwrap_err().0, 2);
    drop(receiver);
    assert_eq!(sender.send(3).unwrap_err().0, 3);
}

fn a_socket_moves_to_another_loop_with_its_unread_bytes(backend: BackendKind) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"first").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(b" second").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (fd, first) = on(backend, 9, async move {
        let listener = Listener::from_std(listener).unwrap();
        let mut socket = listener.accept().await.unwrap();
        let chunk = socket.recv().await.unwrap().unwrap().to_vec();
        let (fd, rest) = socket.into_fd().await.unwrap();
        (fd, [chunk, rest].concat())
    });
    on(backend, 10, async move {
        let stream = Stream::plain_with(Socket::from_fd(fd), first);
        let mut got = Vec::new();
        loop {
            let bytes = stream.read().await.unwrap();
            if bytes.is_empty() {
                break;
            }
            got.extend_from_slice(&bytes);
        }
        stream.queue(&got);
        stream.close(Duration::from_secs(1)).await;
    });
    assert_eq!(client.join().unwrap(), "first second");
}

#[test]
fn the_simulator_repeats_a_seed_exactly() {
    fn trace(seed: u64) -> Vec<(u64, usize)> {
        on(BackendKind::Sim, seed, async {
            sim::set_faults(sim::Faults {
                delay: (Duration::from_micros(10), Duration::from_millis(30)),
                piece_bytes_max: 700,
                reset_one_in: 0,
            });
            let (listener, address) = listen(BackendKind::Sim);
            let server = spawn(async move {
                let socket = listener.accept().await.unwrap();
                echo(Stream::plain(socket)).await;
            });
            let stream = Stream::plain(connect(address).await);
            stream.queue_bytes(&pattern(20_000, 1));
            let mut trace = Vec::new();
            let mut got = 0;
            while got < 20_000 {
                let bytes = stream.read().await.unwrap();
                got += bytes.len();
                trace.push((now().as_nanos(), bytes.len()));
            }
            drop(server);
            trace
        })
    }
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn the_simulator_resets_and_stalls() {
    on(BackendKind::Sim, 11, async {
        let (listener, address) = listen(BackendKind::Sim);
        let server = spawn(async move {
            loop {
                let socket = listener.accept().await.unwrap();
                spawn(echo(Stream::plain(socket))).detach();
            }
        });
        let stream = Stream::plain(connect(address).await);
        sim::stall_connections_to(address, true);
        stream.queue(b"hello");
        assert!(timeout(Duration::from_secs(60), stream.read()).await.is_err());
        sim::stall_connections_to(address, false);
        assert_eq!(read_exactly(&stream, 5).await, b"hello");
        sim::reset_connections_to(address);
        assert!(stream.read().await.is_err());
        drop(server);
    });
}

#[test]
fn null_tls_carries_identities() {
    on(BackendKind::Sim, 12, async {
        let (listener, address) = listen(BackendKind::Sim);
        let server = spawn(async move {
            let socket = listener.accept().await.unwrap();
            let stream = Stream::tls_null(socket, &NullIdentity::default(), Vec::new()).await.unwrap();
            let tls = stream.tls();
            echo(stream).await;
            tls
        });
        let own = NullIdentity {
            server_name: "app.example".into(),
            alpn: b"http/1.1".to_vec(),
            certificate: b"c1-7".to_vec(),
        };
        let stream = Stream::tls_null(connect(address).await, &own, Vec::new()).await.unwrap();
        stream.queue(b"ping");
        assert_eq!(read_exactly(&stream, 4).await, b"ping");
        stream.close(Duration::from_secs(1)).await;
        let tls = server.await;
        assert_eq!(tls.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(tls.peer_certificates[0].as_ref(), b"c1-7");
    });
}

/// h2 over the adapter, with small pieces and delays: bodies must arrive unchanged although h2
/// offers different bytes after `Pending`.
#[test]
fn h2_over_the_duplex_adapter() {
    for seed in 0..4 {
        on(BackendKind::Sim, seed, h2_round_trip());
    }
}

async fn h2_round_trip() {
    use postern_io::duplex::Duplex;

    sim::set_faults(sim::Faults {
        delay: (Duration::from_micros(10), Duration::from_millis(3)),
        piece_bytes_max: 3_000,
        reset_one_in: 0,
    });
    let (listener, address) = listen(BackendKind::Sim);
    let server = spawn(async move {
        let socket = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(Duplex::new(Stream::plain(socket))).await.unwrap();
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request.unwrap();
            spawn(async move {
                let mut body = request.into_body();
                let mut send = respond.send_response(h2_response(), false).unwrap();
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    let _ = body.flow_control().release_capacity(data.len());
                    send.send_data(data, false).unwrap();
                }
                send.send_data(Bytes::new(), true).unwrap();
            })
            .detach();
        }
    });
    let duplex = Duplex::new(Stream::plain(connect(address).await));
    let (client, connection) = h2::client::handshake(duplex).await.unwrap();
    let driver = spawn(async move {
        let _ = connection.await;
    });
    let requests: Vec<_> = (0..8)
        .map(|n| {
            let mut client = client.clone();
            spawn(async move {
                let (response, mut send) = client.send_request(h2_request(), false).unwrap();
                let data = pattern(120_000, n);
                send.send_data(data.clone(), true).unwrap();
                let mut body = response.await.unwrap().into_body();
                let mut got = Vec::new();
                while let Some(piece) = body.data().await {
                    let piece = piece.unwrap();
                    let _ = body.flow_control().release_capacity(piece.len());
                    got.extend_from_slice(&piece);
                }
                assert!(got == data, "an h2 body was changed on its way");
            })
        })
        .collect();
    for request in requests {
        timeout(Duration::from_secs(600), request).await.unwrap();
    }
    drop((server, driver));
}

fn h2_request() -> http::Request<()> {
    http::Request::post("http://app.example/").body(()).unwrap()
}

fn h2_response() -> http::Response<()> {
    http::Response::builder().status(200).body(()).unwrap()
}

/// A client of the library's own, whose records can be cut anywhere.
fn cut_up_client(address: SocketAddr, config: Arc<ClientConfig>) {
    use std::io::{Read, Write};
    let name = ServerName::try_from("app.example").unwrap();
    let mut tls = rustls::ClientConnection::new(config, name).unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    for round in 0..50_u8 {
        let mut records = Vec::new();
        for record in 0..3 {
            tls.writer().write_all(&[round, record]).unwrap();
            tls.write_tls(&mut records).unwrap();
        }
        // In the middle of the first record's header; then its rest with two whole records.
        let (head, rest) = records.split_at(3);
        socket.write_all(head).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        socket.write_all(rest).unwrap();
        let mut echoed = [0; 6];
        rustls::Stream::new(&mut tls, &mut socket).read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [round, 0, round, 1, round, 2]);
    }
    // A record that cannot be opened: an alert and the end.
    socket.write_all(&[&[23, 3, 3, 0, 32][..], &[7; 32]].concat()).unwrap();
    let error = rustls::Stream::new(&mut tls, &mut socket).read_exact(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
}

fn records_cut_in_their_headers_are_read_at_once_and_broken_ones_refused(backend: BackendKind) {
    let (server_config, client_config) = tls_configs();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || cut_up_client(address, client_config));
    on(backend, 1, async move {
        let listener = Listener::from_std(listener).unwrap();
        let socket = listener.accept().await.unwrap();
        let stream = Stream::tls_server(socket, server_config, Vec::new()).await.unwrap();
        timeout(Duration::from_secs(20), spawn(echo(stream))).await.unwrap();
    });
    client.join().unwrap();
}
