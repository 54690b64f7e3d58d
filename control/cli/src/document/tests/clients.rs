//! Clients of the OpenID provider.

use super::*;

const CLIENTS: &str = r#"
[client.shop]
confidential = true
redirect-uri = "https://shop.example.com/callback"
scope = ["openid", "app:crm"]
consent = "admin"
disabled = true
[client.tool]
public = true
device = true
redirect-uri = ["http://127.0.0.1/", "http://[::1]/cb"]
scope = "app:*"
consent = "user"
"#;

#[test]
fn clients_are_written_as_they_are_read_and_have_no_secret() {
    let parsed = parse(&source(CLIENTS)).unwrap();
    let shop = &parsed.document.clients[&"shop".parse().unwrap()];
    assert!(shop.disabled && !shop.device && shop.scopes.apps().count() == 1);
    assert_eq!(parsed.document.clients[&"tool".parse().unwrap()].redirect_uris.len(), 2);
    let again = parse(&source(&toml("default", &parsed.document))).unwrap();
    assert_eq!(again.document, parsed.document);
    for (lines, says) in [
        ("public = true\nconsent = \"user\"\n", "scope"),
        ("scope = \"openid\"\nconsent = \"user\"\ndevice = true\n", "p.toml:1: it needs `public = true`"),
        ("public = true\nscope = \"openid\"\nconsent = \"us\"\n", "p.toml:4: `consent` = `us`"),
        ("public = true\nscope = \"openid\"\nconsent = \"user\"\n", "redirect URI"),
        ("public = true\nscope = \"luck\"\nconsent = \"user\"\n", "p.toml:3: `scope` = `luck`"),
        ("secret = \"x\"\n", "p.toml:2: unknown key `secret`"),
    ] {
        let found = refusal(&format!("[client.x]\n{lines}"));
        assert!(found.contains(says), "{lines}: {found}");
    }
}
