//! What is counted of each route and method: found once, counted many times.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::Method;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Histograms, REQUEST_SECONDS, RequestEnd, RequestLabels, RouteLabels, events, keep, register};

/// Pairs of route and method that are told apart; a server has fewer, unless someone passes paths for routes.
pub(super) const MAX_ROUTES: usize = 512;
/// What the others are called.
const OTHER: &str = "other";

/// The families of requests.
#[derive(Debug)]
pub(super) struct Routes {
    requests: Family<RequestLabels, Counter>,
    seconds: Histograms<RouteLabels>,
    running: Family<RouteLabels, Gauge>,
    received_bytes: Family<RouteLabels, Counter>,
    sent_bytes: Family<RouteLabels, Counter>,
    /// By route and method, at most [`MAX_ROUTES`] and one for all others of each method.
    known: RwLock<HashMap<String, HashMap<&'static str, Arc<Route>>>>,
}

/// One route and method.
#[derive(Debug)]
struct Route {
    labels: RouteLabels,
    seconds: Histogram,
    running: Gauge,
    received_bytes: Counter,
    sent_bytes: Counter,
}

impl Routes {
    pub(super) fn register(own: &mut Registry) -> Self {
        let seconds = Histograms::new_with_constructor(|| Histogram::new(REQUEST_SECONDS));
        Self {
            requests: register(own, "http_requests", "Requests answered, by route, method and class of status", None),
            seconds: keep(
                own,
                "http_request_duration",
                "Time from a request's head to the last byte of its answer",
                Some(Unit::Seconds),
                seconds,
            ),
            running: register(own, "http_requests_running", "Requests being answered, by route and method", None),
            received_bytes: register(own, "http_received", "Bytes of request bodies that arrived", Some(Unit::Bytes)),
            sent_bytes: register(own, "http_sent", "Bytes of answers' bodies that were handed to the network", Some(Unit::Bytes)),
            known: RwLock::default(),
        }
    }

    pub(super) fn begins(&self, route: &str, method: &Method) {
        self.found(route, method).running.inc();
    }

    pub(super) fn ended(&self, end: &RequestEnd<'_>) {
        let route = self.found(end.route, end.method);
        let status = events::status_class(end.status);
        route.running.dec();
        self.requests.get_or_create(&RequestLabels { route: route.labels.route.clone(), method: route.labels.method, status }).inc();
        route.seconds.observe(end.duration.as_secs_f64());
        route.received_bytes.inc_by(end.received_bytes);
        route.sent_bytes.inc_by(end.sent_bytes);
    }

    fn found(&self, route: &str, method: &Method) -> Arc<Route> {
        let method = events::method(method);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(route).and_then(|methods| methods.get(method)) {
            return found.clone();
        }
        let is_full = known.values().map(HashMap::len).sum::<usize>() >= MAX_ROUTES;
        drop(known);
        let name = if is_full { OTHER } else { route };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let methods = known.entry(name.to_owned()).or_default();
        methods.entry(method).or_insert_with(|| Arc::new(self.made(RouteLabels { route: name.to_owned(), method }))).clone()
    }

    fn made(&self, labels: RouteLabels) -> Route {
        Route {
            seconds: self.seconds.get_or_create(&labels).clone(),
            running: self.running.get_or_create(&labels).clone(),
            received_bytes: self.received_bytes.get_or_create(&labels).clone(),
            sent_bytes: self.sent_bytes.get_or_create(&labels).clone(),
            labels,
        }
    }
}
