//! Sources that the kernel shall drop for a while: the dataplane decides, but may neither call `bpf` nor hold its maps. It
//! writes records of fixed size to a pipe, which the supervisor reads.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::unix::pipe;

use crate::limits::{SOURCE_DROP_REPEAT, SOURCES_DROPPED_LATELY_MAX};

/// Asks the supervisor to have a source's packets and new connections dropped for a while. Cheap to clone; any thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceDrops {
    /// `None` where there is no BPF, and in tests.
    pipe: Option<Arc<OwnedFd>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Tunnels by source.
    spared: HashMap<IpAddr, usize>,
    /// When the supervisor was asked last: requests of a flood that are under way ask for the same again.
    asked: HashMap<IpAddr, Instant>,
}

/// Keeps a source from being dropped, until it is dropped itself.
#[derive(Debug)]
pub(crate) struct Spared {
    drops: SourceDrops,
    site: IpAddr,
}

impl SourceDrops {
    pub(crate) fn new(pipe: Option<OwnedFd>) -> Self {
        Self { pipe: pipe.map(Arc::new), known: Arc::default() }
    }

    /// A system call at most, that never waits. IPv6 sources are dropped by /64. False when it will not happen: without BPF, when
    /// the supervisor is behind, or when the source is [spared](Self::spare).
    pub(crate) fn drop_source(&self, source: IpAddr, duration: Duration) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let site = site(source);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.spared.contains_key(&site) {
            return false;
        }
        if known.asked.get(&site).is_some_and(|asked| asked.elapsed() < SOURCE_DROP_REPEAT) {
            return true;
        }
        let sent = rustix::io::write(pipe, &encode(site, duration)).is_ok();
        if sent {
            known.remember(site);
        }
        sent
    }

    /// Whether a source is [spared](Self::spare).
    pub(crate) fn is_spared(&self, source: IpAddr) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).spared.contains_key(&site(source))
    }

    /// Call it with the address of a connector's tunnel, and keep the answer as long as the tunnel: a network's users and
    /// its connector often come from one address, and a user who exceeds must not cut the connector off.
    #[must_use]
    pub(crate) fn spare(&self, source: IpAddr) -> Spared {
        let site = site(source);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner).spared.entry(site).or_default() += 1;
        Spared { drops: self.clone(), site }
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        let mut known = self.drops.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.spared.get_mut(&self.site) {
            *count -= 1;
            if *count == 0 {
                known.spared.remove(&self.site);
            }
        }
    }
}

impl Known {
    fn remember(&mut self, site: IpAddr) {
        if self.asked.len() >= SOURCES_DROPPED_LATELY_MAX {
            self.asked.retain(|_, asked| asked.elapsed() < SOURCE_DROP_REPEAT);
        }
        // Without room it may be asked for again: no harm.
        if self.asked.len() < SOURCES_DROPPED_LATELY_MAX {
            self.asked.insert(site, Instant::now());
        }
    }
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct DropRequests {
    receiver: pipe::Receiver,
}

impl DropRequests {
    /// Both ends; call it within a runtime.
    pub(crate) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (sender, receiver) = pipe::pipe()?;
        Ok((Self { receiver }, sender.into_nonblocking_fd()?))
    }

    /// Waits for the next ones. Cancel-safe. Never comes once the dataplane has ended.
    pub(crate) async fn receive(&self) -> Vec<(IpAddr, Duration)> {
        let mut buffer = [0; RECORD_BYTES * RECORDS_AT_ONCE];
        loop {
            if self.receiver.readable().await.is_err() {
                return std::future::pending().await;
            }
            match self.receiver.try_read(&mut buffer) {
                Ok(0) => return std::future::pending().await,
                Ok(bytes) => return buffer[..bytes].chunks_exact(RECORD_BYTES).filter_map(decode).collect(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

/// Who shares a fate: an IPv4 address, or an IPv6 /64.
fn site(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

fn encode(source: IpAddr, duration: Duration) -> [u8; RECORD_BYTES] {
    let address = match source {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut record = [0; RECORD_BYTES];
    record[..16].copy_from_slice(&address.octets());
    record[16..].copy_from_slice(&duration_ms.to_ne_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(IpAddr, Duration)> {
    let (address, duration_ms) = record.split_first_chunk::<16>()?;
    let source = IpAddr::V6(Ipv6Addr::from_octets(*address)).to_canonical();
    Some((source, Duration::from_millis(u64::from_ne_bytes(duration_ms.try_into().ok()?))))
}

/// Far below what a pipe takes in one piece (`PIPE_BUF`), so that records of several threads never mix.
const RECORD_BYTES: usize = 24;
const RECORDS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_for_arrives() {
        let (requests, sender) = DropRequests::pipe().unwrap();
        let drops = SourceDrops::new(Some(sender));
        assert!(drops.drop_source(ip("192.0.2.7"), Duration::from_secs(60)));
        assert!(drops.clone().drop_source(ip("2001:db8:1:2:3:4:5:6"), Duration::from_millis(1)));
        let expected = [(ip("192.0.2.7"), Duration::from_secs(60)), (ip("2001:db8:1:2::"), Duration::from_millis(1))];
        assert_eq!(requests.receive().await, expected);
    }

    #[tokio::test]
    async fn a_full_pipe_neither_waits_nor_loses_records_that_fit() {
        let (requests, sender) = DropRequests::pipe().unwrap();
        let drops = SourceDrops::new(Some(sender));
        let source = |nth: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(nth));
        let sent = (1..10_000).filter(|nth| drops.drop_source(source(*nth), Duration::from_secs(1))).count();
        assert!((1000..9000).contains(&sent), "{sent}");
        let mut received = Vec::new();
        while received.len() < sent {
            received.extend(requests.receive().await);
        }
        let expected = (1..).take(sent).map(|nth| (source(nth), Duration::from_secs(1)));
        assert!(received.into_iter().eq(expected));
        assert!(drops.drop_source(source(0), Duration::from_secs(1)));
        assert_eq!(requests.receive().await, [(source(0), Duration::from_secs(1))]);
    }

    #[tokio::test]
    async fn one_source_is_asked_for_once_a_second() {
        let (requests, sender) = DropRequests::pipe().unwrap();
        let drops = SourceDrops::new(Some(sender));
        assert!((0..1000).all(|_| drops.drop_source(ip("192.0.2.7"), Duration::from_secs(60))));
        assert_eq!(requests.receive().await.len(), 1);
        for nth in 0..2 * SOURCES_DROPPED_LATELY_MAX {
            drops.known.lock().unwrap().remember(std::net::Ipv4Addr::from_bits(u32::try_from(nth).unwrap()).into());
        }
        assert_eq!(drops.known.lock().unwrap().asked.len(), SOURCES_DROPPED_LATELY_MAX);
    }

    #[tokio::test]
    async fn a_source_with_a_tunnel_is_spared() {
        let (_requests, sender) = DropRequests::pipe().unwrap();
        let drops = SourceDrops::new(Some(sender));
        let first = drops.spare(ip("2001:db8::1"));
        let second = drops.clone().spare(ip("2001:db8::2"));
        let is_dropped = || drops.drop_source(ip("2001:db8::3"), Duration::from_secs(1));
        assert!(!is_dropped());
        drop(first);
        assert!(!is_dropped());
        drop(second);
        assert!(is_dropped());
        assert!(drops.known.lock().unwrap().spared.is_empty());
    }

    #[test]
    fn without_bpf_nothing_is_dropped() {
        assert!(!SourceDrops::default().drop_source(ip("192.0.2.7"), Duration::from_secs(1)));
    }
}
