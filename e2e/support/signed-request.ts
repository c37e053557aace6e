import { signedHeaders } from '../../packages/server/src/testing/sign-request.ts'

type SignedRequest = {
  apiKey: string
  method?: string
  /** Path and query. */
  path: string
  /** Sent as it is; an object as JSON. */
  body?: unknown
  /** Headers besides those of the signature; `x-alter-*` ones are signed where the protocol says so. */
  headers?: Record<string, string>
  /** Changes made after signing; undefined takes a header away. */
  afterwards?: Record<string, string | undefined>
}

/** What the vault answered, whatever its status. */
export type SdkAnswer = { status: number; headers: Headers; text: string; body: Record<string, unknown> }

/**
 * One request to the SDK API, signed by hand, so that it can hold what no client would send. Queries are signed as they are: their names
 * are to be in order and their values plain.
 */
export async function signedRequest(baseUrl: string, request: SignedRequest): Promise<SdkAnswer> {
  const { apiKey, path, headers = {}, afterwards = {} } = request
  const method = request.method ?? 'POST'
  const body =
    typeof request.body === 'string' ? request.body : request.body === undefined ? '' : JSON.stringify(request.body)
  const all: Record<string, string | undefined> = {
    ...signedHeaders({ apiKey, method, path, body, nowMs: Date.now(), headers }),
    ...(body === '' || 'content-type' in headers ? {} : { 'content-type': 'application/json' }),
    ...afterwards,
  }
  const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const response = await fetch(`${baseUrl}${path}`, { method, headers: sent, ...(body === '' ? {} : { body }) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: readObject(text) }
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
