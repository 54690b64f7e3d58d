//! `postern network …`.

use anyhow::Result;
use postern_model::admin::{Changed, List, NetworkView, SetNetwork, path};

use super::Context;
use crate::args::NetworkCommand;
use crate::client::segment;
use crate::output::{Output, joined};

pub(super) fn run(context: &Context, command: NetworkCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        NetworkCommand::Set { name, prefixes } => {
            let count = prefixes.len();
            let target = path::network(&tenant, name.as_str());
            let changed: Changed = client.put(&target, &SetNetwork { prefixes })?;
            output.changed(&changed, &format!("network {name} has {count} address prefixes"), &changed.warnings)
        }
        NetworkCommand::List => {
            let list: List<NetworkView> = client.get(&path::networks(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        NetworkCommand::Remove { name } => {
            let changed: Changed = client.delete(&path::network(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("network {name} removed"), &changed.warnings)
        }
    }
}

fn table(output: Output, networks: &[NetworkView]) -> String {
    let table = output.table(["NAME", "PREFIXES"]).rows(networks, |network| {
        let prefixes: Vec<String> = network.prefixes.iter().map(ToString::to_string).collect();
        [network.name.to_string(), joined(&prefixes)]
    });
    table.render("no corporate networks; name one: postern network set NAME PREFIX…")
}
