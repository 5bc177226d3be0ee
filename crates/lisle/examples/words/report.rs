//! The words, on stdout, and all else there is to say, on stderr.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};

use crate::collect::Sums;
use crate::figures::number_of;
use crate::problem::reason;
use crate::text::Counts;

/// So many words are printed.
const MOST: usize = 20;

/// All that there is to say.
pub(crate) struct Report {
    pub(crate) sums: Sums,
    pub(crate) elapsed: Duration,
    pub(crate) ended: Ended,
}

/// How it came to its end.
pub(crate) struct Ended {
    /// The signal that stopped it.
    pub(crate) signal: Option<i32>,
    /// Who counted: `2 threads`.
    pub(crate) workers: String,
}

impl Report {
    /// Prints it all, and says with what the program ends.
    pub(crate) fn print(&self) -> Result<ExitCode, String> {
        let written =
            write!(io::stdout(), "{}", most_frequent(&self.sums.all.words)).and_then(|()| io::stdout().flush());
        match written {
            Err(why) if why.kind() != ErrorKind::BrokenPipe => {
                return Err(format!("cannot write the words: {}", reason(&why)));
            }
            _ => {} // who reads no more (`words | head -1`) has what they wanted
        }
        // Where stderr is closed, there is nobody to tell.
        let _ = write!(io::stderr(), "{self}");
        Ok(self.exit_code())
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.ended.signal {
            Some(signal) => 128 + signal as u8, // as shells say it
            None if self.sums.lost > 0 || self.sums.refused => 2,
            None if self.sums.not_read > 0 => 1,
            None => 0,
        })
    }
}

/// The figures.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sums { all, calls, not_read, directory_links, lost, .. } = &self.sums;
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{}, {} in {seconds:.2} s: {}/s, {} files/s",
            number_of(all.texts, "text file"),
            DecimalBytes(all.bytes),
            DecimalBytes((all.bytes as f64 / seconds) as u64),
            HumanCount(((all.texts + all.binaries) as f64 / seconds) as u64),
        )?;
        let words = all.words.values().sum();
        writeln!(f, "{}, {} different ones", number_of(words, "word"), HumanCount(all.words.len() as u64))?;
        writeln!(f, "{} of {}", number_of(*calls, "call"), self.ended.workers)?;
        if all.binaries > 0 {
            writeln!(f, "{} skipped", number_of(all.binaries, "binary file"))?;
        }
        if *directory_links > 0 {
            writeln!(f, "{} not followed", number_of(*directory_links, "directory link"))?;
        }
        if *not_read > 0 {
            writeln!(f, "{} not read (named above)", HumanCount(*not_read))?;
        }
        if *lost > 0 {
            writeln!(f, "words: {} not counted (see above): the words are not complete", number_of(*lost, "file"))?;
        }
        if self.ended.signal.is_some() {
            writeln!(f, "words: stopped by a signal: the words are those of the files finished until then")?;
        }
        Ok(())
    }
}

/// The most frequent words, a line each.
fn most_frequent(counts: &Counts) -> String {
    let mut words: Vec<_> = counts.iter().map(|(word, &count)| (Reverse(count), word)).collect();
    if words.len() > MOST {
        words.select_nth_unstable(MOST);
        words.truncate(MOST);
    }
    words.sort_unstable();
    let mut lines = String::new();
    for (Reverse(count), word) in words {
        let _ = writeln!(lines, "{count} {word}");
    }
    lines
}
