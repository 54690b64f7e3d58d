//! `postern vault …`. What is sealed is sealed here: control never has a password.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{
    AskSealing, Changed, CredentialView, List, PutCredential, Sealing, SetVaultKey, VaultKeyView, path,
};
use postern_model::secret::SecretText;
use postern_model::vault::{Login, VaultKeyPair};
use postern_service::failure::Failure;

use super::{Context, access, done};
use crate::args::{VaultCommand, VaultKeyCommand, VaultOwnerArgs, VaultSetArgs};
use crate::client::segment;
use crate::output::{Output, details};
use crate::password;
use crate::time_text::relative_ms;

pub(super) fn run(context: &Context, command: VaultCommand) -> Result<ExitCode> {
    match command {
        VaultCommand::Key(command) => key(context, command).map(done),
        VaultCommand::Set(args) => set(context, args).map(done),
        VaultCommand::List { app } => {
            let list = credentials(context, app.as_deref())?;
            context.output.show(&list, |list| table(context.output, &list.items)).map(done)
        }
        VaultCommand::Remove(owner) => remove(context, &owner).map(done),
        VaultCommand::Check { app } => check(context, app.as_deref()),
    }
}

fn key(context: &Context, command: VaultKeyCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = |group: &str| path::vault_key(&client.tenant(), &segment(group));
    match command {
        VaultKeyCommand::Show { group } => {
            let key: VaultKeyView = client.get(&target(&group))?;
            output.show(&key, |key| {
                details(&[
                    ("group", key.group.to_string()),
                    ("key", key.key.to_string()),
                    ("fingerprint", key.fingerprint.to_string()),
                ])
            })
        }
        VaultKeyCommand::Create { group, out, replace } => {
            // Before control is told: a key that could not be kept would be of no use.
            let file = access::new_file(&out)?;
            let VaultKeyPair { public, secret } = VaultKeyPair::generate()?;
            let asked = SetVaultKey { key: public, replace };
            let changed: Changed = client.put(&target(&group), &asked)?;
            let line = SecretText::new(format!("{}\n", secret.encode().expose()));
            file.keep(line.expose().as_bytes()).map_err(|error| {
                let lost = format!("cannot write {}: {error}: the key is lost", out.display());
                Failure::new(lost).cure(format!("postern vault key create --group {group} --out FILE --replace"))
            })?;
            let sentence = format!(
                "the key {} of connector group {group} is written to {}; start its connectors with --vault-key",
                public.fingerprint(),
                out.display()
            );
            let written = serde_json::json!({
                "group": group,
                "key": public,
                "fingerprint": public.fingerprint(),
                "file": out,
                "version": changed.version,
                "warnings": changed.warnings,
            });
            output.changed(&written, &sentence, &changed.warnings)
        }
    }
}

fn set(context: &Context, args: VaultSetArgs) -> Result<()> {
    let Context { client, output } = context;
    let VaultSetArgs { owner: VaultOwnerArgs { app, user, shared: _ }, name, source } = args;
    let tenant = client.tenant();
    let sealing: Sealing = client.post(&path::vault_sealing(&tenant), &AskSealing { app, user })?;
    let name = name.or_else(|| sealing.login.as_ref().map(ToString::to_string)).unwrap_or_default();
    let password = match password::given(&source)? {
        Some(password) => password,
        None => password::asked(&format!("{name} at {}", sealing.purpose.origin))?,
    };
    let unfit = |error: postern_model::vault::LoginInvalid| Failure::usage(error.to_string());
    let login = Login::new(SecretText::new(name), password).map_err(unfit)?;
    if sealing.basic {
        login.check_basic().map_err(unfit)?;
    }
    let Sealing { purpose, key, app, group, login: of, .. } = sealing;
    let sealed = key.seal(&login, &purpose);
    let sealed = sealed.ok_or_else(|| Failure::new(format!("the key {key} of group {group} cannot be sealed to")))?;
    let fingerprint = key.fingerprint();
    let sentence = format!(
        "the credential of {} for {app} is sealed to the key {fingerprint} of connector group {group}, for {}",
        of.map_or_else(|| "all others".to_owned(), |login| login.to_string()),
        purpose.origin
    );
    let changed: Changed = client.put(&path::vault(&tenant), &PutCredential { purpose, key: fingerprint, sealed })?;
    output.changed(&changed, &sentence, &changed.warnings)
}

fn remove(context: &Context, owner: &VaultOwnerArgs) -> Result<()> {
    let Context { client, output } = context;
    let (tenant, app) = (client.tenant(), segment(&owner.app));
    let (target, whose) = match &owner.user {
        Some(user) => (path::vault_of_user(&tenant, &app, &segment(user)), user.as_str()),
        None => (path::vault_shared(&tenant, &app), "all others"),
    };
    let changed: Changed = client.delete(&target)?;
    let sentence = format!("the credential of {whose} for {} is removed", owner.app);
    output.changed(&changed, &sentence, &changed.warnings)
}

fn check(context: &Context, app: Option<&str>) -> Result<ExitCode> {
    let list = credentials(context, app)?;
    let bad = List { items: list.items.into_iter().filter(|held| held.problem.is_some()).collect() };
    context.output.show(&bad, |bad| {
        if bad.items.is_empty() { "every credential can be used\n".into() } else { table(context.output, &bad.items) }
    })?;
    Ok(if bad.items.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn credentials(context: &Context, app: Option<&str>) -> Result<List<CredentialView>> {
    let client = &context.client;
    let mut list: List<CredentialView> = client.get(&path::vault(&client.tenant()))?;
    if let Some(app) = app {
        // Names of applications that there are not are refused in control's words.
        let app: postern_model::admin::AppView = client.get(&path::app(&client.tenant(), &segment(app)))?;
        list.items.retain(|held| held.app == app.name);
    }
    Ok(list)
}

fn table(output: Output, credentials: &[CredentialView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["APP", "OWNER", "FOR", "KEY", "SET", "BY", "PROBLEM"]).rows(credentials, |held| {
        [
            held.app.to_string(),
            held.owner.clone(),
            held.origin.clone(),
            held.key.to_string(),
            relative_ms(held.set_unix_ms, now),
            held.by.as_str().to_owned(),
            held.problem.clone().unwrap_or_else(|| "-".into()),
        ]
    });
    table.render("no credentials; seal one: postern vault set APP --user LOGIN")
}
