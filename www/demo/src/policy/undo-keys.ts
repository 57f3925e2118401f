import { policy } from './policy-store.js';

/** Undoes and redoes by the usual keys, where no text is being typed. */
export function undoByKeyboard(): () => void {
  const listener = (event: KeyboardEvent) => {
    const { target, key } = event;
    const typing = target instanceof HTMLElement && target.matches('input, textarea, select');
    if (typing || !(event.ctrlKey || event.metaKey) || event.altKey) return;
    const again = key.toLowerCase() === 'y' || (key.toLowerCase() === 'z' && event.shiftKey);
    if (!again && key.toLowerCase() !== 'z') return;
    event.preventDefault();
    void (again ? policy.redo() : policy.undo());
  };
  document.addEventListener('keydown', listener);
  return () => {
    document.removeEventListener('keydown', listener);
  };
}
