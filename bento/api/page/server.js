/** The server: one document sent, its events received, its errors in one class. */

const ROOT = new URL("../", import.meta.url); // works below any path that a proxy shows us at

/** What went wrong, in words for people. `retryAfter`: seconds until it is worth another try, if the server said so. */
export class ServerError extends Error {
  /** @param {string} message @param {{status?: number, code?: string, retryAfter?: number}} [details] */
  constructor(message, { status = 0, code = "unreachable", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/**
 * The events of a document: {name: "progress" | "result", data}. Throws ServerError, and AbortError when `signal` says so.
 * @param {string} text
 * @param {string} key the API key, or ""
 * @param {AbortSignal} signal
 */
export async function* scoreDocument(text, key, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const body = JSON.stringify({ text: text.toWellFormed?.() ?? text });
  let complete = false;
  try {
    const response = await fetch(new URL("api/v1/predict/document", ROOT), { method: "POST", headers, body, signal });
    if (!response.ok) throw await refusal(response);
    for await (const event of events(response.body)) {
      if (event.name === "error") throw new ServerError(event.data.error.message, { code: event.data.error.code });
      complete ||= event.name === "result";
      yield event;
    }
  } catch (error) {
    if (error instanceof ServerError || error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached, or the connection to it has ended. Is it still running?");
  }
  if (!complete) throw new ServerError("The connection ended before the result came. What is coloured so far is right.");
}

/** What the server serves, or null. */
export async function health() {
  try {
    const response = await fetch(new URL("api/v1/health", ROOT));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** @param {Response} response */
async function refusal(response) {
  const retryAfter = Number(response.headers.get("Retry-After-Ms")) / 1000 || Number(response.headers.get("Retry-After"));
  try {
    const { code, message } = (await response.json()).error;
    return new ServerError(message, { status: response.status, code, retryAfter });
  } catch {
    return new ServerError(`The server, or a proxy before it, answered ${response.status}.`,
      { status: response.status, code: "proxy", retryAfter });
  }
}

/** Server-sent events of a body, as far as this server writes them: `event` and one line of `data`. */
async function* events(body) {
  let rest = "";
  for await (const piece of pieces(body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (name && data) yield { name, data: JSON.parse(data) };
    }
  }
}

/** A stream's pieces; Safari's streams cannot be iterated. @param {ReadableStream<string>} stream */
async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
