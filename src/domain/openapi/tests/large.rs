//! Documents of the size of the largest real ones.

use std::fmt::Write as _;

use super::{Definition, FaultKind, Limits, good, read};

/// A document like GitHub's: many operations, each with long examples and a dozen of references.
fn synthetic(operations: usize) -> String {
    let mut json = String::from(
        "{\n \"openapi\": \"3.0.3\",\n \"info\": {\"title\": \"Large\", \"version\": \"1.1.4\"},\n \"paths\": {\n",
    );
    for n in 0..operations {
        let comma = if n + 1 < operations { "," } else { "" };
        let responses: String = (0..4)
            .map(|status| {
                format!(
                    r##"
          "{}": {{
            "description": "response {status}",
            "headers": {{"Link": {{"$ref": "#/components/headers/link"}}}},
            "content": {{
              "application/json": {{
                "schema": {{"type": "array", "items": {{"$ref": "#/components/schemas/s{n}"}}}},
                "examples": {{"default": {{"value": [{}]}}}}
              }}
            }}
          }},"##,
                    200 + status,
                    example(n)
                )
            })
            .collect();
        let _ = write!(
            json,
            r##"
    "/repos/{{owner}}/{{repo}}/thing{n}/{{id}}": {{
      "get": {{
        "operationId": "thing/{n}", "summary": "thing {n}", "tags": ["tag{}"],
        "parameters": [{{"$ref": "#/components/parameters/owner"}}, {{"$ref": "#/components/parameters/repo"}}],
        "responses": {{{responses}
          "default": {{"description": "else"}}
        }}
      }}
    }}{comma}"##,
            n % 40
        );
    }
    json.push_str(
        r#"
 },
 "components": {
  "parameters": {
   "owner": {"name": "owner", "in": "path", "required": true, "schema": {"type": "string"}},
   "repo": {"name": "repo", "in": "path", "required": true, "schema": {"type": "string"}}
  },
  "schemas": {"#,
    );
    for n in 0..operations {
        let comma = if n + 1 < operations { "," } else { "" };
        let _ = write!(
            json,
            r##""s{n}": {{"type": "object", "properties": {{"self": {{"$ref": "#/components/schemas/s{n}"}}}}}}{comma}"##
        );
    }
    json.push_str("}\n }\n}\n");
    json
}

fn example(n: usize) -> String {
    let member = |at: usize| {
        format!("\"member_number_{at}\": \"https://api.example.com/repos/o/r/{n}/{at}\"")
    };
    let members: Vec<String> = (0..40).map(member).collect();
    format!("{{{}}}", members.join(",\n                  "))
}

#[test]
fn a_thousand_operations_in_many_megabytes_are_read_whole() {
    let document = synthetic(1000);
    assert!(document.len() > 8_000_000, "{}", document.len());
    let limits = Limits {
        bytes: 20_000_000,
        ..Limits::default()
    };
    let definition = read(document.as_bytes(), &limits).unwrap();
    assert_eq!(definition.operations.len(), 1000);
    assert_eq!(definition.tags.len(), 40);
    assert_eq!(definition.warnings, []);
}

#[test]
fn the_same_in_yaml_is_read_the_same() {
    let document = synthetic(150);
    let json = good(&document);
    let yaml = good(&format!("---\n{document}"));
    assert_eq!(
        Definition {
            media: json.media,
            ..yaml
        },
        json
    );
}

#[test]
fn what_is_cut_off_is_a_fault_and_no_half_definition() {
    let document = synthetic(20);
    for cut in [document.len() / 3, document.len() / 2, document.len() - 3] {
        let fault = read(&document.as_bytes()[..cut], &Limits::default()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Syntax);
    }
}
