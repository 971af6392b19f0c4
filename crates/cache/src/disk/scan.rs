//! Finding the files by their names.

use std::fs;
use std::io;
use std::path::Path;

use super::name::Name;

/// Names that are taken in at once, in the order of their generations. A larger tier is in order part by part.
pub(super) const BATCH: usize = 1024 * 1024;

/// The same once requests are served: they find what has been taken in.
pub(super) const LATE_BATCH: usize = 16 * 1024;

/// Names at least as long are believed only when the file is: a wrong one would push out much to make room.
const LONG: u64 = 1024 * 1024;

/// What stands in one folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) names: Vec<Name>,
    /// Files whose names are none, or not theirs.
    pub(super) strangers: Vec<std::path::PathBuf>,
}

/// Reads the names of one folder.
pub(super) fn list(root: &Path, folder: u8, listing: &mut Listing) -> io::Result<()> {
    for entry in fs::read_dir(root.join(format!("{folder:02x}")))? {
        let entry = entry?;
        let text = entry.file_name();
        let name = text.to_str().and_then(Name::parse).filter(|name| name.folder() == folder);
        let name = match name {
            Some(name) if name.length >= LONG => match entry.metadata() {
                Ok(metadata) => Some(name).filter(|_| metadata.is_file() && metadata.len() >= name.length),
                // Removed meanwhile.
                Err(_) => continue,
            },
            name => name,
        };
        match name {
            Some(name) => listing.names.push(name),
            None => listing.strangers.push(entry.path()),
        }
    }
    Ok(())
}
