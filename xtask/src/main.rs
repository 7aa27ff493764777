//! `cargo xtask <command>`: see [`HELP`].

use std::process::ExitCode;

use chatlift_shared::mac::DEVELOPMENT_KEY;
use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use xtask::bench;
use xtask::dev::{self, Options};
use xtask::operator::{self, Secret};
use xtask::page::{self, Page};
use xtask::test::{self, Layer, Victim};
use xtask::worker::{self, Worker};
use xtask::{
    Error, clients, conformance, deploy, fuzz, imports, instructions, sizes, supply, tools,
};

const HELP: &str = "\
cargo xtask <command>

  dev [--native] [--port 8787] [--backend-port 8788] [--app-port 8789] [--without-converters]
                 install what converts files, build all, start edge and backend, print the first
                 app's address and a ready link; --native runs the native edge in place of workerd
  test [--only unit|edge|native|programs|e2e]...
                 formatting, lints, unit tests with 100,000 simulated journeys, tests in workerd, on the
                 native edge, with the programs that the backend converts with, and in browsers
  conformance [openapi|webhooks|clients|tus]...
                 the edge against programs that others wrote, with all the time that they take
  clients        make the TypeScript and Python clients anew from the API document
  samples        convert sample files of every type, and print a table of the results
  fuzz [target] [--seconds 60]
                 play mutated inputs to the readers of what comes from outside, with coverage, and print
                 executions, edges reached and findings of each target
  plant          plant faults in the rules of a link, and print what caught each of them
  storm          play a thousand pages whose edge goes away and comes back, print their requests a second,
                 and draw docs/retry-storm.svg
  simulate [--seed 1] [--count 1]
                 play whole journeys in one process, by seed; one is told event by event, and one that breaks
                 a promise is made smaller
  chaos [workerd|native|nodes|backend|page]... [--seed 1] [--runs 100] [--jobs 1000] [--kills 50]
                 kill and cut off what works, at moments drawn from a seed, and balance the books at the
                 receivers: the edge in workerd, the native edge alone and on three nodes, the page in
                 Chromium (so many runs each), and one of two backends (so many kills over so many jobs)
  load [workerd|native]... [--minutes 10] [--links 1000] [--at-once 200] [--seed 1]
                 send many files at once, then more than the limits, and print what each minute brought: files,
                 errors, latencies, memory, webhooks to come; fails where an edge breaks a promise
  build          build page and worker as they are shipped
  sizes          build page and worker, and print what they weigh
  audit [--offline]
                 check what others wrote: licences, sources and banned crates (deny.toml), that each crate is
                 vetted or exempt (supply-chain/), and advisories of crates and of npm packages that ship
  sbom           list what ships of others' crates and packages, as CycloneDX, in target/sbom
  imports        print which modules of edge and backend import which, and fail where they do in a circle
  bench [page|network|again|browser|native|tokens] [...]
                 measure the page in Chromium on slow networks, the browser's processor time, the native edge
                 beside other servers, and how many tokens are checked in a second; `bench network --help` says more
  instructions   count what rules and handlers of the edge cost, and fail where that is more than they may
  screenshots [--engine chromium-64|chromium-78|chromium-86] [--lang en]...
                 draw every state of the page into target/screenshots, with an index.html
  page --serve   serve a live-reloading page to a frontend developer, against the running edge
  deploy [--dry-run] [--env production|staging]
                 build, weigh, measure the start, and hand the edge to Cloudflare; a dry run needs
                 nothing from outside
  secret link-key <id> | app <id> | webhook-key
                 draw a secret for the edge, and print it
  setup          install what all of this needs, and do nothing else
  help           print this";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<(), Error> {
    let mut args = lexopt::Parser::from_env();
    let name = match args.next().map_err(usage)? {
        Some(Value(name)) => name.to_string_lossy().into_owned(),
        Some(Long("help") | Short('h')) | None => "help".to_owned(),
        Some(other) => return Err(usage(other.unexpected())),
    };
    match name.as_str() {
        "dev" => dev::dev(dev_options(&mut args)?),
        "test" => test::test(&layers(&mut args)?),
        "page" => {
            let serve = matches!(args.next().map_err(usage)?, Some(Long("serve")));
            end(&mut args)?;
            if serve {
                return tools::serve_page();
            }
            tools::ensure_build()?;
            page::build().map(|_| ())
        }
        "build" => {
            end(&mut args)?;
            build().map(|_| ())
        }
        "audit" => {
            let mut offline = false;
            while let Some(arg) = args.next().map_err(usage)? {
                match arg {
                    Long("offline") => offline = true,
                    other => return Err(usage(other.unexpected())),
                }
            }
            supply::audit(offline)
        }
        "sbom" => {
            end(&mut args)?;
            supply::sbom()
        }
        "imports" => {
            end(&mut args)?;
            imports::print()
        }
        "sizes" => {
            end(&mut args)?;
            let (page, worker) = build()?;
            sizes::report(&page, &worker)
        }
        "conformance" => {
            let mut parts = Vec::new();
            while let Some(arg) = args.next().map_err(usage)? {
                match arg {
                    Value(part) => parts.push(part.to_string_lossy().into_owned()),
                    other => return Err(usage(other.unexpected())),
                }
            }
            conformance::conformance(&parts)
        }
        "clients" => {
            end(&mut args)?;
            clients::generate()
        }
        "deploy" => {
            let options = deploy_options(&mut args)?;
            let (page, worker) = build()?;
            deploy::deploy(&options, &page, &worker)
        }
        "secret" => {
            println!("{}", operator::text(&secret(&mut args)?)?);
            Ok(())
        }
        "fuzz" => {
            let (mut only, mut seconds) = (None, fuzz::SECONDS);
            while let Some(arg) = args.next().map_err(usage)? {
                match arg {
                    Value(name) => only = Some(name.to_string_lossy().into_owned()),
                    Long("seconds") => {
                        seconds = args.value().and_then(|v| v.parse()).map_err(usage)?;
                    }
                    other => return Err(usage(other.unexpected())),
                }
            }
            fuzz::fuzz(only.as_deref(), seconds)
        }
        "plant" => {
            end(&mut args)?;
            test::plant()
        }
        "storm" => {
            end(&mut args)?;
            test::storm()
        }
        "simulate" => {
            let (mut seed, mut count) = (1, 1);
            while let Some(arg) = args.next().map_err(usage)? {
                let number = match arg {
                    Long("seed") => &mut seed,
                    Long("count") => &mut count,
                    other => return Err(usage(other.unexpected())),
                };
                *number = args.value().and_then(|v| v.parse()).map_err(usage)?;
            }
            test::simulate(seed, count)
        }
        "instructions" => {
            end(&mut args)?;
            instructions::count()
        }
        "samples" => {
            end(&mut args)?;
            test::samples()
        }
        "chaos" => {
            let mut chaos = test::Chaos {
                runs: 100,
                jobs: 1000,
                kills: 50,
                seed: 1,
            };
            let mut victims = Vec::new();
            while let Some(arg) = args.next().map_err(usage)? {
                let number = match arg {
                    Long("runs") => &mut chaos.runs,
                    Long("jobs") => &mut chaos.jobs,
                    Long("kills") => &mut chaos.kills,
                    Long("seed") => &mut chaos.seed,
                    Value(name) => {
                        let name = name.to_string_lossy();
                        let named = Victim::ALL.into_iter().find(|v| v.name() == name);
                        let unknown = || Error::Usage(format!("there is no `{name}` to kill"));
                        victims.push(named.ok_or_else(unknown)?);
                        continue;
                    }
                    other => return Err(usage(other.unexpected())),
                };
                *number = args.value().and_then(|v| v.parse()).map_err(usage)?;
            }
            if victims.is_empty() {
                victims = Victim::ALL.to_vec();
            }
            test::chaos(&victims, &chaos)
        }
        "load" => {
            let mut load = test::Load {
                minutes: 10,
                links: 1_000,
                at_once: 200,
                seed: 1,
            };
            let mut edges = Vec::new();
            while let Some(arg) = args.next().map_err(usage)? {
                let number = match arg {
                    Long("minutes") => &mut load.minutes,
                    Long("links") => &mut load.links,
                    Long("at-once") => &mut load.at_once,
                    Long("seed") => &mut load.seed,
                    Value(name) if name == "workerd" => {
                        edges.push(Victim::Workerd);
                        continue;
                    }
                    Value(name) if name == "native" => {
                        edges.push(Victim::Native);
                        continue;
                    }
                    other => return Err(usage(other.unexpected())),
                };
                *number = args.value().and_then(|v| v.parse()).map_err(usage)?;
            }
            if edges.is_empty() {
                edges = vec![Victim::Workerd, Victim::Native];
            }
            test::load(&edges, &load)
        }
        "bench" => {
            let rest: Vec<_> = args.raw_args().map_err(usage)?.collect();
            bench::bench(&rest)
        }
        "screenshots" => {
            let rest: Vec<_> = args.raw_args().map_err(usage)?.collect();
            bench::screenshots(&rest)
        }
        "setup" => {
            end(&mut args)?;
            tools::ensure_build()?;
            tools::ensure_programs()?;
            tools::ensure_browser()
        }
        "help" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(Error::Usage(format!("there is no command `{other}`"))),
    }
}

fn build() -> Result<(Page, Worker), Error> {
    tools::ensure_build()?;
    worker::build_with_page()
}

fn usage(error: lexopt::Error) -> Error {
    Error::Usage(error.to_string())
}

fn end(args: &mut lexopt::Parser) -> Result<(), Error> {
    match args.next().map_err(usage)? {
        None => Ok(()),
        Some(arg) => Err(usage(arg.unexpected())),
    }
}

fn dev_options(args: &mut lexopt::Parser) -> Result<Options, Error> {
    let mut options = Options {
        port: dev::EDGE_PORT,
        backend_port: dev::BACKEND_PORT,
        app_port: dev::APP_PORT,
        converters: true,
        native: false,
    };
    while let Some(arg) = args.next().map_err(usage)? {
        let port = match arg {
            Long("port") => &mut options.port,
            Long("backend-port") => &mut options.backend_port,
            Long("app-port") => &mut options.app_port,
            Long("without-converters") => {
                options.converters = false;
                continue;
            }
            Long("native") => {
                options.native = true;
                continue;
            }
            other => return Err(usage(other.unexpected())),
        };
        *port = args.value().and_then(|v| v.parse()).map_err(usage)?;
    }
    Ok(options)
}

fn deploy_options(args: &mut lexopt::Parser) -> Result<deploy::Options, Error> {
    let mut options = deploy::Options::default();
    while let Some(arg) = args.next().map_err(usage)? {
        match arg {
            Long("dry-run") => options.dry_run = true,
            Long("env") => {
                options.env = args.value().and_then(|v| v.parse()).map_err(usage)?;
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(options)
}

fn secret(args: &mut lexopt::Parser) -> Result<Secret, Error> {
    let mut words = Vec::new();
    while let Some(arg) = args.next().map_err(usage)? {
        let Value(word) = arg else {
            return Err(usage(arg.unexpected()));
        };
        words.push(word.to_string_lossy().into_owned());
    }
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // Key 0 is a developer's, which no deployed edge takes.
        ["link-key", id] => id
            .parse()
            .ok()
            .filter(|id| *id != DEVELOPMENT_KEY)
            .map(Secret::LinkKey)
            .ok_or_else(|| Error::Usage("the id of a link key is 1 to 255".to_owned())),
        ["app", id] => Ok(Secret::App(id.to_owned())),
        ["webhook-key"] => Ok(Secret::WebhookKey),
        _ => Err(Error::Usage(
            "say `secret link-key <id>`, `secret app <id>` or `secret webhook-key`".to_owned(),
        )),
    }
}

fn layers(args: &mut lexopt::Parser) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::new();
    while let Some(arg) = args.next().map_err(usage)? {
        let Long("only") = arg else {
            return Err(usage(arg.unexpected()));
        };
        let name = args.value().map_err(usage)?;
        let layer = Layer::ALL
            .into_iter()
            .find(|layer| name == layer.name())
            .ok_or_else(|| {
                Error::Usage(format!("there is no layer `{}`", name.to_string_lossy()))
            })?;
        layers.push(layer);
    }
    if layers.is_empty() {
        layers = Layer::ALL.to_vec();
    }
    Ok(layers)
}
