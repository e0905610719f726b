//! The key manager over databases of its own.
