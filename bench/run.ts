/*
 * Measures the vault beside a plain proxy on the same cores, in alternating pairs, and prints what came out beside what is aimed at.
 *
 *   npm run bench                      everything, about six minutes
 *   npm run bench -- --write           the same, and write docs/performance.md
 *   npm run bench -- --only proxy      pairs of one kind: proxy, token, single (one connection)
 *   npm run bench -- --seconds 8 --pairs 3 --node-argument=--cpu-prof
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CATCH_UP_SECONDS, measureAuditRows } from './audit-rows.bench.ts'
import { type BenchApp, prepareBenchApp, proxyBodies, tokenBodies } from './bench-app.ts'
import { runLoad, startProgram } from './child-program.ts'
import { killUnderLoad } from './kill-under-load.ts'
import { growApp } from './large-app.ts'
import { describeMachine, flushMs } from './machine.ts'
import { startMeasuredVault } from './measured-vault.ts'
import { performancePage, type Row } from './performance-page.ts'
import { measureDecisions } from './policy.bench.ts'
import { cpuMicros } from './process-usage.ts'
import type { LoadOrder, LoadResult } from './signed-load.ts'
import { measureStarts } from './startup.bench.ts'

const PAGE = fileURLToPath(new URL('../docs/performance.md', import.meta.url))
const KINDS = ['proxy', 'token', 'single'] as const
type Kind = (typeof KINDS)[number]

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    only: { type: 'string' },
    seconds: { type: 'string', default: '8' },
    pairs: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    'node-argument': { type: 'string', multiple: true, default: [] },
  },
})
const only = KINDS.find((kind) => kind === values.only)
if (values.only !== undefined && only === undefined) throw new Error(`--only takes ${KINDS.join(', ')}`)
const seconds = Number(values.seconds)
const pairs = Number(values.pairs)
const connections = Number(values.connections)

/** More than any machine of two cores answers in a second: requests are signed ahead. */
const MOST_CALLS_A_SECOND = 12_000
/** More than one connection, which waits for each answer, can ask in a second. */
const MOST_CALLS_A_CONNECTION = 4_000
const WARM_UP_SECONDS = 10
const LARGE = { grants: 100_000, keys: 10_000 }

const say = (text: string) => process.stdout.write(`${text}\n`)
const middle = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!

await using upstream = await startProgram('upstream.ts')
await using plain = await startProgram('plain-proxy.ts', [`http://127.0.0.1:${upstream.port}`])
await using vault = await startMeasuredVault({ nodeArguments: values['node-argument'] })
const app = await prepareBenchApp(vault, { upstreamPort: upstream.port, keys: 16, grants: 10 })

type Measured = LoadResult & {
  perSecond: number
  serverUs: number
  databaseUs: number
  backgroundUs: number
  plainUs: number
  memoryBytes: number
}

async function measure(order: LoadOrder): Promise<Measured> {
  const note = async () => ({ vault: await vault.usage(), plain: await cpuMicros(plain.pid) })
  let start: Awaited<ReturnType<typeof note>> | undefined
  let end: Awaited<ReturnType<typeof note>> | undefined
  const result = await runLoad(order, {
    atStart: async () => {
      start = await note()
    },
    atEnd: async () => {
      end = await note()
    },
  })
  if (start === undefined || end === undefined) throw new Error('the load ended before it was measured')
  if (result.firstFailure !== null) throw new Error(`a call was not answered with 200:\n${result.firstFailure}`)
  if (result.ranOut) say('  (the signed requests ran out before the time did)')
  const background = new Set(await vault.backgroundSessions())
  let [databaseMicros, backgroundMicros] = [0, 0]
  for (const [pid, micros] of end.vault.postgresCpuMicros) {
    const used = micros - (start.vault.postgresCpuMicros.get(pid) ?? 0)
    if (background.has(pid)) backgroundMicros += used
    else databaseMicros += used
  }
  return {
    ...result,
    perSecond: result.answers / result.seconds,
    serverUs: (end.vault.serverCpuMicros - start.vault.serverCpuMicros) / result.answers,
    databaseUs: databaseMicros / result.answers,
    backgroundUs: backgroundMicros / result.answers,
    plainUs: (end.plain - start.plain) / result.answers,
    memoryBytes: end.vault.memoryBytes,
  }
}

function show(name: string, one: Measured): void {
  const cpu =
    one.plainUs > one.serverUs
      ? `CPU ${one.plainUs.toFixed(0)} µs`
      : `CPU server ${one.serverUs.toFixed(0)}, database ${one.databaseUs.toFixed(0)} + ${one.backgroundUs.toFixed(0)} behind, µs; ${(one.memoryBytes / 1e6).toFixed(0)} MB`
  say(
    `  ${name.padEnd(7)} ${one.perSecond.toFixed(0).padStart(6)}/s  p50 ${one.p50Ms.toFixed(2)}  p99 ${one.p99Ms.toFixed(2)} ms  ${cpu}`,
  )
}

const plainOrder = (lasting: number, from: number): LoadOrder => ({
  port: plain.port,
  connections: from,
  warmupSeconds: 1,
  seconds: lasting,
  requests: { kind: 'plain', path: '/v1/payments' },
})

function vaultOrder(kind: Kind, of: BenchApp, lasting: number, from: number): LoadOrder {
  const count = Math.ceil((lasting + 1) * Math.min(MOST_CALLS_A_SECOND / Math.min(from, 32), MOST_CALLS_A_CONNECTION))
  const [path, bodies] =
    kind === 'token'
      ? (['/sdk/token', tokenBodies(of)] as const)
      : (['/sdk/proxy', proxyBodies(of, upstream.port)] as const)
  return {
    port: vault.port,
    connections: from,
    warmupSeconds: 1,
    seconds: lasting,
    requests: { kind: 'signed', path, keys: of.keys, bodies, count },
  }
}

type Pairs = { ratio: number; plain: Measured[]; vault: Measured[] }

/** A B A B: what the machine does to one of a pair it mostly does to the other. */
async function measurePairs(kind: Kind): Promise<Pairs> {
  const from = kind === 'single' ? 1 : connections
  say(`\n${kind === 'token' ? 'retrieve' : 'proxied GET'}, ${from} connection${from === 1 ? '' : 's'}`)
  await measure({ ...vaultOrder(kind, app, WARM_UP_SECONDS, connections) })
  const done: Pairs = { ratio: 0, plain: [], vault: [] }
  for (let i = 0; i < pairs; i++) {
    const a = await measure(plainOrder(seconds, from))
    show('plain', a)
    const b = await measure(vaultOrder(kind, app, seconds, from))
    show('vault', b)
    done.plain.push(a)
    done.vault.push(b)
  }
  done.ratio = middle(done.vault.map((one, i) => one.perSecond / done.plain[i]!.perSecond))
  say(`  ratio ${done.ratio.toFixed(3)}`)
  return done
}

/** The same keys and grants used, in an app with few others and in one with many. */
async function measureLargeApp(): Promise<{ small: number; large: number }> {
  say(`\nan app with ${LARGE.grants} grants and ${LARGE.keys} keys, beside one with 10 and 16`)
  const big = await prepareBenchApp(vault, { upstreamPort: upstream.port, keys: 16, grants: 10 })
  await growApp(vault, big, LARGE)
  await measure(vaultOrder('proxy', big, WARM_UP_SECONDS / 2, connections))
  const cost = (one: Measured) => one.serverUs + one.databaseUs
  const [small, large]: [number[], number[]] = [[], []]
  for (let i = 0; i < pairs; i++) {
    const a = await measure(vaultOrder('proxy', app, seconds, connections))
    show('small', a)
    const b = await measure(vaultOrder('proxy', big, seconds, connections))
    show('large', b)
    small.push(cost(a))
    large.push(cost(b))
  }
  return { small: middle(small), large: middle(large) }
}

const figure = (pairsOf: Pairs, of: (one: Measured) => number): number => middle(pairsOf.vault.map(of))
const us = (value: number) => `${value.toFixed(0)} µs`
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

if (only !== undefined) {
  await measurePairs(only)
} else {
  const rows: Row[] = []
  const idleBytes = (await vault.usage()).memoryBytes
  const flush = await flushMs(vault.dataDir)
  say(`one flush to the disk of the data folder: p50 ${flush.p50.toFixed(2)} ms, p99 ${flush.p99.toFixed(2)} ms`)

  const proxied = await measurePairs('proxy')
  const [serverUs, databaseUs] = [figure(proxied, (one) => one.serverUs), figure(proxied, (one) => one.databaseUs)]
  rows.push(
    {
      what: `proxied GET, ${connections} connections: signature, 20 rules, guard, decryption, two durable audit rows`,
      target: 'at least 0.35 of a plain proxy, better 0.5',
      result: `${proxied.ratio.toFixed(2)} (${figure(proxied, (one) => one.perSecond).toFixed(0)} of ${middle(proxied.plain.map((one) => one.perSecond)).toFixed(0)} a second; p50 ${figure(proxied, (one) => one.p50Ms).toFixed(1)} ms, p99 ${figure(proxied, (one) => one.p99Ms).toFixed(1)} ms)`,
      reached: proxied.ratio >= 0.35,
    },
    { what: 'CPU of the server for it', target: 'at most 250 µs', result: us(serverUs), reached: serverUs <= 250 },
    {
      what: 'CPU of the database for it',
      target: 'at most 85 µs',
      result: `${us(databaseUs)}, and ${us(figure(proxied, (one) => one.backgroundUs))} behind it to make its rows searchable`,
      reached: databaseUs <= 85,
    },
  )
  const single = await measurePairs('single')
  const p50Ms = figure(single, (one) => one.p50Ms)
  rows.push({
    what: 'the same, one connection',
    target: 'p50 at most 2 ms',
    result: `p50 ${p50Ms.toFixed(2)} ms, p99 ${figure(single, (one) => one.p99Ms).toFixed(2)} ms; two flushes to this disk take ${(2 * flush.p50).toFixed(2)} ms`,
    reached: p50Ms <= 2,
  })
  const retrieved = await measurePairs('token')
  rows.push({
    what: `retrieve, ${connections} connections`,
    target: 'at least 0.45 of the plain proxy',
    result: `${retrieved.ratio.toFixed(2)} (${figure(retrieved, (one) => one.perSecond).toFixed(0)} a second)`,
    reached: retrieved.ratio >= 0.45,
  })
  const peakBytes = Math.max(...[...proxied.vault, ...retrieved.vault].map((one) => one.memoryBytes))
  const { small, large } = await measureLargeApp()
  const kill = await killUnderLoad(vault, app, upstream.port)
  const postgresVersion = await vault.asOwner(async (owner) => {
    const { rows: found } = await owner.query<{ server_version: string }>('show server_version')
    return found[0]!.server_version
  })
  await vault.stop()
  say('\naudit rows for 60 s, the policy alone, starting')
  const audit = await measureAuditRows(60)
  const [alone, among] = [measureDecisions(0), measureDecisions(1_000)]
  const starts = await measureStarts()
  rows.push(
    {
      what: 'audit rows, 60 s',
      target: 'at least 8,000 a second, the projection keeping up',
      result: `${audit.rowsPerSecond.toFixed(0)} a second; all searchable ${audit.catchUpSeconds.toFixed(1)} s after the last`,
      reached: audit.rowsPerSecond >= 8_000 && audit.catchUpSeconds <= CATCH_UP_SECONDS,
    },
    {
      what: 'audit rows lost on `kill -9` under load',
      target: 'none',
      result: `none: ${kill.answered} calls answered, ${kill.recorded} outcomes and ${kill.intents} intents in the log`,
      reached: true,
    },
    {
      what: 'policy decision, 20 rules',
      target: 'p99 below 50 µs',
      result: `p50 ${alone.p50Us.toFixed(1)} µs, p99 ${alone.p99Us.toFixed(1)} µs`,
      reached: alone.p99Us < 50,
    },
    {
      what: 'the same with 1,000 rules on other targets',
      target: 'p99 below 100 µs',
      result: `p50 ${among.p50Us.toFixed(1)} µs, p99 ${among.p99Us.toFixed(1)} µs`,
      reached: among.p99Us < 100,
    },
    {
      what: '`npm start` on a data folder that exists',
      target: 'below 3 s',
      result: `${(starts.existingMs / 1000).toFixed(1)} s`,
      reached: starts.existingMs < 3_000,
    },
    {
      what: '`npm start` on an empty one, installed',
      target: 'below 15 s',
      result: `${(starts.emptyMs / 1000).toFixed(1)} s`,
      reached: starts.emptyMs < 15_000,
    },
    {
      what: 'memory of server and PostgreSQL, idle',
      target: 'below 250 MB',
      result: megabytes(idleBytes),
      reached: idleBytes < 250e6,
    },
    {
      what: 'the same under this load',
      target: 'below 450 MB',
      result: megabytes(peakBytes),
      reached: peakBytes < 450e6,
    },
    {
      what: 'CPU of a call with 100,000 grants and 10,000 keys in the app',
      target: 'within 10 % of that with 10',
      result: `${us(large)} against ${us(small)} (${(((large - small) / small) * 100).toFixed(0)} %)`,
      reached: large <= small * 1.1,
    },
  )
  const page = performancePage(rows, describeMachine(flush, postgresVersion))
  say(`\n${page}`)
  if (values.write) {
    await writeFile(PAGE, page)
    say(`Written to ${PAGE}.`)
  }
}
