//! Where in a file a value stands. Only asked when something is to be printed, and never asked whether a file is valid.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

use crate::tree::{MERGE, Step};

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The beginning of a file.
pub(crate) const START: Place = Place { line: 1, column: 1 };

/// Which part of a mapping's entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The key.
    Key,
    /// The key where it is given the last time.
    LastKey,
    /// The value.
    Value,
}

/// The positions of a file's values. An alias stands for what it names without a copy.
#[derive(Debug, Default)]
pub(crate) struct Places {
    nodes: Vec<Node>,
    root: Option<usize>,
}

#[derive(Debug)]
struct Node {
    place: Place,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar,
    List(Vec<usize>),
    Map(Vec<(String, Place, usize)>),
    /// Another node.
    Alias(usize),
}

/// A collection that is being read.
struct Open {
    node: usize,
    /// Its anchor, 0: none.
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, Place)>,
}

impl Places {
    /// Reads the positions of a text; of a broken one those before the fault.
    pub(crate) fn read(text: &str) -> Self {
        let mut places = Self::default();
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let (kind, anchor, collection, scalar) = match event {
                Event::Scalar(text, _, anchor, _) => (Kind::Scalar, anchor, false, Some(text)),
                Event::Alias(anchor) => match anchors.get(&anchor) {
                    Some(node) => (Kind::Alias(*node), 0, false, None),
                    None => (Kind::Scalar, 0, false, None),
                },
                Event::SequenceStart(anchor, _) => (Kind::List(Vec::new()), anchor, true, None),
                Event::MappingStart(anchor, _) => (Kind::Map(Vec::new()), anchor, true, None),
                Event::SequenceEnd | Event::MappingEnd => {
                    // Only now can an alias name it: an alias within it would lead round in a circle.
                    if let Some(Open { node, anchor: anchor @ 1.., .. }) = open.pop() {
                        anchors.insert(anchor, node);
                    }
                    continue;
                }
                Event::DocumentEnd => break,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => continue,
            };
            let node = places.add(place(span), kind);
            places.attach(open.last_mut(), node, scalar);
            if collection {
                open.push(Open { node, anchor, key: None });
            } else if anchor > 0 {
                anchors.insert(anchor, node);
            }
        }
        places
    }

    fn add(&mut self, place: Place, kind: Kind) -> usize {
        self.nodes.push(Node { place, kind });
        self.nodes.len() - 1
    }

    /// Puts a node where it belongs: into the list, as a key, as the value of the key before it, or at the root.
    fn attach(&mut self, parent: Option<&mut Open>, node: usize, scalar: Option<Cow<'_, str>>) {
        let Some(parent) = parent else {
            self.root.get_or_insert(node);
            return;
        };
        let place = self.nodes.get(node).map_or(START, |node| node.place);
        match self.nodes.get_mut(parent.node).map(|node| &mut node.kind) {
            Some(Kind::List(list)) => list.push(node),
            Some(Kind::Map(entries)) => match parent.key.take() {
                Some((key, at)) => entries.push((key, at, node)),
                None => parent.key = Some((scalar.unwrap_or_default().into_owned(), place)),
            },
            _ => {}
        }
    }

    /// The position of the value at a path, or of as much of the path as there is.
    pub(crate) fn find(&self, path: &[Step], part: Part) -> Place {
        let Some(mut at) = self.root else {
            return START;
        };
        let mut place = self.place(at);
        for (i, step) in path.iter().enumerate() {
            let last = i + 1 == path.len();
            let Some((key, node)) = self.child(at, step, last && part == Part::LastKey) else {
                break;
            };
            at = node;
            place = match key {
                Some(key) if last && part != Part::Value => key,
                _ => self.place(at),
            };
        }
        place
    }

    fn place(&self, node: usize) -> Place {
        self.nodes.get(node).map_or(START, |node| node.place)
    }

    fn child(&self, node: usize, step: &Step, from_the_end: bool) -> Option<(Option<Place>, usize)> {
        match (&self.nodes.get(node)?.kind, step) {
            (Kind::Alias(node), _) => self.child(*node, step, from_the_end),
            (Kind::List(list), Step::Index(i)) => Some((None, *list.get(*i)?)),
            (Kind::Map(entries), Step::Key(key)) => {
                let mut found = entries.iter().filter(|(name, ..)| name == key);
                let entry = if from_the_end { found.next_back() } else { found.next() };
                entry.map(|(_, at, node)| (Some(*at), *node)).or_else(|| self.merged(entries, step))
            }
            _ => None,
        }
    }

    /// A key that comes from `<<`.
    fn merged(&self, entries: &[(String, Place, usize)], step: &Step) -> Option<(Option<Place>, usize)> {
        let (.., node) = entries.iter().find(|(name, ..)| name == MERGE)?;
        self.child(*node, step, false).or_else(|| match &self.nodes.get(*node)?.kind {
            Kind::List(list) => list.iter().find_map(|node| self.child(*node, step, false)),
            _ => None,
        })
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Step> {
        let step = |step: &str| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index);
        text.split('.').filter(|step| !step.is_empty()).map(step).collect()
    }

    #[test]
    fn a_path_leads_to_the_line_and_column_of_the_value_or_its_key() {
        let text = "\
# comment
base: &base { list: [one, 'two'], deep: { x: 1 } }
copy: *base
merged:
  <<: *base
  own: |
    text
many:
  <<: [{ a: 1 }, { b: 2 }]
twice: 1
twice: 2
é: { ü: x, ö: y }
";
        let places = Places::read(text);
        for (at, part, line, column) in [
            ("base.list", Part::Key, 2, 15),
            ("base.list.1", Part::Value, 2, 27),
            ("base.deep.x", Part::Value, 2, 46),
            ("copy.list.0", Part::Value, 2, 22),
            ("merged.list.1", Part::Value, 2, 27),
            ("merged.own", Part::Key, 6, 3),
            ("many.b", Part::Value, 9, 23),
            ("twice", Part::Value, 10, 8),
            ("twice", Part::Key, 10, 1),
            ("twice", Part::LastKey, 11, 1),
            ("é.ö", Part::Key, 12, 12),
            // As far as there is a way.
            ("base.nothing.at.all", Part::Value, 2, 7),
            ("", Part::Value, 2, 1),
        ] {
            assert_eq!(places.find(&path(at), part), Place { line, column }, "{at} {part:?}");
        }
    }

    #[test]
    fn what_comes_before_a_fault_still_has_its_place() {
        let places = Places::read("a: 1\nb: [1, 2\nc: }");
        assert_eq!(places.find(&path("a"), Part::Value), Place { line: 1, column: 4 });
        let circle = Places::read("a: &a { <<: *a, b: [*a] }");
        assert_eq!(circle.find(&path("a.c.b.0.b"), Part::Value), Place { line: 1, column: 4 });
        assert_eq!(circle.find(&path("a.b.0.b"), Part::Value), Place { line: 1, column: 21 });
        assert_eq!(Places::read("").find(&path("a"), Part::Value), START);
    }
}
