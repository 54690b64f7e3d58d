//! What an application's settings have the relay answer by itself, and how its other answers are dressed for it.

use std::borrow::Cow;
use std::sync::Arc;

use postern_http::{Known, RequestHead, Scheme};
use postern_io::wall_clock;
use postern_model::plan::PlannedApp;
use postern_model::settings::{CorsAllow, Maintenance, PreflightRefused};

use super::render::{Beside, Content};
use super::{Reject, retry_after};
use crate::worker::additions::Additions;
use crate::worker::sign_in::is_scripted;

impl Reject {
    /// It is out of service on purpose.
    pub(crate) fn maintenance(maintenance: &Maintenance) -> Self {
        let usual = "The application is out of service for maintenance. Try again later.";
        let detail = maintenance.text.as_ref().map_or(Cow::Borrowed(usual), |text| Cow::Owned(text.to_string()));
        let left = |until: u64| until.saturating_sub(wall_clock().as_secs()).clamp(1, MAINTENANCE_RETRY_S_MAX);
        // Once that time has passed, nobody knows.
        let seconds = maintenance.until_unix.map(left).filter(|left| *left > 1).unwrap_or(MAINTENANCE_RETRY_S);
        let field = Some(retry_after(u32::try_from(seconds).unwrap_or(u32::MAX)));
        Self { detail, field, ..Self::new(503, "maintenance", "") }
    }

    /// No refusal: crawlers are told that nothing is for them.
    pub(crate) fn robots() -> Self {
        Self { content: Content::Text("User-agent: *\nDisallow: /\n".into()), answer: true, ..Self::new(200, "", "") }
    }

    /// No refusal: an authority of certificates sees what it was told that it would.
    pub(crate) fn challenge(key_authorization: String) -> Self {
        Self { content: Content::Text(key_authorization.into()), answer: true, ..Self::new(200, "", "") }
    }

    /// No refusal: a preflight may have what it asks for; `headers`: the names it asked for.
    pub(crate) fn preflight_allowed(allow: &CorsAllow, origin: &str, headers: String) -> Self {
        let mut fields = vec![(Known::AccessControlAllowMethods, allow.methods_text.to_string())];
        fields.extend(allow.allowed_origin(origin).map(|origin| (Known::AccessControlAllowOrigin, origin.to_owned())));
        fields.extend(allow.credentials.then(|| (Known::AccessControlAllowCredentials, String::from("true"))));
        fields.extend((!headers.is_empty()).then_some((Known::AccessControlAllowHeaders, headers)));
        fields.extend(allow.max_age_s.map(|age| (Known::AccessControlMaxAge, age.to_string())));
        fields.push((Known::Vary, PREFLIGHT_VARIES.to_owned()));
        let beside = Some(Box::new(Beside { fields, ..Beside::default() }));
        Self { beside, content: Content::Nothing, answer: true, ..Self::new(204, "", "") }
    }

    /// A preflight asks for what no rule allows.
    pub(crate) fn cors_refused(refused: PreflightRefused) -> Self {
        let detail = match refused {
            PreflightRefused::Origin => "The application's rules do not let pages of this origin ask for this path.",
            PreflightRefused::Method => {
                "The application's rules do not let pages of other origins use this method here."
            }
            PreflightRefused::Headers => {
                "The application's rules do not let pages of other origins send one of these header fields here."
            }
        };
        Self::new(403, "cors-refused", detail)
    }

    /// Goes elsewhere by a page of this site: cookies that no other site may cause to be sent are sent with what follows.
    pub(crate) fn landing(url: String, cookies: Vec<String>) -> Self {
        let beside = Some(Box::new(Beside { cookies, ..Beside::default() }));
        Self { beside, content: Content::Landing(url), answer: true, ..Self::new(200, "", "") }
    }

    /// Makes it the application's: what each of its answers says, whose page it is, and for scripts what they can read.
    /// `signs_in`: whether people sign in anywhere.
    pub(crate) fn dress(&mut self, app: &Arc<PlannedApp>, head: &RequestHead, scheme: Scheme, signs_in: bool) {
        let additions = Additions::of(app, head, scheme).for_own();
        let is_unknown = self.code == "sign-in-required";
        let beside = self.beside_mut();
        beside.additions = additions;
        beside.branded = app.settings.answers.brand.as_ref().map(|_| Arc::clone(app));
        beside.for_script = is_scripted(head);
        if is_unknown && signs_in {
            let authority = app.external.authority(head.authority.host());
            beside.sign_in = Some(format!("https://{authority}{}/", app.external.path));
        }
    }
}

/// Nobody said until when.
const MAINTENANCE_RETRY_S: u64 = 300;
/// Longer than that nobody waits.
const MAINTENANCE_RETRY_S_MAX: u64 = 7 * 86_400;
const PREFLIGHT_VARIES: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::in_the_simulator;
    use postern_model::ids::RequestId;

    #[test]
    fn maintenance_says_when_to_try_again() {
        in_the_simulator(1, async {
            let now_unix = wall_clock().as_secs();
            let retry = |until_unix: Option<u64>| {
                let reject = Reject::maintenance(&Maintenance { text: None, until_unix });
                let (head, _) = reject.answer(RequestId(1), None);
                head.headers.get_str(Known::RetryAfter).unwrap().parse::<u64>().unwrap()
            };
            assert_eq!(retry(None), 300);
            assert!((59..=60).contains(&retry(Some(now_unix + 60))));
            assert_eq!(retry(Some(now_unix.saturating_sub(60))), 300, "it has passed");
            assert_eq!(retry(Some(now_unix + 86_400 * 365)), 7 * 86_400);
        });
    }
}
