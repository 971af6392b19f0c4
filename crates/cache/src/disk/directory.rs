//! The tier's directory: who may use it, what it remembers of itself, and its folders.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::layout::Fields;

/// Files are for the edge alone: they hold what visitors were answered.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The file whose lock says that a process uses the directory.
const LOCK: &str = "lock";

/// The file with the seed and the count of runs.
const STATE: &str = "state";

/// What is being written.
const UNFINISHED: &str = "tmp";

/// Begins the state file; its last digit is the version of this format.
const STATE_MAGIC: [u8; 8] = *b"lw-run-1";

/// Bytes of the state file: magic, seed, runs, checksum.
const STATE_LENGTH: usize = 36;

/// Generations of one run, as a shift: the first generation of a run is above every one of the runs before.
const RUN_SHIFT: u32 = 40;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process: each edge needs a cache directory of its own")]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("{path}: {action}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// No thread could be started.
    #[error("no thread for the disk tier: {0}")]
    Threads(io::Error),
}

/// A directory that this process alone uses.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    lock: File,
    state: State,
    /// The state file could not be written: nothing else may be, or the next run would take this one's generations.
    unsaved: AtomicBool,
    /// What lies here was stored under other keys, which nobody asks for any more.
    pub(super) is_foreign: bool,
    unfinished: AtomicU64,
}

impl Directory {
    /// Makes and locks the directory, and empties what was unfinished.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        make_folder(root).map_err(|error| failed(root, "cannot be made", error))?;
        let root = root.canonicalize().map_err(|error| failed(root, "cannot be found", error))?;
        let lock = lock(&root)?;
        let unfinished = root.join(UNFINISHED);
        make_folder(&unfinished).map_err(|error| failed(&unfinished, "cannot be made", error))?;
        for folder in 0..=u8::MAX {
            let path = root.join(format!("{folder:02x}"));
            make_folder(&path).map_err(|error| failed(&path, "cannot be made", error))?;
        }
        if let Err(error) = empty(&unfinished) {
            log::warn!("{}: what the last run left unfinished stays: {error}", unfinished.display());
        }
        let path = root.join(STATE);
        let known = read_state(&path);
        let state = match known {
            Some(State { seed, runs }) => State { seed, runs: runs.saturating_add(1) },
            None => State { seed: random().map_err(|error| failed(&path, "no random bytes", error))?, runs: 1 },
        };
        let is_foreign = known.is_none();
        let unsaved = AtomicBool::new(true);
        let directory = Self { root, lock, state, unsaved, is_foreign, unfinished: AtomicU64::new(0) };
        match directory.save() {
            // A disk that is full or read-only is read; a new directory has to be writable.
            Err(error) if is_foreign => Err(failed(&path, "cannot be written", error)),
            Err(error) => {
                log::warn!("{}: cannot be written: {error}", path.display());
                Ok(directory)
            }
            Ok(()) => Ok(directory),
        }
    }

    /// Writes the state file, if that is still to be done.
    pub(super) fn save(&self) -> io::Result<()> {
        if self.unsaved.load(Ordering::Acquire) {
            let state = write_state(&self.state);
            self.replace(STATE, |file| file.write_all(&state))?;
            self.unsaved.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Whether the state file is still to be written.
    pub(super) fn is_unsaved(&self) -> bool {
        self.unsaved.load(Ordering::Acquire)
    }

    /// The seed for the hash of keys.
    pub(super) fn seed(&self) -> [u8; 16] {
        self.state.seed
    }

    /// Above every generation of earlier runs.
    pub(super) fn first_generation(&self) -> u64 {
        self.state.runs.saturating_mul(1 << RUN_SHIFT)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A new file under `tmp/`, to be renamed when it is complete.
    pub(super) fn unfinished(&self) -> io::Result<(PathBuf, File)> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(UNFINISHED).join(format!("{number:x}"));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(FILE_MODE).open(&path);
        match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(&self.root.join(UNFINISHED))?;
                Ok((path.clone(), options.open(path)?))
            }
            file => Ok((path, file?)),
        }
    }

    /// Gives a complete file its name, making its folder when somebody took it away.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                to.parent().map_or(Ok(()), make_folder)?;
                fs::rename(from, to)
            }
            renamed => renamed,
        }
    }

    /// Writes a small file of the tier itself in one step: whoever reads it finds the old or the new one, also after a power cut.
    pub(super) fn replace(&self, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let (path, mut file) = self.unfinished()?;
        let written =
            write(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&path, self.root.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written
    }

    /// Lets another process have the directory.
    pub(super) fn unlock(&self) {
        if let Err(error) = self.lock.unlock() {
            log::warn!("{}: not unlocked before the process ends: {error}", self.root.display());
        }
    }
}

fn failed(path: &Path, action: &'static str, error: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), action, error }
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join(LOCK);
    if !path.exists() {
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
        made.map_err(|error| failed(&path, "cannot be made", error))?;
    }
    // Held for reading only: the file system may be read-only, or become so.
    let lock = File::open(&path).map_err(|error| failed(&path, "cannot be opened", error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(root.to_owned())),
        Err(TryLockError::Error(error)) => return Err(failed(&path, "cannot be locked", error)),
    }
    Ok(lock)
}

/// Removes the files of a folder.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    seed: [u8; 16],
    runs: u64,
}

fn write_state(state: &State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(STATE_LENGTH);
    bytes.extend(STATE_MAGIC);
    bytes.extend(state.seed);
    bytes.extend(state.runs.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn read_state(path: &Path) -> Option<State> {
    let mut bytes = Vec::with_capacity(STATE_LENGTH);
    File::open(path).ok()?.take(STATE_LENGTH as u64 + 1).read_to_end(&mut bytes).ok()?;
    let sealed = bytes.get(..STATE_LENGTH - 4)?;
    let mut fields = Fields(&bytes);
    let magic = fields.take::<8>()?;
    let seed = fields.take()?;
    let runs = u64::from_le_bytes(fields.take()?);
    let seal = u32::from_le_bytes(fields.take()?);
    let whole = magic == STATE_MAGIC && fields.0.is_empty() && seal == crc32c::crc32c(sealed);
    whole.then_some(State { seed, runs })
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
