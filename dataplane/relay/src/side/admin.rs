//! `--admin-listen`: /healthz, /readyz and /metrics for programs on this machine. One request a connection, nothing to
//! configure, nothing secret.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use postern_model::link::RelayStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::metrics::Figures;
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_TIMEOUT};
use crate::messages::KernelFigures;

/// What is shown; the side loop keeps it up to date.
#[derive(Debug)]
pub(crate) struct AdminView {
    figures: Figures,
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// All workers accept.
    pub(crate) accepting: bool,
    pub(crate) linked: bool,
    /// It was told to end.
    pub(crate) draining: bool,
    pub(crate) status: RelayStatus,
    pub(crate) kernel: KernelFigures,
}

impl AdminView {
    pub(crate) fn new(figures: Figures) -> Self {
        Self { figures, shown: Mutex::default() }
    }

    pub(crate) fn show(&self, shown: Shown) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    fn answer(&self, path: &str) -> (&'static str, String) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match path {
            "/healthz" => ("200 OK", String::from("ok\n")),
            "/readyz" if shown.draining => ("503 Service Unavailable", String::from("draining\n")),
            "/readyz" if !shown.accepting => ("503 Service Unavailable", String::from("workers are starting\n")),
            "/readyz" if shown.status.applied_version == 0 => {
                ("503 Service Unavailable", String::from("no state from control yet\n"))
            }
            "/readyz" => ("200 OK", String::from("ready\n")),
            "/metrics" => ("200 OK", self.figures.page(&shown)),
            _ => ("404 Not Found", String::from("/healthz, /readyz, /metrics\n")), // whatever else was asked for
        }
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, view: Arc<AdminView>) {
    let slots = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let view = Arc::clone(&view);
                tokio::spawn(async move {
                    let _slot = slot;
                    if let Ok(Err(error)) = timeout(ADMIN_TIMEOUT, respond(stream, &view)).await {
                        tracing::debug!(%error, "a request to the admin address failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin address cannot accept");
                tokio::time::sleep(ADMIN_TIMEOUT).await;
            }
        }
    }
}

async fn respond(mut stream: TcpStream, view: &AdminView) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let mut words = head.split(|byte| byte.is_ascii_whitespace());
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match method {
        b"GET" | b"HEAD" => view.answer(&String::from_utf8_lossy(path)),
        _ => ("405 Method Not Allowed", String::from("GET only\n")), // any other method
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if method != b"HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no request"));
        }
    }
    Ok(head)
}

const HEAD_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::ConfigHandle;
    use crate::side::sender::{self, SideReceiver};
    use postern_service::metrics::Process;

    fn view(receiver: &SideReceiver) -> AdminView {
        let config = ConfigHandle::new(Arc::new(crate::side::testing::published()));
        AdminView::new(Figures::new(receiver, config, Process::open("test", "0")))
    }

    #[test]
    fn readiness_says_what_is_missing() {
        let view = view(&sender::channel(1).1);
        assert!(view.answer("/readyz").1.contains("starting"));
        let mut shown = Shown { accepting: true, ..Shown::default() };
        view.show(shown.clone());
        assert!(view.answer("/readyz").1.contains("no state"));
        shown.status.applied_version = 4;
        view.show(shown.clone());
        assert!(view.answer("/readyz").0.starts_with("200"));
        view.show(Shown { draining: true, ..shown });
        assert!(view.answer("/readyz").1.contains("draining"));
        assert!(view.answer("/etc/passwd").0.starts_with("404"));
    }

    #[tokio::test]
    async fn metrics_show_every_worker() {
        let (senders, receiver) = sender::channel(2);
        senders[0].counters().connections_accepted.add(2);
        senders[1].counters().connections_accepted.add(3);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(view(&receiver))));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        for sample in [
            "\npostern_relay_connections_accepted_total{worker=\"0\"} 2\n",
            "\npostern_relay_connections_accepted_total{worker=\"1\"} 3\n",
            "\npostern_build_info{program=\"test\",version=\"0\"} 1\n",
        ] {
            assert!(answer.contains(sample), "{answer}");
        }
    }
}
