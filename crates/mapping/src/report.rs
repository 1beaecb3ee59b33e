//! Tries a program on a sample and says what is wrong.
//!
//! Never: stops at the first problem where there are more; keeps the sample.

use counterpart_model::check::{self, Problem};
use counterpart_model::kind::Kind;
use serde::Serialize;
use serde_json::Value;

use crate::changes::read_changes;
use crate::diagnostic::Diagnostic;
use crate::json::read_json;
use crate::program::{Expect, Program};

/// What a program made of a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// What came out, when the program ran to its end.
    pub output: Option<Value>,
    /// What is wrong: where in the program, or the path of the datum in what came out, and what was expected.
    pub problems: Vec<Diagnostic>,
}

/// Tries a program on a sample.
///
/// Every change of a read mapping is held against its kind's canonical shape, as far as it says something; the result of
/// any other program is held against `expect` as a whole record, when that is given. A read mapping that gives no change
/// of the kind expected is a problem too.
pub fn try_mapping(program: &Program, sample: &[u8], metadata: &Value, expect: Option<Kind>) -> Report {
    let failed = |problem: Diagnostic| Report { ok: false, output: None, problems: vec![problem] };
    let input = match read_json(sample) {
        Ok(input) => input,
        Err(error) => {
            let message = format!(
                "the sample is no JSON: line {}, column {}: {}",
                error.line, error.column, error.message
            );
            return failed(Diagnostic::new(program.file(), message));
        }
    };
    let output = match program.run(&input, metadata) {
        Ok(output) => output,
        Err(error) => return failed(error.into()),
    };
    let problems = match (program.expect(), expect) {
        (Expect::Changes, expect) => changes(&output, expect),
        (_, Some(kind)) => check::check(kind, &output).err().unwrap_or_default(),
        (_, None) => Vec::new(),
    };
    let problems: Vec<_> = problems.into_iter().map(|problem| diagnostic(program, problem)).collect();
    Report { ok: problems.is_empty(), output: Some(output), problems }
}

fn changes(output: &Value, expect: Option<Kind>) -> Vec<Problem> {
    let changes = match read_changes(output) {
        Ok(changes) => changes,
        Err(problems) => return problems,
    };
    let mut problems = Vec::new();
    for (index, change) in changes.iter().enumerate().filter(|(_, change)| !change.deleted) {
        for mut problem in check::check_partial(change.kind, &change.payload).err().unwrap_or_default() {
            let joint = if problem.path.is_empty() || problem.path.starts_with('[') { "" } else { "." };
            problem.path = format!("changes[{index}].payload{joint}{}", problem.path);
            problems.push(problem);
        }
    }
    if let Some(kind) = expect.filter(|kind| changes.iter().all(|change| change.kind != *kind)) {
        let message = format!("no change of kind `{}` came out", kind.as_str());
        problems.push(Problem { path: "changes".into(), message, expected: "one at least".into() });
    }
    problems
}

fn diagnostic(program: &Program, problem: Problem) -> Diagnostic {
    Diagnostic::new(program.file(), problem.message).path(problem.path).expected(problem.expected)
}
