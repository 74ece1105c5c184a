//! Accepts connections and ends them in good order.
//!
//! Promises: after the shutdown signal no new connection is taken, requests in flight get time to finish, and the call returns.
//! Never: waits for ever for a client, neither for its headers nor for it to read.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::peer::Socket;
use crate::stall::Stall;

/// A client sends the head of its request within this time.
const HEAD: Duration = Duration::from_secs(20);
/// Requests in flight at the shutdown get this long.
const DRAIN: Duration = Duration::from_secs(30);
/// A client that takes nothing of a waiting answer for so long is gone. The kernel holds some megabytes for it: at 1 kB/s these last most of an hour.
const STALLED: Duration = Duration::from_secs(3600);
/// Pause after a failed accept (mostly: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 64;

/// Serves `router` until `shutdown` is ready, then drains.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((socket, from)) => {
                connections.spawn(connection(socket, from, router.clone(), stopped.clone()));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    if timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(left = connections.len(), "connections were cut off at shutdown");
    }
    Ok(())
}

async fn connection(socket: TcpStream, from: SocketAddr, router: Router, mut stopped: watch::Receiver<bool>) {
    // An answer's last bytes must not wait for an acknowledgement; without the option the answer is only slower.
    let _slower = socket.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Socket(from.ip()));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Stall::new(socket, STALLED)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = async { stopped.wait_for(|stop| *stop).await.is_ok() } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended early");
    }
}
