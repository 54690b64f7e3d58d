//! DokuWiki in Chromium: at the root of a host, with users that the relay names, and below another path than it has inside, with
//! whole internal URLs in its pages and a form of its own.

use std::path::{Path, PathBuf};

use postern_tests::browser::{self, Browser};
use postern_tests::client::Client;
use postern_tests::dokuwiki::{self, DokuWiki, Setup, SignOn};
use postern_tests::world::{START_TIMEOUT, World};
use postern_tests::{pass_over, within};

use super::{ACCOUNT, PATIENCE, User, world_with};
use crate::sign_in::pages::{fill_in, is_at, wait_for_text};

/// 64 × 64 pixels, which the wiki brings along.
const PICTURE: &str = "/usr/share/dokuwiki/lib/tpl/dokuwiki/images/logo.png";
const OWN_PASSWORD: &str = "the wiki's own one";
const TEXT: &str = "====== Rules ======\nBe kind. [[:start]] and {{team:seal.png}}";

fn is_missing() -> bool {
    let missing = !browser::is_there() || !dokuwiki::is_there();
    if missing {
        pass_over("no Chromium, or no DokuWiki: cargo xtask browser");
    }
    missing
}

/// Publishes it below `path` and waits until it is reached; from then on it asks who people are.
fn publish(world: &World, wiki: &DokuWiki, path: &str, settings: &[&str]) -> (Client, String) {
    let host = format!("wiki.example.test:{}", world.relay_address.port());
    let external = format!("https://{host}{path}");
    let words =
        ["app", "publish", "wiki", "--external", &external, "--internal", &wiki.url(), "--preauth", "passthrough"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    world.cli(&[&words[..], &settings].concat()).unwrap();
    let client = world.client(&host).unwrap();
    let page = format!("{path}doku.php?id=start");
    let serves = |_: &World| client.get(&page).is_ok_and(|answer| answer.status == 200);
    world.expect_within(START_TIMEOUT, "the wiki is reached", serves).unwrap();
    world.cli(&["app", "set", "wiki", "--preauth", "oidc"]).unwrap();
    world.cli(&["assign", "--user", "anna", "wiki"]).unwrap();
    (client, external)
}

/// Signs in on the way to a page of the wiki.
fn open(world: &World, url: &str) -> Browser {
    let browser = Browser::start(world.folder(), world.relay_address, &[]).unwrap();
    browser.open(url).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    fill_in(&browser, "anna", ACCOUNT);
    is_at(&browser, url);
    browser
}

/// A picture as it lies on the user's disk.
fn picture(folder: &Path) -> PathBuf {
    let seal = folder.join("seal.png");
    std::fs::copy(PICTURE, &seal).unwrap();
    seal
}

/// Writes a page, uploads a picture into it, and looks at both.
fn write_a_page(browser: &Browser, world: &World, wiki: &DokuWiki, base: &str) {
    let page = format!("{base}doku.php?id=team:rules");
    browser.open(&format!("{page}&do=edit")).unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector('#wiki__text')").unwrap();
    browser.type_into("#wiki__text", TEXT).unwrap();
    browser.click("#edbtn__save").unwrap();
    browser.wait_for(PATIENCE, "return !document.querySelector('#wiki__text')").unwrap();
    wait_for_text(browser, "Be kind.");
    // Where its redirect leads.
    is_at(browser, &page);
    assert!(wiki.page("team/rules").contains("Be kind."), "{}", wiki.process().log_tail());

    // Its scripts upload in the background, at a URL that they put together.
    browser.open(&format!("{page}&do=media&ns=team&tab_files=upload")).unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector('.qq-uploader input[type=file]')").unwrap();
    browser.type_into(".qq-uploader input[type=file]", &picture(world.folder()).display().to_string()).unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector('#mediamanager__upload_item0')").unwrap();
    browser.click("#mediamanager__upload_button").unwrap();
    let uploaded =
        || std::fs::read(wiki.media("team/seal.png")).is_ok_and(|file| file == std::fs::read(PICTURE).unwrap());
    assert!(within(PATIENCE, uploaded), "{}\n{}", wiki.process().log_tail(), world.logs());

    browser.open(&page).unwrap();
    let seen =
        "return [...document.images].some(i => i.src.includes('seal.png') && i.complete && i.naturalWidth === 64)";
    browser.wait_for(PATIENCE, seen).unwrap();

    browser.open(&format!("{page}&do=edit")).unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector('#wiki__text')").unwrap();
    browser.type_into("#wiki__text", "\n\nAnd be brief.\n\n").unwrap();
    browser.click("#edbtn__save").unwrap();
    browser.wait_for(PATIENCE, "return !document.querySelector('#wiki__text')").unwrap();
    wait_for_text(browser, "And be brief.");
    is_at(browser, &page);
}

/// Nothing in the page, and nothing that it loaded, is where users cannot go.
fn leads_nowhere_inside(browser: &Browser, wiki: &DokuWiki, base: &str) {
    let inside = wiki.address().to_string();
    let links = "return [...document.querySelectorAll('[href], [src], [action]')]
        .map(e => String(e.href || e.src || e.action)).filter(url => /^(https?:|\\/\\/)/.test(url))";
    let loaded = "return performance.getEntriesByType('resource').map(entry => entry.name)";
    for script in [links, loaded] {
        let urls = browser.script(script).unwrap();
        let urls: Vec<&str> = urls.as_array().unwrap().iter().filter_map(|url| url.as_str()).collect();
        assert!(urls.iter().any(|url| url.starts_with(base)), "{urls:?}");
        assert!(!urls.iter().any(|url| url.contains(&inside)), "{urls:?}");
    }
}

#[test]
fn a_wiki_is_written_by_users_that_the_relay_names() {
    if is_missing() {
        return;
    }
    let world = world_with(&[User { login: "anna", name: "Anna Berg" }]);
    let setup = Setup { path: "", absolute: false, sign_on: SignOn::Header };
    let wiki = DokuWiki::start(world.folder(), "wiki", &setup).unwrap();
    let (_client, base) = publish(&world, &wiki, "/", &["translate_body=on"]);
    let browser = open(&world, &format!("{base}doku.php?id=team:rules"));
    wait_for_text(&browser, "Logged in as: Anna Berg (anna)");
    browser.screenshot("wiki-named").unwrap();
    write_a_page(&browser, &world, &wiki, &base);
    browser.screenshot("wiki-at-the-root").unwrap();
    leads_nowhere_inside(&browser, &wiki, &base);
    browser.click("a.wikilink2[title=start]").unwrap();
    is_at(&browser, &format!("{base}doku.php?id=start"));

    // Whom the relay does not name any more is nobody to the wiki either.
    world.cli(&["session", "revoke", "--user", "anna"]).unwrap();
    browser.open(&format!("{base}doku.php?id=team:rules")).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    browser.finish().unwrap();
}

#[test]
fn a_wiki_below_another_path_with_its_own_form_and_whole_urls() {
    if is_missing() {
        return;
    }
    let world = world_with(&[User { login: "anna", name: "Anna Berg" }]);
    let sign_on = SignOn::Form { login: "anna", password: OWN_PASSWORD };
    let wiki = DokuWiki::start(world.folder(), "wiki", &Setup { path: "/dokuwiki", absolute: true, sign_on }).unwrap();
    let (client, base) = publish(&world, &wiki, "/handbook/", &["translate_body=html,css,json,js"]);
    // What is beside it is nobody's, under the name that it has inside, too.
    for path in ["/", "/dokuwiki/doku.php", "/handbooks/"] {
        assert_eq!(client.get(path).unwrap().status, 404, "{path}");
    }
    let page = format!("{base}doku.php?id=team:rules");
    let browser = open(&world, &page);
    leads_nowhere_inside(&browser, &wiki, &base);
    browser.screenshot("wiki-below-a-path").unwrap();
    browser.click("a[href*='do=login']").unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector('#dw__login')").unwrap();
    for password in ["not the wiki's", OWN_PASSWORD] {
        browser.type_into("#dw__login input[name=u]", "anna").unwrap();
        browser.type_into("#dw__login input[name=p]", password).unwrap();
        browser.click("#dw__login button[type=submit]").unwrap();
        let shown =
            if password == OWN_PASSWORD { "Logged in as: Anna Berg (anna)" } else { "username or password was wrong" };
        wait_for_text(&browser, shown);
        browser
            .script("document.querySelectorAll('#dw__login input.edit').forEach(e => e.value = ''); return true")
            .unwrap();
    }
    is_at(&browser, &page);
    write_a_page(&browser, &world, &wiki, &base);
    browser.screenshot("wiki-below-a-path-written").unwrap();
    leads_nowhere_inside(&browser, &wiki, &base);
    browser.click("a.wikilink2[title=start]").unwrap();
    is_at(&browser, &format!("{base}doku.php?id=start"));
    browser.click("a[href*='do=logout']").unwrap();
    browser.wait_for(PATIENCE, "return !!document.querySelector(\"a[href*='do=login']\")").unwrap();
    leads_nowhere_inside(&browser, &wiki, &base);
    browser.finish().unwrap();
}
