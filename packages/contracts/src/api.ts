import type { Api, Declaration, Endpoint, Schemas } from './endpoint.ts'

/** One object is all that an API family takes; its endpoints are made by its `defineEndpoint`. */
export function defineApi(api: Api) {
  return Object.freeze({
    ...api,
    defineEndpoint<const S extends Schemas>(declaration: Declaration<S>): Endpoint<S> {
      if (!declaration.path.startsWith(`${api.prefix}/`)) throw new Error(`${declaration.id} lies outside its API`)
      const endpoint: Endpoint<S> = { errors: [], ...declaration, api: this }
      Object.freeze(endpoint)
      return endpoint
    },
  })
}

export const sdkApi = defineApi({
  name: 'sdk',
  prefix: '/sdk',
  envelope: 'flat',
  nullIsAbsent: true,
  errors: [],
  sentence: '`/sdk/*` is what apps and agents call, signed with an API key; use an SDK for it.',
})

export const managementApi = defineApi({
  name: 'management',
  prefix: '/api/v1',
  envelope: 'problem',
  nullIsAbsent: false,
  errors: ['unknown_field', 'unknown_parameter'],
  sentence: '`/api/v1/*` is what operators call with a personal access token.',
})

export const approvalPageApi = defineApi({
  name: 'approval_page',
  prefix: '/wallet/api',
  envelope: 'flat',
  nullIsAbsent: false,
  errors: [],
  sentence: '`/wallet/api/*` is what the approval page calls with the token of its link.',
})

/** What monitors and verifiers read at the root. */
export const statusApi = defineApi({
  name: 'status',
  prefix: '',
  envelope: 'flat',
  nullIsAbsent: false,
  errors: [],
  sentence: 'The paths at the root tell the state of the server and its public keys.',
})
