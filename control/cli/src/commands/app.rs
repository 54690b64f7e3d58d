//! `postern app …`.

mod check;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::{AppPublished, AppView, Changed, List, PublishApp, SetApp, path};
use postern_model::config::{CertificateOrigin, Preauth};
use postern_model::secret::SecretText;
use postern_service::secret;

use super::Context;
use crate::args::{AppCommand, PublishArgs, SetArgs};
use crate::client::{read_text, segment};
use crate::output::{Output, details};
use crate::time_text::utc;

pub(super) fn run(context: &Context, command: AppCommand) -> Result<ExitCode> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    let shown = match command {
        AppCommand::Check(args) => return check::run(context, args),
        AppCommand::Publish(args) => {
            let published: AppPublished = client.post(&path::apps(&tenant), &publication(args)?)?;
            let line = format!("{} is published at {}", published.app.name, published.app.external_url);
            output.changed(&published, &line, &published.warnings)
        }
        AppCommand::List => {
            let list: List<AppView> = client.get(&path::apps(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        AppCommand::Show { name } => {
            let app: AppView = client.get(&path::app(&tenant, &segment(&name)))?;
            output.show(&app, show)
        }
        AppCommand::Set(args) => {
            let target = path::app(&tenant, &segment(&args.name));
            let changed: AppPublished = client.patch(&target, &change(args)?)?;
            output.changed(&changed, &format!("{} is changed", changed.app.name), &changed.warnings)
        }
        AppCommand::Unpublish { name } => {
            let changed: Changed = client.delete(&path::app(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("{name} is no longer published"), &changed.warnings)
        }
    };
    shown.map(|()| ExitCode::SUCCESS)
}

fn publication(args: PublishArgs) -> Result<PublishApp> {
    Ok(PublishApp {
        name: args.name,
        external_url: args.external,
        internal_url: args.internal,
        preauth: args.preauth.into(),
        group: args.group,
        certificate_pem: args.certificate.cert.as_deref().map(read_text).transpose()?,
        key_pem: args.certificate.key.as_deref().map(read_key).transpose()?,
        settings: settings(args.settings)?,
    })
}

fn change(args: SetArgs) -> Result<SetApp> {
    let set = settings(args.settings)?.into_iter().map(|(name, value)| (name, Some(value)));
    let unset = args.unset.into_iter().map(|name| (name, None));
    Ok(SetApp {
        external_url: args.external,
        internal_url: args.internal,
        preauth: args.preauth.map(Into::into),
        group: args.group,
        certificate_pem: args.certificate.cert.as_deref().map(read_text).transpose()?,
        key_pem: args.certificate.key.as_deref().map(read_key).transpose()?,
        settings: set.chain(unset).collect(),
    })
}

/// `@FILE` stands for the file's content.
fn settings(given: Vec<(String, String)>) -> Result<BTreeMap<String, String>> {
    given
        .into_iter()
        .map(|(name, value)| match value.strip_prefix('@') {
            Some(file) => Ok((name, read_text(Path::new(file))?)),
            None => Ok((name, value)),
        })
        .collect()
}

pub(super) fn read_key(path: &Path) -> Result<SecretText> {
    if let Some(warning) = secret::exposure(path) {
        eprintln!("warning: {warning}");
    }
    Ok(SecretText::new(secret::read_text(path)?.to_string()))
}

fn table(output: Output, apps: &[AppView]) -> String {
    let table =
        output.table(["ID", "NAME", "EXTERNAL", "INTERNAL", "PREAUTH", "GROUP", "CONNECTORS"]).rows(apps, |app| {
            [
                app.id.to_string(),
                app.name.to_string(),
                app.external_url.clone(),
                app.internal_url.clone(),
                preauth(app.preauth).into(),
                app.group.to_string(),
                format!("{} online", app.connectors_online),
            ]
        });
    table.render("no applications; publish one: postern app publish --help")
}

fn show(app: &AppView) -> String {
    let corporate: Vec<String> =
        app.corporate_requests.iter().map(|(network, requests)| format!("{network}: {requests} requests")).collect();
    let settings: Vec<String> = app.settings.iter().map(|(name, value)| setting(name, value)).collect();
    details(&[
        ("id", app.id.to_string()),
        ("name", app.name.to_string()),
        ("external", app.external_url.clone()),
        ("internal", app.internal_url.clone()),
        ("CNAME target", app.cname_target.clone().unwrap_or_default()),
        ("preauth", preauth(app.preauth).into()),
        ("group", format!("{} ({} connectors online)", app.group, app.connectors_online)),
        (
            "certificate",
            format!(
                "{}, {}, until {}",
                app.certificate.id,
                origin(app.certificate.origin),
                utc(app.certificate.not_after_unix)
            ),
        ),
        ("settings", settings.join("\n")),
        ("from corporate networks", corporate.join("\n")),
    ])
}

/// An image is nothing to read; `-o json` has it.
fn setting(name: &str, value: &str) -> String {
    match value.split_once(',').filter(|(kind, _)| kind.starts_with("data:")) {
        Some((kind, data)) => format!("{name}={kind},… ({} bytes)", data.len()),
        None => format!("{name}={value}"),
    }
}

fn preauth(preauth: Preauth) -> &'static str {
    match preauth {
        Preauth::Passthrough => "passthrough",
        Preauth::Oidc => "oidc",
    }
}

pub(super) fn origin(origin: CertificateOrigin) -> &'static str {
    match origin {
        CertificateOrigin::Issued => "issued by Postern",
        CertificateOrigin::Given => "given",
    }
}
