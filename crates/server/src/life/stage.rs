//! What the process takes part in at the moment.

use tokio::sync::watch;

/// ```text
/// Starting --serving()--> Serving --stop()--> Draining | HandingOver
///     `-----------------------stop()-----------^
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The sockets are not served yet.
    Starting,
    /// Requests are served.
    Serving,
    /// Asked to end: requests in flight are finished, no new connections.
    Draining,
    /// Asked to end once the sockets are in the hands of a new process.
    HandingOver,
}

/// The process's stage, shared by all that read or move it. It only goes forward.
#[derive(Debug, Clone)]
pub struct Stage(watch::Sender<Now>);

impl Default for Stage {
    fn default() -> Self {
        Self(watch::Sender::new(Now::Starting))
    }
}

impl Stage {
    /// The stage now.
    #[must_use]
    pub fn now(&self) -> Now {
        *self.0.borrow()
    }

    /// Whether a load balancer should send requests here.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.now() == Now::Serving
    }

    /// The sockets are served. Too late after a stop.
    pub fn serving(&self) {
        self.0.send_if_modified(|now| {
            let first = *now == Now::Starting;
            if first {
                *now = Now::Serving;
            }
            first
        });
    }

    /// Begins the end. False when it had begun before: the first way counts.
    #[must_use = "a second stop means that someone is impatient"]
    pub fn stop(&self, hand_over: bool) -> bool {
        self.0.send_if_modified(|now| {
            let first = matches!(now, Now::Starting | Now::Serving);
            if first {
                *now = if hand_over { Now::HandingOver } else { Now::Draining };
            }
            first
        })
    }

    /// Waits for the stop, also one that came earlier, and says which it is.
    pub async fn stopped(&self) -> Now {
        let mut changes = self.0.subscribe();
        loop {
            let now = *changes.borrow_and_update();
            if matches!(now, Now::Draining | Now::HandingOver) {
                return now;
            }
            if changes.changed().await.is_err() {
                // Cannot be: this stage holds the sender.
                return Now::Draining;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_only_goes_forward() {
        #[derive(Debug, Clone, Copy)]
        enum Do {
            Serving,
            Stop,
            HandOver,
        }
        let cases: [(&[Do], Now); 7] = [
            (&[], Now::Starting),
            (&[Do::Serving], Now::Serving),
            (&[Do::Stop], Now::Draining),
            (&[Do::Stop, Do::Serving], Now::Draining),
            (&[Do::Serving, Do::HandOver], Now::HandingOver),
            (&[Do::Serving, Do::HandOver, Do::Stop], Now::HandingOver),
            (&[Do::Serving, Do::Stop, Do::HandOver], Now::Draining),
        ];
        for (steps, wanted) in cases {
            let stage = Stage::default();
            let mut stops = 0;
            for step in steps {
                let first = match step {
                    Do::Serving => {
                        stage.serving();
                        continue;
                    }
                    Do::Stop => stage.stop(false),
                    Do::HandOver => stage.stop(true),
                };
                stops += 1;
                assert_eq!(first, stops == 1, "{steps:?}");
            }
            assert_eq!(stage.now(), wanted, "{steps:?}");
            assert_eq!(stage.ready(), wanted == Now::Serving, "{steps:?}");
        }
    }

    #[tokio::test]
    async fn a_stop_before_anyone_waited_is_not_lost() {
        let stage = Stage::default();
        assert!(stage.stop(false));
        assert_eq!(stage.stopped().await, Now::Draining);
    }
}
