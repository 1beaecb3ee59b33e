//! What is wrong with a program, or with what came out of it, with its place.
//!
//! Never: holds a datum of a payload; paths, types and codes only.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The program's file, or the configuration key that holds it.
    pub file: String,
    /// Line from 1; 0 when unknown.
    pub line: usize,
    /// Column from 1, in characters; 0 when unknown.
    pub column: usize,
    /// Path of the datum at fault, such as `changes[0].payload.lines[0].item`.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What should stand there.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic about a file as a whole.
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        let (file, message) = (file.into(), message.into());
        Self { file, line: 0, column: 0, path: None, message, expected: None, help: None }
    }

    /// At a byte offset of the program's text.
    #[must_use]
    pub fn at(mut self, text: &str, offset: usize) -> Self {
        (self.line, self.column) = line_and_column(text.as_bytes(), offset);
        self
    }

    /// With the path of the datum at fault.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into()).filter(|path| !path.is_empty());
        self
    }

    /// With what should stand there; an empty text says nothing.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into()).filter(|expected| !expected.is_empty());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`; an unknown place is left out, path and help are added.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.column)?;
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// Writes `file:line:column: `, as far as it is known.
pub(crate) fn place(f: &mut fmt::Formatter<'_>, file: &str, line: usize, column: usize) -> fmt::Result {
    if line == 0 { write!(f, "{file}: ") } else { write!(f, "{file}:{line}:{column}: ") }
}

/// Line and column, both from 1, of a byte offset; the column counts characters.
pub(crate) fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    // Bytes that continue a character are not counted.
    let column = before[start..].iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
    (line, column)
}
