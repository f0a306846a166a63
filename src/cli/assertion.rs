//! `--assert PATH OP VALUE`: one statement about the JSON report that must hold.
//!
//! Deliberately small: no arithmetic, no `and`. Give `--assert` several times, or hand the report to a real language.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::loop_time;

/// Keys that are offered when one is not there.
const KEYS_OFFERED_MAX: usize = 20;

/// One statement, read but not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// As it was typed.
    text: String,
    path: Vec<Step>,
    operator: Operator,
    /// Right of the operator, as it was typed.
    said: String,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// What came of checking an assertion.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Holds,
    /// It does not hold; what the value is instead.
    Fails(String),
    /// The question makes no sense for this report, and why.
    Senseless(String),
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Two characters before one, or `<=` would read as `<` and a value that begins with `=`.
        const OPERATORS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("<", Operator::Below),
            (">", Operator::Above),
        ];
        let usage = |what: &str| format!("{what} in `{text}`: write PATH OP VALUE, as in 'loop.busy_ns <= 3s'");
        let at = text.find(['=', '!', '<', '>']).ok_or_else(|| usage("there is no operator"))?;
        let (sign, operator) = OPERATORS
            .into_iter()
            .find(|(sign, _)| text[at..].starts_with(sign))
            .ok_or_else(|| usage("the operator is none of == != <= >= < >"))?;
        let path = parse_path(text[..at].trim()).map_err(|what| usage(&what))?;
        let said = text[at + sign.len()..].trim().to_owned();
        if said.is_empty() {
            return Err(usage("there is no value"));
        }
        let is_time = matches!(path.last(), Some(Step::Key(key)) if key.ends_with("_ns"));
        let value = parse_value(&said, is_time).map_err(|what| usage(&what))?;
        if !matches!(operator, Operator::Equal | Operator::Unequal) && !value.is_number() {
            return Err(usage("only numbers and durations have an order"));
        }
        Ok(Self { text: text.to_owned(), path, operator, said, value })
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_path(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for part in text.split('.') {
        let (key, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        let is_name = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        if !is_name(key) {
            return Err(format!("`{part}` is not a field"));
        }
        steps.push(Step::Key(key.to_owned()));
        while let Some((index, rest)) = indices.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            steps.push(Step::Index(index.parse().map_err(|_| format!("`{index}` is not a place in a list"))?));
            indices = rest;
        }
        if !indices.is_empty() {
            return Err(format!("`{part}` is not a field"));
        }
    }
    Ok(steps)
}

/// JSON where it is JSON, a duration where the field is a time, else the bare word itself.
fn parse_value(said: &str, is_time: bool) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(said) {
        return Ok(value);
    }
    if is_time {
        return loop_time(said).map(Value::from);
    }
    if said.starts_with(['"', '=', '{', '[']) {
        return Err(format!("`{said}` is not a value"));
    }
    Ok(Value::from(said))
}

impl Assertion {
    /// Holds it against a report.
    pub fn check(&self, report: &Value) -> Verdict {
        let actual = match self.find(report) {
            Ok(actual) => actual,
            Err(why) => return Verdict::Senseless(format!("`{self}` cannot be checked: {why}")),
        };
        let holds = match self.operator {
            Operator::Equal => equal(&actual, &self.value),
            Operator::Unequal => !equal(&actual, &self.value),
            ordered => match compare(&actual, &self.value) {
                Some(order) => ordered.allows(order),
                None => {
                    let what = format!("{actual} has no order with {}", self.said);
                    return Verdict::Senseless(format!("`{self}` cannot be checked: {what}"));
                }
            },
        };
        if holds { Verdict::Holds } else { Verdict::Fails(format!("`{self}` does not hold: it is {actual}")) }
    }

    /// The value that the path leads to. A list has one field, `length`.
    fn find(&self, report: &Value) -> Result<Value, String> {
        let mut found = report;
        let mut walked = String::from("the report");
        for step in &self.path {
            match (step, found) {
                (Step::Key(key), Value::Array(items)) if key == "length" => return Ok(items.len().into()),
                (Step::Key(key), Value::Object(fields)) => {
                    found = fields.get(key).ok_or_else(|| {
                        let known: Vec<&str> = fields.keys().map(String::as_str).take(KEYS_OFFERED_MAX).collect();
                        format!("{walked} has no field `{key}`; it has {}", known.join(", "))
                    })?;
                    walked.clone_from(key);
                }
                (Step::Key(key), Value::Array(_)) => {
                    return Err(format!("{walked} is a list: `{key}` is not length, nor a place such as [0]"));
                }
                (Step::Index(index), Value::Array(items)) => {
                    found = items.get(*index).ok_or_else(|| format!("{walked} has {} entries", items.len()))?;
                    walked = format!("{walked}[{index}]");
                }
                _ => return Err(format!("{walked} is {found}: there is nothing inside it")),
            }
        }
        Ok(found.clone())
    }
}

impl Operator {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::AtMost => order.is_le(),
            Self::AtLeast => order.is_ge(),
            Self::Below => order.is_lt(),
            Self::Above => order.is_gt(),
        }
    }
}

/// Equal as a person means it: `1` and `1.0` are.
fn equal(actual: &Value, value: &Value) -> bool {
    compare(actual, value).map_or_else(|| actual == value, Ordering::is_eq)
}

/// The order of two numbers; whole ones exactly, for nanoseconds soon pass what a float can tell apart.
fn compare(actual: &Value, value: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(actual), whole(value)) {
        (Some(actual), Some(value)) => Some(actual.cmp(&value)),
        _ => actual.as_f64()?.partial_cmp(&value.as_f64()?),
    }
}
