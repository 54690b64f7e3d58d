//! `postern access token …`.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{
    Changed, CreateServiceToken, List, RotateServiceToken, ServiceTokenChanged, ServiceTokenIssued, ServiceTokenView,
    SetServiceToken, Validity, path,
};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret::NewFile;

use super::{Context, user_token};
use crate::args::{
    AccessCommand, AccessDeviceCommand, AccessTokenCommand, CreateTokenArgs, RotateTokenArgs, SetTokenArgs,
    ValidityArgs,
};
use crate::client::segment;
use crate::output::{Output, details, joined};
use crate::time_text::{relative, relative_ms, utc};

pub(super) fn run(context: &Context, command: AccessCommand) -> Result<()> {
    match command {
        AccessCommand::Login(args) => user_token::login(&args),
        AccessCommand::Curl(args) => user_token::curl(&args),
        AccessCommand::Logout { url } => user_token::logout(&url),
        AccessCommand::Token { url: _, command: Some(command) } => run_token(context, command),
        // The grammar wants one of both.
        AccessCommand::Token { url, command: None } => user_token::token(&url.unwrap_or_default()),
        AccessCommand::Device(AccessDeviceCommand::Enrol(args)) => user_token::enrol(&args, context.output),
        AccessCommand::Request(command) => super::access_request::run(context, command),
        AccessCommand::Review(command) => super::access_review::run(context, command),
    }
}

fn run_token(context: &Context, command: AccessTokenCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        AccessTokenCommand::Create(args) => create(context, args),
        AccessTokenCommand::List => {
            let list: List<ServiceTokenView> = client.get(&path::service_tokens(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        AccessTokenCommand::Show { name } => {
            let token: ServiceTokenView = client.get(&path::service_token(&tenant, &segment(&name)))?;
            output.show(&token, show)
        }
        AccessTokenCommand::Set(args) => {
            let (name, change) = change(args);
            set(context, &name, &change, "is changed")
        }
        AccessTokenCommand::Disable { name } => {
            let change = SetServiceToken { enabled: Some(false), ..SetServiceToken::default() };
            set(context, &name, &change, "is disabled")
        }
        AccessTokenCommand::Enable { name } => {
            let change = SetServiceToken { enabled: Some(true), ..SetServiceToken::default() };
            set(context, &name, &change, "is enabled")
        }
        AccessTokenCommand::Revoke { name } => {
            let changed: Changed = client.delete(&path::service_token(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("service token {name} is revoked"), &changed.warnings)
        }
        AccessTokenCommand::Rotate(args) => rotate(context, args),
    }
}

fn create(context: &Context, args: CreateTokenArgs) -> Result<()> {
    let CreateTokenArgs { name, apps, validity, out } = args;
    let file = out.as_deref().map(new_file).transpose()?;
    let asked = CreateServiceToken { name, apps, validity: asked_validity(&validity).unwrap_or_default() };
    let client = &context.client;
    let issued: ServiceTokenIssued = client.post(&path::service_tokens(&client.tenant()), &asked)?;
    hand_over(context, &issued, out.as_deref().zip(file))
}

fn rotate(context: &Context, args: RotateTokenArgs) -> Result<()> {
    let RotateTokenArgs { name, validity, out } = args;
    let file = out.as_deref().map(new_file).transpose()?;
    let asked = RotateServiceToken { validity: asked_validity(&validity) };
    let client = &context.client;
    let target = path::service_token_rotate(&client.tenant(), &segment(&name));
    let issued: ServiceTokenIssued = client.post(&target, &asked)?;
    hand_over(context, &issued, out.as_deref().zip(file))
}

fn set(context: &Context, name: &str, change: &SetServiceToken, done: &str) -> Result<()> {
    let Context { client, output } = context;
    let target = path::service_token(&client.tenant(), &segment(name));
    let changed: ServiceTokenChanged = client.patch(&target, change)?;
    output.changed(&changed, &format!("service token {} {done}", changed.service_token.name), &changed.warnings)
}

fn change(args: SetTokenArgs) -> (String, SetServiceToken) {
    let SetTokenArgs { name, apps, add_apps, remove_apps, validity } = args;
    let apps = (!apps.is_empty()).then_some(apps);
    let change = SetServiceToken { apps, add_apps, remove_apps, validity: asked_validity(&validity), enabled: None };
    (name, change)
}

pub(super) fn asked_validity(args: &ValidityArgs) -> Option<Validity> {
    match (args.ttl, args.no_expiry) {
        (_, true) => Some(Validity::NoExpiry),
        (Some(ttl), false) => Some(Validity::TtlS(ttl.as_secs())),
        (None, false) => None,
    }
}

/// Prints the token, or writes it where only its owner reads it.
fn hand_over(context: &Context, issued: &ServiceTokenIssued, out: Option<(&Path, NewFile)>) -> Result<()> {
    let output = &context.output;
    let line = SecretText::new(format!("{}\n", issued.token.expose()));
    let Some((out, file)) = out else {
        output.show_once(issued, |_| line.expose().to_owned()).map_err(|error| lost(&error.to_string(), issued))?;
        output.warn(&issued.warnings);
        return Ok(());
    };
    file.keep(line.expose().as_bytes())
        .map_err(|error| lost(&format!("cannot write {}: {error}", out.display()), issued))?;
    let ServiceTokenIssued { token: _, service_token, version, warnings } = issued;
    let written = serde_json::json!({
        "service_token": service_token,
        "version": version,
        "warnings": warnings,
        "file": out,
    });
    let sentence = format!("service token {} written to {}; {}", service_token.name, out.display(), end(service_token));
    output.changed(&written, &sentence, warnings)
}

/// Made before control is asked: what could not be kept is not asked for, for the secret before it is good no longer then.
pub(super) fn new_file(out: &Path) -> Result<NewFile, Failure> {
    NewFile::create(out).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Failure::new(format!("{} exists already", out.display())).cure("remove it or choose another file");
        }
        Failure::new(format!("cannot write {}: {error}", out.display())).cure("choose another file")
    })
}

/// Control has issued the token and nobody has it: it keeps a hash only.
fn lost(error: &str, issued: &ServiceTokenIssued) -> Failure {
    let name = &issued.service_token.name;
    Failure::new(format!("{error}: the new secret of service token {name} is lost, and an older one is good no longer"))
        .cure(format!("postern access token rotate {name} makes another one"))
}

fn end(token: &ServiceTokenView) -> String {
    match token.expires_unix {
        Some(expires) => format!("it expires {}", relative(expires, SystemTime::now())),
        None => "it never expires".into(),
    }
}

fn table(output: Output, tokens: &[ServiceTokenView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["ID", "NAME", "STATE", "EXPIRES", "APPS"]).rows(tokens, |token| {
        [
            token.id.to_string(),
            token.name.to_string(),
            state(token).into(),
            token.expires_unix.map_or_else(|| "never".into(), |expires| relative(expires, now)),
            joined(&token.apps),
        ]
    });
    table.render("no service tokens; make one: postern access token create NAME --app APP")
}

fn show(token: &ServiceTokenView) -> String {
    details(&[
        ("id", token.id.to_string()),
        ("name", token.name.to_string()),
        ("state", state(token).into()),
        ("expires", token.expires_unix.map_or_else(|| "never".into(), utc)),
        ("applications", joined(&token.apps)),
        ("made", relative_ms(token.created_unix_ms, SystemTime::now())),
    ])
}

fn state(token: &ServiceTokenView) -> &'static str {
    match (token.enabled, token.expired) {
        (false, _) => "disabled",
        (true, true) => "expired",
        (true, false) => "good",
    }
}
