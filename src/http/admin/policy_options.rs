//! What may be chosen of a policy beyond the contract's members: by attributes of well-known names in
//! `customAttributes`. The contract has that list for subscription policies; the same list is read and shown for those
//! of other levels, where the contract has no place at all.

use serde_json::{Map, Value};

use domain::policy::{Mode, PolicyOptions, WindowKind};

use crate::error::ApiError;

/// The member that holds them.
const LIST: &str = "customAttributes";
/// How all names begin that mean something here; others are kept as they are.
const OURS: &str = "headgate.";
/// What happens while nobody can grant units.
const MODE: &str = "headgate.mode";
/// How windows count.
const WINDOW: &str = "headgate.window";
/// The most attributes.
const MOST: usize = 100;

/// Reads what is chosen among the members that have no other effect.
///
/// # Errors
/// When the list is none, names an option that is not there, or chooses what it has not.
pub(super) fn read(members: &Map<String, Value>) -> Result<PolicyOptions, ApiError> {
    let mut options = PolicyOptions::default();
    let listed = match members.get(LIST) {
        None | Some(Value::Null) => return Ok(options),
        Some(Value::Array(listed)) if listed.len() <= MOST => listed,
        Some(_) => {
            let problem = format!("must be a list of at most {MOST} attributes");
            return Err(ApiError::bad_field(LIST, &problem));
        }
    };
    let mut chosen = Vec::new();
    for (index, attribute) in listed.iter().enumerate() {
        let text = |member| attribute.get(member).and_then(Value::as_str);
        let Some(name) = text("name") else {
            let field = format!("{LIST}[{index}].name");
            return Err(ApiError::bad_field(&field, "is required"));
        };
        if !name.starts_with(OURS) {
            continue;
        }
        let field = format!("{LIST}[{index}].name");
        if chosen.contains(&name) {
            return Err(ApiError::bad_field(&field, format!("chooses {name} again")));
        }
        chosen.push(name);
        let value = text("value").unwrap_or_default();
        let (is_known, problem) = match name {
            MODE => {
                let mode = Mode::parse(value);
                options.mode = mode.unwrap_or_default();
                (
                    mode.is_some(),
                    "of headgate.mode must be exact, share or allow",
                )
            }
            WINDOW => {
                let kind = WindowKind::parse(value);
                options.window = kind.unwrap_or_default();
                (
                    kind.is_some(),
                    "of headgate.window must be fixed, sliding or bucket",
                )
            }
            _ => {
                let problem = "must be headgate.mode, headgate.window or a name of your own that does not begin \
                               with headgate.";
                return Err(ApiError::bad_field(&field, problem));
            }
        };
        if !is_known {
            return Err(ApiError::bad_field(
                &format!("{LIST}[{index}].value"),
                problem,
            ));
        }
    }
    Ok(options)
}
