//! The table: operation, good body, and what is refused in it.

use serde_json::{Value, json};

use super::api_faults::{OF_API, api_faults, api_samples, imported_faults};
use super::world::World;
use super::{key_manager_rows, list_rows, policy_rows, portal_rows, query_rows};
use crate::support::platform::openapi;

/// One operation.
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Picks ids where a parameter alone does not say which.
    pub(super) level: &'static str,
    /// Parameters beside a body, and what is refused in them.
    pub(super) query: Value,
    pub(super) query_faults: Vec<Fault>,
    /// The parameter that names an object; one of an unknown object is answered with 404.
    pub(super) unknown: &'static str,
    pub(super) good: Good,
    /// The status of the good body.
    pub(super) status: u16,
    pub(super) faults: Vec<Fault>,
    /// Members that must be in the body, by their paths: those that the contract requires, written here by hand, and
    /// those that are required here beyond it.
    pub(super) required: Vec<&'static str>,
    /// What a good body may have more, or instead: members that hold others that are required.
    samples: Vec<Fault>,
    /// Why nothing of it is refused, where nothing is.
    pub(super) takes_all: &'static str,
    /// Parameters of which any text is taken, each with the reason.
    pub(super) free: Vec<(&'static str, &'static str)>,
    /// The path or the body names an object that is its owner's alone.
    pub(super) owned: bool,
    /// The contract has `If-Match`.
    pub(super) tagged: bool,
    /// What is a conflict with what there is.
    pub(super) conflicts: Vec<Conflict>,
}

/// What is answered with 409.
pub(super) struct Conflict {
    /// The good body with this; without it the good body once more.
    pub(super) fault: Option<Fault>,
    /// What the answer names.
    pub(super) members: &'static [&'static str],
}

/// A body that works.
#[derive(Clone)]
pub(super) enum Good {
    Json(Value),
    /// Members of a form.
    Form(Value),
    /// Parts by name.
    Multipart(Value),
    /// No body: parameters of the query.
    Query(Value),
}

/// One change to a good body.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) pointer: String,
    pub(super) value: Option<Value>,
    /// What the refusal calls the member, where that is not its own name; dots where it is a path.
    called: &'static str,
}

/// Without the member.
pub(super) fn gone(pointer: &str) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        value: None,
        called: "",
    }
}

/// With another value.
pub(super) fn wrong(pointer: &str, value: Value) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        value: Some(value),
        called: "",
    }
}

/// With a text of this many characters.
pub(super) fn long(pointer: &str, characters: usize) -> Fault {
    wrong(pointer, json!("x".repeat(characters)))
}

/// A number, empty, too long.
pub(super) fn name(pointer: &str, characters: usize) -> Vec<Fault> {
    vec![
        wrong(pointer, json!(5)),
        wrong(pointer, json!("")),
        long(pointer, characters + 1),
    ]
}

// === impl Good ===

impl Good {
    /// Its members, parts or parameters.
    pub(super) const fn value(&self) -> &Value {
        match self {
            Self::Json(value) | Self::Form(value) | Self::Multipart(value) | Self::Query(value) => {
                value
            }
        }
    }

    /// The same body with a fault.
    pub(super) fn with(&self, fault: &Fault) -> Self {
        let changed = |value: &Value| {
            let mut value = value.clone();
            fault.apply(&mut value);
            value
        };
        match self {
            Self::Json(value) => Self::Json(changed(value)),
            Self::Form(value) => Self::Form(changed(value)),
            Self::Multipart(value) => Self::Multipart(changed(value)),
            Self::Query(value) => Self::Query(changed(value)),
        }
    }
}

// === impl Fault ===

impl Fault {
    /// The refusal calls the member by another name.
    pub(super) const fn called(mut self, name: &'static str) -> Self {
        self.called = name;
        self
    }

    /// The same in a member of the body.
    pub(super) fn within(mut self, member: &str) -> Self {
        self.pointer.insert_str(0, member);
        self
    }

    fn apply(&self, value: &mut Value) {
        let (parent, member) = self.pointer.rsplit_once('/').expect("a pointer");
        let parent = value.pointer_mut(parent).expect("a parent");
        match (&self.value, parent) {
            (Some(value), Value::Array(list)) => {
                list[member.parse::<usize>().expect("an index")] = value.clone();
            }
            (Some(value), parent) => parent[member] = value.clone(),
            (None, parent) => {
                parent.as_object_mut().expect("an object").remove(member);
            }
        }
    }

    /// The parameters with this fault.
    pub(super) fn in_parameters(&self, query: &Value) -> Value {
        let mut query = query.clone();
        self.apply(&mut query);
        query
    }

    /// The path of the member that the refusal must name, without the places in lists.
    pub(super) fn member(&self) -> Vec<&str> {
        if !self.called.is_empty() {
            return self.called.split('.').collect();
        }
        let parts = self.pointer.split('/').skip(1);
        parts
            .filter(|part| part.parse::<usize>().is_err())
            .collect()
    }
}

// === impl Row ===

impl Row {
    pub(super) fn new(method: &'static str, path: &'static str, good: Good, status: u16) -> Self {
        Self {
            method,
            path,
            level: "",
            query: json!({}),
            query_faults: Vec::new(),
            unknown: "",
            good,
            status,
            faults: Vec::new(),
            required: Vec::new(),
            samples: Vec::new(),
            takes_all: "",
            free: Vec::new(),
            owned: false,
            tagged: false,
            conflicts: Vec::new(),
        }
    }

    pub(super) fn json(method: &'static str, path: &'static str, good: Value, status: u16) -> Self {
        Self::new(method, path, Good::Json(good), status)
    }

    pub(super) fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// Members that must be in the body.
    pub(super) fn required(mut self, members: &[&'static str]) -> Self {
        self.required.extend(members);
        self
    }

    /// A good body may have this as well, or instead of what it has.
    pub(super) fn sample(mut self, pointer: &str, value: Value) -> Self {
        self.samples.push(wrong(pointer, value));
        self
    }

    /// The good body, then that with each of the samples.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Good> {
        let with = self.samples.iter().map(|sample| self.good.with(sample));
        std::iter::once(self.good.clone()).chain(with)
    }

    pub(super) const fn level(mut self, level: &'static str) -> Self {
        self.level = level;
        self
    }

    pub(super) const fn unknown(mut self, parameter: &'static str) -> Self {
        self.unknown = parameter;
        self
    }

    /// A parameter beside the body, which names an object.
    fn names(mut self, parameter: &'static str, id: &str) -> Self {
        let pointer = format!("/{parameter}");
        self.query[parameter] = json!(id);
        self.query_faults = vec![gone(&pointer), wrong(&pointer, json!(""))];
        self
    }

    /// What is refused in the parameters beside a body.
    fn query_faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.query_faults.extend(faults);
        self
    }

    /// Any text is taken for this parameter, for this reason.
    pub(super) fn free(mut self, parameter: &'static str, why: &'static str) -> Self {
        self.free.push((parameter, why));
        self
    }

    /// Whether the row says what is refused of a parameter.
    pub(super) fn judges(&self, parameter: &str) -> bool {
        let faults = match self.good {
            Good::Query(_) => &self.faults,
            _ => &self.query_faults,
        };
        let is_it = |pointer: &str| pointer.split('/').nth(1) == Some(parameter);
        is_it(self.unknown)
            || faults.iter().any(|fault| is_it(&fault.pointer))
            || self.free.iter().any(|(name, _)| *name == parameter)
    }

    /// Nothing of it can be refused, for this reason.
    pub(super) const fn takes_all(mut self, why: &'static str) -> Self {
        self.takes_all = why;
        self
    }

    pub(super) const fn owned(mut self) -> Self {
        self.owned = true;
        self
    }

    pub(super) const fn tagged(mut self) -> Self {
        self.tagged = true;
        self
    }

    /// The same once more is a conflict of these members.
    pub(super) fn once(mut self, members: &'static [&'static str]) -> Self {
        let fault = None;
        self.conflicts.push(Conflict { fault, members });
        self
    }

    /// With this fault it is a conflict of these members.
    pub(super) fn taken(mut self, fault: Fault, members: &'static [&'static str]) -> Self {
        let fault = Some(fault);
        self.conflicts.push(Conflict { fault, members });
        self
    }
}

/// The whole table, in an order in which each good body works.
pub(super) fn all(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(list_rows::all(world));
    rows.extend(policy_rows::all());
    rows.extend(publisher(world));
    rows.extend(key_manager_rows::all(world));
    rows.extend(portal_rows::applications());
    rows.extend(portal_rows::subscriptions(world));
    rows.extend(portal_rows::keys(world));
    rows.extend(portal_rows::api_keys(world));
    rows.extend(query_rows::all(world));
    // What the others are called with ends with it.
    rows.push(key_manager_rows::change_password(world));
    rows
}

/// What may be wrong with where a revision is to be deployed.
fn target_faults() -> [Fault; 6] {
    [
        wrong("/0/name", json!("Moon")),
        wrong("/0/vhost", json!("moon.example")),
        wrong("/0/name", json!(5)),
        long("/0/name", 256),
        wrong("/0/vhost", json!(5)),
        wrong("/0/displayOnDevportal", json!("yes")),
    ]
}

fn publisher(world: &World) -> Vec<Row> {
    let good = json!({"name": "RowsToo", "version": "1.0.0", "context": "/rows-too"});
    let create = Row::json("POST", "/api/am/publisher/v4/apis", good, 201);
    let create = api_samples(create);
    let one = "/api/am/publisher/v4/apis/{apiId}";
    let update = Row::json("PUT", one, world.document.clone(), 200);
    let revisions = "/api/am/publisher/v4/apis/{apiId}/revisions";
    let revision = Row::json("POST", revisions, json!({"description": "another"}), 201);
    let targets = json!([{"name": "Default", "vhost": "localhost"}]);
    let deploy = "/api/am/publisher/v4/apis/{apiId}/deploy-revision";
    let undeploy = "/api/am/publisher/v4/apis/{apiId}/undeploy-revision";
    let mut rows = vec![
        create
            .query_faults([wrong("/openAPIVersion", json!("v2"))])
            .faults(api_faults())
            .required(OF_API)
            .taken(wrong("/name", json!("Rows")), &["name"])
            .taken(wrong("/context", json!("/rows")), &["context"])
            .once(&["name", "version"]),
        revision
            .faults([wrong("/description", json!(5)), long("/description", 256)])
            .tagged(),
        Row::json("POST", deploy, targets.clone(), 200)
            .names("revisionId", &world.revision)
            .faults(target_faults())
            .required(&["[].name"])
            .tagged(),
        Row::json("POST", undeploy, targets, 201)
            .names("revisionId", &world.revision)
            .query_faults([
                wrong("/revisionNumber", json!("first")),
                wrong("/allEnvironments", json!("perhaps")),
            ])
            .faults(target_faults())
            .required(&["[].name"])
            .tagged(),
    ];
    rows.extend(definitions());
    let update = update.faults(api_faults()).required(OF_API);
    rows.push(api_samples(update).tagged());
    rows
}

/// Descriptions that are read, imported or put in another's place.
fn definitions() -> [Row; 3] {
    let document = openapi("Row", &[("get", "/a")]);
    let properties = json!({"name": "RowFile", "version": "1.0.0", "context": "/row-file"});
    let import = Good::Multipart(json!({
        "additionalProperties": properties, "file": document,
    }));
    let import = Row::new(
        "POST",
        "/api/am/publisher/v4/apis/import-openapi",
        import,
        201,
    );
    let validate = Good::Multipart(json!({"file": document}));
    let validate = Row::new(
        "POST",
        "/api/am/publisher/v4/apis/validate-openapi",
        validate,
        200,
    );
    let swagger = "/api/am/publisher/v4/apis/{apiId}/swagger";
    let put = Good::Multipart(json!({"apiDefinition": document}));
    [
        import
            .faults([wrong(
                "/additionalProperties/operations",
                json!([{"verb": "GET", "target": "/other"}]),
            )])
            .required(&["file", "additionalProperties.context"])
            .faults(imported_faults())
            .taken(
                wrong("/additionalProperties/name", json!("Rows")),
                &["name"],
            )
            .taken(
                wrong("/additionalProperties/context", json!("/rows")),
                &["context"],
            )
            .once(&["name", "version"]),
        validate
            .required(&["file"])
            .query_faults([wrong("/returnContent", json!("perhaps"))]),
        Row::new("PUT", swagger, put, 200)
            .required(&["apiDefinition"])
            .tagged(),
    ]
}
