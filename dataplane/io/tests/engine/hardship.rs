//! What connections meet on a real machine: readers that stop, peers that vanish, listeners that close, clocks.

use std::{io::Read as _, net::TcpStream, time::Instant};

use super::*;

on_the_kernel! {
    a_writer_waits_for_its_reader_and_goes_on
    a_connection_that_nobody_answers_is_given_up_in_time
    an_aborted_connection_fails_its_reader_and_its_writer
    a_reset_is_an_error_and_half_a_close_is_not
    connections_come_and_go_by_the_thousand
    what_waits_when_a_listener_closes_is_served
    a_socket_taken_while_it_receives_loses_nothing
    a_full_table_of_descriptors_is_an_error_and_passes
    timers_fire_in_order_and_not_early
    what_arrived_during_a_pause_comes_before_the_timers
    a_turns_output_leaves_with_one_call
    an_unfinished_loop_lets_go_of_everything
}

fn local() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection whose other end belongs to the test itself.
async fn with_a_peer() -> (Stream, TcpStream) {
    let (listener, address) = local();
    let stream = Stream::plain(connect(address).await);
    (stream, listener.accept().unwrap().0)
}

fn a_writer_waits_for_its_reader_and_goes_on(backend: BackendKind) {
    on(backend, 20, async {
        let (stream, mut peer) = with_a_peer().await;
        let data = pattern(20_000_000, 3);
        let (sent, expected) = (data.clone(), data);
        let writer_stream = stream.clone();
        let writer = spawn(async move { write_all(&writer_stream, &sent).await });
        sleep(Duration::from_millis(300)).await;
        assert!(!writer.is_finished(), "20 MB went into a socket that nobody reads");
        assert!(stream.queued_bytes() <= postern_io::OUTPUT_HIGH_WATER_BYTES * 2, "{}", stream.queued_bytes());
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            got
        });
        writer.await;
        stream.close(Duration::from_secs(5)).await;
        assert!(reader.join().unwrap() == expected, "what arrived differs");
    });
}

/// A queue that is full takes no further connection: its SYN is dropped.
fn a_connection_that_nobody_answers_is_given_up_in_time(backend: BackendKind) {
    on(backend, 21, async {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let options = ConnectOptions { timeout: Duration::from_millis(200), keepalive: None };
        let mut given_up = 0;
        let mut connected = Vec::new();
        for _ in 0..4 {
            let begun = Instant::now();
            match Socket::connect(address, &options).await {
                Ok(socket) => connected.push(socket),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
                    assert!((190..1_500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
                    given_up += 1;
                }
            }
        }
        assert!(given_up > 0, "the queue holds them all");
    });
}

fn an_aborted_connection_fails_its_reader_and_its_writer(backend: BackendKind) {
    on(backend, 22, async {
        let (stream, peer) = with_a_peer().await;
        stream.queue_bytes(&pattern(8_000_000, 1));
        let reading = stream.clone();
        let reader = spawn(async move { reading.read().await });
        let writing = stream.clone();
        let writer = spawn(async move { writing.flushed().await });
        sleep(Duration::from_millis(50)).await;
        assert!(!reader.is_finished() && !writer.is_finished());
        stream.abort();
        drop(stream);
        assert!(timeout(Duration::from_secs(1), reader).await.unwrap().is_err());
        assert!(timeout(Duration::from_secs(1), writer).await.unwrap().is_err());
        // The descriptor is closed: the peer comes to an end.
        let ended = std::thread::spawn(move || std::io::copy(&mut &peer, &mut std::io::sink()));
        timeout(Duration::from_secs(5), async {
            while !ended.is_finished() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the aborted connection stays open");
    });
}

fn a_reset_is_an_error_and_half_a_close_is_not(backend: BackendKind) {
    use std::io::Write as _;
    on(backend, 23, async {
        let (stream, mut peer) = with_a_peer().await;
        peer.write_all(b"all").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_exactly(&stream, 3).await, b"all");
        assert!(stream.read().await.unwrap().is_empty(), "the end");
        // The other direction goes on.
        stream.queue(b"answer");
        stream.flushed().await.unwrap();
        let mut answer = [0; 6];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");

        let (stream, peer) = with_a_peer().await;
        let reading = stream.clone();
        let reader = spawn(async move { reading.read().await });
        sleep(Duration::from_millis(20)).await;
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let error = timeout(Duration::from_secs(1), reader).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        stream.queue(b"too late");
        sleep(Duration::from_millis(20)).await;
        assert!(stream.flushed().await.is_err());
    });
}

/// Table entries and descriptors are used again and again, with operations of their predecessors still being undone.
fn connections_come_and_go_by_the_thousand(backend: BackendKind) {
    on(backend, 24, async move {
        let (listener, address) = listen(backend);
        let server = spawn(async move {
            while let Ok(socket) = listener.accept().await {
                spawn(echo(Stream::plain(socket))).detach();
            }
        });
        let clients: Vec<_> = (0..32_u64)
            .map(|client| {
                spawn(async move {
                    for round in 0..20_u64 {
                        let stream = Stream::plain(connect(address).await);
                        match (client + round) % 4 {
                            0 => echoes(stream, 30_000, round).await,
                            1 => stream.abort(),
                            2 => {
                                stream.queue_bytes(&pattern(200_000, round));
                                let _ = timeout(Duration::from_millis(1), stream.read()).await;
                                stream.abort();
                            }
                            _ => {
                                stream.queue(b"and gone");
                                assert_eq!(read_exactly(&stream, 8).await, b"and gone");
                            }
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            timeout(Duration::from_secs(240), client).await.unwrap();
        }
        drop(server);
    });
}

fn what_waits_when_a_listener_closes_is_served(backend: BackendKind) {
    let (listener, address) = local();
    on(backend, 25, async move {
        let listener = Listener::from_std(listener).unwrap();
        let first = connect(address).await;
        let _first = (listener.accept().await.unwrap(), first);
        // This thread is busy while they come.
        let waiting: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
        sleep(Duration::from_millis(50)).await;
        let more: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut taken = 0;
        if backend == BackendKind::Uring {
            // The ring takes them as it turns.
            sleep(Duration::from_millis(10)).await;
        }
        while let Some(socket) = listener.take_accepted() {
            taken += 1;
            drop(socket);
        }
        assert_eq!(taken, waiting.len() + more.len());
        drop(listener);
        sleep(Duration::from_millis(20)).await;
        assert!(TcpStream::connect(address).is_err(), "the port is still open");
    });
}

fn a_socket_taken_while_it_receives_loses_nothing(backend: BackendKind) {
    use std::io::Write as _;
    let (listener, address) = local();
    let data = pattern(3_000_000, 9);
    let expected = data.clone();
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&data).unwrap();
    });
    let (mut fd, mut got) = on(backend, 26, async move {
        let listener = Listener::from_std(listener).unwrap();
        let mut socket = listener.accept().await.unwrap();
        let mut got = socket.recv().await.unwrap().unwrap().to_vec();
        sleep(Duration::from_millis(5)).await;
        let (fd, rest) = socket.into_fd().await.unwrap();
        got.extend_from_slice(&rest);
        (fd, got)
    });
    for round in 0..20 {
        let (next, more) = on(backend, 27, async move {
            let mut socket = Socket::from_fd(fd);
            let mut got = socket.recv().await.unwrap().map_or_else(Vec::new, |chunk| chunk.to_vec());
            let (fd, rest) = socket.into_fd().await.unwrap();
            got.extend_from_slice(&rest);
            (fd, got)
        });
        fd = next;
        got.extend_from_slice(&more);
        assert!(got.len() <= expected.len(), "round {round}");
    }
    let mut rest = TcpStream::from(fd);
    rest.read_to_end(&mut got).expect("a socket that leaves the loop waits as it did before");
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    sender.join().unwrap();
}

/// In a process of its own, whose table holds few descriptors.
fn a_full_table_of_descriptors_is_an_error_and_passes(backend: BackendKind) {
    const CHILD: &str = "POSTERN_IO_FULL_TABLE";
    let module = backend.to_string();
    if std::env::var_os(CHILD).is_none() {
        let name = format!("hardship::{module}::a_full_table_of_descriptors_is_an_error_and_passes");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args([&name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    on(backend, 28, async move {
        let (listener, address) = listen(backend);
        let clients: Vec<_> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut held = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            held.push(file);
            if held.len() == 1 {
                rustix::process::setrlimit(
                    rustix::process::Resource::Nofile,
                    rustix::process::Rlimit { current: Some(64), maximum: Some(64) },
                )
                .unwrap();
            }
        }
        let refused = timeout(Duration::from_secs(5), listener.accept()).await.unwrap();
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EMFILE));
        held.clear();
        for _ in &clients {
            timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
        }
    });
}

fn timers_fire_in_order_and_not_early(backend: BackendKind) {
    on(backend, 29, async {
        let begun = now();
        let fired: Rc<RefCell<Vec<u64>>> = Rc::default();
        let sleepers: Vec<_> = [40, 5, 80, 20, 1]
            .map(|ms| {
                let fired = Rc::clone(&fired);
                spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    let slept = now().since(begun);
                    assert!(slept >= Duration::from_millis(ms), "{ms} ms: {slept:?}");
                    fired.borrow_mut().push(ms);
                })
            })
            .into();
        for sleeper in sleepers {
            sleeper.await;
        }
        assert_eq!(*fired.borrow(), [1, 5, 20, 40, 80]);
    });
}

/// 200 connections have bytes waiting when a loop that was away for long looks again: none of them is taken for silent.
fn what_arrived_during_a_pause_comes_before_the_timers(backend: BackendKind) {
    use std::io::Write as _;
    on(backend, 32, async {
        let mut connections = Vec::new();
        for _ in 0..200 {
            connections.push(with_a_peer().await);
        }
        let mut peers = Vec::new();
        let mut readers = Vec::new();
        for (stream, peer) in connections {
            peers.push(peer);
            readers.push(spawn(async move { timeout(Duration::from_secs(3), stream.read()).await }));
        }
        sleep(Duration::from_millis(1)).await;
        for peer in &mut peers {
            peer.write_all(b"in time").unwrap();
        }
        std::thread::sleep(Duration::from_millis(3_500));
        let mut silent = 0;
        for reader in readers {
            silent += usize::from(reader.await.is_err());
        }
        assert_eq!(silent, 0, "of 200");
    });
}

/// Pieces queued by several tasks in one turn are one segment for a peer that reads afterwards.
fn a_turns_output_leaves_with_one_call(backend: BackendKind) {
    on(backend, 30, async {
        let (stream, mut peer) = with_a_peer().await;
        let pieces: Vec<_> = (0..10_u8)
            .map(|nth| {
                let stream = stream.clone();
                spawn(async move { stream.queue(&[nth]) })
            })
            .collect();
        for piece in pieces {
            piece.await;
        }
        stream.flushed().await.unwrap();
        let mut got = [0; 64];
        assert_eq!(peer.read(&mut got).unwrap(), 10);
    });
}

/// The loop ends with accepts, receives, sends and connects under way: nothing stays open.
fn an_unfinished_loop_lets_go_of_everything(backend: BackendKind) {
    let (listener, address) = local();
    let (stuck, stuck_address) = local();
    let peers = on(backend, 31, async move {
        let listener = Listener::from_std(listener).unwrap();
        spawn(async move {
            while let Ok(socket) = listener.accept().await {
                spawn(async move {
                    let stream = Stream::plain(socket);
                    stream.queue_bytes(&pattern(8_000_000, 1));
                    let _ = stream.read().await;
                })
                .detach();
            }
        })
        .detach();
        let peers: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
        spawn(async move {
            let stream = Stream::plain(connect(stuck_address).await);
            let _ = stream.read().await;
        })
        .detach();
        sleep(Duration::from_millis(50)).await;
        peers
    });
    drop(stuck);
    for mut peer in peers {
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sink = Vec::new();
        if let Err(error) = peer.read_to_end(&mut sink) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection stays open");
        }
    }
    assert!(TcpStream::connect(address).is_err(), "the listener stays open");
}
