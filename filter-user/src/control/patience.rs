//! Patience with clients that do not read: a connection whose answer is not taken in time ends, so
//! that it holds no place that others wait for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection on which everything that is written must have gone out within a time. What counts is
/// the whole of an answer, or of a piece of a stream: who takes a byte now and then does not delay
/// the end.
pub(super) struct Patient<Io> {
    io: Io,
    limit: Duration,
    end: Pin<Box<Sleep>>,
    /// Something was written and has not all gone out.
    waits: bool,
}

impl<Io> Patient<Io> {
    /// Must be called inside tokio.
    pub(super) fn new(io: Io, limit: Duration) -> Self {
        Self { io, limit, end: Box::pin(sleep(limit)), waits: false }
    }

    /// Ends the connection when what was written has waited for too long.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.waits {
            self.waits = true;
            self.end.as_mut().reset(Instant::now() + self.limit);
        }
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => {
                let told = format!("the client did not take its answer within {:?}", self.limit);
                Err(io::Error::new(io::ErrorKind::TimedOut, told))
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Patient<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Patient<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(context));
        self.waits = false;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    use super::super::http;

    use super::*;

    /// More than the buffers of a connection over loopback hold.
    const LARGE: usize = 32 << 20;
    const GENEROUS: Duration = Duration::from_secs(30);

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("writes");
        stream
    }

    #[test]
    fn who_does_not_read_keeps_nobody_waiting() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            let address = listener.local_addr().expect("an address");
            let router = Router::new()
                .route("/large", get(|| async { vec![b'x'; LARGE] }))
                .route("/small", get(|| async { "small" }));
            let (_end, ending) = watch::channel(false);
            let limits = http::Limits { connections: 2, taken: Duration::from_millis(300) };
            tokio::spawn(http::serve(listener, limits, move |_| router.clone(), ending));

            // Both places are taken by clients that do not read.
            let idle = [ask(address, "/large").await, ask(address, "/large").await];
            let mut third = ask(address, "/small").await;
            let mut answer = String::new();
            let answered = third.read_to_string(&mut answer);
            tokio::time::timeout(GENEROUS, answered).await.expect("in time").expect("reads");
            assert!(answer.ends_with("small"), "{answer}");
            for mut stream in idle {
                let mut rest = Vec::new();
                // Cut off: by its end, or by a reset.
                let _cut = stream.read_to_end(&mut rest).await;
                assert!(rest.len() < LARGE, "all {} bytes came", rest.len());
            }

            // Who reads gets all of it.
            let mut reader = ask(address, "/large").await;
            let mut all = Vec::new();
            let read = reader.read_to_end(&mut all);
            tokio::time::timeout(GENEROUS, read).await.expect("in time").expect("reads");
            assert!(all.len() > LARGE, "{} bytes", all.len());
        });
    }
}
