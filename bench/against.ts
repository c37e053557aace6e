import { type BenchApp, prepareBenchApp, signedRequests } from './bench-app.ts'
import { type Measured, measureLoad } from './measure-load.ts'
import { type MeasuredVault, startMeasuredVault } from './measured-vault.ts'
import type { LoadOrder } from './signed-load.ts'

export type Side = { name: string; vault: MeasuredVault; app: BenchApp }
type Options = { kind: 'proxy' | 'token'; connections: number; seconds: number; pairs: number; upstreamPort: number }

const WARM_UP_SECONDS = 8
const MAX_CALLS_A_SECOND = 9_000

const say = (text: string) => process.stdout.write(`${text}\n`)

/**
 * Loads two vaults in turn and prints the quartiles of the ratios of each pair, second to first. What the machine does to one of a pair it
 * mostly does to the other, so a busy machine disturbs these ratios least of all figures.
 */
export async function compareVaults(first: Side, second: Side, options: Options): Promise<void> {
  const load = (side: Side, seconds: number) => measureLoad(orderFor(side, options, seconds), { vault: side.vault })
  for (const side of [first, second]) await load(side, WARM_UP_SECONDS)
  const pairs: [Measured, Measured][] = []
  for (let i = 0; i < options.pairs; i++) {
    const inOrder = i % 2 === 0
    const a = await load(inOrder ? first : second, options.seconds)
    const b = await load(inOrder ? second : first, options.seconds)
    const pair: [Measured, Measured] = inOrder ? [a, b] : [b, a]
    pairs.push(pair)
    say(`  ${pair.map((one) => `${one.perSecond.toFixed(0)}/s ${one.sumUs.toFixed(0)} µs`).join('   ')}`)
  }
  say(`${options.kind}, ${options.connections} connections: ${first.name} -> ${second.name}`)
  for (const [name, of] of FIGURES) {
    const values = (side: 0 | 1) => sorted(pairs.map((pair) => of(pair[side])))
    const ratios = sorted(pairs.map(([a, b]) => of(b) / of(a)))
    const at = (list: number[], part: number) => list[Math.floor((list.length - 1) * part)]!
    const [low, mid, high] = [0.25, 0.5, 0.75].map((part) => at(ratios, part).toFixed(3))
    say(
      `  ${name.padEnd(26)}${at(values(0), 0.5).toFixed(1)} -> ${at(values(1), 0.5).toFixed(1)}   ${mid} [${low} ${high}]`,
    )
  }
}

const FIGURES: readonly (readonly [string, (one: Measured) => number])[] = [
  ['server CPU, µs', (one) => one.serverUs],
  ['database CPU, µs', (one) => one.databaseUs],
  ['CPU behind the call, µs', (one) => one.backgroundUs],
  ['sum, µs', (one) => one.sumUs],
  ['requests a second', (one) => one.perSecond],
  ['p50, ms', (one) => one.p50Ms],
  ['WAL, bytes', (one) => one.walBytes],
  ['stored, bytes', (one) => one.storedBytes],
  ['memory, MB', (one) => one.memoryBytes / 1e6],
]

const sorted = (values: number[]): number[] => values.sort((a, b) => a - b)

function orderFor({ vault, app }: Side, { kind, connections, upstreamPort }: Options, seconds: number): LoadOrder {
  return {
    port: vault.port,
    connections,
    warmupSeconds: 0.5,
    seconds,
    requests: signedRequests(app, {
      kind,
      upstreamPort,
      count: Math.ceil(((seconds + 1) * MAX_CALLS_A_SECOND) / connections),
    }),
  }
}

/** A vault of a checkout with an app in it. */
export async function startSide(name: string, root: string | undefined, upstreamPort: number): Promise<Side> {
  const vault = await startMeasuredVault(root === undefined ? {} : { root })
  return { name, vault, app: await prepareBenchApp(vault, upstreamPort) }
}
