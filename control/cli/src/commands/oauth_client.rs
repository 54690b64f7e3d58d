//! `postern client …`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use postern_model::admin::{AddClient, Changed, ClientChanged, ClientView, List, SetClient, path};
use postern_model::oauth::{ClientSettings, ClientType, ConsentBy, Scopes};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret::NewFile;

use super::Context;
use super::access::new_file;
use crate::args::{ClientAddArgs, ClientCommand, ClientSetArgs};
use crate::client::segment;
use crate::output::{Output, details, yes_no};

pub(super) fn run(context: &Context, command: ClientCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = |name: &str| path::client(&client.tenant(), &segment(name));
    match command {
        ClientCommand::Add(args) => add(context, args),
        ClientCommand::List => {
            let list: List<ClientView> = client.get(&path::clients(&client.tenant()))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        ClientCommand::Show { name } => {
            let view: ClientView = client.get(&target(&name))?;
            output.show(&view, |view| details(&fields(view)))
        }
        ClientCommand::Set(args) => {
            let name = args.name.clone();
            done(*output, &client.patch(&target(&name), &changes(args)?)?, "is changed")
        }
        ClientCommand::Enable { name } => done(*output, &client.patch(&target(&name), &disabled(false))?, "is enabled"),
        ClientCommand::Disable { name } => {
            done(*output, &client.patch(&target(&name), &disabled(true))?, "is disabled")
        }
        ClientCommand::Rotate { name, out } => {
            let file = out.as_deref().map(new_file).transpose()?;
            let rotated: ClientChanged =
                client.post(&path::client_rotate(&client.tenant(), &segment(&name)), &serde_json::json!({}))?;
            hand_over(*output, &rotated, out.zip(file))
        }
        ClientCommand::Remove { name } => {
            let changed: Changed = client.delete(&target(&name))?;
            output.changed(&changed, &format!("client {name} removed"), &changed.warnings)
        }
    }
}

fn add(context: &Context, args: ClientAddArgs) -> Result<()> {
    let Context { client, output } = context;
    let file = args.out.as_deref().map(new_file).transpose()?;
    let settings = ClientSettings {
        kind: args.kind(),
        redirect_uris: args.redirect_uris.into_iter().collect(),
        device: args.device,
        scopes: scopes(&args.scopes)?,
        consent: args.consent.into(),
        disabled: false,
    };
    let asked = AddClient { name: args.name, settings };
    let made: ClientChanged = client.post(&path::clients(&client.tenant()), &asked)?;
    hand_over(*output, &made, args.out.zip(file))
}

fn changes(args: ClientSetArgs) -> Result<SetClient> {
    let ClientSetArgs { name: _, redirect_uris, device, scopes: asked, consent } = args;
    Ok(SetClient {
        redirect_uris: (!redirect_uris.is_empty()).then(|| redirect_uris.into_iter().collect()),
        device,
        scopes: if asked.is_empty() { None } else { Some(scopes(&asked)?) },
        consent: consent.map(ConsentBy::from),
        disabled: None,
    })
}

fn disabled(disabled: bool) -> SetClient {
    SetClient { disabled: Some(disabled), ..SetClient::default() }
}

fn scopes(asked: &[String]) -> Result<Scopes> {
    asked.join(" ").parse().context("--scope")
}

/// Shows the client, and its secret if there is a new one, or writes that where only its owner reads it.
fn hand_over(output: Output, changed: &ClientChanged, out: Option<(PathBuf, NewFile)>) -> Result<()> {
    let name = &changed.client.name;
    let Some(secret) = &changed.secret else {
        return output.changed(changed, &details(&fields(&changed.client)), &changed.warnings);
    };
    let lost = |error: String| {
        Failure::new(format!("{error}: the new secret of client {name} is lost, and an older one is good no longer"))
            .cure(format!("postern client rotate {name} makes another one"))
    };
    let Some((out, file)) = out else {
        let text = |_: &ClientChanged| {
            let mut shown = fields(&changed.client);
            shown.push(("client secret", secret.expose().to_owned()));
            details(&shown)
        };
        output.show_once(changed, text).map_err(|error| lost(error.to_string()))?;
        output.warn(&changed.warnings);
        return Ok(());
    };
    let line = SecretText::new(format!("{}\n", secret.expose()));
    let shown = out.display();
    file.keep(line.expose().as_bytes()).map_err(|error| lost(format!("cannot write {shown}: {error}")))?;
    written(output, changed, &out)
}

fn written(output: Output, changed: &ClientChanged, out: &Path) -> Result<()> {
    let ClientChanged { client, secret: _, version, warnings } = changed;
    let value = serde_json::json!({"client": client, "version": version, "warnings": warnings, "file": out});
    let line = format!("secret of client {} ({}) written to {}", client.name, client.id, out.display());
    output.changed(&value, &line, warnings)
}

fn done(output: Output, changed: &ClientChanged, what: &str) -> Result<()> {
    output.changed(changed, &format!("client {} {what}", changed.client.name), &changed.warnings)
}

fn table(output: Output, clients: &[ClientView]) -> String {
    let table = output.table(["CLIENT ID", "NAME", "KIND", "ENABLED", "CONSENT", "SCOPES"]).rows(clients, |client| {
        let settings = &client.settings;
        [
            client.id.to_string(),
            client.name.to_string(),
            kind(settings).into(),
            yes_no(!settings.disabled),
            consent(settings).into(),
            settings.scopes.to_string(),
        ]
    });
    table.render(
        "no clients; add one: postern client add NAME --redirect-uri URI --public --scope openid --consent user",
    )
}

fn fields(client: &ClientView) -> Vec<(&'static str, String)> {
    let settings = &client.settings;
    let uris: Vec<&str> = settings.redirect_uris.iter().map(|uri| uri.as_str()).collect();
    vec![
        ("client id", client.id.to_string()),
        ("name", client.name.to_string()),
        ("kind", kind(settings).into()),
        ("enabled", yes_no(!settings.disabled)),
        ("redirect URIs", uris.join("\n")),
        ("device flow", yes_no(settings.device)),
        ("scopes", settings.scopes.to_string()),
        ("consent", consent(settings).into()),
        ("issuer", client.issuer.clone().unwrap_or_else(|| "none: postern identity publish".into())),
        ("grants", client.grants.to_string()),
    ]
}

const fn kind(settings: &ClientSettings) -> &'static str {
    match settings.kind {
        ClientType::Public => "public",
        ClientType::Confidential => "confidential",
    }
}

const fn consent(settings: &ClientSettings) -> &'static str {
    match settings.consent {
        ConsentBy::Admin => "admin",
        ConsentBy::User => "user",
    }
}
