import {
  apiKey,
  approvalLink,
  approvalPageApi,
  type Endpoint,
  everybody,
  managementApi,
  noAudit,
  operator,
  sdkApi,
  statusApi,
} from '@alter-vault/contracts'
import Type from 'typebox'
import { afterEach, describe, expect, it } from 'vitest'
import { type Authenticators, checksNothing } from '../http/authenticators.ts'
import { bind } from '../http/bind-endpoint.ts'
import { createListener, type Listener } from '../http/listener.ts'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { callerAuthenticator, type SdkCaller } from '../management/index.ts'
import { type MatrixVault, tryAccessMatrix } from './access-matrix.ts'

const APP = '018f0000-0000-7000-8000-000000000001'
const common = { summary: 'x', tag: 'x', success: Type.Object({}), audit: noAudit('a test') }
const listKeys = managementApi.defineEndpoint({
  ...common,
  id: 'list_keys',
  method: 'GET',
  path: '/api/v1/apps/:app_id/keys',
  access: operator({ scope: 'keys:read' }),
  params: Type.Object({ app_id: Type.String() }),
  errors: [],
})
const createAgent = sdkApi.defineEndpoint({
  ...common,
  id: 'create_agent',
  method: 'POST',
  path: '/sdk/agents',
  access: apiKey({ scopes: ['agents:write'], refusesAgents: 'app_key_required' }),
  body: Type.Object({ name: Type.String() }),
  errors: [],
})
const readPage = approvalPageApi.defineEndpoint({
  ...common,
  id: 'read_page',
  method: 'POST',
  path: '/wallet/api/approvals/:approval_id/decide',
  access: approvalLink(),
  params: Type.Object({ approval_id: Type.String() }),
  body: Type.Object({ decision: Type.String(), action_hash: Type.String(), link_token: Type.String() }),
  errors: ['approval_not_found', 'action_changed'],
})
const health = statusApi.defineEndpoint({
  ...common,
  id: 'health',
  method: 'GET',
  path: '/healthz',
  access: everybody(),
  errors: [],
})
const endpoints: Endpoint[] = [listKeys, createAgent, readPage, health]

/** Callers are told apart by a header here; a real vault is told by keys. */
const authenticators: Authenticators = {
  public: checksNothing,
  approval_link: checksNothing,
  api_key: callerAuthenticator(async ({ headers }, { scopes }) => {
    const caller = headers['x-caller']
    if (caller === 'app_key_lacking_scope') throw new VaultError('insufficient_scope', { fields: { missing: scopes } })
    if (caller === 'agent_key') return { agentId: APP, keyType: 'ak' } as SdkCaller
    if (caller !== 'app_key') throw new VaultError('invalid_key')
    return { agentId: null, keyType: 'rk' } as SdkCaller
  }),
  async operator({ headers, params }) {
    const caller = headers['x-caller']
    if (caller === 'pat_lacking_scope') throw new VaultError('insufficient_scope')
    if (caller === 'pat_of_another_organization' && params.app_id === APP) throw new VaultError('not_found')
    if (caller !== 'pat') throw new VaultError('authentication_required')
    return { principal: null }
  },
}

let listener: Listener | undefined
afterEach(() => listener?.close(1_000))

async function faultsWith(changed: Partial<Authenticators> = {}, linkToken = 'good'): Promise<string[]> {
  listener = await createListener({
    declared: endpoints,
    bound: [
      bind(listKeys, async () => ({})),
      bind(createAgent, async () => {
        throw new Error('no call of the matrix gets this far')
      }),
      bind(readPage, async ({ body }) => {
        if (body.link_token !== linkToken) throw new VaultError('approval_not_found')
        throw new VaultError('action_changed')
      }),
      bind(health, async () => ({})),
    ],
    hotRoutes: new Map(),
    authenticators: { ...authenticators, ...changed },
    log: silentLog,
    clock: systemClock,
    publicUrl: 'http://localhost',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  const vault: MatrixVault = {
    origin: `http://127.0.0.1:${port}`,
    params: { app_id: APP },
    approvalLink: { approvalId: APP, token: 'good' },
    headersFor: async (caller) => ({ 'x-caller': caller }),
  }
  return tryAccessMatrix(vault, endpoints)
}

describe('the access matrix', () => {
  it('finds nothing where every endpoint keeps its declaration', async () => {
    expect(await faultsWith()).toEqual([])
  })

  it('finds an endpoint that lets everybody in', async () => {
    const faults = await faultsWith({ operator: checksNothing })
    expect(faults).toHaveLength(8)
    expect(faults[0]).toBe('GET /api/v1/apps/:app_id/keys as nobody is let in: 200; expected authentication_required')
  })

  it('finds an endpoint that forgets the scope, the organization or the agent', async () => {
    const forgetsScope = await faultsWith({
      api_key: async (presented, needs) =>
        presented.headers['x-caller'] === 'app_key_lacking_scope' || presented.headers['x-caller'] === 'agent_key'
          ? { principal: null }
          : authenticators.api_key(presented, needs),
    })
    expect(forgetsScope.map((fault) => fault.split(' as ')[1]!.split(' ')[0])).toEqual([
      'agent_key',
      'app_key_lacking_scope',
    ])
    await listener?.close(0)
    const forgetsOrganization = await faultsWith({
      operator: async (presented, needs) =>
        presented.headers['x-caller'] === 'pat_of_another_organization'
          ? { principal: null }
          : authenticators.operator(presented, needs),
    })
    expect(forgetsOrganization).toEqual([
      'GET /api/v1/apps/:app_id/keys as pat_of_another_organization is let in: 200; expected not_found',
    ])
  })

  it('finds an endpoint that refuses whom it should let in, and one that fails', async () => {
    const refuses = await faultsWith({ api_key: () => Promise.reject(new VaultError('invalid_key')) })
    expect(refuses).toContain('POST /sdk/agents as app_key is refused: 401 invalid_key')
    await listener?.close(0)
    const fails = await faultsWith({ api_key: () => Promise.reject(new Error('store away')) })
    expect(fails).toContain('POST /sdk/agents as nobody fails: 500 internal_error')
  })

  it('finds a link that is taken without its token', async () => {
    const faults = await faultsWith({}, 'garbage')
    expect(faults.some((fault) => fault.startsWith('POST /wallet/api/approvals/:approval_id/decide as nobody'))).toBe(
      true,
    )
  })
})
