import { createHash } from 'node:crypto'
import type { ApprovalPage, BodyView, EndedApprovalPage, OpenApprovalPage } from '@alter-vault/contracts'

/** The moment at which the samples are read. */
export const SAMPLE_NOW = '2026-03-02T10:00:00.000Z'

export const ids = {
  approval: '3f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11',
  group: '9a1de3b0-54c5-4f0e-8a5e-5d0d6b7d1f10',
  app: '0b1f7a34-30a5-4b6c-9a3f-6f6f5a2f9c01',
  agent: '5c2d9e10-8f6a-4c58-b0de-16c5b8a0c702',
  user: '7d3e0f21-9a7b-4d69-8cef-27d6c9b1d803',
  grant: '8e4f1a32-ab8c-4e7a-9df0-38e7dac2e904',
  rule: '9f5a2b43-bc9d-4f8b-ae01-49f8ebd3fa05',
  otherGate: 'a06b3c54-cdae-4a9c-bf12-5a09fce40b06',
} as const

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

type BodyKind = Exclude<BodyView['kind'], 'empty' | 'hidden'>

/** A body view of these bytes, cut after `shownBytes`. */
export function bodyOf(
  kind: BodyKind,
  bytes: Buffer | string,
  about: Partial<BodyView> & { shownBytes?: number } = {},
): BodyView {
  const { shownBytes = 65_536, ...rest } = about
  const whole = Buffer.from(bytes)
  const shown = whole.subarray(0, shownBytes)
  const encoding = kind === 'binary' ? 'base64' : 'utf8'
  return {
    kind,
    content_type: {
      json: 'application/json',
      form: 'application/x-www-form-urlencoded',
      text: 'text/plain',
      binary: 'application/octet-stream',
    }[kind],
    size_bytes: whole.length,
    sha256: sha256(whole),
    encoding,
    content: shown.toString(encoding),
    tail: null,
    omitted_bytes: whole.length - shown.length,
    doubt: null,
    values: [],
    values_total: 0,
    ...rest,
  }
}

export const emptyBody: BodyView = {
  kind: 'empty',
  content_type: null,
  size_bytes: 0,
  sha256: sha256(''),
  encoding: null,
  content: null,
  tail: null,
  omitted_bytes: 0,
  doubt: null,
  values: [],
  values_total: 0,
}

export const hiddenBody: BodyView = {
  ...emptyBody,
  kind: 'hidden',
  content_type: 'application/json',
  size_bytes: 412,
  sha256: sha256('hidden'),
}

const branding: ApprovalPage['branding'] = {
  display_name: 'Acme Support',
  primary_color: '#635bff',
  background_color: null,
  support_email: 'help@acme.example',
}

const gate: ApprovalPage['gates'][number] = {
  gate_id: ids.approval,
  is_this: true,
  status: 'pending',
  quorum: 1,
  approvals: 0,
  expires_at: '2026-03-02T10:47:00Z',
  approvers: [],
  decisions: [],
}

/** A refund that a support agent wants to make, held for whoever holds the link. */
export function openPage(about: Partial<OpenApprovalPage> = {}): OpenApprovalPage {
  return {
    view: 'open',
    approval_id: ids.approval,
    approval_group_id: ids.group,
    status: 'pending',
    gate_status: 'pending',
    gates: [gate],
    branding,
    created_at: '2026-03-02T09:47:00Z',
    expires_at: gate.expires_at,
    server_now: SAMPLE_NOW,
    action_hash: sha256('refund 45000'),
    request: {
      method: 'POST',
      url: 'https://api.stripe.com/v1/refunds?expand=charge',
      url_parts: {
        scheme: 'https',
        host: 'api.stripe.com',
        host_unicode: null,
        port: null,
        path: '/v1/refunds',
        path_reads: null,
      },
      query: [{ name: 'expand', value: 'charge' }],
      query_ambiguous: false,
      names_other_method: false,
      headers: [
        { name: 'content-type', value: 'application/json' },
        { name: 'idempotency-key', value: 'refund-ticket-1234' },
      ],
      added_by_vault: [{ place: 'header', name: 'authorization' }],
      body: bodyOf(
        'json',
        '{"charge":"ch_3PqXbZ2eZvKYlo2C1abcdefg","amount":45000,"currency":"eur","metadata":{"ticket":"1234","refunded_by":"support-bot"}}',
        {
          values: [
            { name: 'charge', value: '"ch_3PqXbZ2eZvKYlo2C1abcdefg"', cut: false },
            { name: 'amount', value: '45000', cut: false },
            { name: 'currency', value: '"eur"', cut: false },
            { name: 'metadata', value: '{"ticket":"1234","refunded_by":"support-bot"}', cut: false },
          ],
          values_total: 4,
        },
      ),
    },
    meaning: 'Refund 450.00 EUR of charge ch_3PqXbZ2eZvKYlo2C1abcdefg',
    reason: 'Customer requested refund per ticket #1234. The delivery arrived broken.',
    requester: {
      app: { id: ids.app, name: 'Acme Support' },
      agent: { id: ids.agent, name: 'support-bot', type: 'managed' },
      caller: 'refund-worker',
      run_id: 'run_8842',
      thread_id: 'ticket-1234',
      parent_agent: null,
      user: { id: ids.user, name: 'Ann Novak', email: 'ann@acme.example' },
    },
    credential: {
      kind: 'oauth',
      provider_id: 'stripe',
      name: 'Stripe',
      account: 'Acme GmbH (live)',
      grant_id: ids.grant,
      grant_label: 'Refunds',
      scopes: ['charges:read', 'refunds:write'],
    },
    held_by: [{ rule_id: ids.rule, name: 'Refunds above 100 EUR', source: 'app' }],
    history: [
      {
        approval_id: ids.otherGate,
        action: 'POST api.stripe.com/v1/refunds',
        status: 'executed',
        decided_by: 'Ben Okafor',
        created_at: '2026-03-01T15:20:00Z',
      },
      {
        approval_id: ids.group,
        action: 'POST api.stripe.com/v1/refunds',
        status: 'denied',
        decided_by: 'Ann Novak',
        created_at: '2026-02-27T08:00:00Z',
      },
    ],
    would_be_denied: null,
    options: { decision_reason: 'optional', link_mode: 'bearer', show_body: true, identical_waiting: false },
    viewer: { by: { kind: 'link', name: null, is_you: true }, decision: null, refusal: null, sign_in_path: null },
    ...about,
  }
}

/** The sample with another request. */
export const openPageWith = (request: Partial<OpenApprovalPage['request']>, about: Partial<OpenApprovalPage> = {}) =>
  openPage({ ...about, request: { ...openPage().request, ...request } })

/** The sample after its end. */
export function endedPage(
  status: EndedApprovalPage['status'],
  outcome: Partial<EndedApprovalPage['outcome']> = {},
  about: Partial<EndedApprovalPage> = {},
): EndedApprovalPage {
  const decision = status === 'denied' && !outcome.withdrawn_reason ? 'deny' : 'approve'
  const wasDecided = status !== 'expired' && !outcome.withdrawn_reason
  const gateStatus = status === 'expired' ? 'expired' : status === 'denied' ? 'denied' : 'approved'
  return {
    view: 'ended',
    approval_id: ids.approval,
    approval_group_id: ids.group,
    status,
    gate_status: gateStatus,
    gates: [
      {
        ...gate,
        status: gateStatus,
        approvals: decision === 'approve' && wasDecided ? 1 : 0,
        decisions: wasDecided
          ? [
              {
                decision,
                by: { kind: 'link', name: null, is_you: true },
                decided_at: '2026-03-02T09:59:40Z',
                reason: null,
              },
            ]
          : [],
      },
    ],
    branding,
    created_at: '2026-03-02T09:47:00Z',
    expires_at: gate.expires_at,
    server_now: SAMPLE_NOW,
    action: 'POST api.stripe.com/v1/refunds',
    asked_by: { app: 'Acme Support', agent: 'support-bot' },
    outcome: {
      decided_at: '2026-03-02T09:59:40Z',
      decision_reason: null,
      withdrawn_reason: null,
      executed_at: null,
      status_code: null,
      duration_ms: null,
      execution_error: null,
      request_erased: false,
      answer_body: null,
      ...outcome,
    },
    ...about,
  }
}

export const executedPage = () =>
  endedPage('executed', { executed_at: '2026-03-02T09:59:41Z', status_code: 200, duration_ms: 412 })

/** Two people must approve, by name, signed in. */
export const signInPage = () =>
  openPage({
    gates: [
      {
        ...gate,
        quorum: 2,
        approvals: 1,
        approvers: ['ann@acme.example', 'ben@acme.example', 'group Finance'],
        decisions: [
          {
            decision: 'approve',
            by: { kind: 'member', name: 'Ben Okafor', is_you: false },
            decided_at: '2026-03-02T09:55:00Z',
            reason: null,
          },
        ],
      },
    ],
    options: { decision_reason: 'on_deny', link_mode: 'sign_in', show_body: true, identical_waiting: false },
    viewer: {
      by: { kind: 'link', name: null, is_you: true },
      decision: null,
      refusal: 'sign_in_required',
      sign_in_path: null,
    },
  })
