/** From the reader's text to the coloured one: the form, the run, and what can go wrong. */

import { save, toCsv, toHtml, toJson, toPng } from "./exports.js";
import { FileError, textOfFile } from "./files.js";
import { Panel } from "./panel.js";
import { percent } from "./scale.js";
import { health, scoreDocument, ServerError } from "./server.js";
import { TextView } from "./text-view.js";
import { countWords, Words } from "./words.js";

const MOST_TRIES = 5;

const $ = (id) => document.getElementById(id);
const view = new TextView($("text"), showWord);
const panel = new Panel(view);
/** @type {AbortController | null} */
let run = null;
let model = "";

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
$("stop").addEventListener("click", () => run?.abort());
$("input").addEventListener("input", showSize);
$("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
});
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  read($("file").files[0]);
  $("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("input").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => $("input").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) read(file);
  else put(event.dataTransfer.getData("text/plain"));
});
$("copy").addEventListener("click", copy);
$("save-json").addEventListener("click", () => save(toJson(result()), "wordtell.json", "application/json"));
$("save-csv").addEventListener("click", () => save(toCsv(result()), "wordtell.csv", "text/csv"));
$("save-png").addEventListener("click", async () => save(await toPng(result()), "wordtell.png"));
if (!globalThis.CSS?.highlights) {
  warn("This browser cannot colour text in place (it lacks the CSS Custom Highlight API). Passages are still listed.");
}

/** Score what stands in the form, and try again when the server is full. */
async function start() {
  const words = new Words($("input").value.toWellFormed?.() ?? $("input").value);
  if (!words.length) {
    warn("There is no word to score: paste a text first.");
    $("input").focus();
    return;
  }
  run?.abort();
  const own = run = new AbortController();
  busy(true);
  warn("");
  try {
    for (let tries = 1; ; tries++) {
      try {
        await once(words, own.signal);
        break;
      } catch (error) {
        if (!(error instanceof ServerError) || error.status !== 429 || tries === MOST_TRIES) throw error;
        await countDown(Math.max(1, Math.ceil(error.retryAfter)), own.signal);
      }
    }
  } catch (error) {
    if (run === own) explain(error);
  } finally {
    if (run === own) busy(false);
  }
}

/** One request. @param {Words} words @param {AbortSignal} signal */
async function once(words, signal) {
  status("Sending the text.");
  let shown = false;
  for await (const { name, data } of scoreDocument(words.text, $("key").value, signal)) {
    if (!shown) {
      view.show(words);
      $("result").hidden = false;
      panel.clear();
      shown = true;
    }
    if (name === "progress") {
      view.add(data.first_word, data.probabilities);
      progress(view.known / words.length);
      status(view.known ? `${view.known.toLocaleString("en")} of ${words.length.toLocaleString("en")} words scored.` : "Waiting for a turn.");
    } else {
      view.add(0, data.probabilities);
      model = data.metadata.model_version;
      panel.show(data);
      status(`Done: ${words.length.toLocaleString("en")} words; passages marked: ${view.passages.length}.`);
    }
  }
}

/** @param {number} seconds @param {AbortSignal} signal */
async function countDown(seconds, signal) {
  for (let left = seconds; left > 0; left--) {
    warn(`The server is busy. Trying again in ${left} s.`);
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, 1000);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      }, { once: true });
    });
  }
  warn("");
}

/** @param {Error} error */
function explain(error) {
  if (error.name === "AbortError") {
    warn("");
    status("Stopped.");
    return;
  }
  status("");
  if (!(error instanceof ServerError)) throw error;
  warn(error.message);
  if (error.status === 401) {
    $("key-box").open = true;
    $("key").focus();
  }
}

/** @param {File} file */
async function read(file) {
  try {
    put(await textOfFile(file));
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    warn(error.message);
  }
}

/** @param {string} text */
function put(text) {
  warn("");
  $("input").value = text;
  showSize();
  $("score").focus();
}

/** By a copy event: the Clipboard API is there over https only, and would strip colours by the page's own policy. */
function copy() {
  const fill = (event) => {
    event.preventDefault();
    event.clipboardData.setData("text/html", toHtml(result()));
    event.clipboardData.setData("text/plain", view.words.text);
  };
  document.addEventListener("copy", fill, { once: true });
  if (document.execCommand("copy")) status("Copied, with its colours.");
  else warn("The browser did not let this page copy: select the text and copy it yourself.");
  document.removeEventListener("copy", fill);
}

/** @returns {import("./exports.js").Result} */
function result() {
  return { words: view.words, scores: view.scores, passages: view.passages, threshold: panel.threshold, model };
}

/** @param {number} word */
function showWord(word) {
  const passage = view.passageOf(word);
  const score = word < view.known ? percent(view.scores[word]) : "not scored yet";
  const where = passage < 0 ? "" : `, in passage ${passage + 1}`;
  $("word").textContent = `Word ${word + 1} of ${view.words.length}, “${view.words.at(word)}”: ${score}${where}`;
}

function showSize() {
  const text = $("input").value;
  $("size").textContent = `${countWords(text).toLocaleString("en")} words, ${text.length.toLocaleString("en")} characters`;
}

/** @param {boolean} on */
function busy(on) {
  $("stop").hidden = $("progress").hidden = !on;
  $("text").ariaBusy = String(on);
  progress(0);
}

/** @param {number} share */
function progress(share) {
  $("progress").value = share;
}

/** @param {string} text */
function status(text) {
  $("status").textContent = text;
}

/** @param {string} text "" hides it */
function warn(text) {
  $("alert").hidden = !text;
  $("alert").textContent = text;
}

panel.tellLimits("");
health().then((served) => {
  if (!served || model) return;
  panel.tellLimits(served.model_version);
  if (!run) status(`Served here: ${served.model_version}.`);
});
showSize();
