//! What `lisle dump --json` prints and what goes over an agent's socket, as JSON schemas in `docs/schema`: for those
//! who read it without this crate. `LISLE_WRITE=1 cargo test -p lisle-cli --test schema` writes them anew.

mod common;

use common::*;
use lisle::watch::wire::{PROTOCOL, Reply, Request, Snapshot};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// As it is in the folder, after it has been compared with what the types say.
#[track_caller]
fn published(name: &str, mut schema: Value) -> Value {
    let [major, minor] = PROTOCOL;
    schema["$comment"] = json!(format!(
        "Version {major}.{minor}. Made from crates/lisle/src/watch/wire.rs, which says how versions differ."
    ));
    let schema = plain(schema);
    let text = format!("{schema:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{name}-{major}.json"));
    if std::env::var_os("LISLE_WRITE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let is = fs::read_to_string(&path).unwrap_or_default();
    assert!(is == text, "{} is not what the types say: run this test with LISLE_WRITE=1", path.display());
    schema
}

/// Without the links of the crate's documentation: `[what](where)` and `[what]` become `what`.
fn plain(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            for (name, value) in map {
                *value = match value.take() {
                    Value::String(text) if name == "description" => json!(without_links(&text)),
                    other => plain(other),
                };
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| *value = plain(value.take())),
        _ => {}
    }
    schema
}

fn without_links(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (link, rest) = part.split_once(']').expect("brackets are in pairs");
        plain += link;
        plain += rest.strip_prefix('(').and_then(|target| Some(target.split_once(')')?.1)).unwrap_or(rest);
    }
    plain
}

/// The snapshot's. All its fields are always there.
fn snapshot() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Snapshot>().to_value();
    schema["title"] = json!("A snapshot of a process's threads, as `lisle dump --json` prints it");
    schema
}

/// That no object has fields which the schema does not speak of. Who reads has to expect some, of newer versions;
/// we have not.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            map.values_mut().for_each(|value| *value = strict(value.take()));
            if map.contains_key("properties") {
                map.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| *value = strict(value.take())),
        _ => {}
    }
    schema
}

#[track_caller]
fn assert_valid(schema: &jsonschema::Validator, dump: &Value) {
    let errors: Vec<String> = schema.iter_errors(dump).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn the_snapshot_s_is_published() {
    let schema = published("snapshot", snapshot());
    jsonschema::meta::validate(&schema).unwrap();
}

#[test]
fn the_protocol_s_is_published() {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let request = generator.subschema_for::<Request>().to_value();
    let reply = generator.subschema_for::<Reply>().to_value();
    let schema = published(
        "protocol",
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "What is in the frames between an agent and who asks it",
            "anyOf": [request, reply],
            "$defs": generator.take_definitions(true),
        }),
    );
    jsonschema::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&strict(schema)).unwrap();
    assert!(schema.is_valid(&json!({"snapshot": {"frames": true}})));
    assert!(!schema.is_valid(&json!({"snapshot": {"frames": 7}})));
    assert!(!schema.is_valid(&json!("sing")));
}

/// Real programs in all states that the examples know.
#[test]
fn dumps_are_as_it_says() {
    let schema = jsonschema::validator_for(&strict(snapshot())).unwrap();
    let session = Session::new();
    let scenes = ["two-locks", "three-locks", "timed-two-locks", "orphan", "starved-pool", "contention"];
    for scene in scenes {
        let mut command = std::process::Command::new(example("knots"));
        command.arg(scene).env("XDG_RUNTIME_DIR", session.path()).env("LISLE_AGENT", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n");
        let said = session.says(&["dump", "--json", &child.id().to_string()]);
        child.kill().unwrap();
        child.wait().unwrap();
        let dump: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        assert_valid(&schema, &dump);
        assert_eq!(dump["schema"], json!(PROTOCOL));
        // And a wrong one is found to be wrong.
        let mut wrong = dump.clone();
        wrong["threads"][0]["state"] = json!(3);
        assert!(!schema.is_valid(&wrong));
        let mut wrong = dump;
        wrong["threads"][0]["colour"] = json!("blue");
        assert!(!schema.is_valid(&wrong));
    }
}
