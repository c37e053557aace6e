import {
  type ApiKeyNeeds,
  actionScopes,
  closeScopes,
  closeTokenScopes,
  type Endpoint,
  type OperatorNeeds,
  scopeResources,
  TOKEN_SCOPE_PREFIX,
  tokenScopes,
} from '@alter-vault/contracts'
import { expect, test } from 'vitest'
import { declaredEndpoints } from './http/declared-endpoints.ts'
import { systemAuthor } from './management/index.ts'
import { type MatrixCaller, type MatrixRequest, type MatrixVault, tryAccessMatrix } from './testing/access-matrix.ts'
import { createTestServer, type TestServer } from './testing/test-server.ts'

const KEY_SCOPES = [
  ...actionScopes,
  ...Object.entries(scopeResources).flatMap(([resource, verbs]) => verbs.map((verb) => `${resource}:${verb}`)),
]

/** Scopes that do not give any of `refused`, not even by what they imply. */
const lacking = (all: readonly string[], refused: readonly string[], close: (scopes: readonly string[]) => string[]) =>
  all.filter((scope) => !close([scope]).some((implied) => refused.includes(implied)))

/** One of each caller, each kind of key and token minted once for what it lacks. */
async function matrixOf(server: TestServer): Promise<MatrixVault> {
  const { dev, operator, members, tokens, signed } = server
  const minted = new Map<string, Promise<string>>()
  const once = (name: string, mint: () => Promise<string>) => {
    const known = minted.get(name) ?? mint()
    minted.set(name, known)
    return known
  }

  const keyOf = (keyType: 'runtime' | 'agent', scopes: readonly string[]) =>
    once(`${keyType} ${scopes}`, async () => {
      const made = await operator('POST', `/api/v1/apps/${dev.app_id}/keys`, {
        name: 'Matrix',
        key_type: keyType,
        scopes,
      })
      expect(made.status, made.text).toBe(201)
      return made.body.api_key
    })

  const rows = await server.asOwner<{ member_id: string }>('select member_id from members')
  const home = { organizationId: dev.organization_id, memberId: rows[0]!.member_id }
  const { organization, ownerId } = await members.createOrganization({
    author: systemAuthor,
    name: 'Elsewhere',
    owner: { email: 'eve@elsewhere.test', displayName: 'Eve' },
  })
  const tokenOf = (where: typeof home, scopes: readonly string[]) =>
    once(`token ${where.organizationId} ${scopes}`, async () => {
      const { token } = await tokens.mintPersonalAccessToken({
        ...where,
        author: systemAuthor,
        name: 'Matrix',
        scopes: scopes.map((scope) => `${TOKEN_SCOPE_PREFIX}${scope}`),
      })
      return token.reveal()
    })
  const bearer = async (where: typeof home, scopes: readonly string[]) => ({
    authorization: `Bearer ${await tokenOf(where, scopes)}`,
  })

  async function headersFor(caller: MatrixCaller, { endpoint, method, path, body }: MatrixRequest) {
    const call = { method, path, body }
    const { access } = endpoint
    switch (caller) {
      case 'nobody':
      case 'link_token':
        return {}
      case 'garbage_key':
        return { ...signed('alter_rk_aaaaaaaaaaaaaaaaaaaaaa_l77ykl', call), authorization: 'Bearer alter_pat_x' }
      case 'app_key':
        return signed(await keyOf('runtime', KEY_SCOPES), call)
      // Every scope, so that nothing but being an agent can be the reason of a refusal.
      case 'agent_key':
        return signed(await keyOf('agent', KEY_SCOPES), {
          ...call,
          headers: { 'x-alter-caller': dev.agent_id, 'x-alter-caller-type': 'agent' },
        })
      case 'app_key_lacking_scope': {
        const refused = access.kind === 'api_key' ? (access.needs as ApiKeyNeeds).scopes : []
        return signed(await keyOf('runtime', lacking(KEY_SCOPES, refused, closeScopes)), call)
      }
      case 'pat':
        return bearer(home, tokenScopes)
      case 'pat_lacking_scope': {
        const scope = access.kind === 'operator' ? (access.needs as OperatorNeeds).scope : null
        const refused = scope === null ? [] : [scope]
        return bearer(home, lacking(tokenScopes, refused, closeTokenScopes))
      }
      case 'pat_of_another_organization':
        return bearer({ organizationId: organization.id, memberId: ownerId }, tokenScopes)
    }
  }

  const held = await server.sdk(dev.runtime_key, {
    path: '/sdk/proxy',
    body: {
      method: 'POST',
      url: `${dev.demo_api.url}/v1/refunds`,
      grant_id: dev.grants.payments_system,
      body: { payment: 'pay_1001', amount: 100 },
    },
  })
  expect(held.status, held.text).toBe(202)
  return {
    origin: server.origin,
    params: { app_id: dev.app_id, organization_id: dev.organization_id },
    approvalLink: {
      approvalId: held.body.approval_id,
      token: new URLSearchParams(new URL(held.body.approval_url).hash.slice(1)).get('t')!,
    },
    headersFor,
  }
}

test('every endpoint lets in whom it declares, and nobody else', { timeout: 120_000 }, async () => {
  await using server = await createTestServer()
  const vault = await matrixOf(server)
  const kinds = new Set(declaredEndpoints.map(({ access }: Endpoint) => access.kind))
  expect([...kinds].sort()).toEqual(['api_key', 'approval_link', 'operator', 'public'])
  const stateOf = async () => ({
    apps: await server.asOwner('select app_id, version, archived_at from apps order by app_id'),
    grants: await server.asOwner('select grant_id, status from grants order by grant_id'),
    approvals: await server.asOwner('select approval_group_id, status from approval_groups'),
  })
  const before = await stateOf()
  expect(await tryAccessMatrix(vault, declaredEndpoints)).toEqual([])
  expect(await stateOf(), 'no call of the matrix changes anything').toEqual(before)
})
