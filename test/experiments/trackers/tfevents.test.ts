/** Event files byte by byte, and after whatever a kill can leave. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync, appendFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  crc32c,
  EventFile,
  readEventFile,
  readTfRecords,
} from '../../../src/experiments/trackers/tfevents.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-events-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('CRC-32C gives the vectors of RFC 3720, B.4', () => {
  const vectors: readonly (readonly [Uint8Array, number])[] = [
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    [Buffer.from('123456789'), 0xe3069283],
    [new Uint8Array(0), 0],
  ];
  for (const [bytes, crc] of vectors) assert.equal(crc32c(bytes), crc);
});

test('an event file has the bytes that protobuf and TFRecord lay down', () => {
  const path = join(folder, 'bytes');
  const file = new EventFile(path);
  file.append({ wallTime: 1.5, step: 300, scalars: { 'a/b': 0.5, c: -2 } });
  // Written out by hand from event.proto and summary.proto.
  const version = ['09 000000000000f83f', '1a 0d', Buffer.from('brain.Event:2').toString('hex')].join('');
  const values = [
    ['0a 0a', '0a 03', Buffer.from('a/b').toString('hex'), '15 0000003f'].join(''),
    ['0a 08', '0a 01', Buffer.from('c').toString('hex'), '15 000000c0'].join(''),
  ].join('');
  const event = ['09 000000000000f83f', '10 ac02', '2a 16', values].join('');
  const bytes = readFileSync(path);
  const { contents, end } = readTfRecords(bytes);
  assert.deepEqual(
    contents.map((content) => content.toString('hex')),
    [version, event].map((text) => text.replaceAll(' ', '')),
  );
  assert.equal(end, bytes.length);
  assert.equal(bytes.readBigUInt64LE(0), 24n);
  // The version record that TensorFlow itself writes begins so: its length, 24, and that length's masked checksum.
  assert.equal(bytes.subarray(0, 12).toString('hex'), '1800000000000000a37f4b22');
});

/** The steps of `tag` in a file that was closed. */
function stepsOf(path: string, tag: string): number[] {
  return readEventFile(path)
    .filter(({ scalars }) => tag in scalars)
    .map(({ step }) => step);
}

test('a file cut anywhere and gone on with holds each step once', () => {
  const whole = join(folder, 'whole');
  const write = (path: string, from: number, to: number): void => {
    const file = new EventFile(path);
    for (let step = from; step <= to; step++)
      file.append({ wallTime: step, step, scalars: { 'train/loss': 1 / step } });
  };
  write(whole, 1, 6);
  const bytes = readFileSync(whole);
  for (let length = 0; length <= bytes.length; length += 5) {
    const path = join(folder, `cut-${length}`);
    writeFileSync(path, bytes);
    truncateSync(path, length);
    write(path, 1, 6);
    assert.deepEqual(readFileSync(path), bytes, `cut at ${length}`);
  }
  write(whole, 4, 8);
  assert.deepEqual(stepsOf(whole, 'train/loss'), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('what a disk filled with zeros or noise is dropped, and what follows stands behind the last whole record', () => {
  for (const junk of [Buffer.alloc(40), Buffer.from('no record of ours at all, whatever it is')]) {
    const path = join(folder, `junk-${junk[0]}`);
    const first = new EventFile(path);
    first.append({ wallTime: 1, step: 1, scalars: { x: 1 } });
    appendFileSync(path, junk);
    const second = new EventFile(path);
    second.append({ wallTime: 2, step: 2, scalars: { x: 2, y: 3 } });
    second.append({ wallTime: 3, step: 2, scalars: { x: 4 } });
    assert.deepEqual(readEventFile(path), [
      { wallTime: 1, step: 1, scalars: { x: 1 } },
      { wallTime: 2, step: 2, scalars: { x: 2, y: 3 } },
    ]);
  }
});
