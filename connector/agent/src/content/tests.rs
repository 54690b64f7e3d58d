use std::sync::Arc;

use postern_http::{Authority, PathRules, Target};
use postern_tunnel::ExternalScheme;

use super::*;
use crate::backend::BackendTable;
use crate::backend::tests::{app, config};
use crate::translate::External;
use crate::translate::links::Links;

const MARK: u32 = 7;

fn backend(settings: &[(&str, &str)]) -> Arc<Backend> {
    let table = BackendTable::build(&config(1, vec![app(1, "http://10.0.0.1/", settings)]), None);
    Arc::clone(table.apps.values().next().unwrap())
}

fn external(head: &mut RequestHead, backend: &Backend) -> External {
    crate::translate::request(head, ExternalScheme::Https, backend, &Links::default()).unwrap()
}

fn links(backend: &Arc<Backend>, external: External) -> Outwards {
    Outwards { backend: Arc::clone(backend), external, links: Arc::default() }
}

fn asking(fields: &[(&str, &str)]) -> RequestHead {
    let target = Target::parse(b"/", &Method::Get, PathRules::default()).unwrap();
    let mut head = RequestHead::new(Method::Get, Authority::parse(b"app1.example.com").unwrap(), target);
    fields.iter().for_each(|(name, value)| head.headers.append(*name, value).unwrap());
    head
}

/// What becomes of an answer's head, and whether its content is translated.
fn answered(method: &Method, status: u16, body: BodyKind, fields: &[(&str, &str)]) -> (ResponseHead, bool) {
    let backend = backend(&[("translate_body", "on")]);
    let mut request_head = asking(&[]);
    let external = external(&mut request_head, &backend);
    let asked = request(&mut request_head, &backend, || MARK).unwrap();
    let mut head = ResponseHead::new(status, body);
    fields.iter().for_each(|(name, value)| head.headers.append(*name, value).unwrap());
    let links = || links(&backend, external);
    let translation = response(&mut head, &asked, method, links).unwrap();
    (head, translation.is_some())
}

fn fields(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    headers.iter().map(|field| (field.name().to_owned(), text(field.value()))).collect()
}

#[test]
fn where_it_is_off_nothing_is_asked_or_changed() {
    let mut head = asking(&[("range", "bytes=0-1"), ("accept-encoding", "dcb")]);
    let before = fields(&head.headers);
    assert!(request(&mut head, &backend(&[]), || unreachable!("nobody needs it")).is_none());
    assert_eq!(fields(&head.headers), before);
}

#[test]
fn a_request_asks_for_what_can_be_translated() {
    let backend = backend(&[("translate_body", "html")]);
    for (offered, kept) in [
        ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
        ("gzip;q=0.5, dcb, *;q=0.1, BR", "gzip;q=0.5, BR"),
        ("dcb", "identity"),
        ("", "identity"),
    ] {
        let mut head = asking(&[("accept-encoding", offered), ("range", "bytes=0-1"), ("if-range", "\"a\"")]);
        assert!(request(&mut head, &backend, || MARK).is_some());
        assert_eq!(fields(&head.headers), [("accept-encoding".to_owned(), kept.to_owned())], "{offered}");
    }
    let mut head = asking(&[]);
    assert!(request(&mut head, &backend, || MARK).is_some());
    assert!(head.headers.is_empty());
    head.upgrade = true;
    assert!(request(&mut head, &backend, || MARK).is_none());
    for (destination, kept) in [("video", true), ("document", false), ("empty", false)] {
        let mut head = asking(&[("range", "bytes=0-1"), ("sec-fetch-dest", destination)]);
        assert!(request(&mut head, &backend, || MARK).is_some());
        assert_eq!(head.headers.contains(Known::Range), kept, "{destination}");
    }
    let mut head = asking(&[("cache-control", "no-transform"), ("range", "bytes=0-1")]);
    assert!(request(&mut head, &backend, || MARK).is_none() && head.headers.contains(Known::Range));
}

#[test]
fn what_was_true_of_the_backends_content_is_said_no_more() {
    let said = [
        ("content-type", "text/html"),
        ("etag", "\"a\""),
        ("last-modified", "x"),
        ("accept-ranges", "bytes"),
        ("content-md5", "x"),
        ("digest", "x"),
        ("content-digest", "x"),
        ("repr-digest", "x"),
        ("x-other", "x"),
    ];
    let expected =
        [("content-type", "text/html"), ("etag", "W/\"a~ps0000000b\""), ("accept-ranges", "none"), ("x-other", "x")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (head, translated) = answered(&Method::Get, 200, BodyKind::Length(5), &said);
    assert!(translated && head.body == BodyKind::Chunked);
    assert_eq!(fields(&head.headers), expected);
    // HEAD says the same as GET.
    let said: Vec<(&str, &str)> = said.into_iter().chain([("content-length", "5")]).collect();
    let (head, translated) = answered(&Method::Head, 200, BodyKind::None, &said);
    assert!(!translated && head.body == BodyKind::None);
    assert_eq!(fields(&head.headers), expected);
}

/// Names and values of a head.
type Said<'a> = &'a [(&'a str, &'a str)];

#[test]
fn other_answers_are_left_alone() {
    let html = ("content-type", "text/html");
    let other: [(u16, BodyKind, Said<'_>); 11] = [
        (206, BodyKind::Length(5), &[html, ("content-range", "bytes 0-4/9")]),
        (200, BodyKind::Length(0), &[html]),
        (204, BodyKind::None, &[html]),
        (304, BodyKind::None, &[html]),
        (200, BodyKind::Length(5), &[html, ("cache-control", "private, no-transform")]),
        (200, BodyKind::Length(5), &[html, ("content-encoding", "gzip, br")]),
        (200, BodyKind::Length(5), &[html, ("content-encoding", "compress")]),
        (200, BodyKind::Length(5), &[html, ("content-disposition", "Attachment; filename=a")]),
        (200, BodyKind::Length(5), &[("content-type", "text/html; charset=utf-16")]),
        (200, BodyKind::Chunked, &[("content-type", "text/event-stream")]),
        (200, BodyKind::Length(5), &[("content-type", "application/json")]),
    ];
    for (status, body, said) in other {
        let said: Vec<(&str, &str)> = said.iter().copied().chain([("etag", "\"a\""), ("last-modified", "x")]).collect();
        let (head, translated) = answered(&Method::Get, status, body, &said);
        assert!(!translated && head.body == body, "{status} {said:?}");
        let expected: Vec<_> = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(fields(&head.headers), expected);
    }
    for status in [200, 302, 404, 500] {
        assert!(answered(&Method::Get, status, BodyKind::UntilClose, &[html]).1, "{status}");
    }
}

#[test]
fn not_modified_has_the_tag_that_was_asked_about() {
    let backend = backend(&[("translate_body", "on")]);
    let mut head = asking(&[("if-none-match", "W/\"a~ps0000000b\"")]);
    let external = external(&mut head, &backend);
    let asked = request(&mut head, &backend, || MARK).unwrap();
    assert_eq!(head.headers.get_str(Known::IfNoneMatch), Some("\"a\""));
    let mut head = ResponseHead::new(304, BodyKind::None);
    head.headers.append(Known::Etag, "\"a\"").unwrap();
    let links = || links(&backend, external);
    assert!(response(&mut head, &asked, &Method::Get, links).unwrap().is_none());
    assert_eq!(head.headers.get_str(Known::Etag), Some("W/\"a~ps0000000b\""));
}

#[test]
fn the_mark_follows_the_links() {
    let one = config(1, vec![app(1, "http://a/", &[])]);
    let later = config(2, vec![app(1, "http://a/", &[("mfa", "required")])]);
    let moved = config(2, vec![app(1, "http://b/", &[])]);
    let more = config(2, vec![app(1, "http://a/", &[]), app(2, "http://b/", &[])]);
    assert_eq!(mark(&one), mark(&later));
    assert!(mark(&one) != mark(&moved) && mark(&one) != mark(&more));
    let farm = config(2, vec![app(1, "http://a/", &[("backend_farm", "http://c")])]);
    assert_ne!(mark(&one), mark(&farm), "links to another member lead to the application from now on");
}
