/**
 * Files to a model's repository on the hub, as one commit: what is there already is not sent again. A file that was sent whole stays in the
 * hub's store, though the push ended before its commit, so that the next push goes on behind it. Large files go by Git LFS' protocol, basic
 * or in parts (https://github.com/git-lfs/git-lfs/blob/main/docs/api), as @huggingface/hub speaks it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, realpathSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { CommitOperation, PathInfo } from '@huggingface/hub';
import { throwIfAborted } from '../util/abort.js';
import { messageOf, UserError } from '../util/errors.js';
import { masked } from '../util/secrets.js';
import {
  endpoint,
  hubToken,
  offlineByEnvironment,
  PATIENCE,
  repoUrl,
  type HubOptions,
} from './hub-client.js';
import { quote } from './quote.js';

/** A file by the name that it gets there. */
export interface FileToPush {
  readonly path: string;
  /** The name of a file here, or what is in it. */
  readonly content: string | Uint8Array;
}

export interface PushOptions extends Pick<HubOptions, 'token' | 'retryDelay' | 'patience' | 'signal'> {
  /** A branch, which is made where there is none. Default: main. */
  readonly revision?: string | undefined;
  /** A repository that is not there yet is made private; one that is there has to be. */
  readonly private?: boolean | undefined;
  /** The commit's first line. */
  readonly title: string;
  /** Called as files and parts of files have gone, with bytes. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface Pushed {
  /** Its page. */
  readonly url: string;
  /** What the commit has; the rest was there. */
  readonly sent: readonly string[];
}

type Hub = typeof import('@huggingface/hub');

const ATTEMPTS = 5;
/** What a connection that is worth waiting for takes, in bytes a millisecond. */
const SLOWEST = 10;
/** Seconds; who is asked to wait longer is told so. */
const LONGEST_WAIT = 300;

/** Throws UserError, with the mend, for what is no name of a repository. */
export function checkRepoName(name: string): void {
  const [owner, repo, ...more] = name.split('/');
  const mend = 'name it OWNER/NAME, where OWNER is an account or an organization on the hub';
  if (owner === undefined || repo === undefined || more.length > 0)
    throw new UserError(`${quote(name)} is no name of a repository: ${mend}`);
  for (const part of [owner, repo])
    if (!/^\w([\w.-]{0,94}\w)?$/.test(part) || /--|\.\./.test(part) || part.endsWith('.git'))
      throw new UserError(
        `${quote(name)} is no name of a repository: ${mend}, of letters, digits, '-', '_' and '.', at most 96 each`,
      );
}

/**
 * Makes the repository and its branch where they are not there, and commits what they lack. Throws UserError for a name, a token or rights
 * that do not do, and where the hub does not take it; rejects with an AbortError once the signal is aborted.
 */
export async function pushFiles(
  name: string,
  files: readonly FileToPush[],
  options: PushOptions,
): Promise<Pushed> {
  checkRepoName(name);
  const { revision = 'main', signal } = options;
  throwIfAborted(signal);
  if (offlineByEnvironment()) throw new UserError('HF_HUB_OFFLINE forbids pushing: unset it');
  const token = hubToken(options.token);
  if (token === undefined)
    throw new UserError(
      `no token for ${endpoint()}: make one with the right to write at ${endpoint()}/settings/tokens and put it in HF_TOKEN`,
    );
  // Loaded late: most commands need none of it.
  const hub = await import('@huggingface/hub');
  const requests = sending(name, token, options, totalOf(files));
  // The token goes along by `requests`, and to the hub alone.
  const common = { hubUrl: endpoint(), fetch: requests, accessToken: undefined as unknown as string };
  const repo = { type: 'model' as const, name };
  try {
    await ensureRepo(hub, common, name, options);
    if (revision !== 'main') await ensureBranch(hub, common, name, revision);
    const there = new Map(
      (await hub.pathsInfo({ ...common, repo, revision, paths: files.map(({ path }) => path) })).map(
        (info) => [info.path, info],
      ),
    );
    const missing: FileToPush[] = [];
    for (const file of files) if (!(await isThere(file, there.get(file.path), signal))) missing.push(file);
    if (missing.length > 0)
      await hub.commit({
        ...{ ...common, repo, branch: revision, title: options.title, useXet: false },
        operations: missing.map(operationOf),
        ...(signal && { abortSignal: signal }),
      });
    return { url: pageOf(name, revision), sent: missing.map(({ path }) => path) };
  } catch (error) {
    throwIfAborted(signal);
    throw pushFault(error, name, token);
  }
}

type Common = { readonly hubUrl: string; readonly fetch: typeof fetch; readonly accessToken: string };

async function ensureRepo(hub: Hub, common: Common, name: string, options: PushOptions): Promise<void> {
  try {
    await hub.createRepo({
      ...{ ...common, repo: { type: 'model', name } },
      ...(options.private && { visibility: 'private' as const }),
    });
    return;
  } catch (error) {
    // A token may have the right to write to a repository, and none to make one.
    const status = statusOf(error);
    const isThere = status === 409 || (status === 403 && (await hub.repoExists({ ...common, repo: name })));
    if (!isThere) throw error;
  }
  if (!options.private) return;
  const info = await hub.modelInfo({ ...common, name });
  if (!info.private)
    throw new UserError(
      `${repoUrl({ type: 'model', name })} is there already and public: make it private in its settings, or leave out --private`,
    );
}

async function ensureBranch(hub: Hub, common: Common, name: string, branch: string): Promise<void> {
  try {
    await hub.createBranch({ ...common, repo: { type: 'model', name }, branch });
  } catch (error) {
    if (statusOf(error) !== 409) throw error;
  }
}

/** Large files are listed with their SHA-256, small ones with git's hash. */
async function isThere(
  { content }: FileToPush,
  info: PathInfo | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const size = sizeOf(content);
  if (info?.lfs)
    return info.lfs.size === size && (await hashOf(content, createHash('sha256'), signal)) === info.lfs.oid;
  if (info?.size !== size) return false;
  return (await hashOf(content, createHash('sha1').update(`blob ${size}\0`), signal)) === info.oid;
}

/** The SHA-256 of a file's content. */
export function sha256Of(content: FileToPush['content'], signal?: AbortSignal): Promise<string> {
  return hashOf(content, createHash('sha256'), signal);
}

async function hashOf(
  content: FileToPush['content'],
  hash: ReturnType<typeof createHash>,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (typeof content !== 'string') return hash.update(content).digest('hex');
  for await (const chunk of createReadStream(content, signal && { signal })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

export function sizeOf(content: FileToPush['content']): number {
  return typeof content === 'string' ? statSync(content).size : content.byteLength;
}

function totalOf(files: readonly FileToPush[]): number {
  return files.reduce((sum, { content }) => sum + sizeOf(content), 0);
}

function operationOf({ path, content }: FileToPush): CommitOperation {
  return {
    ...{ operation: 'addOrUpdate', path },
    // In a snapshot of the hub's cache files are links.
    content:
      typeof content === 'string'
        ? pathToFileURL(realpathSync(content))
        : new Blob([new Uint8Array(content)]),
  };
}

function pageOf(name: string, revision: string): string {
  const page = repoUrl({ type: 'model', name });
  return revision === 'main' ? page : `${page}/tree/${encodeURIComponent(revision)}`;
}

/**
 * `fetch` for what is sent: with the token, to the hub's own origin alone; again after a while where the connection breaks, the hub fails
 * or asks to wait; and never longer than a slow connection would take.
 */
function sending(
  name: string,
  token: string,
  { retryDelay = 1000, patience = PATIENCE, signal, onProgress }: PushOptions,
  total: number,
): typeof fetch {
  const origin = new URL(endpoint()).origin;
  let done = 0;
  const once = async (url: URL, init: RequestInit, size: number): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.delete('Authorization');
    if (url.origin === origin) headers.set('Authorization', `Bearer ${token}`);
    const late = AbortSignal.timeout(Math.ceil(patience + size / SLOWEST));
    const signals = [late, init.signal, signal].filter((one) => one != null);
    try {
      return await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (error) {
      throwIfAborted(signal);
      if (init.signal?.aborted) throw error;
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      const why = late.aborted ? 'it does not answer' : masked(messageOf(cause), token);
      throw new Broken(`cannot reach ${url.origin} for ${name}: ${why}; push again to go on`);
    }
  };
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const size =
      init.body instanceof Blob ? init.body.size : typeof init.body === 'string' ? init.body.length : 0;
    for (let attempt = 1; ; attempt++) {
      let wait = retryDelay * 2 ** (attempt - 1);
      try {
        const response = await once(url, init, size);
        if (response.status !== 429 && response.status < 500) {
          if (init.method === 'PUT' && response.ok) onProgress?.((done += size), total);
          return response;
        }
        if (attempt === ATTEMPTS) return response;
        wait = waitAsked(response) ?? wait;
        if (wait > 1000 * LONGEST_WAIT) return response;
        await response.body?.cancel();
      } catch (error) {
        if (!(error instanceof Broken) || attempt === ATTEMPTS) throw error;
      }
      await sleep(wait, undefined, signal && { signal });
    }
  };
}

/** No answer came. */
class Broken extends UserError {}

/** Milliseconds, by Retry-After: seconds or a date. */
function waitAsked(response: Response): number | undefined {
  const asked = response.headers.get('Retry-After')?.trim();
  if (!asked) return undefined;
  const ms = /^\d+$/.test(asked) ? 1000 * Number(asked) : Date.parse(asked) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

/** What a user reads of what the hub did not take. */
function pushFault(error: unknown, name: string, token: string): Error {
  if (error instanceof UserError) return error;
  const host = endpoint();
  const status = statusOf(error);
  const said = masked(messageOf(error), token);
  if (status === undefined)
    // What the client trips over is an answer that is no hub's, a proxy's page for example.
    return new UserError(`${host} does not answer like a hub: ${said}`, { cause: error });
  if ('url' in (error as object) && !String((error as { url: unknown }).url).startsWith(host))
    return new UserError(`the store of ${host} does not take a file (${status}): push again to go on`);
  const mends: Readonly<Record<number, string>> = {
    401: `${host} does not know the token in HF_TOKEN: make one with the right to write at ${host}/settings/tokens`,
    403: `the token in HF_TOKEN may not write to ${name}: give it that right at ${host}/settings/tokens, or name a repository of yours`,
    404: `${name} is not on ${host}, or the token in HF_TOKEN may not see it: check the name and the token's rights`,
    429: `${host} takes no more for now: push again later to go on`,
  };
  const failed = `${host} fails over ${name} (${status}): push again to go on`;
  return new UserError(
    mends[status] ?? (status >= 500 ? failed : `${host} does not take it (${status}): ${said}`),
  );
}
