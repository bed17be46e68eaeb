/**
 * Word scores -> passages: the rule of bento/text/spans.py, which explains it, for the slider.
 * A test compares the two.
 */

const GAP = 2;
const REACH = 12;
const LEAST = 5;

/** @typedef {{first: number, last: number, probability: number}} Passage words `first` to `last`, and their mean */

/**
 * @param {Float32Array | number[]} scores one a word
 * @param {number} threshold above 0, at most 1
 * @param {number} [count] how many of the scores are known
 * @returns {Passage[]} in order
 */
export function findPassages(scores, threshold, count = scores.length) {
  const found = [];
  let first = -1, last = -1, low = false;
  const close = () => {
    if (first >= 0 && last - first + 1 >= LEAST) found.push({ first, last, probability: mean(scores, first, last) });
  };
  for (let word = 0; word < count; word++) {
    if (scores[word] < threshold) {
      low ||= scores[word] < threshold / 2;
      continue;
    }
    const between = word - last - 1;
    if (first < 0 || (between > GAP && (between > REACH || low))) {
      close();
      first = word;
    }
    last = word;
    low = false;
  }
  close();
  return found;
}

/**
 * The mean of the scores of words `first` to `last`.
 * @param {Float32Array | number[]} scores
 * @param {number} first
 * @param {number} last
 */
export function mean(scores, first, last) {
  let sum = 0;
  for (let word = first; word <= last; word++) sum += scores[word];
  return sum / (last - first + 1);
}
