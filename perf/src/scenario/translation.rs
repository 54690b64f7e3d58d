//! What it costs that heads are translated: `h1-small` through an application as published, beside one that translates nothing,
//! both on one chain, so that only the setting differs.

use anyhow::{Context, Result};

use super::contest::{self, PROCESSES};
use crate::chain::{Chain, Variant};
use crate::lab::{self, Contestant, Lab};
use crate::load::Target;
use crate::outcome::Outcome;
use crate::tls::{self, Protocol};

const TRANSLATED: &str = "translated";
const UNTOUCHED: &str = "untouched";

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    let mut chain = lab.other_chain(&Variant::default())?;
    let internal = format!("http://{}/", lab.origin);
    let translated = side(&mut chain, TRANSLATED, &internal, &[])?;
    let untouched = side(&mut chain, UNTOUCHED, &internal, &["--set", "translate_headers=false"])?;
    let outcome = Outcome::new(
        "translation",
        "100-byte answers, 64 connections, heads translated",
        &format!(
            "Closed loop over HTTP/1.1, beside an application with translate_headers=false. {}.",
            tls::DESCRIPTION
        ),
        PROCESSES,
    );
    Ok(vec![contest::pair(lab, outcome, [translated, untouched])?])
}

/// An application more, in front of the same origin, without a limit that would be measured.
fn side(chain: &mut Chain, name: &str, internal: &str, settings: &[&str]) -> Result<(Contestant, Target)> {
    let contestant = Contestant { name: name.into(), ..lab::contestant(chain) };
    let world = chain.world();
    let (server, host) = (format!("{name}.example.test"), format!("{name}.example.test:{}", contestant.address.port()));
    let external = format!("https://{host}/");
    let publish = ["app", "publish", name, "--external", &external, "--internal", internal, "--preauth", "passthrough"];
    world.cli(&[&publish[..], settings].concat())?;
    world.cli(&["throttle", "set", &format!("app/{name}"), "--rps", "1000000"])?;
    world.wait_published(&world.client(&host)?).with_context(|| format!("{name} does not answer"))?;
    let tls = tls::client(&world.authority(), Protocol::Http1, false)?;
    let target = Target { address: contestant.address, name: server, host, tls: Some(tls), cookie: None };
    Ok((contestant, target))
}
