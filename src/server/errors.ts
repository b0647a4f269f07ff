/** Errors as OpenAI's API has them: `{error: {message, type, param, code}}`. */

import { MemoryError, UserError } from '../util/errors.js';

type Status = 400 | 401 | 403 | 404 | 405 | 409 | 413 | 429 | 500 | 503 | 504;

const TYPES: Readonly<Record<Status, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  409: 'conflict_error',
  413: 'invalid_request_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'server_error',
  504: 'timeout_error',
};

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

interface Details {
  /** The field of the request that is wrong. */
  readonly param?: string | undefined;
  readonly code?: string;
  /** Seconds after which to ask again. */
  readonly retryAfter?: number;
}

export class ApiError extends Error {
  readonly retryAfter: number | undefined;
  readonly body: ErrorBody;

  constructor(
    readonly status: Status,
    message: string,
    { param, code, retryAfter }: Details = {},
  ) {
    super(message);
    this.retryAfter = retryAfter;
    this.body = { error: { message, type: TYPES[status], param: param ?? null, code: code ?? null } };
  }
}

/** What a client is told of an error: what is its to mend, and of all else that it happened. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof MemoryError)
    return new ApiError(503, `${error.what}: ask again later, or for less`, { retryAfter: 5 });
  if (error instanceof UserError) return new ApiError(400, error.message);
  return new ApiError(500, 'a fault of the server, told in its log');
}
