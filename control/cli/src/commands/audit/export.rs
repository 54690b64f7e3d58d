//! `export`: a log as JSON lines, page by page, to be gone on with later.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Result;
use postern_model::admin::{AUDIT_LIMIT_MAX, ExportLine, LogPage};
use postern_model::chain::{ENCODING, LogKind};
use postern_service::failure::Failure;
use serde::Deserialize;

use super::{Log, Query};
use crate::args::ExportLogArgs;
use crate::commands::Context;
use crate::output::print;

pub(super) fn run<R: Log>(context: &Context, query: Query, args: &ExportLogArgs) -> Result<()> {
    if !query.0.is_empty() {
        let filtered = "only some of the records are asked for: by themselves they are no chain that could be verified";
        context.output.warn(&[filtered.to_owned()]);
    }
    let Some(path) = &args.out else {
        return match pages::<R>(context, &query, args.after, &mut io::stdout().lock()) {
            Err(Stopped::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(stopped) => Err(stopped.into_error("stdout")),
            Ok(_) => Ok(()),
        };
    };
    let name = path.display().to_string();
    let mut file = open::<R>(path, args.after)?;
    let written = pages::<R>(context, &query, args.after, &mut file);
    let synced = file.sync_all();
    let Written { records, last } = written.map_err(|stopped| stopped.into_error(&name))?;
    synced.map_err(|error| unwritable(&name, &error))?;
    print(&match last {
        Some(last) => {
            format!("{records} records written to {name}, the last one is {last}: go on later with --after {last}\n")
        }
        None => format!("no records to write to {name}\n"),
    })
}

#[derive(Default)]
struct Written {
    records: u64,
    last: Option<u64>,
}

enum Stopped {
    /// Control, after how much.
    Unasked(anyhow::Error, Option<u64>),
    Unwritten(io::Error),
}

impl Stopped {
    fn into_error(self, name: &str) -> anyhow::Error {
        match self {
            Self::Unasked(error, Some(last)) => {
                error.context(format!("{name} has the records up to {last}: go on with --after {last}"))
            }
            Self::Unasked(error, None) => error,
            Self::Unwritten(error) => unwritable(name, &error),
        }
    }
}

/// Writes page after page, each in one piece.
fn pages<R: Log>(
    context: &Context,
    query: &Query,
    after: Option<u64>,
    out: &mut impl Write,
) -> Result<Written, Stopped> {
    let mut written = Written::default();
    let mut next = Some(after.unwrap_or(0));
    while next.is_some() {
        let asked = context.client.get(&query.page::<R>(("after", next), AUDIT_LIMIT_MAX));
        let page: LogPage<R> = asked.map_err(|error| Stopped::Unasked(error, written.last))?;
        let mut text = Vec::new();
        for record in page.items {
            (written.records, written.last) = (written.records + 1, Some(record.seq()));
            let line = ExportLine { log: R::LOG, encoding: ENCODING, record };
            serde_json::to_writer(&mut text, &line).map_err(|error| Stopped::Unwritten(error.into()))?;
            text.push(b'\n');
        }
        out.write_all(&text).and_then(|()| out.flush()).map_err(Stopped::Unwritten)?;
        next = page.next;
    }
    Ok(written)
}

/// The file to write to: a new one for its owner only, or, to go on, one that ends with the record given.
fn open<R: Log>(path: &Path, after: Option<u64>) -> Result<File> {
    let name = path.display().to_string();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => return Ok(file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unwritable(&name, &error)),
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| unwritable(&name, &error))?;
    let tail = tail(&mut file).map_err(|error| unwritable(&name, &error))?;
    let Some((end, last)) = tail else {
        let refused = Failure::new(format!("{name} is there already, and is no export that could be gone on with"));
        return Err(refused.cure("give another file with --out").into());
    };
    if (last.log, Some(last.seq)) != (R::LOG, after) {
        let (log, seq) = (last.log.as_str(), last.seq);
        let refused = Failure::new(format!("{name} is there already: the {log} log up to record {seq}"));
        let cure = match last.log == R::LOG {
            true => format!("go on with it: --after {seq}. Or give another file with --out"),
            false => "give another file with --out".to_owned(),
        };
        return Err(refused.cure(&cure).into());
    }
    // What was interrupted left a part of a line.
    let cut = file.set_len(end).and_then(|()| file.seek(SeekFrom::End(0)));
    cut.map_err(|error| unwritable(&name, &error))?;
    Ok(file)
}

#[derive(Deserialize)]
struct LastLine {
    log: LogKind,
    seq: u64,
}

/// Where the last whole line ends, and what it is.
fn tail(file: &mut File) -> io::Result<Option<(u64, LastLine)>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else { return Ok(None) };
    let begin = bytes[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let last = serde_json::from_slice(&bytes[begin..end]).ok();
    Ok(last.map(|last| (from + end as u64 + 1, last)))
}

fn unwritable(name: &str, error: &io::Error) -> anyhow::Error {
    Failure::new(format!("cannot write {name}: {error}")).into()
}

/// Two of the longest lines.
const TAIL_BYTES: u64 = 2 << 20;
