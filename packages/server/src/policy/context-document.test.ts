import fc from 'fast-check'
import { expect, test } from 'vitest'
import { writeContext, writeContextByMembers } from './context-document.ts'
import { contextOf, requestWith } from './context-for-tests.ts'
import { UNKNOWN } from './fact.ts'
import { createMoment } from './moment.ts'
import type { PolicyContext } from './policy-context.ts'

const text = fc.oneof(fc.constantFrom('GET', 'a"b', 'é\n', ''), fc.string({ unit: 'grapheme', maxLength: 8 }))
const textOrNull = fc.option(text)
const atMs = fc.integer({ min: 0, max: 4_102_444_800_000 })
const texts = fc.dictionary(text, text, { maxKeys: 3 })
const request = fc.oneof(
  fc.constant<PolicyContext['request']>(UNKNOWN),
  fc
    .record({
      method: fc.constantFrom('get', 'POST'),
      host: text,
      path: text,
      port: fc.integer({ min: 1, max: 65_535 }),
      query: fc.constantFrom('', 'b=2&a=1&a=%C3%A9', 'a=%ff'),
      headers: fc.constantFrom([], [['Content-Type', 'application/json'] as const, ['X-b', 'é'] as const]),
      body: fc.constantFrom(null, '{"a":1}', UNKNOWN),
    })
    .map((parts) => requestWith(parts as Parameters<typeof requestWith>[0])),
)
const different = fc.record({
  mode: fc.constantFrom('retrieve', 'proxy'),
  request,
  declared: fc.option(fc.record({ method: textOrNull, url: textOrNull })),
  clientIp: fc.oneof(text, fc.constant(UNKNOWN)),
  caller: fc.record({ name: textOrNull, type: textOrNull, actorId: textOrNull }),
  agent: fc.option(
    fc.record({ id: text, name: text, type: text, scopes: fc.dictionary(text, fc.array(text), { maxKeys: 2 }) }),
  ),
  approval: fc.option(fc.record({ id: text, approverIds: fc.array(text, { maxLength: 2 }), edited: fc.boolean() })),
  asserted: fc.record({
    tool: textOrNull,
    framework: textOrNull,
    runId: textOrNull,
    threadId: textOrNull,
    parentAgent: textOrNull,
    extra: texts,
    reason: textOrNull,
  }),
  grant: fc.record({
    id: text,
    ancestorIds: fc.constant([]),
    kind: text,
    label: textOrNull,
    scopes: fc.array(text, { maxLength: 2 }),
    createdAtMs: atMs,
    consentedAtMs: fc.constant(null),
    lastUsedAtMs: fc.option(atMs),
    expiresAtMs: fc.option(atMs),
    delegated: fc.boolean(),
    depth: fc.integer({ min: 0, max: 9 }),
  }),
  user: fc.option(
    fc.record({
      id: text,
      externalSubjectId: text,
      idpId: text,
      status: text,
      groups: fc.constantFrom(UNKNOWN, { externalGroupIds: ['g'], confirmedAtMs: 1 }),
      authTimeMs: fc.option(atMs),
    }),
  ),
})

test('the context that is written out is the one that its description gives', () => {
  fc.assert(
    fc.property(different, atMs, fc.constantFrom('request', 'execution', 'simulation'), (more, at, phase) => {
      const moment = createMoment(contextOf(more as Partial<PolicyContext>), at, phase)
      expect(writeContext(moment)).toBe(writeContextByMembers(moment))
    }),
    { numRuns: 500 },
  )
})
