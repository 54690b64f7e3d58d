//! `postern doctor`: examines this host, check by check, and changes nothing. Each has its time; all are taken, whatever others found,
//! but those of a relay build on each other.

mod connectors;
mod finding;
mod host;
mod kernel;
mod limits;
mod ports;
mod proxy;
mod relay;
mod state;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::args::{Common, DoctorArgs, Format, Role};
use crate::output::{Output, details};
use finding::{Finding, single};
use host::Host;

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    passed: bool,
    checks: Vec<Finding>,
}

pub(super) fn run(args: &DoctorArgs, common: &Common, output: Output) -> Result<ExitCode> {
    let progress = Progress { shown: common.output == Format::Table && io::stderr().is_terminal() };
    let mut examination = Examination { host: Host::this(), progress, checks: Vec::new() };
    examination.of_host(args.role);
    let environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let (proxy, way) = proxy::choose(&examination.host, args, &environment);
    examination.of_role(args, common, proxy);
    if let Some(way) = way {
        examination.of_relays(args, &way);
    }
    progress.done();
    let checks = examination.checks;
    let report = Report { passed: !checks.iter().any(Finding::failed), checks };
    output.show(&report, |report| table(output, report))?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is looked at, and what was found so far.
struct Examination {
    host: Host,
    progress: Progress,
    checks: Vec<Finding>,
}

impl Examination {
    fn take(&mut self, check: &'static str, look: impl FnOnce(&Host) -> Finding + Send + 'static) {
        self.progress.at(check);
        let host = self.host.clone();
        self.checks.push(single(check, move || look(&host)));
    }

    /// What is the same whatever runs here, or nearly so.
    fn of_host(&mut self, role: Option<Role>) {
        self.take("kernel", kernel::version);
        self.take("bpf", move |host| kernel::bpf(host, role, &postern_ebpf_loader::probe()));
        self.take("io-uring", move |host| kernel::io_uring(host, role, &postern_ebpf_loader::probe_ring()));
        self.take("sandbox", kernel::sandbox);
        self.take("kernel-tls", kernel::kernel_tls);
        self.take("systemd", move |host| kernel::systemd(host, role));
        self.take("clock", |_| kernel::clock(&postern_ebpf_loader::clock()));
        self.take("cores", move |host| limits::cores(host, role));
        self.take("cgroup", move |host| limits::cgroup(host, role));
        self.take("open-files", move |host| limits::files(host, role));
        self.take("locked-memory", limits::locked_memory);
        self.take("backlog", move |host| limits::backlog(host, role));
        self.take("local-ports", limits::local_ports);
    }

    /// What depends on what runs here, and on what was given.
    fn of_role(&mut self, args: &DoctorArgs, common: &Common, proxy: Finding) {
        if let Some(folder) = state_folder(args) {
            self.take("state-dir", move |_| state::folder(&folder));
        }
        for address in listened(args) {
            self.take("listen", move |host| ports::listen(host, address));
        }
        self.checks.push(proxy);
        let common = common.clone();
        self.take("connectors", move |_| connectors::look(&common));
    }

    /// Nothing, where it is not known by which way: what should go through a proxy would go without.
    fn of_relays(&mut self, args: &DoctorArgs, way: &proxy::Way) {
        for relay in &args.relay {
            self.progress.at(&format!("relay {relay}"));
            self.checks.extend(relay::look(&self.host, relay, way.to(relay)));
        }
    }
}

fn state_folder(args: &DoctorArgs) -> Option<PathBuf> {
    let packaged = |role: Role| PathBuf::from("/var/lib/postern").join(role.name());
    let folder = args.state_dir.clone().or_else(|| args.role.map(packaged))?;
    Some(std::path::absolute(&folder).unwrap_or(folder))
}

fn listened(args: &DoctorArgs) -> Vec<SocketAddr> {
    match args.role {
        Some(Role::Relay) if args.listen.is_empty() => {
            [443, 80].map(|port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).to_vec()
        }
        Some(_) | None => args.listen.clone(),
    }
}

/// What is looked at now, for people who wait.
#[derive(Debug, Clone, Copy)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn at(self, what: &str) {
        self.write(&format!("\r\x1b[Klooking at {what} …"));
    }

    fn done(self) {
        self.write("\r\x1b[K");
    }

    fn write(self, text: &str) {
        if self.shown {
            // A terminal that is gone shows no progress.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

fn table(output: Output, report: &Report) -> String {
    let named = |finding: &Finding| match finding.about.as_str() {
        "" => finding.check.to_owned(),
        about => format!("{} {about}", finding.check),
    };
    let table = output
        .table(["CHECK", "RESULT", "SEEN"])
        .rows(&report.checks, |finding| [named(finding), finding.result.as_str().into(), finding.seen.clone()]);
    let cures = report.checks.iter().filter(|finding| !finding.cure.is_empty());
    let cures: Vec<(&str, String)> =
        cures.map(|finding| ("cure", format!("{}: {}", named(finding), finding.cure))).collect();
    let end = if report.passed { "nothing failed\n" } else { "something failed\n" };
    format!("{}{}{end}", table.render("no checks"), details(&cures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    pub(super) fn args(line: &str) -> DoctorArgs {
        let words = ["postern", "doctor"].into_iter().chain(line.split_whitespace());
        let crate::args::Command::Doctor(args) = crate::args::Args::try_parse_from(words).unwrap().command else {
            panic!("another command");
        };
        args
    }

    #[test]
    fn a_relay_listens_where_relays_do_and_others_nowhere() {
        let listened = |line: &str| listened(&args(line)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(listened("--role relay"), ["[::]:443", "[::]:80"]);
        assert_eq!(listened("--role relay --listen 127.0.0.1:8443,[::1]:80"), ["127.0.0.1:8443", "[::1]:80"]);
        assert_eq!(listened("--role connector"), [""; 0]);
        let folder = |line: &str| state_folder(&args(line)).map(|folder| folder.display().to_string());
        assert_eq!(folder("--role control").as_deref(), Some("/var/lib/postern/control"));
        assert_eq!(folder("--role relay --state-dir /srv/x").as_deref(), Some("/srv/x"));
        assert_eq!(folder(""), None);
    }

    #[test]
    fn the_report_names_each_check_and_its_cure() {
        let checks = vec![
            Finding::ok("kernel", "Linux 6.18"),
            Finding::fail("listen", "nginx (pid 7) listens there", "stop nginx").about("[::]:443"),
        ];
        let text = table(Output::new(Format::Table), &Report { passed: false, checks });
        assert!(text.contains("listen [::]:443  fail    nginx (pid 7) listens there\n"), "{text}");
        assert!(text.ends_with("cure: listen [::]:443: stop nginx\nsomething failed\n"), "{text}");
    }

    #[test]
    fn this_host_is_looked_at_within_its_time() {
        let begun = std::time::Instant::now();
        let progress = Progress { shown: false };
        let mut examination = Examination { host: Host::this(), progress, checks: Vec::new() };
        examination.of_host(None);
        let checks = examination.checks;
        assert_eq!(checks.len(), 13);
        assert!(checks.iter().all(|finding| !finding.seen.is_empty() && finding.ms <= 6_000), "{checks:?}");
        assert!(begun.elapsed() < 2 * finding::PATIENCE, "{checks:?}");
    }
}
