//! The portal's pages. They run no script.

mod devices;
mod groups;
mod password;
mod requests;
mod reviews;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use maud::{DOCTYPE, Markup, html};
use postern_model::directory::is_bidi_control;
use postern_model::identity::Refused;
use postern_model::portal::{Apps, OwnSession, PASSWORDS_PATH, PasswordState, Sessions, Tile, Visitor};

use super::refused::status_of;
use super::{Rights, empty, of_document};
use crate::server::Page;
pub(crate) use devices::devices;
pub(crate) use groups::{group, groups};
pub(crate) use password::password;
pub(crate) use requests::requests;
pub(crate) use reviews::reviews;

/// The applications of a user.
pub(crate) fn apps(apps: &Apps) -> Response<Page> {
    let mut rest = &*apps.tiles;
    let mut collections = Vec::new();
    while let Some(first) = rest.first() {
        let (same, others) = rest.split_at(rest.iter().take_while(|tile| tile.collection == first.collection).count());
        collections.push(same);
        rest = others;
    }
    let body = html! {
        h1 { "My Apps" }
        @if collections.is_empty() {
            p { "You are not assigned to any application yet. Ask your administrator." }
        }
        @for (nth, tiles) in collections.iter().enumerate() {
            @match tiles.first().and_then(|tile| tile.collection.as_ref()) {
                Some(collection) => {
                    section aria-labelledby={ "collection-" (nth) } {
                        h2 id={ "collection-" (nth) } { (collection) }
                        (list(tiles))
                    }
                }
                None => (list(tiles)),
            }
        }
        @if apps.more { p.where { "There are more applications than this page shows. Open the others by their address." } }
    };
    page(&apps.visitor, "/", "My Apps", &body)
}

fn list(tiles: &[Tile]) -> Markup {
    html! {
        ul.tiles {
            @for tile in tiles {
                li {
                    a.tile href=(tile.url) { (symbol(tile)) span { (tile.label) } }
                    @if let Some(state) = tile.password { (own_password(tile, state)) }
                }
            }
        }
    }
}

/// Whether there is one, and the way to it. Which application it is for is read to who does not see where it stands.
fn own_password(tile: &Tile, state: PasswordState) -> Markup {
    let text = match state {
        PasswordState::Missing => "Enter your password",
        PasswordState::Own => "Password stored",
        PasswordState::Stale => "Enter your password anew",
        PasswordState::Shared => "Shared password",
    };
    html! { a.stored href={ (PASSWORDS_PATH) (tile.app) } aria-label={ (text) ": " (tile.label) } { (text) } }
}

/// Beside its name: nothing that has to be read to anybody.
fn symbol(tile: &Tile) -> Markup {
    html! {
        @match &tile.icon {
            Some(version) => img.symbol src={ "/icon/" (tile.app) "?v=" (version) } alt="" width="40" height="40" loading="lazy";,
            None => span.symbol aria-hidden="true" { (initial(&tile.label)) },
        }
    }
}

/// Its first letter, large.
fn initial(label: &str) -> String {
    label
        .chars()
        .find(|letter| letter.is_alphanumeric())
        .map_or_else(|| "•".into(), |letter| letter.to_uppercase().collect())
}

/// The sessions of a user.
pub(crate) fn sessions(sessions: &Sessions) -> Response<Page> {
    let now = sessions.now_unix;
    let body = html! {
        h1 { "Your sessions" }
        p { "Where you are signed in. If there is one that you do not know, end it, and have your password changed." }
        ul.rows { @for session in &sessions.sessions { li { (row(session, now)) } } }
        @if sessions.sessions.iter().any(|session| !session.this_one) {
            form method="post" action="/sessions" {
                input type="hidden" name="action" value="end-others";
                button type="submit" { "End all other sessions" }
            }
        }
    };
    page(&sessions.visitor, "/sessions", "Your sessions", &body)
}

fn row(session: &OwnSession, now_unix: u64) -> Markup {
    let since = ago(session.created_unix, now_unix);
    let source = session.source.as_deref().unwrap_or("an unknown address");
    let name = format!("session-{}", session.id);
    html! {
        div.what {
            p id=(name) {
                strong { @if session.this_one { "This session" } @else { "Begun " (since) } }
                @if session.this_one { ", begun " (since) }
                ", from " (source) ", last used " (ago(session.seen_unix, now_unix))
            }
            p.where { (agent(&session.user_agent)) }
        }
        @if session.this_one {
            a.button href="/sign-out" { "Sign out" }
        } @else {
            form method="post" action="/sessions" {
                input type="hidden" name="action" value="end";
                input type="hidden" name="session" value=(session.id);
                button.quiet type="submit" aria-describedby=(name) { "End this session" }
            }
        }
    }
}

/// A browser may call itself anything.
fn agent(user_agent: &str) -> String {
    let text: String = user_agent.chars().filter(|letter| !letter.is_control() && !is_bidi_control(*letter)).collect();
    if text.trim().is_empty() { "A browser that does not say what it is".into() } else { text }
}

/// How long ago, in its largest unit.
pub(super) fn ago(then_unix: u64, now_unix: u64) -> String {
    let seconds = now_unix.saturating_sub(then_unix);
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    match units.into_iter().find(|(size, _)| seconds >= *size) {
        Some((size, unit)) if seconds / size == 1 => format!("1 {unit} ago"),
        Some((size, unit)) => format!("{} {unit}s ago", seconds / size),
        None => "just now".into(),
    }
}

/// Why it cannot be, and the way back.
pub(crate) fn refused(path: &str, refused: &Refused) -> Response<Page> {
    let body = html! {
        h1 { "That did not work" }
        p role="alert" { (refused.detail) }
        p.code { "Code: " code { (refused.code) } }
        p { a href=(path) { "Back" } }
    };
    let status = status_of(&refused.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    super::page(status, "That did not work", &body)
}

/// An image and nothing else, whatever is in it.
pub(crate) fn icon(png: Vec<u8>) -> Response<Page> {
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Full::new(Bytes::from(png));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ICON_POLICY));
    response
}

/// A page with its way to the others.
fn page(visitor: &Visitor, current: &str, title: &str, body: &Markup) -> Response<Page> {
    let Visitor { login, display_name, tenant, owns_groups } = visitor;
    let there = |(address, _): &(&str, &str)| *address != GROUPS || *owns_groups || current == GROUPS;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body.portal {
                a.skip href="#content" { "Skip to the content" }
                header {
                    p.who {
                        "You are signed in as " strong { (login) }
                        @if !display_name.trim().is_empty() { " (" (display_name) ")" }
                        @if tenant.as_str() != "default" { " of " (tenant) }
                    }
                    nav aria-label="Your pages" {
                        ul {
                            @for (address, label) in PAGES.into_iter().filter(there) {
                                li { a href=(address) aria-current=[(address == current).then_some("page")] { (label) } }
                            }
                        }
                    }
                }
                main #content { (body) }
            }
        }
    };
    of_document(StatusCode::OK, document, Rights::default())
}

/// Only of who looks after a group.
const GROUPS: &str = "/groups";
const PAGES: [(&str, &str); 7] = [
    ("/", "My Apps"),
    ("/requests", "Requests"),
    (GROUPS, "Groups"),
    ("/sessions", "Sessions"),
    ("/devices", "Devices"),
    ("/account", "Second factors"),
    ("/sign-out", "Sign out"),
];
const ICON_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(response: Response<Page>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn visitor() -> Visitor {
        Visitor {
            login: "anna".parse().unwrap(),
            display_name: "<i>'\"".into(),
            tenant: "default".parse().unwrap(),
            owns_groups: false,
        }
    }

    fn tile(label: &str, collection: Option<&str>, icon: Option<&str>) -> Tile {
        Tile {
            app: "a1-7".parse().unwrap(),
            label: label.into(),
            url: "https://wiki.example.com/?a=1&b=\"".into(),
            collection: collection.map(|collection| collection.parse().unwrap()),
            icon: icon.map(Into::into),
            password: None,
        }
    }

    #[tokio::test]
    async fn what_others_chose_is_escaped() {
        let tiles = vec![tile("\"><script>x</script>", None, None), tile("b", Some("<b>&"), Some("\"><u>"))];
        let html = text(apps(&Apps { visitor: visitor(), tiles, more: false })).await;
        for wrong in ["<script", "<b>", "<u>", "<i>", "b=\"\""] {
            assert!(!html.contains(wrong), "{wrong} in {html}");
        }
        assert!(html.contains("href=\"https://wiki.example.com/?a=1&amp;b=&quot;\""), "{html}");
        let session = OwnSession {
            id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            this_one: false,
            created_unix: 100,
            seen_unix: 160,
            source: Some("<s>".into()),
            user_agent: "<script>\u{202e}\u{1b}[1m".into(),
        };
        let html = text(sessions(&Sessions { visitor: visitor(), sessions: vec![session], now_unix: 7_400 })).await;
        assert!(!html.contains("<script") && !html.contains("<s>") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("Begun 2 hours ago") && !html.contains('\u{1b}'), "{html}");
        let refusal = Refused { code: "<x>".into(), detail: "<y>".into(), retry_after_s: None };
        let html = text(refused("/", &refusal)).await;
        assert!(!html.contains("<x>") && !html.contains("<y>"), "{html}");
    }

    #[tokio::test]
    async fn tiles_stand_under_their_collection_and_have_a_letter_or_an_icon() {
        let tiles = vec![tile("Ämter", None, None), tile("b", Some("Work"), Some("v1")), tile("!", Some("Work"), None)];
        let html = text(apps(&Apps { visitor: visitor(), tiles, more: false })).await;
        assert_eq!((html.matches("<ul class=\"tiles\">").count(), html.matches("<h2").count()), (2, 1), "{html}");
        assert!(html.contains(">Ä</span>") && html.contains(">•</span>"), "{html}");
        assert!(html.contains("<img class=\"symbol\" src=\"/icon/a1-7?v=v1\" alt=\"\""), "{html}");
        assert!(html.contains("aria-current=\"page\"") && html.contains("aria-label=\"Your pages\""), "{html}");
        assert!(!html.contains("/groups"), "only who looks after one has a page of groups: {html}");
        let nothing = text(apps(&Apps { visitor: visitor(), tiles: Vec::new(), more: true })).await;
        assert!(nothing.contains("not assigned to any") && nothing.contains("There are more"), "{nothing}");
    }

    #[tokio::test]
    async fn a_tile_says_whether_a_password_is_stored_where_users_enter_it() {
        let shown = async |password| {
            let tiles = vec![Tile { password, ..tile("CRM", None, None) }];
            text(apps(&Apps { visitor: visitor(), tiles, more: false })).await
        };
        assert!(!shown(None).await.contains("/passwords/"));
        for (state, words) in [
            (PasswordState::Missing, "Enter your password"),
            (PasswordState::Own, "Password stored"),
            (PasswordState::Stale, "Enter your password anew"),
            (PasswordState::Shared, "Shared password"),
        ] {
            let html = shown(Some(state)).await;
            let link = format!("href=\"/passwords/a1-7\" aria-label=\"{words}: CRM\">{words}</a>");
            assert!(html.contains(&link), "{html}");
        }
    }

    #[test]
    fn an_icon_is_an_image_and_nothing_else() {
        let icon = icon(b"<svg>".to_vec());
        let headers = icon.headers();
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers["x-content-type-options"]),
            (&"image/png".parse().unwrap(), &"nosniff".parse().unwrap())
        );
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("sandbox"), "{policy}");
        assert_eq!(headers.get_all(CONTENT_SECURITY_POLICY).iter().count(), 1);
    }

    #[test]
    fn times_are_told_in_words() {
        for (seconds, words) in [
            (59, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (7_200, "2 hours ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(0, seconds), words);
        }
        assert_eq!(ago(100, 50), "just now");
    }
}
