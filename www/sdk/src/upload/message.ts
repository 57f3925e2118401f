import type { CheckedFile } from './checks.js';
import type { UploadStrings } from './strings.js';

/** What keeps files from being sent, in a sentence; empty where nothing does. */
export function obstacle(files: readonly CheckedFile[], strings: UploadStrings): string {
  const count = (...statuses: CheckedFile['status'][]) =>
    files.filter(({ status }) => statuses.includes(status)).length;
  const open = count('waiting', 'checking');
  if (open > 0) return strings.stillChecking(open);
  const [blocked, undecided] = [count('blocked'), count('undecided')];
  return blocked + undecided > 0 ? strings.someBlocked(blocked, undecided) : '';
}
