//! The suite every device must pass.
