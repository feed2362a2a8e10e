use serde_json::json;

use super::*;
use crate::mcp::tool::Tool;

#[expect(clippy::needless_pass_by_value, reason = "tables read better")]
fn tool(name: &str, more: serde_json::Value) -> Tool {
    let mut value = json!({"name": name, "inputSchema": {"type": "object"}});
    for (key, member) in more.as_object().expect("an object") {
        value[key] = member.clone();
    }
    serde_json::from_value(value).expect("a tool")
}

fn by_name(name: &str) -> Category {
    classify(&tool(name, json!({}))).category
}

/// General knowledge about names, none of it from the labelled data.
#[test]
fn classes_of_names() {
    use Category::{Destructive, Execute, Financial, Read, Write};
    for (name, category) in [
        ("get_refund", Read),
        ("list_deleted_branches", Read),
        ("refund_eligibility", Read),
        ("pbs-summary-of-changes", Read),
        ("transfer_history", Read),
        ("getOrderStatus", Read),
        ("search_index_get", Read),
        ("slack_get_users", Read),
        ("readfile", Read),
        ("whoami", Read),
        ("preview_delete", Read),
        ("deploy_status", Read),
        ("order_book", Read),
        ("docker-images", Read),
        ("create_or_update_file", Write),
        ("createorupdate", Write),
        ("get_or_create_user", Write),
        ("find_and_replace_doc", Write),
        ("undelete_file", Write),
        ("slack_reply_to_thread", Write),
        ("transfer_repository", Write),
        ("create_invoice_template", Write),
        ("undefined_thing", Write),
        ("run_terminal_cmd", Execute),
        ("cancel_command", Execute),
        ("kubectl", Execute),
        ("browser_click", Execute),
        ("restartService", Execute),
        ("find_and_delete", Destructive),
        ("drop_schema", Destructive),
        ("deleteUser", Destructive),
        ("compose_down", Destructive),
        ("force_push", Destructive),
        ("docker-volume-rm", Destructive),
        ("emptyTrash", Destructive),
        ("send_payment", Financial),
        ("create_checkout_session", Financial),
        ("swap-tokens", Financial),
        ("stripe_create_refund", Financial),
        ("placeMarketOrder", Financial),
        ("withdraw", Financial),
    ] {
        assert_eq!(by_name(name), category, "{name}: {:?}", classify(&tool(name, json!({}))).evidence);
    }
}

#[test]
fn what_else_is_known_counts() {
    let category = |name: &str, more: serde_json::Value| classify(&tool(name, more)).category;
    // A name that says nothing is what its description begins with.
    assert_eq!(category("zork", json!({"description": "Retrieves the map."})), Category::Read);
    assert_eq!(
        category("zork", json!({"description": "Use this tool to delete a map."})),
        Category::Destructive
    );
    // A getter whose text mentions DELETE is still one; a liar is not.
    assert_eq!(
        category("get_changes", json!({"description": "Lists what DELETE calls did."})),
        Category::Read
    );
    assert_eq!(category("get_map", json!({"description": "Deletes the map."})), Category::Destructive);
    assert_eq!(
        category("update_map", json!({"description": "Updates a map. This cannot be undone."})),
        Category::Destructive
    );
    // Arguments that select an action, or are run.
    let schema = json!({"inputSchema": {"properties": {"action": {"enum": ["list", "delete"]}}}});
    assert_eq!(category("manage_map", schema.clone()), Category::Destructive);
    assert_eq!(category("get_map", schema), Category::Destructive);
    let schema = json!({"inputSchema": {"properties": {"command": {"type": "string"}}}});
    assert_eq!(category("zork", schema), Category::Execute);
    let schema =
        json!({"inputSchema": {"properties": {"amount": {"type": "number"}, "to": {"type": "string"}}}});
    assert_eq!(category("send_it", schema), Category::Financial);
    // Claims of the server.
    let read_only = json!({"annotations": {"readOnlyHint": true}});
    assert_eq!(category("zork", read_only.clone()), Category::Read);
    assert_eq!(category("delete_map", read_only.clone()), Category::Destructive);
    assert_eq!(category("send_email", read_only), Category::Write);
    let destructive = json!({"annotations": {"destructiveHint": true}});
    assert_eq!(category("zork", destructive.clone()), Category::Destructive);
    assert_eq!(category("create_map", destructive), Category::Write);
}

#[test]
fn every_class_has_evidence() {
    for name in ["get_a", "zork", "", "___", "DELETE", "заказ", "a.b.c", "\u{202e}evil"] {
        let risk = classify(&tool(name, json!({})));
        assert!(!risk.evidence.is_empty(), "{name}");
        assert_eq!(risk.severity, risk.category.severity());
    }
}

#[test]
fn recommended_rules_follow_class_and_profile() {
    use crate::policy::document::Document;
    use crate::policy::edit::apply;
    use crate::policy::state::{ToolState, state_of};
    let word = |category, profile| recommend("t", category, profile).summary();
    for profile in [Profile::Strict, Profile::Balanced, Profile::Open] {
        assert_eq!(word(Category::Read, profile), "allow");
        assert_eq!(word(Category::Write, profile), "30 a minute");
        assert_eq!(word(Category::Execute, profile), "10 a minute");
    }
    assert_eq!(word(Category::Destructive, Profile::Strict), "hide");
    assert_eq!(word(Category::Destructive, Profile::Balanced), "hide");
    assert_eq!(word(Category::Destructive, Profile::Open), "approve");
    assert_eq!(word(Category::Financial, Profile::Strict), "deny");
    assert_eq!(word(Category::Financial, Profile::Balanced), "approve");
    assert_eq!(word(Category::Financial, Profile::Open), "approve");

    // Applied, every recommendation gives its state, and applying it again changes nothing.
    for category in
        [Category::Read, Category::Write, Category::Execute, Category::Destructive, Category::Financial]
    {
        for profile in [Profile::Strict, Profile::Balanced, Profile::Open] {
            let wanted = recommend("t", category, profile);
            let text = apply(&Document::new_text(), &wanted.edits("t")).expect("applies");
            let document = Document::parse(&text).valid().expect("valid");
            let state = match wanted {
                Recommended::Allow | Recommended::Limit(_) => ToolState::Allow,
                Recommended::Hide => ToolState::Hide,
                Recommended::Deny { .. } => ToolState::Deny,
                Recommended::Approve => ToolState::Approve,
            };
            assert_eq!(state_of(document.policy(), "t"), state, "{text}");
            assert_eq!(wanted.edits_in(document.policy(), "t"), None, "{text}");
            // From any other recommendation's text to this one.
            for other in [Category::Read, Category::Write, Category::Destructive, Category::Financial] {
                let before = apply(&Document::new_text(), &recommend("t", other, Profile::Strict).edits("t"))
                    .expect("applies");
                let before = Document::parse(&before).valid().expect("valid");
                let after = match wanted.edits_in(before.policy(), "t") {
                    Some(edit) => apply(before.text(), &edit).expect("applies"),
                    None => before.text().to_owned(),
                };
                let after = Document::parse(&after).valid().expect("valid");
                let kept = state == ToolState::Deny && state_of(before.policy(), "t") == ToolState::Hide;
                assert!(kept || state_of(after.policy(), "t") == state, "{}", after.text());
            }
        }
    }
}
