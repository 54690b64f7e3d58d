//! The users' portal as pages. Whose they are the browser's cookie says; forms are taken from pages of this host alone, and lead
//! to the page that shows what became of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use postern_model::portal::{BeginPortal, PortalAction, PortalAnswer, PortalRequest, path};

use crate::control::Control;
use crate::request::{Fields, client, is_own_form};
use crate::server::Page;
use crate::sign_in::{bad_request, foreign_form, redirect, step, unanswered};
use crate::{cookies, pages};

/// Whether a path is the portal's.
pub(crate) fn is_for(path: &str) -> bool {
    matches!(path, "/" | SIGN_IN | SESSIONS | REQUESTS | REVIEWS | DEVICES | GROUPS)
        || path.starts_with(ICONS)
        || path.starts_with(GROUP)
}

/// Answers a request for it.
pub(crate) async fn answer(control: &Control, head: &Parts, body: &[u8]) -> Response<Page> {
    let (headers, path) = (&head.headers, head.uri.path());
    let query = head.uri.query().unwrap_or_default();
    match (&head.method, path) {
        (&Method::GET | &Method::HEAD, SIGN_IN) => sign_in(control, headers, query).await,
        (&Method::GET | &Method::HEAD, _) => match shown(path) {
            Some(action) => ask(control, headers, query, path, action).await,
            None => pages::not_found(),
        },
        (&Method::POST, _) if !has_form(path) => pages::empty(StatusCode::METHOD_NOT_ALLOWED),
        (&Method::POST, _) if !is_own_form(headers) => pages::refused(&foreign_form()),
        (&Method::POST, _) => match Fields::parse(body).and_then(|fields| done(path, fields)) {
            Some(action) => ask(control, headers, query, path, action).await,
            None => bad_request(),
        },
        _ => pages::empty(StatusCode::METHOD_NOT_ALLOWED), // there is nothing to do with other methods
    }
}

/// What a page shows.
fn shown(path: &str) -> Option<PortalAction> {
    match path {
        "/" => Some(PortalAction::Apps {}),
        SESSIONS => Some(PortalAction::Sessions {}),
        REQUESTS => Some(PortalAction::Requests {}),
        REVIEWS => Some(PortalAction::Reviews {}),
        DEVICES => Some(PortalAction::Devices {}),
        GROUPS => Some(PortalAction::Groups {}),
        path => match path.strip_prefix(GROUP) {
            Some(group) => group.parse().ok().map(|group| PortalAction::Group { group }),
            None => path.strip_prefix(ICONS)?.parse().ok().map(|app| PortalAction::Icon { app }),
        },
    }
}

fn has_form(path: &str) -> bool {
    matches!(path, SESSIONS | REQUESTS | REVIEWS | DEVICES) || path.starts_with(GROUP)
}

/// What a form asks for.
fn done(path: &str, mut fields: Fields) -> Option<PortalAction> {
    match (path, &*fields.take("action")) {
        (SESSIONS, "end") => Some(PortalAction::EndSession { session: fields.take("session").parse().ok()? }),
        (SESSIONS, "end-others") => Some(PortalAction::EndOthers {}),
        (REQUESTS, "ask") => Some(PortalAction::Ask {
            app: fields.take("app").parse().ok()?,
            justification: fields.take("justification"),
        }),
        (REQUESTS, "decide") => Some(PortalAction::Decide {
            request: fields.take("request").parse().ok()?,
            approve: match fields.get("decision") {
                "approve" => true,
                "deny" => false,
                _ => return None,
            },
            note: fields.take("note"),
        }),
        (REVIEWS, keep @ ("keep" | "remove")) => Some(PortalAction::Review {
            review: fields.take("review").parse().ok()?,
            principal: fields.take("principal").parse().ok()?,
            keep: keep == "keep",
            note: fields.take("note"),
        }),
        (DEVICES, "remove") => Some(PortalAction::RemoveDevice { device: fields.take("device").parse().ok()? }),
        (path, action @ ("add" | "remove")) => Some(PortalAction::ChangeMember {
            group: path.strip_prefix(GROUP)?.parse().ok()?,
            login: fields.take("login"),
            joins: action == "add",
        }),
        _ => None,
    }
}

async fn ask(control: &Control, headers: &HeaderMap, query: &str, path: &str, action: PortalAction) -> Response<Page> {
    let Some(browser) = cookies::browser(headers) else { return nobody(query) };
    match control.ask(path::PORTAL, &PortalRequest { browser, action }).await {
        Ok(PortalAnswer::Nobody {}) => nobody(query),
        Ok(PortalAnswer::Absent {}) => pages::not_found(),
        Ok(PortalAnswer::Refused(refused)) => pages::portal::refused(path, &refused),
        Ok(PortalAnswer::Done {}) => see_other(path),
        Ok(PortalAnswer::Apps(apps)) => pages::portal::apps(&apps),
        Ok(PortalAnswer::Sessions(sessions)) => pages::portal::sessions(&sessions),
        Ok(PortalAnswer::Requests(requests)) => pages::portal::requests(&requests),
        Ok(PortalAnswer::Reviews(reviews)) => pages::portal::reviews(&reviews),
        Ok(PortalAnswer::Devices(devices)) => pages::portal::devices(&devices),
        Ok(PortalAnswer::Groups(groups)) => pages::portal::groups(&groups),
        Ok(PortalAnswer::Group(group)) => pages::portal::group(&group),
        Ok(PortalAnswer::Icon { png }) => match STANDARD.decode(png) {
            Ok(png) => pages::portal::icon(png),
            Err(_) => pages::not_found(),
        },
        Err(error) => unanswered(&error),
    }
}

/// The page of who is not signed in, which may be about a tenant.
pub(crate) fn nobody(query: &str) -> Response<Page> {
    let tenant = Fields::parse(query.as_bytes()).map(|mut fields| fields.take("tenant"));
    pages::nobody(tenant.as_deref().filter(|tenant| !tenant.is_empty()))
}

async fn sign_in(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let asked = Fields::parse(query.as_bytes()).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let tenant = Some(fields.take("tenant")).filter(|tenant| !tenant.is_empty());
    let begin = BeginPortal { tenant, browser: cookies::browser(headers), client };
    step(control.ask(path::BEGIN, &begin).await, redirect)
}

/// Reloading shows it again and does nothing again.
pub(crate) fn see_other(path: &str) -> Response<Page> {
    let mut page = pages::empty(StatusCode::SEE_OTHER);
    page.headers_mut().insert(LOCATION, HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")));
    page
}

const SIGN_IN: &str = "/portal/sign-in";
const SESSIONS: &str = "/sessions";
const REQUESTS: &str = "/requests";
const REVIEWS: &str = "/reviews";
const DEVICES: &str = "/devices";
const GROUPS: &str = "/groups";
const GROUP: &str = "/groups/";
const ICONS: &str = "/icon/";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, form: &str) -> Option<PortalAction> {
        done(path, Fields::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn forms_ask_for_what_their_page_offers_and_nothing_else() {
        let id = "0123456789abcdef0123456789abcdef";
        let session = id.parse().unwrap();
        let end = format!("action=end&session={id}");
        assert_eq!(asked(SESSIONS, &end), Some(PortalAction::EndSession { session }));
        assert_eq!(asked(SESSIONS, "action=end-others"), Some(PortalAction::EndOthers {}));
        let change =
            |joins| PortalAction::ChangeMember { group: "ug1-3".parse().unwrap(), login: "bert".into(), joins };
        assert_eq!(asked("/groups/ug1-3", "action=add&login=bert"), Some(change(true)));
        assert_eq!(asked("/groups/ug1-3", "action=remove&login=bert"), Some(change(false)));
        let review = |keep| PortalAction::Review {
            review: "rv1-2".parse().unwrap(),
            principal: "ug1-3".parse().unwrap(),
            keep,
            note: "x".into(),
        };
        let device = "d1-4".parse().unwrap();
        assert_eq!(asked(DEVICES, "action=remove&device=d1-4"), Some(PortalAction::RemoveDevice { device }));
        let form = "review=rv1-2&principal=ug1-3&note=x";
        assert_eq!(asked(REVIEWS, &format!("action=keep&{form}")), Some(review(true)));
        assert_eq!(asked(REVIEWS, &format!("action=remove&{form}")), Some(review(false)));
        for (path, form) in [
            ("/", &*end),
            (SESSIONS, "action=end&session=x"),
            (SESSIONS, ""),
            (DEVICES, "action=remove&device=x"),
            (DEVICES, "action=approve&device=d1-4"),
            (SESSIONS, "action=all"),
            (REQUESTS, "action=ask&app=wiki&justification=x"),
            (REQUESTS, "action=decide&request=rq1-1&note="),
            (REVIEWS, "action=keep&review=rv1-2&principal=sales"),
            (REVIEWS, "action=add&review=rv1-2&principal=ug1-3"),
            (SESSIONS, "action=add&login=anna"),
            (GROUPS, "action=add&login=anna"),
            ("/groups/sales", "action=add&login=anna"),
            ("/groups/ug1-3", "action=put&login=anna"),
        ] {
            assert_eq!(asked(path, form), None, "{path} {form}");
        }
    }

    #[test]
    fn only_ids_name_icons() {
        assert!(matches!(shown("/icon/a1-7"), Some(PortalAction::Icon { .. })));
        for wrong in ["/icon/", "/icon/../a1-7", "/icon/a1-7/x", "/icon/wiki"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
