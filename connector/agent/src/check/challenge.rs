//! How an application asks who its user is, and which single sign-on answers that.

use html5gum::{HtmlString, StartTag};
use postern_http::{Known, ResponseHead};
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;

use super::findings::Seen;
use super::reach::Page;
use super::redirect::shown;
use super::tags::start_tags;
use crate::backend::Backend;
use crate::sso::challenge;

/// What an application asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// Schemes of `WWW-Authenticate`, of those known.
    schemes: Vec<&'static str>,
    form: Option<LoginForm>,
    saml: bool,
}

/// A form with a field for a password.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct LoginForm {
    action: String,
    user_field: String,
    password_field: String,
}

/// Looks at the first page.
pub(super) fn asks(page: &Page) -> Asks {
    Asks { schemes: schemes(&page.got.head), form: login_form(&page.got.content), saml: page.saml }
}

fn schemes(head: &ResponseHead) -> Vec<&'static str> {
    let offered = |scheme: &&str| {
        head.headers.get_all(Known::WwwAuthenticate).any(|value| challenge(value, scheme.as_bytes()).is_some())
    };
    SCHEMES.into_iter().filter(offered).collect()
}

/// The first form with a password's field, in HTML.
fn login_form(page: &[u8]) -> Option<LoginForm> {
    let mut form = LoginForm::default();
    for tag in start_tags(page) {
        match &**tag.name {
            b"form" => form = LoginForm { action: value(&tag, "action"), ..LoginForm::default() },
            b"input" => {
                let kind = value(&tag, "type").to_ascii_lowercase();
                if kind == "password" {
                    form.password_field = value(&tag, "name");
                    return Some(form);
                }
                if matches!(kind.as_str(), "" | "text" | "email") && form.user_field.is_empty() {
                    form.user_field = value(&tag, "name");
                }
            }
            _ => {} // says nothing of forms
        }
    }
    None
}

fn value(tag: &StartTag<()>, name: &str) -> String {
    let value = tag.attributes.get(&HtmlString::from(name.as_bytes().to_vec()));
    value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

impl Asks {
    pub(super) fn has(&self, scheme: &str) -> bool {
        self.schemes.contains(&scheme)
    }

    fn words(&self) -> String {
        let mut words: Vec<String> = self.schemes.iter().map(|scheme| format!("WWW-Authenticate: {scheme}")).collect();
        if let Some(form) = &self.form {
            let action = shown(&form.action);
            words.push(format!("a form with a password ({}) sent to {action:?}", form.password_field));
        }
        if self.saml {
            words.push("a SAML request to an identity provider".into());
        }
        if words.is_empty() { "nothing: it lets in whoever comes, or goes by headers".into() } else { words.join(", ") }
    }

    /// The step: what it asks, set against what is configured.
    pub(super) fn judged(&self, backend: &Backend) -> Seen {
        let Ok(settings) = AppSettings::parse(&backend.app.settings) else {
            return Seen::fail("the settings cannot be read", "update this connector");
        };
        let seen = format!("asks for {}", self.words());
        let suggested = self.suggestion(backend);
        let fits = match settings.sso.method {
            SsoMethod::Kerberos => self.has("Negotiate"),
            SsoMethod::Basic => self.has("Basic"),
            SsoMethod::Form => self.form.is_some(),
            SsoMethod::Saml => self.saml,
            SsoMethod::None => return Seen::ok(&seen).with_cure(&suggested),
        };
        let method = settings.sso.method.as_str();
        if fits {
            return Seen::ok(&format!("{seen}, which sso={method} answers"));
        }
        let advice = format!("sso={method} answers none of this. {suggested}");
        Seen::warn(&seen, &advice)
    }

    /// The method that answers it, with the command.
    fn suggestion(&self, backend: &Backend) -> String {
        let set = |what: &str| format!("postern app set {} --preauth oidc {what}", backend.app.name);
        if self.has("Negotiate") {
            let (spn, parts) = spn(backend);
            let command = set(&format!("--set sso=kerberos{spn}"));
            return format!(
                "sso=kerberos, once every connector of the group has a keytab (docs/kerberos.md): {command}{parts}"
            );
        }
        if self.has("Basic") {
            return format!("sso=basic, with a vault (docs/single-sign-on.md): {}", set("--set sso=basic"));
        }
        if self.saml {
            return format!("sso=saml, with Postern as identity provider (docs/saml.md): {}", set("--set sso=saml"));
        }
        if let Some(form) = &self.form {
            return format!("sso=form, with a vault: {}", set(&form.settings()));
        }
        if self.has("NTLM") {
            return "NTLM alone cannot be answered: have the application offer Negotiate, then sso=kerberos".into();
        }
        if self.has("Digest") || self.has("Bearer") {
            return "no method answers this: have the application take headers (sso_headers), or publish it with passthrough".into();
        }
        format!("if it goes by headers: {}", set("--set 'sso_headers=X-Remote-User=login'"))
    }
}

impl LoginForm {
    /// What strangers wrote stands in a command only where a shell sees nothing in it.
    fn settings(&self) -> String {
        let path = if is_harmless(&self.action) && self.action.starts_with('/') { &self.action } else { "PATH" };
        let field = |name: &str, setting: &str, default: &str| match is_harmless(name) {
            true if name == default => String::new(),
            true => format!(" --set {setting}={name}"),
            false => format!(" --set {setting}=FIELD"),
        };
        format!(
            "--set sso=form --set sso_form_url={path}{}{} --set sso_form_success=location:/",
            field(&self.user_field, "sso_form_user_field", "username"),
            field(&self.password_field, "sso_form_password_field", "password"),
        )
    }
}

fn is_harmless(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'.' | b'-');
    (1..=80).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

/// The setting, with the name that browsers in the network would use, and what of it only an operator knows.
fn spn(backend: &Backend) -> (String, &'static str) {
    if AppSettings::parse(&backend.app.settings).is_ok_and(|settings| settings.sso.spn.is_some()) {
        return (String::new(), "");
    }
    let host = &*backend.internal.host;
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok() {
        return (" --set sso_spn=HTTP/NAME@REALM".into(), PARTS_NAME);
    }
    (format!(" --set sso_spn=HTTP/{host}@REALM"), PARTS_REALM)
}

const PARTS_NAME: &str = " (NAME: the host in the application's SPN, as browsers would call it; REALM: its realm, EXAMPLE.COM say; sso_login where the KDC knows users by another name)";
const PARTS_REALM: &str =
    " (REALM: its realm, EXAMPLE.COM say; sso_login where the KDC knows users by another name than their login)";

const SCHEMES: [&str; 5] = ["Negotiate", "NTLM", "Basic", "Digest", "Bearer"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendTable;
    use crate::backend::tests::{app, config};
    use postern_http::BodyKind;

    fn suggested(asks: &Asks) -> String {
        suggested_at("http://wiki.corp/", &[], asks)
    }

    fn suggested_at(url: &str, settings: &[(&str, &str)], asks: &Asks) -> String {
        let table = BackendTable::build(&config(1, vec![app(1, url, settings)]), None);
        asks.suggestion(table.apps.values().next().unwrap())
    }

    fn of_page(html: &str) -> Asks {
        Asks { form: login_form(html.as_bytes()), ..Asks::default() }
    }

    #[test]
    fn each_challenge_has_its_method() {
        for (value, seen, suggestion) in [
            ("Negotiate", vec!["Negotiate"], "--set sso=kerberos --set sso_spn=HTTP/wiki.corp@REALM (REALM: "),
            ("NTLM, Negotiate", vec!["Negotiate", "NTLM"], "--set sso=kerberos"),
            ("Basic realm=\"x\"", vec!["Basic"], "--set sso=basic"),
            ("NTLM", vec!["NTLM"], "NTLM alone"),
            ("Digest realm=\"x\", nonce=\"y\"", vec!["Digest"], "no method"),
            ("Bearer", vec!["Bearer"], "no method"),
            ("Made-Up", vec![], "sso_headers"),
        ] {
            let mut head = ResponseHead::new(401, BodyKind::None);
            head.headers.set(Known::WwwAuthenticate, value).unwrap();
            let asks = Asks { schemes: schemes(&head), ..Asks::default() };
            assert_eq!(asks.schemes, seen, "{value}");
            assert!(suggested(&asks).contains(suggestion), "{}", suggested(&asks));
        }
        let saml = Asks { saml: true, ..Asks::default() };
        assert!(suggested(&saml).contains("--set sso=saml"));
    }

    #[test]
    fn an_spn_is_proposed_where_none_is_set_and_no_address_is_taken_for_a_name() {
        let asks = Asks { schemes: vec!["Negotiate"], ..Asks::default() };
        for url in ["http://10.0.0.5/", "http://localhost/", "http://[::1]/"] {
            let command = suggested_at(url, &[], &asks);
            assert!(
                command.contains("--set sso_spn=HTTP/NAME@REALM (NAME: the host in the application's SPN"),
                "{command}"
            );
        }
        let command = suggested_at("http://wiki.corp/", &[("sso_spn", "HTTP/w@EX")], &asks);
        assert!(command.ends_with("--preauth oidc --set sso=kerberos"), "{command}");
    }

    #[test]
    fn a_form_is_found_and_what_a_stranger_wrote_is_no_command() {
        let asks = of_page("<p><form action=/login><input name=user><input type=Password name=pw></form>");
        let command = suggested(&asks);
        assert!(
            command.contains("sso_form_url=/login --set sso_form_user_field=user --set sso_form_password_field=pw"),
            "{command}"
        );
        let asks = of_page("<form action='/x;rm -rf ~'><input name='$(id)'><input type=password name='`x`'>");
        let command = suggested(&asks);
        assert!(command.contains("sso_form_url=PATH --set sso_form_user_field=FIELD"), "{command}");
        assert!(!command.contains('`') && !command.contains('$') && !command.contains(';'), "{command}");
        assert_eq!(of_page("<!-- <input type=password> --><script>'<input type=password>'</script>").form, None);
    }
}
