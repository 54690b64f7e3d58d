//! An authority of certificates looks whose a host is. Without TLS it asks for a token, before anything is routed; by TLS it wants
//! a handshake, and nothing after it.

use std::io;
use std::rc::Rc;

use postern_http::{Method, RequestHead};
use postern_io::{Socket, Stream, timeout};
use postern_model::acme::HTTP_PATH;

use super::Worker;
use super::reject::Reject;
use super::session::OpenedFor;
use crate::limits::{CLOSE_LINGER, HANDSHAKE_TIMEOUT};
use crate::published::Published;

/// The answer to a request for a token that control knows. Other tokens are the application's, if one is published there.
pub(crate) fn asked(published: &Published, head: &RequestHead, opened_for: &OpenedFor) -> Option<Reject> {
    let is_get = matches!(head.method, Method::Get | Method::Head) && !head.upgrade;
    if !is_get || !matches!(opened_for, OpenedFor::Plain) {
        return None;
    }
    let token = head.target.path().strip_prefix(HTTP_PATH)?;
    let answer = published.challenges.by_request(head.authority.host(), token)?;
    Some(Reject::challenge(answer.to_owned()))
}

/// Shows what is to be seen in a handshake for `server_name`, and closes.
pub(crate) async fn handshake(
    worker: &Rc<Worker>,
    socket: Socket,
    retained: Vec<u8>,
    server_name: Option<String>,
) -> io::Result<()> {
    let published = worker.published();
    let config = server_name.and_then(|name| published.challenges.by_handshake(&name).cloned());
    let config =
        config.ok_or_else(|| io::Error::other("an authority looks at a host that no certificate was ordered for"))?;
    drop(published);
    let handshake = timeout(HANDSHAKE_TIMEOUT, Stream::tls_server(socket, config, retained));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.close(CLOSE_LINGER).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postern_http::h1::RequestParser;
    use postern_model::Snapshot;
    use postern_model::acme::{AcmeChallenge, ChallengeKind};
    use postern_model::ids::TenantId;

    use super::*;
    use crate::side::challenges::Challenges;
    use crate::side::testing;
    use crate::side::testing::HOST;

    fn published() -> Published {
        let challenge = AcmeChallenge {
            tenant: TenantId::DEFAULT,
            host: HOST.into(),
            challenge: ChallengeKind::Http01,
            token: "token".into(),
            key_authorization: "token.thumbprint".into(),
        };
        let acme_challenges = [(challenge.token.clone(), challenge)].into();
        let snapshot = Snapshot { acme_challenges, ..Snapshot::default() };
        let configs = testing::tls_configs();
        Published { challenges: Challenges::next(&Arc::default(), &snapshot, &configs), ..testing::published() }
    }

    fn is_answered(request: &str, host: &str, opened_for: &OpenedFor) -> bool {
        let text = format!("{request} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let (head, _) = RequestParser::new(crate::limits::HTTP).parse(text.as_bytes()).unwrap().unwrap();
        asked(&published(), &head, opened_for).is_some()
    }

    #[test]
    fn a_token_is_answered_without_tls_at_its_host_and_nowhere_else() {
        let path = "GET /.well-known/acme-challenge/token";
        assert!(is_answered(path, HOST, &OpenedFor::Plain));
        assert!(is_answered(path, &format!("{HOST}:8080"), &OpenedFor::Plain));
        assert!(!is_answered(path, "other.example.com", &OpenedFor::Plain));
        assert!(!is_answered(path, HOST, &OpenedFor::Applications(Some(HOST.into()))));
        for other in [
            "POST /.well-known/acme-challenge/token",
            "GET /.well-known/acme-challenge/tokens",
            "GET /.well-known/acme-challenge/",
            "GET /.well-known//acme-challenge/token",
            "GET /.well-known/acme-challenge/other",
        ] {
            assert!(!is_answered(other, HOST, &OpenedFor::Plain), "{other}");
        }
    }
}
