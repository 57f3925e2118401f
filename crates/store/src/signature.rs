//! Ed25519 signatures over manifests (RFC 8032).

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::digest::{hex, unhex};
use crate::error::StoreError;

/// Precedes what is signed, so that a key's signature over something else never passes for one over a
/// manifest.
const CONTEXT: &[u8] = b"llavaguard manifest 1\n";

/// A signature over a manifest: Ed25519 over `llavaguard manifest 1`, a line break, and the manifest in
/// canonical form without its member `signature`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Always `ed25519`.
    pub algorithm: String,
    /// The signer's public key: 64 hexadecimal digits.
    pub public_key: String,
    /// The signature: 128 hexadecimal digits.
    pub value: String,
}

/// A key that manifests are signed with.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Reads a key as `openssl genpkey -algorithm ed25519` writes it: PKCS #8 in PEM.
    pub fn from_pem(pem: &str) -> Result<SecretKey, StoreError> {
        SigningKey::from_pkcs8_pem(pem)
            .map(SecretKey)
            .map_err(|error| StoreError::Key(error.to_string()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, canonical: &str) -> Signature {
        Signature {
            algorithm: ALGORITHM.to_owned(),
            public_key: self.public().to_string(),
            value: hex(&self.0.sign(&message(canonical)).to_bytes()),
        }
    }
}

/// A key that signatures are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<PublicKey, StoreError> {
        unhex(text)
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .map(PublicKey)
            .ok_or_else(|| {
                StoreError::Key("64 hexadecimal digits of a public key are needed".to_owned())
            })
    }
}

const ALGORITHM: &str = "ed25519";

impl Signature {
    /// The key that made this signature over `canonical`.
    pub(crate) fn verify(&self, canonical: &str) -> Result<PublicKey, StoreError> {
        let wrong = |what: &str| StoreError::Signature(what.to_owned());
        if self.algorithm != ALGORITHM {
            return Err(wrong("its algorithm is unknown"));
        }
        let key: PublicKey = self
            .public_key
            .parse()
            .map_err(|_| wrong("its public key is none"))?;
        let value = unhex(&self.value).ok_or_else(|| wrong("it has not 128 hexadecimal digits"))?;
        key.0
            .verify_strict(
                &message(canonical),
                &ed25519_dalek::Signature::from_bytes(&value),
            )
            .map_err(|_| wrong("it does not belong to this manifest"))?;
        Ok(key)
    }
}

fn message(canonical: &str) -> Vec<u8> {
    [CONTEXT, canonical.as_bytes()].concat()
}
