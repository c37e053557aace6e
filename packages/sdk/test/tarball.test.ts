import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SDK_VERSION } from '../src/version.ts'

const run = promisify(execFile)
const sdkFolder = join(import.meta.dirname, '..')
const require = createRequire(import.meta.url)

/** Folder of a package that some `node_modules` above provides. */
function packageFolder(name: string): string {
  return dirname(require.resolve(`${name}/package.json`))
}

/** What a consumer writes; it compiles only if the published types say what the documentation says. */
const CONSUMER = `
import {
  Agent, App, ApprovalDeniedError, type ApprovalStatusValue, ApprovalResult, CallerType, type GrantItem, HttpMethod,
  isValidKey, PendingApproval, type Principal, Provider, type ProviderResponse,
} from '@alter-ai/alter-sdk'

export async function refund(): Promise<unknown> {
  await using app = new App({ apiKey: 'k', baseUrl: 'https://vault.example', callerType: CallerType.SERVICE })
  const agent: Agent = app.getAgent('11111111-2222-3333-4444-555555555555').withConstraints({ scopes: ['proxy:execute'] })
  const outcome: ApprovalResult | PendingApproval = await agent.trace({ runId: 'r', metadata: { ticket: '1' } }, () =>
    agent.proxyRequest(HttpMethod.POST, 'https://api.stripe.com/v1/refunds', { provider: Provider.STRIPE, json: { a: 1 } }),
  )
  if (outcome instanceof PendingApproval) {
    const url: string = outcome.approvalUrl
    const result = await agent.awaitApproval(outcome.approvalId, { timeoutMs: 1_000 })
    return [url, result.bodyJson()]
  }
  const response: ProviderResponse = await app.request('GET', 'https://api.example.com/{id}', {
    grantId: 'g', pathParams: { id: 1 }, queryParams: { a: [1, 'b'] },
  })
  const attempts: number | undefined = response.retryInfo?.totalAttempts
  const grants: readonly GrantItem[] = (await app.listGrants({ limit: 1 })).grants
  const names = grants.map((grant) => (grant.grantKind === 'oauth' ? grant.providerId : grant.managedSecretSlug))
  const principal: Principal = { type: 'user', userToken: 'jwt', label: 'l' }
  await app.createManagedSecretGrant('m', { principal, grantPolicy: { maxTtlSeconds: 60 } })
  return [attempts, names]
}

export function describe(error: unknown): string | null {
  if (error instanceof ApprovalDeniedError) return error.approvalId
  const wire: { status_code: number; body_b64: string } = new ApprovalResult({ status_code: 200, headers: {}, body_b64: '', body_truncated: false }).toJSON()
  const status: ApprovalStatusValue = 'pending'
  return isValidKey('x') ? status : wire.body_b64
}

// @ts-expect-error principals are plain objects: a user needs a label
export const principal: Principal = { type: 'user', userToken: 'jwt' }
// @ts-expect-error an agent cannot choose its caller type
export const agent = new Agent({ apiKey: 'k', callerType: 'service' })
// @ts-expect-error an agent has no administration
export const revoke = (a: Agent) => a.revokeGrant('g')
`

/** What runs: exports, key check, a refused argument, names of classes. */
const SMOKE = `
const key = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
if (!sdk.isValidKey(key)) throw new Error('the key check is broken')
const app = new sdk.App({ apiKey: key, baseUrl: 'https://vault.example' })
for (const [name, value] of Object.entries(sdk)) {
  if (name.endsWith('Error') && new value('x').name !== name) throw new Error(name + ' lost its name')
}
app.proxyRequest('GET', '', {}).then(
  () => process.exit(1),
  (error) => {
    if (!(error instanceof sdk.AlterValueError)) throw error
    console.log(JSON.stringify({ version: sdk.SDK_VERSION, exports: Object.keys(sdk).sort() }))
  },
)
`

let folder: string
let installed: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alter-sdk-tarball-'))
  const publish = join(folder, 'publish')
  await mkdir(publish)
  for (const name of ['package.json', 'README.md']) await cp(join(sdkFolder, name), join(publish, name))
  const tsdown = join(packageFolder('tsdown'), 'dist', 'run.mjs')
  await run(process.execPath, [tsdown, '--out-dir', join(publish, 'dist'), '--logLevel', 'error'], { cwd: sdkFolder })
  const { stdout } = await run('npm', ['pack', '--offline', '--json', '--pack-destination', folder], { cwd: publish })
  const [{ filename }] = JSON.parse(stdout)

  installed = join(folder, 'consumer', 'node_modules', '@alter-ai', 'alter-sdk')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1'])
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

test('holds the builds, their types, the package and its page, and nothing else', async () => {
  const files = (await readdir(installed, { recursive: true })).sort()
  expect(files).toEqual([
    'README.md',
    'dist',
    'dist/index.cjs',
    'dist/index.d.cts',
    'dist/index.d.ts',
    'dist/index.js',
    'package.json',
  ])
})

test('needs nothing but Node', async () => {
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies'])
    expect(manifest).not.toHaveProperty(kind)
  expect(manifest.version).toBe(SDK_VERSION)
  for (const name of ['index.js', 'index.cjs', 'index.d.ts', 'index.d.cts']) {
    const code = await readFile(join(installed, 'dist', name), 'utf8')
    const imported = [...code.matchAll(/(?:\bfrom|^import|\brequire\(|\bimport\()\s*["']([^"']+)["']/gm)].map(
      ([, from]) => from,
    )
    expect(imported.filter((from) => !from!.startsWith('node:'))).toEqual([])
  }
})

test('runs as an ES module and as CommonJS, with the same exports', async () => {
  const consumer = join(folder, 'consumer')
  await writeFile(join(consumer, 'smoke.mjs'), `import * as sdk from '@alter-ai/alter-sdk'\n${SMOKE}`)
  await writeFile(join(consumer, 'smoke.cjs'), `const sdk = require('@alter-ai/alter-sdk')\n${SMOKE}`)
  const outputs = []
  for (const file of ['smoke.mjs', 'smoke.cjs']) {
    outputs.push(JSON.parse((await run(process.execPath, [file], { cwd: consumer })).stdout))
  }
  expect(outputs[0]).toEqual(outputs[1])
  expect(outputs[0].version).toBe(SDK_VERSION)
  expect(outputs[0].exports).toEqual(
    expect.arrayContaining(['Agent', 'App', 'HttpMethod', 'PendingApproval', 'isValidKey']),
  )
}, 60_000)

test('types a consumer of either kind', async () => {
  const consumer = join(folder, 'consumer')
  await writeFile(join(consumer, 'consumer.mts'), CONSUMER)
  await writeFile(join(consumer, 'consumer.cts'), CONSUMER)
  await writeFile(
    join(consumer, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        lib: ['es2022'],
        module: 'nodenext',
        types: ['node'],
        typeRoots: [dirname(packageFolder('@types/node'))],
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
      },
      files: ['consumer.mts', 'consumer.cts'],
    }),
  )
  const tsc = join(packageFolder('typescript'), 'bin', 'tsc')
  const { code = 0, stdout } = await run(process.execPath, [tsc, '-p', consumer]).catch((failure) => failure)
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
}, 60_000)
