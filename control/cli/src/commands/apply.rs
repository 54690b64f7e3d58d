//! `postern apply`, `postern diff` and `postern export`.

use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::path;
use postern_model::document::{Applied, Apply, ChangeView, Document};
use postern_service::failure::Failure;
use postern_service::secret;

use super::Context;
use crate::args::{ApplyArgs, ExportArgs};
use crate::client::segment;
use crate::document::{self, Parsed, Source};
use crate::output::print;

/// `diff` found differences.
pub(crate) const EXIT_DIFFERENT: u8 = 3;

pub(super) fn apply(context: &Context, args: &ApplyArgs) -> Result<()> {
    let applied = ask(context, args, false)?;
    context.output.show(&applied, |applied| {
        let count = applied.changes.len();
        match count {
            0 => format!("no change: all is as {} says\n", args.file.display()),
            _ => format!("{}{count} changes applied, version {}\n", lines(&applied.changes), applied.version),
        }
    })?;
    context.output.warn(&applied.warnings);
    Ok(())
}

pub(super) fn diff(context: &Context, args: &ApplyArgs) -> Result<ExitCode> {
    let applied = ask(context, args, true)?;
    context.output.show(&applied, |applied| match applied.changes.len() {
        0 => format!("no difference: all is as {} says\n", args.file.display()),
        _ => lines(&applied.changes),
    })?;
    Ok(if applied.changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERENT) })
}

pub(super) fn export(context: &Context, args: &ExportArgs) -> Result<()> {
    let client = &context.client;
    let query = if args.without_users { "?without_users=true" } else { "" };
    let document: Document = client.get(&format!("{}{query}", path::document(&client.tenant())))?;
    let text = document::toml(&client.tenant(), &document);
    let Some(out) = &args.out else { return context.output.show(&document, |_| text) };
    // Whoever may apply it may read it; there is no secret in it.
    let written = secret::write_with_mode(out, text.as_bytes(), 0o644);
    written.map_err(|error| Failure::new(format!("cannot write {}: {error}", out.display())))?;
    print(&format!("written to {}\n", out.display()))
}

fn ask(context: &Context, args: &ApplyArgs, dry_run: bool) -> Result<Applied> {
    let source = Source::read(&args.file)?;
    let parsed = document::parse(&source)?;
    let tenant = tenant(context, &source, &parsed)?;
    let ApplyArgs { prune, create_tenant, force, .. } = *args;
    let asked = Apply { document: parsed.document.clone(), prune, create_tenant, dry_run, force };
    context.client.post(&path::apply(&tenant), &asked).map_err(|error| parsed.locate(&source, error))
}

/// The file's and the command's tenant must not contradict each other: it would be applied to the wrong one.
fn tenant(context: &Context, source: &Source, parsed: &Parsed) -> Result<String> {
    let client = &context.client;
    match (client.tenant_given(), &parsed.tenant) {
        (Some(given), Some(own)) if given != own.as_str() => {
            let message = format!("{} is for the tenant {own}, the command for {given}", source.name());
            Err(Failure::usage(message).cure("leave out --tenant and POSTERN_TENANT, or correct the file").into())
        }
        (None, Some(own)) => Ok(segment(own.as_str())),
        (Some(_) | None, _) => Ok(client.tenant()),
    }
}

/// One line for each change: `+` new, `~` changed, `-` removed.
fn lines(changes: &[ChangeView]) -> String {
    changes.iter().map(line).collect()
}

fn line(change: &ChangeView) -> String {
    let ChangeView { action: _, target, before, after } = change;
    let clean = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let text = match (before, after) {
        (None, None) => format!("+ {target}"),
        (None, Some(after)) => format!("+ {target}: {after}"),
        (Some(before), None) => format!("- {target}: {before}"),
        (Some(before), Some(after)) => format!("~ {target}: {before} => {after}"),
    };
    clean(&text) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_marked() {
        let change = |before: Option<&str>, after: Option<&str>| {
            let (before, after) = (before.map(str::to_owned), after.map(str::to_owned));
            line(&ChangeView { action: "x".into(), target: "limit tenant".into(), before, after })
        };
        assert_eq!(change(None, Some("rps=5")), "+ limit tenant: rps=5\n");
        assert_eq!(change(Some("rps=5"), Some("rps=6\x1b")), "~ limit tenant: rps=5 => rps=6\u{fffd}\n");
        assert_eq!(change(Some("rps=5"), None), "- limit tenant: rps=5\n");
        assert_eq!(change(None, None), "+ limit tenant\n");
    }
}
