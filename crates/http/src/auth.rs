//! Credentials: who calls, and what they allow.
//!
//! Promises: a `Caller<P>` reaches a handler only through an extractor, and its project comes from the credentials alone. Of several credentials each must be
//! valid and of the same project, and what they allow is what all of them allow.
//! Never: keeps or logs a secret.

mod sent;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use indelible_model::{Error, Kind};
use indelible_service::{Caller, Credential, Grant, Permission, Scope, Scopes};

use crate::app::{App, Shared};
use crate::failed::{Failed, Note};
use crate::seen::Seen;

use sent::Sent;
pub(crate) use sent::{is_loyaltydog_key, is_voucherify_pair};

/// A caller with permission `P`.
pub(crate) struct Authorized<P> {
    pub(crate) caller: Caller<P>,
}

/// Somebody with a valid credential, whatever it allows; but not a widget, whose token is open to everybody and is for its timeline alone.
pub(crate) struct Identified {
    pub(crate) grant: Arc<Grant>,
}

impl<P: Permission> FromRequestParts<Shared> for Authorized<P> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Failed> {
        Ok(Self { caller: admitted(parts, app).await?.permit::<P>()? })
    }
}

impl FromRequestParts<Shared> for Identified {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Failed> {
        let grant = admitted(parts, app).await?;
        if grant.scopes == Scopes::of(&[Scope::Timeline]) {
            return Err(Error::new(Kind::Forbidden, "This API key reads a timeline and nothing else.").into());
        }
        Ok(Self { grant })
    }
}

/// What the request's credentials allow, after it was counted.
async fn admitted(parts: &Parts, app: &App) -> Result<Arc<Grant>, Failed> {
    let grant = match identify(app, &parts.headers).await {
        Ok(grant) => Arc::new(grant),
        Err(failed) => {
            // A database that is away is not asked twice.
            if failed.error.kind() == Kind::Unauthenticated {
                note_withdrawn(app, parts).await;
            }
            return Err(failed);
        }
    };
    if let Some(seen) = parts.extensions.get::<Seen>() {
        seen.learn(|learnt| learnt.grant = Some(Arc::clone(&grant)));
        app.admit(seen, &grant).await?;
    }
    Ok(grant)
}

/// Notes whose key was refused, so that its project learns of it.
async fn note_withdrawn(app: &App, parts: &Parts) {
    let (Some(seen), Ok(sent)) = (parts.extensions.get::<Seen>(), Sent::of(&parts.headers)) else { return };
    for credential in sent.others {
        if let Some(grant) = app.service.withdrawn(credential).await {
            seen.learn(|learnt| learnt.withdrawn = Some(Arc::new(grant)));
            return;
        }
    }
}

/// What one credential allows. A token's failure is told apart from a key's by its form alone.
async fn authenticate(app: &App, credential: Credential<'_>) -> Result<Grant, Failed> {
    let is_token = matches!(credential, Credential::Secret(secret) if secret.matches('.').count() == 2);
    app.service.authenticate(credential).await.map_err(|error| match error.kind() {
        Kind::Unauthenticated if is_token => Failed::new(error, Note::BadToken),
        _ => error.into(),
    })
}

/// What all credentials of a request allow together.
async fn identify(app: &App, headers: &HeaderMap) -> Result<Grant, Failed> {
    let sent = Sent::of(headers)?;
    let mut granted: Option<Grant> = None;
    for credential in sent.others {
        let grant = authenticate(app, credential).await?;
        granted = Some(match granted {
            Some(first) => first.and(&grant)?,
            None => grant,
        });
    }
    let session = match sent.session {
        Some(session) => Some(authenticate(app, session).await?),
        None => None,
    };
    match (session, granted) {
        // A session is its member's, so another's credential beside it is a mistake, or worse.
        (Some(session), Some(granted)) => Ok(session.within(&granted)?),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err(Error::internal("no credential was read").into()),
    }
}
