/** What test/files/gguf/resume.test.ts kills: writes a file of tensors, slowly, and says which it makes. `node … PATH KEY DELAY` */
import { setTimeout } from 'node:timers/promises';
import { writeGguf } from '../../../src/files/index.js';
import { KEYS, tensorsOf } from './resume-file.js';

const [path, key, delay] = process.argv.slice(2);
const tensors = tensorsOf(async (name) => {
  process.stdout.write(`${name}\n`);
  await setTimeout(Number(delay));
});
await writeGguf(path!, KEYS, tensors, { key: [key!] });
