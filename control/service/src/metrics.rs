//! A page of metrics in Prometheus' text format (version 0.0.4), and what every process tells of itself. Names begin with
//! `postern_`, units are base units.

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// What `Content-Type` says of a page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page being written: families one after the other, each with its samples.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative counts by upper bound.
    Histogram,
}

/// One family being written.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Page {
    /// Begins a family; its samples follow.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: self, name }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample; labels' values may be anything.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.write("", labels, None, value)
    }

    /// A histogram's samples: counts up to each bound (seconds, rising), the count of all, their sum in seconds.
    pub fn histogram(&mut self, labels: &[(&str, &str)], buckets: &[(&str, u64)], count: u64, sum: f64) -> &mut Self {
        for (bound, below) in buckets {
            self.write("_bucket", labels, Some(bound), below);
        }
        self.write("_bucket", labels, Some("+Inf"), count);
        self.write("_sum", labels, None, sum);
        self.write("_count", labels, None, count)
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) -> &mut Self {
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (nth, (name, value)) in labels.iter().copied().chain(bound).enumerate() {
            text.push_str(if nth == 0 { "{" } else { "," });
            text.push_str(name);
            text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            text.push('}');
        }
        // Writing to a string does not fail.
        let _ = writeln!(text, " {value}");
        self
    }
}

/// What a process tells of itself. Its files are opened once, so that a sandbox may close `/proc` afterwards.
#[derive(Debug)]
pub struct Process {
    program: &'static str,
    version: &'static str,
    started: Duration,
    memory: Option<File>,
    descriptors: Option<File>,
}

impl Process {
    /// Opens what is read later. `version` is the program's, `CARGO_PKG_VERSION`.
    #[must_use]
    pub fn open(program: &'static str, version: &'static str) -> Self {
        Self {
            program,
            version,
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            memory: File::open("/proc/self/statm").ok(),
            descriptors: File::open("/proc/self/fd").ok(),
        }
    }

    /// Memory, processor time, descriptors, start and build. What cannot be known is left out.
    pub fn describe(&self, page: &mut Page) {
        let labels = [("program", self.program), ("version", self.version)];
        page.family("postern_build_info", Kind::Gauge, "1, with program and version.").sample(&labels, 1);
        let started = self.started.as_secs_f64();
        let help = "When the process started, Unix time.";
        page.single("postern_process_start_time_seconds", Kind::Gauge, help, started);
        if let Some(bytes) = self.resident_bytes() {
            page.single("postern_process_resident_memory_bytes", Kind::Gauge, "Resident memory.", bytes);
        }
        if let Ok(time) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
            let seconds = Duration::from(time).as_secs_f64();
            page.single("postern_process_cpu_seconds_total", Kind::Counter, "Processor time used.", seconds);
        }
        if let Some(count) = self.descriptors_open() {
            page.single("postern_process_open_fds", Kind::Gauge, "Descriptors open.", count);
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            page.single("postern_process_max_fds", Kind::Gauge, "Descriptors that may be open.", soft);
        }
    }

    fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.memory.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages = std::str::from_utf8(&text[..read]).ok()?.split(' ').nth(1)?;
        let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        Some(pages.parse::<u64>().ok()? * u64::try_from(page).ok()?)
    }

    /// The folder's size says it (Linux 6.2); before that the folder has to be listed, which a sandbox may forbid.
    fn descriptors_open(&self) -> Option<u64> {
        let size = self.descriptors.as_ref()?.metadata().ok()?.size();
        if size > 0 {
            return Some(size);
        }
        Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_family_and_labels_are_escaped() {
        let mut page = Page::default();
        page.family("a_total", Kind::Counter, "As.").sample(&[("x", "1\"\\\n"), ("y", "z")], 7).sample(&[], 1.5);
        page.family("b_seconds", Kind::Histogram, "Bs.").histogram(&[("x", "y")], &[("0.1", 2)], 3, 0.75);
        assert_eq!(
            page.finish(),
            "# HELP a_total As.\n# TYPE a_total counter\na_total{x=\"1\\\"\\\\\\n\",y=\"z\"} 7\na_total 1.5\n\
             # HELP b_seconds Bs.\n# TYPE b_seconds histogram\nb_seconds_bucket{x=\"y\",le=\"0.1\"} 2\n\
             b_seconds_bucket{x=\"y\",le=\"+Inf\"} 3\nb_seconds_sum{x=\"y\"} 0.75\nb_seconds_count{x=\"y\"} 3\n"
        );
    }

    #[test]
    fn a_process_knows_itself() {
        let process = Process::open("test", "1.2.3");
        let mut page = Page::default();
        process.describe(&mut page);
        let page = page.finish();
        let value = |name: &str| -> f64 {
            let line =
                page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{page}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(page.contains("postern_build_info{program=\"test\",version=\"1.2.3\"} 1\n"));
        assert!(value("postern_process_resident_memory_bytes") > 500_000.0);
        assert!(value("postern_process_cpu_seconds_total") > 0.0);
        assert!(value("postern_process_open_fds") >= 4.0);
        assert!(value("postern_process_max_fds") >= value("postern_process_open_fds"));
        assert!(value("postern_process_start_time_seconds") > 1.7e9);
    }
}
