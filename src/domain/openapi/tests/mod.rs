//! The reader: real-looking documents, exact pointers, hostile documents, size, the default one.

mod default;
mod documents;
mod hostile;
mod large;
mod pointers;
mod rewrite;
mod security;

use super::{Definition, DefinitionError, FaultKind, Limits, read, validate};

/// A minimal OpenAPI 3.0 document with these `paths` (JSON).
fn with_paths(paths: &str) -> String {
    format!(r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},"paths":{paths}}}"#)
}

fn good(document: &str) -> Definition {
    read(document.as_bytes(), &Limits::default())
        .unwrap_or_else(|fault| panic!("{fault}\n{document}"))
}

fn fault(document: impl AsRef<[u8]>) -> DefinitionError {
    let document = document.as_ref();
    let fault = read(document, &Limits::default()).expect_err("a fault");
    let report = validate(document, &Limits::default());
    assert!(!report.valid);
    assert_eq!(
        report.errors.first(),
        Some(&fault),
        "validation begins with the same fault"
    );
    fault
}

#[track_caller]
fn assert_fault(document: impl AsRef<[u8]>, kind: FaultKind, pointer: &str) {
    let fault = fault(document);
    assert_eq!(
        (fault.kind, fault.pointer.as_str()),
        (kind, pointer),
        "{}",
        fault.message
    );
}
