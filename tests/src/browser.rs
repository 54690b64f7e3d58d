//! A real browser: headless Chromium, told what to do by WebDriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::process::Process;
use crate::{within, world};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// As WebDriver writes it (§17.4.2).
const ENTER: char = '\u{e007}';

/// A browser with one page.
pub struct Browser {
    driver: Process,
    address: SocketAddr,
    session: String,
    net_log: PathBuf,
}

/// Whether there is one to start.
#[must_use]
pub fn is_there() -> bool {
    Command::new("chromedriver").arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Browser {
    /// Starts Chromium, for which every host is `relay`'s. It does not know the world's authority. `more` are further
    /// arguments.
    pub fn start(folder: &Path, relay: SocketAddr, more: &[&str]) -> Result<Browser> {
        Browser::start_by(Command::new("chromedriver"), folder, relay, more)
    }

    /// The same by a command with an environment of its own.
    pub fn start_by(mut command: Command, folder: &Path, relay: SocketAddr, more: &[&str]) -> Result<Browser> {
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        command.arg(format!("--port={}", address.port()));
        let driver = Process::spawn("chromedriver", command, &folder.join("chromedriver.log"))?;
        if !within(Duration::from_secs(10), || TcpStream::connect(address).is_ok()) {
            bail!("chromedriver does not start: {}", driver.log_tail());
        }
        let net_log = folder.join(format!("net-log-{}.json", address.port()));
        let profile = folder.join(format!("profile-{}", address.port()));
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--ignore-certificate-errors".to_owned(),
            format!("--host-resolver-rules=MAP *.example.test {}", relay.ip()),
            format!("--log-net-log={}", net_log.display()),
            format!("--user-data-dir={}", profile.display()),
        ];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let mut browser = Browser { driver, address, session: String::new(), net_log };
        // On Linux Chromium loads Kerberos' library from the start after that in which it was first asked for a ticket. Tickets
        // are for the host of the URL, and not for what it is mapped to.
        let known = json!({
            "net.received_http_auth_negotiate_headers": true,
            "auth.disable_negotiate_cname_lookup": true,
        });
        let options = json!({"args": arguments, "localState": known});
        let options = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.ask("POST", "/session", &options)?;
        browser.session = session["sessionId"].as_str().context("no session")?.to_owned();
        Ok(browser)
    }

    pub fn open(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).map(drop)
    }

    /// As wide and high as a phone's or a desktop's window, in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size});
        self.command("goog/cdp/execute", &command).map(drop)
    }

    /// A command of Chromium's own protocol, `{"cmd": …, "params": …}`.
    pub fn devtools(&self, command: &str) -> Result<()> {
        self.command("goog/cdp/execute", &serde_json::from_str(command)?).map(drop)
    }

    /// Presses an element, as a person does.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.command(&format!("element/{}/click", self.element(selector)?), &json!({})).map(drop)
    }

    /// Types into a field, key by key; into one for files, the path of one.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        self.command(&format!("element/{}/value", self.element(selector)?), &json!({ "text": text })).map(drop)
    }

    /// Types to whatever listens to the keyboard. A line's end is the Enter key.
    pub fn press(&self, text: &str) -> Result<()> {
        let key = |key: char| if key == '\n' { ENTER } else { key };
        let strokes = text
            .chars()
            .map(key)
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})));
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.command("actions", &json!({ "actions": [keyboard] })).map(drop)
    }

    fn element(&self, selector: &str) -> Result<String> {
        let found = self.command("element", &json!({"using": "css selector", "value": selector}))?;
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        Ok(id.context("no element")?.to_owned())
    }

    /// What a script returns; promises are waited for.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script until it returns true.
    pub fn wait_for(&self, limit: Duration, script: &str) -> Result<()> {
        let mut last = String::new();
        let happened = within(limit, || match self.script(script) {
            Ok(Value::Bool(true)) => true,
            other => {
                last = format!("{other:?}");
                std::thread::sleep(Duration::from_millis(200));
                false
            }
        });
        if happened { Ok(()) } else { bail!("not within {limit:?}: {script}: {last}") }
    }

    /// Keeps what is seen as `NAME.png` in the folder that `POSTERN_SCREENSHOTS` names, for people to look at.
    pub fn screenshot(&self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("POSTERN_SCREENSHOTS") else { return Ok(()) };
        let answer = self.ask("GET", &format!("/session/{}/screenshot", self.session), &json!({}))?;
        let image = STANDARD.decode(answer.as_str().context("no image")?)?;
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(Path::new(&folder).join(format!("{name}.png")), image)?)
    }

    /// Ends the browser; what it did on the network.
    pub fn finish(mut self) -> Result<String> {
        self.ask("DELETE", &format!("/session/{}", self.session), &json!({}))?;
        self.driver.terminate(Duration::from_secs(5));
        std::fs::read_to_string(&self.net_log).context("no log of the network")
    }

    fn command(&self, name: &str, body: &Value) -> Result<Value> {
        self.ask("POST", &format!("/session/{}/{name}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let body = body.to_string();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let json = read_answer(socket)?;
        let value: Value = serde_json::from_slice(&json).context("chromedriver's answer")?;
        let value = value["value"].clone();
        match value["error"].as_str() {
            Some(error) => bail!("{path}: {error}: {}", value["message"].as_str().unwrap_or_default()),
            None => Ok(value),
        }
    }
}

/// The body of an answer, which states its length.
fn read_answer(socket: TcpStream) -> Result<Vec<u8>> {
    let mut reader = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}
