//! The tools that need answers from the client before they can give theirs (2026-07-28).

use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::{Value, json};

use crate::{read, say};

/// A question under a key.
type Question = (&'static str, Value);

/// A question to the person, with one field.
pub(crate) fn form(key: &'static str, field: &str) -> Question {
    let schema = json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]});
    let params =
        json!({"mode": "form", "message": format!("Please give: {field}"), "requestedSchema": schema});
    (key, json!({"method": "elicitation/create", "params": params}))
}

fn model(key: &'static str) -> Question {
    let text = json!({"type": "text", "text": "What is the capital of France?"});
    let params = json!({"messages": [{"role": "user", "content": text}], "maxTokens": 100});
    (key, json!({"method": "sampling/createMessage", "params": params}))
}

fn roots(key: &'static str) -> Question {
    (key, json!({"method": "roots/list", "params": {}}))
}

fn questions(asked: &[Question]) -> InputRequests {
    asked.iter().map(|(key, question)| ((*key).to_owned(), read(question))).collect()
}

pub(crate) fn ask(asked: &[Question]) -> InputRequiredResult {
    InputRequiredResult::from_input_requests(questions(asked))
}

/// What the client answered under a key. Whatever is no object is no answer, and is asked again.
pub(crate) fn answer<'a>(answers: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    answers?.get(key).filter(|answer| answer.is_object())
}

pub(crate) fn call(
    seal: &RequestStateCodec,
    request: &CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Result<CallToolResponse, ErrorData> {
    let given = |key: &str| answer(request.input_responses.as_ref(), key);
    // The state comes from the client: only what was sealed here is believed.
    let state: Option<Value> = match request.request_state.as_deref() {
        None => None,
        Some(sealed) => {
            let opened = seal.open_json(sealed);
            Some(opened.map_err(|_| ErrorData::invalid_params("the state was not given here", None))?)
        }
    };
    let ask_with = |asked: &[Question], state: &Value| {
        let sealed = seal.seal_json(state).expect("plain JSON");
        InputRequiredResult::new(Some(questions(asked)), Some(sealed))
    };
    let name = request.name.as_ref();
    let response = match name {
        "test_streaming_elicitation" => ask(&[form("value", "value")]).into(),
        "test_input_required_result_elicitation" => match given("user_name") {
            Some(answer) => say(&format!("Hello, {}!", answer["content"]["name"])).into(),
            None => ask(&[form("user_name", "name")]).into(),
        },
        "test_input_required_result_sampling" => match given("capital_question") {
            Some(answer) => say(&format!("The model says {}", answer["content"])).into(),
            None => ask(&[model("capital_question")]).into(),
        },
        "test_input_required_result_list_roots" => match given("client_roots") {
            Some(answer) => say(&format!("The roots are {}", answer["roots"])).into(),
            None => ask(&[roots("client_roots")]).into(),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match state {
                Some(_) => say("state-ok").into(),
                None => ask_with(&[form("confirm", "ok")], &json!({"step": "confirm"})).into(),
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"].iter().all(|key| given(key).is_some());
            if all && state.is_some() {
                say("All three came").into()
            } else {
                let asked = [form("user_name", "name"), model("greeting"), roots("client_roots")];
                ask_with(&asked, &json!({"step": "gather"})).into()
            }
        }
        "test_input_required_result_multi_round" => {
            match state.as_ref().and_then(|state| state["round"].as_i64()) {
                None => ask_with(&[form("step1", "name")], &json!({"round": 1})).into(),
                Some(1) => ask_with(&[form("step2", "color")], &json!({"round": 2})).into(),
                Some(_) => say("Both rounds are done").into(),
            }
        }
        "test_input_required_result_capabilities" => {
            let client = meta.client_capabilities().unwrap_or_default();
            let can = [
                (client.elicitation.is_some(), form("user_name", "name")),
                (client.sampling.is_some(), model("greeting")),
                (client.roots.is_some(), roots("client_roots")),
            ];
            let asked: Vec<Question> =
                can.into_iter().filter(|(can, _)| *can).map(|(_, question)| question).collect();
            if request.input_responses.is_some() || asked.is_empty() {
                say("Nothing else is needed").into()
            } else {
                ask(&asked).into()
            }
        }
        _ => return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
    };
    Ok(response)
}
