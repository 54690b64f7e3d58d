//! `postern inventory …`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use postern_model::admin::{AppView, AssignmentView, List, path};
use postern_service::failure::Failure;
use postern_service::secret::{self, NewFile};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Context;
use crate::args::{InventoryCommand, PlanArgs, SheetArgs};
use crate::inventory::{self, Looked, Mistake, Plan, Row, Sheet};
use crate::output::Output;

pub(super) fn run(context: &Context, command: &InventoryCommand) -> Result<()> {
    let output = context.output;
    match command {
        InventoryCommand::Template(sheet) => template(output, sheet),
        InventoryCommand::Probe { file, sheet } => probe(output, file, sheet),
        InventoryCommand::Import { file, sheet } => {
            let read = checked(output, file)?;
            deliver(output, sheet, &Rows { rows: &read.rows, looked: &[], warnings: &read.warnings })
        }
        InventoryCommand::Export(sheet) => export(context, sheet),
        InventoryCommand::Plan(args) => plan(output, args),
    }
}

/// A sheet that somebody filled in is worth more than an empty one.
fn template(output: Output, sheet: &SheetArgs) -> Result<()> {
    deliver_by(write_new, output, sheet, &Rows { rows: &[Row::example()], looked: &[], warnings: &[] })
}

fn probe(output: Output, file: &Path, sheet: &SheetArgs) -> Result<()> {
    let mut read = checked(output, file)?;
    if let Some(out) = &sheet.out {
        check_place(out)?;
    }
    let looked = inventory::probe(&mut read.rows)?;
    output.tell(&looked.iter().flat_map(findings).collect::<Vec<_>>());
    deliver(output, sheet, &Rows { rows: &read.rows, looked: &looked, warnings: &read.warnings })
}

fn findings(looked: &Looked) -> Vec<String> {
    let Looked { name, found, missed, filled } = looked;
    let found = found.iter().map(|found| format!("{name}: {found}"));
    let missed = missed.iter().map(|missed| format!("{name}: not seen: {missed}"));
    let filled = if filled.is_empty() { "nothing".into() } else { filled.join(", ") };
    found.chain(missed).chain([format!("{name}: filled in: {filled}")]).collect()
}

fn export(context: &Context, sheet: &SheetArgs) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    let apps: List<AppView> = client.get(&path::apps(&tenant))?;
    let assignments: List<AssignmentView> = client.get(&path::assignments(&tenant))?;
    let rows = inventory::published(&apps.items, &assignments.items);
    deliver(*output, sheet, &Rows { rows: &rows, looked: &[], warnings: &[] })
}

fn plan(output: Output, args: &PlanArgs) -> Result<()> {
    let sheet = checked(output, &args.file)?;
    let Plan { text, planned, left_out, warnings } = inventory::plan(&sheet, args.group.as_ref());
    if planned.is_empty() {
        let none = format!("nothing in {} can be published: {}", sheet.name, left_out.join("; "));
        return Err(Failure::new(none).cure("fill in internal URL and external URL").into());
    }
    output.warn(&warnings);
    let warnings = sheet.warnings.into_iter().chain(warnings).collect();
    if let Some(file) = &args.out {
        write(file, text.as_bytes())?;
    }
    let shown = match &args.out {
        Some(file) => format!("{} applications planned in {}\n", planned.len(), file.display()),
        None => text.clone(),
    };
    let file = args.out.as_ref().map(|file| file.display().to_string());
    output.show(&Planned { file, plan: text, apps: planned, left_out, warnings }, |_| shown)
}

#[derive(Serialize)]
struct Planned {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// TOML.
    plan: String,
    apps: Vec<String>,
    left_out: Vec<String>,
    warnings: Vec<String>,
}

/// A file's rows, all of them right.
fn checked(output: Output, file: &Path) -> Result<Sheet> {
    let sheet = inventory::read(file)?.map_err(|mistakes| refused(output, &mistakes))?;
    let mistakes = inventory::check(&sheet.rows);
    if !mistakes.is_empty() {
        return Err(refused(output, &mistakes).into());
    }
    output.warn(&sheet.warnings);
    Ok(sheet)
}

/// All mistakes, a line for each where people read them.
fn refused(output: Output, mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    match lines.as_slice() {
        [one] => Failure::usage(one.clone()),
        _ if output.tell(&lines) => Failure::usage(format!("{} mistakes: nothing is done", lines.len())),
        _ => Failure::usage(lines.join("; ")), // for programs, within the document
    }
}

/// What a sheet is written of.
struct Rows<'a> {
    rows: &'a [Row],
    looked: &'a [Looked],
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Delivered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    items: Vec<Map<String, Value>>,
    looked: &'a [Looked],
    warnings: &'a [String],
}

/// As a file, or on stdout: CSV for people, with `-o json` the rows as JSON.
fn deliver(output: Output, to: &SheetArgs, of: &Rows<'_>) -> Result<()> {
    deliver_by(write, output, to, of)
}

fn deliver_by(write: fn(&Path, &[u8]) -> Result<()>, output: Output, to: &SheetArgs, of: &Rows<'_>) -> Result<()> {
    let bytes = inventory::csv(of.rows, to.bom)?;
    if let Some(file) = &to.out {
        write(file, &bytes)?;
    }
    let shown = match &to.out {
        Some(file) => format!("{} applications written to {}\n", of.rows.len(), file.display()),
        None => String::from_utf8(bytes)?,
    };
    let file = to.out.as_ref().map(|file| file.display().to_string());
    let items = inventory::objects(of.rows);
    output.show(&Delivered { file, items, looked: of.looked, warnings: of.warnings }, |_| shown)
}

/// No secret is in a sheet, nor in what is made of it.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    Ok(secret::write_with_mode(file, bytes, 0o644).map_err(|error| unwritable(file, &error))?)
}

/// As [`write()`], but never over anything that is there, nor what came to be there meanwhile.
fn write_new(file: &Path, bytes: &[u8]) -> Result<()> {
    let written = secret::write_whole_new_with_mode(file, bytes, 0o644);
    Ok(written.map_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            return unwritable(file, &error);
        }
        Failure::new(format!("{} exists already", file.display())).cure("name another file with --out")
    })?)
}

/// That the sheet can be written is known before anything is looked at, which may take hours.
fn check_place(file: &Path) -> Result<()> {
    if file.is_dir() {
        return Err(unwritable(file, &ErrorKind::IsADirectory.into()).into());
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    match NewFile::create(Path::new(&beside)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unwritable(file, &error).into()),
        Ok(_) | Err(_) => Ok(()), // it is removed again
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", file.display()))
}
