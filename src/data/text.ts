/**
 * A text file as one string, for the formats that are text: UTF-8, with or without a byte order mark, or UTF-16 with one. Anything else is
 * refused by what it most likely is: a text that is guessed wrong is trained on without a word.
 */
import { constants, isUtf8 } from 'node:buffer';
import { UserError } from '../util/errors.js';
import { readTableBytes } from '../util/read.js';

/** How a file is read. */
export interface ReadingOptions {
  /** Ends the reading with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

/** Throws UserError for a file that is missing, may not be read, is no such text, or is longer than a string can be. */
export async function readText(path: string, { signal }: ReadingOptions = {}): Promise<string> {
  return decodeText(await readTableBytes(path, constants.MAX_STRING_LENGTH, signal), path);
}

/** What a file of another kind begins with. */
const OTHER_KINDS: readonly (readonly [begins: readonly number[], kind: string])[] = [
  [[0xff, 0xfe, 0, 0], 'UTF-32 text'],
  [[0, 0, 0xfe, 0xff], 'UTF-32 text'],
  [[0x1f, 0x8b], 'compressed by gzip: unpack it'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'compressed by zstd: unpack it'],
  [[0x50, 0x4b, 3, 4], 'a ZIP archive, or a workbook such as .xlsx: unpack or export it'],
  [[...Buffer.from('PAR1')], 'a Parquet file: name it .parquet, or say format: parquet'],
  [
    [...Buffer.from('version https://git-lfs.github.com/spec/')],
    'a Git LFS pointer, not the data: fetch it with git lfs pull',
  ],
];

const UTF16: readonly (readonly [mark: readonly number[], label: string])[] = [
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
];

function decodeText(bytes: Buffer, path: string): string {
  const utf16 = utf16Of(bytes, path);
  if (utf16 !== undefined) return decodeUtf16(bytes, utf16, path);
  if (!isUtf8(bytes)) throw new UserError(`${path} is not UTF-8 text: ${describeFault(bytes)}`);
  return new TextDecoder('utf-8').decode(bytes);
}

/** The name of the UTF-16 that bytes begin as; undefined for UTF-8. Throws UserError for the beginning of another kind of file. */
export function utf16Of(bytes: Buffer, path: string): string | undefined {
  const begins = (mark: readonly number[]): boolean => mark.every((byte, i) => bytes[i] === byte);
  const kind = OTHER_KINDS.find(([mark]) => begins(mark))?.[1];
  if (kind !== undefined)
    throw new UserError(`${path} is ${kind}${kind.includes(':') ? '' : `: ${AS_UTF8}`}`);
  const utf16 = UTF16.find(([mark]) => begins(mark))?.[1];
  if (utf16 !== undefined) return utf16;
  // Every second byte of Latin letters in UTF-16 is zero, and zeros are UTF-8, too.
  const head = bytes.subarray(0, 4096);
  if (head.length > 1 && head.filter((byte) => byte === 0).length * 3 >= head.length)
    throw new UserError(`${path} is UTF-16 or UTF-32 text without a byte order mark: ${AS_UTF8}`);
  return undefined;
}

const AS_UTF8 = 'save it as UTF-8';

function decodeUtf16(bytes: Buffer, label: string, path: string): string {
  const text = new TextDecoder(label).decode(bytes);
  const name = label.toUpperCase();
  if (bytes.length % 2 === 1)
    throw new UserError(`${path} is ${name} text of ${bytes.length} bytes, an odd number: it is cut off`);
  const lone = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
  // The decoder puts U+FFFD where half a character stands, which a text may also hold by itself.
  const units = label === 'utf-16le' ? bytes.subarray(2) : Buffer.from(bytes.subarray(2)).swap16();
  const at = lone.exec(units.toString('utf16le'))?.index;
  if (at !== undefined)
    throw new UserError(`${path} is not ${name} text: at byte ${2 + 2 * at} stands half a character`);
  return text;
}

/** Where bytes stop being UTF-8, and what they most likely are. `before`: what of the file stands before them. */
export function describeFault(bytes: Buffer, before = { bytes: 0, lines: 0 }): string {
  const at = faultOf(bytes);
  const line = before.lines + bytes.subarray(0, at).filter((byte) => byte === 0x0a).length + 1;
  const found = `byte ${before.bytes + at}, in line ${line}, is 0x${bytes[at]!.toString(16).padStart(2, '0').toUpperCase()}`;
  const rest = bytes.subarray(at + 1);
  if (rest.length + 1 < lengthOf(bytes[at]!) && rest.every((byte) => byte >= 0x80 && byte < 0xc0))
    return `${found}, and the character that it begins is cut off: the file is not whole, or not UTF-8`;
  const character = bytes[at]! < 0xa0 ? 'a character' : JSON.stringify(bytes.toString('latin1', at, at + 1));
  const mend = 'where it is that, iconv -f WINDOWS-1252 -t UTF-8 does it';
  return `${found}, ${character} in Windows-1252 (Latin-1); ${AS_UTF8} (${mend})`;
}

/** The offset of the first sequence that is not UTF-8; the decoder says only that there is one. */
function faultOf(bytes: Buffer): number {
  const whole = (end: number): boolean => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (middle <= bytes.length && whole(middle)) good = middle;
    else bad = middle;
  }
  // The byte at which the decoder gives up, or the end; the sequence may have begun up to three bytes before.
  for (let back = 1; back <= 3; back++) {
    const lead = bytes[good - back];
    if (lead === undefined || lead < 0x80) break;
    if (lead >= 0xc0) return lengthOf(lead) > back ? good - back : good;
  }
  return good;
}

/** Bytes of the character that a byte begins; 1 for one that begins none. */
function lengthOf(lead: number): number {
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xc2 && lead < 0xe0 ? 2 : 1;
}
