//! `postern policy …`: conditional access.

mod replay;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use postern_model::admin::{
    Changed, CreatePolicy, List, PolicyChanged, PolicyView, SetPolicy, WhatIf, WhatIfAnswer, path,
};
use postern_model::policy::{Outcome, PolicyEntry, PolicyState, SessionControls, Traced, span};
use postern_service::failure::Failure;
use postern_service::suggest;
use serde_json::{Map, Value};

use super::Context;
use crate::args::{ConditionArgs, PolicyArgs, PolicyCommand, PolicyCreateArgs, PolicySetArgs, WhatIfArgs};
use crate::client::segment;
use crate::document::{POLICY_KEYS, policy_lines};
use crate::output::{Output, details, joined};

pub(super) fn run(context: &Context, command: PolicyCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        PolicyCommand::Create(args) => {
            let PolicyCreateArgs { name, terms } = *args;
            let (force, policy) = (terms.force, entry(terms)?);
            let made: PolicyChanged = client.post(&path::policies(&tenant), &CreatePolicy { name, policy, force })?;
            let line = format!("policy {} ({}) made: {}", made.policy.name, made.policy.id, made.policy.policy.state);
            output.changed(&made, &line, &made.warnings)
        }
        PolicyCommand::List => {
            let list: List<PolicyView> = client.get(&path::policies(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        PolicyCommand::Show { name } => {
            let policy: PolicyView = client.get(&path::policy(&tenant, &segment(&name)))?;
            output.show(&policy, show)
        }
        PolicyCommand::Set(args) => {
            let (name, change) = change(*args)?;
            set(context, &name, &change)
        }
        PolicyCommand::Enable { name, force } => set(context, &name, &to_state(PolicyState::On, force)),
        PolicyCommand::Disable { name } => set(context, &name, &to_state(PolicyState::Off, false)),
        PolicyCommand::ReportOnly { name } => set(context, &name, &to_state(PolicyState::ReportOnly, false)),
        PolicyCommand::Delete { name } => {
            let changed: Changed = client.delete(&path::policy(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("policy {name} deleted"), &changed.warnings)
        }
        PolicyCommand::Replay(args) => replay::run(context, *args),
        PolicyCommand::WhatIf(args) => {
            let answer: WhatIfAnswer = client.post(&path::policy_what_if(&tenant), &asked(args)?)?;
            output.show(&answer, |answer| told(*output, answer))?;
            output.warn(&answer.warnings);
            Ok(())
        }
    }
}

fn set(context: &Context, name: &str, change: &SetPolicy) -> Result<()> {
    let Context { client, output } = context;
    let changed: PolicyChanged = client.patch(&path::policy(&client.tenant(), &segment(name)), change)?;
    let line = format!("policy {} is changed: {}", changed.policy.name, changed.policy.policy.state);
    output.changed(&changed, &line, &changed.warnings)
}

fn to_state(state: PolicyState, force: bool) -> SetPolicy {
    let policy = Map::from_iter([("state".to_owned(), Value::String(state.to_string()))]);
    SetPolicy { name: None, policy, force }
}

/// What is given is set, what is cleared taken away.
fn change(args: PolicySetArgs) -> Result<(String, SetPolicy)> {
    let PolicySetArgs { name, new_name, clear, terms } = args;
    let force = terms.force;
    let policy = changed_keys(&clear, terms)?;
    if policy.is_empty() && new_name.is_none() {
        return Err(Failure::usage("policy set needs something to change").into());
    }
    Ok((name, SetPolicy { name: new_name, policy, force }))
}

/// The keys that are given, and those that are cleared.
fn changed_keys(clear: &[String], terms: PolicyArgs) -> Result<Map<String, Value>> {
    let state = terms.state;
    let Value::Object(mut given) = serde_json::to_value(entry(terms)?)? else {
        return Err(Failure::new("a policy is not an object").into());
    };
    if state.is_none() {
        given.remove("state");
    }
    let mut policy = Map::new();
    for key in clear {
        let Some((_, field)) = POLICY_KEYS.iter().find(|(known, _)| known == key) else {
            let nearest = suggest::nearest(key, POLICY_KEYS.iter().map(|(known, _)| *known));
            let nearest = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(Failure::usage(format!("--clear: there is no key `{key}`{nearest}")).into());
        };
        policy.insert((*field).to_owned(), Value::Null);
    }
    policy.extend(given);
    Ok(policy)
}

fn entry(args: PolicyArgs) -> Result<PolicyEntry> {
    let ConditionArgs { networks, except_networks, countries, except_countries, asns, except_asns, .. } =
        &args.conditions;
    let ConditionArgs { platforms, except_platforms, clients, except_clients, times, except_times, .. } =
        &args.conditions;
    let ConditionArgs { methods, except_methods, strength, auth_age_min, risk_min, devices, except_devices, .. } =
        &args.conditions;
    Ok(PolicyEntry {
        state: args.state.unwrap_or_default(),
        everyone: args.everyone,
        users: some(&args.users),
        groups: some(&args.groups),
        guests: args.guests,
        except_users: all(&args.except_users),
        except_groups: all(&args.except_groups),
        except_guests: args.except_guests,
        all_apps: args.all_apps,
        apps: some(&args.apps),
        except_apps: all(&args.except_apps),
        networks: all(networks),
        except_networks: all(except_networks),
        countries: all(countries),
        except_countries: all(except_countries),
        asns: all(asns),
        except_asns: all(except_asns),
        platforms: all(platforms),
        except_platforms: all(except_platforms),
        clients: all(clients),
        except_clients: all(except_clients),
        times: all(times),
        except_times: all(except_times),
        methods: all(methods),
        except_methods: all(except_methods),
        strength: *strength,
        auth_age_min_s: seconds("auth-age-min", *auth_age_min)?,
        risk_min: *risk_min,
        devices: all(devices),
        except_devices: all(except_devices),
        block: args.block,
        require: all(&args.require),
        require_any: all(&args.require_any),
        sign_in_frequency_s: seconds("sign-in-frequency", args.sign_in_frequency)?,
        idle_max_s: seconds("idle-max", args.idle_max)?,
        lifetime_max_s: seconds("lifetime-max", args.lifetime_max)?,
        no_persistent: args.no_persistent,
    })
}

fn all<T: Ord + Clone>(given: &[T]) -> BTreeSet<T> {
    given.iter().cloned().collect()
}

fn some(given: &[String]) -> Option<BTreeSet<String>> {
    (!given.is_empty()).then(|| all(given))
}

/// Policies count whole seconds.
fn seconds(key: &str, given: Option<Duration>) -> Result<Option<u32>> {
    let whole = |time: Duration| (time.subsec_nanos() == 0).then(|| u32::try_from(time.as_secs()).ok()).flatten();
    let wrong = || Failure::usage(format!("--{key} takes whole seconds")).into();
    given.map(|time| whole(time).ok_or_else(wrong)).transpose()
}

fn asked(args: WhatIfArgs) -> Result<WhatIf> {
    Ok(WhatIf {
        user: args.user,
        app: args.app,
        ip: args.ip,
        country: args.country,
        asn: args.asn,
        platform: args.platform,
        client: args.client,
        at_unix: args.at,
        methods: all(&args.methods),
        auth_age_s: seconds("auth-age", args.auth_age)?.unwrap_or(0),
        risk: args.risk,
        device: args.device,
        terms: all(&args.terms),
        persistent: args.persistent,
    })
}

fn table(output: Output, policies: &[PolicyView]) -> String {
    let table = output.table(["ID", "NAME", "STATE", "ASKS"]).rows(policies, |policy| {
        let asks = policy.about_nothing.as_ref().map(|nothing| format!("nothing: it is about {nothing}"));
        let PolicyView { id, name, policy, .. } = policy;
        [id.to_string(), name.to_string(), policy.state.to_string(), asks.unwrap_or_else(|| self::asks(policy))]
    });
    table.render("no policies; make one: postern policy create NAME …")
}

fn asks(policy: &PolicyEntry) -> String {
    let any: Vec<String> = policy.require_any.iter().map(ToString::to_string).collect();
    let block = policy.block.then(|| "block".to_owned());
    let all = policy.require.iter().map(ToString::to_string);
    let any = (!any.is_empty()).then(|| format!("one of ({})", any.join(", ")));
    let PolicyEntry { sign_in_frequency_s, idle_max_s, lifetime_max_s, no_persistent, .. } = *policy;
    let controls = SessionControls { sign_in_frequency_s, idle_max_s, lifetime_max_s, no_persistent };
    joined(&block.into_iter().chain(all).chain(any).chain(bounds(&controls)).collect::<Vec<_>>())
}

fn bounds(session: &SessionControls) -> Vec<String> {
    let time = |what: &str, time_s: Option<u32>| time_s.map(|time_s| format!("{what} {}", span(u64::from(time_s))));
    let times = [
        time("sign in every", session.sign_in_frequency_s),
        time("idle at most", session.idle_max_s),
        time("session at most", session.lifetime_max_s),
        session.no_persistent.then(|| "not beyond the browser's end".to_owned()),
    ];
    times.into_iter().flatten().collect()
}

fn show(policy: &PolicyView) -> String {
    let about = policy.about_nothing.as_ref().map(|nothing| format!("{nothing}: it never applies"));
    let mut fields = vec![("id", policy.id.to_string()), ("name", policy.name.to_string())];
    fields.extend(about.map(|about| ("about", about)));
    let lines = policy_lines(&policy.policy);
    fields.extend(lines.iter().map(|(key, value)| (*key, value.clone())));
    details(&fields)
}

fn told(output: Output, answer: &WhatIfAnswer) -> String {
    let WhatIfAnswer { user, app, outcome, session, policies, assigned, kept_out, .. } = answer;
    let alone = outcome_words(outcome, policies);
    let outcome = match kept_out {
        Some(why) => format!("{why} (policies alone: {alone})"),
        None => alone,
    };
    let mut fields = vec![
        ("user", user.to_string()),
        ("application", app.to_string()),
        ("assigned", assigned.clone().unwrap_or_else(|| "no".into())),
        ("outcome", outcome),
    ];
    if !session.is_empty() {
        fields.push(("session", joined(&bounds(session))));
    }
    let table = output.table(["POLICY", "STATE", "APPLIES", "ASKS", "BECAUSE"]).rows(policies, |traced| {
        [
            traced.name.to_string(),
            traced.state.to_string(),
            applies(traced).into(),
            joined(&traced.asks),
            traced.because.join("; "),
        ]
    });
    format!("{}\n{}", details(&fields), table.render("no policies"))
}

const fn applies(traced: &Traced) -> &'static str {
    match (traced.applies, traced.state) {
        (true, PolicyState::On) => "yes",
        (true, PolicyState::ReportOnly | PolicyState::Off) => "would",
        (false, _) => "no",
    }
}

/// Blocked by whom, by name.
pub(super) fn outcome_words(outcome: &Outcome, traced: &[Traced]) -> String {
    let Outcome::Block { policies } = outcome else { return outcome.to_string() };
    let named = traced.iter().filter(|traced| policies.contains(&traced.policy));
    format!("block, by {}", joined(&named.map(|traced| &traced.name).collect::<Vec<_>>()))
}
