/**
 * The text, coloured. It stays text: a few hundred blocks of a text node each, painted by the CSS Custom Highlight API,
 * and only those blocks that are in sight are laid out and painted. So 100,000 words scroll smoothly, and finding,
 * selecting and reading aloud work as in any text.
 */

import { levelOf, LEVELS } from "./scale.js";

const BLOCK_CHARACTERS = 1200;
// A block's height before it is laid out: characters of a line, and the height of one.
const LINE_CHARACTERS = 80;
const LINE_EM = 1.7;

/** @typedef {import("./words.js").Words} Words */
/** @typedef {import("./spans.js").Passage} Passage */
/** @typedef {{element: HTMLElement, node: Text, start: number, first: number, last: number, ranges: Map<Highlight, StaticRange[]>}} Block */

export class TextView {
  /**
   * @param {HTMLElement} box scrolls
   * @param {(word: number) => void} onSelect a word is pointed at, or chosen by key
   */
  constructor(box, onSelect) {
    this.box = box;
    this.selected = -1;
    this.onSelect = onSelect;
    this.levels = Array.from({ length: LEVELS }, (_, level) => highlight(`level-${level}`, 0));
    this.marks = highlight("passage", 1);
    this.cursor = highlight("cursor", 2);
    this.sight = new IntersectionObserver((entries) => entries.forEach((entry) => this.#see(entry)),
      { root: box, rootMargin: "50% 0px" });
    box.addEventListener("pointermove", (event) => this.#point(event));
    box.addEventListener("click", (event) => this.#point(event));
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Another text, without scores. @param {Words} words */
  show(words) {
    this.sight.disconnect();
    this.visible = new Set();
    this.words = words;
    this.scores = new Float64Array(words.length);
    this.known = 0;
    this.selected = -1;
    /** @type {Passage[]} */
    this.passages = [];
    for (const one of [...this.levels, this.marks, this.cursor]) one.clear();
    this.blocks = cut(words);
    this.box.replaceChildren(...this.blocks.map((block) => block.element));
    this.box.scrollTop = 0;
    this.#byElement = new Map(this.blocks.map((block) => [block.element, block]));
    for (const block of this.blocks) this.sight.observe(block.element);
  }

  /** The next words' scores. @param {number} first @param {number[]} scores */
  add(first, scores) {
    this.scores.set(scores, first);
    this.known = Math.max(this.known, first + scores.length);
    for (const block of this.visible) {
      if (block.last >= first && block.first < first + scores.length) this.#paint(block);
    }
  }

  /** What is marked. @param {Passage[]} passages */
  mark(passages) {
    this.passages = passages;
    for (const block of this.visible) this.#paint(block);
  }

  /** The passage that a word stands in, or -1. @param {number} word */
  passageOf(word) {
    return this.passages.findIndex((passage) => passage.first <= word && word <= passage.last);
  }

  /** Choose a word, and bring it into sight if `scroll`. @param {number} word @param {boolean} [scroll] */
  select(word, scroll = false) {
    if (!this.words.length) return;
    this.selected = Math.max(0, Math.min(word, this.words.length - 1));
    const block = this.blocks.find((one) => one.last >= this.selected);
    if (scroll) {
      const range = this.#range(Range, block, this.selected, this.selected);
      if (!this.visible.has(block)) block.element.scrollIntoView({ block: "nearest" });
      const place = range.getBoundingClientRect(), box = this.box.getBoundingClientRect();
      if (place.top < box.top || place.bottom > box.bottom) {
        this.box.scrollTop += place.top - box.top - box.height / 3;
      }
    }
    this.cursor.clear();
    this.cursor.add(this.#range(StaticRange, block, this.selected, this.selected));
    this.onSelect(this.selected);
  }

  #byElement = new Map();

  /** @param {IntersectionObserverEntry} entry */
  #see(entry) {
    const block = this.#byElement.get(entry.target);
    if (!block) return;
    if (entry.isIntersecting) {
      this.visible.add(block);
      this.#paint(block);
    } else if (this.visible.delete(block)) {
      this.#wipe(block);
    }
  }

  /** @param {Block} block */
  #wipe(block) {
    for (const [layer, ranges] of block.ranges) ranges.forEach((range) => layer.delete(range));
    block.ranges.clear();
  }

  /** @param {Block} block */
  #paint(block) {
    this.#wipe(block);
    const put = (layer, first, last) => {
      const range = this.#range(StaticRange, block, first, last);
      layer.add(range);
      block.ranges.set(layer, [...(block.ranges.get(layer) ?? []), range]);
    };
    const end = Math.min(block.last, this.known - 1);
    for (let first = block.first, next; first <= end; first = next) {
      const level = levelOf(this.scores[first]);
      for (next = first + 1; next <= end && levelOf(this.scores[next]) === level;) next++;
      if (level > 0) put(this.levels[level], first, next - 1); // words of one level are painted together
    }
    for (const { first, last } of this.passages) {
      if (first <= block.last && last >= block.first) put(this.marks, Math.max(first, block.first), Math.min(last, block.last));
    }
  }

  /** The text of words `first` to `last` of a block. */
  #range(kind, block, first, last) {
    const start = this.words.starts[first] - block.start, end = this.words.ends[last] - block.start;
    if (kind === StaticRange) {
      return new StaticRange({ startContainer: block.node, startOffset: start, endContainer: block.node, endOffset: end });
    }
    const range = new Range();
    range.setStart(block.node, start);
    range.setEnd(block.node, end);
    return range;
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const place = caretAt(event.clientX, event.clientY);
    const block = place && this.#byElement.get(place.node.parentElement);
    if (!block) return;
    const word = this.words.after(block.start + place.offset);
    if (word < this.words.length && word !== this.selected) this.select(word);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.words || event.altKey || event.metaKey) return;
    const block = this.blocks.find((one) => one.last >= this.selected) ?? this.blocks[0];
    const rightToLeft = getComputedStyle(block.element).direction === "rtl";
    const step = { ArrowLeft: rightToLeft ? 1 : -1, ArrowRight: rightToLeft ? -1 : 1 }[event.key];
    let target = { Home: 0, End: this.words.length - 1 }[event.key];
    if (step) target = event.ctrlKey ? this.#nextPassage(step) : this.selected + step;
    if (target === undefined) return;
    event.preventDefault();
    this.select(target, true);
  }

  /** @param {number} step 1: the next one, -1: the one before */
  #nextPassage(step) {
    const starts = this.passages.map((passage) => passage.first);
    const found = step > 0 ? starts.find((first) => first > this.selected) : starts.findLast((first) => first < this.selected);
    return found ?? this.selected;
  }
}

/** A text in blocks: at paragraphs, or at a word where a paragraph is long. @param {Words} words @returns {Block[]} */
function cut(words) {
  const blocks = [];
  for (let first = 0, start = 0; first < words.length;) {
    let last = first;
    while (last + 1 < words.length) {
      const length = words.ends[last] - start;
      const breaks = length > BLOCK_CHARACTERS / 4 && words.text.slice(words.ends[last], words.starts[last + 1]).includes("\n");
      if (breaks || words.ends[last + 1] - start > BLOCK_CHARACTERS) break;
      last++;
    }
    const end = last + 1 < words.length ? words.starts[last + 1] : words.text.length;
    blocks.push(block(words.text.slice(start, end), start, first, last));
    first = last + 1;
    start = end;
  }
  return blocks;
}

function block(text, start, first, last) {
  const element = document.createElement("div");
  const node = document.createTextNode(text);
  element.dir = "auto";
  element.append(node);
  const lines = text.split("\n").reduce((sum, line) => sum + Math.ceil((line.length + 1) / LINE_CHARACTERS), 0);
  element.style.containIntrinsicSize = `auto ${lines * LINE_EM}em`;
  return { element, node, start, first, last, ranges: new Map() };
}

/** A layer of paint; nothing where the browser has none. @param {string} name @param {number} priority */
function highlight(name, priority) {
  if (!globalThis.CSS?.highlights) return new Set();
  const made = new Highlight();
  made.priority = priority;
  CSS.highlights.set(name, made);
  return made;
}

/** The text node and the offset below a point. @returns {{node: Node, offset: number} | null} */
function caretAt(x, y) {
  if (document.caretPositionFromPoint) {
    const found = document.caretPositionFromPoint(x, y);
    return found && { node: found.offsetNode, offset: found.offset };
  }
  const found = document.caretRangeFromPoint?.(x, y);
  return found ? { node: found.startContainer, offset: found.startOffset } : null;
}
