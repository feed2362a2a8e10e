//! JSON Pointers (RFC 6901).

/// One step of a pointer, escaped: `~` as `~0`, `/` as `~1`.
pub fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Appends a step to a pointer, escaping it.
pub fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&escape(step));
}

/// The steps of a pointer, unescaped; `None` when it is neither empty nor begins with `/`.
pub fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_splits() {
        let mut pointer = String::new();
        push(&mut pointer, "tools");
        push(&mut pointer, "a/b~c");
        assert_eq!(pointer, "/tools/a~1b~0c");
        assert_eq!(steps(&pointer), Some(vec!["tools".to_owned(), "a/b~c".to_owned()]));
        assert_eq!(steps(""), Some(Vec::new()));
        assert_eq!(steps("tools"), None);
    }
}
