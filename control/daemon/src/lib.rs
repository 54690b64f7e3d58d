//! postern-control: store, authorities, admin API, links to relays. The only writer of Postern's state, and never on the path of a
//! request: relays keep serving when it is down.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod access_requests;
mod access_reviews;
mod acme;
mod actor;
mod admin;
mod apply;
mod apps;
mod args;
mod assignments;
mod audit;
mod authority;
mod below_wildcards;
mod certificates;
mod checks;
mod clock;
mod control;
mod countries;
mod der;
mod devices;
mod directory;
mod directory_sync;
mod domains;
mod draft;
mod enrol;
mod factors;
#[cfg(debug_assertions)]
mod fault;
mod fleet;
mod foreign_hosts;
mod identity;
mod idps;
mod kept_out;
mod kerberos;
mod limits;
mod link;
mod links;
mod metrics;
mod networks;
mod oauth;
mod password;
mod pem;
mod policies;
mod portal;
mod problem;
mod questions;
mod relays;
mod rollout;
mod saml;
mod scim;
mod service_tokens;
mod sessions;
mod shared_keys;
mod sign_in;
mod signed;
mod single_sign_on;
mod source;
mod sso;
mod stage;
mod store;
mod systems;
mod tenants;
mod terms;
#[cfg(test)]
mod testing;
mod throttle;
mod traces;
mod user_groups;
mod users;
mod vault;
mod watched;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use postern_service::failure::{Failure, OrFail as _};
use postern_service::notify;
use postern_service::signals::{AsyncSignals, Signal};
use postern_service::state::StateDir;
use tokio::sync::watch;
use tokio::task::LocalSet;

pub use args::Args;

use admin::{Access, AdminSocket};
use authority::Authority;
use certificates::ocsp::Reach;
use control::{Actor, Control};
use store::{SqliteStore, Store, StoreError};

/// Runs until a signal ends it. The caller parsed the command line and set logging up.
///
/// # Errors
/// What kept it from starting: a [`Failure`] with its cure.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(args))
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let mut signals = AsyncSignals::install()?;
    let state = StateDir::open(&args.state_dir)?;
    let mut control = open(args, &state)?;
    control.countries = args.geoip.as_deref().map(countries::Countries::open).transpose()?;
    control.systems = args.geoip_asn.as_deref().map(systems::Systems::open).transpose()?;
    control.domains = domains::DomainSettings { required: args.verified_domains, servers: args.dns_server.clone() };
    let control = Rc::new(control);
    let socket = AdminSocket::bind(&args.socket(), Access::new(args.admin_uid.clone(), args.relay_uid.clone()))?;
    add_relays(&control, &args.relay)?;
    let (shutdown, down) = watch::channel(false);
    if let Some(address) = args.admin_listen {
        let listener = metrics::bind(address).await?;
        tokio::task::spawn_local(metrics::serve(listener, Rc::clone(&control), down.clone()));
    }
    let serving = tokio::task::spawn_local(socket.serve(Rc::clone(&control), down.clone()));
    tokio::task::spawn_local(link::dial::dial_all(Rc::clone(&control), down.clone()));
    let house = tokio::task::spawn_local(keep_house(Rc::clone(&control), args.retention.clone(), args.reach()));
    if identity::renew_cookie_keys(&control).is_err() {
        tracing::error!("no key for cookies could be made: nobody can sign in until one can");
    }
    if single_sign_on::renew_assertion_keys(&control).is_err() {
        tracing::error!(
            "no key for assertions could be made: applications that want them are out of reach until one can"
        );
    }
    announce(&control, args);
    tokio::select! {
        () = wait_for_end(&mut signals) => {}
        ended = house => return Err(left_alone(ended)),
    }
    notify::stopping();
    tracing::info!("stopping: requests under way are finished first");
    shutdown.send_replace(true);
    tokio::select! {
        _ = serving => {}
        () = tokio::time::sleep(args.service.grace_period) => tracing::warn!("the grace period ended with requests under way"),
        () = wait_for_second(&mut signals) => tracing::warn!("asked to end at once"),
    }
    Ok(())
}

fn open(args: &Args, state: &StateDir) -> anyhow::Result<Control> {
    let path = args.sqlite_path()?;
    let mut store = SqliteStore::open(&path).map_err(|error| unusable(&path, &error))?;
    let existing = store.load().map_err(|error| unusable(&path, &error))?.is_some();
    let authority = Authority::open(state, existing)?;
    let folder = std::path::absolute(state.path()).unwrap_or_else(|_| state.path().to_owned());
    Control::open(authority, Box::new(store), folder)
        .with_context(|| format!("cannot use the store sqlite:{}", path.display()))
}

fn unusable(path: &Path, error: &StoreError) -> Failure {
    Failure::new(format!("cannot use the store sqlite:{}: {error}", path.display())).code("state-damaged")
}

/// Relays named on the command line are known by their address.
fn add_relays(control: &Control, addresses: &[String]) -> anyhow::Result<()> {
    for address in addresses {
        relays::check_address(address).map_err(|problem| Failure::usage(format!("--relay {}", problem.detail)))?;
        let known = control.snapshot().relays.values().any(|relay| relay.address.as_ref() == Some(address));
        if !known {
            let name = link::admit::name_of(address);
            relays::create(control, &Actor::Control, name, Some(address.clone()), None)
                .or_fail("request-invalid", || format!("cannot add the relay {address}"))?;
        }
    }
    Ok(())
}

fn announce(control: &Control, args: &Args) {
    if control.fresh {
        let folder = control.state_dir.display();
        tracing::info!(
            ca_sha256 = control.authority.ca_sha256(),
            "initialised {folder}: two authorities, tenant default, connector group default; relays on other hosts need {folder}/ca.pem as --trust-anchor"
        );
    }
    let version = control.snapshot().version;
    tracing::info!(version, socket = %args.socket().display(), store = control.store_description(), "ready");
    notify::ready();
}

/// Nothing would be renewed or removed any more, and that would be seen too late. Whoever started control starts it anew.
fn left_alone(ended: Result<&'static str, tokio::task::JoinError>) -> anyhow::Error {
    let what = match ended {
        Ok(task) => format!("its task for {task} ended"),
        Err(error) => error.to_string(),
    };
    anyhow::anyhow!("control no longer looks after what it keeps: {what}")
}

/// Renews issued certificates, removes old records and tells systemd's watchdog. Gives what ended, which nothing should.
async fn keep_house(control: Rc<Control>, kept: audit::RetentionArgs, reach: Reach) -> &'static str {
    tokio::select! {
        () = remove_old_records(&control, &kept) => "old records",
        () = renew(&control) => "keys and issued certificates",
        () = certificates::expiry::watch(&control) => "the end of certificates",
        () = certificates::ocsp::renew(&control, reach) => "OCSP responses",
        () = traces::watch(&control) => "traces",
        () = acme::renew::watch(&control) => "renewal by ACME",
    }
}

async fn remove_old_records(control: &Control, kept: &audit::RetentionArgs) {
    let mut hourly = tokio::time::interval(HOUSEKEEPING);
    loop {
        hourly.tick().await;
        audit::enforce(control, kept, clock::now_unix_ms()).await;
    }
}

async fn renew(control: &Control) {
    let watchdog = notify::watchdog_interval().unwrap_or(HOUSEKEEPING);
    let mut watchdog = tokio::time::interval(watchdog.max(Duration::from_millis(10)));
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    // Relays come first and say what was used while control was away.
    let settled = tokio::time::Instant::now() + HOUSEKEEPING / 2;
    let mut devices = tokio::time::interval(DEVICES_LOOKED_AT);
    // What ended while control was away is looked at first.
    let mut looked_at_unix = 0;
    loop {
        tokio::select! {
            _ = watchdog.tick() => notify::watchdog(),
            _ = devices.tick() => {
                let now = clock::now_unix();
                match devices::follow_time(control, looked_at_unix, now) {
                    Ok(()) => looked_at_unix = now,
                    Err(problem) => tracing::error!("devices whose time is over are not looked at: {}", problem.detail),
                }
            }
            _ = housekeeping.tick() => {
                let renewed = certificates::renew_due(control, clock::now_unix());
                if renewed > 0 {
                    tracing::info!(renewed, "certificates of the web authority were renewed");
                }
                let is_settled = tokio::time::Instant::now() >= settled;
                let sweep = || if is_settled { sessions::sweep(control) } else { Ok(()) };
                let renewed = identity::renew_cookie_keys(control)
                    .and_then(|_| single_sign_on::renew_assertion_keys(control));
                let kept = renewed.and_then(|_| sweep()).and_then(|()| devices::sweep(control, clock::now_unix()));
                if let Err(problem) = kept {
                    tracing::error!("keys, sessions and devices are not looked after: {}", problem.detail);
                }
            }
        }
    }
}

async fn wait_for_end(signals: &mut AsyncSignals) {
    loop {
        match signals.next().await {
            Signal::Terminate | Signal::TerminateNow => return,
            Signal::Reload => {
                // Everything that may change lives in the store; flags need a restart.
                tracing::info!("nothing to reload: settings of postern-control need a restart");
            }
            Signal::Upgrade => tracing::info!("postern-control is upgraded by a restart: relays keep serving"),
        }
    }
}

async fn wait_for_second(signals: &mut AsyncSignals) {
    while signals.next().await != Signal::TerminateNow {}
}

const HOUSEKEEPING: Duration = Duration::from_secs(3_600);
/// So late a device that stops complying by its time does so for sessions in progress.
const DEVICES_LOOKED_AT: Duration = Duration::from_secs(30);
