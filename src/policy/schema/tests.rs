use serde_json::json;

use super::*;

fn shape(schema: &Value) -> ToolShape {
    ToolShape::from_schema("t", schema)
}

fn line(argument: &Argument) -> String {
    let types: Vec<&str> = argument.types.iter().map(|kind| kind.name()).collect();
    let star = if argument.required { "*" } else { "" };
    let open = if argument.open { " open" } else { "" };
    format!("{}{star} {}{open}", argument.path, types.join("|"))
}

fn lines(schema: &Value) -> Vec<String> {
    shape(schema).arguments.iter().map(line).collect()
}

#[test]
fn nested_arguments_become_paths() {
    let schema = json!({
        "type": "object",
        "required": ["items", "a.b"],
        "properties": {
            "a.b": {"type": "string", "enum": ["x", "y"], "description": "d"},
            "items": {"type": "array", "items": {"type": "object", "required": ["price"],
                "properties": {"price": {"type": "number", "minimum": 0}, "tags": {"type": "array", "items": {"type": "string"}}}}},
            "free": {"type": "object"},
            "to": {"type": "object", "required": ["id"], "properties": {"id": {"type": ["string", "null"], "format": "uuid"}}},
            "what": {}
        }
    });
    assert_eq!(
        lines(&schema),
        [
            "args.a\\.b* string",
            "args.free object open",
            "args.items* array",
            "args.items[*] object",
            "args.items[*].price number",
            "args.items[*].tags array",
            "args.items[*].tags[*] string",
            "args.to object",
            "args.to.id string|null",
            "args.what  open",
        ]
    );
    let shape = shape(&schema);
    assert_eq!(shape.argument("args.a\\.b").unwrap().choices, [json!("x"), json!("y")]);
    let known = |path: &str| match shape.known(&Path::parse(path).unwrap()) {
        Known::Yes(argument) => argument.path.clone(),
        Known::No => "no".to_owned(),
        Known::Unsure => "unsure".to_owned(),
    };
    assert_eq!(known("args.items.0.price"), "args.items[*].price");
    assert_eq!(known("args.items[*].cost"), "no");
    assert_eq!(known("args.nothing"), "no");
    assert_eq!(known("args.free.x.y"), "unsure");
    assert_eq!(known("args.what.x"), "unsure");
    assert_eq!(known("args.a\\.b.c"), "no");
}

#[test]
fn references_and_alternatives_are_taken_together() {
    let schema = json!({
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}},
        "type": "object",
        "properties": {
            "n": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "maybe"},
            "one": {"oneOf": [{"const": "a"}, {"const": "b"}]},
            "list": {"$ref": "#/$defs/node"},
            "gone": {"$ref": "https://example.com/x"}
        },
        "additionalProperties": false
    });
    let shape = shape(&schema);
    assert_eq!(line(shape.argument("args.n").unwrap()), "args.n integer|null");
    assert_eq!(shape.argument("args.one").unwrap().choices, [json!("a"), json!("b")]);
    assert!(shape.argument("args.list.next.next.v").is_some());
    assert!(shape.argument("args.gone").unwrap().open);
    assert!(!shape.open);
    assert!(ToolShape::from_schema("t", &json!(null)).open);
    assert!(ToolShape::from_schema("t", &json!({"type": "object"})).open);
    let either =
        json!({"anyOf": [{"required": ["a", "b"]}, {"required": ["a"]}], "properties": {"a": {}, "b": {}}});
    let found: Vec<bool> =
        ToolShape::from_schema("t", &either).arguments.iter().map(|it| it.required).collect();
    assert_eq!(found, [true, false]);
}

#[test]
fn hostile_schemas_are_bounded() {
    let cycle = json!({"$ref": "#", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"items": {"$ref": "#"}}}});
    assert!(shape(&cycle).arguments.len() <= MOST);
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "object", "properties": {"x": deep}});
    }
    let deep = shape(&deep);
    assert_eq!(deep.arguments.len(), DEEPEST + 1);
    assert!(deep.arguments.last().unwrap().open);
    let wide: Map<String, Value> =
        (0..5_000).map(|index| (format!("p{index}"), json!({"type": "string"}))).collect();
    let wide = shape(&json!({"properties": wide}));
    assert!(wide.arguments.len() == MOST && wide.open);
    let many = json!({"anyOf": vec![json!({"$ref": "#"}); 50]});
    assert!(shape(&many).open);
}

#[test]
fn operators_fit_types() {
    assert_eq!(ops_for(&[JsonType::Integer])[0], Op::Gt);
    assert_eq!(ops_for(&[JsonType::Boolean]), [Op::Eq, Op::Neq, Op::Exists]);
    assert!(!ops_for(&[JsonType::String]).contains(&Op::Gt));
    assert_eq!(ops_for(&[JsonType::Array])[..2], [Op::Contains, Op::Exists]);
    assert_eq!(ops_for(&[]).len(), 11);
    assert!(ops_for(&[JsonType::String, JsonType::Null]).contains(&Op::Regex));
}

#[test]
fn real_schemas_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tools");
    let Ok(files) = std::fs::read_dir(folder) else { return };
    let mut count = 0;
    for file in files.flatten().filter(|file| file.path().extension().is_some_and(|ext| ext == "json")) {
        let value: Value = serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        let tools = value.get("tools").or_else(|| value.pointer("/result/tools")).unwrap_or(&value);
        for tool in tools.as_array().into_iter().flatten() {
            let shape = shape(&tool["inputSchema"]);
            let named =
                tool.pointer("/inputSchema/properties").and_then(Value::as_object).map_or(0, Map::len);
            assert!(shape.arguments.len() >= named, "{} {}", file.path().display(), tool["name"]);
            for argument in &shape.arguments {
                assert!(!ops_for(&argument.types).is_empty());
                assert!(
                    matches!(shape.known(&Path::parse(&argument.path).unwrap()), Known::Yes(found) if found == argument)
                );
            }
            count += 1;
        }
    }
    assert!(count > 500, "{count}");
}
