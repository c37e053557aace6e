import { describe, expect, it } from 'vitest'
import { type Commands, runCommandLine } from './command-line.ts'

async function run(...args: string[]) {
  const calls: unknown[][] = []
  let out = ''
  let err = ''
  const commands: Commands = {
    run: async (mode) => {
      calls.push(['run', mode])
      return 0
    },
    verifyFile: async (options) => {
      calls.push(['verifyFile', options])
      return 1
    },
    createOrganization: async (options) => {
      calls.push(['createOrganization', options])
      return 0
    },
    rotateRootKey: async () => {
      calls.push(['rotateRootKey'])
      return 0
    },
    rotateAuditKey: async () => {
      calls.push(['rotateAuditKey'])
      return 0
    },
  }
  const streams = {
    out: (text: string) => {
      out += text
    },
    err: (text: string) => {
      err += text
    },
  }
  const code = await runCommandLine(args, { commands, streams, version: '1.2.3' })
  return { code, calls, out, err }
}

describe('the command line', () => {
  it.each([
    [['serve'], ['run', 'serve']],
    [['dev'], ['run', 'dev']],
    [['rotate-root-key'], ['rotateRootKey']],
    [['rotate-audit-key'], ['rotateAuditKey']],
    [
      ['create-organization', '--name', 'Acme', '--owner-email', 'ann@example.com'],
      ['createOrganization', { name: 'Acme', ownerEmail: 'ann@example.com' }],
    ],
    [
      ['audit', 'verify-file', 'rows.ndjson', '--jwks', 'k.json', '--checkpoints', 'c.json'],
      ['verifyFile', { file: 'rows.ndjson', jwksFile: 'k.json', checkpointsFile: 'c.json' }],
    ],
  ])('%j runs its command', async (args, call) => {
    expect((await run(...args)).calls).toEqual([call])
  })

  it('exits as its command says', async () => {
    expect((await run('audit', 'verify-file', 'x', '--jwks', 'k', '--checkpoints', 'c')).code).toBe(1)
    expect((await run('dev')).code).toBe(0)
  })

  it('prints its version on the output', async () => {
    expect(await run('version')).toMatchObject({ code: 0, out: '1.2.3\n' })
    expect(await run('--version')).toMatchObject({ code: 0, out: '1.2.3\n' })
  })

  it.each([
    [['sevre']],
    [['serve', 'now']],
    [['serve', '--port', '1']],
    [['audit', 'verify-file', 'x']],
    [['audit']],
    [[]],
  ])('%j is a mistake in usage, told on the error stream', async (args) => {
    const { code, calls, out, err } = await run(...args)
    expect({ code, calls, out }).toEqual({ code: 2, calls: [], out: '' })
    expect(err).not.toBe('')
  })
})
