//! `postern audit list`.

use anyhow::Result;
use postern_model::admin::{AuditRecord, List, path};

use super::Context;
use crate::args::AuditCommand;
use crate::output::Output;
use crate::time_text::utc;

pub(super) fn run(context: &Context, command: AuditCommand) -> Result<()> {
    let AuditCommand::List { limit, before } = command;
    let parameters = [
        context.client.tenant_given().map(|tenant| format!("tenant={tenant}")),
        before.map(|seq| format!("before={seq}")),
        limit.map(|limit| format!("limit={limit}")),
    ];
    let query: Vec<String> = parameters.into_iter().flatten().collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let list: List<AuditRecord> = context.client.get(&format!("{}{query}", path::AUDIT))?;
    context.output.show(&list, |list| table(context.output, &list.items))
}

fn table(output: Output, records: &[AuditRecord]) -> String {
    let table =
        output.table(["SEQ", "TIME", "ACTOR", "ACTION", "TENANT", "TARGET", "CHANGE"]).rows(records, |record| {
            [
                record.seq.to_string(),
                utc(record.at_unix_ms / 1_000),
                record.actor.clone(),
                record.action.clone(),
                record.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
                record.target.clone(),
                change(record),
            ]
        });
    table.render("no changes")
}

fn change(record: &AuditRecord) -> String {
    match (&record.before, &record.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (None, Some(after)) => after.clone(),
        (Some(before), None) => format!("was {before}"),
        (None, None) => String::new(),
    }
}
