//! How workers end, and how tunnels take each other's place: nobody loses what was begun.

use postern_io::Task;

use super::super::context::ListenProtocol;
use super::super::drain::DrainState;
use super::*;

/// A worker, and the task that attends its mailbox.
type Attended = (Rc<Worker>, Task<()>);

/// So many workers of one process, each attending its mailbox.
fn attended(count: u16) -> (Drain, Vec<Attended>) {
    let drain = Drain::default();
    let (sides, receiver) = crate::side::channel(count);
    std::mem::forget(receiver);
    let config = published();
    let all = sides.into_iter().zip(Peers::mesh(count)).zip(0..count).map(|((side, peers), index)| {
        let worker = Worker::new(WorkerParts {
            index,
            workers: count,
            generation: 1,
            side,
            config: config.clone(),
            senders: peers.senders,
            drain: drain.clone(),
            load: WorkerLoad::plain(),
            limits: WorkerLimits { connections_max: 10_000 },
            drops: SourceDrops::default(),
        });
        worker.wake_on_change();
        let task = spawn(Rc::clone(&worker).attend(peers.inbox));
        (worker, task)
    });
    let all = all.collect();
    (drain, all)
}

fn moment() -> impl Future<Output = ()> {
    sleep(Duration::from_millis(50))
}

#[test]
fn a_worker_with_nothing_to_do_ends_and_a_busy_one_serves_what_was_begun() {
    in_the_simulator(30, async {
        const OTHERS: &str = "10.0.0.2:443";
        let (drain, mut workers) = attended(2);
        let (idle, idle_task) = workers.remove(1);
        let (busy, busy_task) = workers.remove(0);
        serve_clients(&busy);
        serve_clients_at(&idle, OTHERS);
        connect(&busy, 1).await;
        connect(&idle, 2).await;
        let mut uploading = Client::new().await;
        uploading
            .stream
            .queue(format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 8\r\n\r\nhalf").as_bytes());
        let mut asking = Client::new().await;
        asking.stream.queue(b"GET /name HT");
        let mut kept = Client::at(OTHERS).await;
        kept.get("/name");
        assert_eq!(kept.response().await.unwrap().1, b"c1-2");
        moment().await;

        drain.advance(DrainState::Draining);
        assert!(kept.more().await.is_err(), "a connection without a request is closed");
        drop(kept);
        timeout(Duration::from_secs(1), idle_task).await.expect("the idle worker ends");
        sleep(Duration::from_secs(5)).await;
        assert!(!busy_task.is_finished(), "the idle worker took the busy one along");
        assert_eq!(drain.state(), DrainState::Draining);

        asking.stream.queue(format!("TP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes());
        let (head, body) = asking.response().await.unwrap();
        assert_eq!((head.status, body.as_slice()), (200, &b"c1-1"[..]));
        assert!(!busy_task.is_finished(), "one more request is not answered yet");
        uploading.stream.queue(b"+rest");
        let (head, body) = uploading.response().await.unwrap();
        assert_eq!((head.status, body.as_slice()), (200, &b"half+res"[..]));
        assert!(uploading.more().await.is_err(), "its connection ends with it");
        drop((uploading, asking));
        timeout(Duration::from_secs(10), busy_task).await.expect("the busy worker ends, too, once it is idle");
    });
}

#[test]
fn being_told_to_end_ends_a_busy_worker() {
    in_the_simulator(31, async {
        let (drain, mut workers) = attended(1);
        let (worker, task) = workers.remove(0);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = Client::new().await;
        client.get("/slow");
        moment().await;
        drain.advance(DrainState::Draining);
        sleep(Duration::from_secs(3)).await;
        assert!(!task.is_finished());
        drain.advance(DrainState::Ended);
        timeout(Duration::from_secs(1), task).await.unwrap();
    });
}

#[test]
fn whoever_no_longer_waits_for_the_drain_leaves_nothing_behind() {
    in_the_simulator(32, async {
        let (drain, workers) = attended(1);
        let worker = &workers[0].0;
        let watching = || worker.drain_watchers.borrow().len();
        serve_clients(worker);
        connect(worker, 1).await;
        let listener = Listener::sim("10.0.0.3:443".parse().unwrap()).unwrap();
        spawn(super::super::accept::accept_all(Rc::clone(worker), listener, ListenProtocol::Tls)).detach();
        moment().await;
        assert_eq!(watching(), 1, "the listener's");

        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Client::new().await;
            for _ in 0..10 {
                client.get("/name");
                client.response().await.unwrap();
            }
            // One accepted connection after the other: each ends a wait of the listener's.
            drop(Client::at("10.0.0.3:443").await);
            clients.push(client);
        }
        moment().await;
        assert_eq!(watching(), 21, "each idle connection's");
        clients.truncate(5);
        moment().await;
        assert_eq!(watching(), 6);
        drain.advance(DrainState::Draining);
        for client in &mut clients {
            assert!(client.more().await.is_err());
        }
        assert_eq!(watching(), 0);
    });
}

#[test]
fn a_tunnel_is_replaced_once_the_newer_one_is_online_and_not_before() {
    in_the_simulator(33, async {
        let (_drain, workers) = attended(1);
        let worker = &workers[0].0;
        serve_clients(worker);
        let (older, told) = dial(worker, 1, connector_address(1)).await;
        online(&older).await;
        let mut client = Client::new().await;

        // One that never comes online takes nothing over.
        let (lost, _) = dial(worker, 1, connector_address(2)).await;
        sim::stall_connections_to(connector_address(2), true);
        sleep(Duration::from_secs(2)).await;
        assert_eq!((older.health(), lost.health()), (Health::Online, Health::Connecting));
        client.get("/name");
        assert_eq!(client.response().await.unwrap().0.status, 200);
        sim::reset_connections_to(connector_address(2));
        sim::stall_connections_to(connector_address(2), false);
        moment().await;
        assert_eq!((older.health(), lost.health()), (Health::Online, Health::Gone));
        assert_eq!(*told.borrow(), []);

        // A request on the older one outlives its replacement.
        client.stream.queue(format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 4\r\n\r\nab").as_bytes());
        moment().await;
        let (newer, newer_told) = dial(worker, 1, connector_address(3)).await;
        assert_eq!(older.health(), Health::Online);
        online(&newer).await;
        moment().await;
        assert_eq!(older.health(), Health::Draining);
        assert_eq!(
            (told.borrow().as_slice(), newer_told.borrow().as_slice()),
            (&[GoAwayReason::REPLACED][..], &[][..])
        );
        assert_eq!((older.open_streams(), newer.open_streams()), (1, 0));
        client.stream.queue(b"cd");
        assert_eq!(client.response().await.unwrap().1, b"abcd");
        client.get("/name");
        assert_eq!(client.response().await.unwrap().0.status, 200);
        assert_eq!(newer.health(), Health::Online);
    });
}
