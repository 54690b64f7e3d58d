//! Streams from OPEN to their end.

use bytes::Bytes;

use super::pair::{Pair, meta};
use crate::{Event, Limits};

#[test]
fn a_small_request_goes_there_and_back() {
    let mut pair = Pair::new(Limits::default());
    let stream = pair.relay.connection.open(&meta(), b"GET /", true).unwrap();
    pair.run();
    let events = pair.connector.events();
    let [
        Event::Open {
            stream: at_connector,
            meta: got,
            head,
            end: true,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*got, &head[..]), (meta(), &b"GET /"[..]));
    let connection = &mut pair.connector.connection;
    connection.send_head(*at_connector, b"200", false).unwrap();
    let mut body = Bytes::from_static(b"hello");
    let sent = connection.send_data(*at_connector, &mut body, true);
    assert_eq!(sent, Ok(crate::Sent::All));
    assert_eq!(connection.usage().streams, 0);
    pair.run();
    let expected = [
        Event::Head {
            stream,
            head: Bytes::from_static(b"200"),
            end: false,
        },
        Event::Data {
            stream,
            data: Bytes::from_static(b"hello"),
            end: true,
        },
    ];
    assert_eq!(pair.relay.events(), expected);
    assert_eq!(
        pair.relay.connection.usage().streams,
        1,
        "held until consumed"
    );
    pair.relay.connection.consumed(stream, 5);
    assert_eq!(pair.relay.connection.usage().streams, 0);
}
