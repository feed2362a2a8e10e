use proptest::strategy::Strategy;

use super::*;
use crate::feed::message::Role;
use crate::time::Timestamp;
use crate::token;

fn digest(token: &str) -> String {
    crate::token::TokenDigest::of(token).hex()
}

fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("k3y".to_owned()),
        "FEED_LINE" => Some("a\nb".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Parsed {
    parse(text.as_bytes(), Path::new("/etc/gate"), &env)
}

fn whole(servers: &str, grants: &str, more: &str) -> String {
    format!(r#"{{"listen":"127.0.0.1:8808","servers":{servers},"grants":{grants}{more}}}"#)
}

/// Code, pointer, message and help of the first error.
fn first(text: &str) -> (String, String, String, String) {
    let parsed = read(text);
    assert_eq!(parsed.config, None, "{text}");
    let found = parsed.diagnostics.into_iter().find(|found| found.severity == Severity::Error).unwrap();
    (found.code.to_owned(), found.pointer, found.message, found.help.unwrap_or_default())
}

#[test]
fn everything_is_read() {
    let one = digest("one");
    let text = format!(
        r#"{{
  "$schema": "x",
  "listen": "127.0.0.1:8808",
  "feed": {{"listen": "[::1]:8809", "tokens": {{"ops": {{"role": "operator", "token_sha256": "{}"}}}}}},
  "journal": "j",
  "counters": "c.sqlite",
  "servers": {{
    "docker": {{"command": ["npx", "-y", "docker"], "env": {{"TOKEN": "a${{KEY}}b$x"}}}},
    "pay": {{"url": "https://pay.example/mcp", "headers": {{"Authorization": "Bearer ${{KEY}}"}}}}
  }},
  "grants": {{
    "ci": {{"server": "docker", "policy": "p.json", "shadow": "/s.json", "token_sha256": "{one}", "expires": "2027-01-01T01:00:00+01:00"}},
    "me": {{"server": "pay", "policy": "p.json", "token_sha256": "{one}"}}
  }}
}}"#,
        digest("two")
    );
    let parsed = read(&text);
    assert_eq!(parsed.diagnostics, []);
    let config = parsed.config.unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8808");
    let feed = config.feed.as_ref().unwrap();
    assert_eq!(feed.listen.unwrap().to_string(), "[::1]:8809");
    assert_eq!((feed.tokens[0].label.as_str(), feed.tokens[0].role), ("ops", Role::Operator));
    assert_eq!(config.journal.as_deref(), Some(Path::new("/etc/gate/j")));
    assert_eq!(config.counters.as_deref(), Some("/etc/gate/c.sqlite"));
    let docker = Upstream::Command {
        command: ["npx", "-y", "docker"].map(str::to_owned).to_vec(),
        env: vec![("TOKEN".to_owned(), "ak3yb$x".to_owned())],
    };
    assert_eq!(config.server("docker"), Some(&docker));
    assert!(!format!("{config:?}").contains("k3y"), "secrets are not for logs");
    let ci = config.grants.get("ci").unwrap();
    assert_eq!(ci.policy, Path::new("/etc/gate/p.json"));
    assert_eq!(ci.shadow.as_deref(), Some(Path::new("/s.json")));
    assert_eq!(ci.expires, Timestamp::parse("2027-01-01T00:00:00Z"));
    assert_eq!(config.revision.len(), 12);
    assert!(config.grants.get("me").unwrap().expires.is_none());
}

#[test]
fn each_error_has_its_place() {
    let d = digest("x");
    let grant = format!(r#"{{"a":{{"server":"s","policy":"p","token_sha256":"{d}"}}}}"#);
    let server = r#"{"s":{"command":["x"]}}"#;
    let good = whole(server, &grant, "");
    assert!(read(&good).config.is_some(), "{:?}", read(&good).diagnostics);
    let grants = |inner: &str| whole(server, &format!(r#"{{"a":{{{inner}}}}}"#), "");
    let servers = |inner: &str| whole(&format!(r#"{{"s":{inner}}}"#), &grant, "");
    let full = format!(r#""server":"s","policy":"p","token_sha256":"{d}""#);
    for (text, code, pointer, says) in [
        ("", "syntax", "", "empty"),
        ("[]", "wrong-type", "", "a configuration must be an object"),
        ("{}", "missing-key", "", "needs `listen`"),
        (&*format!("\u{feff}{good}"), "byte-order-mark", "", "byte order mark"),
        (&format!("{good} x"), "syntax", "", "more text follows the configuration"),
        (&whole(server, &grant, r#","lissten":"x""#), "unknown-key", "/lissten", "did you mean `listen`?"),
        (
            &whole(server, &grant, r#","feed":{"token":{}}"#),
            "unknown-key",
            "/feed/token",
            "`callgate grant add`",
        ),
        (&whole(server, &grant, r#","servers":{}"#), "duplicate-member", "/servers", "stands here twice"),
        (&good.replace("127.0.0.1:8808", "here"), "bad-address", "/listen", "`here` is no address"),
        (&grants(&full.replace("\"s\"", "\"S1\"")), "unknown-server", "/grants/a/server", "no server `S1`"),
        (
            &grants(&full.replace(r#""policy":"p","#, "")),
            "missing-key",
            "/grants/a",
            "a grant needs `policy`",
        ),
        (&grants(&full.replace("\"p\"", "\"\"")), "bad-value", "/grants/a/policy", "is empty"),
        (&grants(&full.replace(&d, "cg_x")), "bad-value", "/grants/a/token_sha256", "64 hexadecimal digits"),
        (&grants(&full.replace(&d, &d.to_uppercase())), "bad-value", "/grants/a/token_sha256", "lower case"),
        (
            &grants(&format!(r#"{full},"expires":"soon""#)),
            "bad-value",
            "/grants/a/expires",
            "`soon` is no instant",
        ),
        (
            &grants(&format!(r#"{full},"expire":"x""#)),
            "unknown-key",
            "/grants/a/expire",
            "did you mean `expires`?",
        ),
        (&good.replace("\"a\":", "\"\\u202e\":"), "bad-name", "/grants/\u{202e}", "cannot be seen"),
        (&good.replace("\"s\"", "\"a/b\""), "bad-name", "/servers/a~1b", "cannot stand in an address"),
        (&good.replace("\"s\"", "\"..\""), "bad-name", "/servers/..", "begins with a dot"),
        (&servers("{}"), "missing-key", "/servers/s", "`command` or `url`"),
        (&servers(r#"{"command":"x"}"#), "wrong-type", "/servers/s/command", "each word by itself"),
        (&servers(r#"{"command":[]}"#), "bad-value", "/servers/s/command", "names no program"),
        (&servers(r#"{"command":["x",1]}"#), "wrong-type", "/servers/s/command/1", "must be a string"),
        (&servers(r#"{"command":["x"],"args":[]}"#), "unknown-key", "/servers/s/args", "stand in `command`"),
        (&servers(r#"{"command":["x"],"url":"http://x"}"#), "bad-value", "/servers/s/url", "not both"),
        (
            &servers(r#"{"command":["x"],"env":{"A":"${NO}"}}"#),
            "unset-variable",
            "/servers/s/env/A",
            "`NO` is not set",
        ),
        (
            &servers(r#"{"command":["x"],"env":{"A":"${N-O}"}}"#),
            "bad-variable",
            "/servers/s/env/A",
            "no variable",
        ),
        (
            &servers(r#"{"command":["x"],"env":{"A=B":""}}"#),
            "bad-name",
            "/servers/s/env/A=B",
            "no name of a variable",
        ),
        (&servers(r#"{"url":"ftp://x"}"#), "bad-address", "/servers/s/url", "not `http` or `https`"),
        (&servers(r#"{"url":"https://u:secret@x"}"#), "secret", "/servers/s/url", "user or password"),
        (
            &servers(r#"{"url":"http://x","headers":{"a b":""}}"#),
            "bad-name",
            "/servers/s/headers/a b",
            "no name of a header",
        ),
        (
            &servers(r#"{"url":"http://x","headers":{"Host":"y"}}"#),
            "bad-name",
            "/servers/s/headers/Host",
            "the gateway itself",
        ),
        (
            &servers(r#"{"url":"http://x","headers":{"A":"x","a":"y"}}"#),
            "bad-name",
            "/servers/s/headers/a",
            "but for case",
        ),
        (
            &servers(r#"{"url":"http://x","headers":{"A":"${FEED_LINE}"}}"#),
            "bad-value",
            "/servers/s/headers/A",
            "no header may have",
        ),
        (
            &whole(server, &grant, r#","counters":"redis://:pw@h""#),
            "secret",
            "/counters",
            "CALLGATE_REDIS_PASSWORD",
        ),
        (&whole(server, &grant, r#","counters":"mysql://h""#), "bad-address", "/counters", "no store"),
    ] {
        let (found, at, message, help) = first(text);
        assert_eq!((found.as_str(), at.as_str()), (code, pointer), "{text}: {message}");
        assert!(message.contains(says) || help.contains(says), "{text}: {message}; {help}");
        assert!(!message.contains("secret@") && !message.contains(":pw"), "{message}");
    }
}

#[test]
fn a_token_means_one_thing() {
    let (d, e) = (digest("x"), digest("y"));
    let servers = r#"{"s":{"command":["x"]},"t":{"command":["x"]}}"#;
    let grant =
        |server: &str, d: &str| format!(r#"{{"server":"{server}","policy":"p","token_sha256":"{d}"}}"#);
    let feed = |d: &str| format!(r#","feed":{{"tokens":{{"o":{{"role":"viewer","token_sha256":"{d}"}}}}}}"#);
    let text = |a: &str, b: &str, feed: &str| whole(servers, &format!(r#"{{"a":{a},"b":{b}}}"#), feed);
    let (code, pointer, message, _) = first(&text(&grant("s", &d), &grant("s", &d), ""));
    assert_eq!((code.as_str(), pointer.as_str()), ("shared-token", "/grants/b/token_sha256"));
    assert!(message.contains("line 1"), "{message}");
    assert!(read(&text(&grant("s", &d), &grant("t", &d), "")).config.is_some(), "one token, two servers");
    let (code, pointer, ..) = first(&text(&grant("s", &d), &grant("s", &e), &feed(&e)));
    assert_eq!((code.as_str(), pointer.as_str()), ("shared-token", "/feed/tokens/o/token_sha256"));
}

#[test]
fn what_differs_between_versions() {
    let (d, e) = (digest("x"), digest("y"));
    let grant = |server: &str, policy: &str, d: &str| {
        format!(r#"{{"server":"{server}","policy":"{policy}","token_sha256":"{d}"}}"#)
    };
    let version = |servers: &str, grants: &[(&str, String)], more: &str| {
        let grants: Vec<String> =
            grants.iter().map(|(label, grant)| format!(r#""{label}":{grant}"#)).collect();
        read(&whole(servers, &format!("{{{}}}", grants.join(",")), more)).config.unwrap()
    };
    let old = version(
        r#"{"s":{"command":["x"]},"t":{"command":["x"]},"u":{"command":["x"]}}"#,
        &[("same", grant("s", "p", &d)), ("gone", grant("t", "p", &d)), ("key", grant("u", "p", &d))],
        "",
    );
    assert!(Difference::between(&old, &old).is_empty());
    let new = version(
        r#"{"s":{"command":["y"]},"u":{"command":["x"]},"v":{"command":["x"]}}"#,
        &[("same", grant("s", "q", &d)), ("key", grant("u", "p", &e)), ("new", grant("v", "p", &d))],
        r#","journal":"j""#,
    );
    let found = Difference::between(&old, &new);
    let labels = |grants: &[Arc<Grant>]| grants.iter().map(|grant| grant.label.clone()).collect::<Vec<_>>();
    assert_eq!(found.servers_added, ["v"]);
    assert_eq!(found.servers_removed, ["t"]);
    assert_eq!(found.servers_changed, ["s"]);
    assert_eq!(labels(&found.grants_added), ["key", "new"]);
    assert_eq!(labels(&found.grants_revoked), ["gone", "key"]);
    assert_eq!(labels(&found.grants_changed), ["same"]);
    assert_eq!(found.grants_changed[0].policy, Path::new("/etc/gate/q"));
    assert_eq!(found.restart, ["journal"]);
    assert!(!found.feed_tokens);
}

#[test]
fn a_version_replaces_only_when_it_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.json");
    let grant = |token: &str| {
        format!(r#"{{"a":{{"server":"s","policy":"p.json","token_sha256":"{}"}}}}"#, digest(token))
    };
    let text = |token: &str| whole(r#"{"s":{"command":["x"]}}"#, &grant(token), "");
    let (one, two) = (token::text(&[1; 32]), token::text(&[2; 32]));
    std::fs::write(&path, text(&one)).unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.grants.get("a").unwrap().policy, folder.path().join("p.json"));
    let (sender, versions) = std::sync::mpsc::channel();
    let _watch = watch(path.clone(), config.revision.clone(), move |version| {
        let _ = sender.send(version.map_err(|error| error.to_string()));
    })
    .unwrap();
    let next = || versions.recv_timeout(std::time::Duration::from_secs(20)).expect("a version");
    std::fs::write(&path, text(&two)).unwrap();
    let config = next().unwrap();
    let now = Timestamp::from_secs(0);
    assert!(config.grants.find("s", &two, now).is_some() && config.grants.find("s", &one, now).is_none());
    std::fs::write(&path, text(&one).replace(r#""policy""#, r#""polcy":"","policy""#)).unwrap();
    let error = next().unwrap_err();
    assert!(error.contains("line 1, column") && error.contains("polcy"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(next().unwrap_err().contains("cannot read"));
    std::fs::write(&path, text(&one)).unwrap();
    assert!(next().unwrap().grants.find("s", &one, now).is_some());
}

/// Words of a gateway.json, in any order: most are no such file, and all must be told so.
fn words() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"listen\"",
        "\"127.0.0.1:1\"",
        "\"servers\"",
        "\"grants\"",
        "\"feed\"",
        "\"tokens\"",
        "\"role\"",
        "\"viewer\"",
        "\"url\"",
        "\"https://h.example/mcp\"",
        "\"command\"",
        "\"env\"",
        "\"headers\"",
        "\"${K}\"",
        "\"policy\"",
        "\"p.json\"",
        "\"server\"",
        "\"s\"",
        "\"expires\"",
        "\"journal\"",
        "null",
        "1",
        "\u{feff}",
        "\"é\"",
        "// c\n",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat())
}

proptest::proptest! {
    #[test]
    fn every_text_is_a_configuration_or_says_why_not(words in words()) {
        total::check_total(words.as_bytes());
    }

    #[test]
    fn so_is_a_damaged_one(at in proptest::prelude::any::<proptest::sample::Index>(), byte in proptest::prelude::any::<u8>()) {
        let grant = format!(r#"{{"g":{{"server":"s","policy":"p.json","token_sha256":"{}"}}}}"#, digest("one"));
        let feed = r#","feed":{"listen":"127.0.0.1:9","tokens":{}},"journal":"j","counters":"c.sqlite""#;
        let mut text = whole(r#"{"s":{"command":["x","${K}"],"env":{"A":"${K}"}}}"#, &grant, feed).into_bytes();
        total::check_total(&text);
        let at = at.index(text.len());
        text[at] = byte;
        total::check_total(&text);
        text.truncate(at);
        total::check_total(&text);
    }
}
