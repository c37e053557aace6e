/** A vault and a provider in one: a loopback server that records what reaches it and answers what a test scripts. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request, as it was on the wire. */
export type RecordedRequest = {
  method: string
  /** Path and query exactly as sent. */
  target: string
  headers: Record<string, string>
  /** Header names as written by the client. */
  headerNames: string[]
  body: string
  bytes: Buffer
}

/** What to answer. `json` sets the content type; `body` is sent as it is. */
export type Reply = {
  status?: number
  headers?: Record<string, string | string[]>
  json?: unknown
  body?: string | Uint8Array
  /** Breaks the connection instead of answering. */
  hangUp?: boolean
  /** Answers nothing; the connection stays open until the server is closed. */
  silent?: boolean
}

type Handler = (request: RecordedRequest) => Reply

export type RecordingVault = AsyncDisposable & {
  url: string
  requests: RecordedRequest[]
  /** Requests whose path begins so, in order. */
  to: (pathPrefix: string) => RecordedRequest[]
  /** Answers of one path: the last one is repeated. */
  answer: (path: string, ...replies: (Reply | Handler)[]) => void
}

/** Starts the server on a free loopback port. An unscripted path answers 599, which no test expects. */
export async function startRecordingVault(): Promise<RecordingVault> {
  const requests: RecordedRequest[] = []
  const scripts = new Map<string, (Reply | Handler)[]>()

  const server = createServer(async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const request: RecordedRequest = {
      method: incoming.method!,
      target: incoming.url!,
      headers: incoming.headers as Record<string, string>,
      headerNames: incoming.rawHeaders.filter((_item, index) => index % 2 === 0),
      body: bytes.toString('utf8'),
      bytes,
    }
    requests.push(request)
    const script = scripts.get(request.target.split('?')[0]!) ?? [{ status: 599 }]
    const next = script.length > 1 ? script.shift()! : script[0]!
    const reply = typeof next === 'function' ? next(request) : next
    if (reply.hangUp) return outgoing.destroy()
    if (reply.silent) return
    outgoing.writeHead(reply.status ?? 200, {
      ...(reply.json === undefined ? {} : { 'content-type': 'application/json' }),
      ...reply.headers,
    })
    outgoing.end(reply.json === undefined ? reply.body : JSON.stringify(reply.json))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    to: (pathPrefix) => requests.filter((request) => request.target.startsWith(pathPrefix)),
    answer: (path, ...replies) => void scripts.set(path, replies),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
