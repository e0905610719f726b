//! Reads uploaded API descriptions (Swagger 2.0, OpenAPI 3.0 and 3.1, JSON and YAML) and writes the
//! default one.
//!
//! The publisher calls [`read`] on import and [`validate`] for its validation operations. Documents
//! are hostile until read: size, depth, values and aliases are bounded, nothing is fetched, no
//! document can exhaust the stack. Members that the platform does not know are not looked at.
//!
//! | file | what it does |
//! |---|---|
//! | `definition` | the result and its faults |

mod definition;

pub use definition::{
    Definition, DefinitionError, DescribedOperation, FaultKind, Limits, Media, ScopeDef,
    SpecVersion, ValidationReport,
};
