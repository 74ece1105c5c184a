//! What only a server can do to a node: end its connections, be away, stop in the middle of a commit.

use std::time::{Duration, Instant};

use indelible_model::Kind;

use super::*;

const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_restarted_server_is_met_without_an_error() {
    let bench = Bench::new(Home::server().await).await;
    // Several idle connections, all of them dead.
    let many = [bench.store.read().await.unwrap(), bench.store.read().await.unwrap(), bench.store.read().await.unwrap()];
    drop(many);
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.home.raw(END).await;
    assert_eq!(bench.store.glance().await.unwrap().project_list().await.unwrap().len(), 2);
    bench.home.raw(END).await;
    fill(&bench.store, &[(1, 5)]).await;
    bench.home.raw(END).await;
    assert_eq!(bench.store.read().await.unwrap().log_head(P, LOG).await.unwrap(), Some(head(5, 1)));
    bench.end().await;
}

#[tokio::test]
async fn a_transaction_that_lost_its_connection_never_was() {
    let bench = Bench::new(Home::server().await).await;
    let mut tx = bench.store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    bench.home.raw(END).await;
    let error = tx.log_append(P, LOG, &[batch(1, 5)], &head(5, 1), at(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable(2), false));
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    tx.log_append(P, LOG, &[batch(1, 5)], &head(5, 1), at(1)).await.unwrap();
    bench.home.raw(END).await;
    // The outcome of this commit cannot be known.
    let error = tx.commit().await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable(2), true));
    fill(&bench.store, &[(1, 3)]).await;
    bench.end().await;
}

#[tokio::test]
async fn a_node_hears_again_after_it_lost_its_connection() {
    let bench = Bench::new(Home::server().await).await;
    let node = bench.node().await;
    while node.wake().wait(Duration::from_millis(1000)).await {}
    bench.home.raw(END).await;
    // Coming back rings by itself, for what was missed.
    assert!(node.wake().wait(Duration::from_secs(20)).await);
    bench.end().await;
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_given_up() {
    let bench = Bench::new(Home::server().await).await;
    append_next(&bench.store, P, 1, 1).await;
    let mut holder = bench.store.write().await.unwrap();
    holder.log_lock(P, &GENESIS).await.unwrap().unwrap();
    let began = Instant::now();
    assert_eq!(bench.store.write().await.unwrap().log_lock(P, &GENESIS).await.unwrap(), None);
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    // Nor are the logs of a project without any made while another makes them.
    let mut maker = bench.store.write().await.unwrap();
    maker.log_lock(Q, &GENESIS).await.unwrap().unwrap();
    let mut late = bench.store.write().await.unwrap();
    assert_eq!(late.log_lock(Q, &GENESIS).await.unwrap(), None);
    assert_eq!(late.commit().await.unwrap_err().kind(), Kind::Internal);
    // A statement that was given up must not be followed by a commit.
    let mut tx = bench.store.write().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), tx.log_lock(P, &GENESIS)).await.is_err());
    assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Internal);
    drop((holder, maker));
    bench.end().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_told_without_its_address() {
    let database = Database::Server { url: "postgres://user:hunter2@127.0.0.1:1/db?password=hunter2".into(), connections: 4 };
    let began = Instant::now();
    let error = Store::open(&database, true).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable(2));
    assert!(began.elapsed() < Duration::from_secs(5));
    let bad = Database::Server { url: "postgres://user:hunter2@127.0.0.1:port/db".into(), connections: 4 };
    let told = format!("{database:?} {error:?} {bad:?} {:?}", Store::migrate(&bad).await.unwrap_err());
    assert!(!told.contains("hunter2") && !told.contains("127.0.0.1"), "{told}");
}

/// As a server that was demoted: what is connected to it is closed, so that the next connection finds the one that takes writes.
#[tokio::test]
async fn a_server_that_only_reads_is_left() {
    let bench = Bench::new(Home::server().await).await;
    append_next(&bench.store, P, 1, 1).await;
    let (url, name) = bench.home.drop.as_ref().unwrap();
    admin(url, format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    bench.home.raw(END).await;
    let some = [bench.store.write().await.unwrap(), bench.store.write().await.unwrap(), bench.store.write().await.unwrap()];
    for mut tx in some {
        let error = tx.log_lock(P, &GENESIS).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable(2), false));
    }
    assert!(!bench.store.glance().await.unwrap().writable().await.unwrap());
    let error = bench.store.write().await.unwrap().mark_set("m", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable(2));
    admin(url, format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    // The glance before left one more, which the next write closes.
    let mut left = 0;
    while bench.store.write().await.unwrap().log_lock(P, &GENESIS).await.is_err() {
        left += 1;
    }
    assert!(left <= 1, "{left}");
    for _ in 0..8 {
        append_next(&bench.store, P, 1, 1).await;
    }
    assert!(bench.store.glance().await.unwrap().writable().await.unwrap());
    bench.end().await;
}

/// A server that takes bytes and says nothing, as a frozen one does.
#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let bench = Bench::new(Home::server().await).await;
    let Database::Server { url, .. } = &bench.home.database else { unreachable!() };
    let options = PgConnectOptions::from_str(url).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (frozen, is_frozen) = tokio::sync::watch::channel(false);
    let to = format!("{}:{}", options.get_host(), options.get_port());
    assert!(url.contains(&to), "the URL of the tests names host and port");
    let through = url.replacen(&to, &format!("127.0.0.1:{port}"), 1);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (to, mut frozen) = (to.clone(), is_frozen.clone());
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(to).await.unwrap();
                let open = async {
                    while !*frozen.borrow() {
                        if frozen.changed().await.is_err() {
                            break;
                        }
                    }
                };
                let ended = tokio::select! {
                    done = tokio::io::copy_bidirectional(&mut near, &mut far) => done.is_ok() || done.is_err(),
                    () = open => false,
                };
                if !ended {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    let database = Database::Server { url: through, connections: 4 };
    let store = Store::open(&database, false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    let mut glance = store.glance().await.unwrap();
    frozen.send(true).unwrap();
    for what in 0..3 {
        let began = Instant::now();
        let error = match what {
            0 => store.write().await.map(drop).unwrap_err(),
            1 => store.read().await.map(drop).unwrap_err(),
            _ => glance.project_list().await.map(drop).unwrap_err(),
        };
        assert_eq!(error.kind(), Kind::Unavailable(2));
        assert!(began.elapsed() < Duration::from_millis(4800), "{what}: {:?}", began.elapsed());
    }
    drop(tx);
    bench.end().await;
}

#[tokio::test]
async fn sessions_confirm_what_is_on_disk() {
    let bench = Bench::new(Home::server().await).await;
    let mut tx = bench.store.write().await.unwrap();
    for (setting, value) in
        [("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "1s"), ("transaction_read_only", "off"), ("application_name", "indelible")]
    {
        let row = tx.conn.one("SELECT current_setting($1)", crate::db::args![setting]).await.unwrap();
        assert_eq!(row.get::<String>(0).unwrap(), value, "{setting}");
    }
    drop(tx);
    bench.end().await;
}
