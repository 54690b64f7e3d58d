//! `app check`: each connector of an application's group that is online is asked, through a relay it has a tunnel to, what it sees of
//! the application. What they find is shown beside each other.

mod access;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_model::admin::Problem;
use postern_model::check::{
    AppChecked, CHECK_ANSWER_TIMEOUT_MS, CHECK_TIMEOUT_MS, CheckApp, CheckAsked, CheckOutcome, CheckStep,
    ConnectorChecked, StepResult,
};
use postern_model::config::{App, Tenant};
use postern_model::directory::User;
use postern_model::ids::{ConnectorId, RelayId};
use postern_model::portal::PASSWORDS_PATH;
use postern_model::question::{Answer, Question};
use postern_model::session::Subject;
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::apps::find_app;
use crate::control::{Actor, Control};
use crate::directory::find_user;
use crate::draft::Draft;
use crate::limits::CONNECTORS_CHECKED_MAX;
use crate::link::asked::{Ask, Unanswered};
use crate::problem::problem;
use crate::sign_in;
use crate::tenants::{audit, find_connector, group_name};
use crate::vault::own;

/// Which connector is asked by which relay.
struct Way {
    connector: ConnectorId,
    relay: RelayId,
    relay_name: String,
    asks: mpsc::Sender<Ask>,
}

/// Has an application checked, and waits for all answers.
pub(crate) async fn check(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    app: &str,
    wanted: CheckApp,
) -> Result<AppChecked, Problem> {
    let app = find_app(&control.snapshot(), tenant, app)?.clone();
    let (ways, mut warnings) = ways(control, tenant, &app, wanted.connector.as_deref())?;
    let user = wanted.user.as_deref().map(|name| find_user(control, tenant, name)).transpose()?;
    let (login, no_login) = match user.as_ref().filter(|_| wanted.sign_on).map(|user| login(&app, user)) {
        None => (None, None),
        Some(Ok(login)) => (login, None),
        Some(Err(step)) => (None, Some(step)),
    };
    let access = user.as_ref().map(|user| access::step(control, tenant, &app, user)).transpose()?.flatten();
    if user.is_some() && login.is_none() && no_login.is_none() && access.is_none() {
        warnings.push("--user is of no use here: no single sign-on that a connector does is looked at".into());
    }
    note(control, actor, tenant, &app, user.as_ref())?;
    let asked = CheckAsked { sign_on: wanted.sign_on, login };
    let mut connectors = ask(&app, ways, &asked).await;
    if own::is_by_users(&app) {
        let page = format!("{}{PASSWORDS_PATH}{}", sign_in::issuer(control), app.id);
        connectors.iter_mut().flat_map(|checked| &mut checked.steps).for_each(|step| by_users(step, &page));
    }
    if let Some(step) = no_login {
        connectors.iter_mut().for_each(|checked| nameless(&mut checked.steps, &step));
    }
    if let Some(step) = access {
        connectors.iter_mut().for_each(|checked| checked.steps.push(step.clone()));
    }
    let failed = connectors.iter().flat_map(|checked| &checked.steps).any(|step| step.result == StepResult::Fail);
    let group = group_name(&control.snapshot(), app.group);
    let differences = differences(&connectors);
    Ok(AppChecked { app: app.name, group, group_id: app.group, passed: !failed, connectors, differences, warnings })
}

/// Those to be asked. None online is an error.
fn ways(control: &Control, tenant: &Tenant, app: &App, only: Option<&str>) -> Result<(Vec<Way>, Vec<String>), Problem> {
    let snapshot = control.snapshot();
    let group = group_name(&snapshot, app.group);
    if let Some(name) = only {
        let connector = find_connector(&snapshot, tenant, name)?;
        if connector.group != app.group {
            let of = group_name(&snapshot, connector.group);
            let detail =
                format!("{name} is a connector of the group {of}; {} is served by the group {group}", app.name);
            return Err(problem("request-invalid", detail).about("connector"));
        }
    }
    let fleet = control.fleet.borrow();
    let askable: BTreeMap<RelayId, mpsc::Sender<Ask>> = fleet.askable().into_iter().collect();
    let name_of =
        |relay: RelayId| snapshot.relays.get(&relay).map_or_else(|| relay.to_string(), |known| known.name.to_string());
    let way = |connector: ConnectorId| {
        let mut online = fleet.connector(connector).filter(|(_, status)| status.online);
        online.find_map(|(relay, _)| {
            Some(Way { connector, relay, relay_name: name_of(relay), asks: askable.get(&relay)?.clone() })
        })
    };
    let own = snapshot.connectors.values().filter(|connector| connector.group == app.group);
    let online: Vec<Way> = own.filter_map(|connector| way(connector.id)).collect();
    let mut warnings = Vec::new();
    if online.len() == 1 {
        warnings.push(format!(
            "only one connector of the group {group} is online: {} is gone when it is. Have three, on different hosts",
            app.name
        ));
    }
    let mut asked: Vec<Way> =
        online.into_iter().filter(|way| only.is_none_or(|only| way.connector.to_string() == only)).collect();
    if asked.is_empty() {
        let who =
            only.map_or_else(|| format!("no connector of the group {group}"), |only| format!("the connector {only}"));
        let verb = if only.is_some() { "is not" } else { "is" };
        return Err(problem("connector-unavailable", format!("{who} {verb} online: {} cannot be checked", app.name)));
    }
    if asked.len() > CONNECTORS_CHECKED_MAX {
        warnings.push(format!(
            "{} connectors are online, and the first {CONNECTORS_CHECKED_MAX} were asked: --connector C asks another one",
            asked.len()
        ));
        asked.truncate(CONNECTORS_CHECKED_MAX);
    }
    Ok((asked, warnings))
}

/// Under which name the connector signs the user on; none where no connector does. The error is a step that failed.
fn login(app: &App, user: &User) -> Result<Option<String>, CheckStep> {
    let failed = |seen: &str, cure: &str| CheckStep::new("user", StepResult::Fail, 0, seen, cure);
    let settings = AppSettings::parse(&app.settings);
    let settings = settings.map_err(|error| failed(&error.to_string(), "correct the application's settings"))?;
    match settings.sso.method {
        SsoMethod::None | SsoMethod::Saml => Ok(None),
        SsoMethod::Basic | SsoMethod::Form => Ok(Some(user.id.to_string())),
        SsoMethod::Kerberos => {
            // No name depends on groups.
            let name = settings.sso.kerberos_name(&Subject::of(user.clone(), BTreeMap::new()));
            let cure = "look at sso_login and sso_realm, and at the user's names in the directory";
            name.map(|name| Some(name.as_str().to_owned())).map_err(|error| failed(&error.to_string(), cure))
        }
    }
}

/// A ticket in somebody's name is worth a record.
fn note(control: &Control, actor: &Actor, tenant: &Tenant, app: &App, user: Option<&User>) -> Result<(), Problem> {
    let mut entry = audit("app.check", tenant.id, format!("app {}", app.name));
    entry.after = user.map(|user| format!("user={} {}", user.id, user.login));
    let mut draft = Draft::default();
    draft.audit(entry);
    control.commit(actor, draft).map(drop)
}

/// All at once; in the order of the connectors' ids.
async fn ask(app: &App, ways: Vec<Way>, asked: &CheckAsked) -> Vec<ConnectorChecked> {
    let mut waiting = JoinSet::new();
    let deadline = Instant::now() + Duration::from_millis(CHECK_TIMEOUT_MS);
    for Way { connector, relay, relay_name, asks } in ways {
        let question = Question::Check { tenant: app.id.tenant, app: app.id, connector, asked: asked.clone() };
        let put = Ask::put(&asks, question);
        waiting.spawn(async move {
            let answer = match put {
                Ok(awaited) => awaited.until(deadline).await,
                Err(unanswered) => Err(unanswered),
            };
            tracing::debug!(%connector, %relay, "checked");
            ConnectorChecked { connector, steps: steps(answer, &relay_name), relay: relay_name }
        });
    }
    let mut checked = waiting.join_all().await;
    checked.sort_unstable_by_key(|checked| checked.connector);
    checked
}

/// The user has no name to be signed on under. Connectors were told of none, and say that nobody was named.
fn nameless(steps: &mut Vec<CheckStep>, why: &CheckStep) {
    for step in steps.iter_mut().filter(|step| step.step == "delegate" && step.result == StepResult::Skipped) {
        step.seen = format!("not tried: the user has no name to be signed on under (see the step {})", why.step);
    }
    steps.push(why.clone());
}

/// Where users enter their passwords themselves: of that connectors know nothing, and name what operators do.
fn by_users(step: &mut CheckStep, page: &str) {
    if step.step == "vault-entry" && step.result == StepResult::Fail {
        step.cure = format!("each user enters theirs at {page}; operators: {}", step.cure);
    }
}

/// What a connector found, or one step that says why it found nothing.
fn steps(answer: Result<Answer, Unanswered>, relay: &str) -> Vec<CheckStep> {
    let failed = |seen: &str, cure: &str| vec![CheckStep::new("check", StepResult::Fail, 0, seen, cure)];
    let outcome = match answer {
        Ok(Answer::Check { outcome }) => outcome,
        Ok(Answer::Unknown) => {
            return failed(
                &format!("the relay {relay} is of an older version and does not know this question"),
                "update it",
            );
        }
        Ok(_) => CheckOutcome::Damaged, // what answers another question
        Err(Unanswered::Crowded) => {
            return failed(&format!("the relay {relay} was not asked: too many questions to it wait"), CURE_BUSY);
        }
        Err(Unanswered::LinkEnded) => {
            return failed(&format!("the link to the relay {relay} ended before it answered"), "try again");
        }
        Err(Unanswered::Late) => return failed(&format!("the relay {relay} did not answer"), "look at its log"),
    };
    match outcome {
        CheckOutcome::Found { report } => {
            let steps = report.bounded().steps;
            if steps.is_empty() { failed("the connector found nothing at all", "look at its log") } else { steps }
        }
        CheckOutcome::NotHere => {
            failed("its tunnel was lost meanwhile", "try again; journalctl -u postern-connector on its host says why")
        }
        CheckOutcome::TooOld => failed(
            "this connector is of an older version and does not know checks",
            "update postern-connector on its host",
        ),
        CheckOutcome::Late => {
            let seconds = CHECK_ANSWER_TIMEOUT_MS / 1000;
            failed(&format!("the connector did not answer within {seconds} s"), "look at its log")
        }
        CheckOutcome::Busy => {
            failed("the connector was not asked: too many other checks wait for it at the relay", CURE_BUSY)
        }
        CheckOutcome::Damaged => failed("the answer cannot be read", "bring relay and connector to the same version"),
    }
}

const CURE_BUSY: &str = "try again in half a minute; if it stays so, look at the log of what does not answer";

/// Steps that did not go the same way everywhere.
fn differences(connectors: &[ConnectorChecked]) -> Vec<String> {
    let steps: Vec<(&str, StepResult, ConnectorId)> = connectors
        .iter()
        .flat_map(|checked| checked.steps.iter().map(|step| (step.step.as_str(), step.result, checked.connector)))
        .collect();
    let names: BTreeSet<&str> = steps.iter().map(|(step, ..)| *step).collect();
    let of = |name: &str| {
        let here: Vec<_> = steps.iter().filter(|(step, ..)| *step == name).collect();
        let same = here.len() == connectors.len() && here.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let words = here.iter().map(|(_, result, connector)| format!("{} on {connector}", result.as_str()));
        (!same).then(|| format!("{name}: {}", words.collect::<Vec<_>>().join(", ")))
    };
    names.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::CheckReport;

    fn checked(connector: &str, results: &[(&str, StepResult)]) -> ConnectorChecked {
        let steps = results.iter().map(|(step, result)| CheckStep::new(step, *result, 1, "", "")).collect();
        ConnectorChecked { connector: connector.parse().unwrap(), relay: "r".into(), steps }
    }

    #[test]
    fn differences_are_named_and_equal_results_are_not() {
        use StepResult::{Fail, Ok};
        let one = checked("c1-1", &[("name", Ok), ("connect", Ok), ("tls", Ok)]);
        let two = checked("c1-2", &[("name", Ok), ("connect", Fail)]);
        let expected = ["connect: ok on c1-1, fail on c1-2", "tls: ok on c1-1"];
        assert_eq!(differences(&[one.clone(), two]), expected);
        assert_eq!(differences(&[one]), Vec::<String>::new());
    }

    #[test]
    fn whatever_does_not_answer_has_failed_and_says_what_to_do() {
        let of = |outcome| steps(Ok(Answer::Check { outcome }), "edge-1");
        let empty = CheckOutcome::Found { report: CheckReport::default() };
        let ends = [
            of(CheckOutcome::NotHere),
            of(CheckOutcome::TooOld),
            of(CheckOutcome::Late),
            of(CheckOutcome::Busy),
            of(CheckOutcome::Damaged),
            of(empty),
        ];
        let others = [
            steps(Err(Unanswered::Late), "edge-1"),
            steps(Err(Unanswered::Crowded), "edge-1"),
            steps(Err(Unanswered::LinkEnded), "edge-1"),
            steps(Ok(Answer::Unknown), "edge-1"),
        ];
        let mut words = BTreeSet::new();
        for steps in ends.into_iter().chain(others) {
            let [step] = steps.as_slice() else { panic!("{steps:?}") };
            assert!(words.insert(step.seen.clone()), "the words of another end: {step:?}");
            assert_eq!(step.result, StepResult::Fail);
            assert!(!step.cure.is_empty(), "{step:?}");
        }
    }

    #[test]
    fn who_has_no_name_was_named_all_the_same() {
        let mut steps = vec![
            CheckStep::new("spn", StepResult::Ok, 1, "known", ""),
            CheckStep::new("delegate", StepResult::Skipped, 0, "no user was named: --user LOGIN tries delegation", ""),
        ];
        nameless(&mut steps, &CheckStep::new("user", StepResult::Fail, 0, "\"anna\" is of no realm", ""));
        let seen: Vec<&str> = steps.iter().map(|step| step.seen.as_str()).collect();
        let delegate = "not tried: the user has no name to be signed on under (see the step user)";
        assert_eq!(seen, ["known", delegate, "\"anna\" is of no realm"]);
    }

    #[test]
    fn where_users_enter_passwords_they_are_the_cure_and_for_nothing_else() {
        let cured = |name: &str, result| {
            let mut step = CheckStep::new(name, result, 1, "", "postern vault set APP --user LOGIN");
            by_users(&mut step, "https://login.example.com/passwords/a1-7");
            step.cure
        };
        let both = "each user enters theirs at https://login.example.com/passwords/a1-7; operators: postern vault set APP \
                    --user LOGIN";
        assert_eq!(cured("vault-entry", StepResult::Fail), both);
        for (name, result) in [("vault-key", StepResult::Fail), ("vault-entry", StepResult::Skipped)] {
            assert_eq!(cured(name, result), "postern vault set APP --user LOGIN", "{name}");
        }
    }

    #[test]
    fn what_a_relay_passes_on_is_made_harmless() {
        let step =
            CheckStep { step: "x".into(), result: StepResult::Ok, ms: 1, seen: "\x1b[2J".into(), cure: String::new() };
        let report = CheckReport { steps: vec![step; 500] };
        let steps = steps(Ok(Answer::Check { outcome: CheckOutcome::Found { report } }), "r");
        assert!(steps.len() < 100 && steps.iter().all(|step| !step.seen.contains('\x1b')));
    }
}
