//! What an application's settings add to the head of every answer: `Strict-Transport-Security`, and what lets pages of other
//! origins read it. With neither set nothing is looked up.

use postern_http::{Headers, Known, RequestHead, Scheme};
use postern_model::plan::PlannedApp;
use postern_model::settings::{CorsRule, Hsts};

/// Fields for one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Additions {
    hsts: Hsts,
    readable: Option<Box<Readable>>,
}

/// Who may read the answer (Fetch §3.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Readable {
    /// `Access-Control-Allow-Origin`; `None`: the request named no origin that may.
    origin: Option<String>,
    credentials: bool,
    /// `Access-Control-Expose-Headers`.
    expose: Option<String>,
}

impl Default for Additions {
    /// Nothing at all.
    fn default() -> Self {
        Self { hsts: Hsts::Off, readable: None }
    }
}

impl Additions {
    /// Those for the answer to this request, before anything in it was changed.
    pub(crate) fn of(app: &PlannedApp, head: &RequestHead, scheme: Scheme) -> Self {
        let answers = &app.settings.answers;
        // Without TLS browsers do not look at it, and it is not sent (RFC 6797 §7.2).
        let hsts = if scheme == Scheme::Https { answers.hsts.clone() } else { Hsts::Off };
        let rule = answers.cors.as_ref().and_then(|cors| cors.rule(&head.target.routing_path()));
        let readable = match rule {
            None | Some(CorsRule::Pass) => None,
            Some(CorsRule::Allow(allow)) => {
                let asked = only(head, Known::Origin);
                let origin = asked.and_then(|origin| allow.allowed_origin(origin)).map(str::to_owned);
                let expose = allow.expose.as_deref().map(str::to_owned);
                Some(Box::new(Readable { origin, credentials: allow.credentials, expose }))
            }
        };
        Self { hsts, readable }
    }

    /// The same for an answer of the relay's own: scripts read there, too, what they need to go on.
    pub(crate) fn for_own(mut self) -> Self {
        if let Some(readable) = &mut self.readable {
            let more = readable.expose.take().map(|more| format!(", {more}")).unwrap_or_default();
            readable.expose = Some(format!("WWW-Authenticate, Retry-After{more}"));
        }
        self
    }

    /// Adds them. What an application says of itself counts, but for `Strict-Transport-Security` that was set.
    pub(crate) fn add(&self, headers: &mut Headers) {
        let said = match &self.hsts {
            Hsts::Off => Ok(()),
            Hsts::Standard if headers.contains(Known::StrictTransportSecurity) => Ok(()),
            Hsts::Standard => headers.append(Known::StrictTransportSecurity, self.hsts.value().unwrap_or_default()),
            Hsts::Given(value) => headers.set(Known::StrictTransportSecurity, value.as_bytes()),
        };
        debug_assert!(said.is_ok(), "numbers and words are a field value");
        if let Some(readable) = &self.readable {
            readable.add(headers);
        }
    }
}

impl Readable {
    fn add(&self, headers: &mut Headers) {
        if headers.contains(Known::AccessControlAllowOrigin) {
            return;
        }
        if let Some(origin) = &self.origin {
            // The rest of what it says about others was said to nobody: it would be added to what the rule allows.
            headers.remove(Known::AccessControlAllowCredentials);
            headers.remove(Known::AccessControlExposeHeaders);
            let credentials = self.credentials.then_some((Known::AccessControlAllowCredentials, "true"));
            let expose = self.expose.as_deref().map(|names| (Known::AccessControlExposeHeaders, names));
            let fields = [(Known::AccessControlAllowOrigin, origin.as_str())].into_iter().chain(credentials);
            for (name, value) in fields.chain(expose) {
                let set = headers.set(name, value);
                debug_assert!(set.is_ok(), "settings, and an origin among them, are field values");
            }
        }
        // Of any origin: caches must not give one's answer to another.
        headers.append_static(Known::Vary, "Origin");
    }
}

/// The value of a field that stands in a request once.
pub(crate) fn only(head: &RequestHead, name: Known) -> Option<&str> {
    let mut values = head.headers.get_all(name);
    let first = values.next()?;
    values.next().is_none().then(|| std::str::from_utf8(first).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTTP;
    use crate::side::testing::app;
    use postern_http::h1::RequestParser;

    fn head(fields: &str) -> RequestHead {
        let request = format!("GET /api/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        RequestParser::new(HTTP).parse(request.as_bytes()).unwrap().unwrap().0
    }

    /// What an answer with these fields has then.
    fn added(settings: &[(&str, &str)], fields: &str, said: &[(Known, &'static str)], scheme: Scheme) -> Headers {
        let mut app = app("http://10.0.0.5/");
        app.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut headers = Headers::default();
        said.iter().for_each(|(name, value)| headers.append_static(*name, value));
        Additions::of(&PlannedApp::parse(&app).unwrap(), &head(fields), scheme).add(&mut headers);
        headers
    }

    #[test]
    fn strict_transport_security_is_the_applications_own_unless_it_was_set() {
        let own = [(Known::StrictTransportSecurity, "max-age=1")];
        let of = |settings: &[(&str, &str)], said: &[(Known, &'static str)], scheme| {
            let headers = added(settings, "", said, scheme);
            let all = headers.get_all(Known::StrictTransportSecurity);
            all.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[], &[], Scheme::Https), ["max-age=31536000"]);
        assert_eq!(of(&[], &own, Scheme::Https), ["max-age=1"]);
        assert_eq!(of(&[("hsts", "off")], &own, Scheme::Https), ["max-age=1"]);
        assert_eq!(of(&[("hsts", "60")], &own, Scheme::Https), ["max-age=60"]);
        assert!(of(&[("hsts", "off")], &[], Scheme::Https).is_empty());
        assert!(of(&[("hsts", "60")], &[], Scheme::Http).is_empty());
    }

    #[test]
    fn pages_of_listed_origins_may_read_unless_the_application_says_who_may() {
        let rule = [("cors", "/api/ origins=https://a.example expose=X-A credentials=true")];
        let asked = "Origin: https://a.example\r\n";
        let headers = added(&rule, asked, &[], Scheme::Https);
        assert_eq!(headers.get_str(Known::AccessControlAllowOrigin), Some("https://a.example"));
        assert_eq!(headers.get_str(Known::AccessControlAllowCredentials), Some("true"));
        assert_eq!(headers.get_str(Known::AccessControlExposeHeaders), Some("X-A"));
        assert_eq!(headers.get_str(Known::Vary), Some("Origin"));
        for fields in
            ["Origin: https://evil.example\r\n", "", "Origin: https://a.example\r\nOrigin: https://a.example\r\n"]
        {
            let headers = added(&rule, fields, &[], Scheme::Https);
            assert_eq!(headers.get_str(Known::AccessControlAllowOrigin), None, "{fields}");
            assert_eq!(headers.get_str(Known::Vary), Some("Origin"), "{fields}");
        }
        let without = [("cors", "/api/ origins=https://a.example")];
        let half = [(Known::AccessControlAllowCredentials, "true"), (Known::AccessControlExposeHeaders, "X-Secret")];
        let headers = added(&without, asked, &half, Scheme::Https);
        assert_eq!(headers.get_str(Known::AccessControlAllowOrigin), Some("https://a.example"));
        assert!(!headers.contains(Known::AccessControlAllowCredentials), "the rule has none");
        assert!(!headers.contains(Known::AccessControlExposeHeaders), "the rule names none");
        let own = [(Known::AccessControlAllowOrigin, "*")];
        let headers = added(&rule, asked, &own, Scheme::Https);
        assert_eq!(headers.get_str(Known::AccessControlAllowOrigin), Some("*"));
        assert!(!headers.contains(Known::AccessControlAllowCredentials) && !headers.contains(Known::Vary));
        assert!(!added(&[], asked, &[], Scheme::Https).contains(Known::Vary));
    }
}
