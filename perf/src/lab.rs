//! What scenarios share: folder, certificate, origin, the chain and the peers, all started when first wanted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use postern_tests::certificate::{self, Certificate};
use rustls::ClientConfig;

use crate::chain::{Chain, HOST, Variant};
use crate::cpu::{self, Watch};
use crate::load::Target;
use crate::outcome::POSTERN;
use crate::peers::{Kind, Peer, Setting};
use crate::tls::{self, Protocol};

/// The proxies' core, and the one of load and origin.
pub const PROXY_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Extent {
    pub rounds: usize,
    /// One side in one round.
    pub duration: Duration,
    pub warmup: Duration,
    pub peers: Vec<Kind>,
    pub is_quick: bool,
    pub rathole: Option<PathBuf>,
}

/// Everything that runs during a measurement.
pub struct Lab {
    pub extent: Extent,
    chain: Option<Chain>,
    peers: Vec<Peer>,
    pub origin: SocketAddr,
    pub leaf: Certificate,
    folder: tempfile::TempDir,
}

/// One side as scenarios see it.
#[derive(Clone)]
pub struct Contestant {
    pub name: String,
    pub address: SocketAddr,
    pub host: String,
    pub watch: Watch,
}

impl Lab {
    pub fn open(extent: Extent) -> Result<Lab> {
        let folder = tempfile::Builder::new().prefix("postern-perf-").tempdir()?;
        // nginx's worker and the relay's dataplane may run as other users.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let leaf = certificate::self_signed(folder.path(), HOST)?;
        let origin = crate::origin::start(LOAD_CORE)?;
        cpu::pin(LOAD_CORE)?;
        Ok(Lab { extent, chain: None, peers: Vec::new(), origin, leaf, folder })
    }

    /// Postern first, then the peers that were asked for.
    pub fn contestants(&mut self) -> Result<Vec<Contestant>> {
        (0..=self.extent.peers.len()).map(|index| self.contestant(index)).collect()
    }

    pub fn postern(&mut self) -> Result<Contestant> {
        if self.chain.is_none() {
            self.chain = Some(self.start_chain(&Variant::default())?);
        }
        Ok(contestant(self.chain.as_ref().context("the chain was just started")?))
    }

    /// A chain of its own kind. The usual one ends: there is one world at a time.
    pub fn other_chain(&mut self, variant: &Variant) -> Result<Chain> {
        self.chain = None;
        self.start_chain(variant)
    }

    /// One of them by its place, started if it does not run.
    pub fn contestant(&mut self, index: usize) -> Result<Contestant> {
        match index.checked_sub(1).map(|index| self.extent.peers[index]) {
            None => self.postern(),
            Some(kind) => self.peer(kind),
        }
    }

    /// Ends everything but the origin: whoever is wanted next starts afresh.
    pub fn restart(&mut self) {
        self.chain = None;
        self.peers.clear();
    }

    fn start_chain(&self, variant: &Variant) -> Result<Chain> {
        on_core(PROXY_CORE, || Chain::start(variant, &self.leaf, self.origin)).context("the chain does not start")
    }

    fn peer(&mut self, kind: Kind) -> Result<Contestant> {
        let index = match self.peers.iter().position(|peer| peer.kind == kind) {
            Some(index) => index,
            None => {
                self.peers.push(self.start_peer(kind, None)?);
                self.peers.len() - 1
            }
        };
        Ok(peer_contestant(&self.peers[index]))
    }

    /// A peer of its own kind, with a wire of that length in its tunnel.
    pub fn distant_peer(&self, kind: Kind, round_trip: Duration) -> Result<(Peer, Contestant)> {
        let peer = self.start_peer(kind, Some(round_trip))?;
        let contestant = peer_contestant(&peer);
        Ok((peer, contestant))
    }

    fn start_peer(&self, kind: Kind, round_trip: Option<Duration>) -> Result<Peer> {
        let setting = Setting {
            folder: self.folder.path(),
            leaf: &self.leaf,
            origin: self.origin,
            rathole: self.extent.rathole.as_deref(),
            round_trip,
        };
        on_core(PROXY_CORE, || kind.start(&setting))
    }

    /// The origin itself, without TLS: what load and origin can do alone.
    pub fn direct(&self) -> Contestant {
        let watch = Watch { parts: Vec::new(), core: PROXY_CORE };
        Contestant { name: "origin alone".into(), address: self.origin, host: HOST.into(), watch }
    }

    pub fn tls(&self, protocol: Protocol, resume: bool) -> Result<Arc<ClientConfig>> {
        tls::client(&self.leaf.certificate, protocol, resume)
    }

    /// What the chain's start left to say.
    pub fn remarks(&self) -> Vec<String> {
        self.chain.as_ref().map_or(Vec::new(), |chain| chain.remarks.clone())
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Contestant {
    pub fn target(&self, tls: Option<Arc<ClientConfig>>) -> Target {
        Target { address: self.address, name: HOST.into(), host: self.host.clone(), tls, cookie: None }
    }
}

/// A chain as a side.
pub fn contestant(chain: &Chain) -> Contestant {
    let watch = Watch { parts: chain.parts(), core: PROXY_CORE };
    Contestant { name: POSTERN.into(), address: chain.address(), host: chain.host(), watch }
}

fn peer_contestant(peer: &Peer) -> Contestant {
    let host = format!("{HOST}:{}", peer.address.port());
    let watch = Watch { parts: peer.parts(), core: PROXY_CORE };
    Contestant { name: peer.kind.name().into(), address: peer.address, host, watch }
}

/// Whatever it starts stays on that core; this thread goes back to the load's.
pub fn on_core<T>(core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    cpu::pin(core)?;
    let outcome = work();
    cpu::pin(LOAD_CORE)?;
    outcome
}
