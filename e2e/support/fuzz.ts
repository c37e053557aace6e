import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePython } from './python.ts'
import { startVaultWithProvider, type VaultWithProvider } from './vault-with-provider.ts'

const SCRIPTS = fileURLToPath(new URL('../python/', import.meta.url))
const STRICT_SERVER = fileURLToPath(new URL('./faulty-vault.ts', import.meta.url))

/**
 * The two APIs and what is beside them, by their paths. The management API comes last: its fuzzer learns the ids of apps and may archive
 * the one whose key the other needs.
 */
export const FUZZED_APIS = {
  sdk: '^/(sdk|wallet|healthz|readyz|\\.well-known)',
  management: '^/api/v1/',
} as const
export type FuzzedApi = keyof typeof FUZZED_APIS

export type FuzzRun = {
  api: FuzzedApi
  /** Requests that are invented for each operation, beside the systematic ones. */
  maxExamples: number
  /** `coverage` is systematic: each constraint of each schema kept and broken. `fuzzing` is random. */
  phases: readonly ('examples' | 'coverage' | 'fuzzing')[]
  seed: number
}

/** What a run found: nothing when `exitCode` is 0. `output` is the fuzzer's own report. */
export type FuzzResult = { exitCode: number; output: string }

/** A vault for the fuzzer alone: every answer that breaks its declaration is a fault there, and operators have no rate limit. */
export type FuzzedVault = AsyncDisposable & {
  vault: VaultWithProvider['vault']
  fuzz(run: FuzzRun): Promise<FuzzResult>
  /** What the description breaks of OpenAPI 3.1; empty when nothing. */
  validateDescription(): Promise<string>
  /** Faults that the server logged: answered 500 or not, none may be there. */
  faults(): string[]
}

/** Installs the fuzzer when it is not there yet, and starts what it will send to. */
export async function startFuzzedVault({ onOutput }: { onOutput?: (text: string) => void } = {}): Promise<FuzzedVault> {
  const python = await ensurePython('fuzz-requirements.txt')
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await startVaultWithProvider({ entry: STRICT_SERVER, env: { E2E_STRICT: '1' } }))
  await world.holdCallsTo('/v1/refunds')
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))

  const { vault } = world
  const worldFile = join(folder, 'world.json')
  await writeFile(
    worldFile,
    JSON.stringify({
      base_url: vault.baseUrl,
      provider_url: world.api.url,
      pat: vault.dev.pat,
      runtime_key: world.runtimeKey,
      agent_key: world.agent.apiKey,
      ids: {
        organization_id: [vault.dev.organization_id],
        app_id: [world.appId],
        agent_id: [world.agent.id],
        managed_secret_id: [world.secret.id],
        grant_id: [world.grantId, world.agent.grantId],
      },
    }),
    { mode: 0o600 },
  )
  const description = join(folder, 'openapi.json')
  const served = await fetch(`${vault.baseUrl}/api/v1/openapi.json`)
  await writeFile(description, await served.text())

  const owned = stack.move()
  return {
    vault,
    async fuzz({ api, maxExamples, phases, seed }) {
      const child = spawn(
        python,
        [
          ...['-m', 'schemathesis.cli'],
          ...['--config-file', join(SCRIPTS, 'schemathesis.toml'), 'run', description],
          ...['--url', vault.baseUrl, '--include-path-regex', FUZZED_APIS[api]],
          ...['--phases', phases.join(','), '--max-examples', String(maxExamples), '--seed', String(seed)],
          ...['--workers', '1', '--no-color', '--warnings', 'off', '--generation-database', 'none'],
        ],
        {
          cwd: folder,
          env: {
            ...process.env,
            FUZZ_WORLD: worldFile,
            PYTHONPATH: SCRIPTS,
            PYTHONDONTWRITEBYTECODE: '1',
            SCHEMATHESIS_HOOKS: 'fuzz_hooks',
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      )
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
          onOutput?.(text)
        })
      }
      const [exitCode] = (await once(child, 'close')) as [number | null]
      return { exitCode: exitCode ?? 1, output }
    },
    async validateDescription() {
      const child = spawn(python, [
        '-m',
        'openapi_spec_validator',
        '--schema',
        '3.1',
        '--subschema-errors',
        'all',
        description,
      ])
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      }
      const [exitCode] = (await once(child, 'close')) as [number | null]
      return exitCode === 0 ? '' : output
    },
    faults: () =>
      vault
        .logs()
        .split('\n')
        .filter((line) => line.startsWith('{"level":"error"')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
