//! Reads uploaded API descriptions (Swagger 2.0, OpenAPI 3.0 and 3.1, JSON and YAML) and writes the
//! default one.
//!
//! The publisher calls [`read`] on import, [`validate`] for its validation operations and
//! [`with_operations`] when a person changes an API's operations, the portal [`with_addresses`] to
//! show a description to callers. Documents are hostile until read: size, depth, values and aliases
//! are bounded, nothing is fetched, no document can exhaust the stack. Members that the platform
//! does not know are not looked at.
//!
//! | file | what it does |
//! |---|---|
//! | `definition` | the result and its faults |
//! | `parse`, `json`, `yaml` | bytes into a bounded tree |
//! | `node` | the tree, and JSON pointers into it |
//! | `reader` | the tree into the definition; `paths`, `security`, `reference` are its parts |
//! | `findings` | collects faults and oddities |
//! | `default` | writes the definition of an API made from scratch |
//! | `rewrite`, `write` | an uploaded definition with other operations |
//! | `address` | an uploaded definition with the gateway's addresses |

mod address;
mod default;
mod definition;
mod findings;
mod json;
mod node;
mod parse;
mod paths;
mod reader;
mod reference;
mod rewrite;
mod security;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

pub use address::with_addresses;
pub use default::default_definition;
pub use definition::{
    Definition, DefinitionError, DescribedOperation, FaultKind, Limits, Media, ScopeDef,
    SpecVersion, ValidationReport,
};
pub use reader::{read, validate};
pub use rewrite::with_operations;
