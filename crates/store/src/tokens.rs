//! Tokens: what a signed one stands for. One statement tells all that decides about it.

use indelible_model::{Error, KeyId, MemberId, ProjectId, Result, Timestamp, TokenId};

use crate::db::{Row, args};
use crate::members::{MEMBERSHIP_COLUMNS, membership, membership_columns};
use crate::projects::{KEY_COLUMNS, key_columns, key_row};
use crate::{KeyRow, Membership, ReadTx, WriteTx, signed};

/// Whom a token was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A key.
    Key(KeyId),
    /// A person.
    Member(MemberId),
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The public id.
    pub id: TokenId,
    /// The project.
    pub project: ProjectId,
    /// What kind of token it is.
    pub kind: String,
    /// Whom it was made for.
    pub holder: Holder,
    /// The token that it was made from, and goes with.
    pub parent: Option<TokenId>,
    /// A role that is less than the holder's own.
    pub role: Option<String>,
    /// Bits of the scopes.
    pub scopes: u64,
    /// What was asked for, in the client's words.
    pub scope: String,
    /// The organizations that it is bound to, as JSON.
    pub organizations: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// A token with what its holder is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHit {
    /// The token.
    pub token: TokenRow,
    /// Its holder in the token's project; `None` if they are not in it any more.
    pub holder: Option<Held>,
}

/// What a token's holder is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A key, revoked or not.
    Key(KeyRow),
    /// A member, active or not.
    Member(Membership),
}

const FIND: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", ",
    membership_columns!(),
    ", t.id, t.kind, t.key_id, t.member, t.parent, t.role, t.scopes, t.scope, t.organizations, t.created_at, t.expires_at, t.revoked_at, s.member \
    FROM tokens t JOIN projects p ON p.no = t.project LEFT JOIN keys k ON k.id = t.key_id AND k.project = t.project \
    LEFT JOIN memberships s ON s.project = t.project AND s.member = t.member LEFT JOIN members m ON m.id = s.member WHERE t.id = $1"
);
/// Columns of a membership, and where those of the token begin.
const MEMBER: usize = KEY_COLUMNS;
const TOKEN: usize = MEMBER + MEMBERSHIP_COLUMNS;

const CREATE: &str = "INSERT INTO tokens (id, project, kind, key_id, member, parent, role, scopes, scope, organizations, created_at, expires_at, revoked_at) \
    SELECT $1, no, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM projects WHERE id = $2";
const REVOKE: &str = "WITH RECURSIVE gone (id) AS (SELECT id FROM tokens WHERE id = $2 AND revoked_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1) \
    UNION SELECT t.id FROM tokens t JOIN gone g ON t.parent = g.id) UPDATE tokens SET revoked_at = $3 WHERE revoked_at IS NULL AND id IN (SELECT id FROM gone)";
const REVOKE_MEMBER: &str = "UPDATE tokens SET revoked_at = $2 WHERE member = $1 AND revoked_at IS NULL AND ($3 IS NULL OR project = (SELECT no FROM projects WHERE id = $3))";
const EXPIRE: &str = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";

fn hit(row: &Row) -> Result<TokenHit> {
    let key: Option<[u8; 16]> = row.maybe_fixed(TOKEN + 2)?;
    let member: Option<[u8; 16]> = row.maybe_fixed(TOKEN + 3)?;
    let holder = match (key, member) {
        (Some(key), None) => Holder::Key(KeyId(key)),
        (None, Some(member)) => Holder::Member(MemberId(member)),
        _ => return Err(Error::corrupt("a token has not one holder")),
    };
    let token = TokenRow {
        id: TokenId(row.fixed(TOKEN)?),
        project: ProjectId(row.fixed(0)?),
        kind: row.get(TOKEN + 1)?,
        holder,
        parent: row.maybe_fixed(TOKEN + 4)?.map(TokenId),
        role: row.get(TOKEN + 5)?,
        scopes: row.count(TOKEN + 6)?,
        scope: row.get(TOKEN + 7)?,
        organizations: row.get(TOKEN + 8)?,
        created_at: Timestamp::clamped(row.get(TOKEN + 9)?),
        expires_at: Timestamp::clamped(row.get(TOKEN + 10)?),
        revoked_at: row.get::<Option<i64>>(TOKEN + 11)?.map(Timestamp::clamped),
    };
    let has_key = row.maybe_fixed::<16>(3)?.is_some();
    let has_membership = row.maybe_fixed::<16>(TOKEN + 12)?.is_some();
    let holder = match holder {
        Holder::Key(_) if has_key => Some(Held::Key(key_row(row)?)),
        Holder::Member(_) if has_membership => Some(Held::Member(membership(row, MEMBER)?)),
        _ => None,
    };
    Ok(TokenHit { token, holder })
}

impl ReadTx {
    /// A token with what its holder is now, revoked, expired or not.
    pub async fn token_find(&mut self, token: TokenId) -> Result<Option<TokenHit>> {
        self.conn.optional(FIND, args![&token.0]).await?.as_ref().map(hit).transpose()
    }
    /// True if [`WriteTx::token_expire`] would find something.
    pub async fn token_any_before(&mut self, before: Timestamp) -> Result<bool> {
        Ok(self.conn.optional("SELECT 1 FROM tokens WHERE expires_at < $1 LIMIT 1", args![before.micros()]).await?.is_some())
    }
}

impl WriteTx {
    /// Stores a token.
    pub async fn token_create(&mut self, new: &TokenRow) -> Result<()> {
        let (key, member) = match &new.holder {
            Holder::Key(key) => (Some(&key.0[..]), None),
            Holder::Member(member) => (None, Some(&member.0[..])),
        };
        let values = args![
            &new.id.0,
            &new.project.0,
            &new.kind,
            key,
            member,
            new.parent.as_ref().map(|p| &p.0[..]),
            new.role.as_deref(),
            signed(new.scopes),
            &new.scope,
            new.organizations.as_deref(),
            new.created_at.micros(),
            new.expires_at.micros(),
            new.revoked_at.map(Timestamp::micros),
        ];
        if self.conn.run(CREATE, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// Revokes a token, and all that were made from it; false if there is no such live token in the project.
    pub async fn token_revoke(&mut self, project: ProjectId, token: TokenId, now: Timestamp) -> Result<bool> {
        Ok(self.conn.run(REVOKE, args![&project.0, &token.0, now.micros()]).await? > 0)
    }
    /// Revokes all tokens of a person, in one project or in all; how many.
    pub async fn token_revoke_member(&mut self, member: MemberId, project: Option<ProjectId>, now: Timestamp) -> Result<u64> {
        self.conn.run(REVOKE_MEMBER, args![&member.0, now.micros(), project.as_ref().map(|p| &p.0[..])]).await
    }
    /// Forgets tokens that ended before `before`, the oldest first; how many.
    pub async fn token_expire(&mut self, before: Timestamp, most: u32) -> Result<u64> {
        self.conn.run(EXPIRE, args![before.micros(), i64::from(most)]).await
    }
}
