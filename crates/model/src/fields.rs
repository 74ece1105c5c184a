//! The fields of an event that can be filtered, searched or printed in a table, read from its canonical details.

use std::borrow::Cow;

use crate::json;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $column:literal,)*) => {
        /// A field of an event; the name of its column in the archive is [`Field::column`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $($(#[$doc])* $name,)* }

        impl Field {
            /// All fields, in column order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The name of the column.
            pub const fn column(self) -> &'static str {
                match self { $(Self::$name => $column,)* }
            }
        }
    };
}

fields! {
    /// `action`
    Action = "action",
    /// `actor.id`
    ActorId = "actor_id",
    /// `actor.type`
    ActorType = "actor_type",
    /// `actor.meta.name`
    ActorName = "actor_name",
    /// `actor.meta.email`
    ActorEmail = "actor_email",
    /// `actor.meta`, JSON text
    ActorMeta = "actor_meta",
    /// `target.id`
    TargetId = "target_id",
    /// `target.type`
    TargetType = "target_type",
    /// `target.meta.name`, else `target.meta.title`
    TargetName = "target_name",
    /// `target.meta`, JSON text
    TargetMeta = "target_meta",
    /// `subject.id`
    SubjectId = "subject_id",
    /// `subject.type`
    SubjectType = "subject_type",
    /// `subject.name`, else `subject.meta.name`
    SubjectName = "subject_name",
    /// `subject.meta`, JSON text
    SubjectMeta = "subject_meta",
    /// `organization.id`
    OrganizationId = "organization_id",
    /// `organization.name`
    OrganizationName = "organization_name",
    /// `metadata.department_id`
    DepartmentId = "department_id",
    /// `context.ip`
    Ip = "ip",
    /// `context.user_agent`
    UserAgent = "user_agent",
    /// `http.request_id`, else `context.request_id`
    RequestId = "request_id",
    /// `context`, JSON text
    Context = "context",
    /// `diff.before`, JSON text
    DiffBefore = "diff_before",
    /// `diff.after`, JSON text
    DiffAfter = "diff_after",
    /// `metadata`, JSON text
    Metadata = "metadata",
    /// `http.method`
    HttpMethod = "http_method",
    /// `http.endpoint`
    HttpEndpoint = "http_endpoint",
    /// `http.url`
    HttpUrl = "http_url",
    /// `http.status`
    HttpStatus = "http_status",
    /// `http.channel`
    HttpChannel = "http_channel",
    /// `http.duration_ms`
    HttpDuration = "http_duration_ms",
    /// `http.app_id`
    AppId = "app_id",
    /// `http.client_app_id`
    ClientAppId = "client_app_id",
    /// `http.request_body`, JSON text
    RequestBody = "request_body",
    /// `http.response_body`, JSON text
    ResponseBody = "response_body",
    /// `external_id`
    ExternalId = "external_id",
}

impl Field {
    /// True if its characters are JSON text, not a text's own.
    pub fn is_json(self) -> bool {
        matches!(
            self,
            Self::ActorMeta
                | Self::TargetMeta
                | Self::SubjectMeta
                | Self::Context
                | Self::DiffBefore
                | Self::DiffAfter
                | Self::Metadata
                | Self::HttpStatus
                | Self::HttpDuration
                | Self::RequestBody
                | Self::ResponseBody
        )
    }
}

/// How many fields there are.
pub const COUNT: usize = Field::ALL.len();

/// The fields of one event; `None` where absent or null.
#[derive(Debug)]
pub struct Fields<'a> {
    values: [Option<Cow<'a, str>>; COUNT],
}

impl<'a> Fields<'a> {
    /// Reads them from the canonical action (with quotes) and the canonical details (without outer braces).
    pub fn read(action: &'a [u8], details: &'a [u8]) -> Self {
        let mut fields = Self { values: [const { None }; COUNT] };
        fields.text(Field::Action, action);
        for (name, value) in json::members(details) {
            match name {
                b"\"actor\"" => fields.party(value, [Field::ActorId, Field::ActorType, Field::ActorMeta, Field::ActorName]),
                b"\"target\"" => fields.party(value, [Field::TargetId, Field::TargetType, Field::TargetMeta, Field::TargetName]),
                b"\"subject\"" => fields.party(value, [Field::SubjectId, Field::SubjectType, Field::SubjectMeta, Field::SubjectName]),
                b"\"context\"" => fields.context(value),
                b"\"diff\"" => fields.diff(value),
                b"\"metadata\"" => fields.metadata(value),
                b"\"organization\"" => fields.organization(value),
                b"\"http\"" => fields.http(value),
                b"\"external_id\"" => fields.text(Field::ExternalId, value),
                _ => {}
            }
        }
        fields
    }
    /// A field's characters: plain text, or JSON text for the fields that say so.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.values[field as usize].as_deref()
    }
    fn text(&mut self, field: Field, value: &'a [u8]) {
        if let Some(text) = json::as_str(value) {
            self.values[field as usize] = Some(text);
        }
    }
    fn json(&mut self, field: Field, value: &'a [u8]) {
        self.values[field as usize] = Some(std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed));
    }
    fn party(&mut self, object: &'a [u8], [id, kind, meta, name]: [Field; 4]) {
        let mut title = None;
        for (member, value) in json::members(object) {
            match member {
                b"\"id\"" => self.text(id, value),
                b"\"type\"" => self.text(kind, value),
                b"\"name\"" => self.text(name, value),
                b"\"meta\"" if value.first() == Some(&b'{') => {
                    self.json(meta, value);
                    for (member, value) in json::members(value) {
                        match member {
                            b"\"name\"" if self.values[name as usize].is_none() => self.text(name, value),
                            b"\"title\"" => title = Some(value),
                            b"\"email\"" if id == Field::ActorId => self.text(Field::ActorEmail, value),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if let (None, Some(title), true) = (&self.values[name as usize], title, id == Field::TargetId) {
            self.text(name, title);
        }
    }
    fn context(&mut self, value: &'a [u8]) {
        self.json(Field::Context, value);
        for (member, value) in json::members(value) {
            match member {
                b"\"ip\"" => self.text(Field::Ip, value),
                b"\"user_agent\"" => self.text(Field::UserAgent, value),
                b"\"request_id\"" => self.text(Field::RequestId, value),
                _ => {}
            }
        }
    }
    fn diff(&mut self, value: &'a [u8]) {
        for (member, value) in json::members(value) {
            match member {
                b"\"before\"" => self.json(Field::DiffBefore, value),
                b"\"after\"" => self.json(Field::DiffAfter, value),
                _ => {}
            }
        }
    }
    fn metadata(&mut self, value: &'a [u8]) {
        self.json(Field::Metadata, value);
        if let Some(department) = json::member(value, "department_id") {
            self.text(Field::DepartmentId, department);
        }
    }
    fn organization(&mut self, value: &'a [u8]) {
        for (member, value) in json::members(value) {
            match member {
                b"\"id\"" => self.text(Field::OrganizationId, value),
                b"\"name\"" => self.text(Field::OrganizationName, value),
                _ => {}
            }
        }
    }
    fn http(&mut self, value: &'a [u8]) {
        for (member, value) in json::members(value) {
            match member {
                b"\"method\"" => self.text(Field::HttpMethod, value),
                b"\"endpoint\"" => self.text(Field::HttpEndpoint, value),
                b"\"url\"" => self.text(Field::HttpUrl, value),
                b"\"status\"" if value != b"null" => self.json(Field::HttpStatus, value),
                b"\"channel\"" => self.text(Field::HttpChannel, value),
                b"\"duration_ms\"" if value != b"null" => self.json(Field::HttpDuration, value),
                b"\"request_id\"" => self.text(Field::RequestId, value),
                b"\"app_id\"" => self.text(Field::AppId, value),
                b"\"client_app_id\"" => self.text(Field::ClientAppId, value),
                b"\"request_body\"" => self.json(Field::RequestBody, value),
                b"\"response_body\"" => self.json(Field::ResponseBody, value),
                _ => {}
            }
        }
    }
}
