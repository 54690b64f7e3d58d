//! Terms of use: asked for by a policy, read, accepted or declined, and accepted again when there is another version.

use postern_tests::browser::{self, Browser};
use postern_tests::pass_over;
use postern_tests::person::Page;

use super::pages::{fill_in, is_at, look, wait_for_text};
use super::*;

const MARKDOWN: &str = "# House rules\n\nWipe your feet.\n\n- No <script>alert(1)</script>\n- No shoes\n";

fn file(scene: &Scene, name: &str, text: &[u8]) -> String {
    let path = scene.world.path(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Terms that everybody accepts before the wiki.
fn ask_for_terms(scene: &Scene) {
    let text = file(scene, "house.md", MARKDOWN.as_bytes());
    scene.world.cli(&["terms", "create", "house", "--title", "House rules", "--file", &text]).unwrap();
    let words = ["policy", "create", "rules", "--everyone", "--app", "wiki", "--require", "terms/house"];
    scene.world.cli(&words).unwrap();
}

fn is_terms(scene: &Scene, page: &Page) -> bool {
    let text = page.answer.text();
    page.url.starts_with(&login_url(scene, "/")) && text.contains("name=\"answer\" value=\"terms-accept\"")
}

/// What a page's script gets, which is sent nowhere.
fn by_script(scene: &Scene, person: &Person) -> postern_tests::client::Answer {
    let cookie = person.cookie(&scene.wiki.host);
    scene.wiki.connect().unwrap().request("GET", "/bytes/3", &[("Cookie", &cookie)], b"").unwrap()
}

#[test]
fn terms_are_accepted_once_and_again_when_that_is_wanted() {
    let scene = Scene::start();
    let world = &scene.world;
    let wiki = url(&scene.wiki, "/bytes/3");
    let mut person = scene.signed_in("anna");
    ask_for_terms(&scene);
    let what_if = || world.cli(&["policy", "what-if", "--user", "anna", "--app", "wiki"]).unwrap();
    assert!(what_if().contains("terms/house"), "{}", what_if());

    // A session that is there already is sent once, and a script is told.
    let api = by_script(&scene, &person);
    assert_eq!(api.status, 403);
    assert!(api.text().contains("policy-step-up"), "{}", api.text());
    person.went.clear();
    let page = person.open(&wiki).unwrap();
    assert!(is_terms(&scene, &page), "{page:?}");
    assert_eq!(person.went.len(), 2, "{:?}", person.went);
    let text = page.answer.text();
    assert!(
        text.contains("<li>No &lt;script&gt;alert(1)&lt;/script&gt;</li>") && text.contains("Version 1."),
        "{text}"
    );
    let page = person.answer_terms(&page, true).unwrap();
    assert_eq!((page.answer.status, &page.url), (200, &wiki), "{:?}", person.went);
    assert_eq!(opened(&mut person, &wiki), (200, wiki.clone()));
    assert_eq!(scene.sessions().len(), 1, "it stayed what it was");
    assert!(what_if().contains("allow"), "what they accepted counts: {}", what_if());

    // Whoever signs in is asked in the same go; another version is asked for where that is wanted, at once.
    let text = file(&scene, "house.txt", b"Wipe them well.\n");
    world.cli(&["terms", "update", "house", "--file", &text]).unwrap();
    assert_eq!(opened(&mut person, &wiki).0, 200);
    let running = super::revocation::Running::showing(
        &scene.wiki,
        "/bytes/50000000",
        ("Cookie", &person.cookie(&scene.wiki.host)),
    );
    world.cli(&["terms", "update", "house", "--again"]).unwrap();
    let told = Instant::now();
    let api = by_script(&scene, &person);
    assert_eq!(api.status, 403, "in force when the command returns");
    assert!(running.ended() < told + Duration::from_secs(1), "also in the middle of a download");
    let page = person.open(&wiki).unwrap();
    assert!(is_terms(&scene, &page), "{page:?}");
    let text = page.answer.text();
    assert!(text.contains("to be accepted again") && text.contains("Version 3."), "{text}");
    let page = person.answer_terms(&page, false).unwrap();
    assert!(page.answer.text().contains("You did not accept"), "{page:?}");
    let page = person.open(&wiki).unwrap();
    assert_eq!(person.answer_terms(&page, true).unwrap().url, wiki);

    somebody_declines(&scene, &wiki);
    let accepted = world.json(&["terms", "acceptances", "house"]).unwrap();
    let seen: Vec<_> =
        accepted["items"].as_array().unwrap().iter().map(|one| (&one["version"], &one["counts"])).collect();
    assert_eq!(serde_json::json!(seen), serde_json::json!([[1, false], [3, true]]), "{accepted}");
    let audit = world.cli(&["audit", "list", "--action", "terms.accept"]).unwrap();
    assert!(audit.contains("anna") && audit.contains("version 3"), "{audit}");
    let sign_ins = world.json(&["audit", "sign-ins", "list"]).unwrap().to_string();
    for code in ["terms-needed", "terms-declined"] {
        assert!(sign_ins.contains(code), "{code}: {sign_ins}");
    }
}

/// Before there is a session there is none then.
fn somebody_declines(scene: &Scene, wiki: &str) {
    scene.add_user("bert", &[]);
    scene.world.cli(&["assign", "--user", "bert", "wiki"]).unwrap();
    let mut bert = scene.person();
    let page = bert.sign_in(wiki, "bert", PASSWORD, false).unwrap();
    assert!(is_terms(scene, &page), "{page:?}");
    let page = bert.answer_terms(&page, false).unwrap();
    assert!(page.answer.text().contains("terms-declined"), "{page:?}");
    assert_eq!(scene.sessions().len(), 1, "bert has none");
}

#[test]
fn terms_that_cannot_be_are_refused_and_nobody_accepts_for_others() {
    let scene = Scene::start();
    let world = &scene.world;
    let refused = |words: &[&str], says: &str| {
        let output = world.cli_output(words).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(says), "{words:?}: {error}");
    };
    let latin = file(&scene, "latin.txt", b"one\ntwo \xe4\n");
    refused(&["terms", "create", "house", "--title", "T", "--file", &latin], "line 2: this is no UTF-8");
    let escapes = file(&scene, "escapes.txt", b"one\n\x1b[2J\n");
    refused(&["terms", "create", "house", "--title", "T", "--file", &escapes], "line 2:");
    let good = file(&scene, "good.txt", b"one\n");
    refused(&["terms", "create", "house", "--title", "T", "--file", &good, "--every", "5m"], "an hour to ten years");
    refused(&["terms", "show", "house"], "house");
    let warned = world.cli_output(&["policy", "create", "p", "--everyone", "--app", "crm", "--require", "terms/house"]);
    let warned = String::from_utf8_lossy(&warned.unwrap().stderr).into_owned();
    assert!(warned.contains("there are no terms house"), "{warned}");
    // Nobody can accept what is not there: a page, and no way round and round.
    let mut person = scene.signed_in("anna");
    let page = person.open(&url(&scene.crm, "/bytes/3")).unwrap();
    assert!(page.answer.text().contains("policy-step-up"), "{page:?}");
    world.cli(&["policy", "delete", "p"]).unwrap();

    ask_for_terms(&scene);
    refused(&["terms", "remove", "house"], "the policy rules");
    let page = person.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    assert!(is_terms(&scene, &page), "{page:?}");
    let flow = page.answer.text().split_once("name=\"flow\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let target = login_url(&scene, "/sign-in/factor");
    let form = format!("flow={flow}&answer=terms-accept");
    let from = |person: &mut Person, origin: &str, form: &str| {
        let fields = [("Origin", origin), ("Content-Type", "application/x-www-form-urlencoded")];
        person.step("POST", &target, &fields, form).unwrap()
    };
    assert_eq!(from(&mut person, "https://evil.example", &form).status, 403, "a form of another site");
    let own = login_url(&scene, "");
    let guessed = from(&mut person, &own, &format!("flow={}&answer=terms-accept", "A".repeat(43)));
    assert!(guessed.text().contains("sign-in-over"), "{}", guessed.text());
    let other = from(&mut person, &own, &format!("{form}&name=house&version=2"));
    assert!(other.text().contains("value=\"terms-accept\""), "for a text that was not read: {}", other.text());
    assert_eq!(from(&mut person, &own, &format!("{form}&name=house&version=x")).status, 400);
    assert_eq!(world.json(&["terms", "acceptances", "house"]).unwrap()["items"], serde_json::json!([]));
    assert_eq!(person.answer_terms(&page, true).unwrap().answer.status, 200);
    let again = from(&mut person, &own, &form);
    assert!(again.text().contains("sign-in-over"), "an answer counts once: {}", again.text());
}

/// Through the relay and back: what it missed is either of the two.
#[test]
fn who_declines_one_of_two_that_do_accepts_the_other() {
    let scene = Scene::start();
    let world = &scene.world;
    let wiki = url(&scene.wiki, "/bytes/3");
    let mut anna = scene.signed_in("anna");
    let text = file(&scene, "rules.txt", b"Wipe your feet.\n");
    world.cli(&["terms", "create", "lab", "--title", "Lab rules", "--file", &text]).unwrap();
    let either = ["policy", "create", "rules", "--everyone", "--app", "wiki", "--require-any", "terms/house,terms/lab"];
    world.cli(&either).unwrap();
    let page = anna.open(&wiki).unwrap();
    let shown = page.answer.text();
    assert!(is_terms(&scene, &page) && shown.contains("Lab rules"), "house is not there: {page:?}");
    assert!(!shown.contains("will do as well"), "{shown}");
    assert_eq!(anna.answer_terms(&page, true).unwrap().url, wiki);

    world.cli(&["terms", "create", "house", "--title", "House rules", "--file", &text]).unwrap();
    assert_eq!(opened(&mut anna, &wiki), (200, wiki.clone()), "one is enough");
    scene.add_user("bert", &[]);
    world.cli(&["assign", "--user", "bert", "wiki"]).unwrap();
    let mut bert = scene.person();
    let page = bert.sign_in(&wiki, "bert", PASSWORD, false).unwrap();
    let shown = page.answer.text();
    assert!(is_terms(&scene, &page) && shown.contains("<strong>Lab rules</strong> will do as well"), "{shown}");
    let page = bert.answer_terms(&page, false).unwrap();
    assert!(is_terms(&scene, &page) && page.answer.text().contains("Lab rules"), "{page:?}");
    let page = bert.answer_terms(&page, true).unwrap();
    assert_eq!((page.answer.status, &page.url), (200, &wiki), "{:?}", bert.went);
    let accepted = |name: &str| world.json(&["terms", "acceptances", name]).unwrap()["items"].as_array().unwrap().len();
    assert_eq!((accepted("house"), accepted("lab")), (0, 2));
}

#[test]
fn terms_are_read_and_accepted_in_chromium() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let long: String = (1..200).map(|nth| format!("## Rule {nth}\n\nWipe your feet.\n\n")).collect();
    let text = file(&scene, "house.md", format!("{MARKDOWN}\n{long}").as_bytes());
    scene.world.cli(&["terms", "create", "house", "--title", "House rules", "--file", &text]).unwrap();
    let words = ["policy", "create", "rules", "--everyone", "--app", "wiki", "--require", "terms/house"];
    scene.world.cli(&words).unwrap();
    let browser = Browser::start(scene.world.folder(), scene.world.relay_address, &[]).unwrap();
    let wanted = url(&scene.wiki, "/head");
    browser.open(&wanted).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    fill_in(&browser, "anna", PASSWORD);
    wait_for_text(&browser, "I accept these terms");
    look(&browser, "terms");
    // By keyboard: the text has the focus first and scrolls, then the buttons, in the order in which they are seen.
    let focused = "return [...document.querySelectorAll('[tabindex=\"0\"], button')].map(e => e.tagName).join(' ')";
    assert_eq!(browser.script(focused).unwrap(), "DIV BUTTON BUTTON");
    let scrolls = "const terms = document.querySelector('.terms'); terms.focus();
        return document.activeElement === terms && terms.scrollHeight > terms.clientHeight
            && document.getElementById(terms.getAttribute('aria-labelledby')).textContent === 'House rules'";
    assert_eq!(browser.script(scrolls).unwrap(), true);
    let visible = "return [...document.querySelectorAll('button')]
        .every(e => e.getBoundingClientRect().bottom <= window.innerHeight)";
    assert_eq!(browser.script(visible).unwrap(), true, "however long the text is, the answers are seen");
    assert_eq!(browser.script("return document.querySelectorAll('script').length").unwrap(), 0);
    let press = |value: &str| {
        let script = format!("document.querySelector('button[value={value}]').click(); return true");
        browser.script(&script).unwrap();
    };
    press("terms-decline");
    wait_for_text(&browser, "You did not accept");
    look(&browser, "terms-declined");
    browser.open(&wanted).unwrap();
    fill_in(&browser, "anna", PASSWORD);
    wait_for_text(&browser, "I accept these terms");
    press("terms-accept");
    is_at(&browser, &wanted);
    wait_for_text(&browser, "x-postern-user: anna");
}
