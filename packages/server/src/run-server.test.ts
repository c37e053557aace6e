import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'
import { silentLog } from './kernel/log.ts'
import { type RunningServer, runServer, type StopSignal } from './run-server.ts'

const config = readConfig({}, { mode: 'dev', workingDir: '/' })

function setUp(start?: () => Promise<RunningServer>) {
  const said: string[] = []
  let signal: (signal: StopSignal) => void = () => {}
  let finishClosing = () => {}
  const server: RunningServer = {
    address: 'http://localhost:8787',
    announcement: ['Open /wallet'],
    foundOrganization: () => Promise.reject(new Error('no organization is made here')),
    close: () => {
      said.push('closing')
      return new Promise((resolve) => {
        finishClosing = resolve
      })
    },
  }
  const ended = runServer(config, {
    start: start ?? (async () => server),
    onStopSignal: (stop) => {
      signal = stop
      return () => said.push('no longer listening for signals')
    },
    exit: (code) => said.push(`exit ${code}`),
    log: silentLog,
    announce: (line) => said.push(line),
  })
  return { said, ended, server, signal: (name: StopSignal) => signal(name), finishClosing: () => finishClosing() }
}
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('the server process', () => {
  it('says where it is, drains at the first signal, and ends well', async () => {
    const { said, ended, signal, finishClosing } = setUp()
    await settle()
    expect(said).toEqual(['Alter Vault is ready at http://localhost:8787', 'Open /wallet'])
    signal('SIGTERM')
    await settle()
    expect(said.at(-1)).toBe('closing')
    finishClosing()
    expect(await ended).toBe(0)
    expect(said.at(-1)).toBe('no longer listening for signals')
  })

  it('ends at once at the second signal', async () => {
    const { said, signal } = setUp()
    await settle()
    signal('SIGINT')
    await settle()
    signal('SIGINT')
    expect(said.slice(2)).toEqual(['closing', 'exit 130'])
  })

  it('asked to stop while it starts, closes what it opened and announces nothing', async () => {
    let finishStarting: (server: RunningServer) => void = () => {}
    const starting = new Promise<RunningServer>((resolve) => {
      finishStarting = resolve
    })
    const { said, ended, server, signal, finishClosing } = setUp(() => starting)
    signal('SIGTERM')
    finishStarting(server)
    await settle()
    expect(said).toEqual(['closing'])
    finishClosing()
    expect(await ended).toBe(0)
  })

  it('that cannot start fails with the reason', async () => {
    const { said, ended } = setUp(() => Promise.reject(new Error('disk full')))
    await expect(ended).rejects.toThrow('disk full')
    expect(said).toEqual(['no longer listening for signals'])
  })
})
