//! What is measured: a program of which one thread at a time may run, with a thread that answers datagrams
//! and threads that compute.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use lisle::gil::{Figures, Gil, GilToken};
use lisle::thread::{Builder, JoinHandle, Thread};

use crate::lua::{Answer, Function, Interpreter};

/// As CPython's.
pub(crate) const SWITCH_INTERVAL: Duration = Duration::from_millis(5);

/// A server that runs. It ends when it is told "!".
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    running: Running,
}

enum Running {
    Here(Vec<JoinHandle<()>>, Shared),
    Child(Child),
}

/// What the threads of a server in this process share.
struct Common {
    socket: UdpSocket,
    steps: AtomicU64,
    over: AtomicBool,
    what: What,
}

type Shared = Arc<Common>;

enum What {
    Lua(Interpreter),
    Bare(Box<Gil>),
}

impl Common {
    fn gil(&self) -> &Gil {
        match &self.what {
            What::Lua(interpreter) => interpreter.gil(),
            What::Bare(gil) => gil,
        }
    }

    fn receive(&self, token: &mut GilToken<'_>) -> ([u8; 64], usize) {
        let mut text = [0; 64];
        let (length, from) = token.detach(|| self.socket.recv_from(&mut text)).expect("datagrams can be received");
        // One client at a time: from here on answers go there.
        self.socket.connect(from).expect("the client is there");
        (text, length)
    }

    fn send(&self, token: &mut GilToken<'_>, text: &[u8]) {
        token.detach(|| self.socket.send(text)).expect("datagrams can be sent");
    }

    /// Has done a step. Whether it was the last.
    fn step(&self) -> bool {
        // Of those who are attached there is one: nobody else adds meanwhile.
        self.steps.store(self.steps.load(Relaxed) + 1, Relaxed);
        self.over.load(Relaxed)
    }
}

/// The functions that the scripts call.
macro_rules! function {
    ($name:ident, |$common:ident, $token:ident, $argument:ident| $body:expr) => {
        struct $name(Shared);

        impl Function for $name {
            fn call(&self, $token: &mut GilToken<'_>, $argument: &[u8]) -> Answer {
                let $common = &self.0;
                $body
            }
        }
    };
}

function!(Receive, |common, token, _argument| {
    let (text, length) = common.receive(token);
    Answer::Text(text, length)
});
function!(Send, |common, token, argument| {
    common.send(token, argument);
    Answer::Nothing
});
function!(Steps, |common, _token, _argument| Answer::Number(common.steps.load(Relaxed)));
function!(Step, |common, _token, _argument| Answer::Bool(common.step()));

/// A thread that answers.
fn answer(common: &Shared) {
    match &common.what {
        What::Lua(interpreter) => {
            let (receive, send, steps) = (Receive(common.clone()), Send(common.clone()), Steps(common.clone()));
            let functions: [(_, &dyn Function); 3] = [("receive", &receive), ("send", &send), ("steps", &steps)];
            interpreter.run("echo.lua", include_str!("echo.lua"), &functions).expect("the script is in order");
        }
        What::Bare(gil) => {
            let mut token = gil.attach();
            loop {
                let (text, length) = common.receive(&mut token);
                match &text[..length] {
                    b"!" => break,
                    b"?" => common.send(&mut token, common.steps.load(Relaxed).to_string().as_bytes()),
                    text => common.send(&mut token, text),
                }
            }
        }
    }
    common.over.store(true, Relaxed);
}

/// A thread that computes.
fn compute(common: &Shared) {
    match &common.what {
        What::Lua(interpreter) => {
            let step = Step(common.clone());
            interpreter
                .run("compute.lua", include_str!("compute.lua"), &[("step", &step)])
                .expect("the script is in order");
        }
        What::Bare(gil) => {
            let mut token = gil.attach();
            let mut x = 1_u64;
            while !common.step() {
                for _ in 0..100 {
                    x = std::hint::black_box(x.wrapping_mul(16_807));
                }
                token.checkpoint();
            }
        }
    }
}

fn here(threads: usize, what: What) -> io::Result<Server> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    let address = socket.local_addr()?;
    let common: Shared = Arc::new(Common { socket, steps: AtomicU64::new(0), over: AtomicBool::new(false), what });
    let spawn = |name: String, run: fn(&Shared)| {
        let common = common.clone();
        Builder::new().name(name).spawn(move || run(&common))
    };
    let mut running = vec![spawn("echo".into(), answer)?];
    for number in 1..=threads {
        running.push(spawn(format!("compute-{number}"), compute)?);
    }
    Ok(Server { address, running: Running::Here(running, common) })
}

/// A Lua state that these threads share.
pub(crate) fn lua(threads: usize) -> io::Result<Server> {
    here(threads, What::Lua(Interpreter::new(SWITCH_INTERVAL)))
}

/// Loops that have nothing in common but the GIL.
pub(crate) fn bare(threads: usize) -> io::Result<Server> {
    here(threads, What::Bare(Box::new(Gil::named(SWITCH_INTERVAL, "bare loop"))))
}

/// The same in Python.
pub(crate) fn python(python: &str, threads: usize) -> io::Result<Server> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/convoy.py");
    let mut child = Command::new(python).args([script, &threads.to_string()]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().expect("it is piped")), &mut line)?;
    let port = line.trim().parse::<u16>().map_err(|_| io::Error::other(format!("{python} said no port: {line:?}")))?;
    Ok(Server { address: ([127, 0, 0, 1], port).into(), running: Running::Child(child) })
}

impl Server {
    /// What each thread has had of the GIL, if that is known.
    pub(crate) fn figures(&self) -> Vec<(Thread, Figures)> {
        match &self.running {
            Running::Here(_, common) => common.gil().figures(),
            Running::Child(_) => Vec::new(),
        }
    }

    /// Waits for the end of a server that was told to end.
    pub(crate) fn join(self) -> io::Result<()> {
        match self.running {
            Running::Here(threads, _) => {
                threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"))
            }
            Running::Child(mut child) => drop(child.wait()?),
        }
        Ok(())
    }
}
