//! The tools that go on as tasks where the client knows tasks (an extension of 2026-07-28).

use std::time::Duration;

use rmcp::model::*;
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskExit, TaskManager, TaskOptions};
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;

use crate::{read, rounds, say};

const TOOLS: [&str; 7] = [
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

pub(crate) fn has(name: &str) -> bool {
    TOOLS.contains(&name)
}

/// What a job comes to in the end.
async fn work(name: &str, seconds: f64) -> Result<CallToolResult, ErrorData> {
    match name {
        "failing_job" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(CallToolResult::error(vec![ContentBlock::text("the job failed, as it should")]))
        }
        "protocol_error_job" => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err(ErrorData::internal_error("the job broke, as it should", None))
        }
        _ => {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            Ok(say("the job is done"))
        }
    }
}

fn question(field: &str) -> InputRequest {
    read(&rounds::form("answer", field).1)
}

pub(crate) async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.to_string();
    let argument = |key: &str| request.arguments.as_ref().and_then(|arguments| arguments.get(key)).cloned();
    if name == "greet" {
        let who = argument("name").and_then(|who| who.as_str().map(str::to_owned)).unwrap_or_default();
        return Ok(say(&format!("Hello, {who}!")).into());
    }
    let knows = context.client_capabilities().is_some_and(|client| client.supports_tasks());
    let seconds = argument("seconds").as_ref().and_then(Value::as_f64).unwrap_or(1.0);
    if !knows {
        if ["slow_compute", "protocol_error_job"].contains(&name.as_str()) {
            return work(&name, seconds).await.map(Into::into);
        }
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    if name == "test_tool_with_task" {
        let answers = request.input_responses.as_ref();
        let Some(answer) = rounds::answer(answers, "user_name").cloned() else {
            return Ok(rounds::ask(&[rounds::form("user_name", "name")]).into());
        };
        let task = tasks.spawn(TaskOptions::default(), move |_context| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let who = answer["content"]["name"].as_str().unwrap_or_default();
                Ok(say(&format!("Hello, {who}!")))
            })
        });
        return Ok(CreateTaskResult::new(task).into());
    }
    let task = tasks.spawn(TaskOptions::default(), move |context| {
        Box::pin(async move {
            match name.as_str() {
                "confirm_delete" => {
                    let answer = context.request_input("confirm", question("confirm")).await?;
                    Ok(say(&format!("confirmed: {}", answer["content"]["confirm"])))
                }
                "multi_input" => {
                    let (a, b) = tokio::join!(
                        context.request_input("a", question("value")),
                        context.request_input("b", question("value"))
                    );
                    Ok(say(&format!("{} and {}", a?["content"]["value"], b?["content"]["value"])))
                }
                _ => tokio::select! {
                    () = context.cancelled() => Err(TaskExit::Cancelled),
                    done = work(&name, seconds) => done.map_err(TaskExit::Error),
                },
            }
        })
    });
    Ok(CreateTaskResult::new(task).into())
}
