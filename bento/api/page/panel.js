/** What stands beside the text: summary, threshold, passages, legend, limits. */

import { limitsOf } from "./limits.js";
import { LEVELS, percent, rangeOf } from "./scale.js";
import { findPassages, mean } from "./spans.js";

const MOST_LISTED = 200;
const SHOWN_CHARACTERS = 90;
// What needs a whole result.
const CONTROLS = ["threshold", "reset", "copy", "save-json", "save-csv", "save-png"];

const $ = (id) => document.getElementById(id);

export class Panel {
  /** @param {import("./text-view.js").TextView} view */
  constructor(view) {
    this.view = view;
    /** @type {{value: number, promise?: string} | null} */
    this.own = null;
    this.threshold = 0;
    $("threshold").addEventListener("input", () => this.#use(Number($("threshold").value)));
    $("reset").addEventListener("click", () => this.#useOwn());
    $("legend").replaceChildren(...legend());
  }

  /** A text is being scored: nothing to decide yet. */
  clear() {
    this.own = null;
    for (const id of CONTROLS) $(id).disabled = true;
    $("promise").textContent = "";
    $("summary").replaceChildren();
    $("passages").replaceChildren();
    $("no-passages").hidden = true;
  }

  /** Beside every result, also one that is still coming. @param {string} version the model's */
  tellLimits(version) {
    $("limits").replaceChildren(...limitsOf(version).map((text) => element("li", text)));
  }

  /** The server's last word on a text. @param {{summary: object, metadata: object}} result */
  show({ summary, metadata }) {
    this.own = metadata.threshold;
    this.abstained = summary.abstained;
    for (const id of CONTROLS) $(id).disabled = false;
    this.tellLimits(metadata.model_version);
    $("model").textContent = `Model: ${metadata.model_version}. Scored in ${(metadata.processing_time_ms / 1000).toFixed(1)} s.`;
    this.#useOwn();
  }

  /** The model's own threshold, exactly: the slider has two places only. */
  #useOwn() {
    $("threshold").value = String(this.own.value);
    this.#use(this.own.value);
  }

  /** Passages and figures at a threshold. @param {number} threshold */
  #use(threshold) {
    const { scores, known } = this.view;
    const passages = findPassages(scores, threshold, known);
    this.threshold = threshold;
    this.view.mark(passages);
    const marked = passages.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    $("threshold-value").textContent = percent(threshold);
    $("threshold").setAttribute("aria-valuetext", percent(threshold));
    $("promise").textContent = this.#promise();
    this.#figures([
      ["Words", known.toLocaleString("en")],
      ["Mean score", percent(mean(scores, 0, known - 1))],
      ["Passages marked", String(passages.length)],
      ["Words in them", `${marked.toLocaleString("en")} (${percent(marked / known)})`],
    ]);
    this.#list(passages);
  }

  #promise() {
    const { value, promise } = this.own;
    if (this.threshold !== value) {
      return `You have moved the threshold (the model's own is ${percent(value)}): nothing is promised here.`;
    }
    if (this.abstained) return "This text is too short for any promise: what is marked may well be wrong.";
    return promise ?? "Nothing is promised: this model was not calibrated, so nobody knows how often it marks what people wrote.";
  }

  /** @param {[string, string][]} figures */
  #figures(figures) {
    $("summary").replaceChildren(...figures.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  }

  /** @param {import("./spans.js").Passage[]} passages */
  #list(passages) {
    const items = passages.slice(0, MOST_LISTED).map((passage, index) => {
      const button = element("button", describe(this.view.words, passage, index));
      button.type = "button";
      button.addEventListener("click", () => this.view.select(passage.first, true));
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    $("passages").replaceChildren(...items);
    const more = passages.length - items.length;
    $("no-passages").hidden = passages.length > 0 && !more;
    $("no-passages").textContent = more ? `and ${more} more, marked in the text and in what you save.`
      : "None at this threshold. That does not show that a person wrote the text.";
  }
}

function describe(words, { first, last, probability }, index) {
  const text = words.text.slice(words.starts[first], words.ends[last]).replace(/\s+/g, " ");
  const shown = text.length > SHOWN_CHARACTERS ? `${Array.from(text).slice(0, SHOWN_CHARACTERS).join("")}…` : text;
  return `${index + 1}. Words ${first + 1} to ${last + 1}, mean ${percent(probability)}: ${shown}`;
}

function legend() {
  const levels = Array.from({ length: LEVELS }, (_, level) => {
    const swatch = document.createElement("span");
    swatch.style.backgroundColor = `var(--level-${level})`;
    return sample(swatch, rangeOf(level));
  });
  const line = document.createElement("span");
  line.className = "underlined";
  return [...levels, sample(line, "underlined: a marked passage")];
}

function sample(swatch, text) {
  const item = document.createElement("li");
  swatch.setAttribute("aria-hidden", "true");
  item.append(swatch, text);
  return item;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
