use std::path::Path;

use proptest::prelude::*;

use super::*;

const PROGRAM: &str = "/opt/call gate/callgate";

fn words() -> Vec<String> {
    ["gateway", "--policy", "/h/p.json", "--name", "a", "--"].map(str::to_owned).to_vec()
}

fn path(at: &str) -> Vec<String> {
    at.split('/').map(str::to_owned).collect()
}

/// Wraps, and unwraps again: the text is what it was. Gives the wrapped text.
fn round(file: &str, text: &str, at: &str) -> String {
    let (file, at) = (Path::new(file), path(at));
    let wrapped = wrap(file, text, &at, PROGRAM, &words()).unwrap_or_else(|why| panic!("{why}: {text:?}"));
    let kept = (wrapped.before.as_str(), wrapped.after.as_str());
    let unwrapped = unwrap(file, &wrapped.text, &at, Some(kept)).expect("unwraps");
    assert_eq!((unwrapped.text.as_str(), unwrapped.exact), (text, true));
    // Without what was kept, the meaning comes back, if not the spelling.
    let again = unwrap(file, &wrapped.text, &at, None).expect("unwraps");
    assert!(!again.exact);
    let line = |text: &str| read::command_line(&read::value(file, text).expect("reads"), &at);
    assert_eq!(line(&again.text), line(text));
    wrapped.text
}

fn refused(file: &str, text: &str, at: &str) -> String {
    wrap(Path::new(file), text, &path(at), PROGRAM, &words()).expect_err(text)
}

#[test]
fn json_keeps_everything_but_the_entry() {
    let text = "{ // mine\n  \"other\": 1.0, \"mcpServers\": {\n    \"a\": {\n      \"args\": [\n        \"-y\", // yes\n        \"x\",\n      ],\n      \"env\": {\"K\": \"s3cret\"},\n      \"command\": \"npx\", /* run */\n    },\n    \"b\": {\"command\":\"npx\",\"args\":[\"-y\"]}\n  },\n}\n";
    let wrapped = round("settings.json", text, "mcpServers/a");
    assert_eq!(
        wrapped,
        text.replacen("[\n        \"-y\"", "[\n        \"gateway\", \"--policy\", \"/h/p.json\", \"--name\", \"a\", \"--\", \"npx\",\n        \"-y\"", 1)
            .replacen("\"command\": \"npx\", /*", "\"command\": \"/opt/call gate/callgate\", /*", 1)
    );
    let one_line = r#"{"mcpServers":{"a":{"command":"npx","args":["-y",1,true]}}}"#;
    assert_eq!(
        round("x.json", one_line, "mcpServers/a"),
        r#"{"mcpServers":{"a":{"command":"/opt/call gate/callgate","args":["gateway", "--policy", "/h/p.json", "--name", "a", "--", "npx", "-y",1,true]}}}"#
    );
}

#[test]
fn json_without_arguments_gets_some_and_loses_them_again() {
    let text = "{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {\r\n\t\t\t\"command\": \"x\"\r\n\t\t}\r\n\t}\r\n}";
    let wrapped = round("x.json", text, "mcpServers/a");
    assert!(wrapped.contains("callgate\",\r\n\t\t\t\"args\": [\"gateway\""), "{wrapped}");
    let wrapped = round(
        "x.json",
        "\u{feff}{\"mcpServers\":{\"a\":{\"command\":\"x\",\"args\":[ /* none */ ]}}}",
        "mcpServers/a",
    );
    assert!(wrapped.starts_with('\u{feff}') && wrapped.contains("\"x\" /* none */ ]"), "{wrapped}");
    round("x.json", "{\"mcpServers\":{\"a\":{\"env\":{},\"command\":\"x\" // c\n}}}", "mcpServers/a");
    let zed = "{\"context_servers\":{\"a\":{\"source\":\"custom\",\"command\":{\"path\":\"npx\",\"args\":[\"x\"],\"env\":{}}}}}";
    assert!(
        round("settings.json", zed, "context_servers/a").contains("\"path\":\"/opt/call gate/callgate\"")
    );
    let text =
        r#"{"projects":{"/a/b":{"mcpServers":{"s":{"command":"y"}}}},"mcpServers":{"s":{"command":"y"}}}"#;
    let at = ["projects", "/a/b", "mcpServers", "s"].map(str::to_owned);
    let wrapped = wrap(Path::new("x.json"), text, &at, PROGRAM, &words()).expect("wraps").text;
    assert!(wrapped.ends_with(r#""mcpServers":{"s":{"command":"y"}}}"#), "{wrapped}");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for text in [
        r#"{"mcpServers":{"a":{"command":"x"},"a":{"command":"y"}}}"#,
        r#"{"mcpServers":{"a":{"command":"x","command":"y"}}}"#,
        r#"{"mcpServers":{"a":{"command":"x","args":[],"args":["y"]}}}"#,
        r#"{"mcpServers":{},"mcpServers":{"a":{"command":"x"}}}"#,
    ] {
        let why = refused("x.json", text, "mcpServers/a");
        assert!(why.contains("two members"), "{why}");
    }
    refused("x.json", r#"{"mcpServers":{"a":{"command":"x","args":"y"}}}"#, "mcpServers/a");
    refused("x.json", r#"{"mcpServers":{"b":{"command":"x"}}}"#, "mcpServers/a");
    refused("x.yaml", "extensions:\n  a:\n    cmd: x\n  a:\n    cmd: y\n", "extensions/a");
    refused("x.toml", "[mcp_servers.a]\ncommand = 'x'\n[mcp_servers.a]\ncommand = 'y'\n", "mcp_servers/a");
}

#[test]
fn a_program_that_looks_like_an_option_is_refused() {
    let why =
        refused("config.yaml", "mcpServers:\n  a:\n    command: -y-y npx\n    args: [srv]\n", "mcpServers/a");
    assert!(why.contains("begins with `-`"), "{why}");
}

#[test]
fn toml_in_each_of_its_layouts() {
    for text in [
        "model = \"m\" # mine\n\n[mcp_servers.a]\n# runs\ncommand = \"npx\" # c\nargs = [\n  \"-y\", # yes\n  'x',\n]\nenv = { K = \"v\" }\n\n[mcp_servers.b]\ncommand = \"y\"\n",
        "[mcp_servers.a]\r\n  command   =   'npx'   # c\r\n  startup_timeout_sec = 5\r\n",
        "mcp_servers.a = { command = \"npx\", env = {} }\n",
        "[mcp_servers]\na.command = \"npx\"\na.env.K = \"v\"\nb = { command = \"x\" }\n",
        "[mcp_servers]\na = { args = [], command = '''npx''' }",
        "[mcp_servers.\"a\"]\nargs = ['a\\b', \"\"\"x\"\"\"]\n\"command\" = \"npx\"",
        "[mcp_servers.a]\ncommand = \"npx\"",
    ] {
        let wrapped = round("config.toml", text, "mcp_servers/a");
        assert!(wrapped.contains("gateway"), "{wrapped}");
    }
}

#[test]
fn yaml_in_the_layouts_that_people_write() {
    let goose = "# mine\nextensions:\n  developer:\n    type: builtin\n  a: # the one\n    enabled: true\n    type: stdio\n    cmd: npx   # run\n    args:\n      - -y   # yes\n      - \"x\"\n    envs: {K: v}\n  b:\n    cmd: y\nother: |\n  extensions:\n    a:\n      cmd: no\n";
    let wrapped = round("config.yaml", goose, "extensions/a");
    assert!(wrapped.contains("    args:\n      - \"gateway\"\n      - \"--policy\"\n"), "{wrapped}");
    assert!(wrapped.contains("    cmd: \"/opt/call gate/callgate\"   # run\n"), "{wrapped}");
    for (text, at) in [
        ("extensions:\n  a:\n    cmd: npx\n    args: [-y, 'it''s', \"b\\\"]\", x y]\n", "extensions/a"),
        ("extensions:\n  a:\n    cmd: npx\n    args: []\n    timeout: 300", "extensions/a"),
        ("extensions:\r\n    a:\r\n        cmd: npx\r\n        timeout: 300\r\n", "extensions/a"),
        ("extensions:\n  a:\n    args:\n    - -y\n    - x\n    cmd: npx\n", "extensions/a"),
        (
            "name: x\nmcpServers:\n  - name: z\n    command: y\n  - name: a\n    command: npx\n    args: ['-y', a]\n",
            "mcpServers/1",
        ),
        ("mcpServers:\n- command: npx\n  name: a\n  args:\n  - a\n", "mcpServers/0"),
        ("mcpServers:\n-\n  name: a\n  command: npx\n", "mcpServers/0"),
        ("mcpServers:\n  - command: npx\n    name: a\n", "mcpServers/0"),
        ("---\n\"extensions\":\n  'a':\n    cmd: \"npx\"\n", "extensions/a"),
        ("extensions:\n  a:\n    cmd: npx\n    args: [\n      -y,\n      x\n    ]\n", "extensions/a"),
    ] {
        round("config.yaml", text, at);
    }
}

#[test]
fn yaml_that_is_laid_out_otherwise_is_refused() {
    for text in [
        "extensions: {a: {cmd: npx}}\n",
        "extensions:\n  a: {cmd: npx}\n",
        "extensions:\n  a:\n    cmd: >\n      npx\n",
        "extensions:\n  a:\n    cmd: &c npx\n    args: [*c]\n",
        "extensions:\n  a:\n    cmd: npx\n      more\n",
        "extensions:\n  a:\n    cmd: npx\n    args:\n      - |\n        x\n",
        "extensions:\n  a:\n    cmd: npx\n    args:\n      - x\n        y\n",
        "extensions:\n  a:\n    cmd: npx\n    args: [x, {y: z}]\n",
        "base: &b\n  cmd: npx\nextensions:\n  a:\n    <<: *b\n",
    ] {
        refused("config.yaml", text, "extensions/a");
    }
    let paste = to_paste(
        Path::new("c.yaml"),
        "extensions: {a: {cmd: npx, args: [x]}}",
        &path("extensions/a"),
        PROGRAM,
        &words(),
    );
    assert_eq!(
        paste.as_deref(),
        Some(
            "cmd: \"/opt/call gate/callgate\"\nargs: [\"gateway\", \"--policy\", \"/h/p.json\", \"--name\", \"a\", \"--\", \"npx\", \"x\"]"
        )
    );
}

#[test]
fn changes_of_the_person_since_are_kept() {
    let text = "{\"mcpServers\": {\"a\": {\"command\": \"npx\", \"args\": [\"-y\", \"x\"]}}}";
    let (file, at) = (Path::new("x.json"), path("mcpServers/a"));
    let wrapped = wrap(file, text, &at, PROGRAM, &words()).expect("wraps");
    let kept = (wrapped.before.as_str(), wrapped.after.as_str());
    // Another argument of the server, and an option of the gateway.
    let changed = wrapped
        .text
        .replace("\"x\"]", "\"x\", \"--verbose\"]")
        .replace("\"--name\"", "\"--pins\", \"enforce\", \"--name\"");
    let unwrapped = unwrap(file, &changed, &at, Some(kept)).expect("unwraps");
    assert!(!unwrapped.exact);
    assert_eq!(unwrapped.text, text.replace("\"x\"]", "\"x\", \"--verbose\"]"));
    // Around the entry: its own bytes are still the old ones.
    let around = wrapped.text.replace("{\"a\"", "{ \"n\": {\"command\": \"n\"},\n\"a\"");
    let unwrapped = unwrap(file, &around, &at, Some(kept)).expect("unwraps");
    assert!(unwrapped.exact);
    assert_eq!(unwrapped.text, text.replace("{\"a\"", "{ \"n\": {\"command\": \"n\"},\n\"a\""));
    // The gateway is gone already.
    assert!(unwrap(file, text, &at, Some(kept)).expect_err("not there").contains("no callgate"));
    // The separator was eaten, and nothing but the command is left.
    let bare = "{\"mcpServers\": {\"a\": {\"command\": \"callgate\", \"args\": [\"gateway\", \"--policy\", \"p\", \"npx\"]}}}";
    let unwrapped = unwrap(file, bare, &at, None).expect("unwraps");
    assert_eq!(unwrapped.text, "{\"mcpServers\": {\"a\": {\"command\": \"npx\", \"args\": []}}}");
}

fn gap() -> impl Strategy<Value = String> {
    let parts = ["", " ", "\n", "\r\n", "\t", "  ", " // \"a\": {\n", "/* ] } */"];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..3).prop_map(|parts| parts.concat())
}

/// A string as JSON, YAML and TOML read it alike.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z@/._-]{1,8}",
        proptest::sample::select(vec![
            "", " ", "a b", "é日", "--", "-y", "]", "}, {", "# no", "// no", "$X", "it's", "null", "1"
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn any_json_comes_back_byte_for_byte(
        gaps in proptest::collection::vec(gap(), 24),
        command in "[a-z/]{1,6}",
        args in proptest::option::of(proptest::collection::vec(word(), 0..4)),
        comma in any::<bool>(),
        first in any::<bool>(),
        more in any::<bool>(),
        mark in any::<bool>(),
    ) {
        let mut gaps = gaps.into_iter().cycle();
        let mut join = |parts: &[&str]| {
            parts.iter().fold(String::new(), |text, part| text + part + &gaps.next().unwrap_or_default())
        };
        let quoted = |text: &str| Value::from(text).to_string();
        let command = join(&["\"command\"", ":", &quoted(&command)]);
        let mut members = vec![command];
        if let Some(args) = &args {
            let mut parts: Vec<String> = args.iter().map(|arg| join(&[&quoted(arg)])).collect();
            if comma && !parts.is_empty() {
                parts.push(String::new());
            }
            let list = parts.join(&join(&[","]));
            members.insert(usize::from(first), join(&["\"args\"", ":", &format!("[{list}]")]));
        }
        if more {
            members.insert(0, join(&["\"env\"", ":", "{\"args\": [\"command\"]}"]));
        }
        let mut entry = members.join(&join(&[","]));
        if comma {
            entry.push_str(&join(&[","]));
        }
        let entry = join(&["{", &entry, "}"]);
        let text = join(&[if mark { "\u{feff}" } else { "" }, "{", "\"mcpServers\"", ":", "{", "\"b\"", ":", "{}", ",", "\"a\"", ":", &entry, "}", "}"]);
        round("x.json", &text, "mcpServers/a");
    }

    #[test]
    fn any_toml_comes_back_byte_for_byte(
        args in proptest::option::of(proptest::collection::vec(word(), 0..4)),
        layout in 0..3,
        lines in any::<bool>(),
        crlf in any::<bool>(),
        comment in any::<bool>(),
    ) {
        let list = args.map(|args| {
            let between = if lines { ",\n   " } else { "," };
            let args: Vec<String> = args.iter().map(|arg| toml_edit::Value::from(arg.as_str()).to_string()).collect();
            format!("[{}]", args.join(between))
        });
        let note = if comment { " # args = [\"no\"]" } else { "" };
        let text = match layout {
            0 => {
                let args = list.map(|list| format!("args = {list}{note}\n")).unwrap_or_default();
                format!("x = 1{note}\n[mcp_servers.a]{note}\ncommand = \"npx\"{note}\n{args}env = {{}}\n[z]\n")
            }
            1 => {
                let args = list.map(|list| format!(", args = {}", list.replace('\n', " "))).unwrap_or_default();
                format!("[mcp_servers]\na = {{ command = 'npx'{args} }}{note}\n")
            }
            _ => {
                let args = list.map(|list| format!("mcp_servers.a.args = {list}{note}\n")).unwrap_or_default();
                format!("{args}mcp_servers.a.command = \"npx\"{note}\nz = 2\n")
            }
        };
        round("config.toml", &if crlf { text.replace('\n', "\r\n") } else { text }, "mcp_servers/a");
    }

    #[test]
    fn any_yaml_comes_back_byte_for_byte_or_is_refused(
        args in proptest::option::of(proptest::collection::vec(word(), 0..4)),
        plain in any::<bool>(),
        block in any::<bool>(),
        deep in 0_usize..3,
        crlf in any::<bool>(),
        comment in any::<bool>(),
        first in any::<bool>(),
    ) {
        let note = if comment { " # args: [no]" } else { "" };
        let spelt = |arg: &String| {
            let simple = !arg.is_empty() && arg.chars().all(|letter| letter.is_ascii_alphabetic());
            if plain && simple { arg.clone() } else { Value::from(arg.as_str()).to_string() }
        };
        let args = match args {
            None => String::new(),
            Some(args) if block && !args.is_empty() => {
                let lines: Vec<String> =
                    args.iter().map(|arg| format!("    {}- {}{note}\n", " ".repeat(deep), spelt(arg))).collect();
                format!("    args:{note}\n{}", lines.concat())
            }
            Some(args) => format!("    args: [{}]{note}\n", args.iter().map(spelt).collect::<Vec<_>>().join(", ")),
        };
        let command = format!("    cmd: npx{note}\n");
        let (one, two) = if first { (args, command) } else { (command, args) };
        let text = format!("version: 1{note}\n\nextensions:\n  b:\n    cmd: no\n  a:{note}\n    enabled: true\n{one}    type: stdio\n{two}\n# end\n");
        round("config.yaml", &if crlf { text.replace('\n', "\r\n") } else { text }, "extensions/a");
    }

    #[test]
    fn no_text_is_damaged(text in "(extensions|a|cmd|args|x|npx|:|: |- |\\[|\\]|\\{|\\}|,|\n|  |    |\"|'|#| #|\\||>|&|\\*|---\n){0,40}") {
        // Whatever it is: it is refused, or reads as what was meant and comes back.
        for file in ["c.yaml", "c.json", "c.toml"] {
            let at = path("extensions/a");
            if let Ok(wrapped) = wrap(Path::new(file), &text, &at, PROGRAM, &words()) {
                let kept = (wrapped.before.as_str(), wrapped.after.as_str());
                let back = unwrap(Path::new(file), &wrapped.text, &at, Some(kept));
                prop_assert_eq!(back, Ok(Unwrapped { text: text.clone(), exact: true }));
            }
        }
    }
}
