//! Programs: compiled once, run as often as needed, by any number of threads.
//!
//! Never: compiles anything while running; lets VRL's own texts about a value out, which repeat it.

mod expect;
mod fault;
mod screen;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use sha2::{Digest, Sha256};
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::{ExternalEnv, LocalEnv, RuntimeState};
use vrl::compiler::{CompileConfig, Compiler, Function, TimeZone, TypeState};
use vrl::parser::ast::{Expr, QueryTarget, RootExpr};
use vrl::path::{OwnedTargetPath, OwnedValuePath, PathPrefix};

use crate::diagnostic::{Diagnostic, place};
use crate::functions;
use crate::value::{self, Scope};

pub use screen::{MAX_COST, MAX_NESTING, MAX_TEXT};

/// How many expressions one run may evaluate: an order of 10,000 lines with 1,000 for each.
pub const MAX_OPERATIONS: u64 = 10_000_000;

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

/// A compiled program; cloning it is cheap.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    file: String,
    text: String,
    hash: String,
    expect: Expect,
    plan: Plan,
    found: screen::Found,
}

/// How a program is run.
enum Plan {
    /// It is nothing but a path into the input.
    Path(OwnedValuePath),
    /// It is a VRL program.
    Vrl(Box<vrl::compiler::Program>),
}

/// Why a run gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The mapping said that the datum is not acceptable.
    Rejected,
    /// A reference map has no entry for a code.
    MissingReference {
        /// Name of the map.
        map: Box<str>,
        /// The code without an entry.
        code: Box<str>,
    },
    /// The mapping stopped itself with `abort`.
    Aborted,
    /// A function or an operator could not take what it was given.
    Failed,
    /// The result is not what the program must give.
    WrongType,
    /// Too large an input, or too many operations on it.
    Budget,
}

/// A run that gave nothing, with its place in the program; no datum but a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// Why.
    pub kind: RunErrorKind,
    /// The program's file.
    pub file: String,
    /// Line from 1; 0 when unknown.
    pub line: u32,
    /// Column from 1, in characters; 0 when unknown.
    pub column: u32,
    /// Path of the datum at fault, as the program names it (`line.qty`, `.lines[0].sku`) or as the result has it.
    pub path: Option<Box<str>>,
    /// What is wrong.
    pub message: Box<str>,
    /// What to do.
    pub help: Option<Box<str>>,
}

impl fmt::Display for RunError {
    /// `file:line:column: path: message; help`; what is unknown is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line as usize, self.column as usize)?;
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for RunError {}

impl From<RunError> for Diagnostic {
    fn from(error: RunError) -> Self {
        let RunError { file, line, column, path, message, help, .. } = error;
        let (line, column) = (line as usize, column as usize);
        Self {
            file,
            line,
            column,
            path: path.map(Into::into),
            message: message.into(),
            expected: None,
            help: help.map(Into::into),
        }
    }
}

/// Every function there is for programs.
static FUNCTIONS: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(functions::all);

/// Compiles a program: syntax, types, functions, the operation budget, and the type of its result.
///
/// # Errors
/// Every problem found, each with its place.
pub fn compile(source: Source<'_>, expect: Expect) -> Result<Program, Vec<Diagnostic>> {
    screen::text(source)?;
    let ast = vrl::parser::parse(source.text).map_err(|error| {
        let error: Box<dyn vrl::diagnostic::DiagnosticMessage> = Box::new(error);
        vec![fault::compile_time(source, error.into())]
    })?;
    let found = screen::program(source, &ast)?;
    let path = only_a_path(&ast);
    let state = TypeState { local: LocalEnv::default(), external: ExternalEnv::default() };
    let mut config = CompileConfig::default();
    config.set_read_only_path(OwnedTargetPath::metadata_root(), true);
    config.disable_unused_expression_check();
    let compiled = Compiler::compile(&FUNCTIONS, ast, &state, config);
    let program = match compiled {
        Ok(compiled) => compiled.program,
        Err(list) => {
            let problems = list.into_iter().filter(vrl::diagnostic::Diagnostic::is_problem);
            return Err(problems.map(|problem| fault::compile_time(source, problem)).collect());
        }
    };
    expect::check_type(source, &program, expect)?;
    let mut hash = Sha256::new();
    hash.update(format!("mapping {}\0", functions::VERSION));
    hash.update(source.text);
    Ok(Program(Arc::new(Inner {
        file: source.file.to_owned(),
        text: source.text.to_owned(),
        hash: hex::encode(hash.finalize()),
        expect,
        plan: path.map_or_else(|| Plan::Vrl(Box::new(program)), Plan::Path),
        found,
    })))
}

/// The path, when a program is nothing but one into the input: such programs run without VRL.
fn only_a_path(ast: &vrl::parser::Program) -> Option<OwnedValuePath> {
    let [only] = &**ast else { return None };
    match only.inner() {
        RootExpr::Expr(node) => match node.inner() {
            Expr::Query(query) => match query.target.inner() {
                QueryTarget::External(PathPrefix::Event) => Some(query.path.inner().clone()),
                _ => None,
            },
            _ => None,
        },
        RootExpr::Error(_) => None,
    }
}

impl Program {
    /// Runs the program: `.` is the input, `%` the metadata (settings, maps, `now` and so on).
    ///
    /// The input is not changed; what the program assigns to `.` is its own. Numbers of the input that are no safe
    /// integers reach it as decimal strings.
    ///
    /// # Errors
    /// When the program rejects the input, cannot take it, or gives what it must not give.
    pub fn run(&self, input: &Value, metadata: &Value) -> Result<Value, RunError> {
        let inner = &*self.0;
        let output = match &inner.plan {
            Plan::Path(path) => {
                let mut output = value::at(input, path).cloned().unwrap_or(Value::Null);
                crate::json::make_lossless(&mut output);
                output
            }
            Plan::Vrl(program) => self.evaluate(program, input, metadata)?,
        };
        expect::check_value(&output, inner.expect).map_err(|(message, help)| RunError {
            help: help.map(Into::into),
            ..self.error(RunErrorKind::WrongType, message)
        })?;
        Ok(output)
    }

    fn evaluate(
        &self,
        program: &vrl::compiler::Program,
        input: &Value,
        metadata: &Value,
    ) -> Result<Value, RunError> {
        let found = &self.0.found;
        let too_large = |_| {
            let message = format!("the input has more than {} values", value::MAX_VALUES);
            self.error(RunErrorKind::Budget, message)
        };
        let mut scope = Scope::new((input, &found.input), (metadata, &found.metadata)).map_err(too_large)?;
        let mut left = MAX_OPERATIONS;
        let mut control = || match left.checked_sub(1) {
            Some(rest) => {
                left = rest;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        };
        let mut runtime = Runtime::new(RuntimeState::default());
        let output = runtime.resolve_with_control(&mut scope, program, &utc(), &mut control);
        let output = output.map_err(|stop| match stop {
            Terminate::Interrupted => {
                let message = format!("more than {MAX_OPERATIONS} operations on this input");
                let help = "a loop in a loop over the same long list does this: index one of them first";
                RunError { help: Some(help.into()), ..self.error(RunErrorKind::Budget, message) }
            }
            Terminate::Abort(error) | Terminate::Error(error) => fault::run_time(self, input, error),
        })?;
        value::into_json(output).map_err(|(path, what)| {
            let help = "keep the decimal string; `/` gives a floating-point number, `decimal_div` does not";
            let error = self.error(RunErrorKind::WrongType, format!("the result holds {what}"));
            RunError {
                path: Some(path).filter(|path| !path.is_empty()).map(Into::into),
                help: Some(help.into()),
                ..error
            }
        })
    }

    /// Hash of the text and of the functions' version: 64 hexadecimal digits.
    pub fn hash(&self) -> String {
        self.0.hash.clone()
    }

    /// The file it came from.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it must give.
    pub fn expect(&self) -> Expect {
        self.0.expect
    }

    fn error(&self, kind: RunErrorKind, message: impl Into<Box<str>>) -> RunError {
        let (file, message) = (self.0.file.clone(), message.into());
        RunError { kind, file, line: 0, column: 0, path: None, message, help: None }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("file", &self.0.file)
            .field("hash", &self.0.hash)
            .finish_non_exhaustive()
    }
}

/// The zone that VRL reads a text without an offset in; its default would look into the machine's settings.
fn utc() -> TimeZone {
    static UTC: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::parse("UTC").unwrap_or_default());
    *UTC
}
