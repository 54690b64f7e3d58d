//! Every example in a help text is a command line that parses; every visible command has examples.

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn the_grammar_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn every_example_parses_and_every_command_has_one() {
    let mut command = Args::command();
    command.build();
    let mut examples = 0;
    check(&command, &mut examples);
    assert!(examples > 40, "only {examples} examples were found");
}

fn check(command: &clap::Command, examples: &mut usize) {
    let children: Vec<_> = command.get_subcommands().filter(|child| child.get_name() != "help").collect();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "an example of `{}` would be wrapped",
        command.get_name()
    );
    let unbroken = help.replace("\\\n", "");
    let lines: Vec<&str> = unbroken.lines().filter_map(|line| line.strip_prefix("  postern ")).collect();
    assert!(!lines.is_empty() || !children.is_empty(), "`{}` has no example", command.get_name());
    for line in lines {
        let words = words(line);
        if let Err(error) = Args::try_parse_from(std::iter::once("postern").chain(words.iter().map(String::as_str))) {
            panic!("`postern {line}`: {error}");
        }
        *examples += 1;
    }
    for child in children {
        check(child, examples);
    }
}

#[test]
fn every_command_in_the_documentation_parses() {
    let page = include_str!("../../../../docs/cli.md");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("postern ")).collect();
    assert!(lines.len() > 30, "only {} commands were found", lines.len());
    for line in lines {
        let parsed = Args::try_parse_from(words(line));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

#[test]
fn the_help_says_what_becomes_of_a_tokens_end() {
    let mut all = Args::command();
    all.build();
    for (verb, says) in [("create", "90d unless given"), ("set", "its end stays"), ("rotate", "its end stays")] {
        let path = ["access", "token", verb];
        let command = path.iter().try_fold(&all, |command, name| command.find_subcommand(name)).unwrap();
        let ttl = command.get_arguments().find(|arg| arg.get_id() == "ttl").unwrap();
        let help = ttl.get_help().unwrap().to_string();
        assert!(help.contains(says), "{verb}: {help}");
    }
}

/// As a shell splits it: quotes, a comment, a redirection or pipe at the end.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (None, '#' | '>' | '|') if word.is_empty() => return without_empty(words),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    without_empty(words)
}

fn without_empty(words: Vec<String>) -> Vec<String> {
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// The forms that stay, whatever options are added.
#[test]
fn the_promised_forms_parse() {
    for line in [
        "init",
        "--socket /s tenant list",
        "tenant --socket /s -o json list",
        "relay add edge 192.0.2.1:443",
        "relay add edge relay.example.com:443 --fingerprint 1111111111111111111111111111111111111111111111111111111111111111",
        "relay list",
        "relay remove edge",
        "connector-group create hq",
        "connector-group list",
        "connector-group show hq",
        "connector-group delete hq",
        "connector token --group hq",
        "connector token --group hq --ttl 1h --out f",
        "connector list",
        "connector show c1-1",
        "connector remove c1-1",
        "app publish a --external https://a.test/ --internal http://b/ --preauth passthrough",
        "app publish a --external https://a.test/ --internal http://b/ --preauth oidc --group g --cert c --key k --set a=b --set c=d",
        "app list",
        "app show a",
        "app set a --set k=v",
        "app unpublish a",
        "access token create a --app wiki",
        "access token create a --app wiki --app crm --ttl 90d --out F",
        "access token create a --app wiki --no-expiry",
        "access token list",
        "access token show a",
        "access token set a --app wiki --ttl 30d",
        "access token set a --add-app wiki --remove-app crm",
        "access token disable a",
        "access token enable a",
        "access token revoke a",
        "access token rotate a --out F",
        "throttle list",
        "throttle show",
        "throttle show app/wiki",
        "throttle set app/wiki --rps 1 --burst 2 --conns 3 --bps 4096",
        "throttle set tenant --rps none",
        "throttle set source --rps 10k",
        "throttle set source/10.0.0.0/8 --conns 5",
        "throttle set user/alice --rps default",
        "throttle unset app/wiki",
        "throttle watch --count 1",
        "network set hq 10.0.0.0/8 2001:db8::/32",
        "network list",
        "network remove hq",
        "apply -f F",
        "apply -f - --prune",
        "diff -f F",
        "export",
        "export --without-users",
        "status",
        "ready",
        "doctor",
        "doctor --relay relay.example.com:443 --relay 192.0.2.7:443 --listen 0.0.0.0:443 --role relay",
        "doctor --role connector --relay relay.example.com:443 --proxy http://proxy:3128 -o json",
        "doctor --relay r:443 --proxy http://anna@p:1 --proxy-password-file F --no-proxy H --proxy-ca F --config F",
        "explain host-unknown",
        "completions bash",
        "man /tmp",
    ] {
        promised(line);
    }
}

#[test]
fn the_promised_forms_of_certificates_parse() {
    for line in [
        "cert add --cert c --key k",
        "cert list",
        "cert request a.test b.test --challenge http-01",
        "cert renew k1-1",
        "acme set --directory https://ca.test/dir --contact a@b.test --eab-kid k --eab-key-file f --ca c",
        "acme show",
        "acme remove",
        "domain add a.test",
        "domain list",
        "domain verify a.test",
        "domain remove a.test",
        "cert remove k1-1",
    ] {
        promised(line);
    }
}

#[test]
fn the_promised_forms_of_the_directory_parse() {
    for line in [
        "user create anna@example.com",
        "user create anna --display-name A --mail a@b --attribute a=b --attribute c=d --guest --expires 30d",
        "user create anna --password",
        "user create anna --password-file F",
        "user create anna --password-stdin",
        "user list",
        "user list --filter an --limit 5 --after anna",
        "user show anna",
        "user set anna --attribute k= --mail= --expires 2030-01-31T00:00:00Z",
        "user disable anna",
        "user enable anna",
        "user password anna",
        "user password anna --password-stdin",
        "user delete anna",
        "group create sales --description D --owner anna --owner berta",
        "group list",
        "group show sales",
        "group set sales --no-rule",
        "group add staff --user anna --user berta --group sales",
        "group remove staff --user anna",
        "group delete sales --force",
        "group test sales --user anna",
        "assign wiki --user anna",
        "assign wiki --group sales --role editor --expires 30d",
        "assign wiki --everyone --tenant acme",
        "assign list",
        "assign --tenant acme list",
        "assign list wiki --expiring 14d",
        "assign remove wiki --group sales",
    ] {
        promised(line);
    }
}

#[test]
fn the_promised_forms_of_the_logs_parse() {
    for line in [
        "audit list",
        "audit list --limit 20 --before 1200 --tenant acme --actor anna --action app.set --target a1-7",
        "audit list --since 24h --until 2030-01-31T00:00:00Z",
        "audit export --out F --after 5",
        "audit verify",
        "audit verify --file F --expect 1:2c2d3ca86258e4cbb0e9c5750f8abf9a8baadfc5f509bd68c96cf4be0b78207a",
        "audit head",
        "audit sign-ins list --user anna --app crm --result failure --since 24h",
        "audit sign-ins list --session 9f1c2d3e4f5061728394a5b6c7d8e9f0 --request 9f1c2d3e4f5061728394a5b6c7d8e9f0",
        "audit sign-ins export --out F",
        "audit sign-ins verify --file F",
    ] {
        promised(line);
    }
}

#[test]
fn the_promised_forms_of_policies_parse() {
    for line in [
        "policy create p --everyone --all-apps --except-network hq --require mfa",
        "policy create p --user anna --user berta --group a,b --app wiki --block --state off --force",
        "policy create p --guests --all-apps --require-any mfa,compliant-device --no-persistent --idle-max 30m",
        "policy create p --everyone --all-apps --country DE --platform ios --client native --method pwd --device unknown --block",
        "policy list",
        "policy show p",
        "policy set p --clear networks,idle-max --risk-min high",
        "policy set p --new-name q",
        "policy enable p --force",
        "policy disable p",
        "policy report-only p",
        "policy delete p1-1",
        "policy what-if --user anna --app wiki",
        "policy replay --log access.log",
        "policy replay --log - --policy-file policies.toml --show 0",
        "policy replay --log access.log --policy outside --clear countries --state on --require mfa",
        "policy what-if --user anna --app wiki --ip ::1 --country DE --platform linux --client browser --at 2030-01-31T00:00:00Z --method pwd,otp --risk high --device compliant",
        "apply -f F --force",
    ] {
        promised(line);
    }
}

fn promised(line: &str) {
    let parsed = Args::try_parse_from(std::iter::once("postern").chain(line.split(' ')));
    assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
}

#[test]
fn wrong_usage_is_refused_with_two() {
    refused(&[
        "app publish a --external https://a.test/ --internal http://b/",
        "app publish A --external https://a.test/ --internal http://b/ --preauth passthrough",
        "app publish a --external e --internal i --preauth passthrough --cert c",
        "app publish a --external e --internal i --preauth none",
        "app publish a --external e --internal i --preauth passthrough --set novalue",
        "app publish a --external e --internal i --preauth passthrough --set =v",
        "app set a",
        "tenant create UPPER",
        "tenant show ",
        "connector token --ttl soon",
        "access token create a",
        "access token create A --app wiki",
        "access token create a --app wiki --ttl 1d --no-expiry",
        "access token set a",
        "access token set a --app wiki --add-app crm",
        "relay add edge nohost",
        "relay add edge host:0",
        "relay add edge host:443 --fingerprint zz",
        "--socket a --server b status",
        "audit list --limit 0",
        "audit list --since yesterday",
        "audit verify --expect 5",
        "audit sign-ins list --session 5",
        "apply",
        "diff --prune",
        "throttle set app/wiki",
        "throttle set app/wiki --rps -1",
        "throttle set app/wiki --rps many",
        "network set hq",
        "network set hq 10.0.0.1/8",
        "frobnicate",
    ]);
}

#[test]
fn wrong_usage_of_the_directory_and_of_policies_is_refused_with_two() {
    refused(&[
        "user create Anna",
        "user create anna --expires 30d",
        "user create anna --guest --expires soon",
        "user create anna --password --password-stdin",
        "user create anna --password secret",
        "user create anna --attribute novalue",
        "user create anna --attribute login=x",
        "user create anna --attribute a=",
        "user set anna",
        "user set anna --guest --member",
        "user list --limit 0",
        "group create sales --rule a=b",
        "group set sales",
        "group set sales --no-rule --rule x",
        "group add staff",
        "group test --user anna",
        "group test sales",
        "assign",
        "assign wiki",
        "assign wiki --user anna --group sales",
        "assign wiki --user anna --expires soon",
        "assign remove wiki",
        "assign remove wiki --user anna --everyone",
        "assign list --expiring soon",
        "policy create",
        "policy create P --everyone --all-apps --block",
        "policy create p --everyone --all-apps --country UK --block",
        "policy create p --everyone --all-apps --require luck",
        "policy create p --everyone --all-apps --platform beos --block",
        "policy what-if --user anna",
        "policy replay --policy outside --block",
        "policy replay --log access.log --policy outside --policy-file policies.toml",
        "policy replay --log access.log --clear countries",
        "policy what-if --app wiki",
        "policy what-if --user anna --app wiki --ip here",
        "policy what-if --user anna --app wiki --at soon",
        "identity publish",
        "identity publish --external https://login.test/ --cert c",
        "session revoke",
        "session revoke 5",
        "session revoke --user anna --all",
    ]);
}

fn refused(lines: &[&str]) {
    for line in lines {
        let error = Args::try_parse_from(std::iter::once("postern").chain(line.split(' '))).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_promised_forms_of_inventories_parse() {
    for line in [
        "inventory template",
        "inventory template --out F --bom",
        "inventory probe F --out G",
        "inventory import F",
        "inventory export --out F",
        "inventory plan F --group hq --out G",
    ] {
        promised(line);
    }
}
