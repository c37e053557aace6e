import type { CreateRule } from '@alter-vault/contracts'

type RuleOfBench = Pick<CreateRule, 'name' | 'type' | 'body'>

const EVERY_DAY = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

/**
 * Twenty rules of an app that lives: all are looked at for each call, none stops a `GET` of `/v1/payments` on `host` from loopback.
 * Method, path, host and address decide most; one looks at the time, two at the body, two ask for approval elsewhere. Those that look at
 * the request say that they are for the proxy, as a retrieval has no request and would match them all.
 */
export function benchRules(host: string): RuleOfBench[] {
  const denied = (name: string, when: Record<string, unknown>): RuleOfBench => ({
    name,
    type: 'json_match',
    body: { effect: 'deny', when: { mode: 'proxy', ...when } },
  })
  const matched = (name: string, allow: Record<string, unknown>, when?: Record<string, unknown>): RuleOfBench => ({
    name,
    type: 'request_match',
    body: { allow, when: { mode: 'proxy', ...when } },
  })
  return [
    matched('Known hosts', { hosts: [host, '*.example.com'] }),
    matched('Known methods', { methods: ['GET', 'POST', 'PATCH'] }),
    matched('Known paths', { paths: ['/v1/payments', '/v1/payments/**', '/v1/refunds/**', '/v1/customers/*'] }),
    matched('Known endpoints', {
      endpoints: [
        { methods: ['GET', 'HEAD'], host, path: '/v1/**' },
        { methods: ['POST'], host, path: '/v1/refunds' },
      ],
    }),
    matched('Small writes', { max_body_bytes: 65_536 }, { method: ['POST', 'PUT', 'PATCH'] }),
    matched('Few query names', { query_names: ['limit', 'cursor', 'status'] }),
    denied('No deletions', { method: 'DELETE' }),
    denied('No administration', { path: { glob: '/v1/admin/**' } }),
    denied('No keys of the provider', { method: ['POST', 'PUT'], path: { prefix: '/v1/api_keys' } }),
    denied('No payouts from outside', { path: '/v1/payouts', client_ip: { not_in: ['10.0.0.0/8', '127.0.0.0/8'] } }),
    denied('No test hosts', { host: { glob: '*.test' } }),
    denied('No exports by crawlers', { path: { prefix: '/v1/exports' }, tool: ['crawler', 'scraper'] }),
    denied('No refund above a limit', { method: 'POST', path: '/v1/refunds', 'body:/amount': { gt: 100_000 } }),
    denied('No refund in other currencies', {
      method: 'POST',
      path: '/v1/refunds',
      'body:/currency': { not_in: ['eur'] },
    }),
    {
      name: 'Office and build hosts',
      type: 'ip_allowlist',
      body: { cidrs: ['127.0.0.0/8', '10.0.0.0/8', '2001:db8::/32'] },
    },
    {
      name: 'Writes from the office',
      type: 'ip_allowlist',
      body: { cidrs: ['10.20.0.0/16'], when: { mode: 'proxy', method: ['POST', 'DELETE'] } },
    },
    {
      name: 'Open all week',
      type: 'time_window',
      body: { timezone: 'Europe/Berlin', windows: [{ days: [...EVERY_DAY], start: '00:00', end: '24:00' }] },
    },
    {
      name: 'Refunds need approval',
      type: 'require_approval',
      body: {
        effect: 'require_approval',
        approval: { quorum: 1 },
        when: { mode: 'proxy', method: 'POST', path: '/v1/refunds' },
      },
    },
    {
      name: 'Customer changes need approval',
      type: 'require_approval',
      body: {
        effect: 'require_approval',
        approval: { quorum: 1 },
        when: { mode: 'proxy', method: ['PATCH', 'DELETE'], path: { glob: '/v1/customers/*' } },
      },
    },
    { name: 'Not for ever', type: 'ttl', body: { max_grant_age_seconds: 31_536_000 } },
  ]
}
