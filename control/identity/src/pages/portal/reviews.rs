//! Access reviews: who is assigned to an application is looked at one by one.

use hyper::Response;
use maud::{Markup, html};
use postern_model::portal::{ReviewItem, ReviewToDo, Reviews};

use super::{ago, page};
use crate::server::Page;

/// What a user has to decide.
pub(crate) fn reviews(reviews: &Reviews) -> Response<Page> {
    let Reviews { visitor, reviews, now_unix } = reviews;
    let body = html! {
        h1 { "Access reviews" }
        @if reviews.is_empty() {
            p { "There is nothing for you to review." }
        } @else {
            p { "Who is assigned, and shall it stay so? What you remove ends at once." }
        }
        @for review in reviews { (one(review, *now_unix)) }
    };
    page(visitor, "/requests", "Access reviews", &body)
}

fn one(review: &ReviewToDo, now_unix: u64) -> Markup {
    html! {
        section aria-labelledby=(review.id) {
            h2 id=(review.id) { (review.app) ", " (due(review.due_unix, now_unix)) }
            @if review.items.is_empty() { p { "What is left here is not yours to decide." } }
            ul.rows { @for item in &review.items { li { (decide(review, item, now_unix)) } } }
            @if review.more { p.where { "There are more than this page shows: they follow." } }
        }
    }
}

fn decide(review: &ReviewToDo, item: &ReviewItem, now_unix: u64) -> Markup {
    let about = format!("about-{}-{}", review.id, item.principal);
    let note = format!("note-{}-{}", review.id, item.principal);
    html! {
        div.what id=(about) {
            p { strong { (called(&item.name)) } }
            p.where {
                @match item.last_used_unix {
                    Some(used) => { "Last used " (ago(used, now_unix)) }
                    None => "Not used, as far as is known",
                }
            }
        }
        form.decide method="post" action="/reviews" {
            input type="hidden" name="review" value=(review.id);
            input type="hidden" name="principal" value=(item.principal);
            label for=(note) { "Why (may be empty)" }
            input id=(note) name="note" maxlength="500" autocomplete="off";
            button type="submit" name="action" value="keep" aria-describedby=(about) { "Keep" }
            " "
            button.quiet type="submit" name="action" value="remove" aria-describedby=(about) { "Remove" }
        }
    }
}

/// Operators write `group/sales`.
fn called(name: &str) -> String {
    match name.split_once('/') {
        Some(("user", login)) => login.to_owned(),
        Some((_, group)) => format!("Everybody in the group {group}"),
        None => "Everyone".to_owned(),
    }
}

/// In its largest unit.
fn due(due_unix: u64, now_unix: u64) -> String {
    match due_unix.checked_sub(now_unix) {
        None | Some(0) => "overdue".into(),
        Some(left) if left < 86_400 => "due today".into(),
        Some(left) if left < 2 * 86_400 => "due in 1 day".into(),
        Some(left) => format!("due in {} days", left / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::portal::Visitor;

    #[tokio::test]
    async fn every_assignment_has_its_form_and_what_others_wrote_is_escaped() {
        let visitor = Visitor {
            login: "anna".parse().unwrap(),
            display_name: String::new(),
            tenant: "default".parse().unwrap(),
            owns_groups: false,
        };
        let item = |principal: &str, used| ReviewItem {
            principal: principal.parse().unwrap(),
            name: "user/<script>".into(),
            last_used_unix: used,
        };
        let review = ReviewToDo {
            id: "rv1-2".parse().unwrap(),
            app: "<script>".into(),
            due_unix: 300_000,
            items: vec![item("u1-3", Some(100)), item("everyone", None)],
            more: true,
        };
        let page = reviews(&Reviews { visitor, reviews: vec![review], now_unix: 3_700 });
        let html = String::from_utf8(page.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("due in 3 days") && html.contains("Last used 1 hour ago"), "{html}");
        for id in ["note-rv1-2-u1-3", "note-rv1-2-everyone"] {
            assert!(html.contains(&format!("<label for=\"{id}\"")) && html.contains(&format!("id=\"{id}\"")), "{html}");
        }
        let names = ["user/anna", "group/sales", "everyone"].map(called);
        assert_eq!(names, ["anna", "Everybody in the group sales", "Everyone"]);
        assert_eq!(
            (due(5, 5), due(5, 4), due(100_000, 0)),
            ("overdue".into(), "due today".into(), "due in 1 day".into())
        );
    }
}
