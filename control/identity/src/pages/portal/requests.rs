//! Asking for applications, and deciding about what others ask for.

use hyper::Response;
use maud::{Markup, html};
use postern_model::portal::{OwnRequest, Requestable, Requests, ToDecide};

use super::{ago, page};
use crate::server::Page;

/// What a user may ask for, asked for, and has to decide.
pub(crate) fn requests(requests: &Requests) -> Response<Page> {
    let Requests { visitor, requestable, own, to_decide, reviews, now_unix } = requests;
    let body = html! {
        h1 { "Access requests" }
        @if *reviews > 0 {
            p { a.name href="/reviews" { "Access reviews that wait for you: " (reviews) } }
        }
        @if !to_decide.is_empty() {
            section aria-labelledby="to-decide" {
                h2 #to-decide { "For you to decide" }
                ul.rows { @for request in to_decide { li { (decide(request, *now_unix)) } } }
            }
        }
        section aria-labelledby="ask" {
            h2 #ask { "Request access" }
            @if requestable.is_empty() { p { "There is nothing that you can ask for and do not have." } }
            ul.rows { @for app in requestable { li { (ask(app)) } } }
        }
        @if !own.is_empty() {
            section aria-labelledby="own" {
                h2 #own { "Your requests" }
                ul.rows { @for request in own { li { div.what { (own_request(request, *now_unix)) } } } }
            }
        }
    };
    page(visitor, "/requests", "Access requests", &body)
}

fn ask(app: &Requestable) -> Markup {
    let (id, hint) = (format!("why-{}", app.app), format!("hint-{}", app.app));
    html! {
        details {
            summary { (app.label) }
            form method="post" action="/requests" {
                input type="hidden" name="action" value="ask";
                input type="hidden" name="app" value=(app.app);
                label for=(id) { "Why do you need " (app.label) "?" }
                textarea id=(id) name="justification" rows="3" maxlength="500" required aria-describedby=(hint) {}
                p.where id=(hint) {
                    @if app.at_once { "You get it at once." } @else { "Somebody else decides, and reads this." }
                    @if let Some(seconds) = app.lasts_s { " It lasts " (lasting(seconds)) "." }
                }
                button type="submit" { "Request access" }
            }
        }
    }
}

fn own_request(request: &OwnRequest, now_unix: u64) -> Markup {
    html! {
        p {
            strong { (request.app) } ", asked for " (ago(request.created_unix, now_unix)) ": "
            @match (request.approved, request.decided_unix) {
                (Some(true), Some(at)) => { "approved " (ago(at, now_unix)) }
                (Some(false), Some(at)) => { "denied " (ago(at, now_unix)) }
                (None, _) | (_, None) => "waits for a decision",
            }
        }
        p.where { "“" (request.justification) "”" }
        @if !request.note.is_empty() { p.where { "Answer: “" (request.note) "”" } }
    }
}

fn decide(request: &ToDecide, now_unix: u64) -> Markup {
    let (about, note) = (format!("about-{}", request.id), format!("note-{}", request.id));
    html! {
        div.what id=(about) {
            p { strong { (request.user) } " asks for " strong { (request.app) } ", " (ago(request.created_unix, now_unix)) }
            p.where { "“" (request.justification) "”" }
        }
        form.decide method="post" action="/requests" {
            input type="hidden" name="action" value="decide";
            input type="hidden" name="request" value=(request.id);
            label for=(note) { "Answer (may be empty)" }
            input id=(note) name="note" maxlength="500" autocomplete="off";
            button type="submit" name="decision" value="approve" aria-describedby=(about) { "Approve" }
            " "
            button.quiet type="submit" name="decision" value="deny" aria-describedby=(about) { "Deny" }
        }
    }
}

/// Whole hours or days, as they are set.
fn lasting(seconds: u64) -> String {
    let (count, unit) =
        if seconds.is_multiple_of(86_400) { (seconds / 86_400, "day") } else { (seconds / 3_600, "hour") };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::portal::Visitor;

    #[tokio::test]
    async fn what_others_wrote_is_escaped() {
        let wrong = || String::from("\"><script>x</script>");
        let page = requests(&Requests {
            visitor: Visitor {
                login: "anna".parse().unwrap(),
                display_name: wrong(),
                tenant: "default".parse().unwrap(),
                owns_groups: true,
            },
            requestable: vec![Requestable {
                app: "a1-7".parse().unwrap(),
                label: wrong(),
                at_once: false,
                lasts_s: Some(86_400),
            }],
            own: vec![OwnRequest {
                app: wrong(),
                justification: wrong(),
                created_unix: 0,
                approved: Some(false),
                decided_unix: Some(0),
                note: wrong(),
            }],
            to_decide: vec![ToDecide {
                id: "rq1-1".parse().unwrap(),
                user: wrong(),
                app: wrong(),
                justification: wrong(),
                created_unix: 0,
            }],
            reviews: 2,
            now_unix: 60,
        });
        let html = String::from_utf8(page.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(!html.contains("<script") && html.contains("href=\"/groups\""), "{html}");
        assert!(html.contains("denied 1 minute ago") && html.contains("It lasts 1 day."), "{html}");
        assert!(html.contains("<a class=\"name\" href=\"/reviews\">Access reviews that wait for you: 2</a>"), "{html}");
        assert_eq!((lasting(28_800), lasting(2_592_000)), ("8 hours".into(), "30 days".into()));
        // Every field that is seen has its label.
        for id in ["why-a1-7", "note-rq1-1"] {
            assert!(html.contains(&format!("<label for=\"{id}\"")) && html.contains(&format!("id=\"{id}\"")), "{html}");
        }
    }
}
