//! Looks at every application of an inventory from this host: name, connection, TLS, first page. What it finds fills empty cells and
//! no others. It shows nobody a password, follows no redirect to another host, and ends in bounded time.

mod certificate;
mod dial;
mod judge;
mod page;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use postern_model::app_url::InternalUrl;
use postern_model::check::printable;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

use super::columns::Column;
use super::formula::in_one_cell;
use super::sheet::Row;
use dial::Dialler;

/// What came of one row.
#[derive(Debug, Serialize)]
pub(crate) struct Looked {
    pub(crate) name: String,
    /// What was seen, step by step.
    pub(crate) found: Vec<String>,
    /// What could not be seen, and why.
    pub(crate) missed: Vec<String>,
    /// Headings of the cells that were filled.
    pub(crate) filled: Vec<&'static str>,
}

/// What is seen of an application while it is looked at.
#[derive(Debug, Default)]
struct Seen {
    found: Vec<String>,
    missed: Vec<String>,
    fills: Vec<(Column, String)>,
}

impl Seen {
    /// Strangers wrote parts of it.
    fn found(&mut self, what: impl Into<String>) {
        let what: String = what.into();
        self.found.push(plain(&what, TEXT_CHARS_MAX));
    }

    fn missed(&mut self, what: impl Into<String>) {
        let what: String = what.into();
        self.missed.push(plain(&what, TEXT_CHARS_MAX));
    }

    fn fills(&mut self, column: Column, text: &str) {
        self.fills.push((column, in_one_cell(&plain(text, FILL_CHARS_MAX))));
    }
}

/// Looks at all rows, some at a time, and fills them.
///
/// # Errors
/// This host has no TLS.
pub(crate) fn probe(rows: &mut [Row]) -> Result<Vec<Looked>> {
    let dialler = Arc::new(Dialler::new()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let urls = rows.iter().map(|row| row.get(Column::InternalUrl).to_owned()).collect();
    let seen = runtime.block_on(look_at_all(&dialler, urls));
    // A resolver that hangs is not waited for.
    runtime.shutdown_background();
    Ok(rows.iter_mut().zip(seen).map(|(row, seen)| filled(row, seen)).collect())
}

async fn look_at_all(dialler: &Arc<Dialler>, urls: Vec<String>) -> Vec<Seen> {
    let permits = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut tasks = JoinSet::new();
    let mut all: Vec<Seen> = urls.iter().map(|_| Seen::default()).collect();
    for (nth, url) in urls.into_iter().enumerate() {
        let (dialler, permits) = (Arc::clone(dialler), Arc::clone(&permits));
        tasks.spawn(async move {
            // It is never closed.
            let _permit = permits.acquire_owned().await;
            let mut seen = Seen::default();
            if tokio::time::timeout(ROW_TIMEOUT, look(&dialler, &url, &mut seen)).await.is_err() {
                seen.missed(format!("the rest: it was not done in {} s", ROW_TIMEOUT.as_secs()));
            }
            (nth, seen)
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((nth, seen)) => all[nth] = seen,
            Err(error) => std::panic::resume_unwind(error.into_panic()), // nobody cancels one
        }
    }
    all
}

/// One application: as far as it goes.
async fn look(dialler: &Dialler, internal: &str, seen: &mut Seen) {
    if internal.is_empty() {
        return seen.missed("it has no internal URL");
    }
    if !["http://", "https://"].iter().any(|scheme| internal.to_lowercase().starts_with(scheme)) {
        return seen.missed(format!("{internal}: only http:// and https:// are looked at"));
    }
    let url = InternalUrl::parse(internal).map_err(|error| error.to_string());
    if url.as_ref().is_ok_and(|url| url.wildcard().is_some()) {
        return seen.missed(format!("{internal}: which hosts are below a wildcard is not known"));
    }
    let url = url.and_then(|url| Url::parse(&url.to_string()).map_err(|error| error.to_string()));
    let mut url = match url {
        Ok(url) => url,
        Err(why) => return seen.missed(why),
    };
    for hop in 0..=REDIRECTS_MAX {
        let Some(answer) = dialler.get(&url, hop == 0, seen).await else { return };
        judge::answer(&url, &answer, seen);
        match judge::leads(&url, &answer) {
            Some(next) if next.origin() == url.origin() => url = next,
            Some(next) => return judge::elsewhere(&next, seen),
            None => return,
        }
    }
    seen.missed(format!("more than {REDIRECTS_MAX} redirects within it: the last was not followed"));
}

fn filled(row: &mut Row, seen: Seen) -> Looked {
    let Seen { found, missed, fills } = seen;
    let fills = fills.into_iter().filter(|(column, text)| row.fill(*column, text));
    let filled = fills.map(|(column, _)| column.heading()).collect();
    Looked { name: row.get(Column::Name).to_owned(), found, missed, filled }
}

/// What strangers wrote, as text of one line.
fn plain(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "), chars_max)
}

/// Applications that are looked at together.
const AT_ONCE_MAX: usize = 16;
/// For one application, all of it. 10,000 that do not answer, 16 at once: 3½ hours at most.
const ROW_TIMEOUT: Duration = Duration::from_secs(20);
const REDIRECTS_MAX: usize = 3;
/// Of what is told.
const TEXT_CHARS_MAX: usize = 1_000;
/// Of what is filled in: as many URLs of other hosts as are noted, with the longest names.
const FILL_CHARS_MAX: usize = 8_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Answers each connection with the next of these, and ends.
    fn origin(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let read = stream.read(&mut asked).unwrap();
                assert!(!String::from_utf8_lossy(&asked[..read]).contains("uthorization"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn probed(url: &str, platform: &str) -> (Row, Looked) {
        let mut row = Row::new("a.csv:2");
        row.set(Column::Name, "a");
        row.set(Column::InternalUrl, url);
        row.set(Column::Platform, platform);
        let mut rows = [row];
        let looked = probe(&mut rows).unwrap().remove(0);
        let [row] = rows;
        (row, looked)
    }

    #[test]
    fn challenge_platform_and_redirect_are_found_and_nothing_is_overwritten() {
        let url = origin(vec![
            answer("302 Found\r\nlocation: /in\r\nserver: nginx", ""),
            answer("401 No\r\nwww-authenticate: Negotiate\r\nwww-authenticate: Basic realm=\"x\"", ""),
        ]);
        let (row, looked) = probed(&url, "mine");
        assert_eq!(row.get(Column::Authentication), "windows; basic", "{looked:?}");
        assert_eq!(row.get(Column::Platform), "mine");
        assert!(!looked.filled.contains(&"platform") && looked.filled.contains(&"authentication"), "{looked:?}");
        assert!(looked.found.iter().any(|found| found.contains("connected")), "{looked:?}");
        assert!(looked.missed.is_empty(), "{looked:?}");
    }

    #[test]
    fn a_redirect_to_another_host_is_told_and_not_followed() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = format!("http://{}/in", other.local_addr().unwrap());
        let url = origin(vec![answer(&format!("302 Found\r\nlocation: {there}"), "")]);
        let (_, looked) = probed(&url, "");
        let told = format!("http: it leads to {there}, which is not followed");
        assert!(looked.found.contains(&told) && looked.missed.is_empty(), "{looked:?}");
        other.set_nonblocking(true).unwrap();
        assert!(other.accept().is_err(), "nobody connected there");
    }

    #[test]
    fn an_answer_without_an_end_is_looked_at_as_far_as_it_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nserver: nginx\r\n\r\n<input type=password>").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        });
        let (row, looked) = probed(&url, "");
        assert_eq!((row.get(Column::Platform), row.get(Column::Authentication)), ("nginx", "forms"), "{looked:?}");
        assert!(looked.missed.is_empty(), "{looked:?}");
    }

    #[test]
    fn what_cannot_be_seen_is_said() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (url, says) in [
            (format!("http://{closed}/"), "connect: "),
            (origin(vec!["hello\r\n\r\n".into()]), "http: "),
            ("tcp://10.0.0.1:22".into(), "are looked at"),
            (String::new(), "no internal URL"),
        ] {
            let (_, looked) = probed(&url, "");
            assert!(looked.missed.len() == 1 && looked.missed[0].contains(says), "{url}: {looked:?}");
            assert!(looked.filled.is_empty());
        }
    }

    #[test]
    fn what_strangers_write_is_one_line() {
        assert_eq!(plain("a\r\n b\u{1b}[2J\u{202e}", 20), "a b\u{fffd}[2J\u{fffd}");
        assert_eq!(plain(&"x".repeat(50), 20), format!("{}…", "x".repeat(19)));
        let mut seen = Seen::default();
        seen.fills(Column::Platform, "IIS;=HYPERLINK(\"http://evil.test/\")");
        assert_eq!(seen.fills[0].1, "IIS,=HYPERLINK(\"http://evil.test/\")");
    }

    #[test]
    fn urls_of_many_long_hosts_are_filled_in_whole() {
        let url = |nth: usize| format!("https://{nth:02}{}.test/", ["a".repeat(60), "b".repeat(60)].join("."));
        let urls: Vec<String> = (0..16).map(url).collect();
        let mut seen = Seen::default();
        seen.fills(Column::OtherContentSources, &urls.join(" "));
        assert_eq!(seen.fills[0].1, urls.join(" "));
    }
}
