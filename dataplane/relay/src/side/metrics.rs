//! The relay's page of metrics. How many series there can be is bounded: applications by [`APPS_SHOWN_MAX`], limiters by
//! [`LIMITERS_SHOWN_MAX`], codes and workers by their own numbers; nothing is named after a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_model::ids::TenantId;
use postern_model::question::{LimiterReport, Stage};
use postern_service::metrics::{Kind, Page, Process};

use super::admin::Shown;
use super::sender::SideReceiver;
use crate::limits::{APPS_SHOWN_MAX, LIMITERS_SHOWN_MAX};
use crate::messages::KernelFigures;
use crate::published::ConfigHandle;
use crate::record::book::{AppFigures, Book, Subject};
use crate::record::latency::Latency;
use crate::record::writer::Losses;
use crate::worker::counters::WorkerCounters;

/// Where the figures come from.
#[derive(Debug)]
pub(crate) struct Figures {
    counters: Vec<Arc<WorkerCounters>>,
    books: Vec<Arc<Book>>,
    losses: Losses,
    config: ConfigHandle,
    process: Process,
}

/// Applications' figures by what they are shown as, tenant and name, each from every worker.
type ByApp = BTreeMap<(TenantId, String), Vec<Arc<AppFigures>>>;

impl Figures {
    pub(crate) fn new(receiver: &SideReceiver, config: ConfigHandle, process: Process) -> Self {
        Self {
            counters: receiver.counters.clone(),
            books: receiver.books.clone(),
            losses: receiver.log.losses(),
            config,
            process,
        }
    }

    /// The page.
    pub(crate) fn page(&self, shown: &Shown) -> String {
        let mut page = Page::default();
        self.workers(&mut page);
        let by_app = by_app(&self.books);
        self.requests(&mut page, &by_app);
        durations(&mut page, &by_app);
        self.refusals(&mut page);
        self.limiters(&mut page);
        self.certificates(&mut page);
        connectors(&mut page, shown);
        kernel(&mut page, &shown.kernel);
        let lost = self.losses.dropped();
        let help = "Requests that are not in the access log: it could not be written, or not as fast.";
        page.single("postern_relay_access_log_dropped_total", Kind::Counter, help, lost);
        state(&mut page, shown);
        self.process.describe(&mut page);
        page.finish()
    }

    /// One sample for each worker: how even they are is worth seeing, and their sum is easily had.
    fn workers(&self, page: &mut Page) {
        let lists: Vec<_> = self.counters.iter().map(|worker| worker.list()).collect();
        for (nth, (name, kind, help, _)) in lists.first().into_iter().flatten().enumerate() {
            let mut family = page.family(name, *kind, help);
            for (worker, list) in lists.iter().enumerate() {
                family.sample(&[("worker", &worker.to_string())], list[nth].3);
            }
        }
    }

    fn requests(&self, page: &mut Page, by_app: &ByApp) {
        let help = "Requests by application and class of the answer's status; none: the client went away before one.";
        let mut family = page.family("postern_relay_requests_total", Kind::Counter, help);
        for ((tenant, app), figures) in by_app {
            let mut sums = BTreeMap::new();
            for (class, count) in figures.iter().flat_map(|figures| figures.answers.values()) {
                *sums.entry(class).or_insert(0) += count;
            }
            for (class, count) in sums {
                family.sample(&[("tenant", &tenant.to_string()), ("app", app), ("status", class)], count);
            }
        }
        let mut sums = BTreeMap::new();
        for (class, count) in self.books.iter().flat_map(|book| book.unrouted.values()) {
            *sums.entry(class).or_insert(0) += count;
        }
        for (class, count) in sums {
            family.sample(&[("tenant", ""), ("app", ""), ("status", class)], count);
        }
        bytes(page, "postern_relay_request_bytes_total", "Bodies from clients.", by_app, |app| app.bytes_in.value());
        bytes(page, "postern_relay_response_bytes_total", "Bodies to clients.", by_app, |app| app.bytes_out.value());
    }

    fn refusals(&self, page: &mut Page) {
        let mut sums = BTreeMap::new();
        for figures in self.books.iter().flat_map(|book| book.codes()) {
            *sums.entry(figures.code).or_insert(0) += figures.refused.value();
        }
        let help = "Requests that the relay answered itself, by code: postern explain CODE says what it means.";
        let mut family = page.family("postern_relay_refusals_total", Kind::Counter, help);
        for (code, count) in sums {
            family.sample(&[("code", code)], count);
        }
    }

    fn certificates(&self, page: &mut Page) {
        let plan = Arc::clone(&self.config.current().plan);
        let help = "End of a certificate that clients are shown, Unix time, by certificate and its first host.";
        let mut family = page.family("postern_relay_certificate_not_after_timestamp_seconds", Kind::Gauge, help);
        for certificate in plan.certificates().take(APPS_SHOWN_MAX) {
            let id = certificate.id.to_string();
            family.sample(&[("certificate", &id), ("host", &certificate.host)], certificate.not_after_unix);
        }
    }

    /// Those that were set, and those that have refused something: the others are the defaults of each application.
    fn limiters(&self, page: &mut Page) {
        let limits = Arc::clone(&self.config.current().limits);
        let mut shown: Vec<(TenantId, LimiterReport)> = limits.totals().collect();
        shown.retain(|(_, limiter)| limiter.origin == "set" || limiter.refused_total > 0);
        shown.sort_by(|a, b| (a.0, &a.1.scope).cmp(&(b.0, &b.1.scope)));
        shown.truncate(LIMITERS_SHOWN_MAX);
        let mut family = |name, kind, help, value: fn(&LimiterReport) -> u64| {
            let mut family = page.family(name, kind, help);
            for (tenant, limiter) in &shown {
                family.sample(&[("tenant", &tenant.to_string()), ("limit", &limiter.scope)], value(limiter));
            }
        };
        let name = "postern_relay_limiter_admitted_total";
        family(name, Kind::Counter, "Requests that a limit let through.", |limiter| limiter.admitted_total);
        let name = "postern_relay_limiter_refused_total";
        family(name, Kind::Counter, "Requests that a limit refused.", |limiter| limiter.refused_total);
        let name = "postern_relay_limiter_in_progress";
        family(name, Kind::Gauge, "Requests in progress under a limit.", |limiter| limiter.in_progress);
    }
}

/// Workers' figures of the same application together; those beyond the bound as `:others`.
fn by_app(books: &[Arc<Book>]) -> ByApp {
    let mut apps: BTreeMap<Subject, Vec<Arc<AppFigures>>> = BTreeMap::new();
    for figures in books.iter().flat_map(|book| book.apps()) {
        apps.entry(figures.subject.clone()).or_default().push(figures);
    }
    let mut shown = ByApp::new();
    for (nth, (subject, figures)) in apps.into_iter().enumerate() {
        let tenant = subject.tenant();
        let subject = if nth < APPS_SHOWN_MAX { subject } else { Subject::Others(tenant) };
        shown.entry((tenant, subject.label().to_owned())).or_default().extend(figures);
    }
    shown
}

fn bytes(page: &mut Page, name: &str, help: &str, by_app: &ByApp, value: fn(&AppFigures) -> u64) {
    let mut family = page.family(name, Kind::Counter, help);
    for ((tenant, app), figures) in by_app {
        let sum: u64 = figures.iter().map(|figures| value(figures)).sum();
        family.sample(&[("tenant", &tenant.to_string()), ("app", app)], sum);
    }
}

fn durations(page: &mut Page, by_app: &ByApp) {
    let help = "How long requests took, by stage; postern histogram tells more exactly.";
    let mut family = page.family("postern_relay_request_duration_seconds", Kind::Histogram, help);
    for ((tenant, app), figures) in by_app {
        let tenant = tenant.to_string();
        for stage in Stage::ALL {
            let (below, count, sum) = cumulative(figures.iter().map(|figures| &figures.stages[stage.index()]));
            if count > 0 {
                let labels = [("tenant", tenant.as_str()), ("app", app), ("stage", stage.as_str())];
                family.histogram(&labels, &below, count, sum);
            }
        }
    }
}

/// Counts up to each bound, of all, and the sum in seconds.
fn cumulative<'a>(latencies: impl Iterator<Item = &'a Latency>) -> ([(&'static str, u64); BOUNDS.len()], u64, f64) {
    let (mut below, mut count, mut sum_us) = (BOUNDS.map(|(bound, _)| (bound, 0)), 0, 0u64);
    for latency in latencies {
        for (us, samples) in latency.counts() {
            count += samples;
            for (nth, (_, bound_us)) in BOUNDS.iter().enumerate() {
                below[nth].1 += if us <= *bound_us { samples } else { 0 };
            }
        }
        sum_us = sum_us.saturating_add(latency.sum_us());
    }
    (below, count, sum_us as f64 / 1e6)
}

fn connectors(page: &mut Page, shown: &Shown) {
    let connectors = &shown.status.connectors;
    let online = connectors.iter().filter(|connector| connector.online).count();
    let help = "Connectors through whose tunnel a probe went.";
    page.single("postern_relay_connectors_online", Kind::Gauge, help, online);
    let mut family = page.family("postern_relay_connector_tunnels", Kind::Gauge, "Tunnels, by connector; 0: offline.");
    for connector in connectors {
        let tunnels = if connector.online { connector.tunnels } else { 0 };
        family.sample(&[("connector", &connector.id.to_string())], tunnels);
    }
    let help = "The last probe's round trip, by connector.";
    let mut family = page.family("postern_relay_connector_rtt_seconds", Kind::Gauge, help);
    for connector in connectors.iter().filter(|connector| connector.online) {
        family.sample(&[("connector", &connector.id.to_string())], f64::from(connector.rtt_us) / 1e6);
    }
}

/// What BPF did, as the supervisor tells it every few seconds; all 0 where it is off.
fn kernel(page: &mut Page, figures: &KernelFigures) {
    let mut by = |name, help, label, values: &[(&str, u64)]| {
        let mut family = page.family(name, Kind::Counter, help);
        for (value, count) in values {
            family.sample(&[(label, *value)], count);
        }
    };
    let pairs = |names: &[&'static str], counts: &[u64]| -> Vec<(&'static str, u64)> {
        names.iter().copied().zip(counts.iter().copied()).collect()
    };
    let name = "postern_relay_kernel_connections_total";
    let help = "New connections that BPF gave to a worker, by how it was chosen.";
    by(name, help, "how", &pairs(&KernelFigures::STEERED, &figures.steered));
    let name = "postern_relay_kernel_connections_refused_total";
    let help = "New connections refused in the kernel, by reason.";
    by(name, help, "reason", &pairs(&KernelFigures::CONNECTIONS_REFUSED, &figures.connections_refused));
    let name = "postern_relay_kernel_packets_dropped_total";
    let help = "Packets dropped on filtered interfaces, by reason.";
    by(name, help, "reason", &pairs(&KernelFigures::PACKETS_DROPPED, &figures.packets_dropped));
    let help = "Packets to the relay that filtered interfaces let through.";
    page.single("postern_relay_kernel_packets_passed_total", Kind::Counter, help, figures.packets_passed);
    let help = "Sources dropped in the kernel for a while because they kept exceeding a limit.";
    page.single("postern_relay_kernel_sources_dropped_total", Kind::Counter, help, figures.sources_dropped);
}

fn state(page: &mut Page, shown: &Shown) {
    let status = &shown.status;
    for (name, help, value) in [
        ("postern_relay_state_version", "Version of the state in force.", status.applied_version),
        ("postern_relay_control_linked", "1 while the link to control is up.", shown.linked.into()),
        ("postern_relay_generation", "Dataplanes started by the supervisor.", status.generation.into()),
        ("postern_relay_workers", "Worker threads.", status.workers.into()),
        ("postern_relay_warnings", "What postern status warns about here.", status.warnings.len() as u64),
    ] {
        page.single(name, Kind::Gauge, help, value);
    }
}

/// As Prometheus reads them, and in µs.
const BOUNDS: [(&str, u64); 14] = [
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("10", 10_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::book::BookWriter;
    use crate::side::testing::{HOST, snapshot};
    use postern_model::ids::AppId;
    use postern_model::plan::{Plan, PlannedApp};

    #[test]
    fn samples_are_summed_over_workers_and_counted_up_to_each_bound() {
        let latencies = [Latency::default(), Latency::default()];
        for us in [100, 1_000, 1_010, 20_000_000] {
            latencies.iter().for_each(|latency| latency.record(us));
        }
        let (below, count, sum) = cumulative(latencies.iter());
        assert_eq!((below[0], below[1], below[13], count), (("0.0005", 2), ("0.001", 4), ("10", 6), 8));
        assert!((sum - 40.004_22).abs() < 1e-6);
    }

    #[test]
    fn applications_beyond_the_bound_share_their_series() {
        let plan = Plan::build(&snapshot(1)).unwrap();
        let app = PlannedApp::clone(plan.host(HOST).unwrap().route("/").unwrap());
        let book = Arc::<Book>::default();
        let writer = BookWriter::new(Arc::clone(&book));
        for seq in 1..=u32::try_from(APPS_SHOWN_MAX).unwrap() + 7 {
            let name = format!("app-{seq}").parse().unwrap();
            writer.app(&PlannedApp { id: AppId::new(TenantId(1), seq), name, ..app.clone() }).answers.count(Some(200));
        }
        let shown = by_app(&[book]);
        assert_eq!(shown.len(), APPS_SHOWN_MAX + 1);
        assert_eq!(shown[&(TenantId(1), ":others".to_owned())].len(), 7);
    }
}
