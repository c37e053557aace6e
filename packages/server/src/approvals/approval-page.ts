import type { ApprovalPage, Decider, EndedApprovalPage, GateView, OpenApprovalPage } from '@alter-vault/contracts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import {
  approvalsOf,
  approverInWords,
  type Gate,
  type Group,
  hasResult,
  type RecordedDecision,
  refusalOfBearer,
  withdrawnReason,
} from './approval.ts'
import { type AppFacts, findPendingTwin, findSimilar, readAgentName, readApp, readSealed } from './approval-store.ts'
import { bodyView } from './body-view.ts'
import { heldRequest, openFrozenRequest, resultPlace, type WouldBeDenied } from './held-request.ts'
import type { OpenApprovalByLink, OpenedApproval } from './open-approval.ts'
import { requestView } from './request-view.ts'
import { decodeStoredResult } from './stored-result.ts'

type Deps = {
  db: Pick<Database, 'readForApp'>
  keyring: Pick<Keyring, 'openFor'>
  openApproval: OpenApprovalByLink
  wouldBeDenied: WouldBeDenied
}

const HISTORY_LENGTH = 5
/** The key of whoever holds a gate's link. */
const LINK = 'link'

/**
 * What the holder of a link sees: the whole request while the gate is pending, afterwards the outcome, and of the request
 * method, host, path and who asked. Reading decides nothing. Refusal: `approval_not_found`.
 */
export function createReadApprovalPage({ db, keyring, openApproval, wouldBeDenied }: Deps) {
  return async function readApprovalPage(
    approvalId: string,
    token: string,
    { wholeBody = false }: { wholeBody?: boolean } = {},
  ): Promise<ApprovalPage> {
    const opened = await openApproval(approvalId, token)
    return opened.gate.status === 'pending' ? openPage(opened, wholeBody) : endedPage(opened)
  }

  async function openPage(opened: OpenedApproval, wholeBody: boolean): Promise<OpenApprovalPage> {
    const { group, gate, now } = opened
    const { appId, approvalGroupId } = group
    const facts = await db.readForApp(appId, async (tx) => ({
      app: await readApp(tx, appId),
      sealed: await readSealed(tx, group, 'sealed_request'),
      similar: await findSimilar(tx, group, HISTORY_LENGTH),
      twin: await findPendingTwin(tx, { ...group, now, except: approvalGroupId }),
    }))
    const request = await openFrozenRequest(keyring, group, facts.sealed)
    const reasons = await wouldBeDenied(heldRequest(group, facts.app.organizationId, request))
    const { configuration } = gate
    const mine = gate.decisions.find((given) => given.approverKey === LINK)
    return {
      view: 'open',
      ...always(opened, facts.app),
      action_hash: group.actionHash.toString('hex'),
      request: requestView(request, { hideBody: !configuration.show_body, wholeBody }),
      meaning: null,
      reason: request.reason,
      requester: {
        app: { id: appId, name: facts.app.name },
        agent: request.agent,
        caller: request.caller,
        run_id: request.context.run_id ?? null,
        thread_id: request.context.thread_id ?? null,
        parent_agent: request.context.parent_agent ?? null,
        user: request.appUserId === null ? null : { id: request.appUserId, name: null, email: null },
      },
      credential: {
        kind: request.grant.kind,
        provider_id: request.provider.id,
        name: request.provider.name,
        account: request.provider.account,
        grant_id: request.grant.id,
        grant_label: request.grant.label,
        scopes: [...request.grant.scopes],
      },
      held_by: gate.rules.map(({ rule_id, rule_name, target_type, managed_by }) => ({
        rule_id,
        name: rule_name ?? 'Rule that the request carried',
        source: managed_by === 'user' ? 'own_limit' : target_type,
      })),
      history: facts.similar.map((earlier) => ({
        approval_id: earlier.executorApprovalId,
        action: earlier.actionLine,
        status: earlier.status,
        decided_by: deciderOf(earlier),
        created_at: earlier.requestedAt.toISOString(),
      })),
      would_be_denied: reasons.length > 0 ? { reasons } : null,
      options: {
        decision_reason: configuration.decision_reason,
        link_mode: configuration.link_mode,
        show_body: configuration.show_body,
        identical_waiting: facts.twin !== undefined,
      },
      viewer: {
        by: { kind: 'link', name: null, is_you: true },
        decision: mine?.decision ?? null,
        refusal: refusalOfBearer(gate),
        sign_in_path: null,
      },
    }
  }

  async function endedPage(opened: OpenedApproval): Promise<EndedApprovalPage> {
    const { group, now } = opened
    const { appId, approvalGroupId } = group
    const { app, agent, sealed } = await db.readForApp(appId, async (tx) => ({
      app: await readApp(tx, appId),
      agent: group.agentId === null ? null : await readAgentName(tx, appId, group.agentId),
      sealed: hasResult(group, now) ? await readSealed(tx, group, 'sealed_result') : null,
    }))
    const plaintext = sealed === null ? null : await keyring.openFor(appId, resultPlace(approvalGroupId), sealed)
    const result = plaintext === null ? null : decodeStoredResult(plaintext)
    const mayShow = group.gates.every((gate) => gate.configuration.show_result)
    const withdrawn = withdrawnReason(group)
    return {
      view: 'ended',
      ...always(opened, app),
      action: group.actionLine,
      asked_by: { app: app.name, agent },
      outcome: {
        decided_at: group.decidedAt?.toISOString() ?? null,
        decision_reason: withdrawn === null ? group.decisionReason : null,
        withdrawn_reason: withdrawn,
        executed_at: group.executedAt?.toISOString() ?? null,
        status_code: result?.status_code ?? null,
        duration_ms: result?.duration_ms ?? null,
        execution_error: group.executionError,
        request_erased: group.requestErased,
        answer_body:
          result !== null && mayShow
            ? bodyView(Buffer.from(result.body_b64, 'base64'), result.headers['content-type'] ?? null)
            : null,
      },
    }
  }
}

/** What both views say. */
function always({ group, gate, now }: OpenedApproval, app: AppFacts) {
  return {
    approval_id: gate.approvalId,
    approval_group_id: group.approvalGroupId,
    status: group.status,
    gate_status: gate.status,
    gates: group.gates.map((one) => gateView(one, one.approvalId === gate.approvalId)),
    branding: brandingOf(app),
    created_at: group.requestedAt.toISOString(),
    expires_at: group.expiresAt.toISOString(),
    server_now: now.toISOString(),
  }
}

function gateView(gate: Gate, isThis: boolean): GateView {
  return {
    gate_id: gate.approvalId,
    is_this: isThis,
    status: gate.status,
    quorum: gate.quorum,
    approvals: approvalsOf(gate),
    expires_at: gate.expiresAt.toISOString(),
    approvers: gate.configuration.approvers.map(approverInWords),
    decisions: gate.decisions.map((given) => ({
      decision: given.decision,
      by: deciderView(given, isThis),
      decided_at: given.decidedAt.toISOString(),
      reason: given.reason,
    })),
  }
}

/** The reader holds this gate's link and no other's. */
const deciderView = ({ approverKey, approverKind }: RecordedDecision, isThisGate: boolean): Decider => ({
  kind: approverKind,
  name: approverKind === 'link' ? null : approverKey,
  is_you: isThisGate && approverKey === LINK,
})

/** Who gave the decision that ended an earlier request; null for a link's holder, or when nobody did. */
function deciderOf(group: Group): string | null {
  const last = group.gates.flatMap((gate) => gate.decisions).sort((a, b) => +b.decidedAt - +a.decidedAt)[0]
  return last === undefined || last.approverKind === 'link' ? null : last.approverKey
}

const COLOUR = /^#[0-9a-fA-F]{6}$/

function brandingOf({ name, branding }: AppFacts): OpenApprovalPage['branding'] {
  const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
  const color = (value: unknown): string | null => (typeof value === 'string' && COLOUR.test(value) ? value : null)
  return {
    display_name: text(branding.display_name) ?? name,
    primary_color: color(branding.primary_color),
    background_color: color(branding.background_color),
    support_email: text(branding.support_email),
  }
}
