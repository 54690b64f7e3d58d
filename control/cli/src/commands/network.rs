//! `postern network …`.

use std::path::Path;

use anyhow::Result;
use postern_model::admin::{Changed, List, NetworkView, SetNetwork, path};
use postern_model::prefix::IpPrefix;
use postern_service::failure::Failure;

use super::Context;
use crate::args::NetworkCommand;
use crate::client::segment;
use crate::output::{Output, joined};

pub(super) fn run(context: &Context, command: NetworkCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        NetworkCommand::Set { name, mut prefixes, file, anonymiser } => {
            if let Some(file) = &file {
                prefixes.extend(prefixes_of(file).map_err(Failure::usage)?);
            }
            prefixes.sort_unstable();
            prefixes.dedup();
            let count = match prefixes.len() {
                1 => String::from("1 address prefix"),
                many => format!("{many} address prefixes"),
            };
            let target = path::network(&tenant, name.as_str());
            let changed: Changed = client.put(&target, &SetNetwork { prefixes, anonymiser })?;
            output.changed(&changed, &format!("network {name} has {count}"), &changed.warnings)
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

/// One prefix a line, comments from `#` on. What is none is refused: a list with holes would let pass whom it should not.
pub(crate) fn prefixes_of(file: &Path) -> Result<Vec<IpPrefix>, String> {
    let unfit = |why: String| format!("{}: {why}", file.display());
    let length = std::fs::metadata(file).map_err(|error| unfit(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unfit(format!("it has {} MiB; a list has at most {}", length >> 20, FILE_BYTES_MAX >> 20)));
    }
    let bytes = std::fs::read(file).map_err(|error| unfit(error.to_string()))?;
    read(&String::from_utf8_lossy(&bytes), &file.display().to_string())
}

fn read(text: &str, name: &str) -> Result<Vec<IpPrefix>, String> {
    let (mut prefixes, mut wrong) = (Vec::new(), Vec::new());
    for (line, nth) in text.lines().zip(1..) {
        let prefix = line.split('#').next().unwrap_or_default().trim();
        match prefix.parse() {
            _ if prefix.is_empty() => {}
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => wrong.push(format!("{name}:{nth}: {error}")),
        }
    }
    let more = wrong.len().saturating_sub(WRONG_SHOWN_MAX);
    if wrong.is_empty() {
        return if prefixes.is_empty() { Err(format!("{name}: there is no prefix in it")) } else { Ok(prefixes) };
    }
    wrong.truncate(WRONG_SHOWN_MAX);
    if more > 0 {
        wrong.push(format!("and {more} lines more that are no prefixes"));
    }
    Err(wrong.join("\n"))
}

fn table(output: Output, networks: &[NetworkView]) -> String {
    let table = output.table(["NAME", "PREFIXES"]).rows(networks, |network| {
        let prefixes: Vec<String> = network.prefixes.iter().map(ToString::to_string).collect();
        let what = match network.anonymiser {
            true => format!("{} of anonymisers", network.count),
            false => joined(&prefixes),
        };
        [network.name.to_string(), what]
    });
    table.render("no networks; name one: postern network set NAME PREFIX…")
}

/// A hundred thousand prefixes have 5 MB, with comments twice that.
const FILE_BYTES_MAX: u64 = 16 << 20;
const WRONG_SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_prefix_a_line_and_what_is_none_is_named() {
        let text = "# exits\r\n192.0.2.0/24 # one\r\n\n  2001:db8::1\n";
        let prefixes: Vec<String> = read(text, "tor.txt").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(prefixes, ["192.0.2.0/24", "2001:db8::1/128"]);
        let wrong = read("192.0.2.1/24\n10.0.0.0/8\nexit\n", "tor.txt").unwrap_err();
        assert!(
            wrong.starts_with("tor.txt:1: 192.0.2.1/24 has bits set behind the prefix: write 192.0.2.0/24\n"),
            "{wrong}"
        );
        assert!(wrong.contains("tor.txt:3: \"exit\" is not an address prefix"), "{wrong}");
        assert_eq!(read("# nothing\n", "tor.txt").unwrap_err(), "tor.txt: there is no prefix in it");
        let many = read(&"x\n".repeat(100), "t").unwrap_err();
        assert!(many.lines().count() == 6 && many.ends_with("and 95 lines more that are no prefixes"), "{many}");
    }
}
