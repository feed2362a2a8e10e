//! What a server is called when nobody names it: its package or its program.

/// The name of a server from its command line: the package of a package runner, the module, the
/// image or the script, else the program. `npx -y @scope/name@1.2` is `name`.
pub fn server_name(command: &[String]) -> String {
    let Some((program, rest)) = command.split_first() else { return "server".to_owned() };
    let program_name = stem(program);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let found = match program_name.as_str() {
        "npx" | "bunx" | "pnpx" => runner(&rest, NPX_VALUES, PACKAGE_FLAGS),
        "npm" | "pnpm" | "yarn" | "bun" => match rest.split_first() {
            Some((&("exec" | "x" | "dlx"), rest)) => runner(rest, NPX_VALUES, PACKAGE_FLAGS),
            Some((&("run" | "start"), rest)) => positional(rest, NPX_VALUES).map(str::to_owned),
            _ => positional(&rest, &[]).map(stem),
        },
        "uvx" => runner(&rest, UV_VALUES, &["--from"]),
        "pipx" => after(&rest, "run").and_then(|rest| runner(rest, UV_VALUES, &["--spec"])),
        "uv" => match after(&rest, "tool").and_then(|rest| after(rest, "run")) {
            Some(rest) => runner(rest, UV_VALUES, &["--from"]),
            None => after(&rest, "run").and_then(|rest| interpreter(rest, UV_VALUES)),
        },
        "docker" | "podman" | "nerdctl" => {
            after(&rest, "run").and_then(|rest| positional(rest, DOCKER_VALUES)).map(image)
        }
        "env" | "sudo" | "nice" | "nohup" | "stdbuf" | "timeout" | "time" | "setsid" | "exec" => {
            let inner: Vec<String> = rest
                .iter()
                .skip_while(|word| {
                    word.starts_with('-') || word.contains('=') || word.chars().all(|c| c.is_ascii_digit())
                })
                .map(|word| (*word).to_owned())
                .collect();
            return if inner.is_empty() { program_name } else { server_name(&inner) };
        }
        "cmd" => after(&rest, "/c").or_else(|| after(&rest, "/C")).map(|rest| {
            let inner: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
            server_name(&inner)
        }),
        "sh" | "bash" | "zsh" | "dash" | "fish" => shell(&rest),
        "dotnet" | "java" => after(&rest, "-jar")
            .and_then(|rest| rest.first())
            .or_else(|| rest.iter().find(|word| has_extension(word, "dll")))
            .map(|path| stem(path)),
        "go" | "cargo" => after(&rest, "run").map(|rest| {
            let named = ["--bin", "-p", "--package", "--example"];
            rest.iter().position(|word| named.contains(word)).and_then(|at| rest.get(at + 1)).map_or_else(
                || positional(rest, &[]).map_or_else(|| program_name.clone(), stem),
                |name| stem(name),
            )
        }),
        "node" | "deno" | "tsx" | "ts-node" | "ruby" | "perl" | "php" | "Rscript" | "julia" => {
            interpreter(&rest, &["-r", "--require", "--import", "--loader", "-e"])
        }
        name if name.starts_with("python") || name == "pypy" || name == "pypy3" => {
            interpreter(&rest, &["-W", "-X"])
        }
        _ => None,
    };
    let name = found.filter(|name| !name.is_empty()).unwrap_or(program_name);
    if name.is_empty() { "server".to_owned() } else { name }
}

/// Options of npx that take a value.
pub(super) const NPX_VALUES: &[&str] =
    &["--registry", "--cache", "--userconfig", "-c", "--call", "--prefix", "-w", "--workspace"];
const PACKAGE_FLAGS: &[&str] = &["--package", "-p"];
const UV_VALUES: &[&str] = &[
    "--with",
    "--python",
    "-p",
    "--directory",
    "--project",
    "--index",
    "--index-url",
    "--env-file",
    "--with-editable",
    "--with-requirements",
    "--extra",
    "--group",
    "--extra-index-url",
    "--cache-dir",
];
const DOCKER_VALUES: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "-p",
    "--publish",
    "--name",
    "--network",
    "--net",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--mount",
    "--entrypoint",
    "-l",
    "--label",
    "--platform",
    "--add-host",
    "-m",
    "--memory",
    "--cpus",
    "--pull",
    "-h",
    "--hostname",
    "--cap-add",
    "--cap-drop",
    "--security-opt",
    "--tmpfs",
    "--device",
    "--gpus",
    "--ip",
    "--dns",
    "--restart",
    "--shm-size",
    "--ulimit",
    "--log-driver",
];

/// A package runner's package: the one that a flag names, else the first argument.
fn runner(rest: &[&str], values: &[&str], package_flags: &[&str]) -> Option<String> {
    for (at, word) in rest.iter().enumerate() {
        for flag in package_flags {
            if word == flag {
                return rest.get(at + 1).map(|spec| package(spec));
            }
            if let Some(spec) = word.strip_prefix(flag).and_then(|tail| tail.strip_prefix('=')) {
                return Some(package(spec));
            }
        }
        if !word.starts_with('-')
            && !at.checked_sub(1).and_then(|at| rest.get(at)).is_some_and(|flag| values.contains(flag))
        {
            break;
        }
    }
    positional(rest, values).map(package)
}

/// The first argument that is neither a flag nor a flag's value.
fn positional<'a>(rest: &[&'a str], values: &[&str]) -> Option<&'a str> {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        if *word == "--" {
            continue;
        }
        if values.contains(word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

fn after<'a>(rest: &'a [&'a str], word: &str) -> Option<&'a [&'a str]> {
    let at = rest.iter().position(|candidate| *candidate == word)?;
    rest.get(at + 1..)
}

/// An interpreter's module (`-m`) or script.
fn interpreter(rest: &[&str], values: &[&str]) -> Option<String> {
    let module = rest.iter().position(|word| *word == "-m").and_then(|at| rest.get(at + 1));
    let script = positional(rest, values)
        .filter(|word| !matches!(*word, "run" | "task" | "watch"))
        .or_else(|| positional(rest.get(1..).unwrap_or_default(), values));
    if let Some(module) = module {
        let module = module.strip_suffix(".__main__").unwrap_or(module);
        return Some(module.split('.').next().unwrap_or(module).to_owned());
    }
    let script = script?;
    if matches!(stem(script).as_str(), "python" | "python3" | "node") {
        let inner: Vec<String> =
            rest.iter().skip_while(|word| **word != script).map(|word| (*word).to_owned()).collect();
        return Some(server_name(&inner));
    }
    let name = stem(script);
    // `dist/index.js`, `src/main.py`, `build/server.js` say less than the folder above them.
    if matches!(
        name.as_str(),
        "index" | "main" | "server" | "cli" | "app" | "__main__" | "run" | "start" | "mcp"
    ) {
        let folder = script.rsplit(['/', '\\']).skip(1).find(|part| {
            !matches!(*part, "dist" | "build" | "src" | "lib" | "bin" | "out" | "." | ".." | "")
        });
        if let Some(folder) = folder {
            return Some(folder.to_owned());
        }
    }
    Some(name)
}

/// A shell's inner command line, when it is a plain one.
fn shell(rest: &[&str]) -> Option<String> {
    let text = rest
        .iter()
        .position(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'))
        .and_then(|at| rest.get(at + 1));
    match text {
        Some(text) => {
            let words: Vec<String> = text
                .rsplit("&&")
                .next()
                .unwrap_or(text)
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']).to_owned())
                .collect();
            (!words.is_empty()).then(|| server_name(&words))
        }
        None => positional(rest, &[]).map(stem),
    }
}

/// `@scope/name@1.2`, `name==1.2`, `name[extra]`, `git+https://host/owner/name.git` as `name`.
fn package(spec: &str) -> String {
    let spec = spec.trim_end_matches('/');
    let last = spec.rsplit('/').next().unwrap_or(spec);
    let at = last.split('@').find(|part| !part.is_empty()).unwrap_or(last);
    let end = at.find(['=', '<', '>', '~', '!', '[', '#', ' ']).unwrap_or(at.len());
    let name = at.get(..end).unwrap_or(at);
    let name = name.strip_suffix(".git").unwrap_or(name);
    // `@azure/mcp` and `@stripe/mcp` are two servers.
    let scope = spec.strip_prefix('@').and_then(|scoped| scoped.split_once('/')).map(|(scope, _)| scope);
    match scope {
        Some(scope) if matches!(name, "mcp" | "server" | "mcp-server" | "cli") => format!("{scope}-{name}"),
        _ => name.to_owned(),
    }
}

/// `registry:5000/owner/name:tag@sha256:...` as `name`.
fn image(reference: &str) -> String {
    let last = reference.split('@').next().unwrap_or(reference).rsplit('/').next().unwrap_or(reference);
    last.split(':').next().unwrap_or(last).to_owned()
}

/// A path's file name without folders and a script's or program's ending.
fn stem(path: &str) -> String {
    let file = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path);
    for ending in [
        ".exe", ".cmd", ".bat", ".js", ".mjs", ".cjs", ".ts", ".mts", ".py", ".rb", ".sh", ".pl", ".php",
        ".jar", ".dll",
    ] {
        if let Some(name) = file.strip_suffix(ending).filter(|name| !name.is_empty()) {
            return name.to_owned();
        }
    }
    file.to_owned()
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_module_image_script_or_program() {
        for (command, name) in [
            ("npx -y @0xshariq/docker-mcp-server", "docker-mcp-server"),
            ("npx -y @azure/mcp@latest server start", "azure-mcp"),
            ("npx --yes --package=@scope/pkg@1.2.3 bin", "pkg"),
            ("npx -p thing@2 thing-bin", "thing"),
            ("npx.cmd server-everything", "server-everything"),
            ("pnpm dlx @a/b stdio", "b"),
            ("bunx --bun foo", "foo"),
            ("npm exec -y foo@1", "foo"),
            ("uvx mcp-server-fetch --ignore-robots-txt", "mcp-server-fetch"),
            ("uvx --from git+https://github.com/o/serena serena start-mcp-server", "serena"),
            ("uvx --with x mcp-server-git==0.6", "mcp-server-git"),
            ("uv run --directory /srv/thing my-server", "my-server"),
            ("uv --directory /srv run main.py", "main"),
            ("uv run python -m my_pkg.server", "my_pkg"),
            ("uv tool run foo[cli]", "foo"),
            ("pipx run weather", "weather"),
            ("python -m mcp_server_time --x", "mcp_server_time"),
            ("/usr/bin/python3 /opt/weather.py", "weather"),
            ("python3 /opt/weather/src/server.py", "weather"),
            ("docker run -i --rm -e TOKEN=x ghcr.io/github/github-mcp-server:1 stdio", "github-mcp-server"),
            ("docker run -i --rm mcp/fetch@sha256:abc", "fetch"),
            ("node /srv/notes/dist/index.js", "notes"),
            ("node --import tsx thing.ts", "thing"),
            ("deno run -A https://x.example/server-x.ts", "server-x"),
            ("/usr/local/bin/kubernetes-mcp-server --read-only", "kubernetes-mcp-server"),
            ("C:\\tools\\foo.exe", "foo"),
            ("cmd /c npx -y @a/notion", "notion"),
            ("env A=1 npx foo", "foo"),
            ("java -jar /x/y/server-z.jar", "server-z"),
            ("callgate demo --part docker", "callgate"),
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(server_name(&words), name, "{command}");
        }
        let words = ["sh", "-c", "cd /x && exec npx -y @a/b"].map(str::to_owned);
        assert_eq!(server_name(&words), "b");
        assert_eq!(server_name(&[]), "server");
    }
}
