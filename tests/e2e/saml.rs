//! Applications that take SAML assertions: through the real relay, identity process and control, into a page that a real service
//! provider protects; and what independent programs say of what is signed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postern_tests::browser::{self, Browser};
use postern_tests::client::Client;
use postern_tests::mellon::{Mellon, Setup};
use postern_tests::origin::Origin;
use postern_tests::pass_over;
use postern_tests::person::{Page, Person};
use postern_tests::world::{Options, World, write_secret};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const PASSWORD: &str = "correct horse battery";

struct Scene {
    world: World,
    /// For the wiki's host.
    client: Client,
    _origin: Option<Origin>,
}

impl Scene {
    /// Anna is assigned to the wiki, bert is not; `internal`: what serves it.
    fn start(internal: Option<&str>) -> Scene {
        let mut world = World::start(Options::default()).unwrap();
        world.start_identity().unwrap();
        let origin = if internal.is_none() { Some(Origin::start().unwrap()) } else { None };
        let internal = internal.map_or_else(|| origin.as_ref().unwrap().url(), str::to_owned);
        let client = world.publish("wiki", &internal).unwrap();
        let file = world.path("password");
        write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
        let file = file.display().to_string();
        for (login, mail) in [("anna", "anna@example.com"), ("bert", "bert@example.com")] {
            world.cli(&["user", "create", login, "--mail", mail, "--password-file", &file]).unwrap();
        }
        for group in ["editors", "everyone-else"] {
            world.cli(&["group", "create", group]).unwrap();
            world.cli(&["group", "add", group, "--user", "anna"]).unwrap();
        }
        world.cli(&["app", "set", "wiki", "--preauth", "oidc"]).unwrap();
        world.cli(&["assign", "wiki", "--user", "anna"]).unwrap();
        Scene { world, client, _origin: origin }
    }

    fn external(&self) -> String {
        format!("https://{}", self.client.host)
    }

    fn login(&self, path: &str) -> String {
        format!("https://login.example.test:{}{path}", self.world.relay_address.port())
    }

    fn takes_saml(&self) {
        let (id, acs) = (Setup::entity_id(&self.external()), Setup::acs(&self.external()));
        let [id, acs] = [format!("sso_saml_entity_id={id}"), format!("sso_saml_acs={acs}")];
        let attributes = "sso_saml_attributes=mail=mail; groups=groups";
        self.world
            .cli(&["app", "set", "wiki", "--set", "sso=saml", "--set", &id, "--set", &acs, "--set", attributes])
            .unwrap();
    }

    fn metadata(&self) -> String {
        let page = Person::new(&self.client).open(&self.login("/saml/metadata")).unwrap();
        assert_eq!(page.answer.status, 200, "{page:?}\n{}", self.world.logs());
        assert_eq!(page.answer.header("content-type"), Some("application/samlmetadata+xml"));
        page.answer.text()
    }
}

/// The value of a field of a form.
fn field(html: &str, name: &str) -> Option<String> {
    let rest = html.split_once(&format!("name=\"{name}\" value=\""))?.1;
    Some(unescaped(rest.split_once('"')?.0))
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Sends the form that brings the answer on, as a browser does.
fn posted(person: &mut Person, page: &Page) -> Page {
    let html = page.answer.text();
    let response = field(&html, "SAMLResponse").unwrap_or_else(|| panic!("no answer: {page:?}"));
    let action = unescaped(html.split_once("<form method=\"post\" action=\"").unwrap().1.split_once('"').unwrap().0);
    let state = field(&html, "RelayState");
    let mut fields = vec![("SAMLResponse", &*response)];
    fields.extend(state.as_deref().map(|state| ("RelayState", state)));
    person.submit(&action, &fields).unwrap()
}

#[test]
fn who_signed_in_gets_into_a_page_that_a_real_service_provider_protects() {
    if !Mellon::is_installed() {
        return pass_over("no Apache with mod_auth_mellon: cargo xtask test, as root, installs it");
    }
    let address = Mellon::free_address().unwrap();
    let scene = Scene::start(Some(&format!("http://{address}/")));
    let external = scene.external();
    let mellon =
        Mellon::start(scene.world.folder(), &Setup { external: &external, metadata: &scene.metadata(), address })
            .unwrap();
    let logs = || {
        let error = std::fs::read_to_string(scene.world.path("mellon/error.log")).unwrap_or_default();
        format!("{error}\n{}", mellon.process().log_tail())
    };
    let mut person = Person::new(&scene.client);
    // Not known to the place to sign in yet, it is refused there.
    let page = person.sign_in(&format!("{external}/"), "anna", PASSWORD, false).unwrap();
    assert!(page.url.starts_with(&scene.login("/saml/sso?")), "{page:?}\n{}", logs());
    assert!(page.answer.status == 400 && page.answer.text().contains("sso_saml_entity_id"), "{page:?}");

    scene.takes_saml();
    let page = person.open(&format!("{external}/")).unwrap();
    assert_eq!(page.answer.status, 200, "{page:?}\n{}", scene.world.logs());
    let policy = page.answer.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains(&format!("form-action {external};")), "{policy}");
    let page = posted(&mut person, &page);
    let text = page.answer.text();
    assert!(page.answer.status == 200 && text.contains("user=anna mail=anna@example.com"), "{page:?}\n{}", logs());
    assert!(text.contains("groups=editors,everyone-else"), "{text}");
    // From now on the service provider knows them by itself, and Postern still asks before it is reached.
    assert!(person.open(&format!("{external}/")).unwrap().answer.text().contains("user=anna"));
    scene.world.cli(&["session", "revoke", "--user", "anna"]).unwrap();
    let page = person.open(&format!("{external}/")).unwrap();
    assert!(page.answer.text().contains("Password"), "{page:?}");

    // The next key signs once it knows that one; before, its answer is not believed.
    scene.world.cli(&["identity", "saml", "rotate"]).unwrap();
    scene.world.cli(&["identity", "saml", "rotate", "--activate"]).unwrap();
    let mut person = Person::new(&scene.client);
    let page = person.sign_in(&format!("{external}/"), "anna", PASSWORD, false).unwrap();
    let page = posted(&mut person, &page);
    assert!(!page.answer.text().contains("user=anna"), "it has the old certificate: {page:?}");
}

#[test]
fn chromium_brings_the_answer_to_a_real_service_provider_by_itself() {
    if !browser::is_there() || !Mellon::is_installed() {
        return pass_over("no Chromium, or no Apache with mod_auth_mellon: cargo xtask test, as root, installs both");
    }
    let address = Mellon::free_address().unwrap();
    let scene = Scene::start(Some(&format!("http://{address}/")));
    scene.takes_saml();
    let external = scene.external();
    let setup = Setup { external: &external, metadata: &scene.metadata(), address };
    let _mellon = Mellon::start(scene.world.folder(), &setup).unwrap();
    let browser = Browser::start(scene.world.folder(), scene.world.relay_address, &[]).unwrap();
    let shows = |text: &str| {
        let script = format!("return document.body.innerText.includes({text:?})");
        let found = browser.wait_for(Duration::from_secs(30), &script);
        let seen = browser.script("return location.href + '\\n' + document.body.innerText");
        found.unwrap_or_else(|error| panic!("{error:#}: {seen:?}"));
    };
    browser.open(&format!("{external}/")).unwrap();
    shows("to go on to wiki");
    let fill_in = format!(
        "document.querySelector('#login').value = 'anna'; document.querySelector('#password').value = {PASSWORD:?};
         document.querySelector('button').click(); return true"
    );
    browser.script(&fill_in).unwrap();
    shows("user=anna mail=anna@example.com groups=editors,everyone-else");
    browser.open(&scene.login("/saml/start?app=wiki")).unwrap();
    shows("user=anna");
    // Without the script there is a button, on phones, too.
    let blocked = r#"{"cmd": "Emulation.setScriptExecutionDisabled", "params": {"value": true}}"#;
    browser.devtools(blocked).unwrap();
    browser.open(&scene.login("/saml/start?app=wiki")).unwrap();
    for (size, width, height) in [("phone", 390, 844), ("desktop", 1280, 800)] {
        browser.resize(width, height).unwrap();
        browser.screenshot(&format!("saml-going-on-{size}")).unwrap();
    }
    browser.click("form[data-saml] button").unwrap();
    browser.devtools(&blocked.replace("true", "false")).unwrap();
    shows("user=anna");
}

#[test]
fn an_independent_program_finds_every_signature_good_and_none_that_was_changed() {
    if !Path::new("/usr/bin/xmlsec1").exists() {
        return pass_over("no xmlsec1: cargo xtask test, as root, installs it");
    }
    let scene = Scene::start(None);
    scene.takes_saml();
    let certificate = scene.world.path("idp.pem");
    let pem = scene.world.cli(&["identity", "saml", "show", "--pem"]).unwrap();
    std::fs::write(&certificate, pem).unwrap();
    let is_good = |xml: &str, signed: &str| {
        let file = scene.world.path("signed.xml");
        std::fs::write(&file, xml).unwrap();
        let mut command = Command::new("xmlsec1");
        command.args(["--verify", "--pubkey-cert-pem"]).arg(&certificate);
        for element in ["assertion:Assertion", "protocol:Response", "metadata:EntityDescriptor"] {
            command.args(["--id-attr:ID", &format!("urn:oasis:names:tc:SAML:2.0:{element}")]);
        }
        let path = format!("//*[local-name()='{signed}']/*[local-name()='Signature']");
        let output = command.args(["--node-xpath", &path]).arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let good = |xml: &str, signed: &str| {
        let (is_good, said) = is_good(xml, signed);
        assert!(is_good, "{said}\n{xml}");
    };
    good(&scene.metadata(), "EntityDescriptor");
    let mut person = Person::new(&scene.client);
    let page = person.sign_in(&scene.login("/saml/start?app=wiki&RelayState=%22%3E"), "anna", PASSWORD, false).unwrap();
    let html = page.answer.text();
    assert_eq!(field(&html, "RelayState").as_deref(), Some("\">"));
    let response = field(&html, "SAMLResponse").unwrap_or_else(|| panic!("{page:?}"));
    let xml = base64(&response);
    good(&xml, "Response");
    good(&xml, "Assertion");
    for changed in [xml.replace(">anna<", ">bert<"), xml.replace("NotOnOrAfter=\"2", "NotOnOrAfter=\"3")] {
        assert!(changed != xml && !is_good(&changed, "Assertion").0 && !is_good(&changed, "Response").0);
    }
    assert!(!is_good(&xml.replace("status:Success", "status:Responder"), "Response").0);

    // Bert has a session, and no assignment.
    let mut bert = Person::new(&scene.client);
    let page = bert.sign_in(&scene.login("/saml/start?app=wiki"), "bert", PASSWORD, false).unwrap();
    assert!(page.answer.status == 403 && page.answer.text().contains("not-assigned"), "{page:?}");
    assert!(field(&page.answer.text(), "SAMLResponse").is_none());
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    String::from_utf8(::base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn a_request_by_post_goes_on_as_a_navigation_and_bad_ones_end_on_a_page() {
    use ::base64::Engine as _;
    let encode =
        |xml: &str| ::base64::engine::general_purpose::STANDARD.encode(xml).replace('+', "%2B").replace('=', "%3D");
    let scene = Scene::start(None);
    scene.takes_saml();
    let issuer = Setup::entity_id(&scene.external());
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    let request = |before: &str, attributes: &str, issuer: &str| {
        format!(
            r#"{before}<p:AuthnRequest xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="_q" Version="2.0" IssueInstant="{now}" {attributes}><a:Issuer>{issuer}</a:Issuer></p:AuthnRequest>"#
        )
    };
    let mut person = Person::new(&scene.client);
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://elsewhere.example")];
    let post = |person: &mut Person, xml: &str| {
        let body = format!("SAMLRequest={}&RelayState=back", encode(xml));
        person.step("POST", &scene.login("/saml/sso"), &form, &body).unwrap()
    };
    let answer = post(&mut person, &request("", "", &issuer));
    let location = answer.header("location").map(str::to_owned).unwrap_or_else(|| panic!("{answer:?}"));
    assert!(answer.status == 303 && location.starts_with("/saml/sso?SAMLRequest="), "{location}");
    let page = person.sign_in(&scene.login(&location), "anna", PASSWORD, false).unwrap();
    let xml = base64(&field(&page.answer.text(), "SAMLResponse").unwrap_or_else(|| panic!("{page:?}")));
    assert!(xml.contains("InResponseTo=\"_q\"") && xml.contains("<saml:Assertion "), "{xml}");
    assert_eq!(field(&page.answer.text(), "RelayState").as_deref(), Some("back"));
    // Whoever finds that address later, in a browser where Anna is signed in, gets nothing by it.
    let again = person.open(&scene.login(&location)).unwrap().answer;
    assert!(again.status == 400 && again.text().contains("answered already"), "{again:?}");
    assert!(field(&again.text(), "SAMLResponse").is_none());

    let bomb = r#"<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"#;
    let evil = r#"AssertionConsumerServiceURL="https://evil.example/acs""#;
    for xml in [
        request(bomb, "", "&b;"),
        request("", "", &issuer).replace(&now, "2026-01-01T00:00:00Z"),
        request("", r#"Destination="https://other.example/saml/sso""#, &issuer),
        request("", evil, "x").replace(">x<", &format!(">{issuer}<")),
        request("", "", "https://evil.example/"),
        request("", "", &format!("{issuer}<!-- -->")),
        "<a/>".to_owned(),
        "x".repeat(10_000),
    ] {
        let answer = post(&mut person, &xml);
        let page = match answer.header("location") {
            Some(location) => person.open(&scene.login(location)).unwrap().answer,
            None => answer,
        };
        let text = page.text();
        assert!(
            page.status == 400 && text.contains("sign-in-request-invalid") && !text.contains("<form"),
            "{xml}: {text}"
        );
    }
    // What an application that stops asking is told of its users ends with it.
    let told = scene.world.cli_output(&["app", "set", "wiki", "--preauth", "passthrough"]).unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(said.contains("single sign-on is off (sso=saml was removed)"), "{said}");
    let page = person.open(&scene.login("/saml/start?app=wiki")).unwrap();
    assert_eq!(page.answer.status, 400);
}
