import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { signedHeaders } from '../../packages/server/src/testing/sign-request.ts'
import { signedRequest } from './signed-request.ts'
import { freePort } from './start-vault.ts'
import { startVaultWithProvider, type VaultWithProvider } from './vault-with-provider.ts'

const MIB = 1024 * 1024
/** What may remain when nothing is held: buffers that wait for their collection, and pages that the C library keeps. */
const SLACK_MIB = 64
const RESIDENT_SLACK_MIB = 256
const BACK_WITHIN_MS = 60_000
const SLOWER_BY = 10
const SLOW_MS = 250

export type ExhaustionReport = {
  anonymousGrowthMib: number
  keyedMs: { alone: number; meanwhile: number }
  /** Resident memory: most, and after a minute; and what of it are buffers. */
  unreadGrowthMib: { most: number; left: number; externalLeft: number } | null
  violations: string[]
}

/**
 * What somebody could do to the memory of a server: without a key, by large bodies on many connections; with one, by answers that are
 * never read (`unreadAnswers`, 0: left out, since it takes as long as its patience).
 */
export async function runExhaustion(options: {
  connections: number
  unreadAnswers: number
}): Promise<ExhaustionReport> {
  const adminPort = await freePort()
  await using attacked = await startVaultWithProvider({ env: { ALTER_ADMIN_PORT: String(adminPort) } })
  const memory = createReadMemory(adminPort)
  const externalMib = async () => (await memory()).external
  const violations: string[] = []

  const alone = await medianOfCalls(attacked, 40)
  const before = await externalMib()
  const senders = await Promise.all(
    Array.from({ length: options.connections }, () => sendWithoutKey(attacked.vault.baseUrl)),
  )
  let peak = 0
  const sampling = setInterval(() => void externalMib().then((now) => (peak = Math.max(peak, now))), 100)
  const meanwhile = await medianOfCalls(attacked, 40)
  clearInterval(sampling)
  for (const socket of senders) socket.destroy()
  const anonymousGrowthMib = Math.max(0, peak - before)
  if (anonymousGrowthMib >= SLACK_MIB) violations.push(`callers without a key took ${anonymousGrowthMib} MiB`)
  if (meanwhile > Math.max(SLOW_MS, alone * SLOWER_BY)) {
    violations.push(`a call with a key took ${meanwhile} ms meanwhile, and ${alone} ms before`)
  }

  const unread = options.unreadAnswers === 0 ? null : await leaveUnread(attacked, memory, options.unreadAnswers)
  if (unread !== null && (unread.externalLeft >= SLACK_MIB || unread.left >= RESIDENT_SLACK_MIB)) {
    violations.push(`${options.unreadAnswers} answers that nobody reads were still in memory after a minute`)
  }
  return {
    anonymousGrowthMib,
    keyedMs: { alone, meanwhile },
    unreadGrowthMib: unread,
    violations,
  }
}

type Memory = { external: number; resident: number }

/** In MiB, as the process itself says. */
function createReadMemory(adminPort: number): () => Promise<Memory> {
  return async () => {
    const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
    const read = (name: string) => {
      const bytes = new RegExp(`^${name} ([\\d.e+]+)$`, 'm').exec(text)?.[1]
      if (bytes === undefined) throw new Error(`the metrics do not name ${name}`)
      return Math.round(Number(bytes) / MIB)
    }
    return { external: read('nodejs_external_memory_bytes'), resident: read('process_resident_memory_bytes') }
  }
}

function callOf({ runtimeKey, grantId, api }: VaultWithProvider, path: string) {
  return {
    apiKey: runtimeKey,
    path: '/sdk/proxy',
    body: JSON.stringify({ method: 'GET', url: `http://${api.host}${path}`, grant_id: grantId }),
  }
}

/** Calls one after the other; all have to succeed. */
async function medianOfCalls(attacked: VaultWithProvider, calls: number): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < calls; i++) {
    const started = performance.now()
    const answer = await signedRequest(attacked.vault.baseUrl, callOf(attacked, '/v1/things'))
    if (answer.status !== 200) throw new Error(`a call with a key was answered ${answer.status}: ${answer.text}`)
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  return Math.round(times[calls >> 1]!)
}

async function openSocket(baseUrl: string): Promise<Socket> {
  const { hostname, port } = new URL(baseUrl)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

const TEN_MIB_LESS_ONE = Buffer.alloc(10 * MIB - 1, ' ')

/** All of a body but its last byte, and nothing that says who sends it. */
async function sendWithoutKey(baseUrl: string): Promise<Socket> {
  const socket = await openSocket(baseUrl)
  socket.write(`POST /sdk/proxy HTTP/1.1\r\nHost: v\r\nContent-Length: ${10 * MIB}\r\n\r\n`)
  socket.write(TEN_MIB_LESS_ONE)
  return socket
}

async function leaveUnread(attacked: VaultWithProvider, memory: () => Promise<Memory>, answers: number) {
  const before = await memory()
  const sockets = await Promise.all(
    Array.from({ length: answers }, async () => {
      const socket = await openSocket(attacked.vault.baseUrl)
      socket.pause()
      const call = callOf(attacked, `/bytes/${25 * MIB}`)
      const headers = {
        host: 'v',
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(call.body)),
        ...signedHeaders({ ...call, nowMs: Date.now() }),
      }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
      socket.write(`POST ${call.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${call.body}`)
      return socket
    }),
  )
  const started = performance.now()
  let most = 0
  let now = before
  while (performance.now() - started < BACK_WITHIN_MS) {
    await wait(1_000)
    // Empty lines begin no request, but they are signs of life.
    for (const socket of sockets) if (!socket.destroyed) socket.write('\r\n')
    now = await memory()
    most = Math.max(most, now.resident - before.resident)
  }
  for (const socket of sockets) socket.destroy()
  return { most, left: now.resident - before.resident, externalLeft: now.external - before.external }
}
