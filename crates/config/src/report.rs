//! Collects what is wrong while a configuration is read, and turns it into diagnostics at the end.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, EXCERPT, Severity};
use crate::mask;
use crate::place::{Part, Place, Places, START};
use crate::tree::Step;

/// Diagnostics of one run; further ones are only counted.
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// A file that was read, by its number in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(usize);

/// A value in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct At {
    pub(crate) file: FileId,
    pub(crate) path: Vec<Step>,
}

impl At {
    /// The value of a key of this value.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }
    /// An element of this value.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }
    /// Either.
    pub(crate) fn step(&self, step: Step) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self { file: self.file, path }
    }
}

/// Where a problem is.
#[derive(Debug)]
enum Where {
    Value(Vec<Step>, Part),
    Exactly(Place),
}

#[derive(Debug)]
struct Problem {
    file: FileId,
    at: Where,
    severity: Severity,
    message: String,
    hint: Option<String>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
    /// Values that were taken out because they are wrong, by where they stood.
    pruned: BTreeSet<Vec<Step>>,
    /// Elements taken out of lists: list -> indices, ascending.
    gaps: HashMap<Vec<Step>, Vec<usize>>,
    /// Secrets written as text; never shown.
    secrets: Vec<String>,
    places: OnceCell<Places>,
}

/// Everything that was read, and everything that is wrong with it. Shared by all parts of one load.
#[derive(Debug, Default)]
pub(crate) struct Report {
    files: RefCell<Vec<File>>,
    problems: RefCell<Vec<Problem>>,
    unreadable: Cell<bool>,
    purpose: Purpose,
}

/// What a load is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Purpose {
    /// To be published: everything must make sense from now on.
    #[default]
    Publish,
    /// To run what may have been published long ago.
    Run,
}

/// A problem that was just reported, to add to.
pub(crate) struct Added<'r> {
    report: &'r Report,
    index: Option<usize>,
}

impl Added<'_> {
    /// Says what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) {
        if let Some(index) = self.index
            && let Some(problem) = self.report.problems.borrow_mut().get_mut(index)
        {
            problem.hint = Some(hint.into());
        }
    }
}

impl Report {
    /// A report of one load.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, ..Self::default() }
    }

    /// What the load is for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Adds a file.
    pub(crate) fn file(&self, path: &Path, text: String) -> FileId {
        let mut files = self.files.borrow_mut();
        files.push(File {
            path: path.to_owned(),
            text,
            pruned: BTreeSet::new(),
            gaps: HashMap::new(),
            secrets: Vec::new(),
            places: OnceCell::new(),
        });
        FileId(files.len() - 1)
    }

    /// The root of a file.
    pub(crate) fn root(&self, file: FileId) -> At {
        At { file, path: Vec::new() }
    }

    /// A file's path, as it was named.
    pub(crate) fn path(&self, file: FileId) -> PathBuf {
        self.files.borrow().get(file.0).map(|f| f.path.clone()).unwrap_or_default()
    }

    /// Every file, as it was named.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.borrow().iter().map(|f| f.path.clone()).collect()
    }

    /// A path that a file names: relative to that file.
    pub(crate) fn resolve(&self, file: FileId, path: &str) -> PathBuf {
        match self.path(file).parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// A value is wrong.
    pub(crate) fn error(&self, at: &At, message: impl Into<String>) -> Added<'_> {
        self.add(at, Part::Value, Severity::Error, message.into())
    }

    /// A key is wrong.
    pub(crate) fn error_at_key(&self, at: &At, message: impl Into<String>) -> Added<'_> {
        self.add(at, Part::Key, Severity::Error, message.into())
    }

    /// A key is given twice: the last one is meant.
    pub(crate) fn duplicate_key(&self, at: &At) {
        let key = match at.path.last() {
            Some(Step::Key(key)) => key.as_str(),
            _ => "",
        };
        let message = format!("the key `{key}` is given twice");
        let first = self.place(at, Part::Key);
        self.add(at, Part::LastKey, Severity::Error, message).hint(format!("the first one is in line {}", first.line));
    }

    /// A value is dubious.
    pub(crate) fn warning(&self, at: &At, message: impl Into<String>) -> Added<'_> {
        self.add(at, Part::Value, Severity::Warning, message.into())
    }

    /// A key of a mapping is missing. Not said when it was there, but wrong.
    pub(crate) fn missing(&self, at: &At, key: &str) -> Added<'_> {
        if self.was_wrong(&at.key(key)) {
            return Added { report: self, index: None };
        }
        self.error(at, format!("`{key}` is missing"))
    }

    /// Whether the value was there, but wrong (and is reported already).
    pub(crate) fn was_wrong(&self, at: &At) -> bool {
        let path = self.original(at);
        self.files.borrow().get(at.file.0).is_some_and(|file| file.pruned.contains(&path))
    }

    /// Whether the value, or anything in it, was there, but wrong: then what it lacks is not said.
    pub(crate) fn any_wrong(&self, at: &At) -> bool {
        let path = self.original(at);
        self.files.borrow().get(at.file.0).is_some_and(|file| {
            let from = (std::ops::Bound::Included(path.as_slice()), std::ops::Bound::Unbounded);
            file.pruned.range::<[Step], _>(from).next().is_some_and(|wrong| wrong.starts_with(&path))
        })
    }

    /// The text cannot be read as a tree, or the file not at all.
    pub(crate) fn broken(&self, file: FileId, place: Place, message: impl Into<String>) -> Added<'_> {
        self.push(Problem {
            file,
            at: Where::Exactly(place),
            severity: Severity::Error,
            message: message.into(),
            hint: None,
        })
    }

    /// The main file cannot be read.
    pub(crate) fn unreadable(&self, path: &Path, reason: &str) -> Added<'_> {
        self.unreadable.set(true);
        let file = self.file(path, String::new());
        self.broken(file, START, format!("cannot read this file: {reason}"))
    }

    /// Whether the main file could not be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.get()
    }

    /// Any severity, for problems that another crate found.
    pub(crate) fn add(&self, at: &At, part: Part, severity: Severity, message: String) -> Added<'_> {
        let path = self.original(at);
        self.push(Problem { file: at.file, at: Where::Value(path, part), severity, message, hint: None })
    }

    fn push(&self, problem: Problem) -> Added<'_> {
        let mut problems = self.problems.borrow_mut();
        problems.push(problem);
        Added { report: self, index: Some(problems.len() - 1) }
    }

    /// Whether no more problems need to be looked for.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.borrow().len() > MAX_DIAGNOSTICS
    }

    /// Whether anything so far forbids the configuration.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Notes that a value is taken out of the tree that is being read.
    pub(crate) fn prune(&self, at: &At) {
        let path = self.original(at);
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(at.file.0) else {
            return;
        };
        if let Some((Step::Index(index), list)) = path.split_last() {
            let gaps = file.gaps.entry(list.to_owned()).or_default();
            let place = gaps.partition_point(|gap| gap < index);
            gaps.insert(place, *index);
        }
        file.pruned.insert(path);
    }

    /// Notes a secret that stands in a file as text.
    pub(crate) fn secret(&self, file: FileId, text: &str) {
        if let Some(file) = self.files.borrow_mut().get_mut(file.0) {
            file.secrets.push(text.to_owned());
        }
    }

    /// Where a value of the pruned tree stands in the file.
    fn original(&self, at: &At) -> Vec<Step> {
        let files = self.files.borrow();
        let Some(file) = files.get(at.file.0).filter(|file| !file.gaps.is_empty()) else {
            return at.path.clone();
        };
        let mut path: Vec<Step> = Vec::with_capacity(at.path.len());
        for step in &at.path {
            let step = match (step, file.gaps.get(&path)) {
                (Step::Index(index), Some(gaps)) => {
                    Step::Index(gaps.iter().fold(*index, |index, gap| if *gap <= index { index + 1 } else { index }))
                }
                (step, _) => step.clone(),
            };
            path.push(step);
        }
        path
    }

    /// Where a value stands, for a message that names two places.
    pub(crate) fn place(&self, at: &At, part: Part) -> Place {
        let path = self.original(at);
        let files = self.files.borrow();
        files.get(at.file.0).map_or(START, |file| file.places().find(&path, part))
    }

    /// `FILE:LINE`, for a message that names two places.
    pub(crate) fn mention(&self, at: &At) -> String {
        format!("{}:{}", self.path(at.file).display(), self.place(at, Part::Value).line)
    }

    /// Every diagnostic, by file and line, each once.
    pub(crate) fn finish(&self) -> Vec<Diagnostic> {
        let files = self.files.borrow();
        let mut out = Vec::new();
        let problems = self.problems.borrow();
        for problem in problems.iter().take(MAX_DIAGNOSTICS) {
            let Some(file) = files.get(problem.file.0) else {
                continue;
            };
            let place = match &problem.at {
                Where::Exactly(place) => *place,
                Where::Value(path, part) => file.places().find(path, *part),
            };
            let (excerpt, caret) = file.excerpt(place);
            out.push(Diagnostic {
                file: file.path.display().to_string(),
                line: place.line,
                column: place.column,
                severity: problem.severity,
                message: one_line(&problem.message),
                excerpt,
                caret,
                hint: problem.hint.as_deref().map(one_line),
            });
        }
        out.sort();
        out.dedup();
        if let (Some(more @ 1..), Some(main)) = (problems.len().checked_sub(MAX_DIAGNOSTICS), files.first()) {
            out.push(Diagnostic {
                file: main.path.display().to_string(),
                line: 1,
                column: 1,
                severity: Severity::Error,
                message: format!("{more} more problems are not shown"),
                excerpt: String::new(),
                caret: 0,
                hint: None,
            });
        }
        out
    }
}

impl File {
    fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::read(&self.text))
    }

    /// The line at a place, and where in it the caret goes.
    fn excerpt(&self, place: Place) -> (String, usize) {
        let line = self.text.lines().nth(place.line - 1).unwrap_or_default();
        let line = mask::secrets(line, &self.secrets);
        if line.trim().is_empty() {
            return (String::new(), 0);
        }
        let from = place.column.saturating_sub(EXCERPT * 2 / 3).min(line.chars().count().saturating_sub(EXCERPT));
        let shown: String =
            line.chars().skip(from).take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        (shown, place.column.saturating_sub(from).max(1))
    }
}

/// Messages quote what people wrote; a line break in it would break the form of the output.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
