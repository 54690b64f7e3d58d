//! What URLs are taken, and in which spelling they are kept.

use super::*;
use proptest::prelude::*;

#[test]
fn external_urls_are_normalised() {
    for (given, kept) in [
        ("https://App.Example.com", "https://app.example.com/"),
        ("HTTPS://app.example.com:443/crm/", "https://app.example.com/crm/"),
        ("https://*.example.com:8443/a/b", "https://*.example.com:8443/a/b/"),
        ("https://app.localhost:8443", "https://app.localhost:8443/"),
        ("http://app.example.com:80", "http://app.example.com/"),
        ("http://app.example.com:443", "http://app.example.com:443/"),
        ("https://app.example.com:80", "https://app.example.com:80/"),
    ] {
        assert_eq!(ExternalUrl::parse(given).unwrap().to_string(), kept);
    }
}

#[test]
fn plain_urls_have_a_secured_one_where_the_port_says_which() {
    for (plain, secured) in [
        ("http://app.example.com/a/", Some("https://app.example.com/a/")),
        ("http://*.example.com/", Some("https://*.example.com/")),
        ("http://app.example.com:8080/", None),
        ("http://app.example.com:443/", None),
        ("https://app.example.com:8443/", Some("https://app.example.com:8443/")),
    ] {
        let found = ExternalUrl::parse(plain).unwrap().secured().map(|url| url.to_string());
        assert_eq!(found.as_deref(), secured, "{plain}");
    }
}

#[test]
fn links_name_the_host_that_was_asked_for_and_a_port_that_is_not_the_schemes() {
    for (url, authority) in [
        ("https://app.example.com/", "app.example.com"),
        ("https://app.example.com:8443/", "app.example.com:8443"),
        ("http://app.example.com/", "app.example.com"),
        ("http://app.example.com:443/", "app.example.com:443"),
        ("https://*.example.com:8443/", "a.example.com:8443"),
    ] {
        assert_eq!(ExternalUrl::parse(url).unwrap().authority("A.Example.com"), authority, "{url}");
    }
}

#[test]
fn internal_urls_are_normalised() {
    for (given, kept) in [
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080/"),
        ("https://[2001:DB8::1]:8443/x/", "https://[2001:db8::1]:8443/x/"),
        ("http://my_host", "http://my_host/"),
        ("http://*.Internal:8080/x", "http://*.internal:8080/x/"),
    ] {
        assert_eq!(InternalUrl::parse(given).unwrap().to_string(), kept);
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    for (url, says) in [
        ("app.example.com", "write it as https://"),
        ("ftp://app.example.com", "begins with https://"),
        ("https://", "host is missing"),
        ("https://10.0.0.1/", "not an IP address"),
        ("https://[::1]/", "not a DNS name"),
        ("https://u:p@app.example.com/", "user name"),
        ("https://app.example.com/?a", "query"),
        ("https://app.example.com:0/", "port"),
        ("https://app.example.com:/", "port"),
        ("https://app.example.com:+1/", "port"),
        ("https://app.example.com/a/../b", "dot segments"),
        ("https://app.example.com/a%2fb", "characters"),
        ("https://*.com/", "two labels"),
        ("https://a.*.example.com/", "not a DNS name"),
        ("https://tunnel.postern.internal/", "reserved"),
        ("https://*.postern.internal/", "reserved"),
        ("https://ä.example.com/", "xn--"),
        ("https://app.example.com./", "not a DNS name"),
    ] {
        let error = ExternalUrl::parse(url).unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
    }
    for (url, says) in [
        ("tls://h:443", "not available yet"),
        ("tcp://h:22", "not available yet"),
        ("ldap://h", "begins with http://"),
        ("http://1.2.3.400/", "IPv4"),
        ("http://[::1/", "lacks"),
        ("http://[::1]x/", "port"),
        ("http://*.1/", "not a DNS name"),
        ("http://*./", "host is missing"),
        ("http://a.*.corp/", "not a DNS name"),
    ] {
        let error = InternalUrl::parse(url).unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
    }
}

#[test]
fn a_wildcards_labels_are_put_inside_and_nothing_else_is() {
    let external = ExternalUrl::parse("https://*.apps.example.com/").unwrap();
    let internal = InternalUrl::parse("http://*.internal:8080/x/").unwrap();
    let long = format!("{}.apps.example.com", ["a"; 122].join("."));
    for (asked, inside) in [
        ("crm.apps.example.com", Some("http://crm.internal:8080/x/")),
        ("A.CRM.Apps.example.COM", Some("http://a.crm.internal:8080/x/")),
        ("apps.example.com", None),
        (".apps.example.com", None),
        ("crm.apps.example.org", None),
        ("crmapps.example.com", None),
        ("a_b.apps.example.com", None),
        ("-a.apps.example.com", None),
        ("a..b.apps.example.com", None),
        ("a/b.apps.example.com", None),
        ("a@b.apps.example.com", None),
        ("identity.postern.apps.example.com", None),
        ("postern.apps.example.com", None),
        (long.as_str(), None),
    ] {
        let found = internal.at(&external, asked).map(|url| url.to_string());
        // 122 labels of one letter fit what is outside, and a shorter name inside, too.
        let inside = if asked == long {
            Some(format!("http://{}.internal:8080/x/", ["a"; 122].join(".")))
        } else {
            inside.map(str::to_owned)
        };
        assert_eq!(found, inside, "{asked}");
    }
    let one = InternalUrl::parse("http://crm/").unwrap();
    assert_eq!(one.at(&external, "anything"), Some(one.clone()));
    let deep = InternalUrl::parse(&format!("http://*.{}/", ["b"; 60].join("."))).unwrap();
    assert_eq!(deep.at(&external, &long), None, "longer than a name may be");
}

#[test]
fn a_wildcard_is_at_every_host_below_it_and_not_at_its_name() {
    let at = |url: &str, host: &str| ExternalUrl::parse(url).unwrap().is_at(host);
    assert!(at("https://app.example.com/", "app.example.com") && !at("https://app.example.com/", "a.app.example.com"));
    assert!(at("https://*.example.com/", "app.example.com") && at("https://*.example.com/", "b.a.example.com"));
    assert!(!at("https://*.example.com/", "example.com") && !at("https://*.example.com/", "anexample.com"));
}

proptest! {
    #[test]
    fn what_parses_reads_back(text in "(https?|tls)://[a-zA-Z0-9*.:_\\[\\]-]{0,24}(/[a-z./]{0,10})?") {
        if let Ok(url) = ExternalUrl::parse(&text) {
            prop_assert_eq!(ExternalUrl::parse(&url.to_string()).unwrap(), url);
        }
        if let Ok(url) = InternalUrl::parse(&text) {
            prop_assert_eq!(InternalUrl::parse(&url.to_string()).unwrap(), url);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
        let _ = (ExternalUrl::parse(&text), InternalUrl::parse(&text));
    }
}
