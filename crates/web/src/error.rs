//! Errors as JavaScript sees them.

use js_sys::Reflect;
use llavaguard_guard::Error;
use llavaguard_policy::PolicyError;
use llavaguard_store::StoreError;
use wasm_bindgen::JsValue;

/// A JavaScript `Error` with a `code` and, where the policy is at fault, the `place` in it.
pub struct JsError {
    code: &'static str,
    message: String,
    place: Option<String>,
}

impl JsError {
    /// An error that no other crate knows.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        JsError {
            code,
            message: message.into(),
            place: None,
        }
    }
}

impl From<PolicyError> for JsError {
    fn from(error: PolicyError) -> Self {
        JsError {
            code: error.code(),
            message: error.to_string(),
            place: error.place().map(str::to_owned),
        }
    }
}

impl From<StoreError> for JsError {
    fn from(error: StoreError) -> Self {
        JsError::new(error.code(), error.to_string())
    }
}

impl From<Error> for JsError {
    fn from(error: Error) -> Self {
        match error {
            Error::Policy(error) => error.into(),
            other => JsError::new(other.code(), other.to_string()),
        }
    }
}

impl From<JsError> for JsValue {
    fn from(error: JsError) -> JsValue {
        let object: JsValue = js_sys::Error::new(&error.message).into();
        let set = |key: &str, value: &str| {
            // Setting a property of a fresh, extensible object cannot fail.
            let _ = Reflect::set(&object, &key.into(), &value.into());
        };
        set("code", error.code);
        if let Some(place) = &error.place {
            set("place", place);
        }
        object
    }
}
