//! Applications that ask who is there, over HTTP/2.

use super::*;
use crate::side::testing::{bearer, service_token};
use crate::worker::tests::{asking, publish, worker_asking};

async fn ask(client: &Client, method: Method, path: &str, fields: &[(&str, &str)]) -> h2::client::ResponseFuture {
    let mut requests = client.requests.clone().ready().await.unwrap();
    let mut request = Request::builder().method(method).uri(format!("https://{HOST}{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    requests.send_request(request.body(()).unwrap(), true).unwrap().0
}

async fn answer(client: &Client, method: Method, path: &str, fields: &[(&str, &str)]) -> (Response<()>, String) {
    let (head, mut body) = ask(client, method, path, fields).await.await.unwrap().into_parts();
    let body = String::from_utf8(read(&mut body).await.unwrap()).unwrap();
    (Response::from_parts(head, ()), body)
}

#[test]
fn the_rules_are_the_same_over_http_2() {
    in_the_simulator(70, async {
        let worker = worker_asking([service_token(1, None), service_token(2, None)]);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        let (first, second) = (bearer(1), bearer(2));
        let forged = [("x_postern_service", "root"), ("x-postern-service", "root"), ("remote-user", "root")];
        let fields = [&[("authorization", &*first)][..], &forged].concat();
        let (head, seen) = answer(&client, Method::GET, "/fields", &fields).await;
        assert_eq!(head.status(), 200, "{seen}");
        assert!(seen.contains("x-postern-service: machine1\n"), "{seen}");
        assert!(!seen.contains("root") && !seen.contains("authorization"), "{seen}");
        let twice = [("authorization", &*first), ("authorization", &*second)];
        for (fields, code) in [(&[][..], "sign-in-required"), (&twice, "access-token-invalid")] {
            let (head, body) = answer(&client, Method::GET, "/name", fields).await;
            assert!(head.status() == 401 && body.contains(code), "{body}");
            assert!(head.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="));
        }
        let place = "/.well-known/oauth-protected-resource";
        let (head, body) = answer(&client, Method::HEAD, place, &[]).await;
        assert_eq!((head.status(), body.as_str()), (StatusCode::OK, ""), "metadata, without content");
        assert_eq!(answer(&client, Method::DELETE, place, &[]).await.0.status(), 405);
    });
}

#[test]
fn a_permission_that_is_taken_back_resets_its_streams_and_no_others() {
    in_the_simulator(71, async {
        let worker = worker_asking([service_token(1, None), service_token(2, None)]);
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        let (first, second) = (bearer(1), bearer(2));
        let by = |bearer| [("authorization", bearer)];
        let waiting = ask(&client, Method::GET, "/slow", &by(&*first)).await;
        let reading = ask(&client, Method::GET, "/zeros/5000000", &by(&*first)).await;
        let mut reading = reading.await.unwrap().into_body();
        let mut other = ask(&client, Method::GET, "/zeros/5000000", &by(&*second)).await.await.unwrap().into_body();
        publish(&worker, asking([service_token(2, None)]));
        let begun = now();
        assert_eq!(waiting.await.unwrap().status(), 401);
        assert_eq!(read(&mut reading).await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
        assert!(now().since(begun) < Duration::from_millis(500), "{:?}", now().since(begun));
        assert_eq!(tunnel.open_streams(), 1);
        assert_eq!(read(&mut other).await.unwrap().len(), 5_000_000);
        assert_eq!(answer(&client, Method::GET, "/name", &by(&*second)).await.0.status(), 200);
    });
}

#[test]
fn a_websocket_is_refused_let_in_and_dismissed_as_over_http_1() {
    in_the_simulator(72, async {
        let worker = worker_asking([service_token(1, None)]);
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        assert_eq!(connect_websocket(&client, "/switch").await.0, StatusCode::UNAUTHORIZED);
        let (status, mut body, mut send) =
            connect_websocket_with(&client, "/switch", ("authorization", &bearer(1))).await;
        assert_eq!(status, StatusCode::OK);
        send.send_data(Bytes::from_static(b"\x81\x02hi"), false).unwrap();
        let mut echoed = 0;
        while echoed < 4 {
            echoed += body.data().await.unwrap().unwrap().len();
        }
        publish(&worker, asking([]));
        let rest = timeout(Duration::from_millis(900), read(&mut body)).await.unwrap().unwrap();
        assert_eq!(rest, [0x88, 2, 3, 0xf0], "1008, then the end");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(tunnel.open_streams(), 0);
    });
}
