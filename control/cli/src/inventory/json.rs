//! An inventory as JSON: a list of objects, or `{"items": […]}` as `-o json` prints it. Keys are the headings with `_` for spaces.

use serde_json::{Map, Value};

use super::columns::Column;
use super::read::heading_of;
use super::sheet::{Mistake, Row, Sheet};
use super::{MISTAKES_MAX, ROWS_MAX};

pub(super) fn parse(name: &str, text: &str) -> Result<Sheet, Vec<Mistake>> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| vec![Mistake::of(name, format!("no JSON: {error}"))])?;
    let items = match &value {
        Value::Array(items) => Some(items),
        Value::Object(object) => object.get("items").and_then(Value::as_array),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    let Some(items) = items else {
        return Err(vec![Mistake::of(name, "write a list of objects, or {\"items\": […]}")]);
    };
    if items.len() > ROWS_MAX {
        return Err(vec![Mistake::of(name, format!("more than {ROWS_MAX} applications: divide it"))]);
    }
    let (mut rows, mut mistakes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for (nth, item) in items.iter().enumerate() {
        let place = format!("{name}: item {}", nth + 1);
        match item {
            Value::Object(object) => rows.push(row(&place, object, &mut mistakes, &mut warnings)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                mistakes.push(Mistake::of(place, "it is no object"));
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(Sheet { name: name.to_owned(), rows, warnings });
    }
    mistakes.truncate(MISTAKES_MAX);
    Err(mistakes)
}

fn row(place: &str, object: &Map<String, Value>, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<String>) -> Row {
    let (mut row, mut before) = (Row::new(place), Vec::new());
    for (key, value) in object {
        match (heading_of(key, &before), cell(value)) {
            (Err(what), _) => mistakes.push(Mistake::of(place, what)),
            (Ok(None), _) => {
                let warning = format!("no inventory has a column {key:?}: it is left out");
                if warnings.len() < MISTAKES_MAX && !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            (Ok(Some(column)), None) => {
                mistakes.push(Mistake::in_cell(&row, column, "write a text, or a list of texts"));
            }
            (Ok(Some(column)), Some(text)) => {
                row.set(column, &text);
                before.push(Some(column));
            }
        }
    }
    row
}

fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.into()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(" "))
        }
        Value::Object(_) => None,
    }
}

/// The rows as objects, without what is empty.
pub(crate) fn objects(rows: &[Row]) -> Vec<Map<String, Value>> {
    let object = |row: &Row| {
        let filled = Column::ALL.into_iter().filter(|column| !row.get(*column).is_empty());
        filled.map(|column| (column.key(), Value::from(row.get(column)))).collect()
    };
    rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let rows = [Row::example()];
        let text = serde_json::json!({ "items": objects(&rows) }).to_string();
        let read = parse("a.json", &text).unwrap().rows;
        for column in Column::ALL {
            assert_eq!(read[0].get(column), rows[0].get(column));
        }
    }

    #[test]
    fn lists_switches_and_foreign_keys_are_taken() {
        let text =
            r#"[{"name": "a", "websockets": true, "users_and_groups": ["group/a", "user/b"], "owner of all this": 1}]"#;
        let sheet = parse("a.json", text).unwrap();
        assert_eq!(sheet.rows[0].get(Column::WebSockets), "yes");
        assert_eq!(sheet.rows[0].get(Column::UsersAndGroups), "group/a user/b");
        assert_eq!(sheet.warnings, ["no inventory has a column \"owner of all this\": it is left out"]);
    }

    #[test]
    fn keys_without_end_are_not_told_without_end() {
        let item = |nth: usize| serde_json::json!({ "name": format!("a{nth}"), (format!("{nth} of all this")): 1 });
        let items: Vec<Value> = (0..2 * MISTAKES_MAX).map(item).collect();
        let sheet = parse("a.json", &Value::from(items).to_string()).unwrap();
        assert_eq!((sheet.rows.len(), sheet.warnings.len()), (2 * MISTAKES_MAX, MISTAKES_MAX));
    }

    #[test]
    fn mistakes_name_their_item() {
        let told = |text: &str| parse("a.json", text).unwrap_err()[0].to_string();
        assert_eq!(told("[1]"), "a.json: item 1: it is no object");
        assert_eq!(
            told(r#"[{}, {"externl_url": "a"}]"#),
            "a.json: item 2: unknown column `externl_url`; did you mean `external URL`?"
        );
        assert_eq!(told(r#"[{"name": {}}]"#), "a.json: item 1: name: write a text, or a list of texts");
        assert!(told("{").starts_with("a.json: no JSON: "));
        assert!(told("{}").contains("list of objects"));
    }
}
