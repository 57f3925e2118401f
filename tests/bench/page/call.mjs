/**
 * Runs a worker's one job: sends it `message` and gives its answer. The worker is ended then.
 *
 * @param {string} url
 * @param {unknown} message
 * @returns {Promise<any>}
 */
export function call(url, message) {
  const worker = new Worker(url, { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.error === undefined) resolve(data.answer);
      else reject(new Error(data.error));
    };
    worker.onerror = (event) => {
      reject(new Error(`${url}: ${event.message || 'the script did not load'}`));
    };
    worker.postMessage(message);
  }).finally(() => {
    worker.terminate();
  });
}

/**
 * The other side: answers the first message with what `work` makes of it.
 *
 * @param {(message: any) => Promise<unknown>} work
 */
export function answer(work) {
  self.onmessage = ({ data }) => {
    work(data).then(
      (answer) => {
        self.postMessage({ answer });
      },
      (/** @type {unknown} */ error) => {
        self.postMessage({ error: String(error) });
      },
    );
  };
}
