//! The other side: a thread that has nothing to do with any GIL, and a stop-watch.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Longer than any server takes to answer that is still well.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client(UdpSocket);

impl Client {
    pub(crate) fn of(server: SocketAddr) -> io::Result<Client> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Client(socket))
    }

    fn exchange(&self, text: &[u8], answer: &mut [u8; 64]) -> io::Result<usize> {
        self.0.send(text)?;
        self.0.recv(answer)
    }

    /// How many steps a second those who compute do while `meanwhile` lasts.
    pub(crate) fn speed<T>(&self, meanwhile: impl FnOnce() -> io::Result<T>) -> io::Result<(f64, T)> {
        let (began, before) = (Instant::now(), self.steps()?);
        let done = meanwhile()?;
        let (after, took) = (self.steps()?, began.elapsed());
        Ok(((after - before) / took.as_secs_f64(), done))
    }

    fn steps(&self) -> io::Result<f64> {
        let mut answer = [0; 64];
        let length = self.exchange(b"?", &mut answer)?;
        let text = String::from_utf8_lossy(&answer[..length]);
        text.parse().map_err(|_| io::Error::other(format!("{text:?} is no number")))
    }

    /// How long round trips take, with a pause between them.
    pub(crate) fn round_trips(&self, window: Duration, pause: Duration) -> io::Result<Vec<Duration>> {
        let (until, mut answer, mut took) = (Instant::now() + window, [0; 64], Vec::new());
        for number in 0_u64.. {
            let began = Instant::now();
            if began >= until {
                break;
            }
            let text = number.to_le_bytes();
            let length = self.exchange(&text, &mut answer)?;
            took.push(began.elapsed());
            assert_eq!(&answer[..length], text, "that was no echo");
            lisle::thread::sleep(pause);
        }
        Ok(took)
    }

    /// Tells the server to end.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.0.send(b"!").map(drop)
    }
}
