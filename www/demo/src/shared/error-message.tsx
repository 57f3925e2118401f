import { strings } from '../strings/index.js';
import { exactWords, type Failure, failureOf, sentenceOf } from './error-text.js';
import { Words } from './words.js';

/** Shows an error, and tells screen readers at once; nothing where there is none. */
export function ErrorMessage({ error, id }: { error: unknown; id?: string }) {
  if (error === undefined) return null;
  return <FailureMessage failure={failureOf(error)} id={id} alert />;
}

/** Shows what went wrong; `alert` tells screen readers at once. */
export function FailureMessage({
  failure,
  id,
  alert = false,
}: {
  failure: Failure;
  id?: string | undefined;
  alert?: boolean;
}) {
  const exact = exactWords(failure);
  return (
    <div class="error" role={alert ? 'alert' : undefined} data-code={failure.code} id={id}>
      <p>
        <Words text={sentenceOf(failure)} />
      </p>
      {exact !== undefined && (
        <p class="exact-words">
          {strings.value.errors.exactly}{' '}
          <span lang="en">
            <Words text={exact} />
          </span>
        </p>
      )}
    </div>
  );
}
