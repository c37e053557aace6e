import {
  type AuditEndState,
  type AuditEvent,
  type AuditExplanation,
  type ErrorCode,
  errorRegistry,
} from '@alter-vault/contracts'

type Remedy = { text: string; command?: string }

/** What `explain` says of a trace. */
type Explained = {
  endState: AuditEndState
  code?: string | null
  summary: string
  remedies: Remedy[]
  facts?: Record<string, unknown>
}

/** Rows that say nothing about how the trace ended. */
const ASIDES = new Set(['approval.result_read', 'call.reported', 'policy.simulated', 'system.credential_echo_found'])

/**
 * How a trace ended: the last row that decides anything, in words that lead to a remedy. Input in order of
 * time, not empty.
 */
export function explainTrace(traceId: string, events: readonly AuditEvent[], appId: string): AuditExplanation {
  const last = events.findLast(({ event }) => !ASIDES.has(event)) ?? events.at(-1)!
  const { endState, code = null, summary, remedies, facts = {} } = explainRow(last, events, appId)
  return {
    trace_id: traceId,
    end_state: endState,
    code,
    event_id: last.event_id,
    event: last.event,
    occurred_at: last.occurred_at,
    summary,
    remedies: remedies.map(({ text, command = null }) => ({ text, command })),
    facts: { ...factsOf(last), ...facts },
  }
}

function explainRow(row: AuditEvent, events: readonly AuditEvent[], appId: string): Explained {
  if (row.event.startsWith('approval.')) return explainApproval(row, events, appId)
  if (row.event === 'proxy.outcome_unknown') return unknownOutcome(row, events)
  if (row.event.endsWith('.requested')) {
    return {
      endState: 'in_flight',
      summary: 'The use was allowed and recorded; what became of it is not recorded yet.',
      remedies: [
        { text: 'Look again shortly. After five minutes without an outcome the server says that it is unknown.' },
      ],
    }
  }
  if (row.outcome === 'provider_error') return explainProvider(row, appId)
  if (row.outcome === 'network_error') {
    return {
      endState: 'provider_failed',
      code: row.primary_reason,
      summary: 'The provider could not be reached or gave no usable answer. The credential is not the reason.',
      remedies: [
        { text: 'Try again later; the request may have arrived, so make it idempotent or look at the provider first.' },
      ],
    }
  }
  if (row.outcome === 'success' || row.outcome === 'allowed') {
    return { endState: 'succeeded', summary: 'The trace ended well. There is nothing to do.', remedies: [] }
  }
  if (row.outcome === 'policy_denied' || row.outcome === 'refused') return explainRefusal(row, appId)
  return { endState: 'changed', summary: 'The trace ended with a change, not with a use.', remedies: [] }
}

function explainApproval(row: AuditEvent, events: readonly AuditEvent[], appId: string): Explained {
  const approvalId = row.approval_id
  const show = { text: 'Look at the approval.', command: `alter approvals show ${approvalId} --app ${appId}` }
  const request = events.find(({ event, approval_id }) => event === 'approval.requested' && approval_id === approvalId)
  const facts = { approval_id: approvalId, requested_at: request?.occurred_at ?? null }
  const shown = (endState: AuditEndState, summary: string, remedy?: string): Explained => ({
    endState,
    summary,
    remedies: remedy === undefined ? [show] : [{ text: remedy }, show],
    facts,
  })
  switch (row.event) {
    case 'approval.denied':
      return {
        ...shown(
          'approval_denied',
          'A person, or the end of what the request rested on, said no. Nothing was sent.',
          row.reason === null ? 'The approver gave no reason.' : `The reason given: ${row.reason}`,
        ),
        code: row.primary_reason ?? 'approval_denied',
        facts: { ...facts, approver_reason: row.reason },
      }
    case 'approval.expired':
      return {
        ...shown(
          'approval_expired',
          'Nobody decided in time. Nothing was sent.',
          'Send the request again, and give the rule a longer window or another channel to its approvers.',
        ),
        code: 'approval_expired',
      }
    case 'approval.cancelled':
      return {
        ...shown('approval_cancelled', 'The request was withdrawn before anybody decided. Nothing was sent.'),
        code: row.primary_reason,
      }
    case 'approval.approved':
      return shown('approval_approved', DECIDED)
    case 'approval.decided':
      return shown('approval_pending', DECIDED)
    case 'approval.requested':
      return {
        ...shown(
          'approval_pending',
          'The request waits for a person. Nothing was sent.',
          'Let an approver decide; the link was given to the caller and to the channels of the rule.',
        ),
        code: 'approval_required',
      }
    case 'approval.executing':
      return shown('in_flight', 'The approved request is being sent; what became of it is not recorded yet.')
    case 'approval.outcome_unknown':
      return unknownOutcome(row, events)
    case 'approval.executed':
      return row.outcome === 'provider_error'
        ? explainProvider(row, appId)
        : { endState: 'succeeded', summary: 'The approved request was sent and answered.', remedies: [], facts }
    default:
      if (row.outcome !== 'network_error') return explainRefusal(row, appId)
      return {
        ...shown(
          'provider_failed',
          'The approved request was sent, but gave no usable answer.',
          'Look at the provider before the request is made again.',
        ),
        code: row.primary_reason,
      }
  }
}

const DECIDED = 'The request has been decided on; it is not executed yet.'

function unknownOutcome(row: AuditEvent, events: readonly AuditEvent[]): Explained {
  const intent = events.find(({ event_id }) => event_id === row.intent_id)
  return {
    endState: 'outcome_unknown',
    code: 'execution_outcome_unknown',
    summary: 'The server ended between sending and recording: the request may have reached the provider, or not.',
    remedies: [
      { text: 'Look at the provider for what happened around the time of the intent.' },
      { text: 'Do not send it again before that: it could happen twice.' },
    ],
    facts: { intent_at: intent?.occurred_at ?? null, url: detailOf(intent).url ?? detailOf(row).url ?? null },
  }
}

function explainProvider(row: AuditEvent, appId: string): Explained {
  const { response_status: status, response_headers: headers } = detailOf(row)
  const facts = { status: typeof status === 'number' ? status : null }
  if (status === 401 || status === 403) {
    return {
      endState: 'provider_unauthorized',
      code: `provider_${status}`,
      summary: `The provider answered ${status}: it did not accept the credential, or the credential may not do this.`,
      remedies: [
        { text: 'Rotate the secret if it is no longer valid.', command: `alter managed-secrets rotate --app ${appId}` },
        { text: 'Give the credential the missing right at the provider.' },
        {
          text: 'Check how the secret is put into the request: header name and prefix must be what the provider expects.',
        },
      ],
      facts,
    }
  }
  if (status === 429) {
    const retryAfter = (headers as Record<string, unknown> | null | undefined)?.['retry-after'] ?? null
    return {
      endState: 'provider_rate_limited',
      code: 'provider_429',
      summary: 'The provider limits how often it is called.',
      remedies: [
        { text: retryAfter === null ? 'Back off and try again later.' : `Try again after "${String(retryAfter)}".` },
        { text: 'A budget rule keeps the callers below the limit.' },
      ],
      facts: { ...facts, retry_after: retryAfter },
    }
  }
  if (typeof status === 'number' && status >= 500) {
    return {
      endState: 'provider_failed',
      code: `provider_${status}`,
      summary: `The provider answered ${status}: the trouble is its own, and the credential is not the reason.`,
      remedies: [{ text: 'Try again later.' }],
      facts,
    }
  }
  return {
    endState: 'provider_rejected',
    code: typeof status === 'number' ? `provider_${status}` : null,
    summary: 'The provider did not take the request as it was.',
    remedies: [
      { text: 'Compare method, path, query and body with the documents of the provider.', command: 'alter verify' },
    ],
    facts,
  }
}

const SCOPE_CODES = new Set(['insufficient_scope', 'scope_mismatch'])
const GRANT_CODES = new Set([
  'credential_revoked',
  'grant_deleted',
  'grant_expired',
  'grant_idle_exceeded',
  'grant_not_found',
  'grant_revoked',
  'grant_ttl_exceeded',
  'no_delegated_grant',
])
const DESTINATION_CODES = new Set(['blocked_destination', 'grant_restriction', 'outside_allowed_request'])
const STORE_CODES = new Set(['audit_unavailable', 'policy_unavailable', 'service_unavailable', 'unavailable'])

function explainRefusal(row: AuditEvent, appId: string): Explained {
  const code = row.primary_reason ?? 'refused'
  const sentence = errorRegistry[code as ErrorCode]?.sentence ?? 'The server refused. Nothing was sent.'
  const refused = (endState: AuditEndState, ...remedies: Remedy[]) => ({ endState, code, summary: sentence, remedies })
  if (code === 'agent_scope_not_allowed') {
    const command = `alter agents update ${row.agent_id} --app ${appId} --scopes <map>`
    return refused('scope_missing', { text: "Widen the agent's scope map.", command })
  }
  if (SCOPE_CODES.has(code)) {
    const command = `alter keys rotate --key ${row.key_id} --app ${appId} --scopes <list>`
    return refused('scope_missing', { text: 'Rotate the key with more scopes.', command })
  }
  if (GRANT_CODES.has(code)) {
    return refused(
      'grant_ended',
      {
        text: 'Let the person connect again, or give the principal a new grant.',
        command: `alter managed-secrets grants create --app ${appId}`,
      },
      {
        text: 'If the secret itself was revoked or ran out, rotate it.',
        command: `alter managed-secrets rotate --app ${appId}`,
      },
    )
  }
  if (code.endsWith('_requires_proxy')) {
    const text = 'Send the same request through the proxy call instead of retrieving the credential.'
    return refused('proxy_required', { text })
  }
  if (STORE_CODES.has(code)) {
    const text = "The server's own store was away. Look at its status page and try again later."
    return refused('store_unavailable', { text })
  }
  const reasons = enforcedReasons(row)
  if (DESTINATION_CODES.has(code)) {
    const remedy = {
      text: 'Send to a host that the secret allows, or allow this one.',
      command: `alter managed-secrets set-allowed-hosts --app ${appId} --host <host>`,
    }
    return { ...refused('destination_refused', remedy), facts: { reasons } }
  }
  if (row.outcome !== 'policy_denied') return refused('refused')
  const denied = { ...refused('policy_denied', ...reasons.flatMap(remediesOfRule(appId))), facts: { reasons } }
  if (reasons.length === 0) return denied
  const who = reasons.length === 1 ? 'A rule says' : `${reasons.length} rules say`
  return { ...denied, summary: `${who} no. Nothing was sent.` }
}

type Reason = {
  code?: unknown
  rule_id?: unknown
  rule_name?: unknown
  rule_version?: unknown
  target?: unknown
  message?: unknown
  shadow?: unknown
  retryable_at?: unknown
}

const enforcedReasons = (row: AuditEvent): Reason[] => {
  const { reasons } = (detailOf(row).decision ?? {}) as { reasons?: unknown }
  return Array.isArray(reasons) ? (reasons as Reason[]).filter(({ shadow }) => shadow !== true) : []
}

const remediesOfRule =
  (appId: string) =>
  ({ rule_id, rule_name, message, retryable_at }: Reason): Remedy[] => {
    const what = typeof message === 'string' ? message : 'A rule refused the request.'
    const when = typeof retryable_at === 'string' ? ` It would pass from ${retryable_at} on.` : ''
    const name = typeof rule_name === 'string' ? `Rule "${rule_name}": ` : ''
    return [
      {
        text: `${name}${what}${when}`,
        ...(typeof rule_id === 'string' ? { command: `alter policy rules get ${rule_id} --app ${appId}` } : {}),
      },
    ]
  }

const detailOf = (row: AuditEvent | undefined): Record<string, unknown> => row?.detail ?? {}

/** What places the row for whoever goes on looking. */
function factsOf(row: AuditEvent): Record<string, unknown> {
  const { method = null, url = null, declared_method = null, declared_url = null } = detailOf(row)
  const known = {
    grant_id: row.grant_id,
    provider_id: row.provider_id,
    key_id: row.key_id,
    agent_id: row.agent_id,
    approval_id: row.approval_id,
    method: method ?? declared_method,
    url: url ?? declared_url,
  }
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null))
}
