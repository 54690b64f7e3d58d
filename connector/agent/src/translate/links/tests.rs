use std::sync::Arc;

use postern_model::group_config::PublishedLink;
use postern_model::ids::TenantId;
use postern_tunnel::ExternalScheme;
use proptest::prelude::*;

use super::super::tests::asked;
use super::super::{External, request};
use super::*;
use crate::backend::tests::{app, config};
use crate::backend::{Backend, BackendTable};

fn link(seq: u32, external: &str, internal: &str, aliases: &str) -> PublishedLink {
    PublishedLink {
        app: AppId::new(TenantId::DEFAULT, seq),
        external_url: external.into(),
        internal_url: internal.into(),
        aliases: aliases.into(),
        names: String::new(),
    }
}

/// Application 5 at `https://ext.example:8443/` and the given ones of other groups.
struct World {
    backend: Arc<Backend>,
    external: External,
    links: Arc<Links>,
}

impl World {
    fn new(external: &str, internal: &str, links: Vec<PublishedLink>) -> Self {
        let mut app = app(5, internal, &[]);
        app.external_url = external.into();
        let mut config = config(1, vec![app]);
        config.links = links;
        let table = BackendTable::build(&config, None);
        let backend = Arc::clone(table.apps.values().next().unwrap());
        let mut head = asked(&format!("{}/", backend.external.path));
        let external = request(&mut head, ExternalScheme::Https, &backend, &table.links).unwrap();
        Self { backend, external, links: table.links }
    }

    fn own(&self) -> Own<'_> {
        Own { backend: &self.backend, external: &self.external }
    }

    fn out(&self, url: &str) -> Option<String> {
        self.links.outwards(url, self.own())
    }

    fn inside(&self, url: &str) -> Option<String> {
        self.links.inwards(url, self.own())
    }
}

fn four() -> World {
    let others = vec![
        link(2, "https://travel.example/", "http://travel/", "https://travel.corp,http://portal/travel/"),
        link(3, "https://all.example/expenses/", "http://10.0.0.9:8080/exp/", ""),
        link(4, "https://*.any.example/", "http://any/", ""),
        link(7, "https://six.example:444/", "https://[2001:db8::6]/", ""),
    ];
    World::new("https://ext.example/", "http://benefits/", others)
}

#[test]
fn links_to_every_published_application_come_out() {
    let world = four();
    for (url, outside) in [
        ("http://benefits/a?b#c", Some("https://ext.example:8443/a?b#c")),
        ("http://BENEFITS:80", Some("https://ext.example:8443")),
        ("HTTP://travel/x", Some("https://travel.example/x")),
        ("//travel/x", Some("https://travel.example/x")),
        ("ws://travel/live", Some("wss://travel.example/live")),
        ("https://travel.corp:443/", Some("https://travel.example/")),
        ("http://portal/travel/x", Some("https://travel.example/x")),
        ("http://portal/travels", None),
        ("http://10.0.0.9:8080/exp/1", Some("https://all.example/expenses/1")),
        ("http://10.0.0.9:8080/exp", Some("https://all.example/expenses")),
        ("http://10.0.0.9:8080/exp/../other", None),
        ("http://10.0.0.9:8080/", None),
        ("http://10.0.0.9/exp/", None),
        ("https://travel/", None),
        ("http://any/", None),
        ("https://[2001:DB8:0::6]/x", Some("https://six.example:444/x")),
        ("http://feedback/", None),
        ("mailto:travel", None),
        ("/x", None),
    ] {
        assert_eq!(world.out(url).as_deref(), outside, "{url}");
    }
}

#[test]
fn what_an_application_makes_of_the_users_scheme_and_its_own_host_comes_out() {
    let world = four();
    for (url, outside) in [
        ("https://benefits/a?b#c", Some("https://ext.example:8443/a?b#c")),
        ("https://BENEFITS:443", Some("https://ext.example:8443")),
        ("wss://benefits/live", Some("wss://ext.example:8443/live")),
        ("https://benefits:80/", None),
        ("//benefits:443/", None),
        // Of others it was told nothing.
        ("https://travel/", None),
    ] {
        assert_eq!(world.out(url).as_deref(), outside, "{url}");
    }
    let out = |origin: &str| world.links.origin_outwards(origin, world.own());
    assert_eq!(out("https://benefits").as_deref(), Some("https://ext.example:8443"));
    assert_eq!((out("https://benefits:80"), out("https://travel")), (None, None));

    let below = World::new("https://ext.example/shop/", "http://[2001:db8::1]:8080/base/", Vec::new());
    assert_eq!(below.out("https://[2001:DB8:0::1]:8080/base/x").as_deref(), Some("https://ext.example:8443/shop/x"));
    assert_eq!((below.out("https://[2001:db8::1]:8080/x"), below.out("https://[2001:db8::1]/base/x")), (None, None));

    // What is published from there is what is meant.
    let there = vec![link(1, "https://one.example/", "https://benefits/", "")];
    let world = World::new("https://ext.example/", "http://benefits/", there);
    assert_eq!(world.out("https://benefits/x").as_deref(), Some("https://one.example/x"));
    let secure = World::new("https://ext.example/", "https://benefits/", Vec::new());
    assert_eq!(secure.out("http://benefits/x"), None);
}

#[test]
fn and_back_in() {
    let world = four();
    for (url, inside) in [
        ("https://ext.example:8443/a", Some("http://benefits/a")),
        ("https://ext.example/a", Some("http://benefits/a")),
        ("http://ext.example/a", None),
        ("https://travel.example/a?b", Some("http://travel/a?b")),
        ("https://all.example/expenses/1", Some("http://10.0.0.9:8080/exp/1")),
        ("https://all.example/", None),
        ("https://six.example:444/", Some("https://[2001:db8::6]/")),
        ("https://six.example/", None),
        ("https://a.any.example/", None),
    ] {
        assert_eq!(world.inside(url).as_deref(), inside, "{url}");
    }
}

#[test]
fn of_several_at_one_place_the_longest_path_counts_then_oneself_then_the_first() {
    let others = |path: &str| {
        vec![
            link(1, "https://one.example/", &format!("http://benefits{path}"), ""),
            link(6, "https://six.example/", &format!("http://benefits{path}"), ""),
        ]
    };
    let world = World::new("https://ext.example/", "http://benefits/", others("/"));
    assert_eq!(world.out("http://benefits/x").as_deref(), Some("https://ext.example:8443/x"));
    let world = World::new("https://ext.example/", "http://benefits/", others("/deep/"));
    assert_eq!(world.out("http://benefits/deep/x").as_deref(), Some("https://one.example/x"));
    assert_eq!(world.out("http://benefits/deeper").as_deref(), Some("https://ext.example:8443/deeper"));
}

#[test]
fn of_hundreds_at_one_host_each_has_its_own() {
    let both = |seq: u32| {
        let deep = link(seq, &format!("https://a{seq}.example/"), &format!("http://portal/apps/a{seq}/"), "");
        [deep, link(seq, &format!("https://b{seq}.example/"), "http://portal:8080/", "")]
    };
    let world = World::new("https://ext.example/", "http://portal/apps/a5/", (6..400).flat_map(both).collect());
    for (url, outside) in [
        ("http://portal/apps/a6/x?/apps/a7/", Some("https://a6.example/x?/apps/a7/")),
        ("http://portal/apps/a57", Some("https://a57.example")),
        ("//portal/apps/a57#a/b", Some("https://a57.example#a/b")),
        ("http://portal/apps/a399/1/2/3/4/5/6", Some("https://a399.example/1/2/3/4/5/6")),
        ("http://portal/apps/a5/1/2", Some("https://ext.example:8443/1/2")),
        ("http://portal/apps/a6x/", None),
        ("http://portal/apps/", None),
        ("http://portal/apps/a6/../a7/", None),
        ("https://portal/apps/a6/", None),
        ("http://portal:8080/x", Some("https://b6.example/x")),
        ("http://portal:8080", Some("https://b6.example")),
        ("http://portal:8080/a/../b", Some("https://b6.example/a/../b")),
    ] {
        assert_eq!(world.out(url).as_deref(), outside, "{url}");
    }
    let origin = |origin: &str| world.links.origin_outwards(origin, world.own());
    assert_eq!((origin("http://portal:8080"), origin("http://portal:81")), (None, None));
    assert_eq!(origin("http://portal").as_deref(), Some("https://ext.example:8443"));
    assert!(world.links.is_inside("//portal:8080/") && !world.links.is_inside("http://portal:81/"));
}

#[test]
fn no_more_of_a_url_is_looked_up_than_the_longest_path_has() {
    let ends = |rest: &str, longest: usize| places::prefix_ends(rest, longest).collect::<Vec<_>>();
    assert_eq!(ends("/a/bc/d?/e", 7), [7, 5, 2, 0]);
    assert_eq!(ends("/a/bc/d#/e", 5), [5, 2, 0]);
    assert_eq!(ends("/ä/b", 2), [0]);
    assert_eq!(ends("/ä/b", 3), [3, 0]);
    assert_eq!((ends("", 0), ends("?/", 9), ends("/", 0)), (vec![0], vec![0], vec![0]));
    assert_eq!(ends(&"/".repeat(1 << 20), 3), [3, 2, 1, 0]);
}

#[test]
fn an_origin_that_means_several_stays() {
    let others = vec![
        link(1, "https://a.example/x/", "http://shared/x/", ""),
        link(2, "https://a.example/y/", "http://shared/y/", ""),
        link(3, "https://b.example/", "http://apart/x/", ""),
        link(4, "https://c.example/", "http://apart/y/", ""),
    ];
    let world = World::new("https://ext.example/", "http://benefits/base/", others);
    let out = |origin: &str| world.links.origin_outwards(origin, world.own());
    assert_eq!(out("http://shared").as_deref(), Some("https://a.example"));
    assert_eq!(out("http://benefits").as_deref(), Some("https://ext.example:8443"));
    assert_eq!(out("http://apart"), None);
    assert_eq!(out("http://shared/x/"), None);
    assert_eq!(out("null"), None);
    let inside = |origin: &str| world.links.origin_inwards(origin, world.own());
    assert_eq!(inside("https://ext.example:8443").as_deref(), Some("http://benefits"));
    assert_eq!(inside("https://b.example").as_deref(), Some("http://apart"));
    assert_eq!(inside("https://a.example").as_deref(), Some("http://shared"));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let others = vec![link(1, "https://one.example/", "tcp://one:1/", ""), link(2, "x", "http://two/", "")];
    let world = World::new("https://ext.example/", "http://benefits/", others);
    assert_eq!((world.out("http://one/"), world.out("http://two/")), (None, None));
    let world =
        World::new("https://ext.example/", "http://benefits/", vec![link(3, "https://t.example/", "http://t/", "?")]);
    assert_eq!(world.out("http://t/").as_deref(), Some("https://t.example/"));
}

/// Application 5 with a segment at another host, one below its own path, and a wildcard; as the request for `segment` sees it.
fn segmented(host: &str, path: &str) -> World {
    let mut app = app(
        5,
        "http://crm/app/",
        &[
            ("external_aliases", "https://crm.example.org"),
            (
                "segments",
                "https://api.example/=http://api.corp:8080/v1/,https://ext.example/sub/=http://sub/,https://*.apps.example:444/=http://*.corp/",
            ),
        ],
    );
    app.external_url = "https://ext.example/".into();
    let mut config = config(1, vec![app]);
    config.links = vec![
        PublishedLink { names: "https://w.example.org".into(), ..link(2, "https://wiki.example/", "http://wiki/", "") },
        link(2, "https://*.wiki.example/", "http://*.wiki/", ""),
    ];
    let table = BackendTable::build(&config, None);
    let first = Arc::clone(table.apps.values().next().unwrap());
    let name = host.split(':').next().unwrap();
    let found = first.segment_at(name, || path.into()).cloned().unwrap_or(first);
    let backend = match found.internal.at(&found.external, name) {
        Some(internal) if found.internal.wildcard().is_some() => Arc::new(found.below(internal).unwrap()),
        _ => found,
    };
    let mut head = asked(path);
    head.authority = postern_http::Authority::parse(host.as_bytes()).unwrap();
    let external = request(&mut head, ExternalScheme::Https, &backend, &table.links).unwrap();
    World { backend, external, links: table.links }
}

#[test]
fn segments_link_to_each_other() {
    for (host, path) in
        [("ext.example", "/x"), ("api.example", "/x"), ("ext.example", "/sub/x"), ("a.apps.example", "/")]
    {
        let world = segmented(host, path);
        for (url, outside) in [
            ("http://crm/app/x", "https://ext.example/x"),
            ("http://api.corp:8080/v1/x", "https://api.example/x"),
            ("http://sub/x", "https://ext.example/sub/x"),
            ("http://B.corp/x", "https://b.apps.example:444/x"),
            ("http://a.b.corp/x", "https://a.b.apps.example:444/x"),
            ("http://wiki/x", "https://wiki.example/x"),
            ("http://c.wiki/x", "https://c.wiki.example/x"),
        ] {
            let inside = url.replace("B.corp", "b.corp");
            assert_eq!(world.out(url).as_deref(), Some(outside), "{host}{path}: {url}");
            assert_eq!(world.inside(outside), Some(inside), "{host}{path}: {outside}");
        }
        for stays in ["http://corp/x", "http://a_b.corp/x", "http://-.corp/", "http://api.corp/v1/x", "http://x.y/"] {
            assert_eq!(world.out(stays), None, "{host}{path}: {stays}");
        }
        assert_eq!(world.inside("https://w.example.org/x").as_deref(), Some("http://wiki/x"));
        assert_eq!(world.inside("https://crm.example.org/x").as_deref(), Some("http://crm/app/x"));
        let origin = |url: &str| world.links.origin_outwards(url, world.own());
        assert_eq!(origin("http://b.corp").as_deref(), Some("https://b.apps.example:444"));
        assert_eq!(origin("http://api.corp:8080").as_deref(), Some("https://api.example"));
        assert!(world.links.is_inside("http://b.corp/") && !world.links.is_inside("http://b.corp:81/"));
    }
}

#[test]
fn what_a_request_is_for_is_written_as_its_user_wrote_it() {
    let world = segmented("a.apps.example:8444", "/");
    assert_eq!(world.out("http://a.corp/x").as_deref(), Some("https://a.apps.example:8444/x"));
    assert_eq!(world.out("http://b.corp/x").as_deref(), Some("https://b.apps.example:444/x"));
    let world = segmented("crm.example.org", "/x");
    assert_eq!(world.out("http://crm/app/x").as_deref(), Some("https://crm.example.org/x"));
    assert_eq!(world.out("http://sub/x").as_deref(), Some("https://ext.example/sub/x"));
}

proptest! {
    #[test]
    fn what_came_in_goes_out_as_it_was(rest in "(/[a-zA-Z0-9%._~-]{0,6}){1,4}(\\?[a-z=&/.]{0,6})?(#[a-z/.]{0,4})?") {
        let world = four();
        for outside in ["https://ext.example:8443", "https://travel.example", "https://all.example/expenses"] {
            let url = format!("{outside}{rest}");
            if let Some(inside) = world.inside(&url) {
                prop_assert_eq!(world.out(&inside), Some(url));
            }
        }
    }

    #[test]
    fn what_goes_out_comes_in_as_it_was(rest in "(/[a-zA-Z0-9%._~-]{0,6}){1,4}(\\?[a-z=&/.]{0,6})?") {
        let world = four();
        for inside in ["http://benefits", "http://travel", "http://10.0.0.9:8080/exp"] {
            let url = format!("{inside}{rest}");
            if let Some(outside) = world.out(&url) {
                prop_assert_eq!(world.inside(&outside), Some(url));
            }
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(https?:|wss?:)?/{0,2}\\PC{0,40}") {
        let world = four();
        let _ = (world.out(&text), world.inside(&text), world.links.origin_outwards(&text, world.own()));
    }
}
