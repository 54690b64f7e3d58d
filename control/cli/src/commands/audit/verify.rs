//! `verify`: whether a log is as it was written, asked of control or found out from an export.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::{ExportLine, Verified};
use postern_model::chain::{ENCODING, LogKind, Mark, Walk};
use postern_service::failure::Failure;
use serde::Deserialize;

use super::Log;
use crate::args::VerifyArgs;
use crate::commands::Context;

pub(super) fn run<R: Log>(context: &Context, args: &VerifyArgs) -> Result<ExitCode> {
    let verified = match &args.file {
        Some(file) if file.as_os_str() == "-" => read::<R>("standard input", io::stdin().lock(), args.expect)?,
        Some(file) => {
            let name = file.display().to_string();
            let opened = File::open(file).map_err(|error| unreadable(&name, &error))?;
            read::<R>(&name, BufReader::new(opened), args.expect)?
        }
        None => {
            let query = args.expect.map(|expect| format!("?expect={expect}")).unwrap_or_default();
            context.client.get_patiently(&format!("{}{query}", R::VERIFY_PATH))?
        }
    };
    context.output.show(&verified, text)?;
    Ok(if verified.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(verified: &Verified) -> String {
    let Verified { log, intact: _, records, base, head, broken } = verified;
    let log = log.as_str();
    let mut text = match broken {
        Some(broken) => format!("{log} log: not as it was: {}\n", broken.detail),
        None => format!("{log} log: all records are as they were written\n"),
    };
    if *records > 0 {
        let whole = if broken.is_some() { "whole" } else { "records" };
        text.push_str(&format!("{whole}: {records}, from {} to {}\n", base.seq + 1, head.seq));
    }
    match broken {
        Some(_) => text.push_str("see: postern explain log-broken\n"),
        None => text.push_str(&format!("head: {head}\n")),
    }
    text
}

/// The head of a line, to tell what it is before it is read.
#[derive(Deserialize)]
struct Head {
    log: LogKind,
    encoding: u8,
}

/// Walks an export. What the first record follows is taken from it: that may be the middle of a log.
fn read<R: Log>(name: &str, mut lines: impl BufRead, expect: Option<Mark>) -> Result<Verified> {
    let mut walk: Option<(Mark, Walk)> = None;
    let mut broken = None;
    for number in 1.. {
        let mut line = Vec::new();
        let took = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if took.map_err(|error| unreadable(name, &error))? == 0 {
            break;
        }
        let record = record::<R>(&line).map_err(|what| malformed(name, number, &what))?;
        let (_, walk) = walk.get_or_insert_with(|| {
            let base = match record.seq() {
                0 | 1 => Mark::START,
                seq => Mark { seq: seq - 1, hash: record.previous() },
            };
            (base, Walk::new(base, expect))
        });
        if let Err(found) = walk.step(&record) {
            broken = Some(found);
            break;
        }
    }
    let (base, mut walk) = walk.unwrap_or((Mark::START, Walk::new(Mark::START, expect)));
    let broken = broken.or_else(|| walk.end(None).err());
    let (records, head) = (walk.records(), walk.last());
    Ok(Verified { log: R::LOG, intact: broken.is_none(), records, base, head, broken })
}

fn record<R: Log>(line: &[u8]) -> Result<R, String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(match line.len() as u64 == LINE_BYTES_MAX {
            true => "is longer than any record".to_owned(),
            false => "is not complete: the export was interrupted".to_owned(),
        });
    };
    let head: Head = serde_json::from_slice(line).map_err(|_| "is no line of an export".to_owned())?;
    if head.encoding != ENCODING {
        return Err(format!("has hashes of kind {}, which this version does not know", head.encoding));
    }
    if head.log != R::LOG {
        let command = if head.log == LogKind::Audit { "audit" } else { "audit sign-ins" };
        return Err(format!("is of the {} log: use postern {command} verify", head.log.as_str()));
    }
    let line: ExportLine<R> = serde_json::from_slice(line).map_err(|error| format!("is no record: {error}"))?;
    Ok(line.record)
}

fn malformed(name: &str, number: u64, what: &str) -> anyhow::Error {
    Failure::new(format!("{name}:{number}: the line {what}")).code("log-broken").into()
}

fn unreadable(name: &str, error: &io::Error) -> anyhow::Error {
    Failure::new(format!("cannot read {name}: {error}")).code("file-unreadable").into()
}

/// Far above the longest record: 16 KB of a sign-in, and in the audit log what was and what is.
const LINE_BYTES_MAX: u64 = 1 << 20;
