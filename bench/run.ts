/*
 * Measures the vault beside a plain proxy and the floor on the same cores, in turn, and prints what came out beside what is aimed at.
 *
 *   npm run bench                      everything, about twelve minutes
 *   npm run bench -- --write           the same, and write docs/performance.md
 *   npm run bench -- --only proxy      rounds of one kind: proxy, token, single (one connection)
 *   npm run bench -- --only proxy --against ../other   pairs with the vault of another checkout, installed and built
 *   npm run bench -- --seconds 8 --pairs 3 --node-argument=--cpu-prof
 */
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compareVaults, startSide } from './against.ts'
import { CATCH_UP_SECONDS, measureAuditRows } from './audit-rows.bench.ts'
import { type BenchApp, prepareBenchApp, signedRequests } from './bench-app.ts'
import { startProgram } from './child-program.ts'
import { addIdleApps, measureIdle } from './idle-apps.ts'
import { killUnderLoad } from './kill-under-load.ts'
import { growApp, growLog } from './large-app.ts'
import { describeMachine, flushMs } from './machine.ts'
import { type Measured, measureLoad } from './measure-load.ts'
import { startMeasuredVault } from './measured-vault.ts'
import { performancePage, type Row } from './performance-page.ts'
import { measureDecisions } from './policy.bench.ts'
import type { LoadOrder } from './signed-load.ts'
import { measureStarts } from './startup.bench.ts'

const PAGE = fileURLToPath(new URL('../docs/performance.md', import.meta.url))
const KINDS = ['proxy', 'token', 'single'] as const
type Kind = (typeof KINDS)[number]

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
    seconds: { type: 'string' },
    pairs: { type: 'string' },
    connections: { type: 'string', default: '32' },
    'node-argument': { type: 'string', multiple: true, default: [] },
  },
})
const only = KINDS.find((kind) => kind === values.only)
if (values.only !== undefined && only === undefined) throw new Error(`--only takes ${KINDS.join(', ')}`)
const isComparison = values.against !== undefined
const seconds = Number(values.seconds ?? (isComparison ? 3 : 8))
const pairs = Number(values.pairs ?? (isComparison ? 7 : 3))
const connections = Number(values.connections)

/** More than any machine of two cores answers in a second: requests are signed ahead. */
const MAX_CALLS_A_SECOND = 15_000
/** More than one connection, which waits for each answer, can ask in a second. */
const MAX_CALLS_A_CONNECTION = 4_000
const WARM_UP_SECONDS = 10
const LARGE = { grants: 100_000, keys: 10_000, rows: 1_000_000 }
const IDLE_APPS = 10_000
const IDLE_SECONDS = 20

const say = (text: string) => process.stdout.write(`${text}\n`)
const middle = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!

await using upstream = await startProgram('upstream.ts')
if (values.against !== undefined) {
  await compareWith(values.against)
  await upstream[Symbol.asyncDispose]()
  process.exit()
}

await using plain = await startProgram('plain-proxy.ts', [`http://127.0.0.1:${upstream.port}`])
await using vault = await startMeasuredVault({ nodeArguments: values['node-argument'] })
await using floor = await startProgram('floor.ts', [
  `http://127.0.0.1:${upstream.port}`,
  join(vault.dataDir, 'pg-socket'),
])
async function compareWith(checkout: string): Promise<void> {
  const other = await startSide(checkout, resolve(checkout), upstream.port)
  await using _first = other.vault
  const own = await startSide('this checkout', undefined, upstream.port)
  await using _second = own.vault
  const kinds = only === undefined ? (['proxy', 'token'] as const) : ([only === 'token' ? 'token' : 'proxy'] as const)
  for (const kind of kinds) {
    const from = only === 'single' ? 1 : connections
    await compareVaults(other, own, { kind, connections: from, seconds, pairs, upstreamPort: upstream.port })
  }
}

const newApp = (of = vault) => prepareBenchApp(of, upstream.port)
const app = await newApp()

const PROGRAMS = { plain, floor, vault }
type Name = keyof typeof PROGRAMS

const measure = (name: Name, order: LoadOrder): Promise<Measured> =>
  measureLoad(order, name === 'vault' ? { vault } : { vault, otherPid: PROGRAMS[name].pid })

function show(name: string, one: Measured): void {
  const cpu =
    one.otherUs > 0
      ? `CPU ${one.otherUs.toFixed(0)} + database ${one.databaseUs.toFixed(0)} µs`
      : `CPU server ${one.serverUs.toFixed(0)}, database ${one.databaseUs.toFixed(0)} + ${one.backgroundUs.toFixed(0)} behind, µs; ${(one.memoryBytes / 1e6).toFixed(0)} MB`
  say(
    `  ${name.padEnd(7)} ${one.perSecond.toFixed(0).padStart(6)}/s  p50 ${one.p50Ms.toFixed(2)}  p99 ${one.p99Ms.toFixed(2)} ms  ${cpu}; ${(one.utilization * 100).toFixed(0)} % of the cores`,
  )
}

function orderFor(name: Name, kind: Kind, of: BenchApp, lasting: number, from: number): LoadOrder {
  const common = { port: PROGRAMS[name].port, connections: from, warmupSeconds: 1, seconds: lasting }
  if (name === 'plain') return { ...common, requests: { kind: 'plain', path: '/v1/payments' } }
  const count = Math.ceil((lasting + 1) * Math.min(MAX_CALLS_A_SECOND / Math.min(from, 32), MAX_CALLS_A_CONNECTION))
  const asked = kind === 'token' ? kind : 'proxy'
  return { ...common, requests: signedRequests(of, { kind: asked, upstreamPort: upstream.port, count }) }
}

type Rounds = Record<Name, Measured[]>

/** Each program in turn, again and again: what the machine does to one of a round it mostly does to the others. */
async function measureRounds(kind: Kind): Promise<Rounds> {
  const from = kind === 'single' ? 1 : connections
  say(`\n${kind === 'token' ? 'retrieve' : 'proxied GET'}, ${from} connection${from === 1 ? '' : 's'}`)
  await measure('vault', orderFor('vault', kind, app, WARM_UP_SECONDS, connections))
  const rounds: Rounds = { plain: [], floor: [], vault: [] }
  const names: Name[] = kind === 'token' ? ['plain', 'vault'] : ['plain', 'floor', 'vault']
  for (let i = 0; i < pairs; i++) {
    for (const name of names) {
      const one = await measure(name, orderFor(name, kind, app, seconds, from))
      show(name, one)
      rounds[name].push(one)
    }
  }
  return rounds
}

const figure = (list: readonly Measured[], of: (one: Measured) => number): number => middle(list.map(of))
/** The middle ratio of two programs' figures in the same round. */
const ratio = (of: (one: Measured) => number, a: readonly Measured[], b: readonly Measured[]): number =>
  middle(a.map((one, i) => of(one) / of(b[i]!)))

type NamedLoad = [name: string, order: (lasting: number) => LoadOrder]
type Compared = { first: number; second: number; ratio: number }

/** CPU of a call under two loads of the vault that take turns, and the middle ratio of the second to the first. */
async function compareLoads([name, order]: NamedLoad, [otherName, otherOrder]: NamedLoad): Promise<Compared> {
  await measure('vault', otherOrder(WARM_UP_SECONDS))
  const [first, second]: [Measured[], Measured[]] = [[], []]
  for (let i = 0; i < pairs; i++) {
    first.push(await measure('vault', order(seconds)))
    show(name, first[i]!)
    second.push(await measure('vault', otherOrder(seconds)))
    show(otherName, second[i]!)
  }
  const sum = (one: Measured) => one.sumUs
  return { first: figure(first, sum), second: figure(second, sum), ratio: ratio(sum, second, first) }
}

const proxyOrder = (of: BenchApp) => (lasting: number) => orderFor('vault', 'proxy', of, lasting, connections)

/** The same keys and grants used, in an app with few others and in one with many. */
async function measureLargeApp(): Promise<Compared> {
  say(`\nan app with ${LARGE.grants} grants and ${LARGE.keys} keys, beside one with 10 and 16`)
  const big = await newApp()
  await growApp(vault, big, LARGE)
  return compareLoads(['small', proxyOrder(app)], ['large', proxyOrder(big)])
}

/** A log that has just begun, and one with many rows. */
async function measureLargeLog(): Promise<Compared> {
  say(`\nan app with ${LARGE.rows} audit rows, beside one whose log begins`)
  const [small, big] = [await newApp(), await newApp()]
  await measure('vault', orderFor('vault', 'proxy', big, 1, connections))
  await growLog(vault, big, LARGE.rows)
  return compareLoads(['short', proxyOrder(small)], ['long', proxyOrder(big)])
}

/** All connections at one server process, and half of them at each of two. */
async function measureTwoServers(): Promise<Compared> {
  say('\ntwo server processes on one database, beside one')
  await using second = await vault.startBeside()
  const order = proxyOrder(app)
  return compareLoads(['one', order], ['two', (lasting) => ({ ...order(lasting), otherPort: second.port })])
}

/** The share of a core that is used behind many apps that had traffic. */
async function measureIdleApps(): Promise<number> {
  say(`\n${IDLE_APPS} apps that had traffic, and nobody calls`)
  const copied = await newApp()
  await measure('vault', orderFor('vault', 'single', copied, 1, 1))
  await addIdleApps(vault, copied, IDLE_APPS)
  return measureIdle(vault, IDLE_SECONDS)
}

const us = (value: number) => `${value.toFixed(0)} µs`
const compared = (what: string, than: string, percent: number, { first, second, ratio }: Compared): Row => ({
  what,
  target: `within ${percent} % of ${than}`,
  result: `${us(second)} against ${us(first)} (${((ratio - 1) * 100).toFixed(0)} %)`,
  reached: ratio <= 1 + percent / 100,
})
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
const kilobytes = (bytes: number) => `${(bytes / 1e3).toFixed(1)} kB`

/** Bytes of objects that the server makes for a call, by its trace of garbage collections. */
async function measureAllocation(): Promise<number> {
  await using traced = await startMeasuredVault({ nodeArguments: ['--trace-gc'] })
  const own = await newApp(traced)
  const load = (lasting: number) =>
    measureLoad({ ...orderFor('vault', 'proxy', own, lasting, connections), port: traced.port }, { vault: traced })
  await load(WARM_UP_SECONDS)
  return (await load(seconds)).allocatedBytes
}

if (only !== undefined) {
  const rounds = await measureRounds(only)
  say(`  vault / plain ${ratio((one) => one.perSecond, rounds.vault, rounds.plain).toFixed(3)}`)
  if (only !== 'token') say(`  vault / floor ${ratio((one) => one.perSecond, rounds.vault, rounds.floor).toFixed(3)}`)
} else {
  const rows: Row[] = []
  const idleBytes = (await vault.usage()).memoryBytes
  const flush = await flushMs(vault.dataDir)
  say(`one flush to the disk of the data folder: p50 ${flush.p50.toFixed(2)} ms, p99 ${flush.p99.toFixed(2)} ms`)

  const proxied = await measureRounds('proxy')
  const perSecond = (one: Measured) => one.perSecond
  const ofFloor = ratio(perSecond, proxied.vault, proxied.floor)
  const ofPlain = ratio(perSecond, proxied.vault, proxied.plain)
  const [serverUs, databaseUs, backgroundUs] = [
    figure(proxied.vault, (one) => one.serverUs),
    figure(proxied.vault, (one) => one.databaseUs),
    figure(proxied.vault, (one) => one.backgroundUs),
  ]
  const utilization = (name: Name) => `${(figure(proxied[name], (one) => one.utilization) * 100).toFixed(0)} %`
  rows.push(
    {
      what: `proxied GET, ${connections} connections: signature, 20 rules, guard, decryption, two durable audit rows`,
      target: 'at least 0.6 of the floor, better 0.75',
      result: `${ofFloor.toFixed(2)} of the floor, ${ofPlain.toFixed(2)} of a plain proxy (${figure(proxied.vault, perSecond).toFixed(0)}, ${figure(proxied.floor, perSecond).toFixed(0)} and ${figure(proxied.plain, perSecond).toFixed(0)} a second; p50 ${figure(proxied.vault, (one) => one.p50Ms).toFixed(1)} ms, p99 ${figure(proxied.vault, (one) => one.p99Ms).toFixed(1)} ms)`,
      reached: ofFloor >= 0.6,
    },
    {
      what: 'CPU for it: server / database / making its rows searchable',
      target: 'at most 165 / 45 / 30 µs on a quiet machine',
      result: `${serverUs.toFixed(0)} / ${databaseUs.toFixed(0)} / ${backgroundUs.toFixed(0)} µs; the floor ${us(figure(proxied.floor, (one) => one.otherUs))} and ${us(figure(proxied.floor, (one) => one.databaseUs))}, the plain proxy ${us(figure(proxied.plain, (one) => one.otherUs))}`,
      reached: serverUs <= 165 && databaseUs <= 45 && backgroundUs <= 30,
    },
    {
      what: 'use of the two cores meanwhile: vault / floor / plain proxy',
      target: '',
      result: `${utilization('vault')} / ${utilization('floor')} / ${utilization('plain')}`,
      reached: true,
    },
  )
  const single = await measureRounds('single')
  const p50Ms = figure(single.vault, (one) => one.p50Ms)
  const timesFloor = ratio((one) => one.p50Ms, single.vault, single.floor)
  rows.push({
    what: 'the same, one connection',
    target: 'p50 at most 1.5 ms, and twice that of the floor',
    result: `p50 ${p50Ms.toFixed(2)} ms, p99 ${figure(single.vault, (one) => one.p99Ms).toFixed(2)} ms; ${timesFloor.toFixed(1)} times the floor; two flushes to this disk take ${(2 * flush.p50).toFixed(2)} ms`,
    reached: p50Ms <= 1.5 && timesFloor <= 2,
  })
  const retrieved = await measureRounds('token')
  rows.push({
    what: `retrieve, ${connections} connections`,
    target: '',
    result: `${ratio(perSecond, retrieved.vault, retrieved.plain).toFixed(2)} of a plain proxy (${figure(retrieved.vault, perSecond).toFixed(0)} a second); CPU of all processes ${us(figure(retrieved.vault, (one) => one.sumUs))}`,
    reached: true,
  })
  const [walBytes, storedBytes] = [
    figure(proxied.vault, (one) => one.walBytes),
    figure(proxied.vault, (one) => one.storedBytes),
  ]
  const peakBytes = Math.max(...[...proxied.vault, ...retrieved.vault].map((one) => one.memoryBytes))
  // Before what grows the database: tidying that up would count as work behind idle apps.
  const idleShare = await measureIdleApps()
  const largeApp = await measureLargeApp()
  const twoServers = await measureTwoServers()
  const largeLog = await measureLargeLog()
  const kill = await killUnderLoad(vault, app, upstream.port)
  const postgresVersion = await vault.asOwner(async (owner) => {
    const { rows: found } = await owner.query<{ server_version: string }>('show server_version')
    return found[0]!.server_version
  })
  await vault.stop()
  const allocatedBytes = await measureAllocation()
  rows.push({
    what: 'a proxied GET: objects made by the server / bytes stored / write-ahead log',
    target: 'at most 60 kB / 2.2 kB / 4.5 kB',
    result: `${kilobytes(allocatedBytes)} / ${kilobytes(storedBytes)} / ${kilobytes(walBytes)}`,
    reached: allocatedBytes <= 60e3 && storedBytes <= 2.2e3 && walBytes <= 4.5e3,
  })
  say('\naudit rows for 60 s, the policy alone, starting')
  const audit = await measureAuditRows(60)
  const [alone, among] = [measureDecisions(0), measureDecisions(1_000)]
  const starts = await measureStarts()
  rows.push(
    {
      what: 'audit rows, 60 s',
      target: `at least 12,000 a second, searchable within ${CATCH_UP_SECONDS} s`,
      result: `${audit.rowsPerSecond.toFixed(0)} a second; all searchable ${audit.catchUpSeconds.toFixed(1)} s after the last`,
      reached: audit.rowsPerSecond >= 12_000 && audit.catchUpSeconds <= CATCH_UP_SECONDS,
    },
    {
      what: 'audit rows lost on `kill -9` under load',
      target: 'none',
      result: `none: ${kill.answered} calls answered, ${kill.recorded} outcomes and ${kill.intents} intents in the log`,
      reached: true,
    },
    {
      what: 'policy decision, 20 rules',
      target: 'p99 below 15 µs',
      result: `p50 ${alone.p50Us.toFixed(1)} µs, p99 ${alone.p99Us.toFixed(1)} µs`,
      reached: alone.p99Us < 15,
    },
    {
      what: 'the same with 1,000 rules on other targets',
      target: 'p99 below 20 µs',
      result: `p50 ${among.p50Us.toFixed(1)} µs, p99 ${among.p99Us.toFixed(1)} µs`,
      reached: among.p99Us < 20,
    },
    {
      what: '`npm start` on a data folder that exists',
      target: 'below 2 s',
      result: `${(starts.existingMs / 1000).toFixed(1)} s`,
      reached: starts.existingMs < 2_000,
    },
    {
      what: '`npm start` on an empty one, installed',
      target: 'below 4 s',
      result: `${(starts.emptyMs / 1000).toFixed(1)} s`,
      reached: starts.emptyMs < 4_000,
    },
    {
      what: 'memory of server and PostgreSQL, idle',
      target: 'below 220 MB',
      result: megabytes(idleBytes),
      reached: idleBytes < 220e6,
    },
    {
      what: 'the same under this load',
      target: 'below 400 MB',
      result: megabytes(peakBytes),
      reached: peakBytes < 400e6,
    },
    compared('CPU of a call with 100,000 grants and 10,000 keys in the app', 'that with 10', 5, largeApp),
    compared('CPU of a call with 1,000,000 audit rows in the app', 'that with 10', 5, largeLog),
    compared('CPU of a call with two server processes on the database', 'that with one', 10, twoServers),
    {
      what: '10,000 apps that had traffic in the last hour and have none now: background work',
      target: 'below 2 % of a core',
      result: `${(idleShare * 100).toFixed(1)} %`,
      reached: idleShare < 0.02,
    },
  )
  const page = performancePage(rows, describeMachine(flush, postgresVersion))
  say(`\n${page}`)
  if (values.write) {
    await writeFile(PAGE, page)
    say(`Written to ${PAGE}.`)
  }
}
