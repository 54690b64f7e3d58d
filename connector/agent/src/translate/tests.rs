use std::sync::Arc;

use postern_http::BodyKind;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::backend::BackendTable;
use crate::backend::tests::{app, config};

pub(super) fn backend_with(external: &str, internal: &str, settings: &[(&str, &str)]) -> (Arc<Backend>, Arc<Links>) {
    let mut app = app(1, internal, settings);
    app.external_url = external.into();
    let table = BackendTable::build(&config(1, vec![app]), None);
    (Arc::clone(table.apps.values().next().unwrap()), table.links)
}

fn backend(external: &str, internal: &str) -> (Arc<Backend>, Arc<Links>) {
    backend_with(external, internal, &[])
}

pub(super) fn asked(target: &str) -> RequestHead {
    let target = Target::parse(target.as_bytes(), &Method::Get, PathRules::default()).unwrap();
    RequestHead::new(Method::Get, Authority::parse(b"ext.example:8443").unwrap(), target)
}

/// What an answer's fields become, of an application that its user reached at `https://ext.example:8443`.
fn answered(backend: &Backend, links: &Links, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut head = asked(&format!("{}/", backend.external.path));
    let external = request(&mut head, ExternalScheme::Https, backend, links).unwrap();
    let mut head = ResponseHead::new(200, BodyKind::None);
    for (name, value) in fields {
        head.headers.append(*name, value).unwrap();
    }
    response(&mut head, Own { backend, external: &external }, links);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    head.headers.iter().map(|field| (field.name().to_owned(), text(field.value()))).collect()
}

#[test]
fn host_and_path_become_the_backends() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/v1/");
    for (from, to) in [
        ("/shop", "/base/v1/"),
        ("/shop/", "/base/v1/"),
        ("/shop/a%20b?q=/shop", "/base/v1/a%20b?q=/shop"),
        ("/shop?x", "/base/v1/?x"),
    ] {
        let mut head = asked(from);
        request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
        assert_eq!((head.target.as_str(), head.authority.as_str()), (to, "10.0.0.1:81"), "{from}");
    }
    assert!(request(&mut asked("/shopping"), ExternalScheme::Https, &backend, &links).is_err());
}

#[test]
fn members_of_a_farm_are_the_application_inside() {
    let settings = [("backend_farm", "http://b:8080,http://c")];
    let (backend, links) = backend_with("https://ext.example/shop/", "http://a/base/", &settings);
    let outside = |backend: &Backend, url: &str| answered(backend, &links, &[("location", url)]).remove(0).1;
    for member in &backend.farm.as_ref().unwrap().members {
        for (from, to) in [
            ("http://a/base/x", "https://ext.example:8443/shop/x"),
            ("http://b:8080/base/x", "https://ext.example:8443/shop/x"),
            ("http://c/base/", "https://ext.example:8443/shop/"),
            ("http://c/other", "http://c/other"),
            ("http://c:81/base/", "http://c:81/base/"),
        ] {
            assert_eq!(outside(&member.backend, from), to, "{}", member.backend.internal);
        }
        let mut head = asked("/shop/x");
        request(&mut head, ExternalScheme::Https, &member.backend, &links).unwrap();
        assert_eq!(head.authority.as_str(), member.backend.authority.as_str());
    }
}

#[test]
fn only_sources_of_a_policy_are_taken_for_hosts() {
    let settings = [("internal_aliases", "http://group,http://allow-forms,http://ops")];
    let (backend, links) = backend_with("https://ext.example/", "http://data/", &settings);
    let others = "report-to group; sandbox allow-forms; trusted-types ops";
    let policy = format!("img-src data: data http://data/x; {others}; script-src-elem ops data:*, Base-URI group");
    let outside = "https://ext.example:8443";
    let becomes =
        format!("img-src data: {outside} {outside}/x; {others}; script-src-elem {outside} data:*, Base-URI {outside}");
    let fields = answered(&backend, &links, &[("content-security-policy", &policy)]);
    assert_eq!(fields[0].1, becomes);
}

#[test]
fn equal_paths_are_left_alone() {
    let (backend, links) = backend("https://ext.example/", "http://10.0.0.1/");
    let mut head = asked("//a;x=%41?");
    request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    assert_eq!(head.target.as_str(), "//a;x=%41?");
}

#[test]
fn origin_and_referer_go_in() {
    let (backend, links) = backend("https://ext.example/shop/", "https://in.example/");
    let mut head = asked("/shop/");
    head.headers.append(Known::Origin, "https://ext.example:8443").unwrap();
    head.headers.append(Known::Referer, "https://ext.example:8443/shop/a?b").unwrap();
    request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    assert_eq!(head.headers.get_str(Known::Origin), Some("https://in.example"));
    assert_eq!(head.headers.get_str(Known::Referer), Some("https://in.example/a?b"));
    let mut head = asked("/shop/");
    head.headers.append(Known::Origin, "https://evil.example").unwrap();
    request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    assert_eq!(head.headers.get_str(Known::Origin), Some("https://evil.example"));
}

#[test]
fn who_came_without_tls_is_led_on_without() {
    let (backend, links) = backend("http://ext.example/shop/", "http://10.0.0.1:81/base/");
    for (scheme, other, name) in [(ExternalScheme::Http, "https", "http"), (ExternalScheme::Https, "http", "https")] {
        let mut head = asked("/shop/");
        head.headers.append(Known::Referer, format!("{name}://ext.example:8443/shop/a")).unwrap();
        head.headers.append(Known::Origin, format!("{other}://ext.example:8443")).unwrap();
        let external = request(&mut head, scheme, &backend, &links).unwrap();
        assert_eq!(head.headers.get_str(Known::Referer), Some("http://10.0.0.1:81/base/a"));
        assert_eq!(head.headers.get_str(Known::Origin), Some(&*format!("{other}://ext.example:8443")));
        let mut head = ResponseHead::new(302, BodyKind::None);
        head.headers.append(Known::Location, "http://10.0.0.1:81/base/x").unwrap();
        response(&mut head, Own { backend: &backend, external: &external }, &links);
        assert_eq!(head.headers.get_str(Known::Location), Some(&*format!("{name}://ext.example:8443/shop/x")));
    }
}

#[test]
fn locations_come_out() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
    let external = request(&mut asked("/shop/"), ExternalScheme::Https, &backend, &links).unwrap();
    for (from, to) in [
        ("http://10.0.0.1:81/base/x?y#z", "https://ext.example:8443/shop/x?y#z"),
        ("/base/x", "/shop/x"),
        ("x/y", "x/y"),
        ("http://10.0.0.1:811/base/x", "http://10.0.0.1:811/base/x"),
        ("http://10.0.0.1:81/elsewhere", "http://10.0.0.1:81/elsewhere"),
        ("https://login.example/base/", "https://login.example/base/"),
        ("//other.example/base/", "//other.example/base/"),
    ] {
        let mut head = ResponseHead::new(302, BodyKind::None);
        head.headers.append(Known::Location, from).unwrap();
        response(&mut head, Own { backend: &backend, external: &external }, &links);
        assert_eq!(head.headers.get_str(Known::Location), Some(to));
    }
}

#[test]
fn every_field_that_holds_urls_comes_out() {
    let settings = [("internal_aliases", "http://shop")];
    let (backend, links) = backend_with("https://ext.example/shop/", "http://10.0.0.1:81/base/", &settings);
    let ext = "https://ext.example:8443";
    let policy = "default-src 'self' http://10.0.0.1:81 http://shop/base/x/ cdn.example; report-uri /base/csp";
    let policy_out = format!("default-src 'self' {ext} {ext}/shop/x/ cdn.example; report-uri /shop/csp");
    let cases: [(&str, &str, String); 10] = [
        ("location", "//10.0.0.1:81/base/x", format!("{ext}/shop/x")),
        ("content-location", "http://SHOP:80/base/x", format!("{ext}/shop/x")),
        ("refresh", "3; url='http://shop/base/x'", format!("3; url='{ext}/shop/x'")),
        ("link", "</base/a>; rel=preload, <http://shop/base/b>", format!("</shop/a>; rel=preload, <{ext}/shop/b>")),
        ("access-control-allow-origin", "http://10.0.0.1:81", ext.to_owned()),
        ("content-security-policy", policy, policy_out.clone()),
        ("content-security-policy-report-only", policy, policy_out),
        ("set-cookie", "a=b; Domain=shop; Path=/base; Secure", "a=b; Path=/shop; Secure".to_owned()),
        ("set-cookie", "c=http://shop/base/; HttpOnly", "c=http://shop/base/; HttpOnly".to_owned()),
        ("x-other", "http://shop/base/", "http://shop/base/".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = cases.iter().map(|(name, value, _)| (*name, *value)).collect();
    let expected: Vec<(String, String)> =
        cases.iter().map(|(name, _, out)| ((*name).to_owned(), out.clone())).collect();
    assert_eq!(answered(&backend, &links, &fields), expected);
}

#[test]
fn what_is_not_understood_is_not_touched() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
    let fields = [
        ("location", "http://10.0.0.1:81"),
        ("location", "http://10.0.0.1:81/base/../x"),
        ("refresh", "http://10.0.0.1:81/base/"),
        ("link", "<http://10.0.0.1:81/base/"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-origin", "http://10.0.0.1:81/base/"),
        ("content-security-policy", "http://10.0.0.1:81"),
        ("set-cookie", "; Path"),
    ];
    let kept: Vec<(String, String)> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(answered(&backend, &links, &fields), kept);
}

#[test]
fn without_translation_only_paths_are_replaced() {
    let settings = [("translate_headers", "false")];
    let (backend, links) = backend_with("https://ext.example/shop/", "http://10.0.0.1:81/base/", &settings);
    let mut head = asked("/shop/a");
    head.headers.append(Known::Referer, "https://ext.example:8443/shop/").unwrap();
    request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    assert_eq!((head.target.as_str(), head.authority.as_str()), ("/base/a", "ext.example:8443"));
    assert_eq!(head.headers.get_str(Known::Referer), Some("https://ext.example:8443/shop/"));
    let fields = [("location", "http://10.0.0.1:81/base/x"), ("set-cookie", "a=b; Domain=10.0.0.1")];
    let kept: Vec<(String, String)> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(answered(&backend, &links, &fields), kept);
}

/// With nothing in the place of the prefix, what follows it would become a host.
#[test]
fn no_path_becomes_a_host() {
    let (backend, links) = backend("https://ext.example/", "http://10.0.0.1:81/base/");
    let external = request(&mut asked("/"), ExternalScheme::Https, &backend, &links).unwrap();
    let own = Own { backend: &backend, external: &external };
    for path in ["/base//evil.example/", "/base/\\evil.example", "/base/\n/evil.example", "/base/\r/evil.example"] {
        assert_eq!(outwards(path, own, &links), None, "{path:?}");
    }
    assert_eq!(outwards("/base/a//b", own, &links).as_deref(), Some("/a//b"));
}

/// Whoever is let in to one application writes into no other by it, whatever is said to be where inside.
#[test]
fn what_is_to_be_written_stays_in_its_application() {
    let apps = [
        ("https://ext.example/shop/", "http://10.0.0.1:81/base/"),
        ("https://other.example/", "http://10.0.0.1:81/other/"),
        ("https://same.example/a/", "http://10.0.0.1:81/a/"),
    ];
    let apps = apps.iter().zip(1..).map(|((external, internal), seq)| {
        let mut app = app(seq, internal, &[]);
        app.external_url = (*external).into();
        app
    });
    let config = config(1, apps.collect());
    let (table, links) = (BackendTable::build(&config, None), Links::build(&config));
    let moved = |seq: u32, host: &str, path: &str, destination: &str| {
        let backend = table.apps.values().find(|backend| backend.app.id.seq == seq).unwrap();
        let mut head = asked(path);
        head.authority = Authority::parse(host.as_bytes()).unwrap();
        head.method = Method::parse(b"MOVE").unwrap();
        head.headers.append(Known::Destination, destination).unwrap();
        request(&mut head, ExternalScheme::Https, backend, &links).unwrap();
        head.headers.get_str(Known::Destination).map(str::to_owned)
    };
    let inside = |destination| moved(1, "ext.example", "/shop/a", destination);
    assert_eq!(inside("https://ext.example/shop/b").as_deref(), Some("http://10.0.0.1:81/base/b"));
    assert_eq!(inside("/shop/b").as_deref(), Some("/base/b"));
    for elsewhere in [
        "https://other.example/b",
        "http://10.0.0.1:81/other/b",
        "http://10.0.0.1:81/base/b",
        "/other/b",
        "//10.0.0.1:81/other/b",
        "https://ext.example/shop/../other/b",
        "b",
    ] {
        assert_eq!(inside(elsewhere), None, "{elsewhere}");
    }
    assert_eq!(moved(3, "same.example", "/a/x", "/other/b"), None);
    assert_eq!(moved(3, "same.example", "/a/x", "/a/b").as_deref(), Some("/a/b"));
}

#[test]
fn what_is_below_the_published_path_names_no_host_inside() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1/");
    let moved = |destination: &str| {
        let mut head = asked("/shop/a");
        head.method = Method::parse(b"MOVE").unwrap();
        head.headers.append(Known::Destination, destination).unwrap();
        request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
        head.headers.get_str(Known::Destination).map(str::to_owned)
    };
    assert_eq!(moved("/shop/b//c").as_deref(), Some("/b//c"));
    for host in ["/shop//10.0.0.2/b", "/shop/\\10.0.0.2/b"] {
        assert_eq!(moved(host), None, "{host}");
    }
}

#[test]
fn no_page_passes_for_one_from_inside() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
    let mut head = asked("/shop/");
    head.headers.append(Known::Origin, "http://10.0.0.1:81").unwrap();
    head.headers.append(Known::Referer, "http://10.0.0.1:81/base/a").unwrap();
    request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    assert_eq!((head.headers.get_str(Known::Origin), head.headers.get_str(Known::Referer)), (Some("null"), None));
}

#[test]
fn web_dav_names_places_inside() {
    let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
    let fields = |method: &[u8]| {
        let mut head = asked("/shop/a");
        head.method = Method::parse(method).unwrap();
        head.headers.append(Known::Destination, "https://ext.example:8443/shop/b").unwrap();
        let lock = "<https://ext.example:8443/shop/b> (<https://ext.example:8443/shop/token>) </shop/c> ([\"x\"])";
        head.headers.append("If", lock).unwrap();
        request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
        let field = |name: &str| head.headers.get_str(name).unwrap().to_owned();
        [field("destination"), field("if")]
    };
    let inside = [
        "http://10.0.0.1:81/base/b",
        "<http://10.0.0.1:81/base/b> (<https://ext.example:8443/shop/token>) </base/c> ([\"x\"])",
    ];
    assert_eq!(fields(b"MOVE"), inside);
    assert_ne!(fields(b"GET"), inside);
}

#[test]
fn rules_are_applied_after_translation_and_not_to_interim_answers() {
    let settings = [
        ("request_headers", "set X-A \"1\"; remove X-B; set Referer \"none\""),
        ("response_headers", "append Location \"http://10.0.0.1/\"; remove Server; set X-Frame-Options \"DENY\""),
    ];
    let (backend, links) = backend_with("https://ext.example/", "http://10.0.0.1/", &settings);
    let mut head = asked("/");
    for (name, value) in [("x-a", "0"), ("x-b", "0"), ("referer", "https://ext.example:8443/"), ("x-a", "2")] {
        head.headers.append(name, value).unwrap();
    }
    let external = request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
    let fields: Vec<_> = head.headers.iter().map(|field| (field.name(), field.value())).collect();
    let expected: [(&str, &[u8]); 2] = [("x-a", b"1"), ("referer", b"none")];
    assert_eq!(fields, expected);
    let own = Own { backend: &backend, external: &external };
    for (status, count) in [(200, 2), (103, 1)] {
        let mut head = ResponseHead::new(status, BodyKind::None);
        head.headers.append(Known::Server, "x").unwrap();
        response(&mut head, own, &links);
        assert_eq!((head.headers.len(), head.headers.contains(Known::Server)), (count, status == 103));
    }
}

const PIECES: &[&str] = &[
    "<",
    ">",
    "\"",
    "\\",
    "'",
    "(",
    ")",
    ";",
    ",",
    "=",
    " ",
    "//",
    "/",
    "url",
    "Domain",
    "Path",
    "default-src",
    "a=b",
    "\u{e4}",
    "[::1",
    "10.0.0.1:81",
    "http://10.0.0.1:81/base",
    "http://10.0.0.1",
    "/base/../x",
    "/base",
    "\t.",
    "5",
];

proptest! {
    #[test]
    fn whatever_a_field_says_is_translated_or_stays(pieces in prop::collection::vec(select(PIECES), 1..12)) {
        let (backend, links) = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
        let value = pieces.concat();
        let value = value.trim();
        let names = [
            "location", "content-location", "refresh", "link", "access-control-allow-origin", "content-security-policy",
            "content-security-policy-report-only", "set-cookie",
        ];
        let fields = names.map(|name| (name, value));
        let becomes = answered(&backend, &links, &fields);
        let inside = |text: &str| text.matches("http://10.0.0.1:81/base").count();
        prop_assert_eq!(becomes.iter().map(|field| field.0.as_str()).collect::<Vec<_>>(), names);
        for (_, field) in becomes {
            prop_assert!(inside(&field) <= inside(value));
        }
        if !value.contains("10.0.0.1") && !value.contains("/base") && !value.contains("Domain") && !value.contains("Path") {
            for (_, field) in answered(&backend, &links, &fields) {
                prop_assert_eq!(field, value);
            }
        }
    }
}
