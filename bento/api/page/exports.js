/** What a reader takes along. Every form says which model, which threshold, and that it is no proof. */

import { LEVELS, levelOf, lightColourOf, percent } from "./scale.js";

export const CAVEAT = "A model's estimate, no proof of who wrote it.";

/** @typedef {{words: import("./words.js").Words, scores: Float64Array, passages: import("./spans.js").Passage[],
 *   threshold: number, model: string}} Result */

/** @param {Result} result */
export function toJson({ words, scores, passages, threshold, model }) {
  const probabilities = Array.from(scores);
  const spans = passages.map(({ first, last, probability }) =>
    ({ first_word: first, last_word: last, probability: Number(probability.toFixed(4)), text: textOf(words, first, last) }));
  return JSON.stringify({ model_version: model, threshold, caveat: CAVEAT, text: words.text, probabilities, spans }, null, 1);
}

/**
 * One row a word (RFC 4180). A word that a spreadsheet would take for a formula gets an apostrophe before it.
 * @param {Result} result
 */
export function toCsv({ words, scores, passages }) {
  const rows = ["word,text,probability,passage"];
  let passage = 0;
  for (let word = 0; word < words.length; word++) {
    while (passage < passages.length && passages[passage].last < word) passage++;
    const inside = passage < passages.length && passages[passage].first <= word;
    const text = words.at(word).replace(/^[=+\-@]/, "'$&").replaceAll('"', '""');
    rows.push(`${word + 1},"${text}",${scores[word]},${inside ? passage + 1 : ""}`);
  }
  return `${rows.join("\r\n")}\r\n`;
}

/** Coloured text for a word processor: no link, no class, nothing that is loaded. @param {Result} result */
export function toHtml({ words, scores, passages, threshold, model }) {
  const colours = palette();
  const parts = [];
  let place = 0;
  for (const { first, last, level, passage } of runs(words, scores, passages)) {
    parts.push(escaped(words.text.slice(place, words.starts[first])));
    place = words.ends[last];
    const style = [level ? `background:${colours[level]};color:#1a1a1a` : "", passage ? "text-decoration:underline" : ""];
    const text = escaped(words.text.slice(words.starts[first], place));
    const css = style.filter(Boolean).join(";");
    parts.push(css ? `<span style="${css}">${text}</span>` : text);
  }
  const note = escaped(`${CAVEAT} ${model}; underlined: passages from ${percent(threshold)}.`);
  return `<div style="white-space:pre-wrap">${parts.join("")}${escaped(words.text.slice(place))}</div><p><small>${note}</small></p>`;
}

/** A picture of the text's beginning, as much as fits into 4,000 pixels. @param {Result} result @returns {Promise<Blob>} */
export function toPng({ words, scores, passages, threshold, model }) {
  const width = 1000, margin = 40, line = 30, most = 4000;
  const canvas = Object.assign(document.createElement("canvas"), { width, height: most });
  const context = canvas.getContext("2d");
  const colours = palette();
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, most);
  context.font = "18px system-ui, sans-serif";
  let x = margin, y = margin + line, word = 0;
  for (const run of runs(words, scores, passages)) {
    for (word = run.first; word <= run.last && y < most - 3 * line; word++) {
      const text = words.at(word), wide = context.measureText(text).width, space = context.measureText(" ").width;
      const breaks = word > 0 && words.text.slice(words.ends[word - 1], words.starts[word]).includes("\n");
      if (breaks || x + wide > width - margin) [x, y] = [margin, y + line];
      const joined = word < run.last ? space : 0;
      if (run.level) {
        context.fillStyle = colours[run.level];
        context.fillRect(x, y - 20, wide + joined, 27);
      }
      context.fillStyle = "#1a1a1a";
      context.fillText(text, x, y);
      if (run.passage) context.fillRect(x, y + 5, wide + joined, 2);
      x += wide + space;
    }
    if (word <= run.last) break;
  }
  const cut = word < words.length ? ` The first ${word} of ${words.length} words.` : "";
  context.fillStyle = "#595959";
  context.font = "14px system-ui, sans-serif";
  context.fillText(`${CAVEAT}${cut} Underlined: passages from ${percent(threshold)}. ${model}`, margin, y + 2 * line, width - 2 * margin);
  const height = y + 3 * line, cutOut = Object.assign(document.createElement("canvas"), { width, height });
  cutOut.getContext("2d").drawImage(canvas, 0, 0);
  return new Promise((resolve) => cutOut.toBlob(resolve, "image/png"));
}

/** Let the reader save it. @param {Blob | string} content @param {string} name @param {string} [type] */
export function save(content, name, type = "text/plain") {
  const blob = content instanceof Blob ? content : new Blob([content], { type: `${type};charset=utf-8` });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Neighbouring words of one level, inside or outside of one passage. */
function* runs(words, scores, passages) {
  let passage = 0;
  const inside = (word) => {
    while (passage < passages.length && passages[passage].last < word) passage++;
    return passage < passages.length && passages[passage].first <= word ? passage + 1 : 0;
  };
  let run = null;
  for (let word = 0; word < words.length; word++) {
    const level = levelOf(scores[word]), stands = inside(word);
    if (run && run.level === level && run.passage === stands) {
      run.last = word;
    } else {
      if (run) yield run;
      run = { first: word, last: word, level, passage: stands };
    }
  }
  if (run) yield run;
}

/** The light theme's colours, by level: what is taken along is read on white. */
function palette() {
  return Array.from({ length: LEVELS }, (_, level) => lightColourOf(level));
}

function textOf(words, first, last) {
  return words.text.slice(words.starts[first], words.ends[last]);
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
