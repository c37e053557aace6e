import type { PolicySimulation, SimulatePolicy } from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { parseInstant } from '../kernel/instant.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import type { AgentFacts } from '../keys/index.ts'
import type { Operator } from '../management/index.ts'
import { compileRules, type StoredRule } from '../policy/compile-rules.ts'
import { traceRules } from '../policy/trace-rules.ts'
import { ruleRefusalCode, validateRule } from '../policy/validate-rule.ts'
import type { AppPolicy } from './app-policy.ts'
import { assumedCaller } from './assumed-caller.ts'
import { contextOf, decideUse, type UseView } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { prepareCall } from './prepare-call.ts'
import { grantColumns } from './use-rows.ts'

type Deps = {
  clock: Clock
  audit: Pick<AuditLog, 'append'>
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  findAgent: (appId: string, agentId: string) => Promise<AgentFacts | undefined>
  appPolicy: (appId: string) => Promise<AppPolicy>
  /** The app's rules as stored, its organization's included. */
  storedRules: (appId: string) => Promise<StoredRule[]>
}

/**
 * What would be decided about a made-up request (docs/spec/decisions-and-rules.md#simulation). Opens no credential, charges no counter,
 * sends nothing, and writes one `policy.simulated` row. Refusals: `grant_not_found`, `agent_not_found`, and those of a call that cannot
 * be made.
 */
export function createSimulate(deps: Deps) {
  return async function simulate(
    operator: Operator,
    appId: string,
    request: SimulatePolicy,
  ): Promise<PolicySimulation> {
    const { organizationId } = operator
    const grant = await deps.findGrant(appId, request.grant_id)
    if (grant === undefined) throw new VaultError('grant_not_found', { message: 'There is no grant with this id.' })
    const agentId = request.agent_id ?? (grant.principal.type === 'agent' ? grant.principal.id : null)
    const agent = agentId === null ? null : await deps.findAgent(appId, agentId)
    if (agent === undefined) throw new VaultError('agent_not_found', { message: 'There is no agent with this id.' })
    const policy = await deps.appPolicy(appId)
    const disabled = new Set(request.disabled_rule_ids ?? [])
    const stored = (await deps.storedRules(appId)).filter((rule) => !disabled.has(rule.id))
    assertDrafts(request.draft_rules ?? [], deps.clock.now())
    const drafts = (request.draft_rules ?? []).map(
      (draft): StoredRule => ({
        id: newId(deps.clock.now()),
        version: 1,
        target: draft.target,
        type: draft.type,
        name: draft.name ?? 'Draft',
        body: draft.body,
        bodyVersion: 1,
        enabled: true,
        mode: draft.mode ?? 'enforce',
        expiresAtMs: null,
        managedBy: 'operator',
      }),
    )
    const method = request.method ?? 'GET'
    const call =
      request.mode === 'retrieve'
        ? null
        : prepareCall(
            {
              method,
              url: request.url ?? '',
              ...(request.headers === undefined ? {} : { headers: request.headers }),
              ...(request.body === undefined ? {} : { body: request.body }),
            },
            grant,
            policy,
          )
    const caller = assumedCaller({
      appId,
      organizationId,
      appEnvironment: policy.appEnvironment,
      keyId: request.key_id ?? null,
      keyType: agent === null ? 'rk' : 'ak',
      agent,
      caller: request.caller ?? null,
      clientIp: request.client_ip ?? operator.clientIp,
      traceId: newId(deps.clock.now()).replaceAll('-', ''),
    })
    const use: UseView = { caller, grant, reason: request.reason ?? null, call, declared: null, lastUsedAtMs: null }
    const atMs = request.at === undefined ? deps.clock.now() : parseInstant(request.at)
    if (atMs === undefined) throw invalidField('/at', '"at" must be a time that exists, with a zone.')
    const clock: Clock = { now: () => atMs, monotonic: deps.clock.monotonic }
    const rules = compileRules([...stored, ...drafts])
    const judgment = decideUse(use, { ...policy, rules }, clock, { phase: 'simulation', requestRule: null })
    const traces = traceRules({ rules, context: contextOf(use, atMs), atMs, phase: 'simulation' })
    await deps.audit.append(appScope(appId, organizationId), {
      rows: [
        {
          ...grantColumns(grant),
          event: 'policy.simulated',
          callerKind: 'pat',
          memberId: operator.memberId,
          agentId,
          outcome: 'success',
          decisionEffect: judgment.decision.effect,
          traceId: caller.traceId,
          detail: { clientIp: operator.clientIp, userAgent: operator.userAgent, method, decision: judgment.record },
        },
      ],
    })
    return {
      decision: judgment.record,
      rules: traces,
      gates: judgment.decision.gates.map(({ quorum, configuration, rules }) => ({
        quorum,
        window_seconds: configuration.window_seconds,
        link_mode: configuration.link_mode,
        rule_ids: rules.flatMap(({ rule_id }) => rule_id ?? []),
      })),
    }
  }
}

function assertDrafts(drafts: NonNullable<SimulatePolicy['draft_rules']>, nowMs: number): void {
  const errors = drafts.flatMap((draft, index) =>
    validateRule({ target: draft.target, type: draft.type, body: draft.body }, nowMs).errors.map((error) => ({
      ...error,
      pointer: `/draft_rules/${index}${error.pointer}`,
    })),
  )
  if (errors.length > 0) throw new VaultError(ruleRefusalCode(errors), { message: errors[0]!.message, errors })
}
