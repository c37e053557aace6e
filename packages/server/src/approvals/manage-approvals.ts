import type { ManagedApproval, ManagedApprovalDetail } from '@alter-vault/contracts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { type ListPage, parsePage, toPage } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { approvalsOf, approverInWords, type Group, hasResult } from './approval.ts'
import { findGroup, findGroupId, type GroupFilter, type Held, listGroups, readSealed } from './approval-store.ts'
import { bodyOf, type FrozenRequest } from './frozen-request.ts'
import { openFrozenRequest } from './held-request.ts'

type Deps = { db: Pick<Database, 'readForApp'>; keyring: Pick<Keyring, 'openFor'> }

/** What operators see of held requests. No value of a request that may be private. */
export function createManageApprovals({ db, keyring }: Deps) {
  /** Newest first. Refusal: `invalid_cursor`. */
  async function listApprovals(
    appId: string,
    query: GroupFilter & { limit?: number | undefined; cursor?: string | undefined },
  ): Promise<ListPage<ManagedApproval>> {
    const page = parsePage({ limit: query.limit, cursor: query.cursor })
    const { rows, now } = await db.readForApp(appId, (tx) => listGroups(tx, appId, query, page))
    return toPage(rows, page, ({ group }) => managedApproval({ group, now }))
  }

  /** By the id of a gate or of the group. Refusal: `approval_not_found`. */
  async function getApproval(appId: string, id: string): Promise<ManagedApprovalDetail> {
    const { held, sealed } = await db.readForApp(appId, async (tx) => {
      const groupId = await findGroupId(tx, appId, id)
      const held = groupId === undefined ? undefined : await findGroup(tx, appId, groupId)
      if (held === undefined) throw new VaultError('approval_not_found')
      return { held, sealed: await readSealed(tx, held.group, 'sealed_request') }
    })
    const request = sealed === null ? null : redactedRequest(await openFrozenRequest(keyring, held.group, sealed))
    return { ...managedApproval(held), request_erased: sealed === null, request }
  }

  return { listApprovals, getApproval }
}

export function managedApproval({ group, now }: Held): ManagedApproval {
  return {
    approval_group_id: group.approvalGroupId,
    approval_id: group.executorApprovalId,
    status: group.status,
    action: group.actionLine,
    action_hash: group.actionHash.toString('hex'),
    provider_id: group.providerId,
    grant_id: group.grantId,
    key_id: group.keyId,
    agent_id: group.agentId,
    app_user_id: group.appUserId,
    reason: group.reason,
    trace_id: group.traceId,
    requested_at: group.requestedAt.toISOString(),
    expires_at: group.expiresAt.toISOString(),
    decided_at: group.decidedAt?.toISOString() ?? null,
    decision_reason: group.decisionReason,
    executed_at: group.executedAt?.toISOString() ?? null,
    execution_error: group.executionError,
    has_result: hasResult(group, now),
    request_erased: group.requestErased,
    gates: managedGates(group),
  }
}

function managedGates(group: Group): ManagedApproval['gates'] {
  return group.gates.map((gate) => ({
    approval_id: gate.approvalId,
    status: gate.status,
    quorum: gate.quorum,
    approvals: approvalsOf(gate),
    expires_at: gate.expiresAt.toISOString(),
    decided_at: gate.decidedAt?.toISOString() ?? null,
    decision_reason: gate.decisionReason,
    link_mode: gate.configuration.link_mode,
    approvers: gate.configuration.approvers.map(approverInWords),
    rules: gate.rules.map(({ rule_id, rule_version, rule_name, target_type }) => ({
      rule_id,
      rule_version,
      rule_name,
      target_type,
    })),
    decisions: gate.decisions.map((given) => ({
      decision: given.decision,
      approver_kind: given.approverKind,
      reason: given.reason,
      decided_at: given.decidedAt.toISOString(),
    })),
  }))
}

/** Names, sizes and the hash of the body; of the values only the method, host and path. */
function redactedRequest(request: FrozenRequest): ManagedApprovalDetail['request'] {
  const url = new URL(request.url)
  const { bytes, sha256 } = bodyOf(request)
  return {
    method: request.method,
    url: request.url.split('?', 1)[0]!,
    query_names: [...url.searchParams.keys()],
    header_names: request.headers.map(([name]) => name),
    body: {
      content_type: request.headers.find(([name]) => name === 'content-type')?.[1] ?? null,
      size_bytes: bytes.length,
      sha256,
    },
  }
}
