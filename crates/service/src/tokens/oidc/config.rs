//! The file of OpenID providers: who may vouch for members, and what their claims mean here. docs/operations/openid.md describes it.
//!
//! Promises: every mistake is named with its provider; two providers are never both meant by one token.
//! Never: shows a client's secret.

use std::collections::BTreeMap;
use std::fmt;

use indelible_model::{Error, Result};
use reqwest::Url;
use serde::Deserialize;

use crate::caller::Role;

/// An OpenID provider.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcProvider {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    /// Audiences of tokens that are taken as credentials.
    pub(super) audiences: Vec<String>,
    /// What is asked for at a login.
    pub(super) scopes: Vec<String>,
    /// Name or id of the project that its people are members of.
    pub(super) project: String,
    pub(super) let_in_unknown: bool,
    pub(super) default_role: Option<Role>,
    pub(super) roles_claim: Option<String>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) organizations_claim: Option<String>,
}

impl fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcProvider").field("name", &self.name).field("issuer", &self.issuer).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    client_secret_env: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    scopes: Option<Vec<String>>,
    project: String,
    #[serde(default)]
    let_in_unknown: bool,
    default_role: Option<String>,
    roles_claim: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
    organizations_claim: Option<String>,
}

impl OidcProvider {
    /// Reads the file's text; `variable` looks an environment variable up.
    pub fn read_all(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Self>> {
        // The reason only: what it quotes of the file may be a secret.
        let file: File = toml::from_str(text).map_err(|e| Error::invalid_member("oidc_file", e.message().to_owned()))?;
        let mut all: Vec<Self> = Vec::new();
        for entry in file.provider {
            let name = entry.name.clone();
            let wrong = |what: String| Error::invalid_member("oidc_file", format!("provider {name:?}: {what}"));
            let provider = entry.checked(&variable).map_err(&wrong)?;
            if all.iter().any(|p| p.name == provider.name) {
                return Err(wrong("there are two of this name.".into()));
            }
            if let Some(same) = all.iter().filter(|p| p.issuer == provider.issuer).flat_map(|p| &p.audiences).find(|a| provider.audiences.contains(a)) {
                return Err(wrong(format!("the audience {same:?} of its issuer is another provider's as well.")));
            }
            all.push(provider);
        }
        Ok(all)
    }
    /// Its name, as paths have it.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Who it says to be.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Entry {
    fn checked(self, variable: impl Fn(&str) -> Option<String>) -> Result<OidcProvider, String> {
        if self.name.is_empty() || self.name.len() > 40 || !self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err("name must have 1 to 40 lower-case letters, digits and hyphens.".into());
        }
        if !is_safe(&self.issuer) || self.issuer.contains(['?', '#']) {
            return Err("issuer must be a URL that begins with https:// (or http:// on this machine), without query and fragment.".into());
        }
        if self.client_id.is_empty() || self.project.is_empty() {
            return Err("client_id and project must not be empty.".into());
        }
        let client_secret = match (self.client_secret, self.client_secret_env) {
            (Some(_), Some(_)) => return Err("give client_secret or client_secret_env, not both.".into()),
            (secret, None) => secret,
            (None, Some(name)) => Some(variable(&name).ok_or_else(|| format!("the environment variable {name} is not set."))?),
        };
        let scopes = self.scopes.unwrap_or_else(|| ["openid", "email", "profile"].map(str::to_owned).into());
        if !scopes.iter().any(|s| s == "openid") {
            return Err("scopes must have openid.".into());
        }
        let role = |name: &str| Role::parse(name).ok_or_else(|| format!("{name:?} is not a role; there are {}.", Role::ALL.map(Role::name).join(", ")));
        let roles = self.roles.into_iter().map(|(value, name)| Ok((value, role(&name)?))).collect::<Result<BTreeMap<_, _>, String>>()?;
        let default_role = self.default_role.as_deref().map(role).transpose()?;
        if self.roles_claim.is_some() == roles.is_empty() {
            return Err("roles_claim and roles belong together.".into());
        }
        if self.organizations_claim.is_none() && roles.values().chain(&default_role).any(|r| r.is_bound()) {
            return Err("a role that is bound to organizations needs organizations_claim.".into());
        }
        if self.let_in_unknown && default_role.is_none() && roles.is_empty() {
            return Err("let_in_unknown needs default_role, or roles_claim and roles.".into());
        }
        Ok(OidcProvider {
            name: self.name,
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: client_secret.filter(|s| !s.is_empty()),
            audiences: self.audiences,
            scopes,
            project: self.project,
            let_in_unknown: self.let_in_unknown,
            default_role,
            roles_claim: self.roles_claim,
            roles,
            organizations_claim: self.organizations_claim,
        })
    }
}

/// True for URLs that nobody on the way can read or change: https, or this machine.
pub(super) fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.scheme() {
        "https" => url.has_host() && url.username().is_empty() && url.password().is_none(),
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
