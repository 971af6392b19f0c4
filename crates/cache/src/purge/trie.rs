//! A map that shares what did not change: one more rule copies a handful of nodes, however many rules there are.

use std::sync::Arc;

use super::rules::Marks;

/// Children of a node, one for each value of four bits.
const WIDTH: usize = 16;
const BITS: u32 = WIDTH.trailing_zeros();

/// Rules by their 128-bit name. The names are hashes already, so the tree is as even as a hash table, and two rules with one
/// name are one rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Trie {
    root: Option<Arc<Node>>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(u128, Marks),
    Branch([Option<Arc<Node>>; WIDTH]),
}

impl Trie {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, name: u128) -> Option<&Marks> {
        let mut node = self.root.as_deref()?;
        let mut rest = name;
        loop {
            match node {
                Node::Leaf(found, marks) => return (*found == name).then_some(marks),
                Node::Branch(children) => {
                    node = children.get(nibble(rest))?.as_deref()?;
                    rest >>= BITS;
                }
            }
        }
    }

    /// Changes the marks of a name, which begin as `marks`.
    pub(super) fn merge(&mut self, name: u128, marks: Marks) {
        if merge(&mut self.root, name, 0, marks) {
            self.len += 1;
        }
    }

    /// Every name with its marks, in no order that means anything.
    pub(super) fn for_each(&self, mut each: impl FnMut(u128, &Marks)) {
        let mut open: Vec<&Node> = self.root.as_deref().into_iter().collect();
        while let Some(node) = open.pop() {
            match node {
                Node::Leaf(name, marks) => each(*name, marks),
                Node::Branch(children) => open.extend(children.iter().filter_map(Option::as_deref)),
            }
        }
    }
}

/// Whether the name is new. `depth` counts the bits that led here.
fn merge(slot: &mut Option<Arc<Node>>, name: u128, depth: u32, marks: Marks) -> bool {
    let Some(node) = slot else {
        *slot = Some(Arc::new(Node::Leaf(name, marks)));
        return true;
    };
    // copies the node when an older state still has it
    let node = Arc::make_mut(node);
    match node {
        Node::Leaf(found, old) if *found == name => {
            old.merge(&marks);
            false
        }
        Node::Leaf(found, old) => {
            let (found, old) = (*found, *old);
            let mut children = [const { None }; WIDTH];
            if let Some(child) = children.get_mut(nibble(found >> depth)) {
                *child = Some(Arc::new(Node::Leaf(found, old)));
            }
            *node = Node::Branch(children);
            descend(node, name, depth, marks)
        }
        Node::Branch(_) => descend(node, name, depth, marks),
    }
}

fn descend(node: &mut Node, name: u128, depth: u32, marks: Marks) -> bool {
    let Node::Branch(children) = node else { return false };
    children.get_mut(nibble(name >> depth)).is_some_and(|child| merge(child, name, depth + BITS, marks))
}

fn nibble(bits: u128) -> usize {
    (bits & (WIDTH as u128 - 1)) as usize
}
