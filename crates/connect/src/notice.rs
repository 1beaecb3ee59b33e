//! Sends mail over SMTP.
//!
//! Never: speaks without encryption to a server that is not on this machine; holds a template.

use counterpart_model::redact::Redacted;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption.
    pub security: Security,
    /// Sender.
    pub from: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Redacted<String>>,
}

/// Encryption of the way to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From the first byte (port 465).
    Tls,
    /// After STARTTLS, which is required (port 587).
    StartTls,
    /// None; loopback only.
    None,
}

/// Why mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
    /// The server did not take it.
    #[error("the mail server did not take the message: {0}")]
    Refused(String),
}

/// Sends mail.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for a server.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(smtp: Smtp) -> Result<Self, MailError> {
        let bad = |what: String| MailError::Settings(what);
        let from = smtp.from.parse().map_err(|_| bad("`from` is no e-mail address".into()))?;
        type Transport = AsyncSmtpTransport<Tokio1Executor>;
        let builder = match smtp.security {
            Security::Tls => Transport::relay(&smtp.host),
            Security::StartTls => Transport::starttls_relay(&smtp.host),
            Security::None if is_loopback(&smtp.host) => Ok(Transport::builder_dangerous(&smtp.host)),
            Security::None => {
                return Err(bad(
                    "`security = \"none\"` is for a server on this machine only: use starttls or tls".into(),
                ));
            }
        };
        let mut builder = builder.map_err(|e| bad(e.to_string()))?.port(smtp.port);
        if let (Some(user), Some(password)) = (smtp.user, smtp.password) {
            builder = builder.credentials(Credentials::new(user, password.into_inner()));
        }
        let timeout = std::time::Duration::from_secs(20);
        Ok(Self { transport: builder.timeout(Some(timeout)).build(), from })
    }

    /// Sends one message to a list, each recipient seeing only that it went to the sender.
    ///
    /// # Errors
    /// When an address is none or the server does not take it.
    pub async fn send(&self, to: &[String], subject: &str, text: &str) -> Result<(), MailError> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(self.from.clone())
            .subject(subject)
            .header(ContentType::TEXT_PLAIN);
        for address in to {
            let address = address
                .parse()
                .map_err(|_| MailError::Settings("a recipient is no e-mail address".into()))?;
            message = message.bcc(address);
        }
        let message = message.body(text.to_owned()).map_err(|e| MailError::Settings(e.to_string()))?;
        self.transport.send(message).await.map(drop).map_err(|e| MailError::Refused(e.to_string()))
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a text is an e-mail address.
pub fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}
