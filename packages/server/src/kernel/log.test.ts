import { describe, expect, it } from 'vitest'
import { Secret } from '../crypto/secret.ts'
import { createLog, withoutSecrets } from './log.ts'

function capture(mode: 'dev' | 'serve' = 'serve') {
  const lines: string[] = []
  const log = createLog({ level: 'debug', mode, version: '1.0.0', destination: { write: (line) => lines.push(line) } })
  return { log, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown>, text: () => lines.join('') }
}

const KEY = 'alter_rk_aaaaaaaaaaaaaaaaaaaaaa_l77ykl'

describe('the log', () => {
  it('says in each line that it is development, and only then', () => {
    const development = capture('dev')
    development.log.child({ part: 'jobs' }).info({}, 'hello')
    expect(development.last()).toMatchObject({
      mode: 'development',
      part: 'jobs',
      level: 'info',
      msg: 'hello',
      version: '1.0.0',
    })
    const production = capture('serve')
    production.log.info({}, 'hello')
    expect(production.last()).not.toHaveProperty('mode')
  })

  it('prints a Secret as a word', () => {
    const { log, text } = capture()
    log.warn(
      { value: new Secret('hunter2'), deep: { list: [new Secret('hunter2')] } },
      `opening ${new Secret('hunter2')}`,
    )
    expect(text()).not.toContain('hunter2')
    expect(text()).toContain('[secret]')
  })

  it('never prints members that hold secrets by name', () => {
    const { log, text } = capture()
    log.info(
      { headers: { authorization: 'hunter2', 'x-api-key': 'hunter2', cookie: 'hunter2' }, password: 'hunter2' },
      'x',
    )
    expect(text()).not.toContain('hunter2')
  })

  it('cuts keys, tokens and passwords out of any text, errors included', () => {
    const { log, text } = capture()
    log.error({ err: new Error(`no such key ${KEY} at postgresql://vault:hunter2@db/x`) }, `Bearer ${KEY}`)
    log.info({ url: 'https://vault.example/wallet/approvals/1#t=hunter2', deep: { a: { b: { c: KEY } } } }, 'x')
    expect(text()).not.toContain('hunter2')
    expect(text()).not.toContain('aaaaaaaa')
    expect(text()).toContain('alter_rk_[secret]')
  })
})

it('leaves text alone that holds no secret', () => {
  const text = 'GET https://api.example.com:443/v1?x=1 alter_rk_short https://user@host/ a bearer token'
  expect(withoutSecrets(text)).toBe(text)
})
