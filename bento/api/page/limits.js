/** What a reader must know before believing a number, in plain words. */

const ALWAYS = [
  "A score is a model's guess about how a word reads. It is no proof of who wrote it: never decide about a person by it.",
  "People write like machines, and machines like people: wrong marks on human text and missed machine text are certain, only their number is not.",
  "It is least reliable on short texts, on kinds of text and languages that the model was not made from, on learners' writing, and on text that was edited or translated.",
  "The percentage of a word is not the chance that this text was generated. It has that meaning only on texts like those the model was measured on.",
];

const OWN = {
  "wordtell-small":
    "This server runs wordtell's small model for trying things out. It knows one small machine (SmolLM2-135M) and one kind of prose" +
    " (American presidents' addresses). What larger models write it has never seen, and on other prose it is much worse.",
};

/** @param {string} version the model's version, which begins with its name */
export function limitsOf(version) {
  const own = Object.keys(OWN).find((name) => version.startsWith(`${name}-`));
  return own ? [OWN[own], ...ALWAYS] : ALWAYS;
}
