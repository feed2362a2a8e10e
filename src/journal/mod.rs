//! The journal: the durable record of decisions and outcomes on disk. Append, rotate, repair,
//! read, follow, merge.
