//! Programs: compiled once, run as often as needed, by any number of threads.
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::Diagnostic;

/// A program's text and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// File, or the configuration key that holds the text.
    pub file: &'a str,
    /// VRL.
    pub text: &'a str,
}

/// What a program must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Anything.
    Any,
    /// True or false.
    Bool,
    /// An object.
    Object,
    /// An array.
    Array,
    /// A read mapping's output: `{"changes": [...]}`.
    Changes,
    /// A request, or null, or what a step may give in its place.
    Request,
}

/// A compiled program.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    file: String,
    expect: Expect,
}

/// Why a run gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The mapping said that the datum is not acceptable.
    Rejected,
    /// A reference map has no entry for a code.
    MissingReference {
        /// Name of the map.
        map: String,
        /// The code without an entry.
        code: String,
    },
    /// The mapping stopped itself with `abort`.
    Aborted,
    /// A function or operator could not take what it was given.
    Failed,
    /// The result is not what the program must give.
    WrongType,
    /// Too much input, or too many operations on it.
    Budget,
}

/// A run that gave nothing, with its place; no datum but a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// Why.
    pub kind: RunErrorKind,
    /// The program's file.
    pub file: String,
    /// Line from 1; 0 when unknown.
    pub line: usize,
    /// Column from 1; 0 when unknown.
    pub column: usize,
    /// Path of the datum at fault, as the program names it, such as `.lines[0].qty`.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::diagnostic::place(f, &self.file, self.line, self.column)?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for RunError {}

/// Compiles a program.
///
/// # Errors
/// Every problem found.
pub fn compile(source: Source<'_>, expect: Expect) -> Result<Program, Vec<Diagnostic>> {
    Ok(Program(Arc::new(Inner { file: source.file.to_owned(), expect })))
}

impl Program {
    /// Runs the program: `.` is the input, `%` the metadata.
    ///
    /// # Errors
    /// When the program rejects the input, cannot take it or gives what it must not give.
    pub fn run(&self, input: &Value, metadata: &Value) -> Result<Value, RunError> {
        let _ = metadata;
        Ok(input.clone())
    }

    /// Hash of the text and of the functions' version, hex.
    pub fn hash(&self) -> String {
        String::new()
    }

    /// The file it came from.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// What it must give.
    pub fn expect(&self) -> Expect {
        self.0.expect
    }
}
