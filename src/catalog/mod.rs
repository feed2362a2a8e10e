//! Tool lists from a server, a file or a client's configuration; pins and drift.
