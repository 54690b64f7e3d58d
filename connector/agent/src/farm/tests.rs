use std::collections::BTreeSet;

use postern_http::{Authority, BodyKind, Known, Method, PathRules, RequestHead, ResponseHead};
use postern_model::secret::SecretText;

use super::*;
use crate::backend::BackendTable;
use crate::backend::tests::{app, config};

const FARM: (&str, &str) = ("backend_farm", "http://b:8080,http://c");

fn built(seq: u32, settings: &[(&str, &str)], key: &str) -> Arc<Backend> {
    let mut app = app(seq, "http://a/base/", &[&[FARM][..], settings].concat());
    app.external_url = "https://app.example.com/shop/".into();
    app.member_key = Some(SecretText::new(key.into()));
    let table = BackendTable::build(&config(1, vec![app]), None);
    Arc::clone(table.apps.values().next().unwrap())
}

fn farm(settings: &[(&str, &str)]) -> Arc<Farm> {
    built(1, settings, "key").farm.clone().unwrap()
}

fn asking(cookies: &str) -> Headers {
    let mut headers = Headers::default();
    headers.append(Known::Cookie, cookies).unwrap();
    headers
}

/// The value that a member's cookie has.
fn value(farm: &Farm, at: usize) -> String {
    let marked = farm.mark(at, None, ExternalScheme::Https).unwrap();
    let mut head = ResponseHead::new(200, BodyKind::None);
    marked.answer(&mut head);
    let set = head.headers.get_str(Known::SetCookie).unwrap();
    set.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

#[test]
fn a_member_is_a_backend_with_the_internal_urls_path() {
    let backend = built(1, &[("backend_timeout_ms", "7")], "key");
    let farm = backend.farm.as_ref().unwrap();
    let places: Vec<String> = farm.members.iter().map(|member| member.backend.internal.to_string()).collect();
    assert_eq!(places, ["http://a/base/", "http://b:8080/base/", "http://c/base/"]);
    let hosts: Vec<&str> = farm.members.iter().map(|member| member.backend.authority.as_str()).collect();
    assert_eq!(hosts, ["a", "b:8080", "c"]);
    assert!(farm.members.iter().all(|member| member.backend.silence_max.as_millis() == 7));
    let one = BackendTable::build(&config(1, vec![app(2, "http://a/", &[])]), None);
    assert!(one.apps.values().all(|backend| backend.farm.is_none()));
}

#[test]
fn members_take_turns_or_the_one_with_fewest_requests_is_first() {
    let now = Instant::from_nanos(1);
    let turns = farm(&[]);
    let firsts: Vec<usize> = (0..6).map(|_| turns.order(None, now)[0]).collect();
    assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    let visits = [turns.visit(0), turns.visit(1)];
    assert_eq!(turns.order(None, now), [0, 1, 2], "taking turns they are not counted");
    drop(visits);

    let fewest = farm(&[("balance", "least-connections")]);
    let visits = [fewest.visit(0), fewest.visit(0), fewest.visit(2)];
    assert_eq!(fewest.order(None, now), [1, 2, 0]);
    drop(visits);
    let firsts: BTreeSet<usize> = (0..3).map(|_| fewest.order(None, now)[0]).collect();
    assert_eq!(firsts.len(), 3, "equals take turns");
}

#[test]
fn a_member_that_refuses_comes_last_for_a_while_and_one_that_looks_found_down_not_at_all() {
    let check = [("health_check", "/healthz"), ("health_fails", "1")];
    let (farm, now) = (farm(&check), Instant::from_nanos(1));
    let refused = Failed::connecting(&std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    farm.failed(1, &refused, now);
    assert_eq!(farm.order(None, now), [0, 2, 1]);
    let timeout = Failed::new(Fault::BackendTimeout, "slow");
    farm.failed(0, &timeout, now);
    assert_eq!(farm.order(None, now)[2], 1, "what came after connecting says nothing of others");
    let (check, _) = farm.check.as_ref().unwrap();
    farm.members[2].health.looked(false, check);
    assert_eq!((farm.order(None, now), farm.members_down()), (vec![0, 1], 1));
    let later = now.after(crate::limits::MEMBER_OUT);
    assert!((0..3).any(|_| farm.order(None, later)[0] == 1));
    farm.members[0].health.looked(false, check);
    farm.members[1].health.looked(false, check);
    assert!(farm.order(None, later).is_empty());
    assert!(Farm::none_up().unprocessed, "another connector may reach one");
}

#[test]
fn a_cookie_names_its_member_and_nobody_else_gets_it() {
    let sticky = farm(&[("balance", "sticky")]);
    for at in 0..3 {
        let mut headers = asking(&format!("sid=1; postern-member={}; x=2", value(&sticky, at)));
        assert_eq!(sticky.take_cookie(&mut headers), Some(at));
        assert_eq!(headers.get_str(Known::Cookie), Some("sid=1; x=2"));
        assert_eq!(sticky.order(Some(at), Instant::from_nanos(1))[0], at);
    }
    for forged in ["", "0", "a", "http://a/base/", &value(&farm(&[("balance", "sticky"), FARM]), 0)[1..]] {
        let mut headers = asking(&format!("postern-member={forged}"));
        assert_eq!(sticky.take_cookie(&mut headers), None, "{forged}");
        assert!(!headers.contains(Known::Cookie), "{forged}");
    }
    let own = value(&sticky, 1);
    let mut headers = asking(&format!("postern-member=other; postern-member={own}"));
    assert_eq!(sticky.take_cookie(&mut headers), Some(1), "another application's may come, too");
    let mut headers = asking(&format!("postern-member={own}"));
    assert_eq!(farm(&[]).take_cookie(&mut headers), None);
    assert!(headers.contains(Known::Cookie), "it is not this farm's");
}

#[test]
fn its_value_is_the_same_everywhere_and_says_nothing() {
    let sticky = [("balance", "sticky")];
    let values: Vec<String> = (0..3).map(|at| value(&farm(&sticky), at)).collect();
    assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 3);
    for value in &values {
        assert_eq!(value.len(), 22);
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{value}");
    }
    assert_eq!(value(&farm(&sticky), 0), values[0], "after a restart, and at every other connector");
    let other = built(1, &sticky, "another key").farm.clone().unwrap();
    assert_ne!(value(&other, 0), values[0]);
    let mut app = app(1, "http://a/", &[FARM, sticky[0]]);
    app.member_key = None;
    assert!(BackendTable::build(&config(1, vec![app]), None).apps.is_empty(), "not without a key");
}

#[test]
fn its_attributes_are_those_of_the_applications_settings() {
    let set = |settings: &[(&str, &str)], scheme| {
        let farm = farm(&[&[("balance", "sticky")][..], settings].concat());
        let mut head = ResponseHead::new(200, BodyKind::None);
        head.headers.append(Known::SetCookie, "postern-member=forged; Path=/").unwrap();
        head.headers.append(Known::SetCookie, "node=forged").unwrap();
        farm.mark(0, Some(1), scheme).unwrap().answer(&mut head);
        let sets: Vec<String> = head
            .headers
            .get_all(Known::SetCookie)
            .map(|set| String::from_utf8(set.to_vec()).unwrap())
            .filter(|set| !set.contains("forged"))
            .collect();
        let (cookie, attributes) = sets[0].split_once("; ").unwrap();
        assert_eq!(sets.len(), 1);
        let begins = format!("{}=forged", cookie.split('=').next().unwrap());
        let of_backend = |set: &[u8]| set.starts_with(begins.as_bytes());
        assert!(!head.headers.get_all(Known::SetCookie).any(of_backend), "the backend's own is dropped");
        (cookie.split('=').next().unwrap().to_owned(), attributes.to_owned())
    };
    let (http, https) = (ExternalScheme::Http, ExternalScheme::Https);
    for (settings, scheme, name, attributes) in [
        (&[][..], https, "postern-member", "Path=/shop; Secure; HttpOnly; SameSite=Lax"),
        (&[][..], http, "postern-member", "Path=/shop; HttpOnly; SameSite=Lax"),
        (&[("balance_cookie", "node")][..], https, "node", "Path=/shop; Secure; HttpOnly; SameSite=Lax"),
        (&[("cookie_same_site", "none")][..], https, "postern-member", "Path=/shop; Secure; HttpOnly; SameSite=None"),
        (&[("cookie_same_site", "none")][..], http, "postern-member", "Path=/shop; HttpOnly; SameSite=Lax"),
        (
            &[("cookie_secure", "false"), ("cookie_http_only", "false"), ("cookie_same_site", "strict")][..],
            https,
            "postern-member",
            "Path=/shop; SameSite=Strict",
        ),
    ] {
        assert_eq!(set(settings, scheme), (name.into(), attributes.into()), "{settings:?}");
    }
    let farm = farm(&[("balance", "sticky")]);
    let mut head = ResponseHead::new(200, BodyKind::None);
    farm.mark(2, Some(2), https).unwrap().answer(&mut head);
    assert!(!head.headers.contains(Known::SetCookie), "the browser has it");
}

#[test]
fn metrics_show_each_member() {
    let farm = farm(&[("health_check", "/"), ("health_fails", "1")]);
    let (check, _) = farm.check.as_ref().unwrap();
    farm.members[1].health.looked(false, check);
    let visit = farm.visit(2);
    let mut page = Page::default();
    describe(&[Arc::clone(&farm)], &mut page);
    drop(visit);
    let text = page.finish();
    for line in [
        "postern_connector_member_up{app=\"app1\",member=\"http://a/base/\"} 1",
        "postern_connector_member_up{app=\"app1\",member=\"http://b:8080/base/\"} 0",
        "postern_connector_member_requests{app=\"app1\",member=\"http://c/base/\"} 1",
        "postern_connector_member_left_out_total{app=\"app1\",member=\"http://c/base/\"} 0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_look_asks_for_what_can_be_asked_for() {
    let look = looking::target("/healthz?full=1").unwrap();
    assert_eq!(look.as_str(), "/healthz?full=1");
    let head = RequestHead::new(Method::Get, Authority::parse(b"a").unwrap(), look);
    assert!(head.body.is_empty());
    assert!(looking::target("/a/../b").is_err());
    assert!(Target::parse(b"/a", &Method::Get, PathRules::default()).is_ok());
}
