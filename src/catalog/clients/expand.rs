//! Variables in clients' files: `${VAR}`, `${VAR:-default}`, `${env:VAR}`, and `$VAR` where the
//! client fills that in too.

use std::path::PathBuf;

use super::super::{HttpServer, StdioServer};
use super::{Env, Launch};

/// A launch with every variable filled in, or which one is missing.
pub(super) fn launch(launch: &Launch, env: &Env, bare: bool) -> Result<Launch, String> {
    let fill = |text: &str| text_with(text, env, bare);
    let pairs = |pairs: &[(String, String)]| -> Result<Vec<(String, String)>, String> {
        pairs.iter().map(|(name, value)| Ok((name.clone(), fill(value)?))).collect()
    };
    Ok(match launch {
        Launch::Stdio(server) => Launch::Stdio(StdioServer {
            command: server.command.iter().map(|word| fill(word)).collect::<Result<_, _>>()?,
            env: pairs(&server.env)?,
            cwd: match &server.cwd {
                Some(cwd) => Some(PathBuf::from(fill(&cwd.to_string_lossy())?)),
                None => None,
            },
        }),
        Launch::Http(server) => {
            Launch::Http(HttpServer { url: fill(&server.url)?, headers: pairs(&server.headers)? })
        }
    })
}

/// A text with its variables filled in. `bare`: `$VAR` is one too.
pub(in super::super) fn text_with(text: &str, env: &Env, bare: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some((inner, behind)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push_str(&value(inner, env)?);
            rest = behind;
            continue;
        }
        let end = after
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default();
        let starts = name.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
        if bare && starts {
            out.push_str(&value(name, env)?);
            rest = after.get(end..).unwrap_or_default();
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn value(inner: &str, env: &Env) -> Result<String, String> {
    match inner {
        "workspaceFolder" | "workspaceRoot" | "pwd" => return Ok(env.cwd.to_string_lossy().into_owned()),
        "userHome" => return Ok(env.home.to_string_lossy().into_owned()),
        "workspaceFolderBasename" => {
            return Ok(env.cwd.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        "pathSeparator" | "/" => return Ok(std::path::MAIN_SEPARATOR.to_string()),
        _ => {}
    }
    if let Some(id) = inner.strip_prefix("input:") {
        return Err(format!("`${{input:{id}}}` is a value that only its client can ask for"));
    }
    if inner.contains("secrets.") {
        return Err(format!("`${{{inner}}}` is a secret that only its client knows"));
    }
    let name = inner.strip_prefix("env:").unwrap_or(inner);
    let (name, default) = match name.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (name, None),
    };
    match (env.vars.get(name), default) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the variable `{name}` is not set")),
    }
}
