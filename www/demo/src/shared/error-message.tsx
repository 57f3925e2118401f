import { errorCode, errorText } from './error-text.js';

/** Shows an error, and tells screen readers at once; nothing where there is none. */
export function ErrorMessage({ error, id }: { error: unknown; id?: string }) {
  if (error === undefined) return null;
  return (
    <p class="error" role="alert" data-code={errorCode(error)} id={id}>
      {errorText(error)}
    </p>
  );
}
