//! `postern directory-sync …`.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use postern_model::admin::{
    AddSource, Changed, LastPass, List, RunAsked, RunSource, SetSource, SourceChanged, SourceView, path,
};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{AddSourceArgs, DirectorySyncCommand, SetSourceArgs, SourceArgs};
use crate::client::segment;
use crate::output::{Output, details, yes_no};
use crate::time_text::relative_ms;

pub(super) fn run(context: &Context, command: DirectorySyncCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = |name: &str| path::directory_source(&client.tenant(), &segment(name));
    match command {
        DirectorySyncCommand::Add(args) => {
            let made: SourceChanged = client.post(&path::directory_sources(&client.tenant()), &added(*args)?)?;
            output.changed(&made, &show(&made.source), &made.warnings)
        }
        DirectorySyncCommand::List => {
            let list: List<SourceView> = client.get(&path::directory_sources(&client.tenant()))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        DirectorySyncCommand::Show { name } => {
            let view: SourceView = client.get(&target(&name))?;
            output.show(&view, show)
        }
        DirectorySyncCommand::Set(args) => {
            let name = args.name.clone();
            let changed: SourceChanged = client.patch(&target(&name), &changes(*args))?;
            output.changed(&changed, &format!("directory source {name} is changed"), &changed.warnings)
        }
        DirectorySyncCommand::Remove { name } => {
            let changed: Changed = client.delete(&target(&name))?;
            output.changed(&changed, &format!("directory source {name} removed"), &changed.warnings)
        }
        DirectorySyncCommand::Run { name, confirm_removals, wait } => {
            let path = path::directory_source_run(&client.tenant(), &segment(&name));
            let asked: RunAsked = client.post(&path, &RunSource { confirm_removals })?;
            match wait {
                None => output.changed(
                    &asked,
                    &format!("{name} is read as soon as its process hears of it"),
                    &asked.warnings,
                ),
                Some(wait) => {
                    output.warn(&asked.warnings);
                    awaited(context, &target(&name), asked.run, wait)
                }
            }
        }
        DirectorySyncCommand::Status { name } => {
            let view: SourceView = client.get(&target(&name))?;
            output.show(&view, status)
        }
    }
}

fn awaited(context: &Context, target: &str, run: u64, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    loop {
        let view: SourceView = context.client.get(target)?;
        if view.runs_done >= run {
            context.output.show(&view, status)?;
            return match view.last.and_then(|last| last.failed.map(|code| (code, last.detail))) {
                None => Ok(()),
                Some((code, detail)) => bail!("{code}: {}", detail.unwrap_or_default()),
            };
        }
        if Instant::now() >= end {
            bail!("the pass is not over yet: postern directory-sync status {}", view.name);
        }
        std::thread::sleep(POLL);
    }
}

fn added(args: AddSourceArgs) -> Result<AddSource> {
    let AddSourceArgs { name, kind, settings } = args;
    let kind = serde_json::from_value(json!(kind)).context("the kind of directory")?;
    Ok(AddSource { name, kind, settings: given(settings) })
}

fn changes(args: SetSourceArgs) -> SetSource {
    let SetSourceArgs { name: _, settings, without_attribute, unset } = args;
    let mut fields = given(settings);
    if !without_attribute.is_empty() {
        let attributes = fields.entry("attributes").or_insert_with(|| json!({}));
        without_attribute.iter().for_each(|name| attributes[name.as_str()] = Value::Null);
    }
    fields.extend(unset.into_iter().map(|key| (key, Value::Null)));
    SetSource { settings: fields }
}

/// The settings that were given, by their keys.
fn given(args: SourceArgs) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Option<Value>| fields.extend(value.map(|value| (key.to_owned(), value)));
    let text = |text: Option<String>| text.map(Value::String);
    let seconds = |time: Option<Duration>| time.map(|time| json!(time.as_secs()));
    put("users_base", text(args.users_base));
    put("users_filter", text(args.users_filter));
    put("groups_base", text(args.groups_base));
    put("groups_filter", text(args.groups_filter));
    put("id_attribute", text(args.id_attribute));
    put("login_attributes", (!args.login.is_empty()).then(|| json!(args.login)));
    put("display_name_attribute", text(args.display_name));
    put("mail_attribute", text(args.mail));
    let attributes: Map<String, Value> =
        args.attribute.into_iter().map(|(name, from)| (name.to_string(), Value::String(from))).collect();
    put("attributes", (!attributes.is_empty()).then_some(Value::Object(attributes)));
    put("group_name_attribute", text(args.group_name));
    put("member_attribute", text(args.member));
    put("changed_attribute", text(args.changed));
    put("interval_s", seconds(args.interval));
    put("full_every_s", seconds(args.full_every));
    put("max_delete_percent", args.max_delete.map(|percent| json!(percent)));
    put("gone", text(args.gone));
    put("disabled", args.disabled.map(Value::Bool));
    fields
}

fn table(output: Output, sources: &[SourceView]) -> String {
    let now = SystemTime::now();
    let header = ["NAME", "ENABLED", "ONLINE", "USERS", "GROUPS", "LAST", "RESULT"];
    let table = output.table(header).rows(sources, |source| {
        let last = source.last.as_ref();
        [
            source.name.to_string(),
            yes_no(!source.settings.disabled),
            source.online.to_string(),
            source.users.to_string(),
            source.groups.to_string(),
            last.map_or_else(|| "-".into(), |last| relative_ms(last.ended_unix_ms, now)),
            last.map_or_else(|| "-".into(), result),
        ]
    });
    table.render("no sources; add one: postern directory-sync add NAME --kind active-directory --users-base DN")
}

fn result(last: &LastPass) -> String {
    match &last.failed {
        Some(code) => code.clone(),
        None if last.troubles_total > 0 => format!("done, but for {} entries", last.troubles_total),
        None => "done".into(),
    }
}

fn show(source: &SourceView) -> String {
    let settings = &source.settings;
    let attributes: Vec<String> = settings.attributes.iter().map(|(name, from)| format!("{name}={from}")).collect();
    details(&[
        ("name", source.name.to_string()),
        ("connector group", source.group.to_string()),
        ("enabled", yes_no(!settings.disabled)),
        ("processes online", source.online.to_string()),
        ("users", format!("{} below {}", settings.users_filter, settings.users_base)),
        (
            "groups",
            settings
                .groups_base
                .as_ref()
                .map_or_else(|| "none are read".into(), |base| format!("{} below {base}", settings.groups_filter)),
        ),
        ("id", settings.id_attribute.clone()),
        ("login", settings.login_attributes.join(", ")),
        ("display name", settings.display_name_attribute.clone()),
        ("mail", settings.mail_attribute.clone()),
        ("attributes", attributes.join(", ")),
        ("group name", settings.group_name_attribute.clone()),
        ("members", settings.member_attribute.clone()),
        ("changes", format!("by {}, every {} s", settings.changed_attribute, settings.interval_s)),
        ("everything", format!("every {} s", settings.full_every_s)),
        ("gone at once", format!("at most {} %", settings.max_delete_percent)),
        ("who is gone is", format!("{:?}d", settings.gone).to_ascii_lowercase()),
    ])
}

fn status(source: &SourceView) -> String {
    let now = SystemTime::now();
    let mut lines = vec![
        ("name", source.name.to_string()),
        ("processes online", source.online.to_string()),
        ("users", source.users.to_string()),
        ("groups", source.groups.to_string()),
        ("reading now", yes_no(source.running)),
    ];
    let Some(last) = &source.last else {
        lines.push(("last pass", "none since control started".into()));
        return details(&lines);
    };
    let kind = if last.full { "everything" } else { "what had changed" };
    lines.extend([
        ("last pass", format!("{}, {kind}, {} ms", relative_ms(last.ended_unix_ms, now), last.took_ms)),
        ("read", format!("{} users, {} groups", last.users_read, last.groups_read)),
        ("made", last.created.to_string()),
        ("changed", last.changed.to_string()),
        ("gone", last.removed.to_string()),
        ("result", result(last)),
    ]);
    lines.extend(last.detail.clone().map(|detail| ("detail", detail)));
    let mut text = details(&lines);
    for trouble in &last.troubles {
        text.push_str(&format!("  {}: {}\n", trouble.object, trouble.what));
    }
    text
}

const POLL: Duration = Duration::from_millis(200);
