//! The supervisor: what needs rights, done before anybody can connect, and a dataplane kept running. It parses nothing that
//! comes from the network, and holds no key.

mod attend;
mod child;
mod control;
mod guarding;
mod listeners;
mod refusals;
mod restarts;
mod state_dir;
mod steering;
mod user;

use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use postern_io::backend::{Wanted, choose};
use postern_service::failure::Failure;
use postern_service::signals::AsyncSignals;
use postern_service::{config, logging};

use crate::args::{Args, ControlLink, IoBackend, LogOptions, Options, Refused};
use crate::limits::TRUST_ANCHOR_BYTES_MAX;
use crate::workers::allowed_cpus;
use attend::Supervisor;
use listeners::Listeners;
use state_dir::StateDir;
use steering::{Steering, instance_name};

/// Runs a relay to its end.
pub(crate) fn main() -> anyhow::Result<()> {
    let args = config::parse::<Args>()?;
    logging::init("postern-relay");
    let cpus = u16::try_from(allowed_cpus().len()).unwrap_or(u16::MAX);
    let machine = rustix::system::uname();
    let options = args.check(cpus, &machine.nodename().to_string_lossy()).map_err(Refused::into_failure)?;
    refuse_unusable(options.io)?;
    // The dataplane is a child of this thread; the kernel kills it when this thread ends, whatever else goes on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(options))
}

async fn supervise(options: Options) -> anyhow::Result<()> {
    // Before anything is made that has to be removed: a signal during the start ends the relay like a later one.
    let signals = AsyncSignals::install()?;
    let user = user::choose(options.user.as_deref())?;
    let trust_anchor_pem = read_trust_anchor(&options.control)?;
    let state_dir = StateDir::open(&options.state_dir, user.as_ref())?;
    raise_limits(user.is_some());
    check_log(&options.log)?;
    attend::check_geoip(&options.geoip)?;
    let listeners = Listeners::bind(&options.addresses(), options.workers, options.admin_listen)?;
    let steering = Steering::set_up(&options, &instance_name(&options.name, state_dir.path()), &listeners)?;
    for group in listeners.groups() {
        let protocol = group.protocol.as_str();
        tracing::info!(address = %group.address, protocol, workers = options.workers, "listening");
    }
    match &user {
        Some(user) => tracing::info!(user = user.name, "the dataplane runs as"),
        None => tracing::info!("started without root: the dataplane runs as this user"),
    }
    Supervisor::new(options, user, state_dir, listeners, steering, trust_anchor_pem, signals).run().await
}

/// Opened anew for each dataplane; what cannot be opened is told before one is started.
fn check_log(log: &LogOptions) -> Result<(), Failure> {
    log.open().map(drop).map_err(|error| {
        Failure::new(format!("cannot open the access log: {error}"))
            .code("access-log-unusable")
            .cure("give another file with --access-log, or off")
    })
}

/// The dataplane decides for itself, as another user and under seccomp; but what not even root can use need not be tried.
fn refuse_unusable(io: IoBackend) -> Result<(), Failure> {
    match io {
        IoBackend::Uring => choose(Wanted::Uring)
            .map(drop)
            .map_err(|unavailable| Failure::new(format!("--io uring: {unavailable}")).code("io-backend-unavailable")),
        IoBackend::Auto | IoBackend::Epoll => Ok(()),
    }
}

/// The trust anchor's text, unread; `None` with a Unix link.
fn read_trust_anchor(control: &ControlLink) -> Result<Option<String>, Failure> {
    match control {
        ControlLink::Unix(_) => Ok(None),
        ControlLink::TrustAnchor(file) => read_bounded(file).map(Some).map_err(|error| {
            Failure::new(format!("cannot read the trust anchor {}: {error}", file.display()))
                .code("trust-anchor-invalid")
        }),
    }
}

fn read_bounded(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(TRUST_ANCHOR_BYTES_MAX).unwrap_or(u64::MAX);
    fs::File::open(file)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() > TRUST_ANCHOR_BYTES_MAX {
        return Err(io::Error::other("it is too long for a certificate"));
    }
    Ok(text)
}

/// Descriptors: one per connection and more. Locked memory: what rings of an unprivileged user count against.
fn raise_limits(as_root: bool) {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
    if as_root && let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        // Kernels from 5.12 on count rings elsewhere: only registered buffers still need it.
        tracing::debug!(%error, "the limit of locked memory stays as it was");
    }
}
