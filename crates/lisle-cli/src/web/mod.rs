//! `lisle web`: a page in the browser, live.
//!
//! | file | what it does |
//! |---|---|
//! | `feed` | asks the program, once for all pages |
//! | `guard` | who may have what |
//! | `server` | answers |
//! | `page` | the document; its parts are in `page/` |

mod feed;
mod guard;
mod page;
#[cfg(test)]
mod play;
mod server;
#[cfg(test)]
mod tests;

use crate::client::Client;
use crate::print;
use crate::source::{Gone, Source};
use feed::Feed;
use guard::Secret;
use server::{Site, serve};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The process
    pid: u32,
    /// The port, on 127.0.0.1; by default one that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Also open the page in the browser
    #[arg(long)]
    open: bool,
    /// Leave out an interpreter's frames
    #[arg(long)]
    no_frames: bool,
}

/// A page that is ready to be served.
pub(crate) struct Web {
    listener: TcpListener,
    site: Arc<Site>,
}

impl Web {
    /// Takes the port and chooses a token. From now on a browser can connect.
    ///
    /// # Errors
    /// The port is taken or not for everybody, or the system has no random numbers or no more threads.
    pub(crate) fn new(source: Box<dyn Source>, port: u16) -> io::Result<Web> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let token = Secret::new().map_err(io::Error::other)?;
        Ok(Web { listener, site: Arc::new(Site { port, token, feed: Feed::start(source)? }) })
    }

    /// Where the page is, with the token.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.site.port, self.site.token)
    }

    /// Serves until the program is told to end: by Ctrl-C or `SIGTERM`.
    pub(crate) fn serve(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                never = serve(listener, self.site) => match never {},
                _ = terminate.recv() => Ok(()),
                interrupt = tokio::signal::ctrl_c() => interrupt,
            }
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Gone> {
    let mut client = Client::connect(arguments.pid)?;
    if let Some(note) = client.note() {
        crate::tell(&note);
    }
    client.with_frames = !arguments.no_frames;
    // The page says it when there is no answer, and goes on when there is one again.
    client.wait_for_ever()?;
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AddrInUse => Gone(format!("port {} is taken", arguments.port)),
        _ => Gone(format!("the page cannot be served: {error}")),
    };
    let web = Web::new(Box::new(client), arguments.port).map_err(failed)?;
    let url = web.url();
    print(&format!("{url}\n"))?;
    crate::tell("whoever has this URL can look at the program; Ctrl-C ends the page, not the program");
    let _file = arguments.open.then(|| open(&url));
    web.serve().map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the page in the browser, by a file that only this user can read: the arguments of a program, here of the
/// browser, are there for all to see. Says on stderr if that does not work.
fn open(url: &str) -> Option<Redirect> {
    let opened = Redirect::new(url).and_then(|file| {
        let quiet = Stdio::null;
        Command::new("xdg-open").arg(&file.0).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn()?;
        Ok(file)
    });
    opened.map_err(|error| crate::tell(&format!("no browser can be opened: xdg-open: {error}"))).ok()
}

/// A file that leads a browser to the page, as long as that is served.
struct Redirect(PathBuf);

impl Redirect {
    fn new(url: &str) -> io::Result<Redirect> {
        let above = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let name = Secret::new().map_err(io::Error::other)?;
        let folder = above.join(format!("lisle-web-{name}"));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let redirect = Redirect(folder.join("open.html"));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&redirect.0)?;
        // The URL is made of digits and letters: there is nothing to escape.
        writeln!(file, "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>lisle</title>")?;
        Ok(redirect)
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = self.0.parent().map(Path::new).map(fs::remove_dir);
    }
}
