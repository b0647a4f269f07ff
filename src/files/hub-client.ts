/**
 * The hub's web side: where it is, who asks, and what its refusals mean. Every request goes through one `fetch` that sends the token
 * to the hub's own origin and nowhere else, and turns each failure into one plain line.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError, messageOf } from '../util/errors.js';
import { readText } from '../util/read.js';

export interface HubOptions {
  /** A branch, tag or commit. Default: 'main' (models), 'refs/convert/parquet' (data sets). */
  readonly revision?: string | undefined;
  /** Default: HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** Default: HF_TOKEN, or the file `token` in HF_HOME. */
  readonly token?: string;
  /** Use what is in the cache, touch no network. Default: HF_HUB_OFFLINE. */
  readonly offline?: boolean;
  /** Called while a file is fetched: bytes there and in all. */
  readonly onProgress?: (file: string, done: number, total: number) => void;
  /** Milliseconds before a broken download is taken up again; doubles each time. Default 1000. */
  readonly retryDelay?: number;
}

/** A repository on the hub. */
export interface Repo {
  readonly type: 'model' | 'dataset';
  readonly name: string;
}

/** No answer came: the network is down, or the hub is. What is in the cache may do instead. */
export class Unreachable extends UserError {}

/** The hub's address, without a slash at its end. */
export function endpoint(): string {
  const address = process.env['HF_ENDPOINT'] || 'https://huggingface.co';
  if (!URL.canParse(address))
    throw new UserError(`HF_ENDPOINT is '${address}', which is no address like https://host`);
  return address.replace(/\/+$/, '');
}

function hfHome(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return process.env['HF_HOME'] || join(cache, 'huggingface');
}

export function hubCache(): string {
  return process.env['HF_HUB_CACHE'] || process.env['HUGGINGFACE_HUB_CACHE'] || join(hfHome(), 'hub');
}

export function offlineByEnvironment(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env['HF_HUB_OFFLINE'] ?? '');
}

function tokenFromEnvironment(): string | undefined {
  const token = process.env['HF_TOKEN'] || process.env['HUGGING_FACE_HUB_TOKEN'];
  if (token) return token.trim();
  try {
    return readText(process.env['HF_TOKEN_PATH'] || join(hfHome(), 'token'), 10_000).trim() || undefined;
  } catch {
    return undefined; // Most people have no token, and public repositories need none.
  }
}

/** The page of a repository. */
export function repoUrl(repo: Repo): string {
  return `${endpoint()}/${repo.type === 'dataset' ? 'datasets/' : ''}${repo.name}`;
}

/** The `fetch` for one repository at one revision. What it throws is UserError, or Unreachable where no answer came. */
export function hubFetch(repo: Repo, revision: string, token = tokenFromEnvironment()): typeof fetch {
  const origin = new URL(endpoint()).origin;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    // A page link or a redirect may lead elsewhere; on a redirect to another origin fetch itself drops the header.
    if (token !== undefined && url.origin === origin) headers.set('Authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(url, { ...init, headers });
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      throw new Unreachable(`cannot reach ${url.origin} for ${repo.name}: ${messageOf(cause)}`);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw refusal(response, repo, revision, token !== undefined);
  };
}

function refusal(response: Response, repo: Repo, revision: string, hasToken: boolean): UserError {
  const { status } = response;
  const what = `${repo.type === 'dataset' ? 'data set' : 'model'} '${repo.name}'`;
  const page = repoUrl(repo);
  const code = response.headers.get('X-Error-Code');
  if (status === 429 || status >= 500) {
    return new Unreachable(`${endpoint()} answers ${status} for ${what}; try again later`);
  }
  if (code === 'RevisionNotFound') return new UserError(`${what} has no revision '${revision}' on ${page}`);
  if (status === 403 || code === 'GatedRepo') {
    const how = hasToken ? 'with the account of the token in HF_TOKEN' : 'and put a read token in HF_TOKEN';
    return new UserError(`${what} is gated or private: ask for access on ${page} ${how}`);
  }
  if (status === 401) {
    const how = hasToken ? 'the token in HF_TOKEN does not open it' : 'put a read token in HF_TOKEN';
    return new UserError(`${what} is not on ${endpoint()} under that name, or is private or gated: ${how}`);
  }
  if (status === 404)
    return new UserError(`${what} is not on ${endpoint()}: check the name and the revision`);
  return new UserError(`${endpoint()} answers ${status} for ${what}`);
}
