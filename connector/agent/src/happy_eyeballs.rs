//! To whichever of a name's addresses answers first (RFC 8305): one after the other, the families in turn, and the next one as soon as
//! the one before failed or was silent for a moment.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use postern_io::{ConnectOptions, Socket, timeout};

use crate::limits::CONNECT_STAGGER;

/// A connection to one of `addresses`, and which. Each may take `longest`; of several that fail the last error is told.
pub(crate) async fn connect(addresses: &[IpAddr], port: u16, longest: Duration) -> io::Result<(Socket, IpAddr)> {
    let options = ConnectOptions { timeout: longest, ..ConnectOptions::default() };
    if let [address] = addresses {
        return Ok((Socket::connect(SocketAddr::new(*address, port), &options).await?, *address));
    }
    let begin = |address| async move { Socket::connect(SocketAddr::new(address, port), &options).await };
    first(addresses, longest, begin).await
}

struct Attempt<F> {
    address: IpAddr,
    connecting: Pin<Box<F>>,
}

async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: &[IpAddr],
    longest: Duration,
    begin: impl Fn(IpAddr) -> F,
) -> io::Result<(T, IpAddr)> {
    let mut waiting = in_turns(addresses).into_iter();
    let mut attempts: Vec<Attempt<F>> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    loop {
        attempts.extend(waiting.next().map(|address| Attempt { address, connecting: Box::pin(begin(address)) }));
        if attempts.is_empty() {
            return Err(last);
        }
        let patience = if waiting.len() > 0 { CONNECT_STAGGER } else { longest };
        match timeout(patience, next_done(&mut attempts)).await {
            Ok((Ok(connected), address)) => return Ok((connected, address)),
            Ok((Err(error), address)) => {
                tracing::debug!(%address, %error, "no connection to this address");
                last = error;
            }
            // The next one, if there is one; each attempt knows its own end.
            Err(_) => {}
        }
    }
}

async fn next_done<T, F: Future<Output = io::Result<T>>>(attempts: &mut Vec<Attempt<F>>) -> (io::Result<T>, IpAddr) {
    poll_fn(|cx| {
        for at in 0..attempts.len() {
            if let Poll::Ready(done) = attempts[at].connecting.as_mut().poll(cx) {
                return Poll::Ready((done, attempts.remove(at).address));
            }
        }
        Poll::Pending
    })
    .await
}

/// The resolver's order, but one of each family after the other (RFC 8305 §4): where one does not work the other is not far.
fn in_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let of = |v6: bool| addresses.iter().copied().filter(move |address| address.is_ipv6() == v6);
    let (mut first, mut second) = (of(first_is_v6), of(!first_is_v6));
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(first.next());
        turns.extend(second.next());
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_io::{BackendKind, Runtime, RuntimeOptions, now, sleep};

    fn parsed(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let turns = in_turns(&parsed(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]));
        assert_eq!(turns, parsed(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]));
        assert_eq!(in_turns(&parsed(&["10.0.0.1", "::1"])), parsed(&["10.0.0.1", "::1"]));
        assert!(in_turns(&[]).is_empty());
    }

    /// What came of it, and after how many milliseconds. The last byte of an address says how it behaves: 1 answers after 10 ms, 2
    /// refuses at once, 3 is silent, 4 answers after 400 ms.
    fn reached(texts: &[&str]) -> (Result<IpAddr, io::ErrorKind>, u128) {
        let addresses = parsed(texts);
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        let run = async move {
            let begun = now();
            let begin = |address: IpAddr| async move {
                match address.to_string().chars().last() {
                    Some('1') => sleep(Duration::from_millis(10)).await,
                    Some('2') => return Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                    Some('4') => sleep(Duration::from_millis(400)).await,
                    _ => {
                        sleep(Duration::from_secs(5)).await;
                        return Err(io::Error::from(io::ErrorKind::TimedOut));
                    }
                }
                Ok(())
            };
            let reached = first(&addresses, Duration::from_secs(5), begin).await;
            (reached.map(|((), address)| address).map_err(|error| error.kind()), now().since(begun).as_millis())
        };
        Runtime::new(options).unwrap().run(run).unwrap()
    }

    #[test]
    fn the_next_address_is_tried_after_a_failure_and_beside_silence() {
        let good = |text: &str| Ok::<IpAddr, io::ErrorKind>(text.parse().unwrap());
        for (addresses, becomes, within_ms) in [
            (&["10.0.0.1", "10.0.1.1"][..], good("10.0.0.1"), 10..60),
            (&["10.0.0.2", "10.0.1.1"][..], good("10.0.1.1"), 10..60),
            (&["::3", "::13", "10.0.0.1"][..], good("10.0.0.1"), 260..310),
            (&["10.0.0.4", "10.0.1.1"][..], good("10.0.1.1"), 260..310),
            (&["10.0.0.4", "10.0.0.3"][..], good("10.0.0.4"), 400..450),
            (&["10.0.0.3", "10.0.0.2"][..], Err(io::ErrorKind::TimedOut), 5_000..5_050),
            (&["10.0.0.2", "10.0.1.2"][..], Err(io::ErrorKind::ConnectionRefused), 0..50),
        ] {
            let (reached, took) = reached(addresses);
            assert_eq!(reached, becomes, "{addresses:?}");
            assert!(within_ms.contains(&took), "{addresses:?} took {took} ms");
        }
        assert_eq!(reached(&[]).0, Err(io::ErrorKind::NotFound));
    }
}
