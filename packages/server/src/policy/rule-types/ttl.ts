import type { TtlBody } from '@alter-vault/contracts'
import { deny, type EvaluateRule } from '../firing.ts'

/** Denies a grant that is too old, or that was not used for too long. */
export function compileTtl(body: TtlBody): EvaluateRule {
  const maxAgeMs = (body.max_grant_age_seconds ?? Number.POSITIVE_INFINITY) * 1000
  const maxIdleMs = (body.max_idle_seconds ?? Number.POSITIVE_INFINITY) * 1000
  return ({ context: { grant }, atMs }) => {
    if (atMs - (grant.consentedAtMs ?? grant.createdAtMs) > maxAgeMs) {
      return deny('grant_ttl_exceeded', `The grant is older than ${body.max_grant_age_seconds} s.`)
    }
    if (atMs - (grant.lastUsedAtMs ?? grant.createdAtMs) > maxIdleMs) {
      return deny('grant_idle_exceeded', `The grant was not used for more than ${body.max_idle_seconds} s.`)
    }
    return null
  }
}
