import { strings } from '../strings/index.js';
import { engine, type Loading, type Running, type Setback } from './engine.js';
import { megabytes } from './format.js';

/** What the engine does or is, in a sentence or two. */
export function engineText(): string {
  const { engine: text } = strings.value;
  const loading = engine.loading.value;
  if (loading) {
    const { setback } = loading;
    return [loadingText(loading), ...(setback ? [setbackText(setback)] : [])].join(' ');
  }
  const running = engine.running.value;
  if (running) return [readyText(running), ...engine.fallbacks.value.map(setbackText)].join(' ');
  return engine.state.value === 'lost' ? text.lost : text.failed;
}

/** Why the package has begun anew, and on what. */
export function setbackText(setback: Setback): string {
  const { engine: text } = strings.value;
  const { code } = setback;
  if (setback.stage === 'retry') return text.retries[code] ?? text.retry;
  return text.gpuLeft[code] ?? text.buildLeft(setback.build);
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
