/*
 * The load generator, a program of its own: autocannon with a fixed number of connections, each of which sends its next request when the
 * answer to the last one is whole. Every request is signed ahead, so that signing costs nothing while it is measured.
 * Talks to its parent: `LoadOrder` in; `measuring`, `measured`, then `LoadResult` out.
 */
import autocannon from 'autocannon'
import { signedHeaders } from '../packages/server/src/testing/sign-request.ts'

export type LoadOrder = {
  port: number
  /** Of a second server on the same database, which then gets every other connection. */
  otherPort?: number
  connections: number
  /** Sent before anything is measured. */
  warmupSeconds: number
  seconds: number
  /** The server may go away meanwhile: that ends the run and is no fault. */
  mayBreakOff?: boolean
  requests:
    | { kind: 'plain'; path: string }
    /** Bodies are used in turn; connections to a server sign with one key after the other. */
    | { kind: 'signed'; path: string; keys: readonly string[]; bodies: readonly string[]; count: number }
}

export type LoadResult = {
  kind: 'result'
  answers: number
  /** Answers by status. */
  statuses: Record<string, number>
  seconds: number
  p50Ms: number
  p99Ms: number
  /** The pre-signed requests ran out before the time did. */
  ranOut: boolean
  /** The first answer that was no 200. */
  firstFailure: string | null
}

const MAX_SAMPLES = 4_000_000
const STOPS_WITHIN_MS = 100

/** The requests of one connection, signed now. */
function signAhead(
  { path, keys, bodies, count }: Extract<LoadOrder['requests'], { kind: 'signed' }>,
  connection: number,
): autocannon.Request[] {
  const apiKey = keys[connection % keys.length]!
  const nowMs = Date.now()
  return Array.from({ length: count }, (_, i) => {
    const body = bodies[(connection + i) % bodies.length]!
    const headers = {
      'Content-Type': 'application/json',
      Accept: 'application/json',
      'User-Agent': 'alter-sdk-typescript/0.1.0',
      ...signedHeaders({ apiKey, path, body, nowMs }),
    }
    return { method: 'POST', path, headers, body }
  })
}

/** Sends no signed request twice: a connection that has sent all of its requests ends the run. */
export async function generateLoad(order: LoadOrder): Promise<LoadResult> {
  const { requests } = order
  const latenciesMs = new Float64Array(MAX_SAMPLES)
  const statuses: Record<string, number> = {}
  const sent = new Map<autocannon.Client, number>()
  let answers = 0
  let ranOut = false
  let firstFailure: string | null = null
  let measuring = false

  const ports = order.otherPort === undefined ? [order.port] : [order.port, order.otherPort]
  let connections = 0
  const ended = Promise.withResolvers<void>()
  const options: autocannon.Options = {
    // Several are used in turn; the types know of one only.
    url: ports.map((port) => `http://127.0.0.1:${port}${requests.path}`) as unknown as string,
    connections: order.connections,
    // Ended by us, at the end of what is measured.
    duration: 3_600,
    sampleInt: STOPS_WITHIN_MS,
    ...(order.mayBreakOff ? { bailout: 1 } : {}),
    ...(requests.kind === 'signed' ? { maxConnectionRequests: requests.count } : {}),
    setupClient(client) {
      const connection = Math.floor(connections++ / ports.length)
      if (requests.kind === 'signed') client.setRequests(signAhead(requests, connection))
      let status = 200
      client.on('headers', (head) => {
        status = Number(head.statusCode)
      })
      client.on('body', (body: Buffer) => {
        if (status !== 200) firstFailure ??= `${status} ${body.toString('utf8').slice(0, 2_000)}`
      })
    },
  }
  const instance = autocannon(options, (error: unknown) => (error ? ended.reject(error) : ended.resolve()))
  instance.on('response', (client, statusCode, _, ms) => {
    if (requests.kind === 'signed') {
      const count = (sent.get(client) ?? 0) + 1
      sent.set(client, count)
      if (count >= requests.count) {
        ranOut = true
        instance.stop()
      }
    }
    if (!measuring) return
    latenciesMs[answers++ % MAX_SAMPLES] = ms
    statuses[statusCode] = (statuses[statusCode] ?? 0) + 1
  })
  const orEnd = (ms: number) => Promise.race([new Promise((resolve) => setTimeout(resolve, ms)), ended.promise])

  await new Promise<void>((resolve) => instance.on('start', () => resolve()))
  if (order.warmupSeconds > 0) await orEnd(order.warmupSeconds * 1000)
  const startedMs = performance.now()
  measuring = true
  process.send?.({ kind: 'measuring' })
  await orEnd(order.seconds * 1000)
  measuring = false
  const seconds = (performance.now() - startedMs) / 1000
  process.send?.({ kind: 'measured' })
  instance.stop()
  await ended.promise

  const sorted = latenciesMs.subarray(0, Math.min(answers, MAX_SAMPLES)).sort()
  const quantile = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return {
    kind: 'result',
    answers,
    statuses,
    seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    ranOut,
    firstFailure,
  }
}

if (import.meta.main) {
  process.once('message', (order: LoadOrder) => {
    generateLoad(order).then(
      (result) => process.send?.(result),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      },
    )
  })
  process.on('disconnect', () => process.exit())
}
