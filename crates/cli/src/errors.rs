//! What the user is told when something fails, and the exit code.
//!
//! Policy: `error:` says what was wrong, `hint:` what to do. Every failure has one of the codes of [`Exit`].
//! Never: holds a secret or a personal datum.

use std::process::ExitCode;

use counterpart_hub::config::ConfigError;
use counterpart_hub::error::HubError;
use counterpart_web::ServeError;
use serde::Serialize;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something unforeseen.
    Unexpected = 1,
    /// What was given makes no sense.
    BadInput = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// Problems or differences were found.
    Problems = 4,
    /// Something needed is not available.
    Unavailable = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What was wrong.
    #[serde(rename = "error")]
    pub what: String,
    /// Each thing that is wrong, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code.
    #[serde(rename = "exit_code", serialize_with = "code")]
    pub exit: Exit,
}

fn code<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}

impl Failure {
    /// A failure whose text may end in what to do, after the last semicolon.
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        let (what, hint) = match text.rsplit_once("; ") {
            Some((what, hint)) => (what.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        Self { what, problems: Vec::new(), hint, exit }
    }

    /// Something unforeseen.
    pub fn unexpected(text: impl Into<String>) -> Self {
        Self::new(Exit::Unexpected, text)
    }

    /// What was given makes no sense.
    pub fn bad_input(text: impl Into<String>) -> Self {
        Self::new(Exit::BadInput, text)
    }

    /// What was asked for is not there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, text)
    }

    /// Something needed is not available.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, text)
    }

    /// Problems were found.
    pub fn problems(what: &str, problems: Vec<String>) -> Self {
        Self::list(Exit::Problems, what, problems).hint("put them right, then try again")
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn list(exit: Exit, what: &str, problems: Vec<String>) -> Self {
        Self { what: what.to_owned(), problems, hint: None, exit }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let text = error.to_string();
        match error {
            HubError::Config(error) => error.into(),
            HubError::Secret(_) | HubError::BadInput(_) => Self::bad_input(text),
            HubError::NotFound(_) => Self::not_found(text),
            HubError::Refused(problems) => {
                Self::list(Exit::Problems, "what is declared cannot run", problems)
                    .hint("put it right, then try again")
            }
            HubError::Conflict(_) => Self::new(Exit::Problems, text),
            HubError::NothingApplied => Self::new(Exit::Unavailable, "nothing is applied yet")
                .hint("run `counterpart check`, then `counterpart apply`"),
            HubError::Unavailable(_) => Self::new(Exit::Unavailable, text),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let text = error.to_string();
        match error {
            ConfigError::Read { path, source } => {
                let hint = if path.extension().is_some_and(|e| e == "toml") {
                    "`counterpart init` writes a first configuration file; `--config FILE` names one somewhere else"
                } else {
                    "the configuration names it: put it there, or take its name out"
                };
                let what = format!("cannot read {}: {source}", path.display());
                Self { what, problems: Vec::new(), hint: Some(hint.into()), exit: Exit::BadInput }
            }
            ConfigError::Parse { .. } => {
                Self { what: text, problems: Vec::new(), hint: None, exit: Exit::BadInput }
                    .hint("the message begins with file, line and column")
            }
            ConfigError::Invalid(problems) => {
                Self::list(Exit::BadInput, "the configuration contradicts itself", problems)
            }
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let text = error.to_string();
        match error {
            ServeError::BadAddress(address) => {
                Self::bad_input(format!("`{address}` is not an address to listen on"))
                    .hint("write it as `listen = \"127.0.0.1:7070\"` under [hub]")
            }
            ServeError::InUse { host, port } => Self::new(
                Exit::Unavailable,
                format!("port {port} of {host} is in use"),
            )
            .hint(
                "stop what listens there (perhaps another Counterpart), or set another `listen` under [hub]",
            ),
            ServeError::Listen { .. } => {
                Self::new(Exit::Unavailable, text).hint("check `listen` under [hub]")
            }
            ServeError::Serve(_) | ServeError::Metrics(_) => Self::unexpected(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: Failure, exit: Exit, what: &str, hint: Option<&str>) {
        assert_eq!((failure.exit, &*failure.what, failure.hint.as_deref()), (exit, what, hint));
    }

    #[test]
    fn every_error_of_the_hub_has_its_code() {
        check(HubError::NotFound("no x; look".into()).into(), Exit::NotFound, "no x", Some("look"));
        check(HubError::BadInput("x".into()).into(), Exit::BadInput, "x", None);
        check(HubError::Conflict("x".into()).into(), Exit::Problems, "x", None);
        check(HubError::Unavailable("x".into()).into(), Exit::Unavailable, "x", None);
        let refused = Failure::from(HubError::Refused(vec!["a".into(), "b".into()]));
        assert_eq!((refused.exit, refused.problems.len()), (Exit::Problems, 2));
    }
}
