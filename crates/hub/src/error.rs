//! What can go wrong when the hub is asked for something, with what the user sees and what to do.
//!
//! Never: holds a secret or a personal datum.

/// Why the hub could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] crate::secrets::SecretError),
    /// Nothing goes by that name.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense; what is wrong and what to do.
    #[error("{0}")]
    BadInput(String),
    /// What was declared cannot be run; every problem is listed.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// Someone else changed it meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// No revision has been applied.
    #[error("nothing is applied yet: run `counterpart plan`, then `counterpart apply`")]
    NothingApplied,
    /// The database, or something else that is away.
    #[error("{0}")]
    Unavailable(String),
}

impl From<counterpart_store::StoreError> for HubError {
    fn from(error: counterpart_store::StoreError) -> Self {
        use counterpart_store::StoreError as E;
        match error {
            E::Conflict { .. } => Self::Conflict(error.to_string()),
            E::NotFound { .. } => Self::NotFound(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// No such connection, or its connector takes no webhooks.
    #[error("no connection of that name takes webhooks")]
    UnknownConnection,
    /// The signature is missing, wrong or too old.
    #[error("{0}")]
    BadSignature(String),
    /// Neither topic nor event id can be found in it.
    #[error("{0}")]
    Unreadable(String),
    /// It could not be made durable; the sender should try again.
    #[error("{0}")]
    Unavailable(String),
}
