//! What a word is, and which words a file has.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::str;

use crate::walk::open;

/// So much is read at a time.
const CHUNK: usize = 128 * 1024;

/// A longer run of letters is data: some encodings have no others.
const LONGEST: usize = 100;

pub(crate) type Counts = HashMap<String, u64>;

/// Adds `count` to a word's. Allocates only for a word that is new.
pub(crate) fn add(counts: &mut Counts, word: &str, count: u64) {
    match counts.get_mut(word) {
        Some(known) => *known += count,
        None => _ = counts.insert(word.to_owned(), count),
    }
}

/// What a file turned out to be.
pub(crate) enum Content {
    Text,
    Binary,
    /// It was left before its end.
    Unfinished,
}

/// Reads files, with one buffer for all.
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Reader { buffer: vec![0; CHUNK] }
    }

    /// Adds the words of a file to `counts`: all of them if it is text to its end, else none.
    /// `bytes` counts what was read on the way, also to an error. Asks `go_on` before each chunk.
    pub(crate) fn count(
        &mut self,
        path: &Path,
        counts: &mut Counts,
        bytes: &mut u64,
        go_on: impl Fn() -> bool,
    ) -> io::Result<Content> {
        let (mut file, _) = open(path)?;
        let mut words = Words::default();
        // Of a file of more than one chunk, whose end may yet show that it is binary.
        let mut own = Counts::new();
        let mut kept = 0; // bytes of a character that the last chunk cut in two
        for chunk in 0.. {
            if !go_on() {
                return Ok(Content::Unfinished);
            }
            let read = fill(&mut file, &mut self.buffer[kept..])?;
            *bytes += read as u64;
            let filled = kept + read;
            let last = filled < self.buffer.len();
            let Some(text) = text_of(&self.buffer[..filled], last) else { return Ok(Content::Binary) };
            let counts = if chunk == 0 && last { &mut *counts } else { &mut own };
            words.feed(text, counts);
            if last {
                words.end(counts);
                break;
            }
            kept = filled - text.len();
            self.buffer.copy_within(filled - kept..filled, 0);
        }
        own.iter().for_each(|(word, &count)| add(counts, word, count));
        Ok(Content::Text)
    }
}

/// Reads until the buffer is full or the file has come to its end.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The bytes as text, without a character that is not complete yet; `None` if they are none.
fn text_of(bytes: &[u8], last: bool) -> Option<&str> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !last => str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!text.as_bytes().contains(&0)).then_some(text)
}

/// Finds the words in a text that comes in pieces.
#[derive(Default)]
struct Words {
    /// The word so far, in small letters as far as those of ASCII go.
    word: String,
    /// Whether the last character was an apostrophe after a letter.
    apostrophe: bool,
    /// The length so far in characters, counted a little beyond the longest only.
    length: usize,
}

impl Words {
    fn feed(&mut self, text: &str, counts: &mut Counts) {
        for c in text.chars() {
            if c.is_alphabetic() {
                if self.apostrophe {
                    self.apostrophe = false;
                    self.push('\'');
                }
                self.push(c.to_ascii_lowercase());
            } else if matches!(c, '\'' | '’') && self.length > 0 && !self.apostrophe {
                self.apostrophe = true;
            } else {
                self.end(counts);
            }
        }
    }

    fn push(&mut self, c: char) {
        if self.length <= LONGEST {
            self.length += 1;
            self.word.push(c);
        }
    }

    /// The text has ended, or the word.
    fn end(&mut self, counts: &mut Counts) {
        if (1..=LONGEST).contains(&self.length) {
            match self.word.is_ascii() {
                true => add(counts, &self.word, 1),
                false => add(counts, &self.word.to_lowercase(), 1),
            }
        }
        self.word.clear();
        (self.apostrophe, self.length) = (false, 0);
    }
}
