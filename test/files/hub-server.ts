/**
 * A small hub on loopback: the API calls that Westwind makes, files by commit with ranges, redirects to a second origin as for large
 * files, gates, and connections that break. It records what it was asked.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepo {
  /** 'models/org/name' or 'datasets/org/name'. */
  readonly id: string;
  /** Branch or tag to commit. */
  readonly refs: Record<string, string>;
  /** Commit to path to content. */
  readonly commits: Record<string, Record<string, Buffer>>;
  /** The token that opens it. */
  readonly token?: string;
  readonly gated?: boolean;
}

export interface Asked {
  readonly path: string;
  readonly origin: 'hub' | 'cdn';
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** Files from this size on are large: listed with a SHA-256 and served by the other origin. */
const LARGE = 10_000;

export class HubServer {
  readonly asked: Asked[] = [];
  readonly repos: FakeRepo[] = [];
  /** Breaks the connection of each download after so many bytes; 0: refuses the body at once. */
  cutAfter: number | undefined;
  /** How many downloads are still to be broken. */
  cuts = 0;
  corrupt = false;
  /** Answers everything with a web page, as a proxy at the door does. */
  portal = false;
  #hub: Server;
  #cdn: Server;

  constructor() {
    this.#hub = createServer((req, res) => this.#answer('hub', req, res));
    this.#cdn = createServer((req, res) => this.#answer('cdn', req, res));
  }

  async start(): Promise<string> {
    for (const server of [this.#hub, this.#cdn]) {
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    }
    return url(this.#hub);
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  downloads(): Asked[] {
    return this.asked.filter(({ path }) => path.includes('/resolve/') || path.startsWith('/blob/'));
  }

  #answer(origin: 'hub' | 'cdn', req: IncomingMessage, res: ServerResponse): void {
    const path = decodeURIComponent(new URL(req.url!, 'http://x').pathname);
    const { authorization, range } = req.headers;
    this.asked.push({ path, origin, authorization, range });
    const refuse = (status: number, code: string): void => {
      res.writeHead(status, { 'X-Error-Code': code }).end();
    };
    if (this.portal) {
      res.end('<html>Please log in</html>');
      return;
    }
    if (origin === 'cdn') {
      const hash = path.slice('/blob/'.length);
      const content = this.#contents().find((c) => sha256(c) === hash)!;
      this.#send(content, range, res);
      return;
    }
    const repo = this.repos.find(
      ({ id }) => path.startsWith(`/api/${id}/`) || path.startsWith(`/${page(id)}/`),
    );
    if (repo === undefined) {
      refuse(401, 'RepoNotFound');
      return;
    }
    if (repo.token !== undefined && authorization !== `Bearer ${repo.token}`) {
      if (repo.gated === true) refuse(403, 'GatedRepo');
      else refuse(401, 'RepoNotFound');
      return;
    }
    const call = /^\/api\/.+?\/(revision|tree)\/(.+)$/.exec(path);
    if (call?.[1] === 'revision') {
      const sha = repo.refs[call[2]!] ?? (call[2]! in repo.commits ? call[2] : undefined);
      if (sha === undefined) {
        refuse(404, 'RevisionNotFound');
        return;
      }
      json(res, { _id: 'x', id: repo.id, sha });
      return;
    }
    if (call?.[1] === 'tree') {
      this.#tree(repo, call[2]!, req, res);
      return;
    }
    const [, commit, file] = /\/resolve\/([^/]+)\/(.+)$/.exec(path)!;
    const content = repo.commits[commit!]?.[file!];
    if (content === undefined) {
      refuse(404, 'EntryNotFound');
      return;
    }
    const headers = { 'X-Repo-Commit': commit!, ETag: `"${gitHash(content)}"`, 'Accept-Ranges': 'bytes' };
    if (content.byteLength < LARGE) {
      this.#send(content, range, res, headers);
      return;
    }
    const large = { 'X-Linked-Size': content.byteLength, 'X-Linked-ETag': `"${sha256(content)}"` };
    res.writeHead(302, { ...headers, ...large, Location: `${url(this.#cdn)}/blob/${sha256(content)}` }).end();
  }

  /** Two files a page, as the hub pages its longer lists. */
  #tree(repo: FakeRepo, commit: string, req: IncomingMessage, res: ServerResponse): void {
    const { host } = req.headers;
    const asked = new URL(req.url!, `http://${host}`);
    const from = Number(asked.searchParams.get('cursor') ?? 0);
    const files = Object.entries(repo.commits[commit]!);
    const entries = files.slice(from, from + 2).map(([path, content]) => ({
      type: 'file',
      path,
      size: content.byteLength,
      oid: gitHash(content),
      ...(content.byteLength >= LARGE && {
        lfs: { oid: sha256(content), size: content.byteLength, pointerSize: 1 },
      }),
    }));
    asked.searchParams.set('cursor', String(from + 2));
    const more = from + 2 < files.length;
    json(res, entries, more ? { Link: `<${asked.href}>; rel="next"` } : {});
  }

  #send(
    content: Buffer,
    range: string | undefined,
    res: ServerResponse,
    headers: Record<string, string> = {},
  ): void {
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const body = Buffer.from(content.subarray(from));
    if (this.corrupt) body[0] = body[0]! ^ 1;
    const size = content.byteLength;
    res.writeHead(from > 0 ? 206 : 200, {
      ...headers,
      'Content-Length': body.byteLength,
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${size - 1}/${size}` }),
    });
    if (this.cutAfter === undefined || this.cuts === 0 || body.byteLength <= this.cutAfter) {
      res.end(body);
      return;
    }
    this.cuts--;
    res.flushHeaders();
    // The bytes must have left before the connection breaks.
    res.write(body.subarray(0, this.cutAfter), () => setTimeout(() => res.destroy(), 20));
  }

  #contents(): Buffer[] {
    return this.repos.flatMap((repo) => Object.values(repo.commits).flatMap((files) => Object.values(files)));
  }
}

/** A model's pages have no prefix, a data set's do. */
function page(id: string): string {
  return id.replace(/^models\//, '');
}

function url(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(res: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  res.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex');
}
