//! `postern trace`: asks control again and again for what relays record, and writes it as an archive.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use postern_model::admin::path;
use postern_model::trace::{BeginTrace, CollectTrace, TraceBegun, TraceCollected};
use postern_service::duration;
use postern_service::failure::Failure;
use postern_service::secret::{self, NewFile};
use postern_service::signals::{Signal, Signals};
use serde::Serialize;
use serde_json::{Value, json};

use super::Context;
use crate::args::TraceArgs;
use crate::client::segment;
use crate::har::Har;

/// What was written, and what there is to know of it.
#[derive(Serialize)]
struct Written {
    har: String,
    app: String,
    entries: usize,
    /// Requests of which nothing was recorded for lack of room.
    dropped: u64,
    /// Why it ended.
    ended: String,
    warnings: Vec<String>,
}

/// What came so far.
#[derive(Default)]
struct Recorded {
    har: Har,
    dropped: u64,
    warnings: BTreeSet<String>,
}

pub(super) fn run(context: &Context, args: &TraceArgs) -> Result<()> {
    let Context { client, output } = context;
    check_place(&args.har)?;
    // Before it begins: whoever gives it up at once has it ended, too.
    let mut signals = Signals::install().context("signals cannot be taken")?;
    let wanted = BeginTrace {
        user: args.user.clone(),
        for_ms: u64::try_from(args.period.as_millis()).unwrap_or(u64::MAX),
        bodies: args.bodies,
    };
    let begun: TraceBegun = client.post(&path::app_trace(&client.tenant(), &segment(&args.app.0)), &wanted)?;
    let whose = begun.user.as_ref().map(|user| format!(" by {user}")).unwrap_or_default();
    let length = duration::human(args.period);
    output.tell(&[format!("recording requests to {}{whose} for {length}; Ctrl-C ends it early", begun.app)]);
    let mut recorded = Recorded::default();
    recorded.warn(context, &begun.warnings);
    let ended = follow(context, &begun, &mut signals, &mut recorded);
    let why = match &ended {
        Ok(why) => why.clone(),
        Err(error) => format!("{error:#}"),
    };
    let written = write(args, &begun, recorded, why)?;
    if ended.is_err() {
        output.tell(&[format!("{} has the {} requests until then", written.har, written.entries)]);
    }
    ended?;
    output.show(&written, text)
}

/// That the archive can be written is known before anything is recorded. Nothing is overwritten: it may be of another trace.
fn check_place(path: &Path) -> Result<()> {
    match NewFile::create(path) {
        Ok(_removed_again) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let refused = Failure::new(format!("{} is there already", path.display()));
            Err(refused.cure("give another file with --har").into())
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}

/// Until it is over; why.
fn follow(context: &Context, begun: &TraceBegun, signals: &mut Signals, recorded: &mut Recorded) -> Result<String> {
    let path = path::trace(&context.client.tenant(), &segment(&begun.trace));
    let mut end = false;
    loop {
        let collected: TraceCollected = context.client.post(&path, &CollectTrace { end })?;
        collected.entries.iter().for_each(|entry| recorded.har.add(entry));
        recorded.dropped = collected.dropped;
        recorded.warn(context, &collected.warnings);
        if let Some(over) = collected.over {
            return Ok(over);
        }
        // What a signal says does not wait until all was collected.
        let pause = if collected.more || end { Duration::ZERO } else { COLLECTED_EVERY };
        match signals.wait_timeout(pause) {
            // The terminal may be gone, too.
            Some(Signal::Terminate | Signal::TerminateNow | Signal::Reload) => end = true,
            Some(Signal::Upgrade) | None => {}
        }
    }
}

fn write(args: &TraceArgs, begun: &TraceBegun, recorded: Recorded, ended: String) -> Result<Written> {
    let Recorded { har, dropped, warnings } = recorded;
    let warnings: Vec<String> = warnings.into_iter().collect();
    let about = about(args, begun, &ended, dropped, &warnings);
    let entries = har.len();
    let path = keep(&args.har, &har.document(&about)?)?.display().to_string();
    Ok(Written { har: path, app: begun.app.to_string(), entries, dropped, ended, warnings })
}

/// Under its name, or, if something has it by now, under one that has a number behind it: nothing is overwritten, and what was recorded
/// cannot be recorded again. Returns which.
fn keep(path: &Path, document: &[u8]) -> Result<PathBuf> {
    let mut place = path.to_owned();
    for number in 1.. {
        match secret::write_whole_new(&place, document) {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < PLACES_MAX => {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{number}"));
                place = name.into();
            }
            Err(error) => return Err(unwritable(&place, &error)),
        }
    }
    Ok(place)
}

fn about(args: &TraceArgs, begun: &TraceBegun, ended: &str, dropped: u64, warnings: &[String]) -> Value {
    json!({
        "app": begun.app,
        "user": begun.user,
        "bodies": args.bodies,
        "relays": begun.relays,
        "ended": ended,
        "dropped": dropped,
        "warnings": warnings,
    })
}

impl Recorded {
    /// Each of them is said once, however often it comes.
    fn warn(&mut self, context: &Context, warnings: &[String]) {
        let new: Vec<String> = warnings.iter().filter(|line| self.warnings.insert((*line).clone())).cloned().collect();
        context.output.warn(&new);
    }
}

fn text(written: &Written) -> String {
    let Written { har, app, entries, dropped, ended, .. } = written;
    let missing = match dropped {
        0 => String::new(),
        count => format!("; {count} found no room and are missing"),
    };
    format!("{entries} requests to {app} written to {har}{missing}: {ended}\n")
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::new(format!("cannot write {}: {error}", path.display())).into()
}

/// Names that are tried for an archive.
const PLACES_MAX: u32 = 10;
/// How often is asked for what was recorded: a fraction of the time after which relays give it up.
const COLLECTED_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_by_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.har");
        check_place(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "x").unwrap();
        assert!(check_place(&path).unwrap_err().to_string().contains("is there already"));
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        assert!(check_place(&folder.path().join("none/a.har")).unwrap_err().to_string().contains("cannot write"));
    }

    #[test]
    fn what_came_meanwhile_is_not_overwritten_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.har");
        assert_eq!(keep(&path, b"first").unwrap(), path);
        let other = folder.path().join("a.har.1");
        assert_eq!(keep(&path, b"second").unwrap(), other);
        assert_eq!([&path, &other].map(|path| std::fs::read(path).unwrap()), [b"first".to_vec(), b"second".to_vec()]);
        for _ in 2..PLACES_MAX {
            keep(&path, b"more").unwrap();
        }
        assert!(keep(&path, b"last").unwrap_err().to_string().contains("cannot write"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let of = |dropped| {
            let (har, app, ended) = ("a.har".into(), "wiki".into(), "its time is over".into());
            text(&Written { har, app, entries: 3, dropped, ended, warnings: Vec::new() })
        };
        assert_eq!(of(0), "3 requests to wiki written to a.har: its time is over\n");
        assert_eq!(of(2), "3 requests to wiki written to a.har; 2 found no room and are missing: its time is over\n");
    }
}
