/**
 * A hub on loopback that takes what is pushed, as @huggingface/hub speaks it: repositories and branches are made, preupload says which
 * files are large, Git LFS' batch gives out places in a store of another origin, whole or in parts, and a commit comes as lines of JSON.
 * It can fail in all the ways that a hub does, and records what it was sent.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gitHash, sha256 } from './hub-server.js';

/** Files from this size on, and weights of any, are large. */
const LARGE = 10_000;
/** Larger ones are sent in parts of so many bytes. */
export const PART = 50_000;

export interface PushedRepo {
  isPrivate: boolean;
  /** By branch, by path. */
  readonly branches: Map<string, Map<string, Buffer>>;
  readonly commits: {
    readonly branch: string;
    readonly summary: string;
    readonly paths: readonly string[];
  }[];
}

/** What goes wrong with requests, so many times. */
export interface Fault {
  /** Of 'POST /path'. */
  readonly at: RegExp;
  times: number;
  /** Answers so; absent: breaks the connection in the middle of the body. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string;
}

export interface Sent {
  /** 'PUT /store/…' */
  readonly call: string;
  readonly origin: 'hub' | 'store';
  readonly authorization: string | undefined;
  readonly bytes: number;
}

export class PushServer {
  readonly sent: Sent[] = [];
  readonly faults: Fault[] = [];
  readonly repos = new Map<string, PushedRepo>();
  /** Large files by their SHA-256, whether a commit has them or not. */
  readonly store = new Map<string, Buffer>();
  readonly token = 'hf_abcdefghijklmnopqrstuvwxyz';
  /** Whose repositories the token may make and write to. */
  readonly owners = new Set(['me']);
  #parts = new Map<string, { readonly oid: string; readonly parts: Map<number, Buffer> }>();
  #hub: Server;
  #store: Server;

  constructor() {
    this.#hub = createServer((req, res) => void this.#take('hub', req, res));
    this.#store = createServer((req, res) => void this.#take('store', req, res));
  }

  async start(): Promise<string> {
    for (const server of [this.#hub, this.#store])
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return url(this.#hub);
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  make(name: string, isPrivate = false): PushedRepo {
    const first = new Map([['.gitattributes', Buffer.from('*.safetensors filter=lfs\n')]]);
    const repo: PushedRepo = { isPrivate, branches: new Map([['main', first]]), commits: [] };
    this.repos.set(name, repo);
    return repo;
  }

  /** Bytes that the store was sent whole. */
  uploads(): Sent[] {
    return this.sent.filter(({ call }) => call.startsWith('PUT '));
  }

  async #take(origin: 'hub' | 'store', req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(req.url!, 'http://x').pathname);
    const call = `${req.method!} ${path}`;
    const fault = this.faults.find(({ at, times }) => times > 0 && at.test(call));
    const chunks: Buffer[] = [];
    // A request that is not read to its end lets go of it.
    const { socket } = req;
    try {
      for await (const chunk of req) {
        chunks.push(chunk as Buffer);
        if (fault && fault.status === undefined) break;
      }
    } catch {
      return; // The client has gone.
    }
    if (fault) {
      fault.times--;
      if (fault.status === undefined) socket.destroy();
      else {
        const isText = typeof fault.body === 'string';
        res.writeHead(fault.status, {
          'Content-Type': isText ? 'text/html' : 'application/json',
          ...fault.headers,
        });
        res.end(isText ? fault.body : JSON.stringify(fault.body ?? { error: 'a fault' }));
      }
      return;
    }
    const body = Buffer.concat(chunks);
    this.sent.push({ call, origin, authorization: req.headers.authorization, bytes: body.byteLength });
    if (origin === 'store') this.#stored(call, body, res);
    else this.#answer(req, call, body, res);
  }

  /** As S3 does: it knows no token, and refuses one. */
  #stored(call: string, body: Buffer, res: ServerResponse): void {
    const [, key, part] = /^PUT \/store\/([^/]+)(?:\/(\d+))?$/.exec(call) ?? [];
    if (key === undefined || this.sent.at(-1)!.authorization !== undefined) {
      res.writeHead(400).end('<Error/>');
      return;
    }
    if (part !== undefined) this.#parts.get(key)!.parts.set(Number(part), body);
    else if (sha256(body) === key) this.store.set(key, body);
    else {
      res.writeHead(400).end('<Error/>');
      return;
    }
    res.writeHead(200, { ETag: `"${createHash('md5').update(body).digest('hex')}"` }).end();
  }

  #answer(req: IncomingMessage, call: string, body: Buffer, res: ServerResponse): void {
    const refuse = (status: number, error: string): void => json(res, { error }, status);
    const multipart = /^POST \/complete\/([\w-]+)$/.exec(call);
    if (multipart) {
      this.#complete(multipart[1]!, body, res);
      return;
    }
    if (req.headers.authorization !== `Bearer ${this.token}`) {
      refuse(401, 'Invalid username or password.');
      return;
    }
    if (call === 'POST /api/repos/create') {
      const { name, organization, visibility, type } = JSON.parse(body.toString()) as Record<string, string>;
      const full = `${organization!}/${name!}`;
      if (type !== 'model') refuse(400, `no ${type!}`);
      else if (!this.owners.has(organization!))
        refuse(403, `You don't have the rights to create a model under the namespace "${organization!}"`);
      else if (this.repos.has(full)) refuse(409, 'You already created this model repo');
      else {
        this.make(full, visibility === 'private');
        json(res, { url: `${url(this.#hub)}/${full}`, name: full, id: full });
      }
      return;
    }
    const [, full, what, rest = ''] =
      /^\w+ \/(?:api\/models\/)?([^/]+\/[^/]+?)(?:\.git)?(?:\/([\w-]+)(?:\/(.*))?)?$/.exec(call)!;
    const repo = this.repos.get(full!);
    if (!repo) refuse(404, 'Repository not found');
    else if (!this.owners.has(full!.split('/')[0]!) && req.method === 'POST' && what !== 'paths-info')
      refuse(403, 'You have no write access to this repository');
    else this.#ofRepo(full!, repo, { what: what ?? '', rest, body, res });
  }

  #ofRepo(
    name: string,
    repo: PushedRepo,
    { what, rest, body, res }: { what: string; rest: string; body: Buffer; res: ServerResponse },
  ): void {
    const files = repo.branches.get(rest === 'HEAD' ? 'main' : rest);
    const asked = (): Record<string, unknown> => JSON.parse(body.toString()) as Record<string, unknown>;
    if (what === '' || what === 'revision') {
      json(res, { _id: 'x', id: name, private: repo.isPrivate, likes: 0, downloads: 0, gated: false });
      return;
    }
    if (what === 'branch') {
      if (files) json(res, { error: 'Reference already exists' }, 409);
      else {
        repo.branches.set(rest, new Map(repo.branches.get('main')));
        json(res, {});
      }
      return;
    }
    if (what === 'info') {
      this.#batch(asked() as unknown as LfsBatch, res);
      return;
    }
    if (!files) {
      json(res, { error: `Invalid rev id: ${rest}` }, 404);
      return;
    }
    if (what === 'paths-info')
      json(
        res,
        (asked()['paths'] as string[]).flatMap((path) => {
          const content = files.get(path);
          return content ? [{ type: 'file', path, ...listed(path, content) }] : [];
        }),
      );
    else if (what === 'preupload') {
      const wanted = asked()['files'] as { path: string; size: number; sample: string }[];
      const mode = ({ path, size }: { path: string; size: number }): string =>
        isLarge(path, size) ? 'lfs' : 'regular';
      json(res, {
        files: wanted.map((file) => ({ path: file.path, uploadMode: mode(file), shouldIgnore: false })),
      });
    } else this.#commit(repo, rest, body, res);
  }

  #batch({ operation, objects, transfers, ref }: LfsBatch, res: ServerResponse): void {
    const place = (oid: string, size: number): object => {
      if (size <= PART) return { upload: { href: `${url(this.#store)}/store/${oid}`, header: {} } };
      const id = randomUUID();
      this.#parts.set(id, { oid, parts: new Map() });
      const count = Math.ceil(size / PART);
      const parts = Array.from({ length: count }, (_, i) => [
        String(i + 1).padStart(5, '0'),
        `${url(this.#store)}/store/${id}/${i + 1}`,
      ]);
      const header = { chunk_size: String(PART), ...(Object.fromEntries(parts) as object) };
      return { upload: { href: `${url(this.#hub)}/complete/${id}`, header } };
    };
    if (operation !== 'upload' || !transfers.includes('multipart') || !ref) {
      json(res, { message: 'a batch of another kind' }, 422);
      return;
    }
    json(res, {
      transfer: objects.some(({ size }) => size > PART) ? 'multipart' : 'basic',
      objects: objects.map(({ oid, size }) => ({
        ...{ oid, size, authenticated: true },
        ...(!this.store.has(oid) && { actions: place(oid, size) }),
      })),
    });
  }

  #complete(id: string, body: Buffer, res: ServerResponse): void {
    const { oid, parts } = this.#parts.get(id)!;
    const asked = JSON.parse(body.toString()) as {
      oid: string;
      parts: { partNumber: number; etag: string }[];
    };
    const whole = Buffer.concat(asked.parts.map(({ partNumber }) => parts.get(partNumber)!));
    const etags = asked.parts.every(
      ({ partNumber, etag }) =>
        etag === `"${createHash('md5').update(parts.get(partNumber)!).digest('hex')}"`,
    );
    if (asked.oid !== oid || sha256(whole) !== oid || !etags) {
      json(res, { error: 'parts do not fit' }, 400);
      return;
    }
    this.store.set(oid, whole);
    json(res, {});
  }

  #commit(repo: PushedRepo, branch: string, body: Buffer, res: ServerResponse): void {
    const [header, ...operations] = body
      .toString()
      .split('\n')
      .map((line) => JSON.parse(line) as Operation);
    const files = repo.branches.get(branch)!;
    const made = new Map<string, Buffer>();
    for (const { key, value } of operations) {
      if (key === 'file') made.set(value.path!, Buffer.from(value.content!, 'base64'));
      const large = key === 'lfsFile' ? this.store.get(value.oid!) : undefined;
      if (key === 'lfsFile' && large?.byteLength !== value.size) {
        json(res, { error: `LFS pointer pointed to a file that does not exist: ${value.path!}` }, 400);
        return;
      }
      if (large) made.set(value.path!, large);
    }
    for (const [path, content] of made) files.set(path, content);
    repo.commits.push({ branch, summary: header!.value.summary!, paths: [...made.keys()] });
    json(res, { success: true, commitOid: 'c'.repeat(40), commitUrl: 'x', hookOutput: '' });
  }
}

interface LfsBatch {
  readonly operation: string;
  readonly transfers: readonly string[];
  readonly ref?: { readonly name: string };
  readonly objects: readonly { readonly oid: string; readonly size: number }[];
}

interface Operation {
  readonly key: string;
  readonly value: {
    readonly summary?: string;
    readonly path?: string;
    readonly content?: string;
    readonly oid?: string;
    readonly size?: number;
  };
}

const isLarge = (path: string, size: number): boolean => /\.(safetensors|gguf)$/.test(path) || size >= LARGE;

function listed(path: string, content: Buffer): object {
  const size = content.byteLength;
  if (!isLarge(path, size)) return { size, oid: gitHash(content) };
  return { size, oid: 'f'.repeat(40), lfs: { oid: sha256(content), size, pointerSize: 134 } };
}

function url(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(res: ServerResponse, body: unknown, status = 200): void {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
