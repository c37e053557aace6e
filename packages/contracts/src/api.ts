import type { ErrorCode } from './errors.ts'

/** A family of endpoints that look alike to a client. */
export type Api = Readonly<{
  name: string
  /** Each of its paths begins with it. */
  prefix: string
  /** The form of a refusal: `flat` names the code in `error`; `problem` is RFC 9457 with the code in `code`. */
  envelope: 'flat' | 'problem'
  /** A body member that is null counts as absent. */
  nullIsAbsent: boolean
  /** What each of its endpoints may answer beside its own codes. */
  errors: readonly ErrorCode[]
  /** What it is for, in the description. */
  sentence: string
}>

/** One object is all that an API family needs; its endpoints name it in `api`. */
export const defineApi = (api: Api): Api => Object.freeze(api)

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
