import type { AgentPolicy, GrantRestrictions } from '@alter-vault/contracts'
import { VaultError } from '../kernel/vault-error.ts'
import type { ManagedRule } from '../management/index.ts'

const ALL_METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']
const ADDRESS = /^https:\/\/([^/:]+)(\/.*)$/

/**
 * The rules of an agent's policy block, at most one of each type. Their bodies are checked where they are stored. Refusal:
 * `invalid_rule_body` for restrictions that no single rule can say.
 */
export function rulesOfPolicy(policy: AgentPolicy, pointer = '/policy'): ManagedRule[] {
  const { requires_approval: approvalWithWhen, ip_allowlist: addresses, time_window: hours, restrictions } = policy
  const rules: ManagedRule[] = []
  if (approvalWithWhen !== undefined) {
    const { when, ...approval } = approvalWithWhen
    rules.push({
      type: 'require_approval',
      name: 'Agent policy: approval',
      body: { effect: 'require_approval', approval, ...(when === undefined ? {} : { when }) },
      pointer: `${pointer}/requires_approval`,
    })
  }
  if (addresses !== undefined) {
    rules.push({
      type: 'ip_allowlist',
      name: 'Agent policy: addresses',
      body: addresses,
      pointer: `${pointer}/ip_allowlist`,
    })
  }
  if (hours !== undefined) {
    rules.push({ type: 'time_window', name: 'Agent policy: hours', body: hours, pointer: `${pointer}/time_window` })
  }
  if (restrictions !== undefined) {
    const place = `${pointer}/restrictions`
    const body = { allow: allowOf(restrictions, place) }
    rules.push({ type: 'request_match', name: 'Agent policy: restrictions', body, pointer: place })
  }
  return rules
}

/** Restrictions as the `allow` of a `request_match` rule: its lists are AND-ed, so endpoints must all be paths or all addresses. */
function allowOf(restrictions: GrantRestrictions, pointer: string): Record<string, unknown> {
  const { allowed_methods: methods, allowed_hosts: hosts, allowed_endpoints: endpoints } = restrictions
  const allow: Record<string, unknown> = {
    ...(methods === undefined ? {} : { methods }),
    ...(hosts === undefined ? {} : { hosts }),
  }
  if (endpoints === undefined) return allow
  if (endpoints.every((endpoint) => endpoint.startsWith('/'))) return { ...allow, paths: endpoints }
  const addresses = endpoints.map((endpoint, index) => {
    const parts = ADDRESS.exec(endpoint)
    if (parts === null) {
      const message = endpoint.startsWith('/')
        ? 'Expected only paths or only addresses; this is a path among addresses.'
        : `Expected a path such as "/v1/**" or an address such as "https://host/path", without a port.`
      const error = { pointer: `${pointer}/allowed_endpoints/${index}`, code: 'invalid_format', message }
      throw new VaultError('invalid_rule_body', { message, errors: [error] })
    }
    return { methods: methods ?? ALL_METHODS, host: parts[1], path: parts[2] }
  })
  return { ...allow, endpoints: addresses }
}
