//! The groups that a user looks after.

use hyper::Response;
use maud::{Markup, html};
use postern_model::portal::{OwnedGroup, OwnedGroups};

use super::page;
use crate::server::Page;

/// Which there are.
pub(crate) fn groups(groups: &OwnedGroups) -> Response<Page> {
    let body = html! {
        h1 { "Your groups" }
        @if groups.groups.is_empty() { p { "There is no group that you look after." } }
        @else { p { "You are an owner of these groups: you say who is in them." } }
        ul.rows {
            @for group in &groups.groups {
                li {
                    div.what {
                        p { a.name href={ "/groups/" (group.id) } { (group.name) } }
                        @if !group.description.is_empty() { p.where { (group.description) } }
                    }
                }
            }
        }
        @if groups.more { p.where { "There are more groups than this page shows. Ask your administrator." } }
    };
    page(&groups.visitor, "/groups", "Your groups", &body)
}

/// One of them, and who is in it.
pub(crate) fn group(owned: &OwnedGroup) -> Response<Page> {
    let OwnedGroup { visitor, group, by_rule, members, more, nested } = owned;
    let address = format!("/groups/{}", group.id);
    let body = html! {
        p { a href="/groups" { "All your groups" } }
        h1 { (group.name) }
        @if !group.description.is_empty() { p.where { (group.description) } }
        @if *by_rule {
            p { "A rule says who is in this group: nobody is put into it or taken out." }
        } @else {
            (by_login(&address, *more))
            section aria-labelledby="members" {
                h2 #members { "Members" }
                @if members.is_empty() { p { "Nobody is in this group." } }
                ul.rows {
                    @for (nth, login) in members.iter().enumerate() {
                        li {
                            p.what id={ "member-" (nth) } { (login) }
                            form method="post" action=(address) {
                                input type="hidden" name="login" value=(login);
                                button.quiet type="submit" name="action" value="remove" aria-describedby={ "member-" (nth) } { "Remove" }
                            }
                        }
                    }
                }
                @if *more { p.where { "There are more members than this page shows." } }
            }
        }
        @if !nested.is_empty() {
            section aria-labelledby="nested" {
                h2 #nested { "Groups in this group" }
                p { "Whoever is in them is in this group, too. An administrator changes this." }
                ul { @for name in nested { li { (name) } } }
            }
        }
    };
    page(visitor, "/groups", group.name.as_str(), &body)
}

/// Whom the page does not show can be taken out as well.
fn by_login(address: &str, more: bool) -> Markup {
    html! {
        form.decide method="post" action=(address) {
            label for="login" { "Login name" }
            input #login name="login" required maxlength="254" autocomplete="off" autocapitalize="none" spellcheck="false";
            button type="submit" name="action" value="add" { "Add to the group" }
            @if more { " " button.quiet type="submit" name="action" value="remove" { "Remove from the group" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::portal::{GroupLine, Visitor};

    async fn text(response: Response<Page>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn visitor() -> Visitor {
        Visitor {
            login: "anna".parse().unwrap(),
            display_name: String::new(),
            tenant: "default".parse().unwrap(),
            owns_groups: true,
        }
    }

    fn line() -> GroupLine {
        GroupLine { id: "ug1-3".parse().unwrap(), name: "sales".parse().unwrap(), description: "<script>&\"".into() }
    }

    fn owned(by_rule: bool, more: bool) -> OwnedGroup {
        OwnedGroup {
            visitor: visitor(),
            group: line(),
            by_rule,
            members: vec!["o'hara@example.com".parse().unwrap()],
            more,
            nested: vec!["emea".parse().unwrap()],
        }
    }

    #[tokio::test]
    async fn who_is_in_a_group_is_shown_and_changed_unless_a_rule_says_it() {
        let html = text(groups(&OwnedGroups { visitor: visitor(), groups: vec![line()], more: true })).await;
        assert!(html.contains("href=\"/groups/ug1-3\"") && html.contains("more groups"), "{html}");
        assert!(!html.contains("<script"), "{html}");
        let html = text(group(&owned(false, false))).await;
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("o'hara@example.com") && html.contains("emea"), "{html}");
        assert!(html.contains("<label for=\"login\"") && html.contains("id=\"login\""), "{html}");
        assert_eq!((html.matches("value=\"add\"").count(), html.matches("value=\"remove\"").count()), (1, 1), "{html}");
        let html = text(group(&owned(false, true))).await;
        assert_eq!(html.matches("value=\"remove\"").count(), 2, "whom the page does not show, too: {html}");
        let html = text(group(&owned(true, false))).await;
        assert!(!html.contains("<form") && html.contains("A rule says"), "{html}");
    }
}
