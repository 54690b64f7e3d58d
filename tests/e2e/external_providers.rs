//! Signing in by an external OpenID provider, through the real programs and a certified provider: who gets in as whom, who does
//! not, and what ends it.

mod scene;

use std::time::Duration;

use postern_tests::openid_provider::Setup;
use postern_tests::tamper;
use postern_tests::user_agent::{ALICE, ALICE_WITH_OTP, BOB};
use postern_tests::within;
use serde_json::json;

use scene::{Page, Scene, button, field};

fn code_of(page: &Page) -> &str {
    page.body.split("Code: <code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default()
}

#[test]
fn users_come_from_the_provider_and_go_with_it() {
    let Some(scene) = Scene::start(&["corp"]) else { return };
    scene.done("group create engineers");
    scene.done("group create by-hand");
    scene.add(
        "corp",
        "--users create --label Corp --scopes profile,email,groups --group-claim groups --map-group staff=engineers",
    );
    let shown = scene.done("idp show corp -o json");
    assert!(!shown.contains("proxy-secret") && shown.contains("/external/callback/t1/corp"), "{shown}");

    assert_eq!(scene.json("idp probe corp")["usable"], true);

    let (mut browser, wiki) = (scene.browser(), scene.at("wiki"));
    let asked = browser.open(&format!("{wiki}/status/200?x=1"));
    assert!(asked.body.contains("Sign in with Corp") && asked.body.contains("password"), "{asked:?}");
    let came = browser.sign_in(&asked, "corp", ALICE);
    assert_eq!((came.status, came.url), (200, format!("{wiki}/status/200?x=1")));
    let alice = scene.json("user show alice");
    assert_eq!((alice["mail"].as_str(), alice["display_name"].as_str()), (Some("alice@example.test"), Some("Alice A")));
    assert!(alice["groups"].to_string().contains("engineers"), "{alice}");
    let session = &scene.json("session list")["items"][0];
    assert_eq!((session["user"].as_str(), session["provider"].as_str()), (Some("alice"), Some("corp")));
    let entry = scene.last_sign_in();
    assert_eq!((entry["result"].as_str(), entry["provider"].as_str()), (Some("success"), Some("corp")), "{entry}");

    // The same one again is the same user; who was put into a group by hand stays in it.
    scene.done("group add by-hand --user alice");
    scene.done("idp set corp --map-group staff=by-hand");
    let mut second = scene.browser();
    let asked = second.open(&wiki);
    second.sign_in(&asked, "corp", ALICE);
    assert_eq!(scene.json("idp show corp")["users"], 1);
    let groups = scene.json("user show alice")["groups"].to_string();
    assert!(groups.contains("by-hand") && !groups.contains("engineers"), "{groups}");

    // She signs out there: every session that came of it ends, at the relay, within a second.
    let mut third = scene.browser();
    let asked = third.open(&wiki);
    third.sign_in(&asked, "corp", ALICE);
    assert_eq!(third.open(&format!("{wiki}/status/204")).status, 204);
    let issuer = scene.provider.url();
    let page = third.open(&format!("{issuer}/session/end"));
    let (action, token) = (page.body.split("action=\"").nth(1).unwrap(), field(&page, "xsrf"));
    let action = action.split('"').next().unwrap().to_owned();
    let told = {
        let listener = scene.logouts.try_clone().unwrap();
        std::thread::spawn(move || tamper::accept_one(&listener).unwrap())
    };
    third.post(&action, &format!("xsrf={token}&logout=yes"));
    let told = told.join().unwrap();
    let endpoint = format!("{}/external/backchannel-logout", scene.at("login"));
    let mut stranger = scene.browser();
    assert_eq!(stranger.post(&endpoint, "logout_token=x.y.z").status, 400);
    assert_eq!(stranger.post(&endpoint, &told).status, 200);
    let is_out = |page: &Page| page.url.starts_with(&scene.at("login"));
    assert!(within(Duration::from_secs(1), || is_out(&third.open(&format!("{wiki}/status/204")))));
    assert_eq!(browser.open(&format!("{wiki}/status/204")).status, 204, "another session of the provider's goes on");

    // And with the provider everything that came of it goes.
    scene.done("idp disable corp");
    assert!(within(Duration::from_secs(1), || is_out(&browser.open(&format!("{wiki}/status/204")))));
    assert!(!browser.open(&wiki).body.contains("Sign in with"));
    scene.done("idp remove corp");
    assert!(scene.refused("idp show corp").contains("no provider"));
}

#[test]
fn nobody_becomes_somebody_by_their_name() {
    let Some(scene) = Scene::start(&["corp"]) else { return };
    let wiki = scene.at("wiki");
    scene.done("user create alice --display-name Local");
    scene.add("corp", "--users create");
    let enter = |who| {
        let mut browser = scene.browser();
        let asked = browser.open(&wiki);
        browser.sign_in(&asked, "corp", who)
    };
    // A user of the same login name is another until somebody says otherwise.
    let page = enter(ALICE);
    assert_eq!((page.status, code_of(&page)), (403, "external-login-taken"), "{page:?}");
    assert!(page.body.contains("Password"), "other ways stay: {page:?}");
    let entry = scene.last_sign_in();
    assert_eq!((entry["code"].as_str(), entry["provider"].as_str()), (Some("external-login-taken"), Some("corp")));
    assert_eq!(scene.json("user show alice")["display_name"], "Local");
    scene.done("user link alice --idp corp --sub alice");
    assert!(scene.refused("user link alice --idp corp --sub").contains("--sub"));
    assert_eq!(enter(ALICE).url, format!("{wiki}/"));
    assert_eq!(scene.json("user show alice")["display_name"], "Alice A");

    // Who is disabled stays out.
    scene.done("user disable alice");
    let page = enter(ALICE);
    assert_eq!((page.status, code_of(&page)), (403, "external-user-disabled"));
    scene.done("user enable alice");
    scene.done("user unlink alice --idp corp --sub alice");
    assert_eq!(code_of(&enter(ALICE)), "external-login-taken");

    // Nobody is made where nobody is to be; and one factor is not enough where more are needed.
    scene.done("idp set corp --users existing");
    assert_eq!(code_of(&enter(BOB)), "external-user-unknown");
    assert!(scene.refused("user show bob").contains("no user"));
    scene.done("idp set corp --users create --require-mfa");
    assert_eq!(code_of(&enter(BOB)), "login-too-weak");
    scene.done("user link alice --idp corp --sub alice");
    assert_eq!(enter(ALICE_WITH_OTP).url, format!("{wiki}/"));
    assert!(scene.refused("idp set corp --unset issuer").contains("issuer"));
}

#[test]
fn an_answer_counts_once_and_for_its_own_browser() {
    let Some(scene) = Scene::start(&["corp", "other"]) else { return };
    let (wiki, login) = (scene.at("wiki"), scene.at("login"));
    scene.add("corp", "--users create");
    scene.add("other", "--users create");
    let callback = format!("{login}/external/callback/t1/corp");
    let begin = || {
        let mut browser = scene.browser();
        let asked = browser.open(&wiki);
        let page = browser.sign_in_until(&asked, "corp", ALICE, &callback);
        (browser, page.location.unwrap())
    };
    // In another browser: that one would be signed in as whoever began.
    let (mut owner, answer) = begin();
    let mut victim = scene.browser();
    let asked = victim.open(&wiki);
    let page = victim.open(&answer);
    assert_eq!((page.status, code_of(&page)), (400, "external-state-unknown"), "no cookie at all");
    victim.open_until(&button(&asked, "corp"), "http://");
    let page = victim.open(&answer);
    assert_eq!((page.status, code_of(&page)), (400, "external-state-unknown"), "a cookie of its own");
    assert!(victim.open(&wiki).url.starts_with(&login));
    assert_eq!(code_of(&owner.open(&answer)), "external-state-unknown", "and it is used up");

    // A second time.
    let (mut owner, answer) = begin();
    assert_eq!(owner.open(&answer).url, format!("{wiki}/"));
    let page = owner.open(&answer);
    assert_eq!((page.status, code_of(&page)), (400, "external-state-unknown"), "{page:?}");

    // At another provider's address, or by another issuer.
    let (mut owner, answer) = begin();
    assert_eq!(code_of(&owner.open(&answer.replace("/t1/corp?", "/t1/other?"))), "issuer-mismatch");
    let (mut owner, answer) = begin();
    let (before, _) = answer.split_once("&iss=").unwrap();
    let page = owner.open(&format!("{before}&iss=https%3A%2F%2Fevil.example"));
    assert_eq!((page.status, code_of(&page)), (400, "issuer-mismatch"), "{page:?}");
    assert_eq!(scene.last_sign_in()["code"], "issuer-mismatch");
    for odd in ["", "?state=x", "?state=x&state=y", "?error=access_denied"] {
        assert_eq!(owner.open(&format!("{callback}{odd}")).status, 400, "{odd}");
    }
    assert_eq!(owner.open(&format!("{login}/external/callback/nobody")).status, 404);
}

#[test]
fn a_provider_that_is_down_lets_nobody_in_and_keeps_nobody_out() {
    let Some(mut scene) = Scene::start(&["corp"]) else { return };
    let (wiki, login) = (scene.at("wiki"), scene.at("login"));
    write_password(&scene);
    scene.add("corp", "--users create --domain example.test --label Corp");
    // The user name first: what follows depends on its domain, not on who there is.
    let mut browser = scene.browser();
    let asked = browser.open(&wiki);
    assert!(!asked.body.contains("type=\"password\"") && asked.body.contains("Sign in with Corp"), "{asked:?}");
    let named = |browser: &mut scene::Browser, asked: &Page, name: &str| {
        browser.post(&format!("{login}/sign-in/name"), &format!("flow={}&login={name}", field(asked, "flow")))
    };
    let there = named(&mut browser, &asked, "anna");
    let nobody = named(&mut browser, &asked, "nobody");
    let password = |page: &Page| page.body.contains("type=\"password\"");
    assert!(password(&there) && password(&nobody));
    assert_eq!(there.body.replace("anna", "nobody"), nobody.body, "it does not tell who there is");
    let led = named(&mut browser, &asked, "Alice%40Example.test");
    assert!(!password(&led) && led.body.contains("url=/external?"), "{led:?}");
    let page = browser.open_until(&button(&led, "corp"), "nowhere:");
    assert!(page.body.contains("value=\"alice@example.test\""), "{page:?}");
    assert_eq!(browser.fill(page, ALICE, "nowhere:").url, format!("{wiki}/"));

    scene.provider.process().kill();
    let probed = scene.world.cli_output(&["idp", "probe", "corp"]).unwrap();
    assert!(!probed.status.success() && String::from_utf8_lossy(&probed.stdout).contains("provider-unreachable"));
    scene.done("idp set corp --fetch-timeout-ms 1000"); // What was known of it is forgotten.
    let mut browser = scene.browser();
    let asked = browser.open(&wiki);
    let page = browser.open(&button(&asked, "corp"));
    assert_eq!((page.status, code_of(&page)), (502, "provider-unreachable"), "{page:?}");
    let entry = scene.last_sign_in();
    assert_eq!((entry["code"].as_str(), entry["provider"].as_str()), (Some("provider-unreachable"), Some("corp")));
    let form = format!("flow={}&login=anna&password=correct+horse+battery", field(&page, "flow"));
    let signed_in = browser.post(&format!("{login}/sign-in"), &form);
    assert_eq!(browser.goes_on(&signed_in).url, format!("{wiki}/"));

    // Straight to it, without a page of ours: the failure's page has the other ways.
    scene.done("idp set corp --default --unset domains");
    let page = scene.browser().open(&wiki);
    assert_eq!((page.status, code_of(&page)), (502, "provider-unreachable"));
    assert!(page.body.contains("type=\"password\""), "{page:?}");
}

#[test]
fn a_provider_says_of_a_device_what_policies_go_by() {
    let setup = Setup { claims_in_id_token: true, ..Setup::default() };
    let Some(scene) = Scene::start_with(&["corp"], setup) else { return };
    let wiki = scene.at("wiki");
    let claims = "--device-claim registered=device_managed --device-claim compliant=device_marks=encrypted";
    scene.add("corp", &format!("--users create --scopes profile,email,device {claims}"));
    assert!(scene.done("idp show corp").contains("registered=device_managed, compliant=device_marks=encrypted"));
    scene.done("policy create managed --everyone --app wiki --require compliant-device");
    let enter = |device: serde_json::Value| {
        scene.tell("alice", &json!({ "device": device }));
        let mut browser = scene.browser();
        let asked = browser.open(&wiki);
        let page = browser.sign_in(&asked, "corp", ALICE);
        (browser, page)
    };
    let is_refused = |page: &Page| page.status == 403 && said_under(page, "Code") == "policy-step-up";
    let good = || json!({"device_managed": true, "device_marks": ["up to date", "encrypted"]});
    for (device, state) in [
        (json!({}), None),
        (json!({"device_managed": "true", "device_marks": {"encrypted": true}}), None),
        (json!({"device_managed": true, "device_marks": "up to date"}), Some("registered")),
    ] {
        let (_, page) = enter(device.clone());
        assert!(is_refused(&page), "{device}: {page:?}");
        assert_eq!(scene.last_sign_in()["device_state"].as_str(), state, "{device}");
        let explained = || scene.world.cli(&["explain", said_under(&page, "Request id")]).unwrap_or_default();
        assert!(within(Duration::from_secs(2), || explained().contains("signed in")), "{page:?}");
        let explained = explained();
        let told = state.map(|state| format!("none was shown, counted as {state}, as the identity provider said"));
        assert_eq!(explained.contains("none was shown"), told.is_some(), "{explained}");
        assert!(explained.contains(&told.unwrap_or_default()), "{explained}");
    }
    let (mut browser, page) = enter(good());
    assert_eq!((page.status, page.url), (200, format!("{wiki}/")));
    let entry = scene.last_sign_in();
    assert_eq!((entry["device"].as_str(), entry["device_state"].as_str()), (None, Some("compliant")), "{entry}");
    assert!(scene.done("session list").contains("compliant by corp"));

    // Without the settings nobody's word is taken for it; who is signed in goes on.
    scene.done("idp set corp --unset device_claims");
    assert_eq!(browser.open(&format!("{wiki}/status/204")).status, 204);
    let (_, page) = enter(good());
    assert!(is_refused(&page), "{page:?}");
    assert_eq!(scene.last_sign_in()["device_state"].as_str(), None);
}

/// What a relay's page says under this word.
fn said_under<'a>(page: &'a Page, word: &str) -> &'a str {
    let found = page.body.split(&format!("<dt>{word}</dt><dd>")).nth(1).and_then(|rest| rest.split('<').next());
    found.unwrap_or_default()
}

fn write_password(scene: &Scene) {
    let file = scene.world.path("password");
    postern_tests::world::write_secret(&file, "correct horse battery\n").unwrap();
    scene.done(&format!("user create anna --password-file {}", file.display()));
}
