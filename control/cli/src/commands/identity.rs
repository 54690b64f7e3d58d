//! `postern identity …` and `postern session …`.

mod device_host;
pub(crate) mod kerberos;
mod saml;

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{
    Changed, IdentityPublished, IdentityView, List, PublishIdentity, RevokeSessions, SessionView, SessionsEnded, path,
};

use super::Context;
use super::app::read_key;
use crate::args::{IdentityCommand, SessionCommand};
use crate::client::{read_text, segment};
use crate::output::{Output, details};
use crate::time_text::relative;

pub(super) fn run(context: &Context, command: IdentityCommand) -> Result<()> {
    let Context { client, output } = context;
    match command {
        IdentityCommand::Publish { external, cert, key } => {
            let asked = PublishIdentity {
                external_url: external,
                certificate_pem: cert.as_deref().map(read_text).transpose()?,
                key_pem: key.as_deref().map(read_key).transpose()?,
            };
            let published: IdentityPublished = client.put(path::IDENTITY, &asked)?;
            let line = format!("people sign in at {}", published.identity.external_url);
            output.changed(&published, &line, &published.warnings)
        }
        IdentityCommand::Show => {
            let view: IdentityView = client.get(path::IDENTITY)?;
            output.show(&view, |view| {
                details(&[
                    ("place", view.external_url.clone()),
                    ("application", view.app.to_string()),
                    ("connector group", view.group.clone()),
                    ("identity processes", format!("{} online", view.online)),
                    ("sessions", view.sessions.to_string()),
                    ("devices shown at", view.device_url.clone().unwrap_or_default()),
                ])
            })
        }
        IdentityCommand::Unpublish => {
            let changed: Changed = client.delete(path::IDENTITY)?;
            output.changed(&changed, "people sign in nowhere any more", &changed.warnings)
        }
        IdentityCommand::Saml(command) => saml::run(context, command),
        IdentityCommand::Kerberos(command) => kerberos::run(context, command),
        IdentityCommand::DeviceHost(command) => device_host::run(context, command),
    }
}

pub(super) fn run_session(context: &Context, command: SessionCommand) -> Result<()> {
    let Context { client, output } = context;
    let sessions = path::sessions(&client.tenant());
    match command {
        SessionCommand::List { user } => {
            let query = user.map(|user| format!("?user={}", segment(&user))).unwrap_or_default();
            let list: List<SessionView> = client.get(&format!("{sessions}{query}"))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        SessionCommand::Revoke { session, user, all } => {
            let asked = RevokeSessions { session, user, all };
            let ended: SessionsEnded = client.post(&path::sessions_revoke(&client.tenant()), &asked)?;
            let line = match ended.ended {
                1 => "1 session ended".into(),
                several => format!("{several} sessions ended"),
            };
            output.changed(&ended, &line, &ended.warnings)
        }
    }
}

/// What was shown, and what the provider said.
fn device(session: &SessionView) -> String {
    let shown = session.device.as_ref().map(|device| format!("{} {}", device.id, device.state));
    let by = session.provider.as_ref().filter(|_| !session.claimed_device.is_unknown());
    let claimed = by.map(|provider| format!("{} by {provider}", session.claimed_device));
    shown.into_iter().chain(claimed).collect::<Vec<_>>().join(", ")
}

fn table(output: Output, sessions: &[SessionView]) -> String {
    let now = SystemTime::now();
    let heads = ["ID", "USER", "BEGAN", "USED", "ENDS", "BY", "FROM", "DEVICE", "BROWSER"];
    let table = output.table(heads).rows(sessions, |session| {
        [
            session.id.to_string(),
            session.user.clone(),
            relative(session.created_unix, now),
            relative(session.seen_unix, now),
            relative(session.expires_unix, now),
            session.methods.join("+"),
            session.source.clone().unwrap_or_default(),
            device(session),
            crate::output::short(&session.user_agent),
        ]
    });
    table.render("nobody is signed in")
}
