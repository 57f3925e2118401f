import { strings } from '../strings/index.js';
import { engine, type Fallback, type Loading, type Running } from './engine.js';
import { megabytes } from './format.js';

/** What the engine does or is, in a sentence or two. */
export function engineText(): string {
  const { engine: text } = strings.value;
  const loading = engine.loading.value;
  if (loading) return loadingText(loading);
  const running = engine.running.value;
  const ready =
    running && [readyText(running), ...engine.fallbacks.value.map(fallbackText)].join(' ');
  switch (engine.state.value) {
    case 'ready':
      return ready ?? text.none;
    case 'lost':
      return text.lost;
    default:
      return [text.failed, ready ?? ''].join(' ').trim();
  }
}

/** How much of a load is done, from 0 to 1; none where that is not known. */
export function loadingShare({ progress }: Loading): number | undefined {
  return progress && progress.total > 0 ? progress.done / progress.total : undefined;
}

function loadingText({ name, progress }: Loading): string {
  const { engine: text } = strings.value;
  if (!progress) return text.loading(name);
  switch (progress.stage) {
    case 'wait':
      return text.waiting;
    case 'verify':
      return text.verifying(amount(progress.done, progress.total));
    case 'download': {
      const { done, total, bytesPerSecond, secondsLeft } = progress;
      const rate = bytesPerSecond > 0 ? text.rate(megabytes(bytesPerSecond)) : '';
      const left = secondsLeft === undefined ? '' : text.left(Math.ceil(secondsLeft));
      return text.fetching(amount(done, total), rate, left);
    }
    default:
      return text.reading(progress.done, progress.total);
  }
}

function amount(done: number, total: number): string {
  const { engine: text } = strings.value;
  return total > 0
    ? text.amount(megabytes(done), megabytes(total))
    : text.amountOnly(megabytes(done));
}

function readyText({ info, build, threads }: Running): string {
  const { engine: text } = strings.value;
  return text.ready(info.name, build, build === 'webgpu' ? info.device : text.threads(threads));
}

function fallbackText({ build, reason }: Fallback): string {
  const { engine: text } = strings.value;
  return reason === undefined ? text.gpuLost(build) : text.notStarted(build, reason);
}
