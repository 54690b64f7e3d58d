//! The process from its first instruction to its last: enrol, start the threads, wait for signals, drain.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use postern_io::backend::choose;
use postern_io::mailbox::{Receiver, mailbox};
use postern_io::{BackendKind, Runtime, RuntimeOptions, spawn};
use postern_model::enrol::Token;
use postern_service::failure::{Failure, OrFail as _};
use postern_service::notify::{self, Heartbeat};
use postern_service::signals::{Signal, Signals};
use postern_service::state::StateDir;
use postern_service::{config, logging, secret};
use postern_sso::SignOn;

use crate::admin;
use crate::args::{Args, Options, RelayAddress};
use crate::check::Checks;
use crate::client_certificate;
use crate::counters::Counters;
use crate::dial::Relay;
use crate::embed::BuiltIn;
use crate::enrol::{self, NotEnrolled};
use crate::identity::{self, Identity};
use crate::keeper::{Keeper, Offers, Verifier};
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, REPORTS_MAILBOX, WORKER_MAILBOX};
use crate::proxy::{Negotiates, Proxies};
use crate::resolve::Resolver;
use crate::transactions::TransactionLog;
use crate::vault::Vault;
use crate::worker::{Shared, SharedParts, ToWorker, Transport, Worker};

/// Runs a connector to its end.
pub(crate) fn main() -> anyhow::Result<()> {
    let args = config::parse::<Args>()?;
    logging::init("postern-connector");
    use_small_pages();
    let options = args.check(allowed_cpus()).map_err(|refused| refused.into_failure())?;
    let state = StateDir::open(&options.state_dir)?;
    #[cfg(feature = "kerberos")]
    if let Some(key) = &options.kerberos {
        crate::kerberos::set_up(key, &state)?;
    }
    if let Some(folder) = &options.client_certificates {
        client_certificate::open(folder)?;
    }
    let mut signals = Signals::install()?;
    let io = engine(&options)?;
    raise_descriptor_limit();
    let proxies = proxies(&options)?;
    let Some(identity) = identity(&options, &state, &proxies, &mut signals)? else { return Ok(()) };
    tracing::info!(connector = %identity.connector, group = %identity.group, workers = options.workers, io = %io, "started");
    Running::start(&options, io, state, identity, proxies, |_| Ok(None))?
        .until_told(&mut signals, options.grace_period);
    Ok(())
}

/// The engine that was asked for, or the best there is.
pub(crate) fn engine(options: &Options) -> Result<BackendKind, Failure> {
    let io = choose(options.io.into())
        .map_err(|unavailable| Failure::new(format!("--io uring: {unavailable}")).code("io-backend-unavailable"))?;
    if let Some(warning) = &io.warning {
        tracing::warn!("{warning}");
    }
    Ok(io.backend)
}

/// What the options and this process's environment say about proxies.
pub(crate) fn proxies(options: &Options) -> Result<Proxies, Failure> {
    // What is no text is no URL either, and refused.
    Proxies::load(
        &options.proxies,
        &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        account(options)?,
    )
}

/// Who this is to a proxy that asks for Kerberos.
#[cfg_attr(not(feature = "kerberos"), expect(clippy::unnecessary_wraps, reason = "with Kerberos it may fail"))]
fn account(options: &Options) -> Result<Option<Arc<dyn Negotiates>>, Failure> {
    #[cfg(feature = "kerberos")]
    return options.kerberos.as_ref().map(crate::kerberos::negotiates).transpose();
    #[cfg(not(feature = "kerberos"))]
    return Ok(options.kerberos.as_ref().and(None));
}

fn allowed_cpus() -> u16 {
    let Ok(mask) = sched_getaffinity(Pid::from_raw(0)) else { return 1 };
    let cpus = (0..CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).count();
    u16::try_from(cpus).unwrap_or(u16::MAX)
}

/// The allocator asks for huge pages: with a handful of threads that is 10 MiB for a connector that idles.
fn use_small_pages() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay as they were");
    }
}

pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

/// The identity in the state folder, or a new one. None when a signal ended the waiting.
pub(crate) fn identity(
    options: &Options,
    state: &StateDir,
    proxies: &Proxies,
    signals: &mut Signals,
) -> Result<Option<Identity>, Failure> {
    let held = Identity::load(state)?;
    if let Some(held) = held {
        if !held.is_expired(SystemTime::now()) {
            return Ok(Some(held));
        }
        if options.token_file.is_none() {
            let failure = Failure::new("the connector's certificate has expired").code("certificate-refused");
            return Err(
                failure.cure("enrol anew: make a token with `postern connector token` and give it with --token-file")
            );
        }
        tracing::warn!("the connector's certificate has expired; enrolling anew with the token");
    }
    let token = token(options.token_file.as_deref())?;
    let enrolled = enrol(&options.relays, &token, state, proxies, signals)?;
    if let Some(identity) = &enrolled {
        identity.save(state)?;
        identity::forget_enrolment_key(state);
    }
    Ok(enrolled)
}

fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let file = file.ok_or_else(|| {
        Failure::new("this connector is not enrolled yet and has no token")
            .cure("make one with `postern connector token --group GROUP --out FILE` and give it with --token-file FILE")
    })?;
    let text = secret::read_text(file)?;
    Token::parse(&text).or_fail("token-invalid", || file.display().to_string())
}

/// Asks one relay after the other until one answers, or the answer is final.
fn enrol(
    relays: &[RelayAddress],
    token: &Token,
    state: &StateDir,
    proxies: &Proxies,
    signals: &mut Signals,
) -> Result<Option<Identity>, Failure> {
    let key = identity::enrolment_key(state)?;
    let mut said = String::new();
    let mut longest = BACKOFF_MIN;
    loop {
        for relay in relays {
            match enrol::enrol(relay, token, &key, proxies) {
                Ok(identity) => return Ok(Some(identity)),
                Err(NotEnrolled::Refused(failure)) => return Err(failure),
                Err(NotEnrolled::Later(reason)) => {
                    if said != reason {
                        tracing::warn!(%relay, reason, "not enrolled yet; trying again");
                        said = reason;
                    }
                }
            }
        }
        longest = (longest * 2).min(BACKOFF_MAX);
        match signals.wait_timeout(longest / 2 + longest.mul_f64(jitter() / 2.0)) {
            Some(Signal::Terminate | Signal::TerminateNow) => return Ok(None),
            Some(Signal::Reload | Signal::Upgrade) | None => {}
        }
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    let mut byte = [0];
    // Without randomness all connectors of a site only come back together.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// The threads.
pub(crate) struct Running {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    transactions: Option<JoinHandle<()>>,
}

impl Running {
    /// `built_in` is asked for the backend that is this program itself, if it is one.
    pub(crate) fn start(
        options: &Options,
        io: BackendKind,
        state: StateDir,
        identity: Identity,
        proxies: Proxies,
        built_in: impl FnOnce(&Arc<Shared>) -> anyhow::Result<Option<BuiltIn>>,
    ) -> anyhow::Result<Self> {
        let identity = Arc::new(identity);
        let counters = Arc::new(Counters::default());
        let (log, transactions) = transaction_log(options.transaction_log.as_deref(), &counters)?;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..options.workers).map(|_| mailbox(WORKER_MAILBOX)).unzip();
        let offers = Arc::new(Offers::default());
        let offering = Arc::clone(&offers);
        let shared = Shared::new(SharedParts {
            counters,
            transactions: log,
            sign_on: sign_on(options)?,
            vault: options.vault_key.as_deref().map(Vault::load).transpose()?.map(Arc::new),
            checks: checks(options, &state),
            proxies,
            connector: identity.connector,
            transport: Transport::Tls(Arc::clone(&identity)),
            workers: senders,
            offer: Box::new(move |config| offering.offer(config)),
        });
        let built_in = built_in(&shared)?;
        if let Some(address) = options.admin_listen {
            admin::listen(address, Arc::clone(&shared))?;
        }
        let verifier = Verifier::new(&identity);
        let keeper = Keeper { state, relays: options.relays.clone(), identity, verifier, shared: Arc::clone(&shared) };
        thread::Builder::new().name("keeper".into()).spawn(move || keeper.run(&offers))?;
        let workers = start_workers(io, &options.relays, &shared, receivers, built_in.as_ref())?;
        Ok(Self { shared, workers, transactions })
    }

    /// Waits for the first request to end, drains, and gives up what takes longer than `grace`.
    pub(crate) fn until_told(mut self, signals: &mut Signals, grace: Duration) {
        loop {
            match signals.wait_timeout(Duration::from_secs(1)) {
                Some(Signal::Terminate) => break,
                Some(Signal::TerminateNow) => return,
                Some(Signal::Reload) => {
                    client_certificate::reread();
                    tracing::info!("SIGHUP: of the connector's settings only client certificates are read again");
                }
                Some(Signal::Upgrade) | None => {}
            }
            if self.workers.iter().any(JoinHandle::is_finished) {
                tracing::error!("a worker ended by itself; the connector ends with it");
                std::process::exit(WORKER_ENDED);
            }
        }
        notify::stopping();
        let counters = &self.shared.counters;
        tracing::info!(in_progress = counters.requests.value(), "draining");
        self.shared.drain();
        let deadline = Instant::now() + grace;
        while !self.workers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            if signals.wait_timeout(DRAIN_POLL) == Some(Signal::TerminateNow) {
                break;
            }
        }
        let counters = &self.shared.counters;
        let (served, given_up) = (counters.requests_total.value(), counters.requests.value());
        tracing::info!(requests = served, given_up, "ended");
        // The log's writer ends when the last sender is gone, which the keeper still holds: let it flush.
        if self.transactions.take().is_some() {
            thread::sleep(TRANSACTIONS_FLUSH);
        }
    }
}

/// Nobody is signed on without a key.
#[cfg_attr(not(feature = "kerberos"), expect(clippy::unnecessary_wraps, reason = "with Kerberos it may fail"))]
fn sign_on(options: &Options) -> anyhow::Result<Option<Arc<dyn SignOn>>> {
    #[cfg(feature = "kerberos")]
    return options.kerberos.as_ref().map(crate::kerberos::start).transpose();
    #[cfg(not(feature = "kerberos"))]
    return Ok(options.kerberos.as_ref().and(None));
}

/// Control may ask whether that key is good.
fn checks(options: &Options, state: &StateDir) -> Checks {
    #[cfg(feature = "kerberos")]
    return Checks::new(options.kerberos.as_ref().map(|key| crate::kerberos::account(key, state)));
    #[cfg(not(feature = "kerberos"))]
    {
        let _ = (options, state);
        Checks::new(None)
    }
}

fn transaction_log(
    path: Option<&Path>,
    counters: &Arc<Counters>,
) -> Result<(TransactionLog, Option<JoinHandle<()>>), Failure> {
    let Some(path) = path else { return Ok((TransactionLog::off(Arc::clone(counters)), None)) };
    let opened = TransactionLog::to(path, Arc::clone(counters));
    let (log, writer) =
        opened.or_fail("file-unreadable", || format!("cannot write the transaction log {}", path.display()))?;
    Ok((log, Some(writer)))
}

fn start_workers(
    io: BackendKind,
    relays: &[RelayAddress],
    shared: &Arc<Shared>,
    receivers: Vec<Receiver<ToWorker>>,
    built_in: Option<&BuiltIn>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let resolver = Resolver::start()?;
    let heartbeats = Heartbeat::start(receivers.len())?;
    let mut threads = Vec::with_capacity(receivers.len());
    for (index, (orders, heartbeat)) in receivers.into_iter().zip(heartbeats).enumerate() {
        let (shared, resolver, built_in) = (Arc::clone(shared), resolver.clone(), built_in.cloned());
        // One thread keeps the relays' tunnels.
        let relays = if index == 0 { relays.to_vec() } else { Vec::new() };
        let live = move || {
            let ended = Runtime::new(RuntimeOptions { backend: io, ..RuntimeOptions::default() }).and_then(|runtime| {
                runtime.run(async move {
                    let worker = Worker::new(index, Arc::clone(&shared), resolver, built_in);
                    keep_relays(relays, &shared);
                    worker.run(orders, heartbeat).await;
                })
            });
            if let Err(error) = ended {
                tracing::error!(worker = index, %error, "the engine failed");
            }
        };
        threads.push(thread::Builder::new().name(format!("worker-{index}")).spawn(live)?);
    }
    Ok(threads)
}

fn keep_relays(relays: Vec<RelayAddress>, shared: &Arc<Shared>) {
    for (number, address) in (0u64..).zip(relays) {
        let relay = Relay {
            address: Arc::new(address),
            shared: Arc::clone(shared),
            reports: mailbox(REPORTS_MAILBOX),
            first_tunnel: number << 48,
        };
        spawn(relay.keep()).detach();
    }
}

/// The exit status when a worker ended by itself: `EX_SOFTWARE`.
const WORKER_ENDED: i32 = 70;
const DRAIN_POLL: Duration = Duration::from_millis(20);
const TRANSACTIONS_FLUSH: Duration = Duration::from_millis(200);
