//! The gateway: between agent and server, deciding each call.
