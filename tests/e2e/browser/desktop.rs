//! A terminal on a desktop that noVNC shows in Chromium: a command goes out through the WebSocket, its output comes back as pixels,
//! and the end of the session ends it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_tests::browser::{self, Browser};
use postern_tests::desktop::{self, Desktop};
use postern_tests::pass_over;

use super::{ACCOUNT, PATIENCE, User, world_with};
use crate::sign_in::pages::{fill_in, wait_for_text};

/// Colours the terminal's background (xterm, "Operating System Commands", 11) with a number that the shell works out.
const COMMAND: &str = "printf '\\033]11;#%06x\\007' $((1193046+1))\n";
const COLOUR: &str = "18,52,87";
const WITHIN: Duration = Duration::from_secs(1);

#[test]
fn a_command_is_typed_on_a_desktop_and_a_revocation_ends_it_within_a_second() {
    if !browser::is_there() || !desktop::is_there() {
        return pass_over("no Chromium, or no noVNC, VNC server or xterm: cargo xtask browser");
    }
    let world = world_with(&[User { login: "anna", name: "Anna Berg" }]);
    let desktop = Desktop::start(world.folder()).unwrap();
    let client = world.publish("desk", &desktop.url()).unwrap();
    world.cli(&["app", "set", "desk", "--preauth", "oidc"]).unwrap();
    world.cli(&["assign", "--user", "anna", "desk"]).unwrap();
    let page = format!("https://{}/vnc_lite.html", client.host);
    let browser = Browser::start(world.folder(), world.relay_address, &[]).unwrap();
    browser.open(&page).unwrap();
    wait_for_text(&browser, "to go on to desk");
    fill_in(&browser, "anna", ACCOUNT);
    let drawn = |colour: &str| {
        format!(
            "const canvas = document.querySelector('#screen canvas');
             return !!canvas && canvas.width === 640
                 && [...canvas.getContext('2d').getImageData(300, 300, 1, 1).data].slice(0, 3).join() === {colour:?}"
        )
    };
    let connected = "return (document.querySelector('#status')?.innerText || '').includes('Connected to')";
    browser.wait_for(PATIENCE, connected).unwrap_or_else(|error| panic!("{error:#}\n{}", desktop.logs()));
    browser.wait_for(PATIENCE, &drawn("255,255,255")).unwrap_or_else(|error| panic!("{error:#}\n{}", desktop.logs()));
    browser.screenshot("desktop-terminal").unwrap();
    browser.click("#screen canvas").unwrap();
    browser.press(COMMAND).unwrap();
    browser.wait_for(PATIENCE, &drawn(COLOUR)).unwrap_or_else(|error| panic!("{error:#}\n{}", desktop.logs()));
    browser.screenshot("desktop-command").unwrap();

    let watch = "window.ended = null;
        new MutationObserver(() => { window.ended = window.ended || Date.now() })
            .observe(document.querySelector('#status'), { childList: true, characterData: true, subtree: true });
        return true";
    browser.script(watch).unwrap();
    world.cli(&["session", "revoke", "--user", "anna"]).unwrap();
    let returned = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(
        desktop.is_left_within(WITHIN),
        "the VNC server still has its client: {}\n{}",
        desktop.logs(),
        world.logs()
    );
    browser.wait_for(PATIENCE, "return window.ended !== null").unwrap();
    let ended = Duration::from_millis(browser.script("return window.ended").unwrap().as_u64().unwrap());
    assert!(ended.saturating_sub(returned) < WITHIN, "{ended:?}, and {returned:?}");
    let said = browser.script("return document.querySelector('#status').innerText").unwrap();
    assert!(!said.as_str().unwrap().contains("Connected"), "{said}");
    browser.screenshot("desktop-ended").unwrap();
    browser.open(&page).unwrap();
    wait_for_text(&browser, "to go on to desk");
    let log = browser.finish().unwrap();
    assert!(log.contains(":protocol: websocket"), "the WebSocket went over HTTP/2 (RFC 8441)");
}
