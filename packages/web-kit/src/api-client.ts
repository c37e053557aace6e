import type { Endpoint } from '@alter-vault/contracts'
import type Type from 'typebox'

type Part = 'params' | 'query' | 'headers' | 'body'
type Declared<E> = {
  [P in Part as E extends Record<P, Type.TSchema> ? P : never]: E extends Record<P, infer Schema extends Type.TSchema>
    ? Type.Static<Schema>
    : never
}
/** An endpoint as a browser needs it; its declaration is there as a type only, so that no schema comes into the bundle. */
export type BrowserEndpoint<E extends Endpoint = Endpoint> = {
  method: Endpoint['method']
  path: string
  declared?: E
}
type AllOptional<T> = { [P in keyof T]: Partial<T[P]> extends T[P] ? P : never }[keyof T]

/** What a caller gives for an endpoint: the parts that its declaration names; a part without a required member may be left out. */
export type CallInput<E> = Omit<Declared<E>, AllOptional<Declared<E>>> &
  Partial<Pick<Declared<E>, AllOptional<Declared<E>>>>

/** A refusal of the server, or the reason why there is no answer of its. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** Code of the error registry; `unreachable` (no answer) or `unreadable_answer` (not the vault's) otherwise. */
  readonly code: string
  /** HTTP status; 0 without an answer. */
  readonly status: number
  readonly requestId: string | null
  readonly retryAfterSeconds: number | null

  constructor(
    code: string,
    message: string,
    about: { status?: number; requestId?: string | null; retryAfterSeconds?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: about.cause })
    this.code = code
    this.status = about.status ?? 0
    this.requestId = about.requestId ?? null
    this.retryAfterSeconds = about.retryAfterSeconds ?? null
  }
}

type Deps = { fetch: typeof fetch }
type CallOptions = { signal?: AbortSignal; timeoutMs?: number }

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

function pathOf(path: string, params: Record<string, unknown> | undefined): string {
  return path.replace(/:([a-z_]+)/g, (_whole, name: string) => encodeURIComponent(String(params?.[name] ?? '')))
}

function queryOf(query: Record<string, unknown> | undefined): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  return pairs.length ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : ''
}

async function refusalOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null)
  const envelope = (body ?? {}) as Record<string, unknown>
  const retryAfterSeconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  const about = {
    status: response.status,
    requestId: text(envelope.request_id) ?? response.headers.get('x-request-id'),
    retryAfterSeconds: Number.isFinite(retryAfterSeconds) ? retryAfterSeconds : null,
  }
  const code = text(envelope.error)
  return code
    ? new ApiError(code, text(envelope.message) ?? code, about)
    : new ApiError('unreadable_answer', `The answer was ${response.status} and not one of the vault's`, about)
}

/**
 * Calls endpoints of our own origin, typed by their declaration. Answers are never cached and redirects never followed. Throws `ApiError`,
 * or the abort reason when the caller's own `signal` ended the call.
 */
export function createApiClient({ fetch }: Deps) {
  return async function call<E extends Endpoint>(
    endpoint: BrowserEndpoint<E>,
    input: CallInput<E>,
    { signal, timeoutMs = 15_000 }: CallOptions = {},
  ): Promise<Type.Static<E['success']>> {
    const { params, query, headers, body } = input as {
      params?: Record<string, unknown>
      query?: Record<string, unknown>
      headers?: Record<string, string>
      body?: unknown
    }
    const timeout = AbortSignal.timeout(timeoutMs)
    let response: Response
    try {
      response = await fetch(pathOf(endpoint.path, params) + queryOf(query), {
        method: endpoint.method,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        cache: 'no-store',
        credentials: 'same-origin',
        redirect: 'error',
        referrerPolicy: 'no-referrer',
      })
    } catch (cause) {
      if (signal?.aborted) throw signal.reason
      throw new ApiError('unreachable', 'The vault did not answer', { cause })
    }
    if (!response.ok) throw await refusalOf(response)
    try {
      return (await response.json()) as Type.Static<E['success']>
    } catch (cause) {
      if (signal?.aborted) throw signal.reason
      throw new ApiError('unreadable_answer', 'The answer of the vault could not be read', {
        status: response.status,
        cause,
      })
    }
  }
}

export type ApiCall = ReturnType<typeof createApiClient>
