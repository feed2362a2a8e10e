//! What only looks.

use serde_json::{Value, json};

use super::super::rng::Rng;
use super::super::server::{Answer, count, flag, text};
use super::{Docker, with_tag};

impl Docker {
    #[expect(clippy::too_many_lines, reason = "one arm a tool")]
    pub(super) fn looks(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Result<Answer, Answer> {
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
