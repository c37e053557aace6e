import { compileAllowedHosts } from '../egress/allowed-hosts.ts'
import { credentialKinds } from '../egress/credential-kinds.ts'
import { DEFAULT_INJECTION } from '../egress/injection.ts'
import { newId } from '../kernel/ids.ts'
import type { GrantFacts, GrantTarget, SealedCredential } from '../uses/grant-facts.ts'

/** A live grant for tests: the app's own, on a bearer secret that may be sent to `host`, with the members of `different`. */
export function grantFactsOf(
  host: string,
  different: Partial<Omit<GrantFacts, 'target' | 'credential'>> & {
    target?: Partial<GrantTarget>
    credential?: Partial<SealedCredential>
  } = {},
): GrantFacts {
  const { grantId = newId(), target, credential, ...others } = different
  return {
    grantId,
    principal: { type: 'system', id: null },
    label: null,
    status: 'active',
    lifetime: { createdAtMs: 0, expiresAtMs: null },
    checkRestrictions: null,
    target: {
      kind: 'managed_secret',
      providerId: 'payments',
      name: 'Payments',
      status: 'active',
      scopes: [],
      injectedNames: credentialKinds.bearer.injectedNames(DEFAULT_INJECTION),
      allowedHosts: compileAllowedHosts([host]),
      querySpace: '+',
      proxyOnly: false,
      ...target,
    },
    credential: {
      credentialId: newId(),
      kind: credentialKinds.bearer,
      injection: DEFAULT_INJECTION,
      generation: null,
      usableUntilMs: null,
      status: 'active',
      sealed: Buffer.alloc(1),
      hint: null,
      ...credential,
    },
    versions: [{ subject: `grant:${grantId}`, version: 1 }],
    ...others,
  }
}
