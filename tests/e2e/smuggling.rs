//! Request and response smuggling, through the real relay and connector: raw clients, raw applications. Whatever is ambiguous is
//! refused with its status, the application sees whole requests that are what they seem or none, and who comes next on the same
//! connection or pool gets the answer to their own request. The table of attacks is in `docs/security.md`.

mod answers;
mod http2;
mod requests;
mod rewritten;
mod upgrades;

use std::time::Duration;

use postern_tests::client::{Client, Connection};
use postern_tests::played::{Played, Taken};
use postern_tests::recorder::{Recorded, Recorder};
use postern_tests::world::World;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// An application that writes down what it sees.
struct Scene {
    world: World,
    recorder: Recorder,
    client: Client,
}

impl Scene {
    fn start() -> Scene {
        let world = World::usual().unwrap();
        let recorder = Recorder::start().unwrap();
        let client = world.publish("app", &recorder.url()).unwrap().timeout(PATIENCE);
        Scene { world, recorder, client }
    }

    /// What an attacker hides behind another request.
    fn smuggled(&self) -> String {
        format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\nX-Postern-User: eve\r\n\r\n", self.client.host)
    }

    /// A request whose head has these further lines, and this content.
    fn post(&self, lines: &str, content: &str) -> String {
        format!("POST /attack HTTP/1.1\r\nHost: {}\r\n{lines}\r\n{content}", self.client.host)
    }

    /// What the application saw since `before`: whole requests, none of them one that was hidden, and no half of anything odd.
    fn since(&self, what: &str, before: usize) -> Vec<Recorded> {
        assert_eq!(self.recorder.broken(), [""; 0], "{what}");
        let requests = self.recorder.requests().split_off(before);
        let is_hidden =
            |request: &Recorded| request.line.contains("smuggled") || !request.all("x-postern-user").is_empty();
        assert!(!requests.iter().any(is_hidden), "{what}: {requests:?}");
        requests
    }

    /// The same, of which there are so many.
    fn saw(&self, what: &str, before: usize, count: usize) -> Vec<Recorded> {
        let requests = self.since(what, before);
        assert_eq!(requests.len(), count, "{what}: {requests:?}\n{}", self.world.logs());
        requests
    }

    /// Who comes next, on a connection of their own, gets their own answer.
    fn serves(&self, what: &str) {
        self.serves_on(&mut self.client.connect().unwrap(), what);
    }

    /// Who comes next on this connection does.
    fn serves_on(&self, connection: &mut Connection, what: &str) {
        let path = format!("/next/{}", self.recorder.requests().len());
        let answer = connection.get(&path).unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", self.world.logs()));
        assert_eq!((answer.status, answer.text()), (200, format!("GET {path} 0")), "{what}");
    }
}

/// An application that a test plays, and a client's connection to it.
struct Stage {
    world: World,
    played: Played,
    client: Client,
    connection: Connection,
}

impl Stage {
    fn start() -> Stage {
        Stage::with(&[])
    }

    /// The application is published with more words.
    fn with(more: &[&str]) -> Stage {
        let world = World::usual().unwrap();
        let played = Played::start().unwrap();
        let client = world.publish_with("app", &played.url(), more).unwrap().timeout(PATIENCE);
        let connection = client.connect().unwrap();
        Stage { world, played, client, connection }
    }

    /// A GET that reached the application.
    fn get(&mut self, path: &str) -> Taken {
        self.connection.send_head("GET", path, &[]).unwrap();
        let taken = self.played.next().unwrap_or_else(|error| panic!("{path}: {error:#}\n{}", self.world.logs()));
        assert!(taken.head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{}", taken.head);
        taken
    }

    /// Who comes next on the same connection is answered by a connection to the application of which nothing is left over.
    fn goes_on(&mut self, what: &str) {
        let mut taken = self.get("/next");
        taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine").unwrap();
        let answer = self.connection.answer("GET").unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "mine"), "{what}");
    }
}
