//! A person's browser and real applications, through the whole chain: JupyterLab, which lives on WebSockets, here; a wiki and a
//! desktop in the modules. `cargo xtask test` as root or in CI installs all of it and runs this among all tests, `cargo xtask
//! browser` alone. `POSTERN_SCREENSHOTS=FOLDER` keeps what was seen.

mod desktop;
mod wiki;

use std::time::Duration;

use postern_tests::browser::{self, Browser};
use postern_tests::jupyter::{self, Jupyter};
use postern_tests::pass_over;
use postern_tests::world::{World, write_secret};

const PATIENCE: Duration = Duration::from_secs(90);
/// What users sign in with at Postern.
const ACCOUNT: &str = "correct horse battery";

/// Somebody who can sign in.
struct User {
    login: &'static str,
    name: &'static str,
}

fn world_with(users: &[User]) -> World {
    let mut world = World::usual().unwrap();
    world.start_identity().unwrap();
    let file = world.path("password");
    write_secret(&file, &format!("{ACCOUNT}\n")).unwrap();
    let file = file.display().to_string();
    for User { login, name } in users {
        world.cli(&["user", "create", login, "--display-name", name, "--password-file", &file]).unwrap();
    }
    world
}

/// Runs a notebook's cell; gives what the browser did on the network.
fn run_a_notebook(world: &World, host: &str, more: &[&str], protocol: &str) -> String {
    let browser = Browser::start(world.folder(), world.relay_address, more).unwrap();
    browser.open(&format!("https://{host}/lab/tree/answer.ipynb")).unwrap();
    browser.wait_for(PATIENCE, "return !!window.jupyterapp && !!document.querySelector('.jp-Notebook')").unwrap();
    browser
        .wait_for(
            PATIENCE,
            "const panel = window.jupyterapp.shell.currentWidget;
             const kernel = panel && panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
             return !!kernel && kernel.status === 'idle'",
        )
        .unwrap();
    browser.script("window.jupyterapp.commands.execute('notebook:run-all-cells'); return true").unwrap();
    browser
        .wait_for(
            PATIENCE,
            "return document.querySelector('.jp-OutputArea-output')?.innerText.includes('the answer is 42')",
        )
        .unwrap();
    let spoken = browser.script("return performance.getEntriesByType('navigation')[0].nextHopProtocol").unwrap();
    assert_eq!(spoken, protocol);
    browser.screenshot(&format!("jupyterlab-{}", protocol.replace('/', "-"))).unwrap();
    browser.finish().unwrap()
}

#[test]
fn jupyterlab_works_in_chromium_over_both_versions_of_http() {
    let (true, Some(program)) = (browser::is_there(), jupyter::program()) else {
        pass_over("no Chromium, or no JupyterLab: cargo xtask browser");
        return;
    };
    let world = World::usual().unwrap();
    let jupyter = Jupyter::start(&program, world.folder()).unwrap();
    let client = world.publish("lab", &jupyter.url()).unwrap();
    let log = run_a_notebook(&world, &client.host, &[], "h2");
    assert!(log.contains(":protocol: websocket"), "the WebSocket went over HTTP/2 (RFC 8441)");
    let log = run_a_notebook(&world, &client.host, &["--disable-http2"], "http/1.1");
    assert!(!log.contains(":protocol: websocket"), "the WebSocket went over HTTP/1.1");
}
