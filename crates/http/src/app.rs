//! What all handlers share. Never: global; a process may hold several.

use std::sync::Arc;

use indelible_service::Service;

use crate::HttpConfig;
use crate::api_log::ApiLog;
use crate::metrics::Metrics;
use crate::openapi::Pages;

/// The service, the settings and the parts that live as long as the router.
pub(crate) struct App {
    pub(crate) service: Service,
    pub(crate) config: HttpConfig,
    pub(crate) metrics: Metrics,
    pub(crate) api_log: ApiLog,
    pub(crate) pages: Pages,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;
