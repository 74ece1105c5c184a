//! One error type for all layers: what the caller can do about it, not where it came from.

use std::fmt;

/// What a caller can do about an error. No transport status here: each dialect maps a kind once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input is well-formed but breaks a rule; [`Error::violations`] names the members.
    Invalid,
    /// The input cannot be read at all (not JSON, not gzip, ...).
    Malformed,
    /// No credential, or one that is not valid.
    Unauthenticated,
    /// A valid credential without the needed scope or role.
    Forbidden,
    /// The project's plan lacks the feature.
    PlanFeature,
    /// The project has as many of a thing as its plan allows.
    PlanLimit,
    /// The project has used up what its plan allows for a time. Carries seconds until it may go on.
    QuotaExceeded(u32),
    /// Too many requests. Carries seconds to wait.
    RateLimited(u32),
    /// There is no such thing for this caller (foreign and missing are the same).
    NotFound,
    /// A stored object that was there is not there any more: look up what replaced it. Never reaches a caller of the service.
    Gone,
    /// The state of the thing forbids the call.
    Conflict,
    /// The same call is being answered right now: it can be repeated in a moment.
    InFlight,
    /// The same idempotency key was used with another body.
    KeyReused,
    /// The input is larger than a named limit.
    TooLarge,
    /// The method is not served at this path.
    MethodNotAllowed,
    /// The media type or content coding is not served.
    Unsupported,
    /// Try again later: a budget or a dependency is exhausted. Carries seconds to wait.
    Unavailable(u32),
    /// There is no room on the disk. Carries seconds to wait.
    StorageFull(u32),
    /// The disk did not confirm a write: what it holds is unknown, and the process must end.
    SyncFailed,
    /// Stored bytes contradict each other: never answered as if they were good.
    Corrupt,
    /// A defect on our side.
    Internal,
}

/// One broken rule: which member of the input, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 0-based index of the event in a batch, if the input was one.
    pub index: Option<usize>,
    /// 1-based line of the input, if it was line-oriented.
    pub line: Option<usize>,
    /// Dotted path of the member, for example `actor.id`; empty for the whole.
    pub member: String,
    /// A sentence for people.
    pub message: String,
}

impl Violation {
    /// A violation of one member.
    pub fn new(member: impl Into<String>, message: impl Into<String>) -> Self {
        Self { index: None, line: None, member: member.into(), message: message.into() }
    }
}

/// An error with a message for the caller and, apart from it, one for the operator.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    public: String,
    internal: Option<String>,
    violations: Vec<Violation>,
    may_have_happened: bool,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error whose message may be shown to the caller.
    pub fn new(kind: Kind, public: impl Into<String>) -> Self {
        Self { kind, public: public.into(), internal: None, violations: Vec::new(), may_have_happened: false }
    }
    /// Broken rules of the input; the first one becomes the message.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let public = match violations.first() {
            Some(v) if !v.member.is_empty() => format!("{}: {}", v.member, v.message),
            Some(v) => v.message.clone(),
            None => "The input is not valid.".to_owned(),
        };
        Self { violations, ..Self::new(Kind::Invalid, public) }
    }
    /// One broken rule.
    pub fn invalid_member(member: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Violation::new(member, message)])
    }
    /// Nothing there for this caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found."))
    }
    /// A defect or an unexpected failure; `internal` goes to the log, never to the caller.
    pub fn internal(internal: impl fmt::Display) -> Self {
        Self { internal: Some(internal.to_string()), ..Self::new(Kind::Internal, "Something went wrong on the server.") }
    }
    /// Stored bytes that fail a check; `internal` says which, for the operator.
    pub fn corrupt(internal: impl fmt::Display) -> Self {
        Self { internal: Some(internal.to_string()), ..Self::new(Kind::Corrupt, "Stored data failed an integrity check. Run `indelible doctor`.") }
    }
    /// Adds the operator's message.
    #[must_use]
    pub fn with_internal(mut self, internal: impl fmt::Display) -> Self {
        self.internal = Some(internal.to_string());
        self
    }
    /// Marks that the effect may have happened although it was not confirmed.
    #[must_use]
    pub fn maybe_happened(mut self) -> Self {
        self.may_have_happened = true;
        self
    }
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// The message for the caller.
    pub fn public(&self) -> &str {
        &self.public
    }
    /// The message for the operator, if there is more to say.
    pub fn internal_message(&self) -> Option<&str> {
        self.internal.as_deref()
    }
    /// The broken rules, for [`Kind::Invalid`].
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
    /// True if the effect may have happened: retry only with the same idempotency key.
    pub fn may_have_happened(&self) -> bool {
        self.may_have_happened
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)?;
        if let Some(internal) = &self.internal {
            write!(f, " ({internal})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
