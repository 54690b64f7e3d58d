//! A network that lets nobody out but by a proxy that asks who comes: a connector in a namespace of its own, with no other way to the
//! relay, and an application that is reached by the proxy alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use postern_tests::load::Load;
use postern_tests::netns::Netns;
use postern_tests::nginx::Nginx;
use postern_tests::pass_over;
use postern_tests::process::Process;
use postern_tests::programs;
use postern_tests::tinyproxy::{PASSWORD, Tinyproxy};
use postern_tests::world::{Options, START_TIMEOUT, World, free_address, write_secret};
use serde_json::Value;

use crate::app_check::{checked, step};

/// The relay listens on loopback, which is another one inside; the backend has an address that nothing inside leads to.
struct Scene {
    world: World,
    proxy: Tinyproxy,
    nginx: Nginx,
    inside: Netns,
    _beyond: Netns,
}

impl Scene {
    /// `subnet` and the next one as for [`Netns::create`]; no other test has them.
    fn start(subnet: u8) -> Option<Self> {
        if !Netns::is_possible() || !Tinyproxy::is_installed() {
            pass_over("this needs root, iproute2 and tinyproxy");
            return None;
        }
        let inside = Netns::create(subnet).unwrap();
        let beyond = Netns::create(subnet + 1).unwrap();
        let world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
        let proxy = Tinyproxy::start(world.folder(), free_address(inside.outside()).unwrap()).unwrap();
        let address: SocketAddr = free_address(beyond.outside()).unwrap();
        let nginx = Nginx::start_saying(world.folder(), "beyond", address, "").unwrap();
        Some(Self { world, proxy, nginx, inside, _beyond: beyond })
    }

    /// The program and its arguments, inside.
    fn inside(&self, of: &Command) -> Command {
        let mut command = self.inside.command(of.get_program().to_str().unwrap());
        command.args(of.get_args());
        for (key, value) in of.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    fn password(&self, text: &str) -> PathBuf {
        let file = self.world.path("proxy-password");
        write_secret(&file, text).unwrap();
        file
    }

    /// Starts the connector inside with these further arguments.
    fn connector(&mut self, more: &[&str]) {
        self.world.connectors.clear();
        let file = self.world.path("token-0");
        if !file.exists() {
            let token = self.world.token("default").unwrap();
            write_secret(&file, &token).unwrap();
        }
        let mut command = self.inside(&self.world.connector_command(0));
        command.args(more);
        let log = self.world.path("connector-0.log");
        self.world.connectors.push(Process::spawn("postern-connector inside", command, &log).unwrap());
    }

    fn said(&self, words: &str) {
        let connector = &self.world.connectors[0];
        assert!(connector.logs_within(START_TIMEOUT, words), "{words}: {}\n{}", connector.log(), self.proxy.log());
    }

    fn is_online(&self) {
        self.world
            .expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1)
            .unwrap();
    }

    /// Result and words of the last check of the relay, as `postern doctor` sees it from inside.
    fn doctor(&self, more: &[&str]) -> (String, String) {
        let mut command = self.inside(&programs::command("postern"));
        let relay = self.world.relay_address.to_string();
        command.args(["doctor", "-o", "json", "--relay", &relay]).args(more);
        let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let last =
            checks.iter().rfind(|check| check["about"] == relay.as_str()).unwrap_or_else(|| panic!("{report:#}"));
        let word = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
        (format!("{} {}", word("check"), word("result")), word("seen"))
    }
}

#[test]
fn who_has_no_other_way_out_goes_through_the_proxy() {
    let Some(mut scene) = Scene::start(31) else { return };
    let url = scene.proxy.url_of_user();

    scene.connector(&[]);
    scene.said("not enrolled yet");
    scene.connector(&["--proxy", &scene.proxy.url()]);
    scene.said("wants a user name and a password (407)");
    let wrong = scene.password("guessed-wrong-1");
    let file = wrong.to_str().unwrap().to_owned();
    scene.connector(&["--proxy", &url, "--proxy-password-file", &file]);
    scene.said("does not take the user name and the password (401)");
    scene.said("are not tried again for a while");
    assert!(!scene.world.logs().contains("guessed-wrong-1"), "passwords are not logged");
    let said = scene.doctor(&["--proxy", &url, "--proxy-password-file", &file]);
    assert!(said.0 == "egress fail" && said.1.contains("does not take the user name and the password"), "{said:?}");

    scene.password(PASSWORD);
    let named = (format!("corp={url}"), format!("corp={file}"));
    let proxies =
        ["--proxy", url.as_str(), "--proxy-password-file", file.as_str(), "--backend-proxy", named.0.as_str()];
    scene.connector(&[&proxies[..], &["--backend-proxy-password-file", named.1.as_str()]].concat());
    scene.is_online();
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", scene.world.connectors[0].pid())).unwrap();
    assert!(arguments.contains("--proxy") && !arguments.contains(PASSWORD), "{arguments}");

    let said = scene.doctor(&["--proxy", &url, "--proxy-password-file", &file]);
    assert_eq!(said.0, "relay-clock ok", "{said:?}");
    let said = scene.doctor(&[]);
    assert_eq!(said.0, "egress fail", "there is no other way: {said:?}");

    let internal = format!("http://{}/", scene.nginx.address());
    let direct = scene.world.publish("direct", &internal).unwrap();
    assert_eq!(direct.get("/small").unwrap().status, 502, "the backend is beyond the proxy alone");
    let through = scene.world.publish_with("through", &internal, &["--set", "backend_proxy=corp"]).unwrap();
    let answer = through.get("/16k").unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 16 * 1024), "{}\n{}", answer.text(), scene.world.logs());
    let (found, _) = checked(&scene.world, &["through", "--no-outside"]);
    let (result, said) = step(&found, "proxy");
    assert!(result == "ok" && said.contains(&scene.nginx.address().to_string()), "{said}");
    assert_eq!(step(&found, "http").0, "ok", "{found:#}");
    assert!(!scene.world.logs().contains(PASSWORD), "passwords are not logged");
}

#[test]
fn when_the_proxy_comes_back_all_goes_on() {
    let Some(mut scene) = Scene::start(33) else { return };
    let (url, file) = (scene.proxy.url_of_user(), scene.password(PASSWORD).to_str().unwrap().to_owned());
    scene.connector(&["--proxy", &url, "--proxy-password-file", &file]);
    scene.is_online();
    // By its address: the connector knows who it is to say from --proxy.
    let by = format!("backend_proxy={}", scene.proxy.url());
    let internal = format!("http://{}/", scene.nginx.address());
    let client = scene.world.publish_with("app", &internal, &["--set", &by]).unwrap();
    let load = Load::start(&client.timeout(Duration::from_secs(5)), 8, "/1k", 1024);
    for _ in 0..3 {
        let before = load.right();
        scene.world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        scene.proxy.stop();
        // For so long that dials are refused.
        std::thread::sleep(Duration::from_millis(700));
        scene.proxy.start_again().unwrap();
        scene.is_online();
    }
    let before = load.right();
    scene.world.expect_within(START_TIMEOUT, "load flows again", |_| load.right() > before + 200).unwrap();
    let outcome = load.stop();
    assert_eq!(outcome.wrong, 0, "{outcome:?}\n{}", scene.world.logs());
    scene.said("cannot be reached");
}

#[test]
fn what_cannot_be_done_is_refused_when_it_is_published() {
    let world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let publish = |internal: &str, proxy: &str| {
        let set = format!("backend_proxy={proxy}");
        let external = "https://app.example.test/";
        let arguments =
            ["app", "publish", "app", "--external", external, "--internal", internal, "--preauth", "passthrough"];
        let output = world.cli_output(&[&arguments[..], &["--set", set.as_str()]].concat()).unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (internal, proxy, words) in [
        ("http://crm.corp/", "http://anna:hunter2@proxy:3128", "without user name and password"),
        ("http://crm.corp/", "socks5://proxy:1080", "must be the name of a proxy"),
        ("http://localhost:8080/", "corp", "its own host"),
        ("http://proxy.corp:3128/", "http://proxy.corp:3128", "the backend itself"),
    ] {
        let (status, said) = publish(internal, proxy);
        assert!(status != Some(0) && said.contains(words), "{internal} {proxy}: {status:?} {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(publish("http://crm.corp/", "corp").0, Some(0));
}
