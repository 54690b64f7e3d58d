//! What it costs to ask who somebody is: requests of people who signed in beside those of anybody, and with many policies and
//! assignments beside few. Everything on one chain, so that only the application differs.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use postern_tests::world::World;

use super::contest::{self, PROCESSES};
use crate::chain::{Chain, Variant};
use crate::lab::{self, Contestant, Lab, PROXY_CORE};
use crate::load::Target;
use crate::outcome::Outcome;
use crate::people::{self, LOGIN, application, apply};
use crate::tls::{self, Protocol};

/// Asks who somebody is, without any policy.
const PLAIN: &str = "plain";
/// The same with policies of which only the last applies.
const FEW: (&str, usize) = ("few", 10);
const MANY: (&str, usize) = ("many", 1_000);
/// Users and, at each application that asks, assignments: with 20,000 users 100,000.
const APPS: [&str; 5] = [PLAIN, FEW.0, MANY.0, "other", "another"];
const USERS: usize = 20_000;
const USERS_QUICK: usize = 200;
/// Networks that nobody is in.
const NETWORKS: usize = 10;

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    let mut chain = lab.other_chain(&Variant::default())?;
    let users = if lab.extent.is_quick { USERS_QUICK } else { USERS };
    lab::on_core(PROXY_CORE, || chain.world().start_identity())?;
    set_up(chain.world(), users, &format!("http://{}/", lab.origin))
        .context("people and applications are not set up")?;
    let anybody = side(lab, &chain, "nobody is asked")?;
    let [plain, few, many] = [PLAIN, FEW.0, MANY.0].map(|app| signed_in(&mut chain, app));
    let cost = Outcome::new(
        "session",
        "100-byte answers, 64 connections, to people who signed in",
        &format!("{LOOPS} Beside an application published with passthrough. {}.", tls::DESCRIPTION),
        PROCESSES,
    );
    let rules = Outcome::new(
        "session-policies",
        &format!("The same with {} policies, beside {}", MANY.1, FEW.1),
        &format!(
            "{LOOPS} The policies are about everyone; all but one name networks, platforms, times and methods that are others. \
             There are {} assignments.",
            users * APPS.len()
        ),
        PROCESSES,
    );
    Ok(vec![contest::pair(lab, cost, [plain?, anybody])?, contest::pair(lab, rules, [many?, few?])?])
}

/// Users, applications and policies, by documents as an operator would apply them.
fn set_up(world: &World, users: usize, internal: &str) -> Result<()> {
    let mut document: String = APPS.iter().map(|app| application(world, app, internal)).collect();
    for network in 0..NETWORKS {
        world.cli(&["network", "set", &format!("n{network}"), &format!("10.{network}.0.0/16")])?;
    }
    for (app, count) in [FEW, MANY] {
        (0..count).try_for_each(|index| write!(document, "{}", policy(app, index, index + 1 == count)))?;
    }
    for index in 0..users {
        write!(document, "[user.u{index}]\n\n")?;
    }
    apply(world, &document)?;
    people::create(world)?;
    for app in APPS {
        let mut document = format!("[[assignment]]\napp = \"{app}\"\nuser = \"{LOGIN}\"\n");
        for index in 0..users.saturating_sub(1) {
            write!(document, "[[assignment]]\napp = \"{app}\"\nuser = \"u{index}\"\n")?;
        }
        apply(world, &document)?;
    }
    Ok(())
}

/// About an application; the last one alone applies, and bounds the session.
fn policy(app: &str, index: usize, is_last: bool) -> String {
    let condition = match index % 4 {
        _ if is_last => String::new(),
        0 => format!("networks = [\"n{}\"]\n", index % NETWORKS),
        1 => "platforms = [\"ios\"]\n".into(),
        2 => "methods = [\"fed\"]\n".into(),
        _ => "clients = [\"native\"]\n".into(),
    };
    format!("[policy.{app}-{index}]\neveryone = true\napps = [\"{app}\"]\n{condition}sign-in-frequency = \"7d\"\n\n")
}

/// Somebody who signed in to an application, and goes on asking for it.
fn signed_in(chain: &mut Chain, app: &str) -> Result<(Contestant, Target)> {
    let target = people::signed_in(chain, app)?;
    let name = if app == FEW.0 { format!("{} policies", FEW.1) } else { app.to_owned() };
    Ok((Contestant { name, ..lab::contestant(chain) }, target))
}

/// Anybody, at the application that asks nothing.
fn side(lab: &Lab, chain: &Chain, name: &str) -> Result<(Contestant, Target)> {
    let contestant = Contestant { name: name.into(), ..lab::contestant(chain) };
    let target = contestant.target(Some(lab.tls(Protocol::Http1, false)?));
    Ok((contestant, target))
}

const LOOPS: &str =
    "Closed loop over HTTP/1.1, a session's cookie with each request, and the renewed one once it is set.";
