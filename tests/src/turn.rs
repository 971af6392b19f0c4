//! Who runs at the same time: tests that load the machine run alone, so that those that look at the clock are not disturbed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static TURNS: Mutex<Turns> = Mutex::new(Turns { beside: 0, alone: false, waiting: 0, in_a_row: false });
static CHANGED: Condvar = Condvar::new();

/// Who has a turn. Who wants to be alone waits for everybody else, and nobody waits for him before he has his turn: long
/// tests would otherwise hold up all others. So those who want to be alone gather, and then take their turns in a row.
#[derive(Debug)]
struct Turns {
    beside: usize,
    alone: bool,
    waiting: usize,
    in_a_row: bool,
}

/// A turn beside others, until it is dropped.
#[derive(Debug)]
pub struct Beside(());

/// A turn alone, until it is dropped.
#[derive(Debug)]
pub struct Alone(());

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a turn beside others.
#[must_use]
pub fn beside() -> Beside {
    let busy = |turns: &mut Turns| turns.alone || turns.in_a_row;
    CHANGED.wait_while(turns(), busy).unwrap_or_else(PoisonError::into_inner).beside += 1;
    Beside(())
}

/// Waits for a turn during which nobody else has one.
#[must_use]
pub fn alone() -> Alone {
    let mut turns = turns();
    turns.waiting += 1;
    let busy = |turns: &mut Turns| turns.alone || turns.beside > 0;
    turns = CHANGED.wait_while(turns, busy).unwrap_or_else(PoisonError::into_inner);
    turns.waiting -= 1;
    turns.alone = true;
    Alone(())
}

impl Drop for Beside {
    fn drop(&mut self) {
        turns().beside -= 1;
        CHANGED.notify_all();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut turns = turns();
        turns.alone = false;
        turns.in_a_row = turns.waiting > 0;
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn who_is_alone_is_alone_and_everybody_gets_a_turn() {
        let (beside, alone, turns) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for index in 0..40 {
                let (beside, alone, turns) = (&beside, &alone, &turns);
                scope.spawn(move || {
                    if index % 4 == 0 {
                        let _turn = super::alone();
                        let others = alone.fetch_add(1, Ordering::SeqCst) + beside.load(Ordering::SeqCst);
                        std::thread::yield_now();
                        alone.fetch_sub(1, Ordering::SeqCst);
                        assert_eq!(others, 0, "others while {index} is alone");
                    } else {
                        let _turn = super::beside();
                        beside.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        let alone = alone.load(Ordering::SeqCst);
                        beside.fetch_sub(1, Ordering::SeqCst);
                        assert_eq!(alone, 0, "alone beside {index}");
                    }
                    turns.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(turns.into_inner(), 40);
    }
}
