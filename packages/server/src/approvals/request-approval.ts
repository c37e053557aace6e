import { randomBytes } from 'node:crypto'
import type { AppSettings, PendingApproval } from '@alter-vault/contracts'
import {
  type AuditLog,
  appScope,
  type ChangeConditions,
  ConditionRefused,
  type RowDetail,
  type RowDraft,
} from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Tx } from '../db/database.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { GatePlan } from '../policy/approval-gate.ts'
import type { Group } from './approval.ts'
import { type ApprovalLinks, LINK_NONCE_BYTES } from './approval-link.ts'
import {
  countPending,
  findGroup,
  findPendingTwin,
  insertGroup,
  lockHolding,
  type NewGate,
  readApp,
  readClock,
} from './approval-store.ts'
import {
  actionHash,
  actionLine,
  assertFreezable,
  encodeFrozenRequest,
  type FrozenRequest,
  hasIdempotencyHeader,
} from './frozen-request.ts'
import { requestPlace } from './held-request.ts'

export type RequestApproval = {
  organizationId: string
  request: FrozenRequest
  /** In the order of docs/spec/approvals.md#groups-and-gates; the first is the executor gate. Not empty. */
  gates: readonly GatePlan[]
  /** What the decision rests on; checked in the transaction that holds the request. */
  conditions: ChangeConditions
  /** Who asks, and what the rows say about the request: its URL and headers redacted, the decision record. */
  row: Pick<RowDraft, 'callerKind' | 'principalType' | 'principalId' | 'runId' | 'threadId'> & { detail: RowDetail }
}

type Deps = {
  audit: Pick<AuditLog, 'change'>
  keyring: Pick<Keyring, 'sealFor'>
  links: Pick<ApprovalLinks, 'urlOf'>
}

const AGENT_PENDING_LIMIT = 50
const LONGEST_RETRY_SECONDS = 3_600
const TRIES = 4

/** Found to be a repeat when it was to be charged, or the other way round. Nothing was written. */
class OtherCharge extends Error {}

const isOverBudget = (error: unknown): error is ConditionRefused =>
  error instanceof ConditionRefused && error.result.kind === 'budget_spent'

/**
 * Freezes a request and holds it. A repeat with the same bytes, the same caller and an idempotency header answers the pending
 * request instead, and is charged to no budget. Refusals: `body_too_large`, `validation_failed`, `reason_required`,
 * `too_many_pending_approvals`. Rejects with the audit log's `ConditionRefused` when a condition failed; nothing is held then.
 */
export function createRequestApproval({ audit, keyring, links }: Deps) {
  return async function requestApproval(input: RequestApproval): Promise<PendingApproval> {
    const { request, conditions } = input
    if (input.gates.length === 0) throw new Error('A held request needs at least one gate.')
    assertFreezable(request)
    const approvalGroupId = newId()
    const frozen = {
      approvalGroupId,
      hash: actionHash(request),
      // Before the transaction: making an app's first data key is a transaction of its own.
      sealed: await keyring.sealFor(request.appId, requestPlace(approvalGroupId), encodeFrozenRequest(request)),
    }
    const scope = appScope(request.appId, input.organizationId)
    const mayRepeat = hasIdempotencyHeader(request)
    let asRepeat = mayRepeat
    let overBudget: ConditionRefused | undefined
    for (let attempt = 1; ; attempt++) {
      const freezing = !asRepeat
      try {
        return await audit.change(
          scope,
          async (tx, record) => {
            await lockHolding(tx, request.appId)
            const twin = mayRepeat ? await findRepeat(tx, request, frozen.hash) : undefined
            if ((twin === undefined) !== freezing) throw new OtherCharge()
            return twin ?? (await hold(tx, record, input, frozen))
          },
          freezing ? conditions : { ...conditions, charges: [] },
        )
      } catch (error) {
        if (error instanceof OtherCharge) {
          if (overBudget !== undefined) throw overBudget
        } else if (mayRepeat && freezing && isOverBudget(error)) {
          // The first of two repeats that came together spent the budget: this one may be free.
          overBudget = error
        } else {
          throw error
        }
        if (attempt === TRIES) throw new VaultError('service_unavailable', { retryAfterSeconds: 1, cause: error })
        asRepeat = !asRepeat
      }
    }
  }

  async function findRepeat(tx: Tx, request: FrozenRequest, hash: Buffer): Promise<PendingApproval | undefined> {
    const now = await readClock(tx)
    const agentId = request.agent?.id ?? null
    const groupId = await findPendingTwin(tx, { appId: request.appId, agentId, actionHash: hash, now })
    if (groupId === undefined) return undefined
    const held = await findGroup(tx, request.appId, groupId)
    return held && pendingApproval(held.group, held.now)
  }

  async function hold(
    tx: Tx,
    record: (draft: RowDraft) => string,
    { request, gates: wanted, row }: RequestApproval,
    frozen: { approvalGroupId: string; hash: Buffer; sealed: Buffer },
  ): Promise<PendingApproval> {
    const { settings } = await readApp(tx, request.appId)
    const now = await readClock(tx)
    const agentId = request.agent?.id ?? null
    const gates: NewGate[] = wanted.map((plan) => ({
      ...plan,
      approvalId: newId(),
      linkNonce: randomBytes(LINK_NONCE_BYTES),
      expiresAt: new Date(now.getTime() + plan.configuration.window_seconds * 1_000),
    }))
    if ((request.reason ?? '').trim() === '' && gates.some((gate) => gate.configuration.require_reason)) {
      throw new VaultError('reason_required')
    }
    await assertRoom(tx, request.appId, agentId, now, settings)

    const group = {
      appId: request.appId,
      approvalGroupId: frozen.approvalGroupId,
      actionHash: frozen.hash,
      actionLine: actionLine(request),
      grantId: request.grant.id,
      keyId: request.key.id,
      agentId,
      appUserId: request.appUserId,
      providerId: request.provider.id,
      reason: request.reason,
      traceId: request.traceId,
      policyEpoch: request.decision.policy_epoch,
      requestedAt: now,
      expiresAt: new Date(Math.min(...gates.map((gate) => gate.expiresAt.getTime()))),
    }
    await insertGroup(tx, { ...group, sealedRequest: frozen.sealed, gates })
    for (const gate of gates) {
      record({
        ...row,
        event: 'approval.requested',
        outcome: 'pending',
        decisionEffect: 'hold',
        primaryReason: 'approval_required',
        approvalId: gate.approvalId,
        keyId: request.key.id,
        agentId,
        actorId: request.actorId,
        appUserId: request.appUserId,
        grantId: request.grant.id,
        providerId: request.provider.id,
        resourceKind: request.grant.kind,
        traceId: request.traceId,
        reason: request.reason,
      })
    }
    return pendingApproval({ ...group, executorApprovalId: gates[0]!.approvalId, gates }, now)
  }

  function pendingApproval(
    group: Pick<Group, 'approvalGroupId' | 'executorApprovalId' | 'expiresAt'> & {
      gates: readonly Pick<Group['gates'][number], 'approvalId' | 'expiresAt' | 'linkNonce'>[]
    },
    now: Date,
  ): PendingApproval {
    const ends = (at: Date) => ({
      expires_at: at.toISOString(),
      expires_in: Math.max(0, Math.floor((at.getTime() - now.getTime()) / 1_000)),
    })
    const executor = group.gates.find((gate) => gate.approvalId === group.executorApprovalId)!
    return {
      approval_id: group.executorApprovalId,
      approval_group_id: group.approvalGroupId,
      status: 'pending',
      ...ends(group.expiresAt),
      approval_url: links.urlOf(executor),
      gates: group.gates.map((gate) => ({
        approval_id: gate.approvalId,
        ...ends(gate.expiresAt),
        approval_url: links.urlOf(gate),
      })),
    }
  }
}

async function assertRoom(
  tx: Tx,
  appId: string,
  agentId: string | null,
  now: Date,
  { pending_approvals_limit: limit }: AppSettings,
): Promise<void> {
  const pending = await countPending(tx, appId, agentId, now)
  const agentIsFull = agentId !== null && pending.agent >= AGENT_PENDING_LIMIT
  if (pending.app < limit && !agentIsFull) return
  const until = (agentIsFull ? pending.agent_until : pending.app_until) ?? now
  const seconds = Math.ceil((until.getTime() - now.getTime()) / 1_000)
  throw new VaultError('too_many_pending_approvals', {
    message: agentIsFull
      ? `${pending.agent} requests of this agent wait for approval already; at most ${AGENT_PENDING_LIMIT} may.`
      : `${pending.app} requests of this app wait for approval already; at most ${limit} may.`,
    retryAfterSeconds: Math.min(Math.max(1, seconds), LONGEST_RETRY_SECONDS),
  })
}
