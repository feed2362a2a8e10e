//! The demo's Docker: containers, images, volumes and networks that calls really change.

use serde_json::{Value, json};

use super::rng::Rng;
use super::server::{Answer, World, count, flag, text};

#[derive(Clone)]
struct Container {
    id: String,
    name: String,
    image: String,
    state: &'static str,
    project: &'static str,
    networks: Vec<String>,
    memory: u64,
    restarts: u64,
}

#[derive(Clone)]
struct Image {
    reference: String,
    digest: String,
    megabytes: u64,
}

/// The answer to `tools/list`.
pub(super) const TOOLS: &str = include_str!("../../../assets/demo/docker.tools.json");

/// One host.
pub(super) struct Docker {
    containers: Vec<Container>,
    images: Vec<Image>,
    volumes: Vec<(String, u64)>,
    networks: Vec<(String, String)>,
    registries: Vec<String>,
    pushed: Vec<String>,
    events: Vec<String>,
    made: u64,
}

impl Docker {
    /// A host with a small shop running on it.
    pub(super) fn new() -> Self {
        let mut rng = Rng::new(0x5eed);
        let running = [
            ("prod-api", "ghcr.io/acme/api:1.4.1", "shop", 512),
            ("prod-web", "ghcr.io/acme/web:2.0.3", "shop", 256),
            ("db-main", "postgres:17", "shop", 2048),
            ("cache-1", "redis:8", "shop", 512),
            ("worker-1", "ghcr.io/acme/worker:1.4.1", "shop", 512),
            ("worker-2", "ghcr.io/acme/worker:1.4.1", "shop", 512),
            ("staging-api", "ghcr.io/acme/api:1.5.0-rc1", "staging", 512),
            ("staging-web", "ghcr.io/acme/web:2.1.0-rc2", "staging", 256),
        ];
        let containers = running.map(|(name, image, project, memory)| Container {
            id: rng.hex(12),
            name: name.to_owned(),
            image: image.to_owned(),
            state: "running",
            project,
            networks: vec![format!("{project}_default")],
            memory,
            restarts: 0,
        });
        let mut images: Vec<Image> = Vec::new();
        for (_, reference, _, megabytes) in running {
            if !images.iter().any(|image| image.reference == reference) {
                images.push(Image {
                    reference: reference.to_owned(),
                    digest: rng.hex(64),
                    megabytes: megabytes / 3 + 40,
                });
            }
        }
        let networks = ["bridge", "host", "shop_default", "staging_default"];
        Self {
            containers: containers.to_vec(),
            images,
            volumes: vec![
                ("shop_pgdata".to_owned(), 18_432),
                ("shop_uploads".to_owned(), 6_210),
                ("staging_pgdata".to_owned(), 940),
            ],
            networks: networks
                .map(|name| {
                    (name.to_owned(), if name == "host" { "host".to_owned() } else { "bridge".to_owned() })
                })
                .to_vec(),
            registries: vec!["ghcr.io".to_owned()],
            pushed: vec!["1.4.1".to_owned(), "1.4.0".to_owned(), "1.3.9".to_owned()],
            events: Vec::new(),
            made: 0,
        }
    }

    fn container(&mut self, arguments: &Value) -> Result<&mut Container, Answer> {
        let asked = text(arguments, "container");
        self.containers
            .iter_mut()
            .find(|container| {
                container.name == asked || (asked.len() >= 4 && container.id.starts_with(asked))
            })
            .ok_or_else(|| Answer::error(format!("No such container: {asked}")))
    }

    fn has_image(&self, reference: &str) -> bool {
        let full = with_tag(reference);
        self.images.iter().any(|image| image.reference == full)
    }

    fn happened(&mut self, what: String) {
        self.events.push(what);
        if self.events.len() > 40 {
            self.events.remove(0);
        }
    }

    fn looks(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Result<Answer, Answer> {
        let quick = rng.within(3, 18);
        Ok(match tool {
            "list_containers" => Answer::json(quick, self.list(arguments)),
            "inspect_container" => {
                let found = self.container(arguments)?.clone();
                Answer::json(
                    quick,
                    json!({
                        "Id": found.id, "Name": format!("/{}", found.name),
                        "State": {"Status": found.state, "Running": found.state == "running"},
                        "RestartCount": found.restarts,
                        "Config": {"Image": found.image, "Labels": {"com.docker.compose.project": found.project}},
                        "HostConfig": {"Memory": found.memory * 1_048_576, "Privileged": false},
                        "NetworkSettings": {"Networks": found.networks},
                    }),
                )
            }
            "container_logs" => {
                let name = self.container(arguments)?.name.clone();
                let lines = count(arguments, "tail", 100).min(12);
                let text: Vec<String> = (0..lines).map(|_| log_line(&name, rng)).collect();
                Answer::text(quick + 6, text.join("\n"))
            }
            "container_stats" => {
                let asked = arguments.get("containers").and_then(Value::as_array);
                let wanted = |name: &str| asked.is_none_or(|names| names.iter().any(|known| known == name));
                let running =
                    self.containers.iter().filter(|one| one.state == "running" && wanted(&one.name));
                let rows: Vec<Value> = running
                    .map(|one| {
                        json!({
                            "name": one.name,
                            "cpu_percent": percent(rng.within(1, 900)),
                            "memory_mb": rng.within(one.memory / 5, one.memory),
                            "memory_limit_mb": one.memory,
                            "net_rx_kb": rng.within(10, 90_000),
                        })
                    })
                    .collect();
                Answer::json(quick + 20, json!({"stats": rows}))
            }
            "container_top" => {
                let image = self.container(arguments)?.image.clone();
                let program =
                    image.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or("app");
                let rows = format!(
                    "UID   PID  PPID  CMD\napp     1     0  {program}\napp    {}     1  {program}: worker",
                    rng.within(12, 90)
                );
                Answer::text(quick, rows)
            }
            "list_images" => {
                let rows: Vec<Value> = self
                    .images
                    .iter()
                    .map(|one| json!({"reference": one.reference, "digest": short(&one.digest), "size_mb": one.megabytes}))
                    .collect();
                Answer::json(quick, json!({"images": rows}))
            }
            "inspect_image" | "image_history" | "scan_image" => self.image(tool, arguments, rng)?,
            "search_hub" => {
                let term = text(arguments, "term");
                let rows: Vec<Value> = ["", "-alpine", "-exporter", "-operator"]
                    .iter()
                    .map(|ending| json!({"name": format!("{term}{ending}"), "stars": rng.within(3, 14_000), "official": ending.is_empty()}))
                    .collect();
                Answer::json(quick + 70, json!({"results": rows}))
            }
            "list_tags" => Answer::json(
                quick + 40,
                json!({"repository": text(arguments, "repository"), "tags": self.pushed.iter().rev().take(10).collect::<Vec<_>>()}),
            ),
            "list_volumes" => {
                let rows: Vec<Value> = self
                    .volumes
                    .iter()
                    .map(|(name, size)| json!({"name": name, "driver": "local", "size_mb": size}))
                    .collect();
                Answer::json(quick, json!({"volumes": rows}))
            }
            "inspect_volume" => {
                let asked = text(arguments, "volume");
                match self.volumes.iter().find(|(name, _)| name == asked) {
                    Some((name, size)) => Answer::json(
                        quick,
                        json!({"name": name, "mountpoint": format!("/var/lib/docker/volumes/{name}/_data"), "size_mb": size}),
                    ),
                    None => Answer::error(format!("No such volume: {asked}")),
                }
            }
            "list_networks" => {
                let rows: Vec<Value> = self
                    .networks
                    .iter()
                    .map(|(name, driver)| json!({"name": name, "driver": driver}))
                    .collect();
                Answer::json(quick, json!({"networks": rows}))
            }
            "inspect_network" => {
                let asked = text(arguments, "network").to_owned();
                if !self.networks.iter().any(|(name, _)| *name == asked) {
                    return Err(Answer::error(format!("network {asked} not found")));
                }
                let joined: Vec<&str> = self
                    .containers
                    .iter()
                    .filter(|one| one.networks.contains(&asked))
                    .map(|one| one.name.as_str())
                    .collect();
                Answer::json(quick, json!({"name": asked, "subnet": "172.20.0.0/16", "containers": joined}))
            }
            "system_info" => Answer::json(
                quick,
                json!({
                    "server_version": "28.5.1", "storage_driver": "overlay2", "cpus": 8, "memory_gb": 32,
                    "containers": self.containers.len(), "images": self.images.len(),
                }),
            ),
            "disk_usage" => {
                let images: u64 = self.images.iter().map(|one| one.megabytes).sum();
                let volumes: u64 = self.volumes.iter().map(|(_, size)| size).sum();
                Answer::json(
                    quick + 30,
                    json!({"images_mb": images, "volumes_mb": volumes, "build_cache_mb": 3_904}),
                )
            }
            "docker_version" => {
                Answer::json(quick, json!({"client": "28.5.1", "server": "28.5.1", "api": "1.51"}))
            }
            "list_events" => Answer::text(quick, self.events.join("\n")),
            "compose_ps" => {
                let project = text(arguments, "project");
                let rows: Vec<Value> = self
                    .containers
                    .iter()
                    .filter(|one| one.project == project)
                    .map(|one| json!({"service": one.name, "state": one.state, "image": one.image}))
                    .collect();
                Answer::json(quick, json!({"services": rows}))
            }
            "compose_logs" => {
                let project = text(arguments, "project");
                let names: Vec<String> = self
                    .containers
                    .iter()
                    .filter(|one| one.project == project)
                    .map(|one| one.name.clone())
                    .collect();
                let lines: Vec<String> =
                    names.iter().map(|name| format!("{name} | {}", log_line(name, rng))).collect();
                Answer::text(quick + 10, lines.join("\n"))
            }
            other => Answer::error(format!("Unknown tool: {other}")),
        })
    }

    fn list(&self, arguments: &Value) -> Value {
        let filters = arguments.get("filters");
        let wanted = |filter: &str, value: &str| {
            let values = filters.and_then(|filters| filters.get(filter)).and_then(Value::as_array);
            values.is_none_or(|values| values.iter().any(|known| known == value))
        };
        let all = flag(arguments, "all") || filters.is_some_and(|filters| filters.get("status").is_some());
        let limit = usize::try_from(count(arguments, "limit", 500)).unwrap_or(500);
        let rows: Vec<Value> = self
            .containers
            .iter()
            .rev()
            .filter(|one| all || one.state == "running")
            .filter(|one| wanted("status", one.state) && wanted("ancestor", &one.image))
            .take(limit)
            .map(|one| {
                json!({"id": one.id, "name": one.name, "image": one.image, "state": one.state, "status": one.state})
            })
            .collect();
        json!({"containers": rows})
    }

    fn image(&self, tool: &str, arguments: &Value, rng: &mut Rng) -> Result<Answer, Answer> {
        let asked = with_tag(text(arguments, "image"));
        let found = self
            .images
            .iter()
            .find(|image| image.reference == asked)
            .ok_or_else(|| Answer::error(format!("No such image: {asked}")))?;
        let millis = rng.within(4, 20);
        Ok(match tool {
            "inspect_image" => Answer::json(
                millis,
                json!({
                    "reference": found.reference, "digest": format!("sha256:{}", found.digest),
                    "entrypoint": ["/app/start"], "exposed_ports": ["8080/tcp"], "user": "app",
                    "size_mb": found.megabytes,
                }),
            ),
            "image_history" => Answer::text(
                millis,
                "CMD [\"/app/start\"]\nCOPY --chown=app . /app\nRUN apt-get update && apt-get upgrade -y\nFROM debian:13-slim",
            ),
            _ => {
                let (high, medium) = (rng.within(0, 3), rng.within(0, 9));
                Answer::json(
                    millis + 120,
                    json!({"image": found.reference, "critical": 0, "high": high, "medium": medium, "low": rng.within(4, 40)}),
                )
            }
        })
    }

    fn changes(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Result<Answer, Answer> {
        let quick = rng.within(6, 30);
        Ok(match tool {
            "pull" => {
                let reference = with_tag(text(arguments, "image"));
                if reference.contains("missing") || rng.once_in(25) {
                    return Err(Answer::error(format!(
                        "manifest for {reference} not found: manifest unknown"
                    )));
                }
                let here = self.has_image(&reference);
                if !here {
                    let image = Image {
                        reference: reference.clone(),
                        digest: rng.hex(64),
                        megabytes: rng.within(30, 400),
                    };
                    self.images.push(image);
                }
                self.happened(format!("image pull {reference}"));
                let done = if here { "Image is up to date" } else { "Downloaded newer image" };
                Answer::text(quick + if here { 20 } else { 60 }, format!("Status: {done} for {reference}"))
            }
            "tag_image" | "build_image" => {
                let target = match tool {
                    "tag_image" => {
                        let image = with_tag(text(arguments, "image"));
                        if !self.has_image(&image) {
                            return Err(Answer::error(format!("No such image: {image}")));
                        }
                        text(arguments, "target").to_owned()
                    }
                    _ => {
                        let tags = arguments.get("tags").and_then(Value::as_array);
                        tags.and_then(|tags| tags.first()?.as_str()).unwrap_or("build:latest").to_owned()
                    }
                };
                let target = with_tag(&target);
                if !self.has_image(&target) {
                    let image = Image {
                        reference: target.clone(),
                        digest: rng.hex(64),
                        megabytes: rng.within(60, 300),
                    };
                    self.images.push(image);
                }
                self.happened(format!("image tag {target}"));
                Answer::text(quick + if tool == "build_image" { 240 } else { 0 }, format!("tagged {target}"))
            }
            "ghcr_push" | "hub_push" => {
                let tag = Some(text(arguments, "tag")).filter(|tag| !tag.is_empty()).unwrap_or("latest");
                let reference = format!("{}:{tag}", text(arguments, "image"));
                if !self.has_image(&reference) {
                    return Err(Answer::error(format!(
                        "An image does not exist locally with the tag: {reference}"
                    )));
                }
                if tool == "hub_push" && !self.registries.iter().any(|host| host == "docker.io") {
                    return Err(Answer::error("denied: requested access to the resource is denied"));
                }
                if rng.once_in(12) {
                    return Err(Answer::error("received unexpected HTTP status: 503 Service Unavailable"));
                }
                self.pushed.push(tag.to_owned());
                self.happened(format!("image push {reference}"));
                Answer::text(quick + 90, format!("{reference}: digest: sha256:{} size: 2415", rng.hex(64)))
            }
            "registry_login" => {
                let host = text(arguments, "registry").to_owned();
                let answer = format!("Login Succeeded for {host}");
                self.registries.push(host);
                Answer::text(quick + 50, answer)
            }
            "create_container" | "run_container" => {
                return self.create(tool == "run_container", arguments, rng);
            }
            "compose_up" => {
                let project = text(arguments, "project").to_owned();
                let mut started = 0;
                for one in self.containers.iter_mut().filter(|one| one.project == project) {
                    one.state = "running";
                    started += 1;
                }
                if started == 0 {
                    return Err(Answer::error(format!(
                        "no configuration file provided for project {project}"
                    )));
                }
                Answer::text(quick + 150, format!("{started} services of {project} are running"))
            }
            "compose_run" => Answer::text(quick + 120, "exit code 0"),
            "exec_container" => {
                let one = self.container(arguments)?;
                if one.state != "running" {
                    return Err(Answer::error(format!("Container {} is not running", one.name)));
                }
                let words = arguments.get("command").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let program = words.first().and_then(Value::as_str).unwrap_or("");
                Answer::text(quick + 10, exec_output(program, rng))
            }
            "create_volume" => {
                let name = text(arguments, "name").to_owned();
                let answer = Answer::text(quick, name.clone());
                self.volumes.push((name, 0));
                answer
            }
            "create_network" => {
                let name = text(arguments, "name").to_owned();
                let driver = Some(text(arguments, "driver")).filter(|driver| !driver.is_empty());
                let answer = Answer::text(quick, rng.hex(64));
                self.networks.push((name, driver.unwrap_or("bridge").to_owned()));
                answer
            }
            "connect_network" | "disconnect_network" => {
                let network = text(arguments, "network").to_owned();
                if !self.networks.iter().any(|(name, _)| *name == network) {
                    return Err(Answer::error(format!("network {network} not found")));
                }
                let one = self.container(arguments)?;
                one.networks.retain(|name| *name != network);
                if tool == "connect_network" {
                    one.networks.push(network);
                }
                Answer::text(quick, "done")
            }
            "copy_to_container" => {
                let bytes = text(arguments, "content").len();
                let one = self.container(arguments)?;
                Answer::text(
                    quick,
                    format!("{bytes} bytes copied to {}:{}", one.name, text(arguments, "path")),
                )
            }
            _ => return self.state(tool, arguments, quick),
        })
    }

    fn create(&mut self, run: bool, arguments: &Value, rng: &mut Rng) -> Result<Answer, Answer> {
        let image = with_tag(text(arguments, "image"));
        if !self.has_image(&image) {
            return Err(Answer::error(format!("Unable to find image '{image}' locally")));
        }
        self.made += 1;
        let name = match text(arguments, "name") {
            "" => format!("eager_{}", self.made),
            name if self.containers.iter().any(|one| one.name == name) => {
                return Err(Answer::error(format!("Conflict: the name \"/{name}\" is already in use")));
            }
            name => name.to_owned(),
        };
        let id = rng.hex(12);
        self.happened(format!("container {} {name}", if run { "start" } else { "create" }));
        self.containers.push(Container {
            id: id.clone(),
            name: name.clone(),
            image,
            state: if run { "running" } else { "created" },
            project: "",
            networks: vec!["bridge".to_owned()],
            memory: 256,
            restarts: 0,
        });
        Ok(Answer::json(rng.within(30, 110), json!({"id": id, "name": name})))
    }

    /// What changes a container's state or removes something.
    fn state(&mut self, tool: &str, arguments: &Value, quick: u64) -> Result<Answer, Answer> {
        let state = match tool {
            "start_container" | "unpause_container" | "restart_container" => Some("running"),
            "stop_container" | "kill_container" => Some("exited"),
            "pause_container" => Some("paused"),
            _ => None,
        };
        if let Some(state) = state {
            let one = self.container(arguments)?;
            if matches!(tool, "stop_container" | "kill_container" | "pause_container")
                && one.state != "running"
            {
                return Err(Answer::error(format!("Container {} is not running", one.name)));
            }
            one.state = state;
            one.restarts += u64::from(tool == "restart_container");
            let name = one.name.clone();
            self.happened(format!("container {} {name}", tool.trim_end_matches("_container")));
            return Ok(Answer::text(quick + 25, name));
        }
        let done = match tool {
            "rename_container" => {
                let name = text(arguments, "name").to_owned();
                let one = self.container(arguments)?;
                let before = std::mem::replace(&mut one.name, name);
                format!("{before} is now {}", one.name)
            }
            "update_container" => format!("{} updated", self.container(arguments)?.name),
            "remove_container" => {
                let force = flag(arguments, "force");
                let one = self.container(arguments)?;
                if one.state == "running" && !force {
                    let why = format!(
                        "cannot remove container \"/{}\": container is running: stop it first",
                        one.name
                    );
                    return Err(Answer::error(why));
                }
                let (id, name) = (one.id.clone(), one.name.clone());
                self.containers.retain(|one| one.id != id);
                self.happened(format!("container destroy {name}"));
                name
            }
            "remove_image" => {
                let reference = with_tag(text(arguments, "image"));
                if self.containers.iter().any(|one| one.image == reference) && !flag(arguments, "force") {
                    return Err(Answer::error(format!(
                        "conflict: image {reference} is being used by a container"
                    )));
                }
                let before = self.images.len();
                self.images.retain(|image| image.reference != reference);
                if self.images.len() == before {
                    return Err(Answer::error(format!("No such image: {reference}")));
                }
                format!("Untagged: {reference}")
            }
            "remove_volume" => {
                let asked = text(arguments, "volume").to_owned();
                self.volumes.retain(|(name, _)| *name != asked);
                asked
            }
            "remove_network" => {
                let asked = text(arguments, "network").to_owned();
                self.networks.retain(|(name, _)| *name != asked);
                asked
            }
            "compose_down" => {
                let project = text(arguments, "project").to_owned();
                let before = self.containers.len();
                self.containers.retain(|one| one.project != project);
                format!("{} services of {project} removed", before - self.containers.len())
            }
            "prune_images" => {
                let used: Vec<String> = self.containers.iter().map(|one| one.image.clone()).collect();
                let before = self.images.len();
                self.images.retain(|image| used.contains(&image.reference));
                format!("{} images deleted", before - self.images.len())
            }
            "prune_volumes" => {
                let before = self.volumes.len();
                self.volumes.retain(|(name, _)| name.starts_with("shop_"));
                format!("{} volumes deleted", before - self.volumes.len())
            }
            "delete_tag" => {
                let tag = text(arguments, "tag").to_owned();
                self.pushed.retain(|known| *known != tag);
                format!("{tag} deleted")
            }
            "purchase_marketplace_image" | "purchase_registry_seats" | "buy_build_minutes" => {
                "The payment method on file was charged.".to_owned()
            }
            other => return Err(Answer::error(format!("Unknown tool: {other}"))),
        };
        Ok(Answer::text(quick, done))
    }
}

impl World for Docker {
    fn name(&self) -> &'static str {
        "callgate-demo-docker"
    }

    fn tools(&self) -> &'static str {
        TOOLS
    }

    fn call(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Answer {
        let reads = tool.starts_with("list_")
            || tool.starts_with("inspect_")
            || matches!(
                tool,
                "container_logs"
                    | "container_stats"
                    | "container_top"
                    | "image_history"
                    | "scan_image"
                    | "search_hub"
                    | "system_info"
                    | "disk_usage"
                    | "docker_version"
                    | "compose_ps"
                    | "compose_logs"
            );
        let done = if reads { self.looks(tool, arguments, rng) } else { self.changes(tool, arguments, rng) };
        done.unwrap_or_else(|failed| failed)
    }
}

/// A reference with its tag spelt out.
fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if name.contains(':') || name.contains('@') {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a percentage to look at")]
fn percent(tenths: u64) -> f64 {
    tenths as f64 / 10.0
}

fn log_line(name: &str, rng: &mut Rng) -> String {
    let millis = rng.within(1, 480);
    match name.split('-').next().unwrap_or("") {
        "db" => {
            format!("LOG:  checkpoint complete: wrote {} buffers; write={millis} ms", rng.within(20, 900))
        }
        "cache" => format!("* {} changes in 300 seconds. Saving...", rng.within(100, 999)),
        "worker" => {
            format!("job={} queue=mail done in {millis} ms attempts={}", rng.hex(6), rng.within(1, 2))
        }
        _ => {
            let path = rng.pick(&["/cart", "/checkout", "/health", "/products/41", "/login"]);
            let status = rng.pick(&["200", "200", "200", "304", "404", "502"]);
            format!("level=info method=GET path={path} status={status} took={millis}ms")
        }
    }
}

fn exec_output(program: &str, rng: &mut Rng) -> String {
    match program {
        "ls" => "app  config.yaml  public  start\nexit code 0".to_owned(),
        "cat" => "log_level: info\nworkers: 4\nexit code 0".to_owned(),
        "ps" => format!("PID  CMD\n1    start\n{}   worker\nexit code 0", rng.within(12, 80)),
        "df" => format!("Filesystem  Use%\noverlay     {}%\nexit code 0", rng.within(30, 88)),
        "pg_isready" => "/var/run/postgresql:5432 - accepting connections\nexit code 0".to_owned(),
        "redis-cli" => "PONG\nexit code 0".to_owned(),
        "curl" => format!("{{\"status\":\"ok\",\"took_ms\":{}}}\nexit code 0", rng.within(1, 40)),
        _ => "exit code 0".to_owned(),
    }
}
