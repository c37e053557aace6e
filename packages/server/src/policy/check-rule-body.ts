import {
  type ApprovalConfig,
  type RequestRuleType,
  RULE_BODY_MAX_BYTES,
  type RuleRemark,
  type RuleType,
  requestRuleBodies,
  ruleBodies,
  type TimeWindows,
  type When,
} from '@alter-vault/contracts'
import type Type from 'typebox'
import { Compile } from 'typebox/compile'
import { explainMismatch } from '../kernel/explain-mismatch.ts'
import { parseCidr } from '../kernel/ip-range.ts'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { normalizeApprovers } from './approval-gate.ts'
import { compileCel, isCelFault } from './cel/compile-cel.ts'
import { checkAttributeNames, checkWhen } from './condition.ts'
import { isHostPattern } from './host-pattern.ts'
import { CALENDAR_WINDOWS } from './rule-types/rate-limit.ts'
import { dateNumberOf, minutesOf } from './time-window.ts'
import { isTimeZoneName } from './time-zone.ts'

type Body = Readonly<Record<string, unknown>>
type Check = (schema: Type.TSchema) => (body: unknown) => RuleRemark[]

const stored = mapBodies(ruleBodies, checkSchema)
const oneOff = mapBodies(requestRuleBodies, checkSchema)

/** Code of the remark on a time zone that this machine does not know; at decision time it is `timezone_unknown`. */
export const UNKNOWN_TIMEZONE = 'unknown_timezone'

/** Names every fault of a stored rule's body; empty when it can be compiled. Pointers are into the body. */
export function checkRuleBody(type: RuleType, body: unknown): RuleRemark[] {
  const bytes = Buffer.byteLength(JSON.stringify(body) ?? '')
  if (bytes > RULE_BODY_MAX_BYTES) {
    const message = `The body has ${bytes} bytes; ${RULE_BODY_MAX_BYTES} are allowed.`
    return [{ pointer: '', code: 'too_long', message }]
  }
  const names = checkAttributeNames(body)
  if (names.length > 0) return names
  const shape = stored[type](body)
  return shape.length > 0 ? shape : checkMeaning(type, body as Body)
}

/** As {@link checkRuleBody} for the body of a one-off rule, which may name fewer attributes and options. */
export function checkRequestRuleBody(type: RequestRuleType, body: unknown): RuleRemark[] {
  const shape = oneOff[type](body)
  return shape.length > 0 ? shape : checkMeaning(type, body as Body)
}

function mapBodies<K extends string>(
  schemas: Readonly<Record<K, Type.TSchema>>,
  check: Check,
): Record<K, (body: unknown) => RuleRemark[]> {
  const entries = Object.entries(schemas) as [K, Type.TSchema][]
  return Object.fromEntries(entries.map(([type, schema]) => [type, check(schema)])) as Record<
    K,
    (body: unknown) => RuleRemark[]
  >
}

function checkSchema(schema: Type.TSchema): (body: unknown) => RuleRemark[] {
  const validator = Compile(schema)
  return (body) => {
    if (validator.Check(body)) return []
    const remarks = explainMismatch(schema as unknown as JsonSchema, body, 'The rule body')
    if (remarks.length > 0) return remarks
    return validator.Errors(body).map(({ instancePath, message }) => ({
      pointer: instancePath,
      code: 'invalid',
      message: `The value ${message}.`,
    }))
  }
}

/** What no schema sees. The body has the shape of its type. */
function checkMeaning(type: RuleType, body: Body): RuleRemark[] {
  const remarks: RuleRemark[] = []
  if (body.when !== undefined) remarks.push(...checkWhen(body.when as When, '/when'))
  switch (type) {
    case 'ip_allowlist':
      remarks.push(...checkCidrs(body.cidrs as readonly string[]))
      break
    case 'time_window':
      remarks.push(...checkTimeWindows(body as unknown as TimeWindows, ''))
      break
    case 'require_approval':
      remarks.push(...checkApproval(body.approval as ApprovalConfig, '/approval'))
      if (body.cel !== undefined) remarks.push(...checkExpression(body.cel as string, '/cel'))
      break
    case 'rate_limit':
      remarks.push(...checkRateLimit(body))
      break
    case 'request_match':
      remarks.push(...checkHosts(body.allow as Body))
      break
    case 'content_match':
      remarks.push(...checkContentMatch(body))
      break
    case 'cel':
      remarks.push(...checkExpression(body.expression as string, '/expression'))
      if (body.approval === undefined) break
      if (body.effect !== 'require_approval') remarks.push(onlyWith('approval', 'require_approval'))
      remarks.push(...checkApproval(body.approval as ApprovalConfig, '/approval'))
      break
    case 'json_match':
    case 'group_membership':
    case 'ttl':
      break
  }
  return remarks
}

function checkCidrs(cidrs: readonly string[]): RuleRemark[] {
  return cidrs.flatMap((cidr, i) => {
    const range = parseCidr(cidr)
    if (typeof range !== 'string') return []
    const message =
      range === 'cidr_too_wide'
        ? `"${cidr}" covers every address.`
        : `"${cidr}" is no CIDR with all host bits zero, such as "192.0.2.0/24".`
    return [{ pointer: `/cidrs/${i}`, code: range, message }]
  })
}

function checkTimeZone(name: string, pointer: string): RuleRemark[] {
  if (isTimeZoneName(name)) return []
  return [
    {
      pointer,
      code: UNKNOWN_TIMEZONE,
      message: `"timezone" must be an IANA time zone name in its exact case; got "${name}".`,
    },
  ]
}

function checkTimeWindows({ timezone, windows, excluded_dates }: TimeWindows, base: string): RuleRemark[] {
  const remarks = checkTimeZone(timezone, `${base}/timezone`)
  windows.forEach(({ start, end }, i) => {
    if (minutesOf(start) !== minutesOf(end)) return
    const message = '"start" and "end" are the same; a whole day is 00:00 to 24:00.'
    remarks.push({ pointer: `${base}/windows/${i}/end`, code: 'out_of_range', message })
  })
  excluded_dates?.forEach((date, i) => {
    if (dateNumberOf(date) !== undefined) return
    const message = `"excluded_dates" holds "${date}", which is in no calendar.`
    remarks.push({ pointer: `${base}/excluded_dates/${i}`, code: 'invalid_format', message })
  })
  return remarks
}

function checkExpression(expression: string, pointer: string): RuleRemark[] {
  const compiled = compileCel(expression)
  if (!isCelFault(compiled)) return []
  const message = `${compiled.message} (line ${compiled.line}, column ${compiled.column})`
  return [{ pointer, code: 'invalid_cel', message }]
}

function checkApproval(approval: ApprovalConfig, base: string): RuleRemark[] {
  const remarks: RuleRemark[] = []
  const approvers = normalizeApprovers(approval.approvers ?? [])
  const quorum = approval.quorum ?? 1
  const isOpenSet = approvers.some(({ type }) => type === 'group' || type === 'role')
  if (quorum > 1 && approvers.length === 0) {
    const message = '"quorum" above 1 needs "approvers".'
    remarks.push({ pointer: `${base}/quorum`, code: 'out_of_range', message })
  } else if (!isOpenSet && approvers.length > 0 && quorum > approvers.length) {
    const message = `"quorum" is ${quorum} and only ${approvers.length} may decide.`
    remarks.push({ pointer: `${base}/quorum`, code: 'out_of_range', message })
  }
  const needsSignIn = approvers.length > 0 || (approval.step_up ?? null) !== null
  if (approval.link_mode === 'bearer' && needsSignIn) {
    const message = '"link_mode" "bearer" does not go together with "approvers" or "step_up".'
    remarks.push({ pointer: `${base}/link_mode`, code: 'not_allowed_value', message })
  }
  return remarks
}

function checkRateLimit(body: Body): RuleRemark[] {
  const windowSeconds = (body.window_seconds ?? 60) as (typeof CALENDAR_WINDOWS)[number]
  const remarks: RuleRemark[] = []
  if (body.timezone !== undefined) {
    remarks.push(...checkTimeZone(body.timezone as string, '/timezone'))
    if (body.alignment !== 'calendar') {
      const message = '"timezone" has a meaning with "alignment" "calendar" only.'
      remarks.push({ pointer: '/timezone', code: 'not_allowed_value', message })
    }
  }
  if (body.alignment === 'calendar' && !CALENDAR_WINDOWS.includes(windowSeconds)) {
    const message = `A calendar window is ${CALENDAR_WINDOWS.join(', ')} seconds long; got ${windowSeconds}.`
    remarks.push({ pointer: '/window_seconds', code: 'not_allowed_value', message })
  }
  return remarks
}

function checkHosts(allow: Body): RuleRemark[] {
  const hosts = ((allow.hosts ?? []) as readonly string[]).map((host, i) => [`/allow/hosts/${i}`, host] as const)
  const endpoints = (allow.endpoints ?? []) as readonly { host: string }[]
  const ofEndpoints = endpoints.map(({ host }, i) => [`/allow/endpoints/${i}/host`, host] as const)
  return [...hosts, ...ofEndpoints].flatMap(([pointer, host]) => {
    if (isHostPattern(host)) return []
    return [{ pointer, code: 'invalid_format', message: `"${host}" is no host and no "*." with a host.` }]
  })
}

function checkContentMatch(body: Body): RuleRemark[] {
  const remarks: RuleRemark[] = []
  const { operations, families } = body.match as { operations?: readonly string[]; families?: readonly string[] }
  if ((operations?.length ?? 0) + (families?.length ?? 0) > 100) {
    const message = '"operations" and "families" may have 100 entries together.'
    remarks.push({ pointer: '/match', code: 'too_many', message })
  }
  for (const member of ['redact', 'step_up'] as const) {
    if (body[member] !== undefined && body.effect !== member) remarks.push(onlyWith(member, member))
    if (body[member] === undefined && body.effect === member) {
      const message = `"${member}" is missing; the effect "${member}" needs it.`
      remarks.push({ pointer: `/${member}`, code: 'required', message })
    }
  }
  const params = (body.params ?? []) as readonly { op: string; value: unknown }[]
  params.forEach(({ op, value }, i) => {
    if (op === 'outside_windows') remarks.push(...checkTimeWindows(value as TimeWindows, `/params/${i}/value`))
  })
  return remarks
}

function onlyWith(member: string, effect: string): RuleRemark {
  return {
    pointer: `/${member}`,
    code: 'not_allowed_value',
    message: `"${member}" has a meaning with the effect "${effect}" only.`,
  }
}
