//! What the answers of a look from outside mean.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use postern_model::admin::AppView;
use postern_model::check::{AppChecked, CheckApp, CheckStep, StepResult};
use postern_model::config::{CertificateOrigin, Preauth};

use super::Seen;
use crate::look::{Distrust, Head, Leaf};

/// `led`: where the external host leads by DNS; `own`: where the relay is, if one is gone to.
pub(super) fn name(
    host: &str,
    led: &Result<Vec<SocketAddr>, String>,
    own: Option<&Result<Vec<SocketAddr>, String>>,
) -> Seen {
    let words = |addresses: &[SocketAddr]| {
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
    };
    if let Some(Err(why)) = own {
        return Seen::fail(&format!("the relay's own name cannot be resolved: {why}"), "look at its DNS record");
    }
    let meets =
        |led: &[SocketAddr], own: &[SocketAddr]| own.iter().any(|here| led.iter().any(|one| one.ip() == here.ip()));
    match (led, own) {
        (Err(why), Some(_)) => Seen::warn(
            &format!("{host} leads nowhere as seen from here: {why}; the relay is gone to by its own address"),
            &format!("have DNS lead {host} to the relay, for users"),
        ),
        (Err(why), None) => Seen::warn(
            &format!(
                "{host} leads nowhere as seen from here ({why}), and control dials no relay: nothing more is looked at"
            ),
            "--relay HOST:PORT names the relay; have DNS lead users to it",
        ),
        (Ok(led), Some(Ok(own))) if !meets(led, own) => Seen::warn(
            &format!("{host} leads to {}, and the relay is at {}", words(led), words(own)),
            "fine behind address translation or a load balancer; else have DNS lead to the relay",
        ),
        (Ok(led), _) => Seen::ok(&format!("{host} leads to {}", words(led))),
    }
}

/// What the certificate is worth to browsers.
pub(super) fn certificate(leaf: Option<&Leaf>, trust: &Result<(), Distrust>, origin: CertificateOrigin) -> Seen {
    let Some(leaf) = leaf else {
        return Seen::fail("the certificate cannot be read", "look at what is between here and the relay");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let days = leaf.not_after_unix.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX)) / DAY_S;
    let seen = format!("issued by {}, good for {days} days", leaf.issuer);
    let untrusted = format!("{seen}: of an authority that this host does not trust");
    match (trust, origin) {
        (Ok(()), CertificateOrigin::Given) if days < SOON_DAYS => {
            Seen::warn(&seen, "renew it: postern app set NAME --cert FILE --key FILE")
        }
        (Ok(()), CertificateOrigin::Given) => Seen::ok(&seen),
        (Ok(()), CertificateOrigin::Issued) => {
            Seen::ok(&format!("{seen}: Postern's own authority, which browsers know only where it was installed"))
        }
        (Err(Distrust::UnknownIssuer), CertificateOrigin::Issued) => Seen::warn(
            &untrusted,
            "browsers need Postern's web authority (postern init names it), or give a certificate (--cert, --key); as root on \
             control's host it is verified here",
        ),
        (Err(Distrust::UnknownIssuer), CertificateOrigin::Given) => Seen::warn(
            &untrusted,
            "browsers that do not know it refuse the page: give the whole chain with --cert, or look who inspects TLS on the way",
        ),
        (Err(Distrust::Other(why)), CertificateOrigin::Issued | CertificateOrigin::Given) => Seen::fail(
            &format!("{seen}: {why}"),
            "browsers refuse the page: give one that is for this host and valid now (postern app set NAME --cert FILE --key FILE)",
        ),
    }
}

/// Without credentials, as a program asks.
pub(super) fn passthrough(preauth: Preauth, head: &Head) -> Seen {
    let seen = format!("HTTP {}", head.status);
    match (preauth, head.status) {
        (_, 421) => Seen::fail(&seen, "the relay does not serve this host: postern ready says whether it is behind"),
        (_, 500..) => Seen::fail(
            &seen,
            "look at the connectors' steps above; postern explain REQUEST_ID tells of the request, whose id the page shows",
        ),
        (Preauth::Oidc, 401 | 403) => {
            Seen::ok(&format!("{seen}: the relay answers, and lets nobody in whom it does not know"))
        }
        (Preauth::Oidc, 200..=299) => Seen::fail(&format!("{seen}: content is served to whoever asks"), NO_RELAY),
        (Preauth::Oidc, _) => Seen::ok(&format!("{seen}: the relay answers")),
        (Preauth::Passthrough, 404) => {
            Seen::warn(&seen, "there is no page at the external URL's path: look at both URLs")
        }
        (Preauth::Passthrough, _) => Seen::ok(&format!("{seen}: the application answers")),
    }
}

/// As a browser that opens the page and has no session.
pub(super) fn preauth(asks: Preauth, head: &Head) -> Seen {
    match asks {
        Preauth::Passthrough => return Seen::ok("nobody is asked who they are (--preauth passthrough)"),
        Preauth::Oidc => {}
    }
    match head.status {
        302 | 303 | 307 => {
            let to = head.field("location").unwrap_or_default();
            // What is behind the path is for that browser alone.
            let place = to.split(['?', '#', ';']).next().unwrap_or_default();
            Seen::ok(&format!("a browser is sent to {place} to sign in"))
        }
        401 | 503 => Seen::warn(
            &format!("HTTP {}: a browser is sent nowhere to sign in; only service tokens pass", head.status),
            "postern identity publish, and start postern-identity; postern explain sign-in-unavailable",
        ),
        200..=299 => Seen::fail(&format!("HTTP {}: a page is served to whoever comes", head.status), NO_RELAY),
        status => Seen::fail(&format!("HTTP {status} in place of the way to sign in"), "look at the relay's log"),
    }
}

/// Single sign-on and policies, by what connectors and control found.
pub(super) fn known_inside(app: &AppView, asked: &CheckApp, checked: &AppChecked) -> Vec<CheckStep> {
    let mut steps = Vec::new();
    if asked.sign_on {
        let Seen { result, seen, cure } = sign_on(app, checked);
        steps.push(CheckStep::new("sso", result, 0, &seen, &cure));
    }
    let Seen { result, seen, cure } = policy(app, asked, checked);
    steps.push(CheckStep::new("policy", result, 0, &seen, &cure));
    steps
}

fn sign_on(app: &AppView, checked: &AppChecked) -> Seen {
    let Some(method) = app.settings.get("sso").filter(|method| *method != "none") else {
        return Seen::ok("none is configured: the application is told by headers, or signs users in itself");
    };
    let steps = checked.connectors.iter().flat_map(|by| by.steps.iter().map(move |step| (by.connector, step)));
    let mut tried = steps.filter(|(_, step)| SIGN_ON_STEPS.contains(&step.step.as_str()));
    match tried.find(|(_, step)| step.result == StepResult::Fail) {
        Some((connector, step)) => Seen::fail(
            &format!("sso={method} fails at {} on {connector}", step.step),
            &format!("see there: {}", step.cure),
        ),
        None => Seen::ok(&format!("sso={method}: no step of it failed on a connector")),
    }
}

fn policy(app: &AppView, asked: &CheckApp, checked: &AppChecked) -> Seen {
    match app.preauth {
        Preauth::Passthrough => return Seen::skipped("nobody is asked who they are: policies do not apply"),
        Preauth::Oidc => {}
    }
    let access = checked.connectors.iter().flat_map(|by| &by.steps).find(|step| step.step == "access");
    match (access, &asked.user) {
        (Some(step), _) => Seen { result: step.result, seen: step.seen.clone(), cure: step.cure.clone() },
        (None, None) => Seen::skipped("no user was named: --user LOGIN says whether they may open it"),
        (None, Some(user)) => Seen::skipped(&format!("control said nothing of {user}")),
    }
}

/// Steps of connectors, and of control, that are about signing users on.
const SIGN_ON_STEPS: [&str; 10] =
    ["vault-key", "vault-entry", "keytab", "ticket", "clock", "spn", "impersonate", "delegate", "accept", "user"];
const NO_RELAY: &str =
    "look what answers at this address: it is no relay that has this application with --preauth oidc";
const SOON_DAYS: i64 = 14;
const DAY_S: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::CertificateOrigin::{Given, Issued};
    use super::Preauth::{Oidc, Passthrough};
    use super::*;
    use postern_model::check::ConnectorChecked;
    use std::collections::BTreeMap;

    fn head(answer: &str) -> Head {
        let text = format!("HTTP/1.1 {answer}\r\n\r\n");
        crate::look::head(&mut text.as_bytes()).unwrap()
    }

    fn at(address: &str) -> Result<Vec<SocketAddr>, String> {
        Ok(vec![address.parse().unwrap()])
    }

    #[test]
    fn names_that_lead_elsewhere_are_warned_about() {
        let (here, there) = (at("192.0.2.1:443"), at("192.0.2.9:443"));
        let lost: Result<Vec<SocketAddr>, String> = Err("unknown".into());
        assert_eq!(name("wiki.test", &here, Some(&here)).result, StepResult::Ok);
        assert_eq!(name("wiki.test", &here, None).result, StepResult::Ok);
        let other = name("wiki.test", &there, Some(&here));
        assert!(other.result == StepResult::Warn && other.seen.contains("192.0.2.9, and the relay is at 192.0.2.1"));
        assert!(name("wiki.test", &lost, Some(&here)).cure.contains("have DNS lead wiki.test"));
        assert!(name("wiki.test", &lost, None).cure.contains("--relay"));
        assert_eq!(name("wiki.test", &here, Some(&lost)).result, StepResult::Fail);
    }

    #[test]
    fn certificates_are_judged_by_who_issued_them() {
        let of = |days: i64, trust: Result<(), Distrust>, origin| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let not_after_unix = i64::try_from(now).unwrap() + days * DAY_S + 60;
            let leaf = Leaf { issuer: "CA".into(), self_signed: false, not_before_unix: 0, not_after_unix };
            certificate(Some(&leaf), &trust, origin)
        };
        assert_eq!(of(90, Ok(()), Given).result, StepResult::Ok);
        assert!(of(90, Ok(()), Given).seen.contains("good for 90 days"));
        assert_eq!(of(3, Ok(()), Given).result, StepResult::Warn);
        assert_eq!(of(3, Ok(()), Issued).result, StepResult::Ok, "control renews it");
        assert_eq!(of(90, Err(Distrust::UnknownIssuer), Issued).result, StepResult::Warn);
        assert_eq!(of(90, Err(Distrust::UnknownIssuer), Given).result, StepResult::Warn);
        let expired = of(-1, Err(Distrust::Other("expired".into())), Given);
        assert!(expired.result == StepResult::Fail && expired.seen.contains("expired"));
        assert_eq!(certificate(None, &Ok(()), Given).result, StepResult::Fail);
    }

    #[test]
    fn answers_mean_what_was_asked_before() {
        for (asks, answer, result) in [
            (Passthrough, "200 OK", StepResult::Ok),
            (Passthrough, "401 Unauthorized", StepResult::Ok),
            (Passthrough, "404 Not Found", StepResult::Warn),
            (Passthrough, "502 Bad Gateway", StepResult::Fail),
            (Passthrough, "421 Misdirected", StepResult::Fail),
            (Oidc, "401 Unauthorized", StepResult::Ok),
            (Oidc, "421 Misdirected", StepResult::Fail),
            (Oidc, "200 OK", StepResult::Fail),
        ] {
            assert_eq!(passthrough(asks, &head(answer)).result, result, "{asks:?} {answer}");
        }
        let sent = preauth(Oidc, &head("302 Found\r\nlocation: https://login.test/authorize?state=SECRET"));
        let words = "a browser is sent to https://login.test/authorize to sign in";
        assert_eq!((sent.result, sent.seen.as_str()), (StepResult::Ok, words));
        let elsewhere = preauth(Oidc, &head("302 Found\r\nlocation: https://login.test/authorize;sid=SECRET"));
        assert_eq!(elsewhere.seen, words, "parameters of a path are no place");
        assert_eq!(preauth(Oidc, &head("503 Service Unavailable")).result, StepResult::Warn);
        assert_eq!(preauth(Oidc, &head("401 Unauthorized")).result, StepResult::Warn);
        assert_eq!(preauth(Oidc, &head("200 OK")).result, StepResult::Fail, "it would let everybody in");
        assert_eq!(preauth(Oidc, &head("404 Not Found")).result, StepResult::Fail);
        assert_eq!(preauth(Passthrough, &head("200 OK")).result, StepResult::Ok);
    }

    fn found(steps: &[(&str, StepResult)]) -> AppChecked {
        let steps = steps.iter().map(|(step, result)| CheckStep::new(step, *result, 1, "seen", "do")).collect();
        let connector = ConnectorChecked { connector: "c1-1".parse().unwrap(), relay: "r".into(), steps };
        AppChecked {
            app: "wiki".parse().unwrap(),
            group: "hq".parse().unwrap(),
            group_id: "g1-1".parse().unwrap(),
            passed: true,
            connectors: vec![connector],
            differences: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn view(preauth: Preauth, sso: Option<&str>) -> AppView {
        let certificate = serde_json::json!({
            "id": "k1-1", "hosts": [], "origin": "issued", "not_after_unix": 0, "sha256": "", "apps": [],
        });
        let settings: BTreeMap<&str, &str> = sso.map(|method| ("sso", method)).into_iter().collect();
        let view = serde_json::json!({
            "id": "a1-1", "name": "wiki", "external_url": "https://wiki.test/", "internal_url": "http://wiki/",
            "preauth": preauth, "group": "hq", "connectors_online": 1, "certificate": certificate, "settings": settings,
        });
        serde_json::from_value(view).unwrap()
    }

    fn results(app: &AppView, asked: &CheckApp, checked: &AppChecked) -> Vec<(String, StepResult)> {
        known_inside(app, asked, checked).into_iter().map(|step| (step.step, step.result)).collect()
    }

    #[test]
    fn what_only_connectors_and_control_know_is_carried_over() {
        let asked = |user: Option<&str>| CheckApp { connector: None, user: user.map(str::to_owned), sign_on: true };
        let both = |sso, policy| vec![("sso".to_owned(), sso), ("policy".to_owned(), policy)];
        let kerberos = view(Oidc, Some("kerberos"));
        let failed = found(&[("ticket", StepResult::Fail), ("access", StepResult::Warn)]);
        assert_eq!(results(&kerberos, &asked(Some("anna")), &failed), both(StepResult::Fail, StepResult::Warn));
        let good = found(&[("ticket", StepResult::Ok)]);
        assert_eq!(results(&kerberos, &asked(None), &good), both(StepResult::Ok, StepResult::Skipped));
        assert_eq!(results(&view(Passthrough, None), &asked(None), &good), both(StepResult::Ok, StepResult::Skipped));
        let without = CheckApp { sign_on: false, ..asked(None) };
        assert_eq!(results(&kerberos, &without, &good), [("policy".to_owned(), StepResult::Skipped)], "--no-sso");
    }
}
