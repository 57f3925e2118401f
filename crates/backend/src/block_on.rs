//! Waiting for a future without an executor.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on the calling thread, which sleeps while the future is pending.
///
/// For callers that need no executor: the command line and tests. A page must not call it on its
/// main thread; in a browser the worker awaits instead.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_another_thread() {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let waking = std::thread::spawn(move || receiver.recv().unwrap().wake());
        let mut polls = 0;
        let output = block_on(std::future::poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                sender.send(context.waker().clone()).unwrap();
                return Poll::Pending;
            }
            Poll::Ready(polls)
        }));
        waking.join().unwrap();
        assert!(output >= 2);
    }
}
