//! Packages whose own command is no MCP server, though the package holds one.
//!
//! `npx PACKAGE` runs the package's command, and with some packages that is a menu for people while
//! the server is the package's `main`. Where listing tools meets such a command, the package is
//! looked at as npx has it in its cache, and its `main` is asked instead: a file of the very package
//! that the person asked to run. Only listing does that, and it is said; a gateway runs what it is
//! told to run.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::name::NPX_VALUES;

/// The command line that runs the `main` of the package that `command` runs with npx; `None` where
/// that is no such command, where the package is not in the cache, or where its own command already
/// is its `main`.
pub(super) fn main_of(command: &[String], var: &dyn Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let asked = Asked::read(command)?;
    let folder = asked.installed(var)?;
    let about: Value = serde_json::from_slice(&std::fs::read(folder.join("package.json")).ok()?).ok()?;
    let main = resolve(&folder, about.get("main").and_then(Value::as_str).unwrap_or("index.js"))?;
    let (bin, own) = bin(&about, asked.name)?;
    if resolve(&folder, own).is_some_and(|own| same(&folder.join(own), &folder.join(&main))) {
        return None;
    }
    if cfg!(windows) {
        let file = folder.join(main).to_str()?.to_owned();
        return Some([vec!["node".to_owned(), file], asked.rest.to_vec()].concat());
    }
    if !plain(&main) || !plain(bin) {
        return None;
    }
    // npx puts the folder of the package's commands into PATH; the package lies beside it.
    let arguments = if asked.rest.is_empty() { "" } else { " \"$@\"" };
    let script =
        format!("exec node \"$(dirname \"$(command -v {bin})\")/../{}/{main}\"{arguments}", asked.name);
    let mut line = asked.before.to_vec();
    line.extend(["-p", asked.spec, "sh", "-c", &script].map(str::to_owned));
    if !asked.rest.is_empty() {
        line.push("sh".to_owned());
        line.extend_from_slice(asked.rest);
    }
    Some(line)
}

/// What a command line asks npx for.
struct Asked<'c> {
    /// `npx` and its flags.
    before: &'c [String],
    /// The package, with its version if there is one.
    spec: &'c str,
    /// The package.
    name: &'c str,
    /// The arguments of its command.
    rest: &'c [String],
}

impl<'c> Asked<'c> {
    fn read(command: &'c [String]) -> Option<Self> {
        let program = command.first()?.rsplit(['/', '\\']).next()?;
        if !matches!(program, "npx" | "npx.cmd") {
            return None;
        }
        let mut at = 1;
        loop {
            let word = command.get(at)?.as_str();
            match word {
                // Another command than the package's own is asked for.
                "-p" | "--package" | "-c" | "--call" => return None,
                _ if word.starts_with("--package=") || word.starts_with("--call=") => return None,
                _ if NPX_VALUES.contains(&word) => at += 2,
                _ if word.starts_with('-') => at += 1,
                _ => break,
            }
        }
        let spec = command.get(at)?.as_str();
        let name = match spec.get(1..).and_then(|rest| rest.find('@')) {
            Some(end) => spec.get(..=end)?,
            None => spec,
        };
        let parts = name.strip_prefix('@').unwrap_or(name);
        let scoped = usize::from(name.starts_with('@'));
        if !plain(parts)
            || parts.matches('/').count() != scoped
            || parts.split('/').any(|part| part.starts_with('.'))
        {
            return None;
        }
        Some(Self { before: command.get(..at)?, spec, name, rest: command.get(at + 1..)? })
    }

    /// The package's folder: the working folder's own, as npx prefers it, else that of npx's cache.
    fn installed(&self, var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let own = Path::new("node_modules").join(self.name);
        if own.is_dir() {
            return Some(own);
        }
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = set("npm_config_cache").or_else(|| set("NPM_CONFIG_CACHE")).or_else(|| {
            if cfg!(windows) {
                set("LOCALAPPDATA").map(|folder| folder.join("npm-cache"))
            } else {
                set("HOME").map(|home| home.join(".npm"))
            }
        })?;
        let found = std::fs::read_dir(cache.join("_npx")).ok()?.filter_map(|entry| {
            let folder = entry.ok()?.path();
            let list = folder.join("package.json");
            let about: Value = serde_json::from_slice(&std::fs::read(&list).ok()?).ok()?;
            about.get("dependencies")?.get(self.name)?;
            let specs = about.get("_npx").and_then(|npx| npx.get("packages")).and_then(Value::as_array);
            let exact = specs.is_some_and(|specs| specs.iter().any(|spec| spec == self.spec));
            let used = list.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let package = folder.join("node_modules").join(self.name);
            package.is_dir().then_some((exact, used, package))
        });
        found.max().map(|(_, _, package)| package)
    }
}

/// The name of a command of the package, and the file that npx runs: as npx chooses it, the one named
/// like the package, or the only one.
fn bin<'a>(about: &'a Value, package: &'a str) -> Option<(&'a str, &'a str)> {
    let short = package.rsplit('/').next().unwrap_or(package);
    match about.get("bin")? {
        Value::String(file) => Some((short, file)),
        Value::Object(bins) => {
            let (name, file) = bins.get_key_value(short).or_else(|| bins.iter().next())?;
            Some((name, file.as_str()?))
        }
        _ => None,
    }
}

/// A file of the package, as Node.js finds it; never one outside of it.
fn resolve(folder: &Path, file: &str) -> Option<String> {
    let file = file.trim_start_matches("./");
    if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    [file.to_owned(), format!("{file}.js"), format!("{file}/index.js")]
        .into_iter()
        .find(|file| folder.join(file).is_file())
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((std::fs::canonicalize(one), std::fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a shell reads it as it stands, within double quotes or without.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-+/".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn put(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    fn cached(root: &Path, hash: &str, spec: &str, package: &str) -> PathBuf {
        let folder = root.join("_npx").join(hash);
        let list = format!(r#"{{"dependencies":{{"@s/pkg":"^1.0.0"}},"_npx":{{"packages":["{spec}"]}}}}"#);
        put(&folder.join("package.json"), &list);
        let own = folder.join("node_modules/@s/pkg");
        put(&own.join("package.json"), package);
        for file in ["cli.js", "dist/index.js"] {
            put(&own.join(file), "");
        }
        own
    }

    #[test]
    fn what_is_asked_of_npx_is_read() {
        for (line, wanted) in [
            ("npx -y @s/pkg", Some(("@s/pkg", "@s/pkg", ""))),
            (
                "/usr/bin/npx --yes --registry https://r.example @s/pkg@1.2 start -v",
                Some(("@s/pkg@1.2", "@s/pkg", "start -v")),
            ),
            ("npx plain", Some(("plain", "plain", ""))),
            ("npx -y -p @s/pkg other", None),
            ("npx --package=@s/pkg other", None),
            ("npx -c thing", None),
            ("npx ./local", None),
            ("npx ../x", None),
            ("npx github:a/b", None),
            ("npx @s/..", None),
            ("npx -y", None),
            ("node x.js", None),
        ] {
            let command = words(line);
            let read = Asked::read(&command).map(|asked| (asked.spec, asked.name, asked.rest.join(" ")));
            assert_eq!(read, wanted.map(|(spec, name, rest)| (spec, name, rest.to_owned())), "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_main_of_a_cached_package_is_named_unless_it_is_its_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let var = |name: &str| (name == "npm_config_cache").then(|| root.to_str().expect("text").to_owned());
        let main = |line: &str| main_of(&words(line), &var).map(|words| words.join(" "));
        assert_eq!(main("npx -y @s/pkg"), None, "not in the cache");
        let package = r#"{"main":"./dist/index","bin":{"other":"x.js","pkg":"cli.js"}}"#;
        let own = cached(root, "a", "@s/pkg@1.0.0", package);
        let script = r#"exec node "$(dirname "$(command -v pkg)")/../@s/pkg/dist/index.js""#;
        assert_eq!(main("npx -y @s/pkg"), Some(format!("npx -y -p @s/pkg sh -c {script}")));
        assert_eq!(
            main("npx @s/pkg@1.0.0 start x"),
            Some(format!(r#"npx -p @s/pkg@1.0.0 sh -c {script} "$@" sh start x"#))
        );
        for (package, why) in [
            (r#"{"main":"cli.js","bin":"./cli.js"}"#, "its command already is its main"),
            (r#"{"main":"../../../evil.js","bin":"cli.js"}"#, "outside of the package"),
            (r#"{"main":"/etc/passwd","bin":"cli.js"}"#, "outside of the package"),
            (r#"{"main":"gone.js","bin":"cli.js"}"#, "no such file"),
            (r#"{"bin":"cli.js"}"#, "there is no index.js"),
            (r#"{"main":"dist/index.js"}"#, "no command to find it by"),
            (r#"{"main":"dist/index.js","bin":{"$(x)":"cli.js"}}"#, "a name that a shell would run"),
            ("rubbish", "no package.json"),
        ] {
            put(&own.join("package.json"), package);
            assert_eq!(main("npx -y @s/pkg"), None, "{why}");
        }
        put(&own.join("package.json"), package);
        cached(root, "b", "@s/pkg@2", r#"{"main":"dist/index.js","bin":{"two":"cli.js"}}"#);
        let two = main("npx @s/pkg@2").expect("the version that was asked for");
        assert!(two.contains("command -v two"), "{two}");
        let one = main("npx @s/pkg@1.0.0").expect("the other");
        assert!(one.contains("command -v pkg"), "{one}");
    }
}
