//! `postern terms …`.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use postern_model::admin::{
    AcceptanceView, AcceptancesPage, Changed, CreateTerms, List, TermsChanged, TermsView, UpdateTerms, path,
};
use postern_model::terms::{TERMS_TEXT_BYTES_MAX, TermsFormat, TermsText};
use postern_service::duration;
use postern_service::failure::Failure;

use super::Context;
use crate::args::{TermsCommand, TermsUpdateArgs};
use crate::client::segment;
use crate::output::{Output, details, joined, yes_no};
use crate::time_text::{relative, utc};

pub(super) fn run(context: &Context, command: TermsCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        TermsCommand::Create(args) => {
            let (text, format) = text_of(&args.file).map_err(Failure::usage)?;
            let every_s = args.every.map(seconds);
            let request = CreateTerms { name: args.name, title: args.title, text, format, every_s };
            let made: TermsChanged = client.post(&path::terms(&tenant), &request)?;
            let name = &made.terms.name;
            let sentence = format!("terms {name} made: ask for them with postern policy … --require terms/{name}");
            output.changed(&made, &sentence, &made.warnings)
        }
        TermsCommand::List => {
            let list: List<TermsView> = client.get(&path::terms(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        TermsCommand::Show { name, version } => {
            let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
            let terms: TermsView = client.get(&format!("{}{query}", path::terms_named(&tenant, &segment(&name))))?;
            output.show(&terms, show)
        }
        TermsCommand::Update(args) => update(context, args),
        TermsCommand::Remove { name } => {
            let changed: Changed = client.delete(&path::terms_named(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("terms {name} removed"), &changed.warnings)
        }
        TermsCommand::Acceptances { name } => acceptances(context, &name),
    }
}

fn update(context: &Context, args: TermsUpdateArgs) -> Result<()> {
    let Context { client, output } = context;
    let TermsUpdateArgs { name, title, file, every, once, again } = args;
    let text = file.as_deref().map(text_of).transpose().map_err(Failure::usage)?;
    let every_s = if once { Some(0) } else { every.map(seconds) };
    let request = UpdateTerms { title, text, every_s, again };
    let changed: TermsChanged = client.patch(&path::terms_named(&client.tenant(), &segment(&name)), &request)?;
    let asked = match again {
        true => "everybody is asked to accept it",
        false => "whoever accepted an earlier one that counts is not asked again",
    };
    let sentence = format!("terms {name} are at version {}: {asked}", changed.terms.version);
    output.changed(&changed, &sentence, &changed.warnings)
}

fn acceptances(context: &Context, name: &str) -> Result<()> {
    let Context { client, output } = context;
    let target = path::terms_acceptances(&client.tenant(), &segment(name));
    let mut all = AcceptancesPage { items: Vec::new(), next: None };
    loop {
        let query = all.next.map(|after| format!("?after={after}")).unwrap_or_default();
        let page: AcceptancesPage = client.get(&format!("{target}{query}"))?;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.show(&List { items: all.items }, |list| accepted(*output, &list.items))
}

/// A text, and by its name how it is shown.
pub(crate) fn text_of(file: &Path) -> Result<(TermsText, TermsFormat), String> {
    let unfit = |why: String| format!("{}: {why}", file.display());
    let length = std::fs::metadata(file).map_err(|error| unfit(error.to_string()))?.len();
    // Before it is read: a slip of the hand may name anything.
    if length > 2 * TERMS_TEXT_BYTES_MAX as u64 {
        return Err(unfit(format!("it has {length} bytes; at most {TERMS_TEXT_BYTES_MAX} are kept")));
    }
    let bytes = std::fs::read(file).map_err(|error| unfit(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        unfit(format!("line {line}: this is no UTF-8"))
    })?;
    let is_markdown = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
    let format = if is_markdown { TermsFormat::Markdown } else { TermsFormat::Plain };
    Ok((TermsText::try_from(text).map_err(|error| unfit(error.to_string()))?, format))
}

fn seconds(every: Duration) -> u32 {
    // What is longer than can be said is refused by control.
    u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1)
}

fn every(terms: &TermsView) -> String {
    terms.every_s.map_or_else(|| "once".into(), |every_s| duration::human(Duration::from_secs(every_s.into())))
}

fn table(output: Output, terms: &[TermsView]) -> String {
    let now = SystemTime::now();
    let table =
        output.table(["NAME", "TITLE", "VERSION", "COUNTS FROM", "EVERY", "MADE", "POLICIES"]).rows(terms, |one| {
            [
                one.name.to_string(),
                one.title.to_string(),
                one.version.to_string(),
                one.again_from.to_string(),
                every(one),
                relative(one.made_unix, now),
                joined(&one.policies.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ]
        });
    table.render("no terms of use; make some: postern terms create NAME --title TEXT --file FILE")
}

fn show(terms: &TermsView) -> String {
    let head = details(&[
        ("name", terms.name.to_string()),
        ("title", terms.title.to_string()),
        ("version", format!("{}, made {}", terms.version, utc(terms.made_unix))),
        ("counts", format!("whoever accepted version {} or a later one", terms.again_from)),
        ("every", every(terms)),
        ("policies", terms.policies.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        ("format", terms.format.to_string()),
    ]);
    let text = terms.text.as_ref().map_or("", TermsText::as_str);
    format!("{head}\n{}\n", text.trim_end())
}

fn accepted(output: Output, acceptances: &[AcceptanceView]) -> String {
    let table = output.table(["USER", "VERSION", "ACCEPTED", "COUNTS"]).rows(acceptances, |one| {
        [one.login.to_string(), one.version.to_string(), utc(one.accepted_unix), yes_no(one.counts)]
    });
    table.render("nobody accepted these terms")
}
