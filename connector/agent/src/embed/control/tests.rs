//! Relays on this host, those that lead to control and others: both TLS sessions are real.

use std::rc::Rc;

use postern_model::enrol::Enrolled;
use postern_model::link::CONTROL_NAME;
use rcgen::KeyPair;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::check::Checks;
use crate::counters::Counters;
use crate::identity::Identity;
use crate::identity::tests::enrolled;
use crate::keeper::Offered;
use crate::proxy::Proxies;
use crate::tests::tls;
use crate::transactions::TransactionLog;
use crate::worker::{Shared, SharedParts, Transport};

/// TLS of an installation's relays and its control, and the PEM of the authority behind it.
fn installation() -> (TlsAcceptor, String) {
    let (config, ca_pem) = tls::server(&[RELAY_NAME, CONTROL_NAME], 2100);
    (TlsAcceptor::from(Arc::new(config)), ca_pem)
}

/// A relay, with what answers behind it: where it is, and how many connections it took.
async fn relay(outer: &TlsAcceptor, inner: &TlsAcceptor) -> (RelayAddress, Rc<Cell<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (address(&listener), Rc::new(Cell::new(0)));
    let (outer, inner, counted) = (outer.clone(), inner.clone(), Rc::clone(&connections));
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.set(counted.get() + 1);
            spawn_local(serve(outer.clone(), inner.clone(), stream));
        }
    });
    (address, connections)
}

/// Answers two questions, and hangs up when it is asked a third.
async fn serve(outer: TlsAcceptor, inner: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = outer.accept(stream).await else { return };
    let Ok(mut stream) = inner.accept(stream).await else { return };
    for _ in 0..2 {
        if !is_asked(&mut stream).await {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7").await.unwrap();
        stream.flush().await.unwrap();
    }
    is_asked(&mut stream).await;
}

/// Reads a whole question.
async fn is_asked(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n\"?\"") {
        if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

fn address(listener: &TcpListener) -> RelayAddress {
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

/// Asks one question at a time.
fn client(relays: Vec<RelayAddress>, ca_pem: String) -> ControlClient {
    let key = KeyPair::generate().unwrap();
    let identity = Identity::from_enrolled(&Enrolled { ca_pem, ..enrolled(&key) }, &key).unwrap();
    let counters = Arc::new(Counters::default());
    let shared = Shared::new(SharedParts {
        counters: Arc::clone(&counters),
        transactions: TransactionLog::off(counters),
        sign_on: None,
        vault: None,
        checks: Checks::default(),
        proxies: Proxies::default(),
        connector: identity.connector,
        transport: Transport::Tls(Arc::new(identity)),
        workers: Vec::new(),
        offer: Box::new(|_| Offered::default()),
    });
    let (connect_timeout, answer_timeout) = (Duration::from_secs(2), Duration::from_secs(30));
    ControlClient::new(Credentials { shared, relays }, Bounds { connections_max: 1, connect_timeout, answer_timeout })
}

async fn ask(client: &ControlClient) -> u32 {
    client.ask("/question", &"?").await.unwrap()
}

#[tokio::test]
async fn a_connection_is_kept_and_a_question_asked_once_more_where_it_ended() {
    let asked = async {
        let (tls, ca_pem) = installation();
        let (relay, connections) = relay(&tls, &tls).await;
        let client = client(vec![relay], ca_pem);
        for (question, taken) in [(1, 1), (2, 1), (3, 2)] {
            assert_eq!((ask(&client).await, connections.get()), (7, taken), "question {question}");
        }
    };
    LocalSet::new().run_until(asked).await;
}

#[tokio::test]
async fn questions_wait_for_their_turn() {
    let asked = async {
        let (tls, ca_pem) = installation();
        let (relay, connections) = relay(&tls, &tls).await;
        let client = client(vec![relay], ca_pem);
        assert_eq!(tokio::join!(ask(&client), ask(&client)), (7, 7));
        assert_eq!(connections.get(), 1);
    };
    LocalSet::new().run_until(asked).await;
}

#[tokio::test]
async fn relays_that_do_not_lead_to_control_are_passed_by() {
    let asked = async {
        let ((tls, ca_pem), (foreign, _)) = (installation(), installation());
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (other, _) = relay(&foreign, &tls).await;
        // A relay that was taken over: it answers itself.
        let (between, taken) = relay(&tls, &foreign).await;
        let (good, _) = relay(&tls, &tls).await;
        let client = client(vec![address(&silent), other, between, good], ca_pem);
        assert_eq!((ask(&client).await, taken.get()), (7, 1));
        assert_eq!(client.first.get(), 3, "the next question begins with the one that leads there");
    };
    LocalSet::new().run_until(asked).await;
}
