/**
 * The text of a Word file (.docx): a zip archive (APPNOTE.TXT 4.3) in which one file has the paragraphs (ECMA-376, part 1,
 * 17.3). What the browser has suffices: DecompressionStream and DOMParser. Headers, footnotes and comments are in other
 * files of the archive, and are left out, and so is what was deleted.
 */

const MOST_BYTES = 50_000_000; // of one file, inflated
const END = 0x06054b50, ENTRY = 0x02014b50;
const STORED = 0, DEFLATED = 8;
const BREAKS = new Map([["tab", "\t"], ["ptab", "\t"], ["br", "\n"], ["cr", "\n"], ["noBreakHyphen", "\u2011"]]);
// Settings (where `tab` is a position), text that was moved away, and what stands in for a drawing's text a second time.
const SKIPPED = new Set(["pPr", "rPr", "sectPr", "tblPr", "moveFrom", "del", "Fallback"]);

/** @param {ArrayBuffer} buffer @returns {Promise<string>} Throws an Error for what is no Word file. */
export async function textOfDocx(buffer) {
  const files = entries(new DataView(buffer));
  const relations = await xml(buffer, files, "_rels/.rels");
  const main = Array.from(relations.getElementsByTagName("Relationship"))
    .find((one) => one.getAttribute("Type").endsWith("/officeDocument"));
  const body = (await xml(buffer, files, main.getAttribute("Target").replace(/^\//, ""))).getElementsByTagNameNS("*", "body")[0];
  return textOf(body).trim();
}

/** @param {Node} node */
function textOf(node) {
  const inner = () => Array.from(node.childNodes, textOf).join("");
  const name = node.localName;
  if (name === "t") return node.textContent;
  if (SKIPPED.has(name)) return "";
  return BREAKS.get(name) ?? (name === "p" ? `${inner()}\n` : node.nodeType === Node.ELEMENT_NODE ? inner() : "");
}

/** Where the files of a zip archive are, by name. @param {DataView} zip */
function entries(zip) {
  let end = zip.byteLength - 22;
  while (zip.getUint32(end, true) !== END) end--; // throws a RangeError before the first byte
  const found = new Map();
  let at = zip.getUint32(end + 16, true);
  for (let count = zip.getUint16(end + 10, true); count; count--) {
    if (zip.getUint32(at, true) !== ENTRY) throw new Error("no directory");
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.getUint16(at + offset, true));
    found.set(new TextDecoder().decode(new Uint8Array(zip.buffer, at + 46, name)), {
      method: zip.getUint16(at + 10, true),
      size: zip.getUint32(at + 20, true),
      start: zip.getUint32(at + 42, true),
    });
    at += 46 + name + extra + comment;
  }
  return found;
}

async function xml(buffer, files, name) {
  const { method, size, start } = files.get(name), zip = new DataView(buffer);
  if (method !== STORED && method !== DEFLATED) throw new Error("another compression");
  const first = start + 30 + zip.getUint16(start + 26, true) + zip.getUint16(start + 28, true);
  const stream = new Blob([new Uint8Array(buffer, first, size)]).stream();
  const text = await inflated(method === STORED ? stream : stream.pipeThrough(new DecompressionStream("deflate-raw")));
  const made = new DOMParser().parseFromString(text, "application/xml");
  if (made.doctype || made.querySelector("parsererror")) throw new Error("no XML");
  return made;
}

/** A stream's text; a small archive may hold a very large file. @param {ReadableStream<Uint8Array>} stream */
async function inflated(stream) {
  const reader = stream.getReader(), decoder = new TextDecoder();
  let text = "", bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > MOST_BYTES) throw new Error("too large");
    text += decoder.decode(value, { stream: true });
  }
}
