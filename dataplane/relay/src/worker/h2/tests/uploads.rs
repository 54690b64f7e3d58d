//! Content that comes without a pause: what arrives never ends where a frame does.

use super::*;

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as HPACK's literal, for short ones.
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// Takes whole frames from what was received: bytes of content, and whether it has ended.
fn content(received: &mut Vec<u8>) -> (usize, bool) {
    let (mut count, mut ended) = (0, false);
    while let Some([a, b, c, kind, flags, ..]) = received.get(..9) {
        let (length, kind, flags) = (u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind, *flags);
        if received.len() < 9 + length {
            break;
        }
        assert!(!matches!(kind, 3 | 7), "the relay gave up: {received:?}");
        if kind == DATA {
            count += length;
            ended |= flags & END_STREAM != 0;
        }
        received.drain(..9 + length);
    }
    (count, ended)
}

#[test]
fn an_upload_without_a_pause_may_take_its_time() {
    in_the_simulator(30, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let socket = Socket::connect(CLIENTS.parse().unwrap(), &ConnectOptions::default()).await.unwrap();
        let stream = Stream::plain(socket);
        let head = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/echo")];
        let block: Vec<u8> = head.iter().flat_map(|(name, value)| field(name, value)).collect();
        stream.queue(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        stream.queue(&frame(SETTINGS, 0, 0, &[]));
        stream.queue(&frame(HEADERS, END_HEADERS, 1, &block));
        let upload = frame(DATA, 0, 1, &[7; 1000]).repeat(60);
        for piece in upload.chunks(1000) {
            stream.queue(piece);
            sleep(Duration::from_secs(1)).await;
        }
        stream.queue(&frame(DATA, END_STREAM, 1, &[]));
        let (mut received, mut count) = (Vec::new(), 0);
        loop {
            let bytes = timeout(Duration::from_secs(10), stream.read()).await.unwrap().unwrap();
            assert!(!bytes.is_empty(), "the relay closed the connection after {count} bytes");
            received.extend_from_slice(&bytes);
            let (more, ended) = content(&mut received);
            count += more;
            if ended {
                break;
            }
        }
        assert_eq!(count, 60_000);
    });
}
