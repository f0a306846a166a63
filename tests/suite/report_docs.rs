//! The documentation of the report: the JSON Schema describes the real output, and docs/report.md lists all its fields
//! and all lints. `UPDATE_SNAPSHOTS=1` rewrites both lists.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loopscope::insight::LINTS;
use serde_json::Value;

use crate::cli::loopscope;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn schema() -> Value {
    let text = fs::read_to_string(docs("report.schema.json")).expect("there is a schema");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// Returns the schema that `schema` refers to, or itself.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(target) => root.pointer(target.trim_start_matches('#')).expect("the reference leads somewhere"),
        None => schema,
    }
}

/// Validates `value` with the part of JSON Schema that the file uses. Adds what is wrong to `errors`.
fn validate(root: &Value, schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    let schema = resolve(root, schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&Value| {
            let mut found = Vec::new();
            validate(root, choice, value, path, &mut found);
            found.is_empty()
        };
        match choices.iter().find(fits) {
            Some(_) => {}
            None => validate(root, &choices[0], value, path, errors),
        }
    }
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_type = |name: &Value| name == actual;
    let types = &schema["type"];
    if !types.is_null() && !is_type(types) && !types.as_array().is_some_and(|types| types.iter().any(is_type)) {
        errors.push(format!("{path} is {actual}, not {types}"));
    }
    let values = schema["enum"].as_array();
    if values.is_some_and(|values| !values.contains(value)) {
        errors.push(format!("{path}: {value} is not listed"));
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        errors.push(format!("{path} is {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        validate(root, &schema["items"], item, &format!("{path}[{index}]"), errors);
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            errors.push(format!("{path}.{name} is missing"));
        }
    }
    for (name, field) in fields {
        match properties.get(name) {
            Some(property) => validate(root, property, field, &format!("{path}.{name}"), errors),
            None => errors.push(format!("{path}.{name} is not in the schema")),
        }
    }
}

/// Returns what is wrong with a report according to the schema.
pub fn schema_errors(report: &Value) -> Vec<String> {
    let (root, mut errors) = (schema(), Vec::new());
    validate(&root, &root, report, "report", &mut errors);
    errors
}

#[test]
fn schema_describes_the_reports_of_workloads() {
    for name in ["countasync", "deadlock", "rules", "producer-consumer", "task-group", "leak"] {
        let output = loopscope(&["run", name, "--headless", "--json", "--full"]);
        let report: Value = serde_json::from_str(&output.stdout).expect("a report");
        assert_eq!(schema_errors(&report), [""; 0], "{name}");
    }
}

#[test]
fn schema_rejects_other_documents() {
    let output = loopscope(&["run", "countasync", "--headless", "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).expect("a report");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut report = report.clone();
        change(&mut report);
        schema_errors(&report).join(", ")
    };
    assert_eq!(
        changed(&|report| report["tasks"][0]["polls"] = "many".into()),
        "report.tasks[0].polls is string, not \"integer\""
    );
    assert_eq!(changed(&|report| report["outcome"] = "lost".into()), "report.outcome: \"lost\" is not listed");
    assert_eq!(changed(&|report| report["loop"]["more"] = 1.into()), "report.loop.more is not in the schema");
    let without = changed(&|report| drop(report.as_object_mut().expect("an object").remove("gaps")));
    assert_eq!(without, "report.gaps is missing");
}

/// Returns the table of all lints.
fn lint_table() -> String {
    let mut table = "| lint | severity | finds | remedy |\n|---|---|---|---|\n".to_owned();
    for lint in LINTS {
        let _ = writeln!(table, "| `{}` | {} | {} | {} |", lint.name, lint.severity.name(), lint.summary, lint.advice);
    }
    table
}

/// Returns one table for each object of the schema.
fn field_tables() -> String {
    let root = schema();
    let mut text = push_fields(&root, "the report");
    for (name, definition) in root["$defs"].as_object().expect("definitions") {
        text += &push_fields(definition, name);
    }
    text
}

fn push_fields(object: &Value, name: &str) -> String {
    let about = object["description"].as_str().expect("each object has a description");
    let mut text = format!("**{name}**: {about}\n\n| field | type | meaning |\n|---|---|---|\n");
    for (field, property) in object["properties"].as_object().expect("each object has fields") {
        let meaning = property["description"].as_str().expect("each field has a description");
        let _ = writeln!(text, "| `{field}` | {} | {meaning} |", type_name(property));
    }
    text + "\n"
}

fn type_name(property: &Value) -> String {
    if let Some(target) = property["$ref"].as_str() {
        return target.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(choices) = property["anyOf"].as_array() {
        return choices.iter().map(type_name).collect::<Vec<_>>().join(" or ");
    }
    match &property["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_name(&property["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ if property["const"].is_null() => "any".to_owned(),
        _ => property["const"].to_string(),
    }
}

#[test]
fn report_docs_list_all_lints_and_fields() {
    let path = docs("report.md");
    let mut text = fs::read_to_string(&path).expect("there is documentation");
    for (name, expected) in [("lints", lint_table()), ("fields", field_tables())] {
        let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
        let from = text.find(&begin).expect("the list begins") + begin.len();
        let to = text.find(&end).expect("the list ends");
        let expected = format!("\n{}\n\n", expected.trim_end());
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            text.replace_range(from..to, &expected);
            fs::write(&path, &text).expect("write the documentation");
        } else {
            assert_eq!(text[from..to], expected, "run UPDATE_SNAPSHOTS=1 cargo test report_docs");
        }
    }
    let lint_is_described = |name: &str| text.matches(&format!("`{name}`")).count() >= 2;
    let missing: Vec<_> = LINTS.iter().map(|lint| lint.name).filter(|name| !lint_is_described(name)).collect();
    assert_eq!(missing, [""; 0], "each lint is in the table of sources too");
}
