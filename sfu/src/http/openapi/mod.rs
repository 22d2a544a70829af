//! `/openapi.json`: the API in the words of OpenAPI 3.1, made of the table of routes, the types of bodies and what
//! [`table`] says of each operation.

mod table;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required};
use utoipa::{OpenApi as _, ToSchema};

use super::cookies;
use super::routes::{ROUTES, Route, Rule};
use table::{Described, Form, described};

/// Where browsers and generators look for it.
pub(super) async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| built().to_json().unwrap_or_default());
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, TEXT.as_str())
}

/// What every error answer is (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the answer borrows")]
struct Problem {
    /// `about:blank`: the status says what kind it is.
    r#type: String,
    /// The same for all of its kind.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What was wrong, and what is accepted.
    detail: String,
    /// Everything that is wrong in the document, where there may be several.
    errors: Option<Vec<Place>>,
    /// The moment as it is now, where another version of it was seen.
    moment: Option<crate::channel::MomentView>,
}

/// What is wrong at one place of a document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "likewise")]
struct Place {
    /// JSON pointer (RFC 6901).
    pointer: String,
    /// What is wrong there.
    detail: String,
}

/// The types; those that they refer to come with them.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Reverie",
        description = "A WHIP and WHEP server whose picture viewers can transform for a moment."
    ),
    components(schemas(
        Problem,
        super::admin::Drain,
        super::api::Channels,
        super::api::WarmUp,
        super::auth::account::Credentials,
        super::auth::account::Token,
        super::auth::roles::Wanted,
        super::auth::tokens::Wanted,
        super::auth::twitch::Panel,
        super::moments::Act,
        super::pipelines::Pipelines,
        super::products::Products,
        super::products::Words,
        super::queue::Queue,
        super::bans::Bans,
        super::settings::PolicyBody,
        super::submission::NewMoment,
        super::twitch::Own,
        super::twitch::Proof,
        crate::channel::ChannelView,
        crate::channel::Entry,
        crate::channel::MomentView,
        crate::channel::PipelineStatus,
        crate::channel::Settings,
    ))
)]
struct Types;

const BEARER: &str = "bearer";
const COOKIE: &str = "cookie";

fn built() -> OpenApi {
    let mut document = Types::openapi();
    if let Some(components) = &mut document.components {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme(BEARER, bearer);
        let cookie = ApiKey::Cookie(ApiKeyValue::new(cookies::SESSION));
        components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(cookie));
    }
    for route in ROUTES {
        let (Some(described), Some(method)) = (described(route), method(route.method)) else {
            continue;
        };
        let operation = operation(route, described);
        let item = PathItem::new(method, operation);
        // OpenAPI knows no rest of a path.
        let path = route.path.replace("{*path}", "{path}");
        let paths = &mut document.paths.paths;
        match paths.get_mut(&path) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.insert(path, item)),
        }
    }
    document
}

fn method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

fn operation(route: &Route, described: &Described) -> utoipa::openapi::path::Operation {
    let mut operation = OperationBuilder::new()
        .tag(described.tag)
        .summary(Some(described.about))
        .description(Some(format!("Asks {}.", route.rule.words())));
    for name in names(route.path) {
        operation = operation.parameter(parameter(name));
    }
    if let Some(form) = described.takes {
        let body = RequestBodyBuilder::new()
            .content(form.media_type(), content(form))
            .required(Some(if described.may_be_empty {
                Required::False
            } else {
                Required::True
            }));
        operation = operation.request_body(Some(body.build()));
    }
    let mut answer = ResponseBuilder::new().description("It is done.");
    if let Some(form) = described.gives {
        answer = answer.content(form.media_type(), content(form));
    }
    operation = operation.response(described.status.to_string(), answer.build());
    if route.path.starts_with("/v1/") || described.takes.is_some() {
        let problem = ResponseBuilder::new()
            .description("It is not: what was wrong, and what is accepted.")
            .content("application/problem+json", content(Form::Json("Problem")));
        operation = operation.response("default", problem.build());
    }
    if route.rule != Rule::Open {
        for scheme in [BEARER, COOKIE] {
            let none: [&str; 0] = [];
            operation = operation.security(SecurityRequirement::new(scheme, none));
        }
    }
    operation.build()
}

/// The names in the braces of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0.trim_start_matches('*')))
}

fn parameter(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(text()))
        .build()
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn content(form: Form) -> Content {
    let schema: RefOr<Schema> = match form {
        Form::Json("") => ObjectBuilder::new().into(),
        Form::Json(name) => Ref::from_schema_name(name).into(),
        Form::Patch => ObjectBuilder::new().into(),
        Form::Sdp | Form::Fragment | Form::Events | Form::Html | Form::Other(_) => text(),
    };
    let content = ContentBuilder::new().schema(Some(schema));
    if form == Form::Events {
        let about = json!("server-sent events; data is an Event");
        return content.example(Some(about)).build();
    }
    content.build()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn whole() -> Value {
        serde_json::to_value(built()).unwrap()
    }

    /// All references of the document.
    fn references(of: &Value, into: &mut Vec<String>) {
        match of {
            Value::Object(fields) => {
                if let Some(Value::String(name)) = fields.get("$ref") {
                    into.push(name.clone());
                }
                fields.values().for_each(|value| references(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn each_route_is_described_and_stands_in_the_document_with_what_it_asks() {
        let document = whole();
        for route in ROUTES {
            assert!(described(route).is_some(), "{route:?} is not described");
            let path = route.path.replace("{*path}", "{path}");
            let operation = &document["paths"][&path][route.method.to_lowercase()];
            let asks = operation["description"].as_str().unwrap_or_default();
            assert!(asks.contains(&route.rule.words()), "{route:?}: {operation}");
            let open = operation["security"].is_null();
            assert_eq!(open, route.rule == Rule::Open, "{route:?}");
            let told = operation["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(told, names(&path).count(), "{route:?}");
        }
    }

    #[test]
    fn what_is_described_is_a_route() {
        for (method, path) in table::all() {
            let found = ROUTES.iter().any(|r| (r.method, r.path) == (method, path));
            assert!(found, "{method} {path} is described and is no route");
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = whole();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 40, "{found:?}");
        for name in found {
            let pointer = name.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{name} is nowhere");
        }
    }

    #[test]
    fn fields_that_nothing_else_accepts_are_told_so() {
        let schemas = &whole()["components"]["schemas"];
        assert_eq!(schemas["NewMoment"]["additionalProperties"], false);
        assert_eq!(schemas["NewMoment"]["required"], json!(["prompt"]));
    }
}
