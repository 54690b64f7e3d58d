//! TLS that begins behind plain words, as it does through a proxy.

use super::*;

on_the_kernel! {
    plain_words_come_before_the_handshake
}

async fn words_then_tls(backend: BackendKind) {
    let (listener, address) = listen(backend);
    let (server_config, client_config) = tls_configs();
    let server = spawn(async move {
        let mut socket = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while got.len() < WORDS.len() {
            got.extend_from_slice(&socket.recv().await.unwrap().unwrap());
        }
        let first = got.split_off(WORDS.len());
        assert_eq!(got, WORDS, "the handshake overtook what was queued before it");
        echo(Stream::tls_server(socket, server_config, first).await.unwrap()).await;
    });
    let stream = Stream::plain(connect(address).await);
    stream.queue(WORDS);
    let name = ServerName::try_from("app.example").unwrap();
    let stream = stream.start_tls_client(client_config, name).await.unwrap();
    assert!(stream.tls().version.is_some(), "{:?}", stream.tls());
    timeout(Duration::from_secs(60), echoes(stream, 100_000, 1)).await.unwrap();
    server.await;
}

fn plain_words_come_before_the_handshake(backend: BackendKind) {
    on(backend, 40, words_then_tls(backend));
}

#[test]
fn plain_words_come_before_the_handshake_sim() {
    for seed in 0..5 {
        on(BackendKind::Sim, seed, words_then_tls(BackendKind::Sim));
    }
}

const WORDS: &[u8] = b"CONNECT relay.example:443\n";
