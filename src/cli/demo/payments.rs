//! The demo's payments: a few customers, their charges, and what is given back.

use serde_json::{Value, json};

use super::rng::Rng;
use super::server::{Answer, World, count, text};

/// The answer to `tools/list`.
pub(super) const TOOLS: &str = include_str!("../../../assets/demo/payments.tools.json");

/// The account.
pub(super) struct Payments {
    customers: Vec<(String, String, String)>,
    /// Charge id, customer id, cents, cents given back.
    charges: Vec<(String, String, u64, u64)>,
    available: u64,
}

impl Payments {
    /// An account with some history.
    pub(super) fn new() -> Self {
        let customers = [
            ("cus_ada1", "Ada Marsh", "ada@example.com"),
            ("cus_bo22", "Bo Lindqvist", "bo@example.com"),
            ("cus_cy33", "Cyrus Adeyemi", "cyrus@example.com"),
            ("cus_di44", "Dilnoza Karimova", "dilnoza@example.com"),
        ];
        let charges = [
            ("ch_9f2a01", "cus_ada1", 12_900),
            ("ch_9f2a02", "cus_bo22", 4_990),
            ("ch_9f2a03", "cus_cy33", 48_000),
            ("ch_9f2a04", "cus_di44", 24_000),
            ("ch_9f2a05", "cus_ada1", 7_550),
        ];
        Self {
            customers: customers.map(|(id, name, mail)| (id.into(), name.into(), mail.into())).to_vec(),
            charges: charges.map(|(id, customer, cents)| (id.into(), customer.into(), cents, 0)).to_vec(),
            available: 1_824_055,
        }
    }
}

impl World for Payments {
    fn name(&self) -> &'static str {
        "callgate-demo-payments"
    }

    fn tools(&self) -> &'static str {
        TOOLS
    }

    fn call(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Answer {
        let millis = rng.within(12, 60);
        match tool {
            "list_customers" => {
                let mail = text(arguments, "email");
                let limit = usize::try_from(count(arguments, "limit", 10)).unwrap_or(10);
                let found = self.customers.iter().rev().filter(|(_, _, has)| mail.is_empty() || has == mail);
                let rows: Vec<Value> = found
                    .take(limit)
                    .map(|(id, name, mail)| json!({"id": id, "name": name, "email": mail}))
                    .collect();
                Answer::json(millis, json!({"customers": rows}))
            }
            "retrieve_balance" => Answer::json(
                millis,
                json!({"available": units(self.available), "pending": 412.8, "currency": "usd"}),
            ),
            "list_invoices" => {
                let customer = text(arguments, "customer");
                let rows: Vec<Value> = self
                    .charges
                    .iter()
                    .filter(|(_, owner, _, _)| owner == customer)
                    .map(|(id, _, cents, _)| json!({"charge": id, "total": units(*cents), "status": "paid"}))
                    .collect();
                Answer::json(millis, json!({"invoices": rows}))
            }
            "list_disputes" => Answer::json(millis, json!({"disputes": []})),
            "create_customer" => {
                let id = format!("cus_{}", rng.hex(8));
                let (name, mail) = (text(arguments, "name").to_owned(), text(arguments, "email").to_owned());
                self.customers.push((id.clone(), name, mail));
                Answer::json(millis, json!({"id": id}))
            }
            "create_charge" => {
                let customer = text(arguments, "customer");
                if !self.customers.iter().any(|(id, _, _)| id == customer) {
                    return Answer::error(format!("No such customer: {customer}"));
                }
                if rng.once_in(9) {
                    return Answer::error("Your card was declined (insufficient_funds).");
                }
                let cents = cents(arguments);
                let id = format!("ch_{}", rng.hex(6));
                self.charges.push((id.clone(), customer.to_owned(), cents, 0));
                self.available += cents;
                Answer::json(millis + 80, json!({"id": id, "amount": units(cents), "status": "succeeded"}))
            }
            "create_refund" => {
                let (id, cents) = (text(arguments, "charge"), cents(arguments));
                let Some((_, _, charged, back)) = self.charges.iter_mut().find(|(known, ..)| known == id)
                else {
                    return Answer::error(format!("No such charge: {id}"));
                };
                if *back + cents > *charged {
                    return Answer::error(format!("Charge {id} has already been refunded."));
                }
                *back += cents;
                self.available = self.available.saturating_sub(cents);
                let refund = format!("re_{}", rng.hex(6));
                Answer::json(
                    millis + 60,
                    json!({"id": refund, "amount": units(cents), "status": "succeeded"}),
                )
            }
            "create_payout" => {
                let cents = cents(arguments);
                if cents > self.available {
                    return Answer::error("The balance is too small for this payout.");
                }
                self.available -= cents;
                let payout = format!("po_{}", rng.hex(6));
                Answer::json(millis + 90, json!({"id": payout, "status": "in_transit"}))
            }
            other => Answer::error(format!("Unknown tool: {other}")),
        }
    }
}

/// The amount of a call in cents.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a demo's money")]
fn cents(arguments: &Value) -> u64 {
    let amount = arguments.get("amount").and_then(Value::as_f64).unwrap_or(0.0);
    (amount.max(0.0) * 100.0).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "a demo's money")]
fn units(cents: u64) -> f64 {
    cents as f64 / 100.0
}
