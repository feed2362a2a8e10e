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

/// Names as servers of many kinds use them, classed by hand; wrong ones are in it too, so that the
/// share is honest.
const COMMON: &[(Category, &str)] = &[
    (
        Category::Read,
        "get_me get_commit download_workflow_run_artifact list_code_scanning_alerts issue_read \
         pull_request_read get_file_contents kubectl_get explain_resource list_api_resources \
         list_payment_intents get_stock_price get_portfolio portfolio_summary get_gas_price \
         estimate_gas get_quote get_transaction simulate_transaction search_flights \
         payment_status order_history get_order_status track_order conversations_history \
         conversations_replies channels_list query-database search_pages jira_get_issue \
         jira_search confluence_get_page_children linear_search_issues read_query describe_table \
         get_schema list_tables puppeteer_screenshot playwright_get_visible_text list_processes \
         read_process_output get_config list_directory take_screenshot get_ui_tree \
         aws_list_buckets describe_stacks cloudwatch_get_logs sentry_get_issue search_web \
         brave_web_search firecrawl_scrape firecrawl_crawl firecrawl_extract tavily-search \
         get_weather_forecast current_time convert_time resolve-library-id get-library-docs \
         sequentialthinking search_nodes open_nodes read_graph list_emails list_events \
         free_busy_query predict transcribe_audio docker_container_logs get_build_log \
         grafana_query_prometheus list_datasources get_dashboard_by_uid list_oncalls \
         get_entity_state validate_config analyze_code find_symbol git_status git_diff git_log",
    ),
    (
        Category::Write,
        "create_gist add_comment_to_pending_review assign_copilot_to_issue \
         mark_all_notifications_read dismiss_notification request_copilot_review sub_issue_write \
         star_repository unstar_repository push_files fork_repository stop_port_forward \
         add_to_cart slack_send_message conversations_add_message update_channel_topic \
         invite_user create-database-item append-block-children move_to_trash jira_create_issue \
         jira_transition_issue jira_add_worklog confluence_update_page linear_add_comment \
         write_query insert_document create_table alter_table edit_block set_config_value \
         write_file create_directory rename_file s3_put_object update_issue_status resolve_issue \
         create_relations add_observations send_email draft_email modify_email \
         batch_modify_emails create_label create_event update_event respond_to_event \
         generate_image text_to_speech docker_pull n8n_create_workflow update_dashboard \
         create_silence acknowledge_incident add_responders rotate_key enable_user grant_role \
         assign_role add_user_to_group create_user replace_symbol_body insert_after_symbol \
         git_add git_checkout git_create_branch",
    ),
    (
        Category::Execute,
        "run_workflow rerun_failed_jobs kubectl_apply kubectl_rollout kubectl_scale kubectl_patch \
         exec_in_pod install_helm_chart upgrade_helm_chart node_management port_forward run_query \
         executeQuery run_sql browser_click browser_navigate puppeteer_evaluate puppeteer_fill \
         playwright_navigate run_command execute_command start_process interact_with_process \
         launch_app tap type_text press_key swipe install_app start_recording invoke_lambda \
         lambda_invoke_function start_instances stop_instances reboot_instances deploy_stack \
         deploy_to_cloud_run send_sms make_call train_model render_blender_scene \
         docker_run_container compose_up docker_build trigger_build jenkins_build \
         airflow_trigger_dag pause_dag n8n_activate_workflow n8n_trigger_webhook_workflow \
         turn_on_light set_temperature hass_call_service control_device unlock_door run_tests \
         lint_code format_code git_commit git_push git_merge",
    ),
    (
        Category::Destructive,
        "delete_workflow_run_logs cancel_workflow_run delete_file kubectl_delete \
         uninstall_helm_chart cleanup_pods slack_delete_message remove_user_from_channel delete- \
         block archive_page jira_delete_issue drop_table delete_documents truncate_table flushall \
         kill_process force_terminate remove_directory uninstall_app s3_delete_object \
         terminate_instances delete_observations delete_email batch_delete_emails delete_event \
         docker_remove_image docker_prune compose_down clear_task_instances n8n_delete_execution \
         expire_silence reset_password revoke_token disable_user deactivate_user ban_user \
         revoke_role remove_user_from_group purge_cache invalidate_cache empty_trash git_reset \
         git_clean",
    ),
    (
        Category::Financial,
        "create_payment_intent refund_payment capture_payment create_subscription payInvoice \
         send_bitcoin transfer_funds execute_trade place_order cancel_order buy_stock \
         close_position set_leverage stake_tokens bridge_tokens approve_token mint_nft \
         send_transaction create_payout issue_refund charge_card wallet_send book_flight checkout \
         place_bid topup_account withdraw_funds",
    ),
];

#[test]
fn common_names_reach_the_targets() {
    let (mut all, mut right, mut severe, mut caught, mut reads, mut accused) = (0, 0, 0, 0, 0, 0);
    for (truth, names) in COMMON {
        for name in names.split_whitespace() {
            let said = by_name(name);
            all += 1;
            right += usize::from(said == *truth);
            let bad = said.severity() == Severity::Critical;
            severe += usize::from(truth.severity() == Severity::Critical);
            caught += usize::from(truth.severity() == Severity::Critical && bad);
            reads += usize::from(*truth == Category::Read);
            accused += usize::from(*truth == Category::Read && bad);
        }
    }
    assert!(right * 100 >= all * 90, "right {right}/{all}");
    assert!(caught * 100 >= severe * 95, "severe caught {caught}/{severe}");
    assert!(accused * 100 <= reads * 2, "reads accused {accused}/{reads}");
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_says_breaks_it(name in ".{0,80}", description in ".{0,200}", argument in ".{0,20}", choice in ".{0,20}") {
        let schema = json!({"properties": {argument: {"enum": [choice, 1, null]}, "action": {"description": description.clone()}}});
        let risk = classify(&tool(&name, json!({"description": description, "inputSchema": schema})));
        proptest::prop_assert!(!risk.evidence.is_empty());
        templates_for(&name, &description, ArgumentKind::Text);
    }
}

#[test]
fn endless_names_cost_no_time() {
    let name = "deletefile".repeat(100_000);
    classify(&tool(&name, json!({"description": name.clone()})));
}
