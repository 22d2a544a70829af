//! Passwords: argon2id (RFC 9106), on threads where waiting hurts nobody, and only a few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use crate::session::random_name;

/// Memory of one hash in KiB, passes over it, lanes: the second choice of OWASP's cheat sheet, 19 MiB. A hash says with
/// which numbers it was made, so other ones here leave the kept ones good.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes under way at once: their memory together is bounded.
const AT_ONCE: usize = 2;
/// Those that wait for a place; more are refused.
const WAITING: usize = 64;
/// The fewest characters of a password (NIST SP 800-63B asks for 8 where it is not the only factor), and the most bytes.
const MIN_CHARS: usize = 10;
const MAX_BYTES: usize = 256;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unhashed {
    /// It could never be a password.
    #[error("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes")]
    Password,
    /// Too many wait.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// No random bytes, or no memory.
    #[error("the password cannot be hashed now")]
    Failed,
}

/// Hashes and compares passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    waiting: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// A hash that no password has been taken for: who has no account waits as long as who has one.
    nobody: Arc<str>,
}

impl Passwords {
    /// Takes as long as one hash. Blocks.
    pub(crate) fn new() -> Result<Self, Unhashed> {
        let nobody = hash(&random_name(16).map_err(|_| Unhashed::Failed)?)?;
        Ok(Self {
            waiting: Arc::new(Semaphore::new(WAITING)),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            nobody: nobody.into(),
        })
    }

    /// The hash of a new password, with salt and parameters, in the PHC format.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Unhashed> {
        if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
            return Err(Unhashed::Password);
        }
        self.apart(move || hash(&password)).await?
    }

    /// Whether it is the password of that hash; of nobody's, where there is none, and then never.
    pub(crate) async fn matches(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Unhashed> {
        if password.len() > MAX_BYTES {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let same = self.apart(move || is_of(&password, &hash)).await?;
        Ok(same && known)
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unhashed> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Unhashed::Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Unhashed::Busy)?;
        let work = move || {
            // Kept until it is done, even when nobody waits for it any more.
            let _place = place;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Unhashed::Failed)
    }
}

fn hash(password: &str) -> Result<String, Unhashed> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| Unhashed::Failed)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| Unhashed::Failed)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|_| Unhashed::Failed)?.to_string())
}

fn is_of(password: &str, hash: &str) -> bool {
    // The parameters are those of the hash.
    let same = |hash| Argon2::default().verify_password(password.as_bytes(), &hash);
    PasswordHash::new(hash).is_ok_and(|hash| same(hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `argon2-cffi` 25.1: PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("correct horse"), salt
    /// b"0123456789abcdef".
    const THEIRS: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk";

    #[tokio::test]
    async fn a_hash_is_salted_says_its_parameters_and_is_of_its_password_only() {
        let passwords = Passwords::new().unwrap();
        let one = passwords.hash("correct horse".to_owned()).await.unwrap();
        let two = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(!one.contains("correct"), "{one}");
        let of = |password: &str, hash: &str| {
            let hash = Some(hash.to_owned());
            passwords.matches(password.to_owned(), hash)
        };
        assert_eq!(of("correct horse", &one).await, Ok(true));
        assert_eq!(of("correct horse", &two).await, Ok(true));
        assert_eq!(of("Correct horse", &one).await, Ok(false));
        assert_eq!(
            of("correct horse", THEIRS).await,
            Ok(true),
            "another library's"
        );
        assert_eq!(of("correct horse", "no hash").await, Ok(false));
    }

    #[tokio::test]
    async fn without_an_account_no_password_is_right() {
        let passwords = Passwords::new().unwrap();
        for password in ["", "correct horse", &"x".repeat(1000)] {
            assert_eq!(
                passwords.matches(password.to_owned(), None).await,
                Ok(false)
            );
        }
    }

    #[tokio::test]
    async fn a_password_of_a_sensible_length_only() {
        let passwords = Passwords::new().unwrap();
        for bad in [String::new(), "nine char".to_owned(), "x".repeat(257)] {
            assert_eq!(passwords.hash(bad).await, Err(Unhashed::Password));
        }
    }

    #[tokio::test]
    async fn more_than_can_wait_are_refused() {
        let passwords = Passwords::new().unwrap();
        let all = passwords.waiting.clone().acquire_many_owned(WAITING as u32);
        let held = all.await.unwrap();
        let refused = passwords.matches("correct horse".to_owned(), None).await;
        assert_eq!(refused, Err(Unhashed::Busy));
        drop(held);
        assert_eq!(
            passwords.matches("correct horse".to_owned(), None).await,
            Ok(false)
        );
    }
}
