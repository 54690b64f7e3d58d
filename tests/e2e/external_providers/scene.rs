//! A whole installation with a place to sign in, a certified OpenID provider beside it, and browsers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::openid_provider::{self, OpenidProvider, Setup};
use postern_tests::origin::Origin;
use postern_tests::process::Process;
use postern_tests::user_agent::{Person, UserAgent};
use postern_tests::world::{START_TIMEOUT, World, free_address, write_secret};
use postern_tests::{pass_over, programs};

/// Fields are dropped in order.
pub(crate) struct Scene {
    _identity: Process,
    pub(crate) provider: OpenidProvider,
    pub(crate) world: World,
    /// Where the provider posts logout tokens: it cannot reach the world's hosts by name.
    pub(crate) logouts: TcpListener,
    origin: Origin,
}

/// Where a browser is.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Where it would go on, if it was told not to.
    pub(crate) location: Option<String>,
}

/// A browser that reaches the relay's hosts and the provider.
pub(crate) struct Browser {
    client: Client,
    jar: BTreeMap<String, BTreeMap<String, String>>,
    provider: UserAgent,
}

impl Scene {
    /// `None`: there is no provider here, and the test passes over. `names`: what the provider will be called.
    pub(crate) fn start(names: &[&str]) -> Option<Scene> {
        Scene::start_with(names, Setup::default())
    }

    /// The same with a provider that is set up so.
    pub(crate) fn start_with(names: &[&str], setup: Setup<'static>) -> Option<Scene> {
        let Some(program) = openid_provider::program() else {
            pass_over("no OpenID provider: cargo xtask test, as root, installs one");
            return None;
        };
        let world = World::usual().unwrap();
        let identity = start_identity(&world);
        let logouts = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = Origin::start().unwrap();
        let own = format!("{}/external/callback/t1", address(&world, "login"));
        let setup = Setup {
            relying_party: Some(format!("http://{}", logouts.local_addr().unwrap())),
            redirects: names.iter().map(|name| format!("{own}/{name}")).collect(),
            ..setup
        };
        let free = free_address(Ipv4Addr::LOCALHOST).unwrap();
        let provider = OpenidProvider::start_on(free, &program, world.folder(), &setup).unwrap();
        let scene = Scene { _identity: identity, provider, world, logouts, origin };
        let (external, internal) = (scene.at("wiki") + "/", format!("http://{}/", scene.origin.address()));
        scene.done(&format!("app publish wiki --external {external} --internal {internal} --preauth oidc"));
        scene.done("assign wiki --everyone");
        write_secret(&scene.world.path("secret"), "proxy-secret\n").unwrap();
        Some(scene)
    }

    pub(crate) fn done(&self, line: &str) -> String {
        self.world.cli(&line.split(' ').collect::<Vec<_>>()).unwrap()
    }

    /// What it says as it fails.
    pub(crate) fn refused(&self, line: &str) -> String {
        let output = self.world.cli_output(&line.split(' ').collect::<Vec<_>>()).unwrap();
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        self.world.json(&line.split(' ').collect::<Vec<_>>()).unwrap()
    }

    /// Adds the provider under a name.
    pub(crate) fn add(&self, name: &str, more: &str) {
        let (issuer, secret) = (self.provider.url(), self.world.path("secret"));
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        self.done(&format!(
            "idp add {name} --issuer {issuer} --client-id proxy --client-secret-file {} --insecure-loopback{more}",
            secret.display()
        ));
    }

    /// Changes what the provider knows of one of its users.
    pub(crate) fn tell(&self, login: &str, set: &serde_json::Value) {
        let body = serde_json::json!({ "login": login, "set": set }).to_string();
        let told = UserAgent::new().post(&format!("{}/__test/user", self.provider.url()), &body).unwrap();
        assert_eq!(told.status, 200, "{told:?}");
    }

    /// The origin of one of the world's hosts.
    pub(crate) fn at(&self, name: &str) -> String {
        address(&self.world, name)
    }

    pub(crate) fn browser(&self) -> Browser {
        let client = self.world.client("login.example.test").unwrap();
        Browser { client, jar: BTreeMap::new(), provider: UserAgent::new() }
    }

    /// The newest entry of the sign-in log.
    pub(crate) fn last_sign_in(&self) -> serde_json::Value {
        let list = self.json("audit sign-ins list --limit 1");
        list["items"].as_array().and_then(|items| items.last()).cloned().unwrap_or_default()
    }
}

fn address(world: &World, name: &str) -> String {
    format!("https://{name}.example.test:{}", world.relay_address.port())
}

fn start_identity(world: &World) -> Process {
    world.cli(&["identity", "publish", "--external", &format!("{}/", address(world, "login"))]).unwrap();
    let token = world.path("identity-token");
    write_secret(&token, &world.token("postern-identity").unwrap()).unwrap();
    let mut command = programs::command("postern-identity");
    command.args(["--relay", &world.relay_address.to_string()]).arg("--token-file").arg(token);
    command.arg("--state-dir").arg(world.path("identity"));
    let identity = Process::spawn("postern-identity", command, &world.path("identity.log")).unwrap();
    let is_online = |world: &World| world.json(&["identity", "show"]).is_ok_and(|view| view["online"] == 1);
    world.expect_within(START_TIMEOUT, "the identity process is online", is_online).unwrap();
    // Its tunnels may come to the other workers a moment later.
    std::thread::sleep(Duration::from_millis(500));
    identity
}

impl Browser {
    /// Opens an address and follows redirects, up to one that begins with `until`.
    pub(crate) fn open_until(&mut self, url: &str, until: &str) -> Page {
        let page = self.ask("GET", url, "");
        self.follow(page, until)
    }

    pub(crate) fn open(&mut self, url: &str) -> Page {
        self.open_until(url, NOWHERE)
    }

    /// Posts a form to an address.
    pub(crate) fn post(&mut self, url: &str, form: &str) -> Page {
        let page = self.ask("POST", url, form);
        self.follow(page, NOWHERE)
    }

    /// From a page that leads on by itself to where it leads.
    pub(crate) fn goes_on(&mut self, page: &Page) -> Page {
        let after = page.body.split_once("<meta http-equiv=\"refresh\" content=\"0;url=");
        let to = after.and_then(|(_, after)| after.split_once('"')).unwrap_or_else(|| panic!("{page:?}")).0;
        self.open(&to.replace("&amp;", "&"))
    }

    /// From the page where one signs in, by the button of a provider, and through the provider's own page.
    pub(crate) fn sign_in_until(&mut self, page: &Page, provider: &str, who: Person<'_>, until: &str) -> Page {
        let asked = self.open_until(&button(page, provider), until);
        self.fill(asked, who, until)
    }

    pub(crate) fn sign_in(&mut self, page: &Page, provider: &str, who: Person<'_>) -> Page {
        self.sign_in_until(page, provider, who, NOWHERE)
    }

    /// Fills in the provider's page, if this is one.
    pub(crate) fn fill(&mut self, page: Page, who: Person<'_>, until: &str) -> Page {
        if page.location.is_some() || !page.url.starts_with("http://") {
            return page;
        }
        let form = format!("login={}&password={}&otp={}", who.login, who.password, who.otp);
        let page = self.ask("POST", &page.url, &form);
        self.follow(page, until)
    }

    fn follow(&mut self, mut page: Page, until: &str) -> Page {
        for _ in 0..20 {
            match page.location.take() {
                Some(location) if location.starts_with(until) => {
                    page.location = Some(location);
                    return page;
                }
                Some(location) => page = self.ask("GET", &location, ""),
                None => return page,
            }
        }
        panic!("too many redirects, the last from {}", page.url)
    }

    fn ask(&mut self, method: &str, url: &str, form: &str) -> Page {
        if url.starts_with("http://") {
            let page = if method == "GET" { self.provider.get(url) } else { self.provider.post(url, form) }.unwrap();
            return Page { url: page.url, status: page.status, body: page.body, location: page.location };
        }
        let rest = url.strip_prefix("https://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let jar = self.jar.entry(host.to_owned()).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookies, origin) = (cookies.join("; "), format!("https://{host}"));
        let mut fields = vec![("Accept", "text/html"), ("Cookie", &*cookies)];
        if method == "POST" {
            fields.extend([("Origin", &*origin), ("Content-Type", "application/x-www-form-urlencoded")]);
        }
        let mut connection = self.client.for_host(host).connect().unwrap();
        let answer = connection.request(method, path, &fields, form.as_bytes()).unwrap();
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).unwrap();
            if value.is_empty() {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = answer.header("location").map(|location| match location.starts_with('/') {
            true => format!("{origin}{location}"),
            false => location.to_owned(),
        });
        Page { url: url.to_owned(), status: answer.status, body: answer.text(), location }
    }
}

/// The address behind a provider's button.
pub(crate) fn button(page: &Page, provider: &str) -> String {
    let links = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let links: Vec<String> = links.map(|link| link.replace("&amp;", "&")).collect();
    let wanted = format!("&provider={provider}");
    let link = links.iter().find(|link| link.starts_with("/external?") && link.contains(&wanted));
    let link = link.unwrap_or_else(|| panic!("no button of {provider}: {page:?}"));
    let origin = page.url.split('/').take(3).collect::<Vec<_>>().join("/");
    format!("{origin}{link}")
}

/// The value of a page's hidden field.
pub(crate) fn field(page: &Page, name: &str) -> String {
    let found = page.body.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|rest| rest.split('"').next());
    found.unwrap_or_else(|| panic!("no field {name}: {page:?}")).to_owned()
}

/// No address begins with it.
const NOWHERE: &str = "nowhere:";
