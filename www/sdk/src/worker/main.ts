/**
 * The script of the package's workers: the engine's own, and the threads of its pool.
 */

import { toErrorMessage } from '../errors.js';
import type { FromWorker, ThreadMessage, ToWorker } from '../messages.js';
import { Job } from './job.js';
import { runThread } from './pool.js';
import { Service } from './service.js';

const service = new Service();
const jobs = new Map<number, Job>();
// The engine does one thing at a time; what comes meanwhile waits its turn.
let turn: Promise<void> = Promise.resolve();

function post(message: FromWorker): void {
  self.postMessage(message);
}

async function work(id: number, job: Job, request: Parameters<Service['answer']>[0]) {
  try {
    job.signal.throwIfAborted();
    post({ type: 'done', id, value: await service.answer(request, job) });
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      post({ type: 'crashed', message: error.message });
    }
    post({ type: 'failed', id, error: toErrorMessage(error, 'engine.failed') });
  } finally {
    jobs.delete(id);
  }
}

self.onmessage = (event: MessageEvent<ToWorker | ThreadMessage>) => {
  const message = event.data;
  switch (message.type) {
    case 'thread':
      void runThread(message);
      break;
    case 'cancel':
      jobs.get(message.id)?.cancel();
      break;
    case 'request': {
      const { id, request } = message;
      const job = new Job(id);
      jobs.set(id, job);
      turn = turn.then(() => work(id, job, request));
      break;
    }
  }
};

// A trap inside the engine's asynchronous code ends here: its promise will never settle.
self.onunhandledrejection = (event) => {
  event.preventDefault();
  post({ type: 'crashed', message: String(event.reason) });
};
