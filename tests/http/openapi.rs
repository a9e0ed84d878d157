//! The interface as it is written down: `docs/openapi.json` is the served document, and the document is the routes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use halidom::config::environment;
use serde_json::Value;
use syn::visit::{self, Visit};

use super::site::Site;

/// Set, the document in the tree is written anew.
const ACCEPT: &str = "HALIDOM_ACCEPT_OPENAPI";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_interface_changes_only_on_purpose() {
    let site = Site::start().await;
    let served = site.nobody().get("/openapi.json").await.value(200);
    let text = format!("{}\n", serde_json::to_string_pretty(&served).unwrap());
    let file = root().join("docs/openapi.json");
    if environment().get(ACCEPT).is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = written.lines().zip(text.lines()).position(|(written, served)| written != served);
    assert!(
        written == text,
        "docs/openapi.json is not what is served, from line {} on. A change that is meant is accepted with\n\
         {ACCEPT}=1 cargo test --test http openapi\nand shows in the diff that goes with it.",
        differs.unwrap_or_else(|| written.lines().count().min(text.lines().count())) + 1
    );
}

/// The routes that `src/http/routes.rs` adds to the public listener.
#[derive(Default)]
struct Routes {
    found: BTreeSet<(String, String)>,
    /// Paths with names, which stand before their routes.
    named: BTreeMap<String, String>,
}

impl Routes {
    fn path(&self, written: Option<&syn::Expr>) -> String {
        match written {
            Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. })) => path.value(),
            Some(syn::Expr::Path(name)) => {
                let name = name.path.require_ident().expect("a constant of the file").to_string();
                self.named.get(&name).unwrap_or_else(|| panic!("a route whose path {name} stands elsewhere")).clone()
            }
            _ => panic!("a route whose path is no text"),
        }
    }
}

impl<'ast> Visit<'ast> for Routes {
    fn visit_item_const(&mut self, named: &'ast syn::ItemConst) {
        if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &*named.expr {
            self.named.insert(named.ident.to_string(), path.value());
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        // The admin listener is the operators', and described in the README.
        if function.sig.ident == "router" || function.sig.ident == "shown" {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "route" {
            let mut arguments = call.args.iter();
            // A path's rest is written `{*name}` in a route and `{name}` in OpenAPI.
            let path = self.path(arguments.next()).replace("{*", "{");
            let mut found = Methods::default();
            found.visit_expr(arguments.next().expect("a route has methods"));
            assert!(!found.0.is_empty(), "{path} has no method that this test knows");
            self.found.extend(found.0.into_iter().map(|method| (method, path.clone())));
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// `get(…).layer(…).post(…)`, `axum::routing::put(…)`.
#[derive(Default)]
struct Methods(BTreeSet<String>);

impl Methods {
    fn note(&mut self, name: &syn::Ident) {
        let name = name.to_string();
        assert!(METHODS.contains(&name.as_str()), "a route by `{name}`: this test does not know it");
        self.0.insert(name.to_uppercase());
    }
}

impl<'ast> Visit<'ast> for Methods {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            self.note(&path.path.segments.last().expect("a path has a segment").ident);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        // What is laid around the methods so far is none.
        if call.method != "layer" {
            self.note(&call.method);
        }
        visit::visit_expr(self, &call.receiver);
    }
}

#[test]
fn every_route_is_described_and_the_other_way_round() {
    let source = std::fs::read_to_string(root().join("src/http/routes.rs")).unwrap();
    let mut routes = Routes::default();
    routes.visit_file(&syn::parse_file(&source).unwrap());
    let document = serde_json::to_value(halidom::http::openapi_document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    assert_eq!(routes.found, described, "src/http/routes.rs and the descriptions at the handlers differ");
}

/// By whichever call a photo is sent, it is checked against the same digests and refused for the same reasons.
#[test]
fn both_ways_to_send_a_photo_say_the_same() {
    let document = serde_json::to_value(halidom::http::openapi_document()).unwrap();
    let [post, put] = [("/v1/albums/{album}/photos", "post"), ("/v1/albums/{album}/photos/{photo}", "put")].map(|(path, method)| {
        let operation = &document["paths"][path][method];
        let headers = operation["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "header");
        let headers: BTreeSet<_> = headers.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        let statuses: BTreeSet<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
        (headers, statuses)
    });
    assert_eq!(post.1, put.1);
    assert!(["400", "408", "409", "413", "415", "422", "429", "507"].iter().all(|status| post.1.contains(*status)), "{:?}", post.1);
    assert!(put.0.contains("Content-Digest") && put.0.contains("X-Blake3"));
    assert_eq!(post.0.difference(&put.0).collect::<Vec<_>>(), ["Idempotency-Key"]);
}

/// Every operation says what it needs, and what comes back.
#[test]
fn descriptions_are_whole() {
    let document = serde_json::to_value(halidom::http::openapi_document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let mut wrong = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            let mut demand = |holds: bool, what: &str| {
                if !holds {
                    wrong.push(format!("{name}: {what}"));
                }
            };
            demand(ids.insert(operation["operationId"].as_str().unwrap_or_default().to_owned()), "its operationId is not its own");
            demand(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "no summary");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path: BTreeSet<_> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .map(Value::from)
                .map(|name| name.to_string())
                .collect();
            let described: BTreeSet<_> =
                parameters.iter().filter(|parameter| parameter["in"] == "path").map(|parameter| parameter["name"].to_string()).collect();
            demand(in_path == described, "the path's parameters are not the described ones");
            let responses = operation["responses"].as_object().unwrap();
            demand(responses.keys().any(|status| status.starts_with('2')), "no success");
            let secured = operation.get("security").is_some();
            demand(secured == path.starts_with("/v1/"), "all under /v1 takes a token, and nothing else does");
            if secured {
                demand(responses.contains_key("401"), "a token may be refused: 401");
            }
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                demand(problem == "#/components/schemas/Problem", &format!("{status} is no Problem"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
