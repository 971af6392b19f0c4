//! Rule sets are replaced while requests are judged.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[test]
fn eight_swaps_under_traffic_change_no_verdict() {
    let current = RwLock::new(rules());
    let (stop, asked, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let set = Arc::clone(&current.read().unwrap());
                    let evil = n % 2 == 0;
                    let target =
                        if evil { "/?q=%3Cscript%3Ealert(1)%3C/script%3E" } else { "/products?page=2&sort=price" };
                    let verdict = set.inspect(&get(target)).unwrap();
                    let right = verdict.refuse == evil && verdict.rules.is_empty() != evil;
                    wrong.fetch_add(usize::from(!right), Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..8 {
            *current.write().unwrap() = load(&plan()).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (asked, wrong) = (asked.into_inner(), wrong.into_inner());
    println!("8 swaps, {asked} verdicts, {wrong} wrong");
    assert!(asked > 200, "{asked}");
    assert_eq!(wrong, 0);
}
