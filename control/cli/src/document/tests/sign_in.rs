//! Kerberos tickets, terms of use and lists of anonymisers.

use super::*;

const ALL: &str = r#"
[network]
hq = "203.0.113.0/24"
[anonymiser]
tor = ["192.0.2.1", "2001:db8::/32"]
[kerberos]
realm = ["EXAMPLE.COM"]
network = "hq"
login = "sam-account-name"
[terms.house]
title = "House \"rules\""
every = "90d"
format = "markdown"
text = """
# House

\tWipe your "feet": C:\\mat
"""
[terms.lab]
title = "Lab"
text = "x"
every = "3700"
"#;

#[test]
fn what_sign_ins_go_by_is_written_as_it_is_read() {
    let parsed = parse(&source(ALL)).unwrap();
    let document = &parsed.document;
    let house = &document.terms[&"house".parse().unwrap()];
    assert_eq!(house.text.as_str(), "# House\n\n\tWipe your \"feet\": C:\\mat\n");
    assert_eq!((house.every_s, document.terms[&"lab".parse().unwrap()].every_s), (Some(90 * 86_400), Some(3_700)));
    assert_eq!(document.anonymisers[&"tor".parse().unwrap()].len(), 2);
    let text = toml("default", document);
    assert!(text.contains("every = \"90d\"") && text.contains("every = \"3700s\""), "{text}");
    assert!(text.contains("login = \"sam-account-name\""), "{text}");
    assert_eq!(&parse(&source(&text)).unwrap().document, document);
    let mut many = document.clone();
    let prefix = |nth: u32| std::net::Ipv4Addr::from(nth << 8).to_string().parse().unwrap();
    many.anonymisers.insert("vpn".parse().unwrap(), (1..1_000).map(prefix).collect());
    let text = toml("default", &many);
    assert!(text.lines().all(|line| line.len() < 400), "a list is read by people, too");
    assert_eq!(parse(&source(&text)).unwrap().document, many);
}

#[test]
fn texts_and_lists_may_be_files_beside_the_document() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("house.md"), "# House\n").unwrap();
    std::fs::write(folder.path().join("tor.txt"), "192.0.2.1 # an exit\n").unwrap();
    let text = "[anonymiser]\ntor = \"@tor.txt\"\n[terms.house]\ntitle = \"House\"\nfile = \"house.md\"\n";
    let beside = |text: &str| Source::new("p.toml".into(), folder.path().to_owned(), text.into());
    let document = parse(&beside(text)).unwrap().document;
    let house = &document.terms[&"house".parse().unwrap()];
    assert_eq!((house.text.as_str(), house.format), ("# House\n", postern_model::terms::TermsFormat::Markdown));
    assert_eq!(document.anonymisers[&"tor".parse().unwrap()].len(), 1);
    std::fs::write(folder.path().join("tor.txt"), "192.0.2.1\nexit\n").unwrap();
    let Err(failure) = parse(&beside(text)) else { panic!("a line is no prefix") };
    let said = failure.to_string();
    assert!(said.contains("p.toml:2:") && said.contains("tor.txt:2:"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    for (text, says) in [
        ("[kerberos]\nrealm = \"EXAMPLE.COM\"\n", "p.toml:1: [kerberos] needs `network`"),
        ("[kerberos]\nrealm = \"EXAMPLE.COM\"\nnetwork = []\n", "networks"),
        ("[kerberos]\nrealm = \"EXAMPLE.COM\"\nnetwork = \"hq\"\nlogin = \"sam\"\n", "p.toml:4: `login` = `sam`"),
        ("[kerberos]\nkeytab = \"x\"\n", "p.toml:2: unknown key `keytab`"),
        ("[terms.x]\ntitle = \"T\"\n", "p.toml:1: it needs `file` or `text`"),
        ("[terms.x]\ntitle = \"T\"\ntext = \"a\"\nfile = \"b\"\n", "one of them"),
        ("[terms.x]\ntext = \"a\"\n", "needs `title`"),
        ("[terms.x]\ntitle = \"T\"\ntext = \"\"\n", "p.toml:3: `text`: the text is empty"),
        ("[terms.x]\ntitle = \"T\"\ntext = \"a\"\nformat = \"html\"\n", "p.toml:4: `format` = `html`"),
        ("[terms.x]\ntitle = \"T\"\ntext = \"a\"\nevery = \"often\"\n", "p.toml:4: `every` = `often`"),
        ("[terms.x]\ntitle = \"T\"\nfile = \"none.md\"\n", "p.toml:3: /nowhere/none.md"),
        ("[anonymiser]\ntor = [\"x\"]\n", "p.toml:2"),
    ] {
        let found = refusal(text);
        assert!(found.contains(says), "{text}: {found}");
    }
}
