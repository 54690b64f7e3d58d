//! The sign-in pages in Chromium: signing in as people do, and how every page looks on a phone and on a desktop.
//! `POSTERN_SCREENSHOTS=FOLDER` keeps what was seen.

use std::time::Duration;

use postern_tests::browser::{self, Browser};
use postern_tests::pass_over;

use super::{PASSWORD, Scene, login_url, url};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const SIZES: [(&str, u32, u32); 2] = [("phone", 390, 844), ("desktop", 1280, 800)];

/// Looks at the page in both sizes: nothing is cut off, and what is pressed is large enough for a finger.
pub(crate) fn look(browser: &Browser, name: &str) {
    for (size, width, height) in SIZES {
        browser.resize(width, height).unwrap();
        browser.screenshot(&format!("sign-in-{name}-{size}")).unwrap();
        let overflow = browser.script("return document.documentElement.scrollWidth - window.innerWidth").unwrap();
        assert!(overflow.as_i64().unwrap() <= 0, "{name} is wider than a {size}: {overflow}");
        let small = "return [...document.querySelectorAll('button, input:not([type=hidden]):not([type=checkbox])')]
            .filter(e => e.getBoundingClientRect().height < 40).length";
        assert_eq!(browser.script(small).unwrap(), 0, "{name} has something too small to press on a {size}");
        let unnamed =
            "return [...document.querySelectorAll('input:not([type=hidden])')].filter(e => !e.labels.length).length";
        assert_eq!(browser.script(unnamed).unwrap(), 0, "{name}: an input without a label");
    }
}

pub(crate) fn fill_in(browser: &Browser, login: &str, password: &str) {
    let script = format!(
        "document.querySelector('#login').value = {login:?}; document.querySelector('#password').value = {password:?};
         document.querySelector('button').click(); return true"
    );
    browser.script(&script).unwrap();
}

pub(crate) fn wait_for_text(browser: &Browser, text: &str) {
    browser.wait_for(PATIENCE, &format!("return document.body.innerText.includes({text:?})")).unwrap();
}

/// Waits until the page of `url` is there as a whole: a URL changes with the first bytes of its page.
pub(crate) fn is_at(browser: &Browser, url: &str) {
    let there = format!("return location.href === {url:?} && document.readyState === 'complete'");
    browser.wait_for(PATIENCE, &there).unwrap();
}

#[test]
fn people_sign_in_with_chromium_and_every_page_fits_phones_and_desktops() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let browser = Browser::start(scene.world.folder(), scene.world.relay_address, &[]).unwrap();
    let wanted = url(&scene.wiki, "/head?x=1&y=%2F");
    browser.open(&wanted).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    look(&browser, "ask");
    fill_in(&browser, "anna", "wrong horse battery");
    wait_for_text(&browser, "is not right");
    look(&browser, "wrong");
    fill_in(&browser, "anna", PASSWORD);
    is_at(&browser, &wanted);
    wait_for_text(&browser, "x-postern-user: anna");
    browser.open(&url(&scene.crm, "/head")).unwrap();
    is_at(&browser, &url(&scene.crm, "/head"));
    wait_for_text(&browser, "x-postern-user: anna");
    // A script's request is no navigation: it is told, and not sent to another site.
    scene.world.cli(&["session", "revoke", "--all"]).unwrap();
    let status = browser.script("return fetch('/bytes/3').then(answer => answer.status)").unwrap();
    assert_eq!(status, 401);
    let cookies = browser.script("return document.cookie").unwrap();
    assert_eq!(cookies, "", "scripts see no cookie of ours");

    browser.open(&wanted).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    fill_in(&browser, "anna", PASSWORD);
    is_at(&browser, &wanted);
    browser.open(&login_url(&scene, "/")).unwrap();
    wait_for_text(&browser, "You are signed in");
    look(&browser, "home");
    browser.open(&login_url(&scene, "/sign-out")).unwrap();
    wait_for_text(&browser, "Sign out?");
    look(&browser, "ask-sign-out");
    browser.script("document.querySelector('button').click(); return true").unwrap();
    wait_for_text(&browser, "You are signed out");
    look(&browser, "signed-out");
    browser.open(&login_url(&scene, "/")).unwrap();
    wait_for_text(&browser, "You are not signed in");
    look(&browser, "home-nobody");
    browser.open(&login_url(&scene, "/nothing")).unwrap();
    wait_for_text(&browser, "There is nothing here");
    look(&browser, "not-found");
    browser.open(&login_url(&scene, "/authorize?app=a1-1")).unwrap();
    wait_for_text(&browser, "That did not work");
    look(&browser, "refused");
    scene.add_user("a-very-long-login-name-that-goes-on-and-on-and-on.and.on@department.example.com", &[]);
    browser.open(&wanted).unwrap();
    fill_in(&browser, "a-very-long-login-name-that-goes-on-and-on-and-on.and.on@department.example.com", PASSWORD);
    wait_for_text(&browser, "not assigned");
    look(&browser, "not-assigned");
    browser.open(&login_url(&scene, "/sign-out")).unwrap();
    look(&browser, "ask-sign-out-long");
    browser.script("document.querySelector('button').click(); return true").unwrap();
    wait_for_text(&browser, "You are signed out");
    for _ in 0..6 {
        browser.open(&wanted).unwrap();
        fill_in(&browser, "nobody", "wrong horse battery");
        browser.wait_for(PATIENCE, "return !!document.querySelector('.problem')").unwrap();
    }
    wait_for_text(&browser, "Too many attempts");
    look(&browser, "throttled");
    browser.finish().unwrap();
}

#[test]
fn an_application_may_send_people_on_to_another_site_after_they_signed_in() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let browser = Browser::start(scene.world.folder(), scene.world.relay_address, &[]).unwrap();
    let elsewhere = url(&scene.crm, "/head");
    browser.open(&url(&scene.wiki, &format!("/redirect?{elsewhere}"))).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    fill_in(&browser, "anna", PASSWORD);
    is_at(&browser, &elsewhere);
    browser.finish().unwrap();
}
