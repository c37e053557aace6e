import { createSecretKey, randomBytes } from 'node:crypto'
import { appScope, createAuditLog, type RowDraft } from '../audit/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import type { SdkCaller } from '../management/index.ts'
import type { GateConfiguration, GatePlan } from '../policy/approval-gate.ts'
import { auditedRows } from '../testing/audited-rows.ts'
import { sdkCallerOf } from '../testing/sdk-caller.ts'
import type { TestDatabase } from '../testing/test-database.ts'
import { createTestKeyring } from '../testing/test-keyring.ts'
import { createApprovalLinks } from './approval-link.ts'
import { findGroup } from './approval-store.ts'
import { type Approvals, type ApprovalsDeps, approvalUseCases } from './create-approvals.ts'
import { createDecideApproval, type DecidingPerson, type Executions } from './decide-approval.ts'
import type { FrozenRequest } from './frozen-request.ts'
import { createReadAppScope } from './read-app-scope.ts'
import type { RequestApproval } from './request-approval.ts'

const PUBLIC_URL = 'https://vault.test'

/** One app with an agent, a grant and everything that approvals need; several processes may work on it. */
export async function createApprovalFixture(test: TestDatabase) {
  const [organizationId, appId, agentId, keyId] = [newId(), newId(), newId(), newId()]
  const [secretId, credentialId, grantId] = [newId(), newId(), newId()]
  const by = '{"type":"system"}'
  await test.asOwner(
    `with organization as (insert into organizations (organization_id, name, slug) values ($1::uuid, 'Acme', 'acme-' || $1::uuid)),
      app as (insert into apps (app_id, organization_id, name, slug) values ($2, $1, 'Shop', 'shop')),
      agent as (insert into agents (app_id, agent_id, name, type, created_by) values ($2, $3, 'refunder', 'agent', $7)),
      secret as (insert into managed_secrets (app_id, managed_secret_id, slug, name, credential_type, allowed_hosts, created_by)
        values ($2, $4, 'stripe', 'Stripe', 'bearer', '{api.stripe.com}', $7)),
      credential as (insert into credentials (app_id, credential_id, source_kind, source_id, label)
        values ($2, $5, 'managed_secret', $4, 'live'))
    insert into grants (app_id, grant_id, principal_type, principal_id, provider_id, source_id, credential_id, created_by)
      values ($2, $6, 'agent', $3, 'stripe', $4, $5, $7)`,
    [organizationId, appId, agentId, secretId, credentialId, grantId, by],
  )

  const scope = appScope(appId, organizationId)
  const keyring = createTestKeyring()
  const linkKey = createSecretKey(randomBytes(32))
  const links = createApprovalLinks({ linkKey, publicUrl: PUBLIC_URL })

  /** Id and token out of a link, with who opens it. */
  function linkOf(url: string) {
    const { pathname, hash } = new URL(url)
    const [approvalId, token] = [pathname.split('/').at(-1)!, hash.slice(3)]
    return { approvalId, token, clientIp: '198.51.100.4', userAgent: 'Browser' }
  }

  /** One server process. */
  function startProcess(deps: Partial<Omit<ApprovalsDeps, 'executions'>> & { executions?: Partial<Executions> } = {}) {
    const processId = newId()
    const clock = deps.clock ?? systemClock
    const audit = createAuditLog({ db: test.db, clock: systemClock, log: silentLog, keyring })
    const woken: string[] = []
    const faults: unknown[] = []
    const all: ApprovalsDeps = {
      db: test.db,
      audit,
      keyring,
      linkKey,
      publicUrl: PUBLIC_URL,
      processId,
      clock,
      log: { error: ({ err }) => faults.push(err) },
      ...deps,
      executions: {
        wouldBeDenied: async () => [],
        wake: ({ approvalGroupId }) => void woken.push(approvalGroupId),
        ...deps.executions,
      },
    }
    const approvals = approvalUseCases(all)
    const { decide } = createDecideApproval({
      ...all,
      readAppScope: createReadAppScope(test.db),
      openApproval: () => Promise.reject(new Error('not by link')),
      announce: () => undefined,
    })
    return { approvals, audit, processId, woken, faults, decide }
  }
  type Process = ReturnType<typeof startProcess>

  const frozen = (changes: Partial<FrozenRequest> = {}): FrozenRequest => ({
    appId,
    method: 'POST',
    url: 'https://api.stripe.com/v1/refunds',
    headers: [['content-type', 'application/json']],
    body: Buffer.from('{"charge":"ch_1","amount":600}'),
    addedByVault: [{ place: 'header', name: 'authorization' }],
    grant: {
      id: grantId,
      kind: 'managed_secret',
      label: null,
      principalType: 'agent',
      principalId: agentId,
      scopes: [],
    },
    credentialId,
    provider: { id: 'stripe', name: 'Stripe', account: null },
    key: { id: keyId, prefix: 'alter_ak_0000000', name: 'main', type: 'ak' },
    agent: { id: agentId, name: 'refunder', type: 'agent' },
    appUserId: null,
    caller: null,
    callerType: null,
    actorId: null,
    clientIp: '203.0.113.7',
    userAgent: null,
    traceId: 'a'.repeat(32),
    reason: 'Refund for ticket #1234',
    context: { run_id: 'run-1' },
    decision: {
      decision_id: newId(),
      effect: 'hold',
      phase: 'request',
      policy_epoch: 1,
      evaluated_at: '2026-01-01T00:00:00.000Z',
      duration_us: 80,
      reasons: [],
      shadow_effect: 'hold',
      obligations: [],
      context_digest: '0'.repeat(64),
      rules_evaluated: 1,
      retryable: false,
      retry_after_seconds: null,
    },
    ...changes,
  })

  const gate = (configuration: Partial<GateConfiguration> = {}, plan: Partial<GatePlan> = {}): GatePlan => ({
    quorum: 1,
    rules: [{ rule_id: newId(), rule_version: 3, rule_name: 'Refunds', target_type: 'grant', managed_by: 'operator' }],
    configuration: {
      approvers: [],
      window_seconds: 3_600,
      channels: [],
      link_mode: 'bearer',
      require_reason: false,
      decision_reason: 'optional',
      edit_allowed: false,
      approve_for_window: null,
      step_up: null,
      four_eyes: false,
      show_body: true,
      show_result: false,
      ...configuration,
    },
    ...plan,
  })

  const request = (changes: Partial<RequestApproval> & { frozen?: Partial<FrozenRequest> } = {}): RequestApproval => ({
    organizationId,
    request: frozen(changes.frozen),
    gates: changes.gates ?? [gate()],
    conditions: changes.conditions ?? {},
    row: changes.row ?? { callerKind: 'agent_key', detail: {} },
  })

  const read = async (groupId: string) => {
    const held = await test.db.readForApp(appId, (tx) => findGroup(tx, appId, groupId))
    if (held === undefined) throw new Error(`no group ${groupId}`)
    return held.group
  }

  /** Rows of the audit log in the order of their batches. */
  const rows = async (): Promise<AuditRow[]> =>
    (await auditedRows(test.asOwner, appId)).map(({ keep, detail }) => ({ ...keep, event: String(keep.event), detail }))

  return {
    ids: { organizationId, appId, agentId, keyId, grantId, secretId, credentialId },
    scope,
    links,
    keyring,
    startProcess,
    frozen,
    gate,
    request,
    read,

    caller: (changes: Partial<SdkCaller> = {}): SdkCaller =>
      sdkCallerOf({ appId, organizationId }, { keyId, keyType: 'ak', agentId, scopes: ['proxy:execute'], ...changes }),

    linkOf,

    person: (key: string): DecidingPerson => ({ key, kind: 'member', clientIp: '198.51.100.4', userAgent: null }),

    /** The decision body as the page sends it. */
    decisionOf: async (groupId: string, decision: 'approve' | 'deny', reason: string | null = null) => ({
      decision,
      reason,
      actionHash: (await read(groupId)).actionHash,
    }),

    /** Ends the window of a gate, as time would. The link's token covers the end of the window, so it is made anew. */
    async endWindow(approvalId: string) {
      await test.asOwner("update approval_gates set expires_at = now() - interval '1 second' where approval_id = $1", [
        approvalId,
      ])
      await test.asOwner(
        `update approval_groups g set expires_at = (select min(expires_at) from approval_gates t where t.approval_group_id = g.approval_group_id)
         where approval_group_id = (select approval_group_id from approval_gates where approval_id = $1)`,
        [approvalId],
      )
      await test.asOwner(
        `update due_work set due_at = now() - interval '1 second' where kind = 'approval_expiry' and subject_id =
          (select approval_group_id from approval_gates where approval_id = $1)`,
        [approvalId],
      )
    },

    /** The link of a gate as it is now. */
    async linkNow(groupId: string, approvalId: string) {
      const found = (await read(groupId)).gates.find((one) => one.approvalId === approvalId)!
      return linkOf(links.urlOf(found))
    },

    /** Lets the lease of the open attempt run out, as time would. */
    endLease: (groupId: string) =>
      test.asOwner(
        "with l as (update approval_attempts set lease_until = now() - interval '1 second' where approval_group_id = $1 and ended_at is null) update due_work set due_at = now() - interval '1 second' where kind = 'approval_execution' and subject_id = $1",
        [groupId],
      ),

    /** Moves the approval into the past. */
    approvedLongAgo: (groupId: string) =>
      test.asOwner(
        "update approval_groups set decided_at = now() - interval '16 minutes' where approval_group_id = $1",
        [groupId],
      ),

    attempts: (groupId: string) =>
      test.asOwner<{ outcome: string | null; lease_number: number; sent_at: Date | null; ended_at: Date | null }>(
        'select outcome, lease_number, sent_at, ended_at from approval_attempts where approval_group_id = $1 order by lease_number',
        [groupId],
      ),

    dueWork: () =>
      test.asOwner<{ kind: string; subject_id: string }>(
        'select kind, subject_id from due_work where app_id = $1 order by kind, subject_id',
        [appId],
      ),

    /** Stores the intent row of an attempt, as the executor does just before it sends. */
    intend: (
      from: Process,
      attempt: { attemptId: string; owner: string; leaseNumber: number; intentEventId: string },
    ) => {
      const row: RowDraft = {
        event: 'approval.executing',
        outcome: 'allowed',
        eventId: attempt.intentEventId,
        detail: { attemptId: attempt.attemptId },
      }
      const { attemptId, owner, leaseNumber } = attempt
      return from.audit.append(scope, { rows: [row], claim: { attemptId, owner, leaseNumber } })
    },

    rows,
    events: async () => (await rows()).map((row) => row.event),
  }
}

/** A row as it was written: its keep members, and its detail. */
type AuditRow = { event: string; detail: Record<string, unknown>; [member: string]: unknown }

export type ApprovalFixture = Awaited<ReturnType<typeof createApprovalFixture>>
export type ApprovalProcess = ReturnType<ApprovalFixture['startProcess']>
export type { Approvals }
