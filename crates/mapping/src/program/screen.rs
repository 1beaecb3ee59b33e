//! What is looked at before VRL compiles a program: size, nesting, the operation budget, functions kept from programs.
//!
//! Never: judges types; VRL's compiler does.

use vrl::parser::ast::{
    Assignment, AssignmentOp, AssignmentTarget, Block, Container, Expr, FunctionCall, IfStatement, Literal,
    Node, Predicate, Query, QueryTarget, RootExpr, Unary,
};
use vrl::path::{OwnedValuePath, PathPrefix};

use super::Source;
use crate::diagnostic::Diagnostic;
use crate::functions;
use crate::value::Need;

/// Longest program, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;

/// How deep brackets may be nested: VRL's parser and runtime recurse.
pub const MAX_NESTING: usize = 48;

/// Highest cost of a program: its nodes, each 16 times as much for every closure around it.
///
/// That leaves room for 250,000 nodes in straight code, 15,000 in a loop, 970 in a loop within a loop within a loop.
pub const MAX_COST: u64 = 4_000_000;

/// How many operators, and how many `else`, one statement may have: each is a level of recursion.
const MAX_CHAIN: usize = 128;

/// How many segments the paths of one statement may have together.
const MAX_SEGMENTS: usize = 512;

/// What one closure multiplies the cost by.
const CLOSURE_FACTOR: u64 = 16;

/// A call in the program, so that a failure at run time can be told with the path of what was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallSite {
    /// Where the call begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The function.
    pub name: String,
    /// Keyword, if given, and text of each argument that is a path or a variable; nothing for other expressions.
    pub arguments: Vec<(Option<String>, Option<String>)>,
}

/// What a walk over a program found.
pub(super) struct Found {
    /// Its calls.
    pub calls: Vec<CallSite>,
    /// What it reads of its input.
    pub input: Need,
    /// What it reads of the metadata.
    pub metadata: Need,
}

/// Checks a text before it is parsed, so that no text can make the parser recurse too deep.
pub(super) fn text(source: Source<'_>) -> Result<(), Vec<Diagnostic>> {
    let refuse = |offset: usize, message: String, help: &str| {
        Err(vec![Diagnostic::new(source.file, message).at(source.text, offset).help(help)])
    };
    if source.text.len() > MAX_TEXT {
        return refuse(0, format!("the program is longer than {} KiB", MAX_TEXT / 1024), "split it");
    }
    let bytes = source.text.as_bytes();
    let mut levels = vec![Level::default()];
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        let Some(level) = levels.last_mut() else { break };
        match bytes[start] {
            b'#' => at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n),
            quote @ (b'"' | b'\'') => {
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                level.open = false;
            }
            b'(' | b'[' | b'{' => {
                if levels.len() > MAX_NESTING {
                    return refuse(
                        start,
                        format!("nested deeper than {MAX_NESTING} levels"),
                        "use variables",
                    );
                }
                levels.push(Level::default());
            }
            b')' | b']' | b'}' => {
                if levels.len() > 1 {
                    levels.pop();
                }
                if let Some(level) = levels.last_mut() {
                    level.open = false;
                }
            }
            b',' | b';' => *level = Level::default(),
            b'\n' => {
                let next =
                    bytes[at..].iter().position(|b| !b.is_ascii_whitespace()).map_or(bytes.len(), |n| at + n);
                let goes_on =
                    bytes.get(next).is_some_and(|b| is_operator(*b)) || bytes[next..].starts_with(b"else");
                if !level.open && !goes_on {
                    *level = Level::default();
                }
            }
            b'.' => level.segments += 1,
            byte if is_operator(byte) => {
                level.operators += 1;
                level.open = true;
            }
            byte if byte.is_ascii_alphabetic() => {
                let word =
                    bytes[start..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                level.operators += usize::from(&bytes[start..start + word] == b"else");
                level.open = false;
                at = start + word;
            }
            byte if !byte.is_ascii_whitespace() => level.open = false,
            _ => {}
        }
        if levels.last().is_some_and(|l| l.operators > MAX_CHAIN || l.segments > MAX_SEGMENTS) {
            let message = format!("more than {MAX_CHAIN} operators or branches in one statement");
            return refuse(start, message, "use variables, a reference map or a list and `includes`");
        }
    }
    Ok(())
}

/// What was counted at one level of brackets since the last statement began.
#[derive(Default, Clone, Copy)]
struct Level {
    operators: usize,
    segments: usize,
    open: bool,
}

fn is_operator(byte: u8) -> bool {
    b"+-*/|&=!<>?%".contains(&byte)
}

/// Walks a parsed program: counts its cost, refuses functions, and notes its calls.
pub(super) fn program(source: Source<'_>, ast: &vrl::parser::Program) -> Result<Found, Vec<Diagnostic>> {
    let found = Found { calls: Vec::new(), input: Need::default(), metadata: Need::default() };
    let mut walk = Walk { source, cost: 0, weight: 1, found, problems: Vec::new() };
    for root in ast.iter() {
        if let RootExpr::Expr(expr) = root.inner() {
            walk.expr(expr);
        }
    }
    if walk.cost > MAX_COST {
        let message =
            format!("the program's operation budget is exceeded: cost {}, at most {MAX_COST}", walk.cost);
        let help = "take loops out of loops: build an object keyed by what the inner loop looks for";
        walk.problems.push(Diagnostic::new(source.file, message).help(help));
    }
    if walk.problems.is_empty() { Ok(walk.found) } else { Err(walk.problems) }
}

struct Walk<'a> {
    source: Source<'a>,
    cost: u64,
    weight: u64,
    found: Found,
    problems: Vec<Diagnostic>,
}

impl Walk<'_> {
    fn problem(&mut self, offset: usize, message: String, help: &str) {
        let diagnostic = Diagnostic::new(self.source.file, message).at(self.source.text, offset).help(help);
        self.problems.push(diagnostic);
    }

    fn expr(&mut self, node: &Node<Expr>) {
        self.cost = self.cost.saturating_add(self.weight);
        match node.inner() {
            Expr::Literal(_) | Expr::Variable(_) | Expr::Break(_) => {}
            Expr::Container(container) => self.container(container.inner()),
            Expr::IfStatement(statement) => self.branches(statement.inner()),
            Expr::Op(op) => {
                let op = op.inner();
                self.expr(&op.0);
                self.expr(&op.2);
            }
            Expr::Assignment(assignment) => match assignment.inner() {
                Assignment::Single { target, op, expr } => {
                    self.target(target.inner(), op);
                    self.expr(expr);
                }
                Assignment::Infallible { ok, err, op, expr } => {
                    self.target(ok.inner(), op);
                    self.target(err.inner(), op);
                    self.expr(expr);
                }
            },
            Expr::Query(query) => self.query(query.inner()),
            Expr::FunctionCall(call) => self.call(call.start(), call.end(), call.inner()),
            Expr::Unary(unary) => {
                let Unary::Not(not) = unary.inner();
                let (_, expr) = not.inner().clone().take();
                self.expr(&expr);
            }
            Expr::Abort(abort) => {
                let message = abort.inner().message.as_deref();
                if message.is_some_and(|message| !is_plain_text(message.inner())) {
                    let message = "the message of `abort` must be a plain text".to_owned();
                    self.problem(abort.start(), message, "what is computed could carry a datum into a log");
                }
            }
            Expr::Return(value) => self.expr(&value.inner().expr),
        }
    }

    fn block(&mut self, block: &Block) {
        block.0.iter().for_each(|node| self.expr(node));
    }

    fn container(&mut self, container: &Container) {
        match container {
            Container::Group(group) => self.expr(&group.inner().0),
            Container::Block(block) => self.block(block.inner()),
            Container::Array(array) => array.inner().clone().into_iter().for_each(|node| self.expr(&node)),
            Container::Object(object) => {
                object.inner().clone().into_iter().for_each(|(_, node)| self.expr(&node))
            }
        }
    }

    fn branches(&mut self, statement: &IfStatement) {
        match statement.predicate.inner() {
            Predicate::One(expr) => self.expr(expr),
            Predicate::Many(exprs) => exprs.iter().for_each(|expr| self.expr(expr)),
        }
        self.block(statement.if_node.inner());
        if let Some(block) = &statement.else_node {
            self.block(block.inner());
        }
    }

    fn target(&mut self, target: &AssignmentTarget, op: &AssignmentOp) {
        match target {
            AssignmentTarget::Query(query) => self.query(query),
            AssignmentTarget::External(Some(path)) => self.reads(path.prefix, &path.path),
            // `. = x` replaces the input, `. |= x` adds to it.
            AssignmentTarget::External(None) if matches!(op, AssignmentOp::Merge) => self.reads_everything(),
            AssignmentTarget::External(None) | AssignmentTarget::Internal(..) | AssignmentTarget::Noop => {}
        }
    }

    fn query(&mut self, query: &Query) {
        match query.target.inner() {
            QueryTarget::FunctionCall(call) => self.call(query.target.start(), query.target.end(), call),
            QueryTarget::Container(container) => self.container(container),
            QueryTarget::External(prefix) => self.reads(*prefix, query.path.inner()),
            QueryTarget::Internal(_) => {}
        }
    }

    fn reads(&mut self, prefix: PathPrefix, path: &OwnedValuePath) {
        match prefix {
            PathPrefix::Event => self.found.input.add(path),
            PathPrefix::Metadata => self.found.metadata.add(path),
        }
    }

    fn reads_everything(&mut self) {
        self.found.input.add(&OwnedValuePath::root());
        self.found.metadata.add(&OwnedValuePath::root());
    }

    fn call(&mut self, start: usize, end: usize, call: &FunctionCall) {
        let name = call.ident.inner();
        if let Some((why, help)) = functions::refusal(name) {
            self.problem(start, format!("`{name}` cannot be called: {why}"), help);
        }
        if &**name == "unnest" {
            // It gives the whole of what the path is in.
            self.reads_everything();
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for (index, argument) in call.arguments.iter().enumerate() {
            let argument = argument.inner();
            let keyword = argument.ident.as_ref().map(|ident| ident.inner().to_string());
            let plain = index < 2 && keyword.as_deref() != Some("code");
            if &**name == "reject" && plain && !is_plain_text(argument.expr.inner()) {
                let message = "message and path of `reject` must be plain texts".to_owned();
                let help =
                    "name the code at fault with `code:`; anything else could carry a datum into a log";
                self.problem(argument.expr.start(), message, help);
            }
            let path = match argument.expr.inner() {
                Expr::Variable(_) => true,
                Expr::Query(query) => {
                    matches!(query.target.inner(), QueryTarget::Internal(_) | QueryTarget::External(_))
                }
                _ => false,
            };
            let text =
                self.source.text.get(argument.expr.start()..argument.expr.end()).unwrap_or_default().trim();
            arguments.push((keyword, (path && text.len() <= 120).then(|| text.to_owned())));
            self.expr(&argument.expr);
        }
        self.found.calls.push(CallSite { start, end, name: name.to_string(), arguments });
        if let Some(closure) = &call.closure {
            let weight = self.weight;
            self.weight = weight.saturating_mul(CLOSURE_FACTOR);
            self.block(closure.inner().block.inner());
            self.weight = weight;
        }
    }
}

/// Whether an expression is a text without anything put into it.
fn is_plain_text(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => match literal.inner() {
            Literal::String(template) => template.0.is_empty() || template.as_literal_string().is_some(),
            Literal::RawString(_) => true,
            _ => false,
        },
        _ => false,
    }
}
