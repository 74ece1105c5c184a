//! Logins by OpenID providers, and the public keys of our own tokens.

use utoipa::ToSchema;

/// A JSON Web Key Set (RFC 7517).
#[derive(ToSchema)]
pub(crate) struct JwkSet {
    keys: Vec<Jwk>,
}

/// A public key that tokens of this server are checked with.
#[derive(ToSchema)]
pub(crate) struct Jwk {
    #[schema(example = "OKP")]
    kty: String,
    #[schema(example = "Ed25519")]
    crv: String,
    x: String,
    /// The key's thumbprint (RFC 7638).
    kid: String,
    #[schema(example = "sig")]
    r#use: String,
    #[schema(example = "EdDSA")]
    alg: String,
}

/// The providers that members may log in with.
#[derive(ToSchema)]
pub(crate) struct ProvidersAnswer {
    data: Vec<ProviderShown>,
}

/// A provider.
#[derive(ToSchema)]
pub(crate) struct ProviderShown {
    name: String,
    /// Where a browser begins the login.
    #[schema(example = "/v1/auth/oidc/corp/start")]
    start: String,
}

/// Who a member is at a provider.
#[derive(ToSchema)]
#[schema(example = json!({"provider": "corp", "subject": "248289761001"}))]
pub(crate) struct NewIdentity {
    /// The provider's name.
    provider: String,
    /// The member's `sub` there.
    subject: String,
}
