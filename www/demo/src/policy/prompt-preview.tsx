import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { policy } from './policy-store.js';

/** The exact text the model reads for the policy, and how long that is for it. */
export function PromptPreview() {
  const { policy: text } = strings.value;
  const prompt = policy.prompt.value;
  if (!prompt) return null;
  return (
    <details class="fold" id="prompt">
      <summary>
        {text.prompt}{' '}
        <span class="quiet" id="prompt-tokens">
          {text.tokens(whole(prompt.tokens))}
        </span>
      </summary>
      <p class="quiet">{text.promptMeans}</p>
      <pre id="prompt-text" tabIndex={0} lang="en" aria-label={text.prompt}>
        {prompt.text}
      </pre>
    </details>
  );
}
