//! `lisle trace`: what threads do for some seconds, as a file that Perfetto opens.

use crate::client::Client;
use crate::source::{Gone, Source};
use crate::{print, tell};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lisle::watch::perfetto::{Writer, Written};
use lisle::watch::wire::Trace;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The process
    pid: u32,
    /// How long to record; Ctrl-C ends it earlier
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "trace.json")]
    output: PathBuf,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Where the parts of a trace come from: an agent, or what a test makes up.
trait Parts {
    fn next(&mut self) -> Result<Trace, Gone>;

    /// The parts that follow are the rest.
    fn stop(&mut self) -> Result<(), Gone>;
}

impl Parts for Client {
    fn next(&mut self) -> Result<Trace, Gone> {
        self.next_trace()
    }

    fn stop(&mut self) -> Result<(), Gone> {
        self.stop_trace()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Gone> {
    let mut client = Client::connect(arguments.pid)?;
    if let Some(note) = client.note() {
        tell(&note);
    }
    let process = client.snapshot()?.process;
    let path = &arguments.output;
    let cannot = |error: io::Error| Gone(format!("{} cannot be written: {error}", path.display()));
    let file = File::create(path).map_err(cannot)?;
    let command = process.command.join(" ");
    let writer = Writer::new(BufWriter::new(file), process.pid, &command).map_err(cannot)?;
    let enough = end_early().map_err(|error| Gone(format!("signals cannot be heeded: {error}")))?;
    client.start_trace()?;
    let bar = bar(arguments.seconds, &format!("process {}", process.pid));
    let recorded = record(&mut client, writer, arguments.seconds, &enough, |written, elapsed| {
        bar.set_position(elapsed.as_millis() as u64);
        bar.set_message(events(written));
    });
    bar.finish_and_clear();
    let Recorded { written, took, why } = recorded.map_err(cannot)?;
    if let Some(why) = why {
        if written.events == 0 && written.threads == 0 {
            let _ = std::fs::remove_file(path);
            return Err(why);
        }
        tell(&format!("the trace ends early: {why}"));
    }
    print(&closing(path, written, took))?;
    Ok(ExitCode::SUCCESS)
}

/// Set by Ctrl-C or SIGTERM, the second of which ends this program.
fn end_early() -> io::Result<Arc<AtomicBool>> {
    let enough = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, enough.clone())?;
        flag::register(signal, enough.clone())?;
    }
    Ok(enough)
}

/// How it went.
struct Recorded {
    written: Written,
    took: Duration,
    /// Why the rest is missing, if it is.
    why: Option<Gone>,
}

/// Writes the parts to the end: that of the time, or when it is enough, or when there are no more. The file is
/// whole in any case.
fn record<W: Write>(
    parts: &mut impl Parts,
    mut writer: Writer<W>,
    limit: Duration,
    enough: &AtomicBool,
    mut progress: impl FnMut(Written, Duration),
) -> io::Result<Recorded> {
    let begin = Instant::now();
    let mut took = None;
    let why = loop {
        let elapsed = begin.elapsed();
        if took.is_none() && (elapsed >= limit || enough.load(Ordering::Relaxed)) {
            took = Some(elapsed);
            if let Err(why) = parts.stop() {
                break Some(why);
            }
        }
        match parts.next() {
            Ok(part) => writer.add(&part)?,
            Err(why) => break Some(why),
        }
        if writer.is_complete() {
            break None;
        }
        progress(writer.written(), elapsed.min(limit));
    };
    let took = took.unwrap_or_else(|| begin.elapsed());
    let (_, written) = writer.finish()?;
    Ok(Recorded { written, took, why })
}

fn bar(length: Duration, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length.as_millis() as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} {bar:20} {elapsed} {msg}").expect("it is one");
    bar.with_style(style).with_prefix(what.to_owned())
}

fn events(written: Written) -> String {
    let lost = match written.dropped {
        0 => String::new(),
        lost => format!(", {} lost", HumanCount(lost)),
    };
    format!("{} events{lost}", HumanCount(written.events))
}

/// The last line, and how to go on.
fn closing(path: &Path, written: Written, took: Duration) -> String {
    let threads = match written.threads {
        1 => "1 thread".to_owned(),
        n => format!("{} threads", HumanCount(n)),
    };
    let (path, size) = (path.display(), HumanBytes(written.bytes));
    let lost = match written.dropped {
        0 => "none lost".to_owned(),
        lost => format!("{} lost: the program makes more than can be read", HumanCount(lost)),
    };
    format!(
        "{path}: {} events of {threads} in {:.1} s, {lost}; {size}\n\
         Open it at https://ui.perfetto.dev (\"Open trace file\"; it stays on your machine) or chrome://tracing.\n",
        HumanCount(written.events),
        took.as_secs_f64(),
    )
}
