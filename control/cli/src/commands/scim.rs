//! `postern scim …`.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{Changed, EnableScim, RotateScim, ScimIssued, ScimView, path};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret::NewFile;

use super::Context;
use super::access::{asked_validity, new_file};
use crate::args::ScimCommand;
use crate::output::details;
use crate::time_text::{relative_ms, utc};

pub(super) fn run(context: &Context, command: ScimCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        ScimCommand::Enable { name, validity, out } => {
            let file = out.as_deref().map(new_file).transpose()?;
            let asked = EnableScim { name, validity: asked_validity(&validity).unwrap_or_default() };
            let issued: ScimIssued = client.post(&path::scim(&tenant), &asked)?;
            hand_over(context, &issued, out.as_deref().zip(file))
        }
        ScimCommand::Rotate { validity, out } => {
            let file = out.as_deref().map(new_file).transpose()?;
            let asked = RotateScim { validity: asked_validity(&validity) };
            let issued: ScimIssued = client.post(&path::scim_rotate(&tenant), &asked)?;
            hand_over(context, &issued, out.as_deref().zip(file))
        }
        ScimCommand::Show => {
            let view: ScimView = client.get(&path::scim(&tenant))?;
            output.show(&view, show)
        }
        ScimCommand::Disable => {
            let changed: Changed = client.delete(&path::scim(&tenant))?;
            output.changed(&changed, "nobody changes users by SCIM any more", &changed.warnings)
        }
    }
}

/// Prints the token, or writes it where only its owner reads it.
fn hand_over(context: &Context, issued: &ScimIssued, out: Option<(&Path, NewFile)>) -> Result<()> {
    let output = &context.output;
    let line = SecretText::new(format!("{}\n", issued.token.expose()));
    let Some((out, file)) = out else {
        output.show_once(issued, |_| line.expose().to_owned()).map_err(|error| lost(&error.to_string()))?;
        output.warn(&issued.warnings);
        return Ok(());
    };
    let kept = file.keep(line.expose().as_bytes());
    kept.map_err(|error| lost(&format!("cannot write {}: {error}", out.display())))?;
    let ScimIssued { token: _, scim, version, warnings } = issued;
    let written = serde_json::json!({"scim": scim, "version": version, "warnings": warnings, "file": out});
    let place = scim.url.as_ref().map(|url| format!("; SCIM is served at {url}")).unwrap_or_default();
    output.changed(&written, &format!("token {} written to {}{place}", scim.name, out.display()), warnings)
}

/// Control has issued the token and nobody has it: it keeps a hash only.
fn lost(error: &str) -> Failure {
    Failure::new(format!("{error}: the new SCIM token is lost, and an older one is good no longer"))
        .cure("postern scim rotate makes another one")
}

fn show(view: &ScimView) -> String {
    let now = SystemTime::now();
    let end = view.expires_unix.map_or_else(|| "never".into(), utc);
    details(&[
        ("url", view.url.clone().unwrap_or_else(|| "none: postern identity publish".into())),
        ("token", view.name.to_string()),
        ("expires", if view.expired { format!("{end}: it has expired") } else { end }),
        ("made", relative_ms(view.created_unix_ms, now)),
        ("used", view.used_unix_ms.map_or_else(|| "not since control started".into(), |at| relative_ms(at, now))),
    ])
}
