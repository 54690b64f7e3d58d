//! Which single sign-on answers how an application tells its users apart today, and what it needs first.

use std::collections::BTreeMap;

use postern_model::app_url::InternalUrl;
use postern_model::claims::SsoHeaders;
use postern_model::config::Preauth;
use postern_model::settings::{AppSettings, check_preauth};
use postern_model::sso::{BACKEND_PLAINTEXT, Realm, SSO, SSO_SPN, ServicePrincipal};

use super::super::authentication::Authentication;
use super::super::columns::Column;
use super::super::sheet::Row;
use super::Wave;

/// How its users are signed on.
#[derive(Debug)]
pub(super) struct SignOn {
    pub(super) wave: Wave,
    /// What can be applied as it is.
    pub(super) settings: BTreeMap<String, String>,
    /// What is commented out until something else is done.
    pub(super) later: Vec<(&'static str, String)>,
    /// Above the settings: what that is.
    pub(super) advice: String,
    pub(super) warnings: Vec<String>,
}

pub(super) fn of(row: &Row, internal: &InternalUrl) -> SignOn {
    match Authentication::of(row) {
        None => direct("how it tells its users apart is not known: postern inventory probe looks"),
        Some(Authentication::Nothing) => direct("it asks nobody who they are: whoever is assigned gets in"),
        Some(Authentication::Windows) => kerberos(row, internal),
        Some(Authentication::Claims) => claims(row, internal),
        Some(Authentication::Header) => headers(row, internal),
        Some(Authentication::Forms) => forms(internal),
        Some(Authentication::Basic) => basic(internal),
        Some(Authentication::Ntlm) => SignOn {
            warnings: vec!["NTLM alone is answered by no single sign-on: have it offer Negotiate".into()],
            ..direct("once it offers Negotiate, write windows instead of ntlm and plan it again: docs/kerberos.md")
        },
    }
}

fn direct(advice: &str) -> SignOn {
    later(Wave::Direct, Vec::new(), advice)
}

fn later(wave: Wave, later: Vec<(&'static str, String)>, advice: &str) -> SignOn {
    SignOn { wave, settings: BTreeMap::new(), later, advice: advice.into(), warnings: Vec::new() }
}

/// With these settings if control takes them; else they are for later.
fn now_if_fit(wave: Wave, settings: Vec<(&'static str, String)>, advice: &str, internal: &InternalUrl) -> SignOn {
    let set: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    match fit(&set, internal) {
        Ok(()) => SignOn { settings: set, ..later(wave, Vec::new(), advice) },
        Err(why) => SignOn { warnings: vec![why], ..later(wave, settings, advice) },
    }
}

fn fit(settings: &BTreeMap<String, String>, internal: &InternalUrl) -> Result<(), String> {
    let parsed = AppSettings::parse(settings).map_err(|error| error.to_string())?;
    let fits = check_preauth(settings, Preauth::Oidc)
        .and_then(|()| parsed.check_preauth(Preauth::Oidc))
        .and_then(|()| parsed.check_backend(internal.tls));
    fits.map_err(|error| error.to_string())
}

fn kerberos(row: &Row, internal: &InternalUrl) -> SignOn {
    let account = row.get(Column::ServiceAccount);
    let of_account = if account.contains('@') && !account.contains('/') {
        format!(" and is one of the account {account}")
    } else {
        String::new()
    };
    let advice = format!(
        "take the # away once its connectors have the key of an account that may delegate to this SPN, \
         which setspn shows{of_account}: docs/kerberos.md"
    );
    let settings =
        vec![(SSO, "kerberos".to_owned()), (SSO_SPN, spn(account, row.get(Column::DomainMembership), internal))];
    later(Wave::Kerberos, settings, &advice)
}

/// What the column says, or `HTTP/` with the host that browsers inside ask for a ticket.
fn spn(account: &str, domain: &str, internal: &InternalUrl) -> String {
    if account.contains('/') && account.parse::<ServicePrincipal>().is_ok() {
        return account.to_owned();
    }
    let realm = domain.to_ascii_uppercase();
    let realm =
        if domain.contains('.') && realm.parse::<Realm>().is_ok() { format!("@{realm}") } else { String::new() };
    let host = if account.is_empty() || account.contains(['@', '/']) { &*internal.host } else { account };
    let spn = format!("HTTP/{host}{realm}");
    if spn.parse::<ServicePrincipal>().is_ok() { spn } else { format!("HTTP/HOST.OF.ITS.SPN{realm}") }
}

fn claims(row: &Row, internal: &InternalUrl) -> SignOn {
    let mut words = row.words(Column::SamlIdentifiers);
    let entity_id = words.next();
    let acs = words.collect::<Vec<_>>().join(" ");
    let known = entity_id.is_some() && !acs.is_empty();
    let settings = vec![
        (SSO, "saml".to_owned()),
        ("sso_saml_entity_id", entity_id.unwrap_or("its entity id").to_owned()),
        ("sso_saml_acs", if acs.is_empty() { "https://its.reply.url/".to_owned() } else { acs }),
    ];
    if known {
        return now_if_fit(Wave::Told, settings, "have it trust postern identity saml show: docs/saml.md", internal);
    }
    let advice = "take the # away once the SAML identifiers are filled in (docs/saml.md); \
                  an application of OpenID Connect becomes a client instead: postern client add";
    let warning = format!("its {} are not known: entity id, then reply URLs", Column::SamlIdentifiers.heading());
    SignOn { warnings: vec![warning], ..later(Wave::Told, settings, advice) }
}

fn headers(row: &Row, internal: &InternalUrl) -> SignOn {
    let requirement = row.get(Column::HeaderRequirement);
    let advice =
        "it must take connections from its connectors only, or others can send these headers: docs/single-sign-on.md";
    match requirement.parse::<SsoHeaders>() {
        Ok(_) if requirement.contains('=') => {
            now_if_fit(Wave::Told, vec![(SSO_HEADERS, requirement.to_owned())], advice, internal)
        }
        Ok(_) | Err(_) => {
            let heading = Column::HeaderRequirement.heading();
            let warning =
                format!("its {heading} is no list of NAME=EXPRESSION; it gets X-Postern-User until sso_headers is set");
            let settings = vec![(SSO_HEADERS, "X-Remote-User=login".to_owned())];
            SignOn { warnings: vec![warning], ..later(Wave::Told, settings, advice) }
        }
    }
}

fn basic(internal: &InternalUrl) -> SignOn {
    vault(internal, vec![(SSO, "basic".to_owned())])
}

fn forms(internal: &InternalUrl) -> SignOn {
    let form = [("sso_form_url", "/path/of/the/form"), ("sso_form_success", "location:/")];
    let form = form.into_iter().map(|(name, value)| (name, value.to_owned()));
    vault(internal, std::iter::once((SSO, "form".to_owned())).chain(form).collect())
}

fn vault(internal: &InternalUrl, mut settings: Vec<(&'static str, String)>) -> SignOn {
    let advice = "until then it asks its users itself; take the # away once its passwords are in the vault: \
                  docs/single-sign-on.md#passwords, and postern app check names what its form is";
    let mut warnings = Vec::new();
    if !internal.tls {
        settings.push((BACKEND_PLAINTEXT, "allow".to_owned()));
        warnings.push("its passwords go to an http:// internal URL: better one with https://".to_owned());
    }
    SignOn { warnings, ..later(Wave::Vault, settings, advice) }
}

const SSO_HEADERS: &str = "sso_headers";
