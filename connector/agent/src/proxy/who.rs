//! What a proxy is told of who asks: nothing, a password, or a ticket that is made anew for each connection.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_io::mailbox::{self, mailbox};
use zeroize::Zeroizing;

use super::Trouble;
use crate::limits::PROXY_TICKETS_WAITING;

/// Makes tokens of Kerberos (RFC 4559) for a service.
pub(crate) trait Negotiates: Send + Sync {
    /// The first and only one of an exchange with `service`, `HTTP/proxy.example.com` say. It may wait for a KDC.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn token(&self, service: &str) -> Result<Vec<u8>, String>;
}

/// Who asks.
pub(crate) enum Who {
    Nobody,
    /// The field's value.
    Basic(Zeroizing<String>),
    Negotiate(Tickets),
}

/// Tokens for one proxy, made on a thread beside the rings. It ends with the proxy.
pub(crate) struct Tickets {
    by: Arc<dyn Negotiates>,
    service: String,
    wanted: SyncSender<mailbox::Sender<Result<Vec<u8>, String>>>,
}

impl Tickets {
    /// `service`: the proxy's name in Kerberos.
    pub(super) fn start(by: Arc<dyn Negotiates>, service: String) -> io::Result<Self> {
        let (wanted, asked) = sync_channel::<mailbox::Sender<Result<Vec<u8>, String>>>(PROXY_TICKETS_WAITING);
        let (making, for_service) = (Arc::clone(&by), service.clone());
        thread::Builder::new().name("proxy-tickets".into()).spawn(move || {
            while let Ok(reply) = asked.recv() {
                // Who asked may have gone.
                let _ = reply.send(making.token(&for_service));
            }
        })?;
        Ok(Self { by, service, wanted })
    }
}

impl Who {
    /// The value of `Proxy-Authorization`, on a thread that may wait.
    pub(super) fn says(&self) -> Result<Option<Zeroizing<String>>, Trouble> {
        match self {
            Self::Nobody => Ok(None),
            Self::Basic(value) => Ok(Some(value.clone())),
            Self::Negotiate(tickets) => negotiate(tickets.by.token(&tickets.service)),
        }
    }

    /// The same on a ring.
    pub(super) async fn says_on_ring(&self) -> Result<Option<Zeroizing<String>>, Trouble> {
        let Self::Negotiate(tickets) = self else { return self.says() };
        let (reply, mut answer) = mailbox(1);
        if tickets.wanted.try_send(reply).is_err() {
            return Err(Trouble::NoTicket(String::from("too many connections wait for one")));
        }
        let made = answer.recv().await;
        negotiate(made.unwrap_or_else(|| Err(String::from("the thread that makes them ended"))))
    }
}

fn negotiate(token: Result<Vec<u8>, String>) -> Result<Option<Zeroizing<String>>, Trouble> {
    let encoded = Zeroizing::new(STANDARD.encode(Zeroizing::new(token.map_err(Trouble::NoTicket)?)));
    Ok(Some(Zeroizing::new(format!("Negotiate {}", encoded.as_str()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_io::{Runtime, RuntimeOptions};

    /// One service.
    struct Knows;

    impl Negotiates for Knows {
        fn token(&self, service: &str) -> Result<Vec<u8>, String> {
            if service == "HTTP/proxy.corp" { Ok(b"token".to_vec()) } else { Err(format!("no ticket to {service}")) }
        }
    }

    #[test]
    fn tickets_are_made_beside_the_ring() {
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        let said = runtime.run(async {
            let good = Who::Negotiate(Tickets::start(Arc::new(Knows), "HTTP/proxy.corp".into()).unwrap());
            let bad = Who::Negotiate(Tickets::start(Arc::new(Knows), "HTTP/other.corp".into()).unwrap());
            assert_eq!(good.says(), good.says_on_ring().await);
            (good.says_on_ring().await, bad.says_on_ring().await)
        });
        let (good, bad) = said.unwrap();
        assert_eq!(good.unwrap().unwrap().as_str(), "Negotiate dG9rZW4=");
        assert_eq!(bad, Err(Trouble::NoTicket("no ticket to HTTP/other.corp".into())));
    }
}
