//! What every call passes: it is counted, limited, and goes wrong where it was told to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Of};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::refused;
use super::state::{Rate, State, now};

/// See the module.
pub(super) async fn gate(Of(state): Of<Arc<State>>, request: Request, next: Next) -> Response {
    // Below its nest, which is not part of it here.
    let route = request.uri().path().trim_start_matches('/').to_owned();
    let (rate, fault) = {
        let mut world = state.lock();
        (world.count(&route), world.take_fault(&route))
    };
    let delay = |after| {
        let fault = fault.as_ref().filter(|fault| fault.after == after);
        Duration::from_millis(fault.map_or(0, |fault| fault.delay_ms))
    };
    let (before, after) = (delay(false), delay(true));
    tokio::time::sleep(before).await;
    let broken = fault.filter(|fault| fault.status != 0);
    let told_to_wait = broken.as_ref().is_some_and(|fault| fault.status == 429);
    let mut response = match (&broken, &rate) {
        (Some(fault), _) if !fault.after => refused(fault.status, "as it was told to"),
        (_, Some(rate)) if rate.exceeded => refused(429, "too many requests"),
        _ => next.run(request).await,
    };
    tokio::time::sleep(after).await;
    if let Some(fault) = broken.filter(|fault| fault.after) {
        response = refused(fault.status, "done, and then as it was told to");
    }
    if let Some(mut rate) = rate {
        if told_to_wait {
            (rate.remaining, rate.reset) = (0, now().as_secs() + 1);
        }
        tell(&mut response, rate);
    }
    response
}

fn tell(response: &mut Response, rate: Rate) {
    let told = [
        ("ratelimit-limit", u64::from(rate.limit)),
        ("ratelimit-remaining", u64::from(rate.remaining)),
        ("ratelimit-reset", rate.reset),
    ];
    for (name, value) in told {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from(value));
    }
}
