import type { RequestApproval } from '../approvals/index.ts'
import { storedHeaders, storedUrl } from '../audit/index.ts'
import type { HoldRequest } from './proxy-use.ts'

/** A held use as the approvals slice freezes it: everything it will be sent with, and no credential. */
export function holdRequestOf({ use, judgment, conditions }: HoldRequest): RequestApproval {
  const { caller, grant, call, columns } = use
  const { agent } = caller
  const { injectedNames } = grant.target
  return {
    organizationId: caller.organizationId,
    gates: judgment.decision.gates,
    conditions,
    request: {
      appId: caller.appId,
      method: call.method,
      url: call.url.href,
      headers: call.headers,
      body: call.body ?? null,
      addedByVault: [
        ...injectedNames.headers.map((name) => ({ place: 'header' as const, name })),
        ...injectedNames.queryParams.map((name) => ({ place: 'query' as const, name })),
      ],
      grant: {
        id: grant.grantId,
        kind: grant.target.kind,
        label: grant.label,
        principalType: grant.principal.type,
        principalId: grant.principal.id,
        scopes: grant.target.scopes,
      },
      credentialId: grant.credential.credentialId,
      provider: { id: grant.target.providerId, name: grant.target.name, account: null },
      key: { id: caller.keyId!, prefix: caller.keyPrefix!, name: caller.keyName!, type: caller.keyType },
      agent: agent === null ? null : { id: agent.agentId, name: agent.name, type: agent.type },
      appUserId: caller.user?.id ?? null,
      caller: caller.caller,
      callerType: caller.callerType,
      actorId: caller.actorId,
      clientIp: caller.clientIp,
      userAgent: caller.userAgent,
      traceId: caller.traceId,
      reason: use.reason,
      context: caller.context,
      decision: judgment.record,
    },
    row: {
      callerKind: columns.callerKind ?? null,
      principalType: columns.principalType,
      principalId: columns.principalId,
      runId: columns.runId ?? null,
      threadId: columns.threadId ?? null,
      detail: {
        ...columns.detail,
        method: call.method,
        url: storedUrl(call.url.href, injectedNames.queryParams),
        requestHeaders: storedHeaders(call.headers, injectedNames.headers),
        grantLabel: grant.label,
        decision: judgment.record,
      },
    },
  }
}
