import type { FromWorker, ThreadMessage } from '../messages.js';
import { buildFiles } from './glue.js';

/** Told by a thread's worker when it stands by. */
const READY = 'ready';

/**
 * Starts `count` workers that stand by to become threads. They run this very script, so a page
 * needs no further file and no exception in its content security policy.
 */
export async function startThreads(
  count: number,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<void> {
  const started = Array.from({ length: count }, (_, index) => startThread(index, module, memory));
  await Promise.all(started);
}

/** What kind of script this is: some bundlers make a classic one of it, whose threads must be that too. */
function ownType(): WorkerType {
  try {
    // Modules refuse any, classic scripts this address. Without one Firefox's modules refuse nothing.
    (self as unknown as { importScripts(url: string): void }).importScripts('https://[');
  } catch (error) {
    if ((error as Error).name === 'SyntaxError') return 'classic';
  }
  return 'module';
}

function startThread(index: number, module: WebAssembly.Module, memory: WebAssembly.Memory) {
  const { port1, port2 } = new MessageChannel();
  self.postMessage({ type: 'thread', crashPort: port1 } satisfies FromWorker, [port1]);
  const worker = new Worker(self.location.href, { type: ownType(), name: `llavaguard-${index}` });
  return new Promise<void>((resolve, reject) => {
    worker.onmessage = (event: MessageEvent) => {
      if (event.data === READY) resolve();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`a thread did not start: ${event.message || 'its script did not load'}`));
    };
    const message: ThreadMessage = { type: 'thread', module, memory, crashPort: port2 };
    worker.postMessage(message, [port2]);
  });
}

/** Runs as a thread of the pool until the worker is terminated. */
export async function runThread({ module, memory, crashPort }: ThreadMessage): Promise<void> {
  const { glue } = await buildFiles('relaxed');
  await glue.default({ module_or_path: module, memory });
  self.postMessage(READY);
  try {
    glue.runPoolThread?.();
  } catch (error) {
    crashPort.postMessage(String(error));
  }
}
