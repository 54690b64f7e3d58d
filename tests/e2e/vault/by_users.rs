//! Users enter the password of an application themselves: in the portal, led there by the relay, and nginx gets it.

use postern_tests::browser::{self, Browser};

use super::*;
use crate::sign_in::pages::{PATIENCE, fill_in, is_at, look, wait_for_text};

const BY_USERS: [&str; 2] = ["sso=basic", "vault_by=users"];

/// nginx that knows ABERG, and the CRM that it is: anna enters her password for it.
fn crm(scene: &Scene) -> (Nginx, Client) {
    let folder = scene.world.folder();
    let leaf = certificate::self_signed_for_address(folder, [127, 0, 0, 1].into()).unwrap();
    let nginx = Nginx::start_with_passwords(folder, &leaf, USERS).unwrap();
    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    let internal = format!("https://{}/", nginx.address());
    let settings = [BY_USERS[0], BY_USERS[1], &authority, "portal_name=The CRM"];
    let client = scene.publish("crm", &internal, &["anna"], &settings);
    (nginx, client)
}

fn login_url(scene: &Scene, path: &str) -> String {
    format!("https://login.example.test:{}{path}", scene.world.relay_address.port())
}

/// Where a page of the relay's leads.
fn link(page: &str) -> &str {
    page.split_once("<p><a href=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap_or_else(|| panic!("{page}")).0
}

#[test]
fn a_user_enters_the_password_in_the_portal_and_nginx_gets_it() {
    let scene = Scene::start(&["anna", "bob"]);
    let world = &scene.world;
    let (_nginx, client) = crm(&scene);
    scene.publish("erp", "http://127.0.0.1:1/", &["anna"], &["sso=basic", "backend_plaintext=allow"]);
    let id = |name: &str| world.json(&["app", "show", name]).unwrap()["id"].as_str().unwrap().to_owned();
    let (crm, erp) = (id("crm"), id("erp"));

    let (mut anna, status, answer) = scene.signed_in(&client, "anna", "/1k");
    assert!(status == 403 && answer.contains("sso-credential-missing"), "{answer}");
    let page = login_url(&scene, &format!("/passwords/{crm}"));
    assert_eq!(link(&answer), page);
    let shown = anna.open(&page).unwrap().answer.text();
    assert!(shown.contains("Your password for The CRM") && shown.contains("None is stored"), "{shown}");
    let (found, passed) = checked(world, &["crm", "--user", "anna"]);
    let (_, said_of_it) = step(&found, "vault-entry");
    assert!(!passed && said_of_it.contains(&page) && said_of_it.contains("postern vault set"), "{found:#}");

    let url = format!("https://{}/1k", client.host);
    let entered = |person: &mut Person, password: &str| {
        let form = [("action", "save"), ("name", "ABERG"), ("password", password)];
        let page = person.submit(&page, &form).unwrap();
        assert!(page.answer.text().contains("A password is stored."), "{page:?}");
    };
    entered(&mut anna, "not the one of hers");
    let refused = |anna: &mut Person| {
        let answer = anna.step("GET", &url, &[], "").unwrap().text();
        answer.contains("sso-credential-refused") && link(&answer) == page
    };
    assert!(within(START_TIMEOUT, || refused(&mut anna)), "{}", world.logs());
    entered(&mut anna, "annas pass");
    let served = |anna: &mut Person| anna.step("GET", &url, &[], "").unwrap().header("x-user") == Some("ABERG");
    assert!(within(START_TIMEOUT, || served(&mut anna)), "it is tried at once: {}", world.logs());

    let list = world.json(&["vault", "list", "crm"]).unwrap();
    assert_eq!((&list["items"][0]["owner"], &list["items"][0]["by"]), (&"user/anna".into(), &"user".into()), "{list}");
    let table = world.cli(&["vault", "list"]).unwrap();
    assert!(table.contains("BY") && table.contains("user/anna"), "{table}");
    let audit = world.cli(&["audit", "list", "-o", "json"]).unwrap();
    assert!(audit.contains("\"user anna\"") && audit.contains("vault.set"), "{audit}");
    for password in ["annas pass", "annas%20pass", "annas+pass", "not the one of hers", "QUJFUkc6"] {
        assert!(!audit.contains(password) && !table.contains(password));
        scene.nowhere(password);
    }

    // Not assigned, not by users, and not from elsewhere.
    let mut bob = Person::new(&client);
    assert!(bob.sign_in(&url, "bob", ACCOUNT, false).unwrap().answer.text().contains("not-assigned"));
    assert_eq!(bob.open(&page).unwrap().answer.status, 404);
    assert_eq!(anna.open(&login_url(&scene, &format!("/passwords/{erp}"))).unwrap().answer.status, 404);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for head in [&[form][..], &[form, ("Origin", "https://evil.example")], &[form, ("Origin", "null")]] {
        assert_eq!(anna.step("POST", &page, head, "action=remove").unwrap().status, 403, "{head:?}");
    }
    assert!(served(&mut anna), "nothing was removed");

    let removed = anna.submit(&page, &[("action", "remove")]).unwrap();
    assert!(removed.answer.text().contains("None is stored"), "{removed:?}");
    let missing = || anna.step("GET", &url, &[], "").unwrap().text().contains("sso-credential-missing");
    assert!(within(START_TIMEOUT, missing), "{}", world.logs());
    said(&scene.set("crm", &["--user", "anna", "--name", "ABERG"], "annas pass"), true);
    assert!(within(START_TIMEOUT, || served(&mut anna)), "operators may as before: {}", world.logs());
}

fn type_in(browser: &Browser, name: &str, password: &str) {
    let script = format!(
        "document.querySelector('#name').value = {name:?}; document.querySelector('#password').value = {password:?};
         document.querySelector('.enter button').click(); return true"
    );
    browser.script(&script).unwrap();
}

#[test]
fn a_user_enters_a_password_with_chromium_on_a_phone_and_on_a_desktop() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start(&["anna"]);
    let world = &scene.world;
    let (_nginx, client) = crm(&scene);
    for (name, label) in [("wiki", "Wiki"), ("lab", "A laboratory with a name that is rather long for a tile")] {
        let more = ["sso=basic", "vault_by=users", "backend_plaintext=allow", &format!("portal_name={label}")];
        scene.publish(name, "http://127.0.0.1:1/", &["anna"], &more);
    }
    said(&scene.set("wiki", &["--shared", "--name", "reader"], "for all"), true);
    let url = format!("https://{}/1k", client.host);
    let anna = Browser::start(world.folder(), world.relay_address, &[]).unwrap();
    anna.open(&url).unwrap();
    wait_for_text(&anna, "to go on to crm");
    fill_in(&anna, "anna", ACCOUNT);
    wait_for_text(&anna, "There is no password for you in this application");
    look(&anna, "password-missing");
    let led = |browser: &Browser| browser.click("main p a").unwrap();
    led(&anna);
    wait_for_text(&anna, "Your password for The CRM");
    wait_for_text(&anna, "None is stored");
    let prefilled = "return document.querySelector('#name').value + document.querySelector('#password').value";
    assert_eq!(anna.script(prefilled).unwrap(), "anna", "the browser fills in nothing that it keeps for this host");
    look(&anna, "password-enter");
    type_in(&anna, "a:b", "x");
    wait_for_text(&anna, "must not hold a colon");
    look(&anna, "password-unfit");
    anna.click("main a").unwrap();
    wait_for_text(&anna, "None is stored");
    type_in(&anna, "ABERG", "not hers");
    wait_for_text(&anna, "A password is stored.");
    look(&anna, "password-stored");

    let refused = "return document.body.innerText.includes('does not take your password')";
    let opened = |script: &str| {
        let is_so = || {
            anna.open(&url).unwrap();
            anna.script(script).unwrap() == true
        };
        assert!(within(PATIENCE, is_so), "{script}: {}", world.logs());
    };
    opened(refused);
    look(&anna, "password-refused");
    led(&anna);
    wait_for_text(&anna, "A password is stored.");
    type_in(&anna, "ABERG", "annas pass");
    wait_for_text(&anna, "just now");
    opened("return !document.body.innerText.includes('sso-')");

    anna.open(&login_url(&scene, "/")).unwrap();
    wait_for_text(&anna, "My Apps");
    let stored = "return [...document.querySelectorAll('a.stored')].map(e => e.innerText).join(', ')";
    assert_eq!(anna.script(stored).unwrap(), "Enter your password, Password stored, Shared password");
    look(&anna, "password-tiles");
    let below = "return [...document.querySelectorAll('.tiles > li')].every(li => {
        const [tile, stored] = [...li.children].map(e => e.getBoundingClientRect());
        return tile.bottom <= stored.top + 1 && stored.bottom <= li.getBoundingClientRect().bottom + 1; })";
    assert_eq!(anna.script(below).unwrap(), true, "what is stored stands below its tile, and nothing over it");
    let crm = anna.script("return document.querySelector('a.stored[aria-label$=CRM]').href").unwrap();
    anna.click("a.stored[aria-label$=CRM]").unwrap();
    is_at(&anna, crm.as_str().unwrap());
    anna.click("button.quiet").unwrap();
    wait_for_text(&anna, "None is stored");
    anna.finish().unwrap();
}
