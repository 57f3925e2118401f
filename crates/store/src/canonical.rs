//! The one way to write a JSON value, so that it can be signed.

use serde_json::Value;

/// Members by the order of their names, no blanks between tokens; strings and numbers as `serde_json`
/// writes them. For what manifests hold (text, whole numbers below 2^53) this is the form of RFC 8785.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // RFC 8785 sorts by UTF-16 code units.
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_sorted_at_every_depth() {
        let value = json!({"b": [1, {"z": null, "a": "ü\n\u{1f600}"}], "\u{e000}": 1, "\u{10000}": 2, "a": 1.5});
        assert_eq!(
            canonical(&value),
            "{\"a\":1.5,\"b\":[1,{\"a\":\"ü\\n\u{1f600}\",\"z\":null}],\"\u{10000}\":2,\"\u{e000}\":1}"
        );
    }
}
