/** An exported file as its certificate names it, and where the certificate lies: beside it, and in the folder of the run's task. */

import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { throwIfAborted } from '../../util/abort.js';
import type { Certificate, ExportedFile } from '../store/certificate.js';
import { CERTIFICATE, TASK_FILES } from '../store/layout.js';
import type { StoredRun } from '../store/stored.js';

/** What was written to `path`, a file or a folder. */
export async function exportedFile(
  path: string,
  { format, type, signal }: Pick<ExportedFile, 'format' | 'type'> & { readonly signal?: AbortSignal },
): Promise<ExportedFile> {
  const name = basename(resolve(path));
  if (!statSync(path).isDirectory())
    return { name, format, type, bytes: statSync(path).size, sha256: await sha256(path, signal) };
  const files = readdirSync(path).filter(
    (file) => file !== CERTIFICATE.name && statSync(join(path, file)).isFile(),
  );
  const hashes: Record<string, string> = {};
  for (const file of files.sort()) hashes[file] = await sha256(join(path, file), signal);
  const bytes = files.reduce((sum, file) => sum + statSync(join(path, file)).size, 0);
  return { name, format, type, bytes, sha256: hashes };
}

/** As `sha256sum` says it. */
async function sha256(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    throwIfAborted(signal);
    hash.update(piece as Buffer);
  }
  return hash.digest('hex');
}

/** Where the certificate of what is exported to `path` lies: in a folder that is exported, beside a file. */
function folderOf(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? path : dirname(path);
}

/** Throws UserError where another thing than a certificate has its name there. */
export function checkCertificatePlace(path: string): void {
  const folder = folderOf(path);
  if (existsSync(folder)) CERTIFICATE.find(folder);
}

/** Removes the certificate of what stood at `path` before. */
export function removeCertificate(path: string): void {
  const folder = folderOf(path);
  if (CERTIFICATE.find(folder)?.file.name === basename(resolve(path)))
    rmSync(CERTIFICATE.in(folder), { force: true });
}

/** @returns where it lies */
export function writeCertificate(certificate: Certificate, path: string, { folder }: StoredRun): string {
  const beside = folderOf(path);
  CERTIFICATE.write(beside, certificate);
  const { format, type } = certificate.file;
  TASK_FILES.certificate(format, type).write(join(folder, certificate.run.task), certificate);
  return CERTIFICATE.in(beside);
}
