import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Agent } from '@alter-ai/alter-sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensurePython } from '../support/python.ts'
import { startVault } from '../support/start-vault.ts'

const GUIDE = fileURLToPath(new URL('../../docs/guides/verify-the-audit-trail.md', import.meta.url))
const FENCED_PYTHON = /^```python\n([\s\S]*?)^```$/m
/* What an installation and a first start may take on a small machine. */
const SETUP_MS = 600_000
const CALLS = 3

describe('the verifier of the guide, on an export of a real log', () => {
  const stack = new AsyncDisposableStack()
  let python: string
  let folder: string
  let rows: string
  let checkpoints: string

  beforeAll(async () => {
    python = await ensurePython()
    folder = await mkdtemp(join(tmpdir(), 'vault-verifier-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const vault = stack.use(await startVault())
    const { dev, baseUrl } = vault
    const agent = stack.use(new Agent({ apiKey: dev.agent_key, baseUrl, runtime: { warn: () => {} } }))
    for (let call = 0; call < CALLS; call++) {
      const grantId = dev.grants.payments_agent
      await agent.proxyRequest('GET', `${dev.demo_api.url}/v1/payments`, { grantId, reason: 'Naïve “quotes” \\ café' })
    }
    // Ending the process signs what is left.
    await vault.stop()
    await vault.startAgain()

    const get = async (path: string, init: RequestInit = {}) => {
      const headers = { Authorization: `Bearer ${dev.pat}`, 'Content-Type': 'application/json' }
      const answer = await fetch(`${baseUrl}${path}`, { ...init, headers })
      expect(answer.ok, await answer.clone().text()).toBe(true)
      return answer.text()
    }
    const audit = `/api/v1/apps/${dev.app_id}/audit`
    const made = JSON.parse(await get(`${audit}/exports`, { method: 'POST', body: '{"format":"ndjson"}' }))
    rows = await get(made.rows_path)
    checkpoints = await get(made.checkpoints_path)
    const guide = await readFile(GUIDE, 'utf8')
    await writeFile(join(folder, 'verify.py'), FENCED_PYTHON.exec(guide)![1]!)
    await writeFile(join(folder, 'keys.json'), await get('/.well-known/alter-audit-keys.json'))
  }, SETUP_MS)

  afterAll(() => stack.disposeAsync())

  async function verify(export_: { rows: string; checkpoints: string }): Promise<{ code: number; said: string }> {
    await writeFile(join(folder, 'rows.ndjson'), export_.rows)
    await writeFile(join(folder, 'checkpoints.ndjson'), export_.checkpoints)
    const files = ['rows.ndjson', 'checkpoints.ndjson', 'keys.json']
    return promisify(execFile)(python, ['verify.py', ...files], { cwd: folder }).then(
      ({ stdout }) => ({ code: 0, said: stdout }),
      (error: { code: number; stderr: string }) => ({ code: error.code, said: error.stderr }),
    )
  }

  it('finds it whole', async () => {
    const { code, said } = await verify({ rows, checkpoints })
    expect(said).toMatch(/^\d+ rows are as they were written/)
    expect(code).toBe(0)
    expect(rows.match(/"row_no"/g)!.length).toBeGreaterThanOrEqual(2 * CALLS)
    expect(checkpoints).not.toBe('')
  })

  const lines = () => rows.split('\n')
  /** The first two batches of the file, each with its rows, in another order. */
  const batchesSwapped = ([header, ...others]: string[]): string[] => {
    const begins = others.flatMap((line, at) => (line.startsWith('{"batch":') ? [at] : []))
    const [second, third] = [begins[1]!, begins[2]!]
    return [header!, ...others.slice(second, third), ...others.slice(0, second), ...others.slice(third)]
  }
  it.each<[string, () => { rows: string; checkpoints: string }]>([
    ['a changed reason', () => ({ rows: rows.replace('café', 'cafe'), checkpoints })],
    ['a missing row', () => ({ rows: lines().toSpliced(2, 1).join('\n'), checkpoints })],
    [
      'a row in front of its batch',
      () => ({ rows: lines().toSpliced(1, 2, lines()[2]!, lines()[1]!).join('\n'), checkpoints }),
    ],
    ['batches in another order', () => ({ rows: batchesSwapped(lines()).join('\n'), checkpoints })],
    ['a changed checkpoint', () => ({ rows, checkpoints: checkpoints.replace(/"row_no":(\d+)/, '"row_no":1$1') })],
    ['a checkpoint of another key', () => ({ rows, checkpoints: checkpoints.replace(/"key_id":"./, '"key_id":"_') })],
  ])('finds %s', async (_what, tampered) => {
    const { code, said } = await verify(tampered())
    expect(code).not.toBe(0)
    expect(said).not.toContain('are as they were written')
  })
})
