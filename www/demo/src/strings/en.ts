/**
 * Every text of the page in English. Another language is a file beside this one, of the type
 * {@link Strings}, and an entry in `index.ts`. What the model reads and writes is English always, and
 * so are the package's own error messages.
 */
export const en = {
  /** Of the language, in itself. */
  language: 'English',
  title: 'LlavaGuard: a photo, a policy, a verdict',
  tagline: 'Judges a photo against a written safety policy, right here in this tab.',
  skip: 'Skip to the content',
  nav: {
    label: 'Views',
    judge: 'Judge',
    models: 'Models',
  },
  languageChooser: 'Language',
  dropAnywhere: 'Drop it anywhere',
  welcome: {
    label: 'About this page',
    lines: [
      ['Nothing leaves this machine.', 'Your photo is judged in this tab and never uploaded.'],
      [
        'The demo model is small.',
        'It knows firearms, knives, smoking, alcohol, fire and ordinary things, and makes mistakes on those too.',
      ],
      [
        'Do not rely on it.',
        'It shows how LlavaGuard works; it does not have LlavaGuard’s accuracy.',
      ],
    ] as [lead: string, rest: string][],
  },
  picture: {
    heading: 'Photo',
    detail: 'Detail',
    levels: { low: 'low: whole photo once', auto: 'auto', high: 'high: all tiles' },
    invitation: 'Drop a photo, or choose one',
    ways: 'Pasting from the clipboard works too.',
    noPreview: 'The browser cannot show this file.',
    alt: (name: string) => `The chosen photo, ${name}`,
    named: (name: string, size: string) => `${name}, ${size}`,
  },
  verdict: {
    heading: 'Verdict',
    stop: 'Stop',
    progress: 'Progress',
    why: 'Why',
    json: 'Assessment as JSON',
    ratings: { Safe: 'Safe', Unsafe: 'Unsafe' },
    phases: {
      empty: 'Bring a photo to begin.',
      waiting: 'Waiting for the model…',
      stopped: 'Stopped. Bring a photo or change the policy to judge again.',
      failed: 'Not judged.',
    },
    steps: {
      open: 'Reading the photo…',
      vision: 'Looking at the photo…',
      prefill: 'Reading the policy…',
      decode: 'Writing the reason…',
      retry: 'The GPU failed. Trying it once more…',
      fallback: 'The GPU failed. Going on with the CPU…',
    },
    judgedUnder: (name: string) => `Judged under “${name}”.`,
  },
  policy: {
    heading: 'Policy',
    modes: { default: 'by its rules', non_violating: 'allowed', sensitive: 'forbidden' },
  },
  models: {
    heading: 'Model',
  },
  update: {
    text: 'A new version of this page is ready.',
    use: 'Use it',
  },
  errors: {
    unexpected: (message: string) =>
      `Something unexpected went wrong: ${message}. Reload the page and try again.`,
  },
  units: {
    seconds: (value: string) => `${value} s`,
    milliseconds: (value: string) => `${value} ms`,
  },
  engine: {
    starting: 'Starting…',
    loading: (name: string) => `Loading ${name}…`,
    waiting: 'Another tab is loading this model; waiting for it…',
    verifying: (amount: string) => `Checking what is stored: ${amount}`,
    fetching: (amount: string, rate: string, left: string) =>
      `Fetching the model: ${[amount, rate, left].filter((part) => part !== '').join(', ')}`,
    rate: (megabytes: string) => `${megabytes} MB/s`,
    left: (seconds: number) => `${seconds} s left`,
    amount: (done: string, total: string) => `${done} of ${total} MB`,
    amountOnly: (done: string) => `${done} MB`,
    reading: (done: number, total: number) => `Reading the model: ${done} of ${total} tensors`,
    ready: (name: string, build: string, device: string) =>
      `${name} is ready: ${build} build, ${device}.`,
    threads: (count: number) => (count === 1 ? 'one thread' : `${count} threads`),
    notStarted: (build: string, reason: string) =>
      `(The ${build} build could not be used: ${reason}.)`,
    gpuLost: (build: string) => `(The ${build} build lost its GPU.)`,
    failed: 'The model was not loaded.',
    lost: 'The engine has stopped.',
    none: 'There is no model.',
    demo: 'the demo model',
  },
};

/** What a language has to say. */
export type Strings = typeof en;
