//! Passwords: Argon2id, so that a stolen database gives none away.
//!
//! Promises: a password that nobody has takes the time of one that somebody has; the memory of hashing is bounded.
//! Never: keeps or logs a password.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use indelible_model::{Error, Kind, Result};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes of a password, at least and at most.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 12..=1024;
/// Passwords hashed at once: each takes 19 MiB.
const AT_ONCE: usize = 4;
/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(5);
/// What is checked where there is no password: no password is known to have this hash.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords and compares with hashes, a few at once.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// Fails for a password that is too short to be one, or too long to be hashed.
pub(crate) fn check(password: &str) -> Result<()> {
    if PASSWORD_BYTES.contains(&password.len()) {
        return Ok(());
    }
    Err(Error::invalid_member("password", format!("must have {} to {} bytes.", PASSWORD_BYTES.start(), PASSWORD_BYTES.end())))
}

impl Passwords {
    /// The hash of a password that was checked, with its parameters and the salt.
    pub(crate) async fn hash(&self, password: &str, salt: [u8; 16]) -> Result<String> {
        let password = password.to_owned();
        // The library's parameters are those that OWASP asks for: m=19456, t=2, p=1. The test holds them.
        self.in_turn(move || Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())).await?.map_err(Error::internal)
    }
    /// True if `password` has this hash. Without one it takes as long.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        if password.len() > *PASSWORD_BYTES.end() {
            return Ok(false);
        }
        let (password, known) = (password.to_owned(), hash.is_some());
        let hash = hash.unwrap_or(NOBODY).to_owned();
        self.in_turn(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok() && known).await
    }
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::new(Kind::Unavailable(5), "Too many people log in at once. Try again shortly.");
        let turn = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_| busy())?.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_hashed_and_compared() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery", [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse battery", [8; 16]).await.unwrap());
        assert!(passwords.verify("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse batterY", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse battery", None).await.unwrap());
    }

    #[test]
    fn what_is_checked_for_nobody_costs_as_much() {
        let params = |hash: &str| hash.rsplit_once('$').and_then(|(head, _)| head.rsplit_once('$')).unwrap().0.to_owned();
        let real = Argon2::default().hash_password_with_salt(b"anything", &[7; 16]).unwrap().to_string();
        assert_eq!(params(&real), params(NOBODY));
        assert_eq!(real.len(), NOBODY.len());
        // Readable, so that it is the work that fails and not the reading.
        assert_eq!(Argon2::default().verify_password(b"anything", NOBODY), Err(argon2::password_hash::Error::PasswordInvalid));
    }

    #[test]
    fn lengths() {
        assert!(check("elevenbytes").is_err() && check("twelve bytes").is_ok() && check(&"x".repeat(1024)).is_ok() && check(&"x".repeat(1025)).is_err());
    }
}
