//! `postern user factor …`.

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{Changed, FactorsView, path};
use postern_model::identity::FactorKind;

use super::Context;
use crate::args::FactorCommand;
use crate::client::segment;
use crate::output::Output;
use crate::time_text::relative;

pub(super) fn run(context: &Context, command: FactorCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        FactorCommand::List { user } => {
            let view: FactorsView = client.get(&path::factors(&tenant, &segment(&user)))?;
            output.show(&view, |view| table(*output, view))
        }
        FactorCommand::Remove { user, factor } => {
            let target = path::factor(&tenant, &segment(&user), &segment(&factor));
            let changed: Changed = client.delete(&target)?;
            let line = format!("second factor {factor} of {user} removed; their sessions are ended");
            output.changed(&changed, &line, &changed.warnings)
        }
        FactorCommand::Reset { user } => {
            let changed: Changed = client.delete(&path::factors(&tenant, &segment(&user)))?;
            let line = format!("all second factors of {user} removed; their sessions are ended");
            output.changed(&changed, &line, &changed.warnings)
        }
    }
}

fn table(output: Output, view: &FactorsView) -> String {
    let now = SystemTime::now();
    let table = output.table(["ID", "KIND", "NAME", "SET UP", "USED"]).rows(&view.factors, |factor| {
        let kind = match factor.kind {
            FactorKind::Totp => "authenticator app",
            FactorKind::Key => "key or passkey",
        };
        [
            factor.id.clone(),
            kind.into(),
            factor.name.to_string(),
            relative(factor.created_unix, now),
            factor.used_unix.map(|used| relative(used, now)).unwrap_or_default(),
        ]
    });
    let table = table.render(&format!("{} has no second factor", view.login));
    if view.factors.is_empty() { table } else { format!("{table}recovery codes left: {}\n", view.recovery_codes) }
}
