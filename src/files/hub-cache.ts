/**
 * The local cache of hub repositories, laid out as the Python library does it, so that either uses what the other has fetched:
 * `models--org--name/` holds `blobs/` (content by hash), `refs/` (revision to commit) and `snapshots/COMMIT/` (links into blobs).
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../util/abort.js';
import { writeFileAtomic } from '../util/atomic.js';
import { UserError, messageOf } from '../util/errors.js';
import { writeFault } from '../util/faults.js';
import { takeLock } from '../util/lock.js';
import { readText } from '../util/read.js';
import {
  Unreachable,
  endpoint,
  hubCache,
  hubRequests,
  LEAST_PROGRESS,
  offlineByEnvironment,
  repoUrl,
  type HubOptions,
  type HubRequests,
  type Repo,
} from './hub-client.js';

const COMMIT = /^[0-9a-f]{40}$/;
const ATTEMPTS = 5;
const MAX_FILES = 200_000;
const MAX_REF_BYTES = 1000;

/** A file as the hub lists it: `hash` is the SHA-256 of a large file, git's SHA-1 of a small one. */
interface RemoteFile {
  readonly path: string;
  readonly size: number;
  readonly hash: string;
}

/**
 * The local folder of a repository's snapshot, after fetching what of it is wanted and not there yet.
 * `select` gets the paths of all files, of the hub or (offline) of the cache, and returns the wanted ones; `more` gets the
 * folder with those and names what they ask for besides. Both may throw.
 * Where the hub is out of reach, what the cache has of the revision is used instead. Rejects with an AbortError once the signal is aborted.
 */
export async function snapshot(...of: Parameters<typeof fetched>): Promise<Snapshot> {
  const [, , { signal }] = of;
  throwIfAborted(signal);
  try {
    return await fetched(...of);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}

interface Snapshot {
  readonly folder: string;
  readonly files: readonly string[];
}

async function fetched(
  repo: Repo,
  revision: string,
  options: HubOptions,
  select: (paths: readonly string[]) => readonly string[],
  more: (folder: string) => readonly string[] = () => [],
): Promise<Snapshot> {
  checkNames(repo, revision);
  const home = join(options.cacheDir ?? hubCache(), [`${repo.type}s`, ...repo.name.split('/')].join('--'));
  const cached = (why: string): { folder: string; files: readonly string[] } => {
    const folder = cachedSnapshot(home, revision);
    if (folder === undefined)
      throw new UserError(`'${repo.name}' (${revision}) is not in ${home}, and ${why}`);
    return { folder, files: select(listFolder(folder)) };
  };
  if (options.offline ?? offlineByEnvironment()) return cached('HF_HUB_OFFLINE forbids fetching it');

  const requests = hubRequests(repo, revision, options);
  let listing: { commit: string; files: RemoteFile[] };
  try {
    listing = await listRemote(repo, revision, requests.api);
  } catch (error) {
    throwIfAborted(options.signal);
    if (error instanceof UserError && !(error instanceof Unreachable)) throw error;
    // Anything else that the client trips over is an answer that is no hub's, a proxy's page for example.
    const why = error instanceof Unreachable ? '' : `${endpoint()} does not answer like a hub: `;
    return cached(why + messageOf(error));
  }
  const { commit } = listing;
  const folder = join(home, 'snapshots', commit);
  let files = select(listing.files.map((file) => file.path));
  const fetchAll = async (wanted: readonly string[]): Promise<void> => {
    for (const file of listing.files) {
      if (!wanted.includes(file.path) || existsSync(join(folder, file.path))) continue;
      const blob = join(home, 'blobs', file.hash);
      await withLock(`${blob}.lock`, async () => {
        if (!existsSync(blob)) await download(repo, commit, file, blob, requests, options);
      });
      link(blob, join(folder, file.path));
    }
  };
  try {
    for (const part of ['blobs', 'refs', 'snapshots']) mkdirSync(join(home, part), { recursive: true });
    await fetchAll(files);
    const asked = more(folder);
    await fetchAll(asked);
    files = [...files, ...asked];
    if (revision !== commit) {
      mkdirSync(dirname(join(home, 'refs', revision)), { recursive: true });
      writeFileAtomic(join(home, 'refs', revision), commit);
    }
  } catch (error) {
    throw writeFault(home, error);
  }
  return { folder, files };
}

/** The folder of a revision that is in the cache, or undefined. */
function cachedSnapshot(home: string, revision: string): string | undefined {
  let commit = revision;
  if (!COMMIT.test(revision)) {
    try {
      commit = readText(join(home, 'refs', revision), MAX_REF_BYTES).trim();
    } catch {
      return undefined; // There is none of that name, or a folder of several.
    }
  }
  const folder = join(home, 'snapshots', commit);
  return COMMIT.test(commit) && existsSync(folder) ? folder : undefined;
}

function listFolder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => existsSync(join(folder, path)) && statSync(join(folder, path)).isFile())
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

/** Names become paths: nothing may lead out of the cache. */
function checkNames(repo: Repo, revision: string): void {
  if (!/^[\w.-]{1,96}(\/[\w.-]{1,96})?$/.test(repo.name) || /(^|\/)\.\.?(\/|$)/.test(repo.name)) {
    throw new UserError(
      `${quoted(repo.name)} is neither a folder here nor a name on the hub (like org/name)`,
    );
  }
  if (!isInside(revision)) throw new UserError(`${quoted(revision)} cannot be a revision of ${repo.name}`);
}

function isInside(path: string): boolean {
  const named = path.split('/').every((part) => Buffer.byteLength(part) <= MAX_NAME);
  return named && path.length <= MAX_PATH && !/^[/~]|[\\:\x00-\x1f\x7f]|(^|\/)\.{0,2}(\/|$)/.test(path);
}

/** What file systems take, with room for what stands before. */
const MAX_NAME = 200;
const MAX_PATH = 1024;

/** A name from elsewhere, on one line and of bearable length. */
function quoted(name: string): string {
  return `'${JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name).slice(1, -1)}'`;
}

async function listRemote(
  repo: Repo,
  revision: string,
  get: typeof fetch,
): Promise<{ commit: string; files: RemoteFile[] }> {
  // Loaded late: a local folder needs none of it.
  const hub = await import('@huggingface/hub');
  const common = { hubUrl: endpoint(), fetch: get };
  const fields = { ...common, name: repo.name, revision, additionalFields: ['sha' as const] };
  const { sha } = await (repo.type === 'model' ? hub.modelInfo(fields) : hub.datasetInfo(fields));
  if (!COMMIT.test(sha)) throw new UserError(`${repoUrl(repo)}: the hub names no commit for '${revision}'`);
  const files: RemoteFile[] = [];
  for await (const entry of hub.listFiles({ ...common, repo, revision: sha, recursive: true })) {
    if (entry.type !== 'file') continue;
    const hash = entry.lfs?.oid ?? entry.oid ?? '';
    const size = entry.lfs?.size ?? entry.size;
    if (!isInside(entry.path) || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
      throw new UserError(
        `${repoUrl(repo)}: the hub lists a file with an unsafe name or hash: ${quoted(entry.path)}`,
      );
    if (!Number.isSafeInteger(size) || size < 0)
      throw new UserError(`${repoUrl(repo)}: the hub lists ${quoted(entry.path)} without its size`);
    files.push({ path: entry.path, size, hash });
    if (files.length > MAX_FILES)
      throw new UserError(`${repoUrl(repo)}: the hub lists more than ${MAX_FILES} files`);
  }
  return { commit: sha, files };
}

/** Fetches one file into `blob`, going on where an earlier attempt, of this process or another, has stopped. */
async function download(
  repo: Repo,
  commit: string,
  file: RemoteFile,
  blob: string,
  requests: HubRequests,
  { onProgress, retryDelay = 1000, signal }: HubOptions,
): Promise<void> {
  const partial = `${blob}.incomplete`;
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const url = `${repoUrl(repo)}/resolve/${commit}/${path}`;
  const size = (): number => (existsSync(partial) ? statSync(partial).size : 0);
  if (size() > file.size) rmSync(partial);
  for (let attempt = 1; size() < file.size || !existsSync(partial); attempt++) {
    const before = size();
    try {
      await fetchRest(url, partial, file, requests, onProgress);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      if (size() - before >= LEAST_PROGRESS) attempt = 0; // It moves: only standing still is counted.
      if (attempt === ATTEMPTS) {
        throw new UserError(
          `${file.path}: ${size()} of ${file.size} bytes are there, then the connection failed ` +
            `(${error.message}); run again to go on`,
        );
      }
      await sleep(retryDelay * 2 ** Math.max(0, attempt - 1), undefined, { signal });
    }
  }
  if ((await contentHash(partial, file)) !== file.hash) {
    rmSync(partial);
    throw new UserError(
      `${file.path} of ${repo.name} arrived damaged and was removed; run again to fetch it anew`,
    );
  }
  renameSync(partial, blob);
}

/** One request for the bytes that `partial` lacks. */
async function fetchRest(
  url: string,
  partial: string,
  file: RemoteFile,
  requests: HubRequests,
  onProgress: HubOptions['onProgress'],
): Promise<void> {
  let done = existsSync(partial) ? statSync(partial).size : 0;
  const answer = await requests.file(url, done);
  // A server that knows no ranges sends the whole file again.
  if (!answer.partial) done = 0;
  const fd = openSync(partial, done > 0 ? 'a' : 'w');
  try {
    for await (const bytes of answer.bytes) {
      done += bytes.byteLength;
      if (done > file.size)
        throw new UserError(`${file.path}: the hub sends more than the ${file.size} bytes it listed`);
      for (let at = 0; at < bytes.byteLength;) at += writeSync(fd, bytes, at);
      onProgress?.(file.path, done, file.size);
    }
  } finally {
    closeSync(fd);
  }
  if (done < file.size) throw new Unreachable('it ended early');
}

async function contentHash(path: string, file: RemoteFile): Promise<string> {
  const git = file.hash.length === 40;
  const hash = createHash(git ? 'sha1' : 'sha256');
  if (git) hash.update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

function link(blob: string, pointer: string): void {
  mkdirSync(dirname(pointer), { recursive: true });
  rmSync(pointer, { force: true }); // A link whose blob has gone still occupies the name.
  symlinkSync(relative(dirname(pointer), blob), pointer);
}

/** One process at a time fetches a blob. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  while (takeLock(path) !== undefined) await sleep(200);
  try {
    await work();
  } finally {
    rmSync(path, { force: true });
  }
}
