/** Probabilities in colours and words: lightness carries the meaning, so no eye depends on the hue. */

export const LEVELS = 6;

/** The level of a probability: 0 is left white. Level i begins at i / 6 as 0.17, 0.33, 0.5, 0.67, 0.83. */
export function levelOf(probability) {
  return Math.min(LEVELS - 1, Math.floor(probability * LEVELS));
}

/** From where to where a level goes. @param {number} level */
export function rangeOf(level) {
  return `${percent(level / LEVELS)} to ${percent((level + 1) / LEVELS)}`;
}

/** 0.8326 -> "83 %"; never "100 %" for what is not certain. @param {number} probability */
export function percent(probability) {
  const whole = Math.round(probability * 100);
  if (whole === 100 && probability < 1) return "over 99 %";
  if (whole === 0 && probability > 0) return "under 1 %";
  return `${whole} %`;
}

/** The light theme's colour of a level, as the style sheet has it. @param {number} level */
export function lightColourOf(level) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--light-${level}`).trim();
}
