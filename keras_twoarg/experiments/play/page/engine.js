/** The worker's other side: one request at a time for each network, and the latest one next. */

/** Start the worker from the text that the page holds: a page that is a file cannot load a script. */
function startWorker() {
  const source = new Blob([document.getElementById("worker").textContent], { type: "text/javascript" });
  return new Worker(URL.createObjectURL(source));
}

export class Engine {
  /** @param failed Called with a message if the worker stops with an error. */
  constructor(failed) {
    this.worker = startWorker();
    this.worker.addEventListener("error", ({ message }) => failed(message));
    this.known = new Set();
    this.waiting = new Map();
    this.running = null;
    this.worker.addEventListener("message", ({ data }) => this.finish(data));
  }

  /**
   * Have all images computed with this phi; of several requests under one key while one is running, the last counts.
   *
   * @param key Who asks.
   * @param model The network's number.
   * @param send Called once for each network: returns what the worker keeps of it.
   * @param phi What stands for phi.
   * @param outputs Whether logits are wanted as well.
   * @return A promise of the result, or of null where a later request came in between.
   */
  evaluate(key, model, send, phi, outputs = false) {
    if (!this.known.has(model)) {
      this.known.add(model);
      this.worker.postMessage({ model, ...send() });
    }
    return new Promise((resolve) => {
      this.waiting.get(key)?.resolve(null);
      this.waiting.set(key, { model, phi, outputs, resolve });
      this.next();
    });
  }

  next() {
    if (this.running || !this.waiting.size) return;
    const [key, { model, phi, outputs, resolve }] = this.waiting.entries().next().value;
    this.waiting.delete(key);
    this.running = resolve;
    this.worker.postMessage({ model, phi, outputs, request: key });
  }

  finish(result) {
    const resolve = this.running;
    this.running = null;
    resolve(result);
    this.next();
  }
}
