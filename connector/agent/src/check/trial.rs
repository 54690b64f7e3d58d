//! Kerberos step by step, as a request would go: the keytab, the connector's own ticket, the service's name at the KDC, the clock, then
//! in a user's name, and at last what the application says to a ticket.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_http::{Known, ResponseHead};
use postern_sso::keytab::{self, KeytabEntry};
use postern_sso::{Account, KerberosFailure, Proof, Trial, Wanted};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::findings::{Findings, Seen};
use super::reach::{Page, words};
use crate::backend::Backend;
use crate::sso::challenge;

/// As far as it goes: a step that needs one that failed is not taken.
pub(super) fn kerberos(
    findings: &Findings,
    backend: &Backend,
    account: Option<&dyn Account>,
    service: &str,
    login: Option<&str>,
    page: Option<&Page>,
) {
    let Some(account) = account else {
        return findings.add("keytab", Seen::fail(NO_ACCOUNT.0, NO_ACCOUNT.1));
    };
    findings.step("keytab", || (keytab_of(account), ()));
    let signed_in = findings.step("ticket", || match account.begin() {
        Ok(trial) => match trial.sign_in() {
            Ok(()) => (Seen::ok(&format!("the KDC gives {} its own ticket", account.principal())), Some(trial)),
            Err(failure) => (failed(&failure), None),
        },
        Err(failure) => (failed(&failure), None),
    });
    findings.step("clock", || (clock(page, OffsetDateTime::now_utc()), ()));
    let Some(trial) = signed_in else { return };
    let known = findings.step("spn", || spn(&*trial, service));
    if !known {
        return;
    }
    let Some(login) = login else {
        let seen = "no user was named: --user LOGIN tries delegation in their name, and shows the application a ticket";
        return findings.add("delegate", Seen::skipped(seen));
    };
    in_name_of(findings, backend, &*trial, &Wanted { user: login.into(), service: service.into() }, page);
}

/// Self, proxy, and the application.
fn in_name_of(findings: &Findings, backend: &Backend, trial: &dyn Trial, wanted: &Wanted, page: Option<&Page>) {
    let user = &wanted.user;
    let impersonated = findings.step("impersonate", || match trial.impersonate(user) {
        Ok(()) => {
            (Seen::ok(&format!("S4U2Self: the KDC knows {user}, whom the connector's account may stand for")), true)
        }
        Err(failure) => (failed(&failure), false),
    });
    if !impersonated {
        return;
    }
    let token = findings.step("delegate", || match trial.delegate(wanted) {
        Ok(token) => {
            (Seen::ok(&format!("S4U2Proxy: a ticket to {} in the name of {user}", wanted.service)), Some(token))
        }
        Err(failure) => (failed(&failure), None),
    });
    let Some((token, proof)) = token else { return };
    match page {
        Some(page) => findings.step("accept", || (accepted(backend, page, &token, proof), ())),
        None => findings.add("accept", Seen::skipped("the application did not answer")),
    }
}

fn keytab_of(account: &dyn Account) -> Seen {
    let path = account.keytab().display();
    let entries = match keytab::read(account.keytab()) {
        Ok(entries) => entries,
        Err(failure) => return failed(&failure),
    };
    let own: Vec<&KeytabEntry> = entries.iter().filter(|entry| entry.principal == account.principal()).collect();
    if own.is_empty() {
        let seen =
            format!("{path} has no key of {}; it has keys of {}", account.principal(), others(&entries, account));
        return Seen::fail(&seen, "write --kerberos-principal as the keytab does, or make the keytab anew");
    }
    let keys: Vec<String> =
        own.iter().take(KEYS_SHOWN).map(|entry| format!("kvno {} {}", entry.version, entry.cipher_name())).collect();
    let seen = format!("{path}: {} ({})", account.principal(), keys.join(", "));
    if own.iter().all(|entry| entry.is_weak()) {
        return Seen::warn(&seen, "make a keytab with AES keys: KDCs of today refuse the ciphers of these");
    }
    Seen::ok(&seen)
}

/// Whose keys it has, to see a name that is written otherwise: those of the same realm. Whom else the host serves is not an operator's
/// of the application to know.
fn others(entries: &[KeytabEntry], account: &dyn Account) -> String {
    let realm = |principal: &str| principal.rsplit_once('@').map(|(_, realm)| realm.to_owned());
    let own = realm(account.principal());
    let principals: BTreeSet<&str> = entries.iter().map(|entry| entry.principal.as_str()).collect();
    let (known, foreign): (Vec<&str>, Vec<&str>) =
        principals.into_iter().partition(|principal| own.is_some() && realm(principal) == own);
    let mut words: Vec<String> = known.iter().take(PRINCIPALS_SHOWN).map(|principal| (*principal).to_owned()).collect();
    match foreign.len() + known.len().saturating_sub(PRINCIPALS_SHOWN) {
        0 => {}
        more if words.is_empty() => words.push(format!("{more} principals of other realms")),
        more => words.push(format!("{more} more")),
    }
    if words.is_empty() { "nobody".into() } else { words.join(", ") }
}

fn spn(trial: &dyn Trial, service: &str) -> (Seen, bool) {
    match trial.reach(service) {
        Ok(()) => (Seen::ok(&format!("the KDC knows {service}")), true),
        Err(failure) => (failed(&failure), false),
    }
}

/// The library corrects its clock by the KDC's; an application does not. Nothing says the KDC's time, so this is the application's.
fn clock(page: Option<&Page>, now: OffsetDateTime) -> Seen {
    let Some(page) = page else { return Seen::skipped("the application did not answer") };
    let date = page.got.head.headers.get_str(Known::Date);
    let Some(date) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else {
        return Seen::skipped(
            "the application does not say what time it has; a KDC that has another one refuses the ticket above",
        );
    };
    skew((date - now).whole_seconds())
}

fn skew(seconds: i64) -> Seen {
    let seen = format!("the application's clock differs from this connector's by {seconds} s");
    let cure = "set the clocks of connector, KDC and application by NTP: Kerberos bears 300 s";
    match seconds.unsigned_abs() {
        0..=60 => Seen::ok(&seen),
        61..=300 => Seen::warn(&seen, cure),
        301.. => Seen::fail(&seen, cure),
    }
}

fn accepted(backend: &Backend, page: &Page, token: &[u8], proof: Box<dyn Proof>) -> Seen {
    let got = match page.again(backend, &format!("Negotiate {}", STANDARD.encode(token))) {
        Ok(got) => got,
        Err(trouble) => return Seen::fail(&words(backend, &trouble), "look at the application's log"),
    };
    let status = got.head.status;
    if status == 401 {
        let cure =
            "give the application the key of sso_spn (its keytab, or the account it runs as), and look at its log";
        return Seen::fail("the application answers 401 to a good ticket", cure);
    }
    let proven = match said(&got.head).map(|answer| proof.check(&answer)) {
        Some(Err(failure)) => return failed(&failure),
        Some(Ok(())) => " and proves who it is",
        None if !asks(&page.got.head) => {
            return Seen::warn(
                &format!(
                    "the application answers {status}, with a ticket and without: nothing shows that it looks at it"
                ),
                "set the internal URL to a page that asks for Negotiate",
            );
        }
        None => "",
    };
    match status {
        500.. => Seen::fail(
            &format!("the application takes the ticket{proven} and fails ({status})"),
            "look at the application's log",
        ),
        400.. => Seen::warn(
            &format!("the application takes the ticket{proven} and answers {status}"),
            "look whether this user may use it",
        ),
        _ => Seen::ok(&format!("the application takes the ticket ({status}){proven}")),
    }
}

/// Whether it lets nobody in without a ticket.
fn asks(head: &ResponseHead) -> bool {
    let mut fields = head.headers.get_all(Known::WwwAuthenticate);
    head.status == 401 && fields.any(|value| challenge(value, b"Negotiate").is_some())
}

fn said(head: &ResponseHead) -> Option<Vec<u8>> {
    let value = head.headers.get_all(Known::WwwAuthenticate).find_map(|value| challenge(value, b"Negotiate"))?;
    if value.is_empty() { None } else { Some(STANDARD.decode(value).unwrap_or_default()) }
}

/// The code in words, and what to do about it.
fn failed(failure: &KerberosFailure) -> Seen {
    let code = match (failure.name(), failure.code) {
        (Some(name), Some(code)) => format!("{name} ({code}): "),
        (_, Some(code)) => format!("Kerberos error {code}: "),
        (_, None) => String::new(),
    };
    Seen::fail(&format!("{code}{}", failure.words), failure.advice())
}

const NO_ACCOUNT: (&str, &str) = if cfg!(feature = "kerberos") {
    ("this connector has no key for Kerberos", "start it with --keytab and --kerberos-principal")
} else {
    (
        "this connector was built without Kerberos: nothing of it can be looked at",
        "build it with --features kerberos (docs/kerberos.md)",
    )
};
const PRINCIPALS_SHOWN: usize = 5;
const KEYS_SHOWN: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::StepResult;

    #[test]
    fn an_application_that_is_down_says_no_time() {
        let findings = Findings::default();
        findings.add("clock", clock(None, OffsetDateTime::UNIX_EPOCH));
        let step = findings.report(true).steps.remove(0);
        assert_eq!((step.result, &*step.seen), (StepResult::Skipped, "the application did not answer"));
    }

    #[test]
    fn clocks_may_differ_by_what_kerberos_bears() {
        let findings = Findings::default();
        for seconds in [0, -60, 61, -300, 301, i64::MIN] {
            findings.add("clock", skew(seconds));
        }
        let results: Vec<_> = findings.report(true).steps.into_iter().map(|step| step.result).collect();
        use StepResult::{Fail, Ok, Warn};
        assert_eq!(results, [Ok, Ok, Warn, Warn, Fail, Fail]);
    }
}
