import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { declaredEndpoints } from './declared-endpoints.ts'
import { createSendRefusal } from './error-response.ts'

type Sent = { status: number; headers: Record<string, string>; body: Record<string, unknown> }

/** Answers as a response would, as far as `sendRefusal` can see. */
function refuse(error: unknown, path = '/sdk/proxy', state: { headersSent?: boolean } = {}) {
  const sent: Partial<Sent> = {}
  let destroyed = false
  const response = {
    headersSent: state.headersSent ?? false,
    destroyed: false,
    req: { complete: true, headers: {} },
    writeHead(status: number, headers: Record<string, string>) {
      Object.assign(sent, { status, headers })
    },
    end(text: string) {
      sent.body = JSON.parse(text) as Record<string, unknown>
    },
    destroy() {
      destroyed = true
    },
  }
  const sendRefusal = createSendRefusal({ log: silentLog, publicUrl: 'https://vault.example' })
  const endpoint = declaredEndpoints.find((one) => one.path === path)!
  const { envelope } = endpoint.api
  sendRefusal(response as unknown as ServerResponse, error, {
    requestId: 'r-1',
    path,
    method: 'POST',
    envelope,
    endpoint,
  })
  return { ...(sent as Sent), destroyed }
}

describe('a refusal', () => {
  it('says when to come back, in whole seconds and never too early', () => {
    const spent = refuse(new VaultError('quota_exceeded', { retryAfterSeconds: 12.1 }))
    expect([spent.headers['Retry-After'], spent.body.retry_after]).toEqual(['13', 13])
    expect(refuse(new VaultError('service_unavailable')).headers['Retry-After']).toBe('5')
    expect(refuse(new VaultError('rate_limit_exceeded')).headers['Retry-After']).toBe('1')
    expect(refuse(new VaultError('grant_revoked')).headers['Retry-After']).toBeUndefined()
  })

  it('carries the fields of its code, which cannot replace what identifies it', () => {
    const { body } = refuse(
      new VaultError('policy_denied', {
        hint: 'Ask an operator.',
        fields: {
          policy_error: 'policy_denied',
          decision_id: 'd-1',
          reasons: [{ code: 'policy_denied' }],
          error: 'none',
          request_id: 'x',
        },
      }),
    )
    expect(body).toMatchObject({
      error: 'policy_denied',
      request_id: 'r-1',
      policy_error: 'policy_denied',
      decision_id: 'd-1',
      reasons: [{ code: 'policy_denied' }],
      hint: 'Ask an operator.',
      advice: 'contact_operator',
    })
    const { body: problem } = refuse(
      new VaultError('validation_failed', { fields: { status: 200, type: 'x' } }),
      '/api/v1/apps',
    )
    expect(problem).toMatchObject({ status: 422, type: 'https://vault.example/errors/validation_failed' })
  })

  it('may advise better than its code', () => {
    expect(refuse(new VaultError('policy_denied', { fields: { advice: 'ask_human' } })).body.advice).toBe('ask_human')
  })

  it('keeps its log face inside', () => {
    const { body } = refuse(
      new VaultError('provider_unreachable', { log: { address: '10.0.0.5' }, cause: new Error('10.0.0.5') }),
    )
    expect(JSON.stringify(body)).not.toContain('10.0.0.5')
  })

  it('of a revoked key is 409 where the key is the object of the call', () => {
    expect(refuse(new VaultError('key_revoked')).status).toBe(401)
    expect(refuse(new VaultError('key_revoked', { status: 409 })).status).toBe(409)
  })

  it('after the answer has begun breaks the answer off', () => {
    const broken = refuse(new Error('upstream ended'), '/sdk/proxy', { headersSent: true })
    expect([broken.status, broken.destroyed]).toEqual([undefined, true])
  })
})
