//! Shows an OpenAPI document as one HTML page.
//!
//! Promises: plain HTML that works without a network; every text of the document is escaped. Never: a script.

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}details{border:1px solid #ddd;border-radius:6px;margin:.5rem 0;padding:.5rem .75rem}\
summary{cursor:pointer}code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f5f5f5;padding:.75rem;overflow:auto;border-radius:6px}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #eee}\
.method{display:inline-block;min-width:4.5rem;font-weight:700}.note{color:#595959}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}pre{background:#222}details,td,th,h2{border-color:#3a3a3a}.note{color:#a8a8a8}a{color:#8ab4f8}}";

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut out = String::with_capacity(64 << 10);
    let title = text(&document["info"]["title"]);
    out.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>");
    out.push_str(&format!("{title} API</title><style>{STYLE}</style></head><body><h1>{title}</h1>"));
    out.push_str(&format!(
        "<p class=\"note\">Version {} · <a href=\"/openapi.json\">openapi.json</a></p><p>{}</p>",
        text(&document["info"]["version"]),
        prose(&document["info"]["description"])
    ));
    for tag in items(&document["tags"]) {
        out.push_str(&format!("<h2>{}</h2><p>{}</p>", text(&tag["name"]), prose(&tag["description"])));
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item).filter(|(_, o)| items(&o["tags"]).any(|t| *t == tag["name"])) {
                operation_of(&mut out, path, method, operation);
            }
        }
    }
    out.push_str("<h2>Shapes</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escape(name);
        out.push_str(&format!("<details id=\"{name}\"><summary><code>{name}</code> {}</summary>", prose(&schema["description"])));
        shape(&mut out, schema);
        out.push_str("</details>");
    }
    out.push_str("</body></html>\n");
    out
}

fn operation_of(out: &mut String, path: &str, method: &str, operation: &Value) {
    let (method, path) = (escape(&method.to_uppercase()), escape(path));
    out.push_str(&format!(
        "<details id=\"{0}\"><summary><span class=\"method\">{method}</span> <code>{path}</code> {1}</summary>",
        text(&operation["operationId"]),
        prose(&operation["summary"])
    ));
    out.push_str(&format!("<p>{}</p>", prose(&operation["description"])));
    let scopes: Vec<String> = items(&operation["security"]).flat_map(|s| items(&s["key"])).map(|s| format!("<code>{}</code>", text(s))).collect();
    if !scopes.is_empty() {
        out.push_str(&format!("<p class=\"note\">Needs the scope {}.</p>", scopes.join(", ")));
    }
    let parameters: Vec<&Value> = items(&operation["parameters"]).collect();
    if !parameters.is_empty() {
        out.push_str("<table><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>");
        for p in parameters {
            out.push_str(&format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&p["name"]),
                text(&p["in"]),
                kind(&p["schema"]),
                prose(&p["description"])
            ));
        }
        out.push_str("</table>");
    }
    if operation["requestBody"].is_object() {
        out.push_str(&format!("<p>Body: {}</p>", contents(&operation["requestBody"]["content"])));
    }
    out.push_str("<table><tr><th>Status</th><th>Meaning</th><th>Body</th></tr>");
    for (status, response) in members(&operation["responses"]) {
        out.push_str(&format!("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", escape(status), prose(&response["description"]), contents(&response["content"])));
    }
    out.push_str("</table></details>");
}

fn shape(out: &mut String, schema: &Value) {
    if schema["properties"].is_object() {
        out.push_str("<table><tr><th>Member</th><th>Type</th><th></th></tr>");
        for (name, property) in members(&schema["properties"]) {
            let required = if items(&schema["required"]).any(|r| r == name) { " <span class=\"note\">always there</span>" } else { "" };
            out.push_str(&format!("<tr><td><code>{}</code>{required}</td><td>{}</td><td>{}</td></tr>", escape(name), kind(property), prose(&property["description"])));
        }
        out.push_str("</table>");
    } else {
        out.push_str(&format!("<p>{}</p>", kind(schema)));
    }
    if let Some(example) = schema.get("example") {
        out.push_str(&format!("<pre>{}</pre>", escape(&serde_json::to_string_pretty(example).unwrap_or_default())));
    }
}

/// Media types and their shapes.
fn contents(content: &Value) -> String {
    let each: Vec<String> = members(content).map(|(media, body)| format!("<code>{}</code> {}", escape(media), kind(&body["schema"]))).collect();
    each.join("<br>")
}

/// A schema in a few words, with links to named shapes.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if schema["type"] == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    let choices: Vec<String> = ["oneOf", "anyOf"].iter().flat_map(|n| items(&schema[*n])).map(kind).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    match &schema["type"] {
        Value::String(name) => escape(name),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

/// Text in which what stands between backticks is code.
fn prose(value: &Value) -> String {
    let escaped = text(value);
    escaped.split('`').enumerate().map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
