import { errorRegistry, everybody, JsonObject, noAudit, statusApi } from '@alter-vault/contracts'
import { describe, expect, it } from 'vitest'
import { configSections, readConfig } from '../packages/server/src/config.ts'
import { declaredEndpoints } from '../packages/server/src/http/declared-endpoints.ts'
import { renderApi, renderAuditEvents, renderConfig, renderEnvExample, renderErrors } from './generate-reference.ts'

describe('the reference', () => {
  it('has every error code with its sentence', () => {
    const text = renderErrors(errorRegistry)
    for (const [code, { sentence }] of Object.entries(errorRegistry)) {
      expect(text).toContain(`| \`${code}\` |`)
      expect(text).toContain(sentence)
    }
  })

  it('has every call', () => {
    const text = renderApi(declaredEndpoints)
    for (const { method, path } of declaredEndpoints) expect(text).toContain(`\`${method} ${path}\``)
  })

  it('names the calls that write an audit event', () => {
    const text = renderAuditEvents(declaredEndpoints)
    for (const { audit, path } of declaredEndpoints) {
      if ('none' in audit) continue
      for (const event of audit.events) {
        expect(text.split('\n').find((line) => line.startsWith(`| \`${event}\``))).toContain(path)
      }
    }
  })

  it('keeps a bar inside of its cell', () => {
    const odd = statusApi.defineEndpoint({
      id: 'odd',
      method: 'GET',
      path: '/x',
      summary: 'this | that',
      tag: 'x',
      access: everybody(),
      success: JsonObject,
      errors: [],
      audit: noAudit('nothing'),
    })
    expect(renderApi([odd])).toContain('this \\| that')
  })

  it('has every variable, and an example file that sets none', () => {
    const config = renderConfig(configSections)
    const example = renderEnvExample(configSections)
    const variables = configSections.flatMap(({ fields }) => Object.values(fields).map(({ variable }) => variable))
    for (const variable of variables) {
      expect(config).toContain(`| \`${variable}\` |`)
      expect(example).toContain(`\n#${variable}=\n`)
    }
    expect(example.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([])
  })

  it('has an example file whose variables are all known', () => {
    const uncommented = renderEnvExample(configSections).matchAll(/^#([A-Z_]+)=$/gm)
    const env = Object.fromEntries([...uncommented].map(([, name]) => [name!, '']))
    expect(() => readConfig(env, { mode: 'dev', workingDir: '/' })).not.toThrow()
  })
})
