/** A text's words, as Python's `str.split()` finds them: JavaScript's \s knows other spaces. */

const WORD = /[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** A text with the place of each word, in UTF-16 units, as JavaScript counts. */
export class Words {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    const starts = [], ends = [];
    for (const match of text.matchAll(WORD)) {
      starts.push(match.index);
      ends.push(match.index + match[0].length);
    }
    this.starts = Uint32Array.from(starts);
    this.ends = Uint32Array.from(ends);
  }

  get length() {
    return this.starts.length;
  }

  /** @param {number} word */
  at(word) {
    return this.text.slice(this.starts[word], this.ends[word]);
  }

  /** The first word that ends behind a place of the text; `length` if there is none. @param {number} place */
  after(place) {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] > place) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** How many words a text has. @param {string} text */
export function countWords(text) {
  return text.match(WORD)?.length ?? 0;
}
