//! The life of the process: signals, what it takes part in at the moment, reload, drain, end.

mod conf;
mod drain;
mod endpoints;
mod open_files;
mod reload;
mod signals;
mod stage;

pub use conf::{ConfError, HandOver, server, server_conf};
pub use drain::Drain;
pub use endpoints::{Endpoints, Replaceable, StartError, endpoints};
pub use open_files::connections;
pub use reload::{Hooks, Reloader, Report, publish};
pub use signals::{Handlers, Signals};
pub use stage::{Now, Stage};
