//! What looking at messages costs: calls of three sizes, a large answer, and a large tool list.
//!
//! `cargo bench --bench envelope`
#![allow(missing_docs, clippy::expect_used)]

use std::fmt::Write as _;
use std::hint::black_box;

use callgate::mcp::envelope::{Limits, peek};
use callgate::mcp::list::{ListOptions, cut_tools};
use callgate::mcp::server::peek_server;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn call(argument: &str) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{{"name":"create_issue","arguments":{{"owner":"octo","repo":"demo","labels":["bug","p1"],"priority":2,"body":"{argument}"}},"_meta":{{"progressToken":3,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"agent","version":"1.0.0"}}}}}}}}"#
    )
    .into_bytes()
}

/// A list of the shape of a real one: `count` tools with schemas of a few kilobytes.
fn list(count: usize) -> Vec<u8> {
    let mut properties = String::new();
    for index in 0..18 {
        if index > 0 {
            properties.push(',');
        }
        let _ = write!(
            properties,
            r#""option-{index}":{{"type":"string","description":"The value of option {index}, as \"name\" or id."}}"#
        );
    }
    let tools: Vec<String> = (0..count)
        .map(|index| {
            format!(
                r#"{{"name":"tool_{index}","title":"Tool {index}","description":"{}","inputSchema":{{"type":"object","properties":{{{properties}}},"required":["option-1"]}},"annotations":{{"readOnlyHint":true,"destructiveHint":false}}}}"#,
                "Lists what there is, newest first, and says where more can be found. ".repeat(10)
            )
        })
        .collect();
    format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"tools":[{}],"nextCursor":"x"}}}}"#, tools.join(","))
        .into_bytes()
}

fn envelope(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("peek");
    let code = "fn main() {\\n    println!(\\\"hello\\\");\\n}\\n";
    for (name, line) in [
        ("call 370 B", call("x")),
        ("call 16 KB", call(&"word ".repeat(3_300))),
        ("call 64 KB", call(&"a long argument of plain text ".repeat(2_180))),
        ("call 64 KB of code", call(&code.repeat(1_500))),
    ] {
        group.throughput(Throughput::Bytes(line.len() as u64));
        group.bench_function(name, |b| b.iter(|| peek(black_box(&line), &limits)));
    }
    group.finish();

    let mut group = c.benchmark_group("server");
    let answer = format!(
        r#"{{"jsonrpc":"2.0","id":2,"result":{{"content":[{{"type":"text","text":"{}"}}],"isError":false}}}}"#,
        "a line of output\\n".repeat(58_000)
    );
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("answer 1 MB", |b| b.iter(|| peek_server(black_box(answer.as_bytes()))));
    let tools = list(235);
    group.throughput(Throughput::Bytes(tools.len() as u64));
    group.bench_function("look at a list 580 KB", |b| b.iter(|| peek_server(black_box(&tools))));
    group.bench_function("cut one of 235 tools", |b| {
        b.iter(|| cut_tools(black_box(&tools), &|name| name != "tool_100", &ListOptions::default()));
    });
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
