import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { noAudit } from './endpoint.ts'
import { PathId } from './list.ts'

const tag = 'tokens'
const interactive = {
  tag,
  access: operator({ scope: null, inPerson: true }),
  success: Type.Object({}),
  audit: noAudit('refuses every token: tokens are managed by their member in person'),
} as const

/** A token never lists, mints or ends tokens: 403 `interactive_session_required`. */
export const listTokens = managementApi.defineEndpoint({
  id: 'list_tokens',
  method: 'GET',
  path: '/api/v1/me/tokens',
  summary: 'List own personal access tokens',
  ...interactive,
})

export const mintToken = managementApi.defineEndpoint({
  id: 'mint_token',
  method: 'POST',
  path: '/api/v1/me/tokens',
  summary: 'Mint a personal access token',
  ...interactive,
})

export const revokeToken = managementApi.defineEndpoint({
  id: 'revoke_token',
  method: 'DELETE',
  path: '/api/v1/me/tokens/:token_id',
  summary: 'Revoke a personal access token',
  params: Type.Object({ token_id: PathId }),
  ...interactive,
})
