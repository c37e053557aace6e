/*
 * The load generator, a program of its own: a fixed number of connections, each of which sends its next request when the answer to the
 * last one is whole. Every request is written ahead, signature included, so that signing costs nothing while it is measured.
 * Talks to its parent: `LoadOrder` in; `measuring`, then `LoadResult` out.
 */
import { createHash, createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

export type LoadOrder = {
  port: number
  connections: number
  /** Sent before anything is measured. */
  warmupSeconds: number
  seconds: number
  /** The server may go away meanwhile: that ends the run and is no fault. */
  mayBreakOff?: boolean
  requests:
    | { kind: 'plain'; path: string }
    /** Bodies are used in turn; connection n signs with key n modulo their number. */
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

const KEY_LABEL = 'alter-signing-v1'
const END_OF_HEAD = Buffer.from('\r\n\r\n')
const MAX_SAMPLES = 4_000_000

function plainRequest(path: string, port: number): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n`)
}

/** The requests of one connection, written and signed now. */
function signedRequests(
  order: Extract<LoadOrder['requests'], { kind: 'signed' }>,
  port: number,
  connection: number,
): Buffer[] {
  const { path, keys, bodies, count } = order
  const apiKey = keys[connection % keys.length]!
  const signingKey = createSecretKey(createHmac('sha256', apiKey).update(KEY_LABEL).digest())
  const hashes = bodies.map((body) => createHash('sha256').update(body).digest('hex'))
  const timestamp = String(Math.floor(Date.now() / 1000))
  return Array.from({ length: count }, (_, i) => {
    const at = (connection + i) % bodies.length
    const [body, hash] = [bodies[at]!, hashes[at]!]
    const nonce = randomBytes(16).toString('hex')
    const signature = createHmac('sha256', signingKey)
      .update(`POST\n${path}\n${timestamp}\n${nonce}\n${hash}\n`)
      .digest('hex')
    return Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nAccept: application/json\r\n` +
        `User-Agent: alter-sdk-typescript/0.1.0\r\nX-API-Key: ${apiKey}\r\nX-Alter-Timestamp: ${timestamp}\r\nX-Alter-Nonce: ${nonce}\r\n` +
        `X-Alter-Content-SHA256: ${hash}\r\nX-Alter-Signature: ${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  })
}

type Tally = Omit<LoadResult, 'kind' | 'p50Ms' | 'p99Ms'> & { latenciesMs: Float64Array }

/** Keeps one connection busy until it is told to stop or has nothing left to send. */
function drive(
  { port, mayBreakOff = false }: Pick<LoadOrder, 'port' | 'mayBreakOff'>,
  nextRequest: () => Buffer | undefined,
  onAnswer: (status: string, ms: number, answer: Buffer) => void,
) {
  return new Promise<void>((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let sentAtMs = 0
    let pending: Buffer | undefined
    const sendNext = () => {
      const request = nextRequest()
      if (request === undefined) {
        socket.end()
        resolve()
        return
      }
      sentAtMs = performance.now()
      socket.write(request)
    }
    socket.on('connect', sendNext)
    socket.on('data', (chunk: Buffer) => {
      const answer = pending === undefined ? chunk : Buffer.concat([pending, chunk])
      if (!isWhole(answer)) {
        pending = answer
        return
      }
      pending = undefined
      onAnswer(answer.toString('latin1', 9, 12), performance.now() - sentAtMs, answer)
      sendNext()
    })
    socket.on('error', (error) => (mayBreakOff ? resolve() : reject(error)))
    socket.on('close', () => resolve())
  })
}

/** An answer has its head and as many bytes behind it as it says, or the last chunk. */
function isWhole(answer: Buffer): boolean {
  const end = answer.indexOf(END_OF_HEAD)
  if (end < 0) return false
  const head = answer.toString('latin1', 0, end)
  const at = head.search(/content-length: /i)
  if (at >= 0) return answer.length >= end + 4 + Number.parseInt(head.slice(at + 16), 10)
  return answer.toString('latin1', answer.length - 5) === '0\r\n\r\n'
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const { port, connections, requests } = order
  const queues = Array.from({ length: connections }, (_, connection) =>
    requests.kind === 'plain' ? plainRequest(requests.path, port) : signedRequests(requests, port, connection),
  )
  const tally: Tally = {
    answers: 0,
    statuses: {},
    seconds: 0,
    ranOut: false,
    firstFailure: null,
    latenciesMs: new Float64Array(MAX_SAMPLES),
  }
  let startedMs = Number.POSITIVE_INFINITY
  let over = false
  const onAnswer = (status: string, ms: number, answer: Buffer) => {
    if (status !== '200') tally.firstFailure ??= answer.toString('utf8').slice(0, 2_000)
    if (startedMs === Number.POSITIVE_INFINITY || over) return
    tally.latenciesMs[tally.answers++ % MAX_SAMPLES] = ms
    tally.statuses[status] = (tally.statuses[status] ?? 0) + 1
  }
  const running = queues.map((queue) => {
    let at = 0
    return drive(
      order,
      () => {
        if (over) return undefined
        if (Buffer.isBuffer(queue)) return queue
        const next = queue[at++]
        if (next === undefined) tally.ranOut = true
        return next
      },
      onAnswer,
    )
  })
  const end = Promise.all(running)
  await Promise.race([new Promise((resolve) => setTimeout(resolve, order.warmupSeconds * 1000)), end])
  startedMs = performance.now()
  process.send?.({ kind: 'measuring' })
  await Promise.race([new Promise((resolve) => setTimeout(resolve, order.seconds * 1000)), end])
  tally.seconds = (performance.now() - startedMs) / 1000
  over = true
  const { latenciesMs, ...rest } = tally
  process.send?.({ kind: 'measured' })
  await end
  const sorted = latenciesMs.subarray(0, Math.min(tally.answers, MAX_SAMPLES)).sort()
  const quantile = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return { kind: 'result', ...rest, p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}

if (import.meta.main) {
  process.once('message', (order: LoadOrder) => {
    run(order).then(
      (result) => process.send?.(result),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      },
    )
  })
  process.on('disconnect', () => process.exit())
}
