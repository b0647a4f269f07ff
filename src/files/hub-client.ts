/**
 * The hub's web side: where it is, who asks, and what its refusals mean. Every request goes through one function that sends the token
 * to the hub's own origin and nowhere else, turns each failure into one plain line, and waits for nobody without end: answers have
 * a size and a time, and a server that stands still or only drips is left.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { throwIfAborted } from '../util/abort.js';
import { environment } from '../util/environment.js';
import { UserError, messageOf } from '../util/errors.js';
import { readText } from '../util/read.js';
import { isToken, masked } from '../util/secrets.js';

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
  /** Milliseconds in which a server must send something worth waiting for. Default 30,000. */
  readonly patience?: number;
  /** Ends it; what has been fetched of a file is kept, and the error is an AbortError. */
  readonly signal?: AbortSignal;
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
  const address = environment('HF_ENDPOINT') ?? 'https://huggingface.co';
  if (!URL.canParse(address) || !/^https?:/i.test(address))
    throw new UserError(`HF_ENDPOINT is '${masked(address)}', which is no address like https://host`);
  const { username, password } = new URL(address);
  if (username !== '' || password !== '')
    throw new UserError(
      `HF_ENDPOINT is '${masked(address)}': leave name and password out, and put a token in HF_TOKEN`,
    );
  return address.replace(/\/+$/, '');
}

function hfHome(): string {
  const cache = environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
  return environment('HF_HOME') ?? join(cache, 'huggingface');
}

export function hubCache(): string {
  return environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE') ?? join(hfHome(), 'hub');
}

export function offlineByEnvironment(): boolean {
  return /^(1|on|yes|true)$/i.test(environment('HF_HUB_OFFLINE') ?? '');
}

function tokenFromEnvironment(): string | undefined {
  const token = environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN');
  if (token !== undefined) return token.trim();
  try {
    return readText(environment('HF_TOKEN_PATH') ?? join(hfHome(), 'token'), 10_000).trim() || undefined;
  } catch {
    return undefined; // Most people have no token, and public repositories need none.
  }
}

/** The token as it can be sent. Throws UserError, which does not show it, for one that cannot. */
export function hubToken(given: string | undefined): string | undefined {
  const token = given ?? tokenFromEnvironment();
  if (token === undefined || isToken(token)) return token;
  throw new UserError(
    'the token for the hub (HF_TOKEN, or the file token in HF_HOME) has a line break, a space or another character that no token has: copy it anew',
  );
}

/** The page of a repository. */
export function repoUrl(repo: Repo): string {
  return `${endpoint()}/${repo.type === 'dataset' ? 'datasets/' : ''}${repo.name}`;
}

/** Milliseconds. */
export const PATIENCE = 30_000;
/** Less than this within the time of patience is no progress. */
export const LEAST_PROGRESS = 4096;
/** Bounds of what a list of files may take: requests, bytes of one answer and of all, times of patience. */
const MAX_PAGES = 1000;
const MAX_ANSWER = 32 << 20;
const MAX_ANSWERS = 256 << 20;
const LIST_PATIENCE = 10;

/** Whether the other side closed a connection before it answered, as it may one that was kept open just as it is used again. */
function isClosed(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'UND_ERR_SOCKET';
}

/** How one repository at one revision is asked. What is thrown is UserError, or Unreachable where no answer came. */
export interface HubRequests {
  /** For the hub's own answers, which come whole; for a list of them. */
  readonly api: typeof fetch;
  /** A file's bytes as they come, from `from` on where the server knows ranges (`partial`). */
  file(url: string, from: number): Promise<{ partial: boolean; bytes: AsyncIterable<Uint8Array> }>;
}

export function hubRequests(
  repo: Repo,
  revision: string,
  { token: given, patience = PATIENCE, signal }: HubOptions,
): HubRequests {
  const token = hubToken(given);
  const origin = new URL(endpoint()).origin;
  const request = async (url: URL, headers: Headers, watch: Watch): Promise<Response> => {
    // A page link or a redirect may lead elsewhere; on a redirect to another origin fetch itself drops the header.
    if (token !== undefined && url.origin === origin) headers.set('Authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(url, { headers, signal: watch.signal }).catch((error: unknown) => {
        if (!isClosed(error)) throw error;
        return fetch(url, { headers, signal: watch.signal });
      });
    } catch (error) {
      throwIfAborted(signal);
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      const why = watch.signal.aborted ? watch.why : masked(messageOf(cause), token);
      throw new Unreachable(`cannot reach ${url.origin} for ${repo.name}: ${why}`);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw refusal(response, repo, revision, token !== undefined);
  };

  const asked = new Set<string>();
  let total = 0;
  const until = Date.now() + LIST_PATIENCE * patience;
  const api: typeof fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (asked.has(url.href)) throw new Error('its list of files leads back to where it was');
    if (asked.add(url.href).size > MAX_PAGES)
      throw new Error(`its list of files has more than ${MAX_PAGES} pages`);
    const watch = new Watch(Math.max(1, Math.min(patience, until - Date.now())), signal);
    try {
      const response = await request(url, new Headers(init?.headers), watch);
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const bytes of bodyOf(response, watch)) {
        size += bytes.byteLength;
        total += bytes.byteLength;
        if (size > MAX_ANSWER || total > MAX_ANSWERS) throw new Error('its answer has no end');
        if (Date.now() > until) throw new Unreachable(`${url.origin} takes too long over a list of files`);
        parts.push(bytes);
      }
      // An answer without content is none to Response either.
      return new Response(Buffer.concat(parts), { status: 200, headers: response.headers });
    } finally {
      watch.end();
    }
  };

  return {
    api,
    file: async (url, from) => {
      // Bytes must come as they are stored: a compressed body has other offsets.
      const headers = new Headers({ 'Accept-Encoding': 'identity' });
      if (from > 0) headers.set('Range', `bytes=${from}-`);
      const watch = new Watch(patience, signal);
      try {
        const response = await request(new URL(url), headers, watch);
        return { partial: response.status === 206, bytes: bodyOf(response, watch) };
      } catch (error) {
        watch.end();
        throw error;
      }
    },
  };
}

/** A body's pieces. Throws Unreachable where it breaks off or stands still. */
async function* bodyOf(response: Response, watch: Watch): AsyncGenerator<Uint8Array> {
  const chunks = response.body?.[Symbol.asyncIterator]();
  try {
    for (;;) {
      let next: IteratorResult<unknown> | undefined;
      try {
        next = await chunks?.next();
      } catch {
        watch.outer?.throwIfAborted();
        throw new Unreachable(watch.signal.aborted ? watch.why : 'it broke off');
      }
      if (next === undefined || next.done === true) return;
      const bytes = next.value as Uint8Array;
      watch.moved(bytes.byteLength);
      yield bytes;
    }
  } finally {
    watch.end();
    await chunks?.return?.().catch(() => undefined);
  }
}

/** Breaks a request off when too little has come for too long. */
class Watch {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout;
  #bytes = 0;

  readonly signal: AbortSignal;

  constructor(
    private readonly patience: number,
    /** Of the caller, who may break it off, too. */
    readonly outer: AbortSignal | undefined,
  ) {
    this.signal = AbortSignal.any([this.#controller.signal, ...(outer ? [outer] : [])]);
    this.#timer = this.#next();
  }

  get why(): string {
    return `it sent nothing, or next to nothing, for ${Math.ceil(this.patience / 1000)} s`;
  }

  moved(bytes: number): void {
    this.#bytes += bytes;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #next(): NodeJS.Timeout {
    return setTimeout(() => {
      if (this.#bytes < LEAST_PROGRESS) {
        this.#controller.abort();
        return;
      }
      this.#bytes = 0;
      this.#timer = this.#next();
    }, this.patience).unref();
  }
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
