//! The demo's Docker: containers, images, volumes and networks that calls really change.

mod look;

use serde_json::{Value, json};

use super::rng::Rng;
use super::server::{Answer, World, flag, text};

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

    #[expect(clippy::too_many_lines, reason = "one arm a tool")]
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
                let target = if tool == "tag_image" {
                    let image = with_tag(text(arguments, "image"));
                    if !self.has_image(&image) {
                        return Err(Answer::error(format!("No such image: {image}")));
                    }
                    text(arguments, "target").to_owned()
                } else {
                    let tags = arguments.get("tags").and_then(Value::as_array);
                    tags.and_then(|tags| tags.first()?.as_str()).unwrap_or("build:latest").to_owned()
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
