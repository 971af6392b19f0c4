//! Tokens: texts that a site hands out and the edge believes, because only who knows a key can have made them.
//!
//! * [`ectoken`]: encrypted requirements of the delivery documents (version 3; the older version 2 is refused)
//! * [`mac`]: the `token-auth` behavior of the policy language, signed with an HMAC
//!
//! Pure as all of this crate: time, address and place come with [`Facts`](crate::Facts), randomness is an argument. Keys print as
//! `[secret]`. Sources: delivery-and-security 4, policy-language 4.8.

mod base64;
mod code;
mod denial;
pub mod ectoken;
mod fields;
mod glob;
pub mod mac;
mod place;
mod requirements;
mod seal;

#[cfg(test)]
mod properties;

pub use code::Code;
pub use denial::{Denial, DenialPart};
pub use ectoken::Keys;
pub use mac::TokenAuth;
pub use place::{Place, parameter_name};
pub use requirements::{expires_at, remarks};
pub use seal::{Key, MAX_TOKEN, NONCE, Sealed, key_text};
