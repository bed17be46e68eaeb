/** The text of a file that the reader opens or drops: UTF-8, or a Word file. */

import { textOfDocx } from "./docx.js";

const MOST_BYTES = 20_000_000;

/** Why a file has no text for us, in words for people. */
export class FileError extends Error {}

/** @param {File} file @returns {Promise<string>} Throws FileError. */
export async function textOfFile(file) {
  if (file.size > MOST_BYTES) {
    throw new FileError(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; at most ${MOST_BYTES / 1e6} MB are read.`);
  }
  const buffer = await file.arrayBuffer();
  const begins = String.fromCharCode(...new Uint8Array(buffer, 0, Math.min(5, buffer.byteLength)));
  if (begins === "%PDF-") {
    throw new FileError(`${file.name} is a PDF, which has letters in places and no text in order: open it in its own program, and paste its text.`);
  }
  if (begins.startsWith("PK\x03\x04")) {
    try {
      return await textOfDocx(buffer);
    } catch {
      throw new FileError(`${file.name} is no whole Word file (.docx): open it in its own program, and paste its text.`);
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer);
  } catch {
    throw new FileError(`${file.name} is not text in UTF-8: open it in its own program, and paste its text.`);
  }
}
