//! What a provider's claims mean here. Never: a person by their e-mail address, or a right that the file does not give.

use std::sync::Arc;

use serde_json::Value;

use super::config::OidcProvider;
use crate::caller::Role;
use crate::members::{check_binding, check_email};
use crate::tokens::jwt::{Claims, Refusal};

pub(super) const MAX_SUBJECT: usize = 255;
const MAX_TEXT: usize = 200;
const MAX_ORGANIZATIONS: usize = 1000;
/// In the claim of organizations: the whole project.
const EVERY: &str = "*";

/// Who a provider says that somebody is, checked.
#[derive(Clone, Debug)]
pub(crate) struct ForeignClaims {
    pub(super) provider: Arc<OidcProvider>,
    pub(super) subject: String,
    /// The second in which they were made; 0 if they do not tell.
    pub(super) issued_at: i64,
    /// Only if the provider says that it is theirs.
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) role: Said<Role>,
    pub(super) organizations: Said<Option<Vec<String>>>,
}

/// What claims say about a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// They are not asked: it is settled here.
    Unasked,
    /// Nothing that gives a right.
    Nothing,
    This(T),
}

/// A role, and the organizations that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) role: Role,
    pub(super) organizations: Option<Vec<String>>,
}

impl ForeignClaims {
    pub(super) fn read(provider: &Arc<OidcProvider>, claims: &Claims) -> Result<Self, Refusal> {
        let subject = claims.text("sub")?;
        if subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
            return Err(Refusal::Claim("sub"));
        }
        let text = |name: &'static str| claims.text(name).ok().filter(|t| t.len() <= MAX_TEXT && !t.chars().any(char::is_control)).map(str::to_owned);
        let role = match &provider.roles_claim {
            None => Said::Unasked,
            Some(path) => {
                let values = claims.find(path).map(texts).unwrap_or_default();
                // The most that one of them gives.
                let role = Role::ALL.into_iter().find(|role| values.iter().any(|v| provider.roles.get(*v) == Some(role)));
                role.or(provider.default_role).map_or(Said::Nothing, Said::This)
            }
        };
        let organizations = match &provider.organizations_claim {
            None => Said::Unasked,
            Some(path) => {
                let mut values: Vec<_> = claims.find(path).map(texts).unwrap_or_default().into_iter().filter(|v| !v.is_empty() && v.len() <= MAX_TEXT).map(str::to_owned).collect();
                values.sort_unstable();
                values.dedup();
                match values.len() {
                    0 => Said::Nothing,
                    _ if values.iter().any(|v| v == EVERY) => Said::This(None),
                    1..=MAX_ORGANIZATIONS => Said::This(Some(values)),
                    _ => Said::Nothing,
                }
            }
        };
        // An address that anybody could claim must not become a member's: administrators find members by it.
        let verified = claims.find("email_verified").is_some_and(|v| *v == true || *v == "true");
        let email = text("email").filter(|_| verified).and_then(|e| check_email(&e).ok());
        #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is the last or the first one")]
        let issued_at = claims.find("iat").and_then(Value::as_f64).unwrap_or(0.0) as i64;
        Ok(Self { provider: Arc::clone(provider), subject: subject.to_owned(), issued_at, email, name: text("name"), role, organizations })
    }
    /// What the person may do now, given what they might do before; `None` if nothing.
    pub(super) fn rights(&self, before: Option<&Rights>) -> Option<Rights> {
        let role = match &self.role {
            Said::Unasked => before.map(|b| b.role).or(self.provider.default_role)?,
            Said::Nothing => return None,
            Said::This(role) => *role,
        };
        let organizations = match &self.organizations {
            Said::Unasked => before.and_then(|b| b.organizations.clone()),
            Said::Nothing => return None,
            Said::This(organizations) => organizations.clone(),
        };
        let bound = organizations.clone().map(Into::into);
        check_binding(role, &bound).is_ok().then_some(Rights { role, organizations })
    }
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
