/**
 * The script of the package's workers: the engine's own, and the threads of its pool.
 */

import { toErrorMessage } from '../errors.js';
import type { FromWorker, ThreadMessage, ToWorker } from '../messages.js';
import type { HeldImage } from './image.js';
import { Job } from './job.js';
import { runThread } from './pool.js';
import { Queue } from './queue.js';
import { Service } from './service.js';

const service = new Service();
const jobs = new Map<number, Job>();
const queue = new Queue();

function post(message: FromWorker): void {
  self.postMessage(message);
}

function take({ id, request, priority }: Extract<ToWorker, { type: 'request' }>): void {
  const job = new Job(id);
  jobs.set(id, job);
  let image: Promise<HeldImage> | undefined;
  const prepare = () => {
    if (image || job.cancelled() || !('image' in request)) return;
    image = service.hold(request.image, job);
    // Its failure is told when its turn comes.
    image.catch(() => undefined);
  };
  const run = async () => {
    try {
      job.signal.throwIfAborted();
      prepare();
      post({ type: 'done', id, value: await service.answer(request, job, image) });
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) {
        post({ type: 'crashed', message: error.message });
      }
      post({ type: 'failed', id, error: toErrorMessage(error, 'engine.failed') });
    } finally {
      jobs.delete(id);
      if (!image && 'image' in request && request.image.kind === 'bitmap')
        request.image.bitmap.close();
    }
  };
  queue.add({ priority: priority ?? 'user-visible', prepare, run });
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
    case 'request':
      take(message);
      break;
  }
};

// A trap inside the engine's asynchronous code ends here: its promise will never settle.
self.onunhandledrejection = (event) => {
  event.preventDefault();
  post({ type: 'crashed', message: String(event.reason) });
};
