//! The fields of one written behaviour, read by name. What nobody asked for is unknown and reported at the end.

use std::borrow::Cow;

use serde_json::Value;

use crate::grammar::{DeltaTime, Invalid};
use crate::reading::nearest;
use crate::reading::report::Report;
use crate::reading::{Form, MAX_VALUE, as_text};
use crate::written;

/// "Nothing here".
const NOTHING: &str = "-";

pub(crate) struct Fields<'a, 'r> {
    pub(crate) name: &'static str,
    pub(crate) report: &'r mut Report,
    behavior: &'a written::Behavior,
    form: Form,
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
    kind_asked: bool,
    params_free: bool,
}

impl<'a, 'r> Fields<'a, 'r> {
    pub(super) fn new(name: &'static str, behavior: &'a written::Behavior, form: Form, report: &'r mut Report) -> Self {
        Self {
            name,
            report,
            behavior,
            form,
            asked: Vec::new(),
            missing: Vec::new(),
            kind_asked: false,
            params_free: false,
        }
    }

    /// The required `type`, one of these.
    pub(crate) fn kind<T: Copy>(&mut self, legal: &[(&'static str, T)]) -> Option<T> {
        self.kind_asked = true;
        let names = || legal.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let Some(kind) = self.behavior.kind.as_deref() else {
            self.report.error_hint(format!("{} needs a type", self.name), format!("legal types: {}", names()));
            return None;
        };
        let found = legal.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
        if found.is_none() {
            let near = nearest(kind, legal.iter().map(|(name, _)| *name))
                .map_or_else(String::new, |near| format!("did you mean {near:?}? "));
            let message = format!("unknown type {kind:?} of {}", self.name);
            self.report.within("type", |report| report.error_hint(message, format!("{near}legal types: {}", names())));
        }
        found
    }

    /// Any `type`, `value` and `params` are accepted.
    pub(crate) fn anything(&mut self) {
        self.kind_asked = true;
        self.params_free = true;
    }

    /// The `value`, when there is one that is not the filler.
    pub(crate) fn value(&self) -> Option<&'a str> {
        self.behavior.value.as_deref().filter(|value| !value.trim_ascii().is_empty() && *value != NOTHING)
    }

    /// The required `value`.
    pub(crate) fn required_value(&mut self, hint: &str) -> Option<&'a str> {
        let value = self.value();
        if value.is_none() {
            let message = format!("{} needs a value", self.name);
            match self.behavior.value {
                Some(_) => self.report.within("value", |report| report.error_hint(message, hint)),
                None => self.report.error_hint(message, hint),
            }
        }
        value
    }

    /// Reads the value with a grammar; problems are reported there.
    pub(crate) fn read_value<T>(&mut self, value: &str, read: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        self.report.within("value", |report| report.take_one(read(value)))
    }

    /// Works inside `params`, at one of them.
    pub(crate) fn at<R>(&mut self, param: &str, work: impl FnOnce(&mut Report) -> R) -> R {
        self.report.within("params", |report| report.within(param, work))
    }

    fn param(&mut self, name: &'static str) -> Option<&'a Value> {
        self.asked.push(name);
        self.behavior.params.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.behavior.params.contains_key(name)
    }

    /// Said in the end, when it is known whether another spelling of it is there.
    fn missing(&mut self, name: &'static str) {
        self.missing.push(name);
    }

    /// A string parameter as written, `-` included. `Err` when it is there but wrong, which is reported.
    fn text_as_written(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, ()> {
        let Some(value) = self.param(name) else { return Ok(None) };
        match as_text(value, self.form, MAX_VALUE) {
            Ok(text) => Ok(Some(text)),
            Err(invalid) => {
                self.at(name, |report| report.invalid(invalid));
                Err(())
            }
        }
    }

    /// A string parameter; `-` is nothing. `Err` was reported.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, ()> {
        Ok(self.text_as_written(name)?.filter(|text| !text.is_empty() && text != NOTHING))
    }

    /// A string parameter that must be there but may be `-`, which is then `Some(None)`.
    pub(crate) fn text_or_nothing(&mut self, name: &'static str) -> Option<Option<Cow<'a, str>>> {
        match self.text_as_written(name) {
            Ok(None) => {
                self.missing(name);
                None
            }
            Ok(Some(text)) if text.is_empty() => {
                self.at(name, |report| report.error_hint("the value is empty", "write \"-\" for nothing"));
                None
            }
            Ok(Some(text)) => Some(Some(text).filter(|text| text != NOTHING)),
            Err(()) => None,
        }
    }

    /// A string parameter that must be there and be something.
    pub(crate) fn required_text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        match self.text(name) {
            Ok(Some(text)) => Some(text),
            Ok(None) if self.has(name) => {
                let message = format!("params.{name} of {} is empty", self.name);
                self.at(name, |report| report.error(message));
                None
            }
            Ok(None) => {
                self.missing(name);
                None
            }
            Err(()) => None,
        }
    }

    /// A required parameter, read with a grammar.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let text = self.required_text(name)?;
        self.at(name, |report| report.take_one(read(&text)))
    }

    /// An optional parameter, read with a grammar; `-` is nothing. `None` when wrong, which is reported.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        match self.text(name) {
            Ok(None) => Some(None),
            Ok(Some(text)) => self.at(name, |report| report.take_one(read(&text))).map(Some),
            Err(()) => None,
        }
    }

    /// An optional parameter that is one of these words.
    pub(crate) fn word<T: Copy>(&mut self, name: &'static str, legal: &[(&'static str, T)]) -> Option<Option<T>> {
        self.optional(name, |text| {
            legal.iter().find(|(word, _)| *word == text).map(|(_, word)| *word).ok_or_else(|| {
                let words: Vec<&str> = legal.iter().map(|(word, _)| *word).collect();
                Invalid::new(format!("{text:?} is not a legal {name}"))
                    .hint(format!("write one of {}", words.join(", ")))
            })
        })
    }

    /// An optional boolean parameter. `None` when wrong, which is reported.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<Option<bool>> {
        match self.param(name) {
            None => Some(None),
            Some(Value::Bool(flag)) => Some(Some(*flag)),
            Some(_) => {
                self.at(name, |report| report.error(format!("{name} must be true or false, without quotes")));
                None
            }
        }
    }

    /// A boolean parameter that must be there.
    pub(crate) fn required_flag(&mut self, name: &'static str) -> Option<bool> {
        match self.flag(name) {
            Some(None) => {
                self.missing(name);
                None
            }
            other => other.flatten(),
        }
    }

    /// An optional whole number within bounds. `None` when wrong, which is reported.
    pub(crate) fn whole(&mut self, name: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<Option<u64>> {
        let Some(value) = self.param(name) else { return Some(None) };
        match value.as_u64().filter(|number| bounds.contains(number)) {
            Some(number) => Some(Some(number)),
            None => {
                let (low, high) = (bounds.start(), bounds.end());
                self.at(name, |report| report.error(format!("{name} must be a whole number from {low} to {high}")));
                None
            }
        }
    }

    /// An optional duration of at least one second.
    pub(crate) fn time_limit(&mut self, name: &'static str) -> Option<Option<std::time::Duration>> {
        self.optional(name, |text| {
            let limit: DeltaTime = text.parse()?;
            if limit == DeltaTime::ZERO {
                Err(Invalid::new(format!("{name} is zero: nothing could ever succeed")))
            } else {
                Ok(limit.as_duration())
            }
        })
    }

    /// Reports what nobody asked for, and what was asked for and is not there under any spelling.
    pub(super) fn finish(self) {
        if !self.kind_asked && self.behavior.kind.as_deref().is_some_and(|kind| kind != NOTHING) {
            let message = format!("{} has no types", self.name);
            self.report.within("type", |report| report.error(message));
        }
        if self.params_free {
            return;
        }
        let params = &self.behavior.params;
        let mut meant = Vec::new();
        for key in params.keys().filter(|key| !self.asked.contains(&key.as_str())) {
            let hint = match nearest(key, self.asked.iter().copied()) {
                Some(near) => {
                    meant.push(near);
                    format!("did you mean {near:?}?")
                }
                None if self.asked.is_empty() => format!("{} has no params", self.name),
                None => format!("legal params: {}", self.asked.join(", ")),
            };
            let message = format!("unknown param {key:?} of {}", self.name);
            self.report
                .within("params", |report| report.within(key.as_str(), |report| report.error_hint(message, hint)));
        }
        for name in self.missing.iter().filter(|name| !meant.contains(*name)) {
            let message = format!("{} needs params.{name}", self.name);
            if params.is_empty() {
                self.report.error(message);
            } else {
                self.report.within("params", |report| report.error(message));
            }
        }
    }
}
