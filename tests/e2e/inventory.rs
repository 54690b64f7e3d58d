//! Inventories with the real programs: a sheet is filled in, looked at, planned, compared, applied, and users reach what it names.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;

use postern_tests::certificate;
use postern_tests::nginx::Nginx;
use postern_tests::person::Person;
use postern_tests::world::{World, free_address, write_secret};
use serde_json::Value;

const ACCOUNT: &str = "correct horse battery";
const USERS: &str = "ABERG:{PLAIN}annas pass\n";
/// Three ways to ask who is there. The form's page loads a script from another host.
const CHALLENGES: &str = "
    location /basic/ { auth_basic closed; auth_basic_user_file users; alias files/; }
    location /negotiate/ { add_header WWW-Authenticate Negotiate always; return 401; }
    location /form/ {
        default_type text/html;
        return 200 '<form action=/form/in method=post><input name=u><input type=password name=p></form>
                    <script src=https://cdn.example.test/a.js></script>';
    }";
/// `ABERG:annas pass`.
const ABERG: &str = "Basic QUJFUkc6YW5uYXMgcGFzcw==";

/// A template's header row with these rows below it, each of some columns.
fn fill_in(template: &Path, rows: &[Vec<(&str, String)>]) {
    let text = std::fs::read_to_string(template).unwrap();
    let header = text.lines().next().unwrap();
    let line = |row: &Vec<(&str, String)>| {
        let cell =
            |heading: &str| row.iter().find(|(column, _)| *column == heading).map_or("", |(_, cell)| cell.as_str());
        header.split(',').map(cell).collect::<Vec<_>>().join(",")
    };
    let lines: Vec<String> = std::iter::once(header.to_owned()).chain(rows.iter().map(line)).collect();
    std::fs::write(template, lines.join("\r\n") + "\r\n").unwrap();
}

fn asking_nginx(world: &World) -> Nginx {
    let name = "nginx-asking";
    std::fs::create_dir(world.path(name)).unwrap();
    std::fs::write(world.path(name).join("users"), USERS).unwrap();
    let address = free_address(Ipv4Addr::LOCALHOST).unwrap();
    Nginx::start_saying(world.folder(), name, address, CHALLENGES).unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A cell of the application with this name.
fn cell<'a>(sheet: &'a Value, name: &str, column: &str) -> &'a str {
    let items = sheet["items"].as_array().unwrap();
    let row = items.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {sheet:#}"));
    row[column].as_str().unwrap_or_default()
}

#[test]
fn a_sheet_becomes_published_applications() {
    let mut world = World::usual().unwrap();
    world.start_identity().unwrap();
    let nginx = asking_nginx(&world);
    let leaf = certificate::self_signed_for_address(world.folder(), Ipv4Addr::LOCALHOST.into()).unwrap();
    let secure = Nginx::start_tls(world.folder(), &leaf).unwrap();
    let (sheet, probed, plan) = (world.path("apps.csv"), world.path("probed.csv"), world.path("plan.toml"));
    let [sheet_name, probed_name, plan_name] = [&sheet, &probed, &plan].map(|path| path.to_str().unwrap());
    world.cli(&["inventory", "template", "--out", sheet_name]).unwrap();
    let host = |name: &str| format!("{name}.example.test:{}", world.relay_address.port());
    let row = |name: &'static str, internal: String| {
        vec![
            ("name", name.to_owned()),
            ("internal URL", internal),
            ("external URL", format!("https://{}/", host(name))),
            ("users and groups", "user/anna".to_owned()),
            ("notes", "=1+1".to_owned()),
        ]
    };
    let at = |path: &str| format!("http://{}/{path}/", nginx.address());
    let rows = [
        row("negotiate", at("negotiate")),
        row("basic", at("basic")),
        row("form", at("form")),
        row("gone", "http://127.0.0.1:1/".into()),
        row("secure", format!("https://{}/1k", secure.address())),
    ];
    fill_in(&sheet, &rows);

    let output = world.cli_output(&["inventory", "probe", sheet_name, "--out", probed_name]).unwrap();
    let told = words(&output);
    assert!(output.status.success() && told.contains("gone: not seen: connect: 127.0.0.1:1"), "{told}");
    assert!(std::fs::read_to_string(&probed).unwrap().contains(",'=1+1"), "no formula is written");
    let seen = world.json(&["inventory", "import", probed_name]).unwrap();
    for (name, way) in [("negotiate", "windows"), ("basic", "basic"), ("form", "forms"), ("gone", "")] {
        assert_eq!(cell(&seen, name, "authentication"), way, "{told}");
        assert_eq!(cell(&seen, name, "platform").starts_with("nginx"), name != "gone", "{told}");
        assert_eq!(cell(&seen, name, "notes"), "=1+1");
    }
    assert!(told.contains("secure: tls: certificate CN=127.0.0.1") && told.contains("does not trust it"), "{told}");
    assert!(
        cell(&seen, "secure", "certificate").starts_with("CN=127.0.0.1, issued by CN=127.0.0.1, until 20"),
        "{seen:#}"
    );
    assert!(cell(&seen, "secure", "certificate_serial").contains(':'), "{seen:#}");
    assert_eq!(cell(&seen, "form", "other_content_sources"), "https://cdn.example.test/");

    let output = world.cli_output(&["inventory", "plan", probed_name, "--out", plan_name]).unwrap();
    let told = words(&output);
    assert!(output.status.success() && told.contains("not in this inventory: cdn.example.test"), "{told}");
    let text = std::fs::read_to_string(&plan).unwrap();
    let at = |name: &str| text.find(&format!("[app.{name}]")).unwrap_or_else(|| panic!("{text}"));
    assert!(at("gone") < at("basic") && at("basic") < at("form") && at("form") < at("negotiate"), "{text}");
    assert!(text.contains("# sso = \"kerberos\"") && text.contains("# sso = \"basic\""), "{text}");

    let password = world.path("password");
    write_secret(&password, &format!("{ACCOUNT}\n")).unwrap();
    world.cli(&["user", "create", "anna", "--password-file", password.to_str().unwrap()]).unwrap();
    let diff = world.cli_output(&["diff", "-f", plan_name]).unwrap();
    assert_eq!(diff.status.code(), Some(3), "{}", words(&diff));
    world.cli(&["apply", "-f", plan_name]).unwrap();
    assert_eq!(world.cli_output(&["diff", "-f", plan_name]).unwrap().status.code(), Some(0));

    anna_opens(&world, &host("form"), &host("basic"));
    let published = world.json(&["inventory", "export"]).unwrap();
    assert_eq!(cell(&published, "basic", "users_and_groups"), "user/anna", "{published:#}");
    assert_eq!(cell(&published, "form", "external_url"), format!("https://{}/", host("form")));
}

/// A user signs in at the application with a form, and gets as far as the one with a password.
fn anna_opens(world: &World, form: &str, basic: &str) {
    let client = world.client(form).unwrap();
    world.wait_published(&client).unwrap();
    let mut anna = Person::new(&client);
    let page = anna.sign_in(&format!("https://{form}/"), "anna", ACCOUNT, false).unwrap();
    assert!(page.answer.status == 200 && page.answer.text().contains("type=password"), "{page:?}\n{}", world.logs());
    let url = format!("https://{basic}/1k");
    assert_eq!(anna.open(&url).unwrap().answer.status, 401, "nginx asks: its single sign-on is not switched on yet");
    let answer = anna.step("GET", &url, &[("Authorization", ABERG)], "").unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 1024), "{}", world.logs());
}

#[test]
fn a_broken_sheet_is_refused_as_a_whole() {
    let world = World::usual().unwrap();
    let sheet = world.path("apps.csv");
    std::fs::write(&sheet, "name,internal URL,authentication\nA,http://a/,basic\nb,http//b,magic\n").unwrap();
    for verb in ["probe", "import", "plan"] {
        let output = world.cli_output(&["inventory", verb, sheet.to_str().unwrap()]).unwrap();
        let told = words(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        for says in [":2: name: ", ":3: internal URL: ", ":3: authentication: \"magic\" must be one of windows"] {
            assert!(told.contains(says), "{verb}: {told}");
        }
    }
}
