import type { AuditEvent } from '@alter-vault/contracts'
import type { Scope } from './audit-row.ts'

const absent = (names: string): Record<string, null> => Object.fromEntries(names.split(' ').map((name) => [name, null]))

/** Members that a stored row leaves out where they are null. */
const KEEP = absent(
  'caller_kind key_id agent_id actor_id member_id app_user_id principal_type principal_id grant_id provider_id resource_kind ' +
    'trace_id run_id thread_id approval_id intent_id decision_effect primary_reason reason',
)
const DETAIL = absent(
  'account_digest attempt_id bytes_in bytes_out caller caller_type changes client_ip context decision declared_method ' +
    'declared_url error_code grant_label initiator key_prefix latency_ms method pass_id request_body request_headers ' +
    'resource_id resource_type response_body response_headers response_status retry_info scopes source upstream_ms url user_agent',
)

export type Keep = Omit<AuditEvent, 'detail' | 'detail_h' | 'scope_id' | 'app_id' | 'organization_id' | 'row_no'>

/** An audit row as it is stored, found by the projection. */
export type FoundEvent = {
  eventId: string
  scope: Scope
  rowNo: number
  batchId: string
  keep: Keep
  /** Null once pruned. */
  detail: Record<string, unknown> | null
  detailHash: string
}

const SDK_USER_AGENT = /^alter-sdk-[a-z]+\/[0-9A-Za-z.+-]{1,40}$/

/** The parts of a stored row with every member. */
export const wholeKeep = (keep: string): Keep => ({ ...KEEP, ...(JSON.parse(keep) as Keep) })
/** `sdk` is what the user agent says, when it names an SDK. */
export function wholeDetail(stored: string): Record<string, unknown> {
  const detail: Record<string, unknown> = { ...DETAIL, ...JSON.parse(stored) }
  const { user_agent } = detail
  return { ...detail, sdk: typeof user_agent === 'string' && SDK_USER_AGENT.test(user_agent) ? user_agent : null }
}

/** A found row as the API shows it. */
export const toAuditEvent = ({ scope, rowNo, keep, detail, detailHash }: FoundEvent): AuditEvent => ({
  ...keep,
  scope_id: scope.scopeId,
  app_id: scope.appId,
  organization_id: scope.organizationId,
  row_no: rowNo,
  detail,
  detail_h: detail === null ? detailHash : null,
})
