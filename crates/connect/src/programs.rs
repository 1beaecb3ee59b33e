//! A folder's programs, compiled: VRL, or a plain path where that is all there is.
//!
//! Never: knows a manifest's keys by heart; [`crate::places`] lists them.

use std::collections::HashMap;

use counterpart_mapping::diagnostic::Diagnostic;
use counterpart_mapping::program::{Expect, Program, RunError, RunErrorKind, Source, compile};
use serde_json::Value;

use crate::manifest::Code;
use crate::path::Path;

/// One program, ready to run.
#[derive(Clone)]
pub enum Expr {
    /// A path only: no need to start the interpreter for every item of a page.
    Path(Path),
    /// A VRL program.
    Program(Program),
}

impl Expr {
    /// Runs it.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run(&self, input: &Value, meta: &Value) -> Result<Value, RunError> {
        match self {
            Self::Path(path) => Ok(path.find(input).cloned().unwrap_or(Value::Null)),
            Self::Program(program) => program.run(input, meta),
        }
    }
}

/// Every program of a folder, by the place in the manifest that names it.
#[derive(Clone, Default)]
pub struct Programs(HashMap<(String, usize), Expr>);

impl Programs {
    /// Compiles one program. `text` is the whole of it, `file` and `line` say where it stands.
    ///
    /// # Errors
    /// Every problem found, with file, line and column.
    pub fn add(
        &mut self,
        code: &Code,
        file: &str,
        text: &str,
        expect: Expect,
    ) -> Result<(), Vec<Diagnostic>> {
        // A path cannot promise a type, so those that must give a bool are compiled.
        let plain =
            matches!(expect, Expect::Any | Expect::Array).then(|| text.trim().parse::<Path>().ok()).flatten();
        let expr = match plain.filter(|path| !path.has_any()) {
            Some(path) => Expr::Path(path),
            None => Expr::Program(compile(Source { file, text }, expect)?),
        };
        self.0.insert((code.text.clone(), code.offset), expr);
        Ok(())
    }

    /// Runs the program that a place of the manifest names.
    ///
    /// # Errors
    /// As [`Program::run`]; also when the place was never compiled, which loading a folder makes impossible.
    pub fn run(&self, code: &Code, input: &Value, meta: &Value) -> Result<Value, RunError> {
        let key = (code.text.clone(), code.offset);
        let expr = self.0.get(&key).ok_or_else(|| RunError {
            kind: RunErrorKind::Failed,
            file: code.file().unwrap_or("connector.toml").to_owned(),
            line: 0,
            column: 0,
            path: None,
            message: "the program was not compiled".into(),
            help: None,
        })?;
        expr.run(input, meta)
    }

    /// The VRL program of a place; `None` for a plain path.
    pub fn program(&self, code: &Code) -> Option<&Program> {
        match self.0.get(&(code.text.clone(), code.offset))? {
            Expr::Program(program) => Some(program),
            Expr::Path(_) => None,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} programs", self.len())
    }
}
