//! Whether the first page's address takes a WebSocket. That it does not is no trouble: applications have their own paths for it.

use super::findings::Seen;
use super::reach::{Page, words};
use super::redirect::shown;
use crate::backend::Backend;

pub(super) fn look(backend: &Backend, page: &Page) -> Seen {
    let path = shown(&page.target);
    match page.offer_websocket(backend) {
        Ok(Some(101)) => Seen::ok(&format!("{path} takes a WebSocket")),
        Ok(Some(status)) => Seen::ok(&format!("{path} takes none and answers {status}: other paths may")),
        Ok(None) => Seen::skipped("backend_http=h2c: WebSockets need HTTP/1.1"),
        Err(trouble) => {
            let cure =
                "if the application has WebSockets: look at its log, and whether a proxy before it drops Upgrade";
            Seen::warn(&format!("an offer of a WebSocket gets no answer: {}", words(backend, &trouble)), cure)
        }
    }
}
