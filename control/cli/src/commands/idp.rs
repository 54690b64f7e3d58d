//! `postern idp …`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use postern_model::admin::{
    AddProvider, Changed, List, ProviderChanged, ProviderProbe, ProviderView, SetProvider, path,
};
use postern_model::external::ProviderSettings;
use postern_model::secret::SecretText;
use serde_json::{Map, Value, json};

use super::Context;
use super::app::read_key;
use crate::args::{IdpAddArgs, IdpCommand, IdpSetArgs, IdpSettingsArgs};
use crate::client::{read_text, segment};
use crate::output::{Output, details, yes_no};

pub(super) fn run(context: &Context, command: IdpCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = |name: &str| path::provider(&client.tenant(), &segment(name));
    match command {
        IdpCommand::Add(args) => {
            let made: ProviderChanged = client.post(&path::providers(&client.tenant()), &added(*args)?)?;
            output.changed(&made, &show(&made.provider), &made.warnings)
        }
        IdpCommand::List => {
            let list: List<ProviderView> = client.get(&path::providers(&client.tenant()))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        IdpCommand::Show { name } => {
            let view: ProviderView = client.get(&target(&name))?;
            output.show(&view, show)
        }
        IdpCommand::Probe { name } => {
            let path = path::provider_probe(&client.tenant(), &segment(&name));
            let probe: ProviderProbe = client.get_patiently(&path)?;
            output.show(&probe, |probe| match &probe.code {
                None => format!("users can sign in by {name}: its description and keys are there\n"),
                Some(code) => format!("{code}: {}\n", probe.detail.as_deref().unwrap_or_default()),
            })?;
            if probe.usable { Ok(()) } else { bail!("nobody can sign in by {name}") }
        }
        IdpCommand::Set(args) => {
            let name = args.name.clone();
            done(*output, &client.patch(&target(&name), &changes(*args)?)?, "is changed")
        }
        IdpCommand::Enable { name } => done(*output, &client.patch(&target(&name), &disabled(false))?, "is enabled"),
        IdpCommand::Disable { name } => done(*output, &client.patch(&target(&name), &disabled(true))?, "is disabled"),
        IdpCommand::Remove { name } => {
            let changed: Changed = client.delete(&target(&name))?;
            output.changed(&changed, &format!("identity provider {name} removed"), &changed.warnings)
        }
    }
}

fn added(args: IdpAddArgs) -> Result<AddProvider> {
    let IdpAddArgs { name, issuer, client_id, settings } = args;
    let mut fields = given(&settings)?;
    fields.insert("issuer".into(), json!(issuer));
    fields.insert("client_id".into(), json!(client_id));
    Ok(AddProvider {
        name,
        settings: serde_json::from_value(Value::Object(fields)).context("the provider's settings")?,
        client_secret: settings.client_secret_file.as_deref().map(secret).transpose()?,
        groups: settings.map_group.into_iter().collect(),
    })
}

fn changes(args: IdpSetArgs) -> Result<SetProvider> {
    let IdpSetArgs { name: _, client_id, settings, unmap_group, unset } = args;
    let mut fields = given(&settings)?;
    fields.extend(client_id.map(|id| ("client_id".to_owned(), json!(id))));
    fields.extend(unset.into_iter().map(|key| (key, Value::Null)));
    let mut groups: BTreeMap<_, _> =
        settings.map_group.into_iter().map(|(claimed, group)| (claimed, Some(group))).collect();
    groups.extend(unmap_group.into_iter().map(|claimed| (claimed, None)));
    let client_secret = settings.client_secret_file.as_deref().map(secret).transpose()?;
    Ok(SetProvider { settings: fields, client_secret, groups })
}

fn disabled(disabled: bool) -> SetProvider {
    let settings = Map::from_iter([("disabled".to_owned(), json!(disabled))]);
    SetProvider { settings, ..SetProvider::default() }
}

/// The settings that were given, by their keys.
fn given(args: &IdpSettingsArgs) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Option<Value>| fields.extend(value.map(|value| (key.to_owned(), value)));
    let some = |list: &[String]| (!list.is_empty()).then(|| json!(list));
    put("label", args.label.as_ref().map(|text| json!(text)));
    put("domains", some(&args.domain));
    put("domain_hint_parameter", args.domain_hint_parameter.as_ref().map(|text| json!(text)));
    put("scopes", some(&args.scopes));
    put("login_claims", some(&args.claim_login));
    put("display_name_claim", args.claim_display_name.as_ref().map(|text| json!(text)));
    put("mail_claim", args.claim_mail.as_ref().map(|text| json!(text)));
    put("trust_mail", args.trust_mail.map(|on| json!(on)));
    put("group_claim", args.group_claim.as_ref().map(|text| json!(text)));
    put("users", args.users.as_ref().map(|text| json!(text)));
    put("device_claims", (!args.device_claim.is_empty()).then(|| json!(args.device_claim)));
    put("require_mfa", args.require_mfa.map(|on| json!(on)));
    put("default", args.default.map(|on| json!(on)));
    put("ca_pem", args.ca.as_deref().map(read_text).transpose()?.map(|text| json!(text)));
    put("skew_s", args.skew.map(|seconds| json!(seconds)));
    put("fetch_timeout_ms", args.fetch_timeout_ms.map(|ms| json!(ms)));
    put("insecure_loopback", args.insecure_loopback.then_some(Value::Bool(true)));
    let mut acr: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    args.acr.iter().for_each(|(value, method)| acr.entry(value).or_default().push(method));
    put("acr", (!acr.is_empty()).then(|| json!(acr)));
    Ok(fields)
}

/// A file that others may not read, without the line break at its end.
fn secret(file: &Path) -> Result<SecretText> {
    let text = read_key(file)?;
    Ok(SecretText::new(text.expose().trim_end_matches(['\r', '\n']).to_owned()))
}

fn done(output: Output, changed: &ProviderChanged, what: &str) -> Result<()> {
    output.changed(changed, &format!("identity provider {} {what}", changed.provider.name), &changed.warnings)
}

fn table(output: Output, providers: &[ProviderView]) -> String {
    let table = output.table(["NAME", "ISSUER", "ENABLED", "USERS", "LINKED", "DEVICES", "DOMAINS"]);
    let table = table.rows(providers, |provider| {
        let settings = &provider.settings;
        let domains: Vec<&str> = settings.domains.iter().map(String::as_str).collect();
        [
            provider.name.to_string(),
            settings.issuer.clone(),
            yes_no(!settings.disabled),
            format!("{:?}", settings.users).to_ascii_lowercase(),
            provider.users.to_string(),
            vouches_for(settings),
            domains.join(", "),
        ]
    });
    table.render(
        "no providers: users sign in by the directory; add one: postern idp add NAME --issuer URL --client-id ID",
    )
}

/// The best that it may say of a device.
fn vouches_for(settings: &ProviderSettings) -> String {
    let best = settings.device_claims.state_max();
    if best.is_unknown() { "-".into() } else { best.to_string() }
}

fn show(provider: &ProviderView) -> String {
    let settings = &provider.settings;
    let none = || String::from("-");
    let domains: Vec<&str> = settings.domains.iter().map(String::as_str).collect();
    let groups: Vec<String> = provider.groups.iter().map(|(claimed, group)| format!("{claimed} → {group}")).collect();
    let or_dash = |text: String| if text.is_empty() { none() } else { text };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(none);
    details(&[
        ("name", provider.name.to_string()),
        ("label", settings.label.to_string()),
        ("issuer", settings.issuer.clone()),
        ("client id", settings.client_id.clone()),
        ("client secret", if provider.has_secret { "kept, and not shown" } else { "none" }.into()),
        ("enabled", yes_no(!settings.disabled)),
        ("default", yes_no(settings.default)),
        ("domains", domains.join(", ")),
        ("unknown users", format!("{:?}", settings.users).to_ascii_lowercase()),
        ("users linked", provider.users.to_string()),
        ("needs more than one factor", yes_no(settings.require_mfa)),
        ("device claims", or_dash(settings.device_claims.texts().join(", "))),
        ("group claim", or_none(&settings.group_claim)),
        ("groups", groups.join(", ")),
        ("redirect address", or_none(&provider.redirect_uri)),
        ("after sign-out", or_none(&provider.post_logout_redirect_uri)),
        ("back-channel logout", or_none(&provider.backchannel_logout_uri)),
    ])
}
