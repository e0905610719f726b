//! Members that have no effect here: they are kept and given back as they came, so that a client
//! finds what it sent, but only if they are of the contract's types and no larger than they need.

use serde_json::Value;

use crate::body::Fields;
use crate::error::ApiError;

/// The most characters of a name or word.
pub(crate) const SHORT: usize = 255;
/// The most characters of a text, and bytes of a member that no contract has.
pub(crate) const LONG: usize = 32_766;

/// Members by name, each with its type.
pub(crate) type Members = &'static [(&'static str, Kind)];

/// The type of a member.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    /// One of these.
    Word(&'static [&'static str]),
    Flag,
    /// `true` or `false`, also as a text: clients send it either way.
    FlagOrWord,
    Number,
    Texts,
    /// An object with members of these types and any others.
    Object(Members),
    /// An object whose members are all such objects.
    Objects(Members),
    /// An object whose members are all texts of at most so many characters.
    TextsByName(usize),
    /// A list of such objects.
    List(Members),
    /// Of this type, and not to be left out of what it is a member of.
    Required(&'static Self),
}

/// Refuses members of another type than `kinds` says, and those that are missing where they must not be; all that are
/// there stay in place.
///
/// # Errors
/// 400 naming the member.
pub(crate) fn check(fields: &mut Fields, kinds: Members) -> Result<(), ApiError> {
    for (name, kind) in kinds {
        if let Some(value) = fields.take(name) {
            fields.put(name, value.clone());
            kind.check(fields, name)?;
            fields.put(name, value);
        } else if matches!(kind, Kind::Required(_)) {
            return Err(fields.bad(name, "is required"));
        }
    }
    Ok(())
}

/// Refuses a member that `kinds` has not and that is too large to be kept.
///
/// # Errors
/// 400 naming the member.
pub(crate) fn bounded(fields: &Fields, kinds: Members) -> Result<(), ApiError> {
    for (name, value) in unknown(fields, kinds) {
        if name.len() > SHORT {
            let shown: String = name.chars().take(SHORT).collect();
            let problem = format!("has a name of more than {SHORT} bytes");
            return Err(fields.bad(&shown, problem));
        }
        if value.to_string().len() > LONG {
            let problem = format!("must not exceed {LONG} bytes");
            return Err(fields.bad(name, problem));
        }
    }
    Ok(())
}

/// An object with members of these types, and others that are not too large to be kept.
fn whole(mut object: Fields, kinds: Members) -> Result<(), ApiError> {
    check(&mut object, kinds)?;
    if weight(&object, kinds) > LONG {
        let problem = format!("has members of no contract of more than {LONG} bytes");
        return Err(object.bad_itself(problem));
    }
    Ok(())
}

/// Bytes of the members that `kinds` has not, as JSON.
fn weight(fields: &Fields, kinds: Members) -> usize {
    let bytes = unknown(fields, kinds).map(|(name, value)| name.len() + value.to_string().len());
    bytes.fold(0, usize::saturating_add)
}

/// The members that `kinds` has not.
fn unknown(fields: &Fields, kinds: Members) -> impl Iterator<Item = (&String, &Value)> {
    let members = fields.members().iter();
    members.filter(move |(name, _)| !kinds.iter().any(|(known, _)| known == name))
}

// === impl Kind ===

impl Kind {
    /// Takes the member out if it is of this type.
    fn check(self, fields: &mut Fields, name: &str) -> Result<(), ApiError> {
        match self {
            Self::Text(most) => fields.text(name, most).map(drop),
            Self::Word(words) => fields.word(name, words).map(drop),
            Self::Flag => fields.flag(name).map(drop),
            Self::FlagOrWord => match fields.take(name) {
                Some(Value::String(word)) => {
                    fields.put(name, Value::String(word));
                    Self::Word(&["true", "false"]).check(fields, name)
                }
                Some(value) => {
                    fields.put(name, value);
                    fields.flag(name).map(drop)
                }
                None => Ok(()),
            },
            Self::Number => fields.number(name).map(drop),
            Self::Texts => fields.texts(name, SHORT).map(drop),
            Self::Object(kinds) => {
                let object = fields.object(name)?;
                object.map_or(Ok(()), |object| whole(object, kinds))
            }
            Self::Objects(kinds) => {
                let object = fields.object(name)?;
                object.map_or(Ok(()), |mut object| {
                    let mut names = object.names().into_iter();
                    names.try_for_each(|one| Self::Object(kinds).check(&mut object, &one))
                })
            }
            Self::TextsByName(most) => {
                let object = fields.object(name)?;
                object.map_or(Ok(()), |mut object| {
                    let mut names = object.names().into_iter();
                    names.try_for_each(|one| object.text(&one, most).map(drop))
                })
            }
            Self::List(kinds) => {
                let mut items = fields.items(name)?.into_iter();
                items.try_for_each(|item| whole(item, kinds))
            }
            Self::Required(kind) => kind.check(fields, name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Members = &[
        ("text", Kind::Text(3)),
        ("word", Kind::Word(&["A", "B"])),
        ("flag", Kind::Flag),
        ("either", Kind::FlagOrWord),
        ("number", Kind::Number),
        ("texts", Kind::Texts),
        ("object", Kind::Object(&[("in", Kind::Text(3))])),
        ("objects", Kind::Objects(&[("in", Kind::Flag)])),
        ("byName", Kind::TextsByName(3)),
        ("list", Kind::List(&[("in", Kind::Number)])),
        (
            "listed",
            Kind::List(&[("must", Kind::Required(&Kind::Flag))]),
        ),
    ];

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(members) => Fields::from_map(members),
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn what_is_of_its_type_stays_as_it_came() {
        let good = json!({
            "text": "abc", "word": "B", "flag": true, "either": "true", "number": 5, "texts": ["a"],
            "object": {"in": "x", "more": 1}, "objects": {"a": {"in": false}},
            "byName": {"a": "b"}, "list": [{"in": 1}], "listed": [{"must": false}], "other": [1],
        });
        let mut kept = fields(good.clone());
        check(&mut kept, SHAPE).unwrap();
        assert_eq!(Value::Object(kept.rest()), good);
    }

    #[test]
    fn what_is_not_is_refused_by_its_whole_path() {
        for (wrong, path) in [
            (json!({"text": "abcd"}), "text"),
            (json!({"text": {"a": 1}}), "text"),
            (json!({"word": "C"}), "word"),
            (json!({"word": 5}), "word"),
            (json!({"flag": "maybe"}), "flag"),
            (json!({"either": {"a": 1}}), "either"),
            (json!({"either": "yes"}), "either"),
            (json!({"number": "x"}), "number"),
            (json!({"texts": [5]}), "texts"),
            (json!({"object": "x"}), "object"),
            (json!({"object": {"in": {"a": 1}}}), "object.in"),
            (json!({"objects": {"a": "b"}}), "objects.a"),
            (json!({"objects": {"a": {"in": 5}}}), "objects.a.in"),
            (json!({"byName": {"a": 5}}), "byName.a"),
            (json!({"byName": {"a": "abcd"}}), "byName.a"),
            (json!({"list": {}}), "list"),
            (json!({"list": [{}, "x"]}), "list[1]"),
            (json!({"list": [{}, {"in": "x"}]}), "list[1].in"),
            (json!({"listed": [{"must": true}, {}]}), "listed[1].must"),
            (json!({"listed": [{"must": null}]}), "listed[0].must"),
            (json!({"listed": [{"must": "x"}]}), "listed[0].must"),
        ] {
            let refused = check(&mut fields(wrong.clone()), SHAPE).unwrap_err();
            let (field, _) = refused.description().split_once(": ").unwrap();
            assert_eq!(field, path, "{wrong}");
        }
    }

    #[test]
    fn what_no_contract_has_is_kept_within_a_bound() {
        let of = |text: String| fields(json!({"more": text, "text": "abc"}));
        bounded(&of("x".repeat(LONG - 2)), SHAPE).unwrap();
        let refused = bounded(&of("x".repeat(LONG - 1)), SHAPE).unwrap_err();
        assert!(refused.description().starts_with("more: "), "{refused:?}");
        let name = json!({"n".repeat(SHORT + 1): 1});
        assert!(bounded(&fields(name), SHAPE).is_err());
    }

    #[test]
    fn what_is_too_large_to_be_kept_is_refused_by_its_whole_path() {
        let large = || json!({"more": "x".repeat(LONG)});
        for (wrong, path) in [
            (json!({"object": large()}), "object"),
            (json!({"objects": {"a": {}, "b": large()}}), "objects.b"),
            (json!({"list": [{}, large()]}), "list[1]"),
        ] {
            let refused = check(&mut fields(wrong).at("in[3]"), SHAPE).unwrap_err();
            let (field, _) = refused.description().split_once(": ").unwrap();
            assert_eq!(field, format!("in[3].{path}"));
        }
        let name = "n".repeat(SHORT + 1);
        for (wrong, path) in [(large(), "in[3].more: "), (json!({ name: 1 }), "in[3].nnn")] {
            let refused = bounded(&fields(wrong).at("in[3]"), SHAPE).unwrap_err();
            assert!(refused.description().starts_with(path), "{refused:?}");
        }
    }
}
