//! Where spans go, by the environment variables of the OpenTelemetry specification. Pure.

use std::time::Duration;

use http::Uri;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::gateway::span::Parent;

/// Which traces that begin here are told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sampling {
    All,
    None,
    /// So many of 2^64.
    Share(u64),
}

/// Where spans go, and how many.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) endpoint: Uri,
    /// Of every request. Secrets may stand in them.
    pub(super) headers: HeaderMap,
    /// How long a request may take.
    pub(super) timeout: Duration,
    /// How long a span waits for others.
    pub(super) delay: Duration,
    /// How many wait at most; further ones are dropped.
    pub(super) queue: usize,
    /// How many go with one request.
    pub(super) batch: usize,
    /// What the gateway is, for those who look at traces.
    pub(super) resource: Vec<(String, String)>,
    sampling: Sampling,
    /// Whether a trace that began elsewhere is told as whoever began it says.
    as_parent: bool,
}

/// What a variable says; `None` where it is not set. Empty is not set, says the specification.
type Get<'g> = &'g dyn Fn(&str) -> Option<String>;

impl Setting {
    /// By the variables. `Ok(None)`: no traces are wanted. `remark` is told what is not as it
    /// should be, and how it is taken.
    ///
    /// # Errors
    /// Why traces are wanted and cannot be told.
    pub(super) fn read(get: Get<'_>, remark: &mut dyn FnMut(String)) -> Result<Option<Self>, String> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let own = |name: &str| get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        let of = |name: &str| own(name).or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{name}")));
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if get("OTEL_TRACES_EXPORTER")
            .is_some_and(|names| !names.split(',').any(|name| name.trim() == "otlp"))
        {
            return Ok(None);
        }
        let (variable, endpoint) = match (own("ENDPOINT"), get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some(whole), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole),
            (None, Some(base)) => {
                ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/v1/traces", base.trim_end_matches('/')))
            }
            (None, None) => return Ok(None),
        };
        let wrong = || format!("`{variable}` is no address like `http://localhost:4318`");
        let endpoint: Uri = endpoint.parse().map_err(|_| wrong())?;
        let scheme = endpoint.scheme_str();
        if !matches!(scheme, Some("http" | "https")) || endpoint.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        match of("PROTOCOL").as_deref() {
            None | Some("http/json") => {}
            Some("http/protobuf") => {
                remark("traces go as http/json, which who takes http/protobuf takes, too".to_owned());
            }
            Some(_) => return Err("of OTLP's protocols only http/json is spoken".to_owned()),
        }
        let mut headers = HeaderMap::new();
        for pair in
            of("HEADERS").iter().flat_map(|pairs| pairs.split(',')).filter(|pair| !pair.trim().is_empty())
        {
            let (name, value) = header(pair).ok_or_else(|| {
                "`OTEL_EXPORTER_OTLP_HEADERS` is no list like `name=value,name=value`".to_owned()
            })?;
            headers.append(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut number =
            |name: &str, value: Option<String>, usual: u64| match value.map(|value| value.parse()) {
                Some(Ok(number)) if number > 0 => number,
                Some(_) => {
                    remark(format!("`{name}` is no number above 0: it is taken for {usual}"));
                    usual
                }
                None => usual,
            };
        let timeout = number("OTEL_EXPORTER_OTLP_TIMEOUT", of("TIMEOUT"), 10_000);
        let mut span = |name: &str, usual: u64| number(name, get(name), usual);
        let delay = span("OTEL_BSP_SCHEDULE_DELAY", 5_000);
        let queue = span("OTEL_BSP_MAX_QUEUE_SIZE", 2_048).min(1 << 20);
        let batch = span("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512).min(queue);
        let (sampling, as_parent) =
            sampling(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"), remark);
        Ok(Some(Self {
            endpoint,
            headers,
            timeout: Duration::from_millis(timeout),
            delay: Duration::from_millis(delay),
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            resource: resource(get("OTEL_RESOURCE_ATTRIBUTES").as_deref(), get("OTEL_SERVICE_NAME")),
            sampling,
            as_parent,
        }))
    }

    /// Whether a call of this trace is told.
    pub(super) fn samples(&self, parent: Option<&Parent>, trace: u128) -> bool {
        if self.as_parent
            && let Some(parent) = parent
        {
            return parent.sampled;
        }
        match self.sampling {
            Sampling::All => true,
            Sampling::None => false,
            #[expect(clippy::cast_possible_truncation, reason = "the lower half of the id is the random one")]
            Sampling::Share(share) => (trace as u64) < share,
        }
    }
}

/// `name=value`, the value with `%XX` for what must not stand in a list.
fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_bytes(&decoded(value.trim())?).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// `%XX` as the byte that it stands for.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    Some(out)
}

/// What the gateway is. Who calls it nothing else calls it callgate.
fn resource(attributes: Option<&str>, service: Option<String>) -> Vec<(String, String)> {
    const SERVICE: &str = "service.name";
    let mut pairs: Vec<(String, String)> = attributes
        .into_iter()
        .flat_map(|pairs| pairs.split(','))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = String::from_utf8(decoded(value.trim())?).ok()?;
            Some((name.trim().to_owned(), value))
        })
        .collect();
    if let Some(service) = service {
        pairs.retain(|(name, _)| name != SERVICE);
        pairs.push((SERVICE.to_owned(), service));
    } else if !pairs.iter().any(|(name, _)| name == SERVICE) {
        pairs.push((SERVICE.to_owned(), "callgate".to_owned()));
    }
    if !pairs.iter().any(|(name, _)| name == "service.version") {
        pairs.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    }
    pairs
}

fn sampling(name: Option<String>, share: Option<String>, remark: &mut dyn FnMut(String)) -> (Sampling, bool) {
    let name = name.unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (as_parent, root) =
        name.strip_prefix("parentbased_").map_or((false, name.as_str()), |root| (true, root));
    let sampling = match root {
        "always_on" => Sampling::All,
        "always_off" => Sampling::None,
        "traceidratio" => match share.map_or(Ok(1.0), |share| share.parse::<f64>()) {
            Ok(share) if (0.0..1.0).contains(&share) =>
            {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^64")]
                Sampling::Share((share * 2_f64.powi(64)) as u64)
            }
            Ok(share) if share >= 1.0 => Sampling::All,
            _ => {
                remark("`OTEL_TRACES_SAMPLER_ARG` is no number from 0 to 1: it is taken for 1".to_owned());
                Sampling::All
            }
        },
        _ => {
            remark(
                "`OTEL_TRACES_SAMPLER` is none that is known: it is taken for parentbased_always_on"
                    .to_owned(),
            );
            return (Sampling::All, true);
        }
    };
    (sampling, as_parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Result<Option<Setting>, String>, Vec<String>) {
        let mut remarks = Vec::new();
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        (Setting::read(&get, &mut |remark| remarks.push(remark)), remarks)
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");

    #[test]
    fn without_an_endpoint_there_are_no_traces() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_SERVICE_NAME", "x")],
            &[BASE, ("OTEL_SDK_DISABLED", "TRUE")],
            &[BASE, ("OTEL_TRACES_EXPORTER", "none")],
            &[BASE, ("OTEL_TRACES_EXPORTER", "console,zipkin")],
        ] {
            assert!(matches!(read(variables), (Ok(None), remarks) if remarks.is_empty()), "{variables:?}");
        }
    }

    #[test]
    fn the_variables_mean_what_the_specification_says() {
        let all = [
            BASE,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x%2Cy, x-team = blue"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test%20bed,service.name=other"),
            ("OTEL_SERVICE_NAME", "tickets"),
            ("OTEL_TRACES_EXPORTER", "console, otlp"),
        ];
        let (Ok(Some(setting)), remarks) = read(&all) else { panic!("a setting") };
        assert_eq!(setting.endpoint.to_string(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(setting.headers["authorization"], "Bearer x,y");
        assert_eq!(setting.headers["x-team"], "blue");
        assert_eq!((setting.timeout, setting.delay), (Duration::from_millis(250), Duration::from_secs(5)));
        assert_eq!((setting.queue, setting.batch), (100, 100));
        let pairs: Vec<_> = setting.resource.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs[0], ("deployment.environment.name", "test bed"));
        assert_eq!(pairs[1], ("service.name", "tickets"));
        assert!(remarks.is_empty());
        assert!(!format!("{setting:?}").contains("Bearer"), "no secret in a log");
        // Those for traces alone win, and their address is taken as it is.
        let own = [
            BASE,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://otel.example/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"),
        ];
        let (Ok(Some(setting)), _) = read(&own) else { panic!("a setting") };
        assert_eq!(setting.endpoint.to_string(), "https://otel.example/in");
        assert!(!setting.headers.contains_key("a") && setting.headers["b"] == "2");
    }

    #[test]
    fn what_is_wrong_is_said_and_shows_no_value() {
        for (wrong, told) in [
            (("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://x/"), "ENDPOINT"),
            (("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"), "ENDPOINT"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "secretwithoutname"), "HEADERS"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"), "HEADERS"),
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "http/json"),
        ] {
            let (got, _) = read(&[wrong, BASE]);
            let why = got.err().unwrap_or_default();
            assert!(why.contains(told) && !why.contains("secret"), "{wrong:?}: {why}");
        }
        for (odd, told) in [
            (("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), "10000"),
            (("OTEL_BSP_SCHEDULE_DELAY", "0"), "5000"),
            (("OTEL_TRACES_SAMPLER", "jaeger_remote"), "parentbased_always_on"),
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), "http/json"),
        ] {
            let (got, remarks) = read(&[odd, BASE]);
            assert!(got.is_ok_and(|setting| setting.is_some()), "{odd:?}");
            assert!(remarks.len() == 1 && remarks[0].contains(told), "{odd:?}: {remarks:?}");
        }
    }

    #[test]
    fn who_began_the_trace_says_whether_it_is_told_unless_told_otherwise() {
        let parent = |sampled| Parent { trace: 1, span: 1, sampled, state: None };
        for (sampler, share, alone, sampled, unsampled) in [
            ("", "", true, true, false),
            ("always_on", "", true, true, true),
            ("always_off", "", false, false, false),
            ("parentbased_always_off", "", false, true, false),
            ("parentbased_traceidratio", "0", false, true, false),
            ("traceidratio", "1", true, true, true),
            ("traceidratio", "0.5", true, true, true),
        ] {
            let variables = [BASE, ("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", share)];
            let (Ok(Some(setting)), _) = read(&variables) else { panic!("a setting") };
            let samples = |parent: Option<Parent>| setting.samples(parent.as_ref(), 1);
            assert_eq!(samples(None), alone, "{sampler}");
            assert_eq!(samples(Some(parent(true))), sampled, "{sampler}");
            assert_eq!(samples(Some(parent(false))), unsampled, "{sampler}");
        }
        let half = [BASE, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
        let (Ok(Some(setting)), _) = read(&half) else { panic!("a setting") };
        assert!(!setting.samples(None, u128::from(u64::MAX)));
    }
}
