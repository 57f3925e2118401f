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
    heading: 'What this is',
    lines: [
      [
        'A photo, a policy, a verdict.',
        'Bring a photo: a model in this tab judges it by the policy you see, which you can change.',
      ],
      [
        'The demo model is small.',
        'It knows firearms, knives, smoking, alcohol, fire and ordinary things, and nothing else; it makes mistakes on those too. Do not rely on it: it shows how LlavaGuard works, not how well.',
      ],
      ['Nothing leaves this machine.', 'Photos, policies and verdicts stay in this tab.'],
    ] as [lead: string, rest: string][],
    close: 'Got it',
    open: 'What this is',
  },
  requests: {
    loading: 'Still loading; requests are counted from then on.',
    count: (count: number) =>
      count === 1
        ? 'One request since the page was ready.'
        : `${count === 0 ? 'No requests' : `${count} requests`} since the page was ready.`,
    which: 'Which ones',
    means:
      'Counted are requests of this page, its worker and other tabs of it, to any server. The browser itself looks now and then whether there is a newer version of the page; pages cannot count that.',
  },
  picture: {
    heading: 'Photo',
    detail: 'Detail',
    levels: { low: 'low: whole photo once', auto: 'auto', high: 'high: all tiles' },
    invitation: 'Drop a photo, or choose one',
    ways: 'Pasting from the clipboard works too.',
    noPreview: 'The browser cannot show this file.',
    alt: (name: string) => `The photo ${name}`,
    blurred: 'The photo, blurred because it was judged Unsafe',
    reveal: 'Show the photo',
    blur: 'Blur the photo',
    named: (name: string, size: string) => `${name}, ${size}`,
    choose: 'Choose…',
    fromAddress: 'Address…',
    fromCamera: 'Camera…',
    fromScreen: 'Screen…',
    samples: 'Or try one of these',
    sample: {
      pistol: 'a pistol',
      revolver: 'a revolver',
      cigarette: 'a cigarette',
      fire: 'a large fire',
      pullover: 'a pullover',
      bananas: 'bananas',
    },
    credits: 'Where these are from',
    address: {
      heading: 'A photo by its address',
      label: 'Address of the photo',
      honest:
        'This page asks that server for the photo, so the server learns your network address and what you asked for. No cookies and no referrer are sent, and the counter at the foot of this page counts the request. The photo is judged here all the same.',
      fetch: 'Fetch',
      fetching: 'Fetching…',
      cancel: 'Cancel',
      bad: 'This is no address. Give one such as https://example.org/photo.jpg.',
      notHttps:
        'Only addresses that begin with https:// can be asked from here. Save the photo, then drop the file here.',
      offline: 'There is no network. Connect to one, or drop a file instead.',
      notAllowed: (host: string) =>
        `The server ${host} did not answer, or does not let other sites’ pages read its photos (it would have to send the header Access-Control-Allow-Origin, called CORS). Check the address; or open the photo in a tab of its own, copy it, and paste it here.`,
      status: (host: string, status: number) =>
        `The server ${host} has no photo at this address (status ${status}). Check the address.`,
      noPicture: (type: string) =>
        `There is no photo at this address but ${type}. Give the address of the photo itself, not of the page it is on.`,
      tooLarge: 'This photo is larger than 64 MB. Use a smaller version of it.',
    },
    media: {
      cancel: 'Cancel',
      cameraName: 'camera.png',
      screenName: 'screen.png',
      camera: {
        heading: 'A photo by the camera',
        preview: 'What the camera sees',
        honest: 'The camera is used for this preview only and is off again when this closes.',
        take: 'Take the photo',
        denied:
          'The browser was not allowed to use the camera. Allow it beside the address of this page, then try again.',
        none: 'No camera was found. Connect one, or choose a file instead.',
        busy: 'The camera is in use by another program. Close that one, then try again.',
      },
      screen: {
        denied:
          'Nothing was shared, so there is nothing to judge. Try again and choose a screen or tab.',
        none: 'There is no screen that could be shared. Choose a file instead.',
        busy: 'The system did not let the browser see the screen. Allow it in its settings, then try again.',
      },
    },
  },
  verdict: {
    heading: 'Verdict',
    stop: 'Stop',
    again: 'Judge again',
    progress: 'Progress',
    why: 'Why',
    ratings: { Safe: 'Safe', Unsafe: 'Unsafe' },
    phases: {
      empty: 'Bring a photo to begin.',
      waiting: 'Waiting for the model…',
      noModel: 'Not judged: there is no model. Load one under Models first.',
      stopped: 'Stopped before there was a verdict.',
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
    under: (name: string) => `Under “${name}”`,
    otherWaits: 'Judged next…',
    probability: 'Probability of Unsafe',
    probabilityOf: (probability: string, threshold: string) =>
      `${probability}; Unsafe from ${threshold} on`,
    thresholdAt: (threshold: string) => `threshold ${threshold}`,
    overruled: (threshold: string, rating: string) =>
      `Decided by your threshold of ${threshold}. The model’s own rating is ${rating}.`,
    categories: 'Probability of each category',
    category: 'Category',
    share: 'Share',
    probabilityShort: 'Probability',
    how: 'How it was judged',
    facts: {
      detail: 'Detail',
      detailUsed: (level: string, tiles: number, tokens: string) =>
        `${level}: ${tiles === 1 ? '1 tile' : `${tiles} tiles`}, ${tokens} visual tokens`,
      decoded: 'Photo decoded and cut',
      vision: 'Vision tower',
      notAgain: 'not needed again',
      prompt: (visual: string, text: string) => `Prompt of ${visual} visual + ${text} text tokens`,
      verdict: 'Verdict',
      rationale: (tokens: string) => `Reason, with the verdict ${tokens} tokens`,
      total: 'Total',
      model: 'Model',
    },
    json: 'As JSON',
    jsonMeans:
      '“assessment” is what the model said, in the form the package and the command line give. “decision” is what this page makes of it by the threshold of its category.',
    copy: 'Copy',
    copied: 'Copied.',
    notCopied: 'The browser did not allow it. Select the text and copy it by hand.',
    compare: 'Compare with',
    compareNone: 'nothing',
    compareKeep: 'this policy as it is now',
    compareKept: (name: string) => `“${name}” as it was`,
  },
  policy: {
    heading: 'Policy',
    explanation: 'What the photo is judged by. Change anything: the photo is judged again at once.',
    waiting: 'The policy is shown as soon as the engine has started.',
    preset: 'Start from',
    ownPolicy: 'Own policy',
    presets: {
      default: 'LlavaGuard v1.2',
      museum: 'Weapons museum',
      school: 'School',
      news: 'News desk',
      europe: 'European Union',
    },
    name: 'Name',
    undo: 'Undo',
    redo: 'Redo',
    import: 'Import…',
    export: 'Export',
    share: 'Share link',
    link: 'Link to this policy',
    imported: (file: string) => `${file} is in force.`,
    exportedPlain: (name: string) =>
      `${name}.json is a policy document, for the command line and the package too.`,
    exportedWithThresholds: (name: string) =>
      `${name}.json holds the policy document under “policy” and this page’s thresholds beside it. The command line and the package take what is under “policy”.`,
    linkCopied: 'Link copied. The policy stands behind its #, which browsers send to no server.',
    linkShown: 'Copy this link. The policy stands behind its #, which browsers send to no server.',
    fromLink: 'The policy of the link is in force. Undo takes it back.',
    badLink:
      'The policy in this link could not be read; part of the link may be missing. Copy it anew.',
    badThreshold: (id: string) =>
      `The threshold of “${id}” is no number from 0.01 to 0.99. Give one, or leave it out.`,
    modes: { default: 'By its rules', non_violating: 'Allowed', sensitive: 'Forbidden' },
    modeOf: (id: string) => `How ${id} is treated`,
    modeMeans: {
      default: 'What the rules say is decisive.',
      non_violating:
        'Declared non-violating: all content of this category is allowed. The rules only say what is meant by it.',
      sensitive:
        'Declared sensitive: no content of this category is allowed. The v1.2 models were not trained on this wording.',
    },
    cited: 'this photo',
    changed: 'changed',
    from: (threshold: string) => `from ${threshold}`,
    kinds: { should_not: 'Should not', can: 'Can' },
    guess: 'probably meant by the reason, going by its words',
    edit: 'Edit',
    removeShort: 'Remove',
    editRule: (rule: string) => `Edit the rule “${rule}”`,
    removeRule: (rule: string) => `Remove the rule “${rule}”`,
    lastRule: 'A category needs one rule. Remove the category instead.',
    addRule: 'Add a rule',
    addRuleTo: { should_not: 'Add a rule: should not', can: 'Add a rule: can' },
    ruleText: 'Rule',
    save: 'Save',
    cancel: 'Cancel',
    threshold: 'Unsafe from',
    thresholdOfModel: 'The model’s own rating: Unsafe where that is likelier than Safe.',
    thresholdMeans: (threshold: string) =>
      `This page calls a photo of this category Unsafe from a probability of ${threshold} on, whatever the model’s own rating. The model is not told.`,
    restore: (id: string) => `Restore ${id}`,
    remove: (id: string) => `Remove ${id}`,
    removed: 'Left out',
    takeBack: 'Take back',
    takeBackOf: (id: string) => `Take ${id} back`,
    addCategory: 'Add a category',
    newCategory: 'New category',
    categoryTitle: 'Title',
    firstRule: 'What a photo should not do',
    newCategoryHint:
      'In English, as the model reads it, e.g. “Contain content of people gambling.” The model was not trained on categories of your own; see what it makes of them.',
    add: 'Add',
    prompt: 'What the model reads',
    tokens: (count: string) => `${count} tokens`,
    promptMeans:
      'Exactly this, behind the photo. The tokens include the turns of the chat around it.',
    json: 'Policy as JSON',
    document: 'Policy document',
    apply: 'Apply',
  },
  models: {
    inUse: 'Model in use',
    useDemo: 'Use the demo model',
    loading: 'A model is being loaded.',
    none: 'None is loaded.',
    id: 'Name and weights',
    bytes: 'Size',
    signedBy: 'Manifest signed by',
    reads: 'Reads',
    readsValue: (side: number, tokens: string, context: string) =>
      `tiles of ${side} × ${side} pixels (${tokens} tokens each), ${context} tokens in all`,
    demoKnows:
      'The demo model was made for this page. It has LlavaGuard’s architecture at a hundredth of its size and knows firearms, knives, smoking, alcohol, fire and ordinary things.',
    verified: 'Every byte was verified.',
    notVerified: 'Its bytes were not verified.',
    places: {
      files: 'Kept in this browser, so the page works without a network.',
      cache: 'Kept in this browser, so the page works without a network.',
      memory: 'This browser lets the page keep nothing: it is fetched again next time.',
      file: 'Read from your file.',
    },
    repaired: (count: number) =>
      count === 1
        ? 'One damaged piece was fetched again.'
        : `${count} damaged pieces were fetched again.`,
    notKept: (reason: string) =>
      `The page itself could not be kept for use without a network (${reason}).`,
    add: 'Another model',
    addMeans:
      'A model in GGUF form: from this machine (choose the file, or drop it anywhere), or by the address of its manifest, whose digests every byte is then compared with.',
    fileKind: 'Model file',
    file: 'Choose a file…',
    useAgain: (name: string) => `Use ${name} again`,
    address: 'Address of a manifest (.json) or a model file (.gguf)',
    badAddress: 'This is no address. Give one such as https://example.org/model/manifest.json.',
    check: 'Check',
    checking: 'Checking…',
    probe: {
      heading: 'What is known of this model',
      plain: (host: string) =>
        `Nothing is known of a plain file before it is fetched, and its bytes cannot be verified. Fetch it only where you trust ${host}.`,
      canRun: 'It will run here.',
      cannotRun: 'It will not run here.',
      bytes: 'Size',
      bytesValue: (bytes: string, stored: string) =>
        `${bytes}, of which ${stored} are here already`,
      memory: 'Memory',
      storage: 'Storage',
      ofAbout: (needed: string, available: string) => `${needed} of about ${available}`,
      speed: 'A verdict at detail low',
      about: (time: string) => `about ${time}, within a factor of two`,
      license: 'Licence',
      signedBy: 'Signed by',
      download: 'Download and use',
      use: 'Use',
    },
    device: {
      heading: 'What it runs on',
      choose: 'What the model runs on',
      automatic: 'Automatic',
      automaticMeans: 'The fastest that works here.',
      builds: {
        webgpu: 'GPU (webgpu)',
        relaxed: 'CPU, all cores (relaxed)',
        simd: 'CPU, one thread (simd)',
      },
      now: 'runs now',
      nothingRuns: 'Nothing runs yet.',
      whyAsked: 'Chosen by you. Choose Automatic to leave it to the page.',
      whyGpu: (name: string) => `Chosen because this browser offers a GPU, the fastest: ${name}.`,
      whyRelaxed: (threads: number, gpu: string) =>
        `Chosen because the browser has relaxed SIMD and lets this page use ${threads === 1 ? 'one thread' : `${threads} threads`}. ${gpu}`.trim(),
      whySimd: (isolated: boolean, gpu: string) =>
        `${isolated ? 'Chosen because this browser lacks relaxed SIMD or threads.' : 'Chosen because this page is not isolated, so that it has one thread only.'} ${gpu}`.trim(),
      noGpu: 'This browser offers no GPU to pages.',
      softwareGpu: (name: string) =>
        `Its only GPU is software (${name}), slower than the builds for the CPU.`,
      gpu: (name: string) => `There is a GPU: ${name}.`,
      relaxedMeans: 'Relaxed SIMD, and a thread for each core.',
      relaxedNeeds: 'Needs an isolated page.',
      simdMeans: 'Runs in every current browser.',
      notIsolated:
        'This page’s host does not isolate it from other sites, so the browser allows it one thread only, and a verdict takes longer.',
      isolate: 'Reload with more threads',
    },
    stored: {
      heading: 'Kept in this browser',
      nothing: 'No model is kept.',
      kept: (bytes: string) => `Models take ${bytes}.`,
      free: (bytes: string) => `The browser allows ${bytes} more.`,
      incomplete: (stored: string, bytes: string) => `${stored} of ${bytes}, incomplete`,
      verified: 'verified',
      notVerified: 'not verified',
      delete: 'Delete',
      deleteOf: (name: string) => `Delete ${name} from this browser`,
    },
    benchmark: {
      heading: 'Speed here',
      means:
        'Judges a sample photo four times at detail low under LlavaGuard’s policy (the first time does not count), then measures the products a model of this kind is made of. Other work on this machine slows it down.',
      measure: 'Measure',
      stop: 'Stop',
      progress: 'Measuring',
      build: 'Build',
      verdict: 'Photo to verdict',
      total: 'Photo to the end of the reason',
      vision: 'Vision tower',
      prefill: 'Reading the prompt',
      decode: 'Writing',
      products: 'Products',
      productsUnknown: 'needs a model with a manifest',
      tokensPerSecond: (count: string) => `${count} tokens/s`,
      perSecond: (count: string) => `${count} billion a second`,
    },
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
    stop: 'Stop loading',
    reload: 'Load it again',
    again: 'Load the demo model',
    demo: 'the demo model',
  },
};

/** What a language has to say. */
export type Strings = typeof en;
