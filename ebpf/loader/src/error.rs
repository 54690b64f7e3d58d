//! What can go wrong between Postern and the kernel's BPF, each with what to do about it.

use std::{io, net::SocketAddr, path::PathBuf};

use postern_ebpf_common::{DENIED_MAX, GROUPS_MAX, INTERFACES_MAX, SLOTS_MAX};

/// Why the programs could not be set up, or their maps not be read or changed. The relay works without them
/// (`--ebpf off`), only less evenly, and unguarded.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    #[error("instance name `{0}` cannot be pinned: use 1 to 64 letters, digits, `-` or `_`")]
    InstanceName(String),
    #[error("instance `{instance}` is already steered by a running relay ({}): stop it or choose another name", path.display())]
    InstanceInUse { instance: String, path: PathBuf },
    #[error("the BPF filesystem at {} cannot be used: mount it with `mount -t bpf bpf /sys/fs/bpf`, or run as root", path.display())]
    Bpffs { path: PathBuf, source: io::Error },
    #[error("the kernel refused the eBPF object: needs root (CAP_BPF, CAP_NET_ADMIN) and Linux 6.1 or later")]
    Object(#[from] aya::EbpfError),
    #[error("the eBPF object has no `{0}`: rebuild it with `cargo xtask ebpf`")]
    ObjectPart(&'static str),
    #[error("the kernel refused the program or its attachment: needs root (CAP_BPF, CAP_NET_ADMIN)")]
    Program(#[from] aya::programs::ProgramError),
    #[error("the eBPF map {map} cannot be read or changed")]
    Map { map: &'static str, source: aya::maps::MapError },
    #[error("the load map cannot be mapped into memory")]
    LoadMap(#[source] io::Error),
    #[error("the listener's own address cannot be read: it must be a bound TCP socket")]
    Listener(#[source] io::Error),
    #[error("all {SLOTS_MAX} worker slots are taken: use fewer workers, or let old generations end first")]
    SlotsExhausted,
    #[error("{0} cannot be steered: {GROUPS_MAX} addresses are steered already")]
    GroupsExhausted(SocketAddr),
    #[error("there is no interface `{0}`")]
    InterfaceUnknown(String),
    #[error("another XDP program is on interface `{0}` already: `ip link show dev {0}` names it")]
    InterfaceTaken(String),
    #[error("`{0}` has no Ethernet headers, as tunnels have none: name the interface that its packets arrive at")]
    InterfaceNotEthernet(String),
    #[error("`{0}` cannot be guarded: {INTERFACES_MAX} interfaces are guarded already")]
    InterfacesExhausted(String),
    #[error("the deny list holds {DENIED_MAX} prefixes, as many as it can: deny shorter prefixes instead")]
    DenyListFull,
    #[error("the pinned maps in {} cannot be reached", path.display())]
    Pins { path: PathBuf, source: io::Error },
    #[error(
        "the relay `{0}` does not run: the maps in the BPF filesystem were left by a crash, its next start removes them"
    )]
    NotRunning(String),
    #[error("the relay `{instance}` has maps of another version ({version}): use the `postern` of the relay's version")]
    OtherVersion { instance: String, version: String },
    #[error("slot {0} holds no worker: join a listener first")]
    SlotEmpty(u32),
}

impl BpfError {
    /// Whether it comes from a lack of rights.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        self.causes()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)))
    }

    /// The error with its causes, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        for cause in self.causes() {
            text = format!("{text}: {cause}");
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(std::error::Error::source(self), |cause| cause.source())
    }
}
