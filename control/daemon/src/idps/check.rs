//! What no provider can be. The library that asks providers checks the same again, where it is used.

use postern_model::admin::Problem;
use postern_model::external::{
    CLAIMED_GROUP_BYTES_MAX, CLIENT_SECRET_BYTES_MAX, DOMAINS_MAX, FETCH_TIMEOUT_MS_MAX, FETCH_TIMEOUT_MS_MIN,
    MAPPED_GROUPS_MAX, PROVIDER_URL_BYTES_MAX, ProviderSettings, SKEW_S_MAX,
};
use postern_model::secret::SecretText;
use postern_model::session::AuthMethod;
use url::{Host, Url};

use crate::control::Control;
use crate::problem::problem;
use crate::store::StoredProvider;

/// Whether it can be asked, and whether it gets along with the tenant's others.
pub(super) fn check(control: &Control, provider: &StoredProvider, secret: Option<&SecretText>) -> Result<(), Problem> {
    let settings = &provider.settings;
    let wrong = |about: &str, detail: String| Err(problem("request-invalid", detail).about(about));
    check_issuer(settings)?;
    let texts = [
        ("client_id", Some(&settings.client_id)),
        ("display_name_claim", Some(&settings.display_name_claim)),
        ("mail_claim", Some(&settings.mail_claim)),
        ("group_claim", settings.group_claim.as_ref()),
        ("domain_hint_parameter", Some(&settings.domain_hint_parameter)),
    ];
    let lists = settings.scopes.iter().map(|text| ("scopes", text));
    let lists = lists.chain(settings.login_claims.iter().map(|text| ("login_claims", text)));
    for (about, text) in texts.into_iter().filter_map(|(about, text)| Some((about, text?))).chain(lists) {
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || !printable {
            return wrong(about, format!("{about}: 1 to {TEXT_BYTES_MAX} printable characters, without spaces"));
        }
    }
    if secret.is_some_and(|secret| secret.expose().is_empty() || secret.expose().len() > CLIENT_SECRET_BYTES_MAX) {
        return wrong("client_secret", format!("a client secret has 1 to {CLIENT_SECRET_BYTES_MAX} bytes"));
    }
    if settings.login_claims.is_empty() || settings.login_claims.len() > LIST_MAX || settings.scopes.len() > LIST_MAX {
        return wrong("login_claims", format!("1 to {LIST_MAX} login claims, and at most {LIST_MAX} scopes"));
    }
    if settings.acr.len() > LIST_MAX {
        return wrong("acr", format!("at most {LIST_MAX} values of acr"));
    }
    if settings.skew_s > SKEW_S_MAX {
        return wrong("skew_s", format!("{} s: clocks may differ by at most {SKEW_S_MAX} s", settings.skew_s));
    }
    if !(FETCH_TIMEOUT_MS_MIN..=FETCH_TIMEOUT_MS_MAX).contains(&settings.fetch_timeout_ms) {
        return wrong(
            "fetch_timeout_ms",
            format!("an answer may take {FETCH_TIMEOUT_MS_MIN} to {FETCH_TIMEOUT_MS_MAX} ms"),
        );
    }
    if settings.ca_pem.as_ref().is_some_and(|pem| pem.len() > CA_BYTES_MAX || !pem.contains("-----BEGIN CERTIFICATE")) {
        return wrong("ca_pem", format!("PEM certificates of authorities, at most {CA_BYTES_MAX} bytes"));
    }
    if provider.groups.len() > MAPPED_GROUPS_MAX {
        return wrong("groups", format!("at most {MAPPED_GROUPS_MAX} groups"));
    }
    let words = provider.groups.keys().chain(settings.acr.keys());
    for word in words {
        if word.is_empty() || word.len() > CLAIMED_GROUP_BYTES_MAX || word.contains(char::is_control) {
            let detail = format!(
                "{word:?}: groups and values of acr have 1 to {CLAIMED_GROUP_BYTES_MAX} bytes without control characters"
            );
            return wrong("groups", detail);
        }
    }
    let by_device = settings.acr.iter().find(|(_, methods)| methods.contains(&AuthMethod::SoftwareKey));
    if let Some((value, _)) = by_device {
        // Such a session lasts as long as the device counts, and a provider shows none.
        let method = AuthMethod::SoftwareKey;
        return wrong(
            "acr",
            format!("{value:?}: {method} is what a device proves to us; no provider proves it for one"),
        );
    }
    check_among_others(control, provider)
}

fn check_issuer(settings: &ProviderSettings) -> Result<(), Problem> {
    let wrong = |why: &str| {
        let shown: String = settings.issuer.chars().take(80).collect();
        Err(problem("request-invalid", format!("issuer {shown:?}: {why}")).about("settings.issuer"))
    };
    let Ok(url) = Url::parse(&settings.issuer) else { return wrong("it is no URL") };
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false, // A name may lead anywhere.
    };
    match url.scheme() {
        "https" => {}
        "http" if settings.insecure_loopback && is_loopback => {}
        _ => return wrong("it must begin with https://"), // whatever else it may be
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return wrong("it must have no user name, no query and no fragment");
    }
    if settings.issuer.len() > PROVIDER_URL_BYTES_MAX { wrong("it is too long") } else { Ok(()) }
}

/// A domain leads to one provider, and so does a browser that begins.
fn check_among_others(control: &Control, provider: &StoredProvider) -> Result<(), Problem> {
    let domains = &provider.settings.domains;
    let is_domain = |domain: &str| {
        let right = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(right)
    };
    if let Some(wrong) = domains.iter().find(|domain| !is_domain(domain)) {
        let detail = format!("{wrong:?} is no domain: a-z, 0-9, - and ., such as example.com");
        return Err(problem("request-invalid", detail).about("settings.domains"));
    }
    if domains.len() > DOMAINS_MAX {
        return Err(problem("limit-reached", format!("at most {DOMAINS_MAX} domains")).about("settings.domains"));
    }
    if control.is_staging() {
        return Ok(()); // A document may swap them: it is judged as a whole.
    }
    let others = control.providers(|store| store.providers(Some(provider.tenant)))?;
    apart(provider, &others)
}

pub(super) fn apart(provider: &StoredProvider, others: &[StoredProvider]) -> Result<(), Problem> {
    let domains = &provider.settings.domains;
    for other in others.iter().filter(|other| other.name != provider.name) {
        if let Some(domain) = domains.intersection(&other.settings.domains).next() {
            let detail = format!("{domain} leads to provider {} already", other.name);
            return Err(problem("name-taken", detail).about("settings.domains"));
        }
        if provider.settings.default && other.settings.default {
            let detail =
                format!("browsers go straight to provider {} already: only one can be the default", other.name);
            return Err(problem("name-taken", detail).about("settings.default"));
        }
    }
    Ok(())
}

const TEXT_BYTES_MAX: usize = 128;
const CA_BYTES_MAX: usize = 64 << 10;
const LIST_MAX: usize = 32;
