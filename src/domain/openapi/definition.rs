//! What the platform takes from an API description: the result of reading it, and its faults.
//!
//! Plain data; the caller keeps the uploaded bytes, because nothing here can write them back.

use thiserror::Error;

use super::node::{Place, clip};
use crate::api::{ApiScope, AuthType, Operation};
use crate::verb::Verb;

/// The bounds within which a document is read; everything beyond is refused, never truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of the document, in bytes.
    pub bytes: usize,
    /// The nesting of values; at most [`Limits::MAX_DEPTH`].
    pub depth: usize,
    /// The number of values in the document, YAML aliases counted as often as they are used.
    pub values: usize,
    /// The number of operations.
    pub operations: usize,
    /// The number of faults that a validation collects.
    pub faults: usize,
}

/// The family of an API description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecVersion {
    /// Swagger 2.0
    Swagger2,
    /// OpenAPI 3.0.x
    OpenApi30,
    /// OpenAPI 3.1.x
    OpenApi31,
}

/// The notation of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
}

/// An API description, as far as it concerns the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The family.
    pub version: SpecVersion,
    /// The version as written, `3.0.3` say.
    pub spec_version: String,
    /// The notation.
    pub media: Media,
    /// `info.title`
    pub title: String,
    /// `info.version`
    pub api_version: String,
    /// `info.description`
    pub description: Option<String>,
    /// `basePath` of Swagger 2.0.
    pub base_path: Option<String>,
    /// The addresses of the API: `servers`, or of Swagger 2.0 each scheme with host and base path.
    pub servers: Vec<String>,
    /// The operations, in the document's order.
    pub operations: Vec<DescribedOperation>,
    /// The scopes that the OAuth2 schemes declare, each name once.
    pub scopes: Vec<ScopeDef>,
    /// The tags: declared ones first, then those that only operations name.
    pub tags: Vec<String>,
    /// What is odd in the document but does not hinder its import.
    pub warnings: Vec<DefinitionError>,
}

/// One operation of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedOperation {
    /// The path template, as written.
    pub target: String,
    /// The method.
    pub verb: Verb,
    /// `operationId`
    pub operation_id: Option<String>,
    /// `summary`
    pub summary: Option<String>,
    /// `tags`
    pub tags: Vec<String>,
    /// The scopes that its security requirements, or else the document's, ask of OAuth2 schemes.
    pub scopes: Vec<String>,
    /// `x-auth-type`; `None` as text when `x-wso2-disable-security` is true.
    pub x_auth_type: Option<String>,
    /// `x-throttling-tier` or `x-wso2-throttling-tier`
    pub x_throttling_tier: Option<String>,
}

/// A scope that a description declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDef {
    /// Its name.
    pub name: String,
    /// What the document says of it.
    pub description: String,
    /// The roles that `x-scopes-bindings` binds it to.
    pub roles: Vec<String>,
}

/// A fault of a document, or with [`Definition::warnings`] an oddity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} (at {})", if pointer.is_empty() { "the document's root" } else { pointer })]
pub struct DefinitionError {
    /// The JSON pointer of the faulty value (RFC 6901); empty for the whole document. For faults of
    /// notation, the innermost value that was being read.
    pub pointer: String,
    /// What is wrong, with line and column for faults of notation.
    pub message: String,
    /// What sort of fault it is.
    pub kind: FaultKind,
}

/// The sorts of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// More bytes than allowed: 413.
    TooLarge,
    /// Not UTF-8, or with NUL in it.
    Encoding,
    /// Neither JSON nor YAML.
    Syntax,
    /// Nested deeper than allowed.
    TooDeep,
    /// More values or operations than allowed, alias bombs among them.
    TooMany,
    /// A member that occurs twice in an object.
    DuplicateKey,
    /// No supported version of Swagger or OpenAPI.
    Version,
    /// A required member is missing.
    Missing,
    /// A value of the wrong type or with a wrong value.
    Wrong,
    /// A path that is no usable template.
    Path,
    /// Two operations that one request could not tell apart.
    DuplicateOperation,
    /// A `$ref` that is remote, circular or leads nowhere, where routing needs it.
    Reference,
}

/// What a validation found.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationReport {
    /// Whether the document can be imported.
    pub valid: bool,
    /// Its faults, [`Limits::faults`] at most, in the document's order.
    pub errors: Vec<DefinitionError>,
    /// The oddities that do not hinder an import.
    pub warnings: Vec<DefinitionError>,
    /// What could be read; without faults, the whole definition.
    pub info: Option<Definition>,
}

// === impl Limits ===

impl Limits {
    /// The deepest nesting that [`Limits::depth`] can allow: the readers must not exhaust a stack.
    pub const MAX_DEPTH: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 10 * 1024 * 1024,
            depth: 64,
            values: 1_000_000,
            operations: 10_000,
            faults: 50,
        }
    }
}

// === impl SpecVersion ===

impl SpecVersion {
    /// The family's name, as WSO2's validation answers with it.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Swagger2 => "2.0",
            Self::OpenApi30 => "3.0",
            Self::OpenApi31 => "3.1",
        }
    }
}

// === impl Definition ===

impl Definition {
    /// A fault for each operation whose throttling policy does not exist, as many as a validation
    /// collects.
    #[must_use]
    pub fn unknown_tiers(&self, is_known: impl Fn(&str) -> bool) -> Vec<DefinitionError> {
        let unknown = self.operations.iter().filter_map(|operation| {
            let tier = operation.x_throttling_tier.as_deref()?;
            let verb = operation.verb.as_str().to_ascii_lowercase();
            let path = Place::base("/paths");
            let (path, name) = (path.member(&operation.target), "x-throttling-tier");
            (!tier.is_empty() && !is_known(tier)).then(|| DefinitionError {
                pointer: path.member(&verb).member(name).pointer(),
                message: format!("the throttling policy \"{}\" does not exist", clip(tier)),
                kind: FaultKind::Wrong,
            })
        });
        unknown.take(Limits::default().faults).collect()
    }
}

// === impl DescribedOperation ===

/// As the publisher stores it; an unknown `x-auth-type` asks for any token, the safe reading.
impl From<&DescribedOperation> for Operation {
    fn from(described: &DescribedOperation) -> Self {
        let auth_type = described.x_auth_type.as_deref().and_then(AuthType::parse);
        let tier = described
            .x_throttling_tier
            .as_deref()
            .unwrap_or("Unlimited");
        Self {
            id: String::new(),
            target: described.target.clone(),
            verb: described.verb.as_str().to_owned(),
            auth_type: auth_type.unwrap_or_default(),
            throttling_policy: tier.to_owned(),
            scopes: described.scopes.clone(),
        }
    }
}

// === impl ScopeDef ===

/// As the publisher stores it, local to the API.
impl From<&ScopeDef> for ApiScope {
    fn from(scope: &ScopeDef) -> Self {
        Self {
            name: scope.name.clone(),
            display_name: scope.name.clone(),
            description: scope.description.clone(),
            roles: scope.roles.clone(),
            shared: false,
        }
    }
}
