import type { Condition, RuleRemark, When } from '@alter-vault/contracts'
import { type Address, type CidrFault, type IpRange, parseCidr, parseRange } from '../kernel/ip-range.ts'
import { foldCase } from '../kernel/names.ts'
import { type Fact, UNKNOWN } from './fact.ts'
import { compileGlob, type GlobKind } from './glob.ts'
import { parsePointer, pointerOf, valuesAt } from './json-pointer.ts'
import type { Moment } from './moment.ts'
import { withoutFinalSlash } from './path-readings.ts'
import type { PolicyRequest } from './policy-context.ts'

/** Why a condition could not be decided; it counts as matched. Goes into a reason's `details`. */
export type Undecided = {
  readonly cause: 'request_shape_unavailable' | 'attribute_unknown'
  readonly attribute: string
}
/** What a condition says of a request: matched, not matched, or undecided. */
export type Match = boolean | Undecided
export type CompiledWhen = (moment: Moment) => Match

type Truth = boolean | typeof UNKNOWN
type Test = (value: unknown) => Truth
type Operator =
  | 'plain'
  | 'eq'
  | 'in'
  | 'not_in'
  | 'glob'
  | 'not_glob'
  | 'prefix'
  | 'gt'
  | 'gte'
  | 'lt'
  | 'lte'
  | 'exists'
  | 'any_in'
  | 'not_subset_of'

type AttributeType = 'text' | 'integer' | 'address' | 'set' | 'json'
type Attribute = {
  type: AttributeType
  /** Known only through the proxy: unknown in retrieve mode. */
  ofRequest: boolean
  /** A scalar, or the members of a set. */
  read(moment: Moment): Fact<unknown>
  fold?: (text: string) => string
  globs?: GlobKind
  /** The ways in which servers may read the attribute. A restriction fires on any of them. */
  readings?(request: PolicyRequest, isNegative: boolean): readonly string[]
  /** The provider may see another value than the one that is sent. */
  isUncertain?(request: PolicyRequest): boolean
}

const upper = (text: string) => text.toUpperCase()
const lower = (text: string) => text.toLowerCase()
/** Servers of the tradition of CGI see `_` where `-` was sent. */
const headerName = (text: string) => lower(text).replaceAll('_', '-')

const OPERATORS: Record<AttributeType, readonly Operator[]> = {
  text: ['plain', 'eq', 'in', 'not_in', 'glob', 'not_glob', 'prefix', 'exists'],
  integer: ['plain', 'eq', 'in', 'not_in', 'gt', 'gte', 'lt', 'lte', 'exists'],
  address: ['plain', 'eq', 'in', 'not_in', 'exists'],
  set: ['plain', 'eq', 'in', 'not_in', 'glob', 'not_glob', 'prefix', 'any_in', 'not_subset_of', 'exists'],
  json: [
    'plain',
    'eq',
    'in',
    'not_in',
    'glob',
    'not_glob',
    'prefix',
    'gt',
    'gte',
    'lt',
    'lte',
    'any_in',
    'not_subset_of',
    'exists',
  ],
}
/** They match an absent attribute: nothing is among the listed values. */
const NEGATIVE: ReadonlySet<Operator> = new Set(['not_in', 'not_glob', 'not_subset_of'])

function fact(read: (moment: Moment) => Fact<unknown>, type: AttributeType = 'text'): Attribute {
  return { type, ofRequest: false, read }
}

function ofRequest(
  type: AttributeType,
  read: (request: PolicyRequest) => Fact<unknown>,
  options: Pick<Attribute, 'fold' | 'globs' | 'readings' | 'isUncertain'> = {},
): Attribute {
  return {
    type,
    ofRequest: true,
    read: ({ context: { request } }) => (request === UNKNOWN ? UNKNOWN : read(request)),
    ...options,
  }
}

const attributes: Readonly<Record<string, Attribute>> = {
  method: ofRequest('text', (request) => request.method, {
    fold: upper,
    isUncertain: (request) => request.namesOtherMethod,
  }),
  provider_id: fact(({ context }) => context.provider.id),
  app_id: fact(({ context }) => context.app.id),
  agent_id: fact(({ context }) => context.agent?.id ?? null),
  api_key_id: fact(({ context }) => context.key.id),
  environment: fact(({ context }) => context.app.environment),
  client_ip: fact((moment) => moment.clientAddress(), 'address'),
  resource_kind: fact(({ context }) => context.provider.kind),
  mode: fact(({ context }) => context.mode),
  key_type: fact(({ context }) => context.key.type),
  caller: fact(({ context }) => context.caller.name),
  caller_type: fact(({ context }) => context.caller.type),
  app_user_id: fact(({ context }) => context.user?.id ?? null),
  group_ids: fact(({ context }) => {
    const groups = context.user?.groups ?? null
    return groups === UNKNOWN || groups === null ? groups : groups.externalGroupIds
  }, 'set'),
  principal_type: fact(({ context }) => context.principal.type),
  grant_id: fact(({ context }) => context.grant.id),
  grant_label: fact(({ context }) => context.grant.label),
  scopes: fact(({ context }) => context.grant.scopes, 'set'),
  tool: fact(({ context }) => context.asserted.tool),
  framework: fact(({ context }) => context.asserted.framework),
  run_id: fact(({ context }) => context.asserted.runId),
  thread_id: fact(({ context }) => context.asserted.threadId),
  parent_agent: fact(({ context }) => context.asserted.parentAgent),
  host: ofRequest('text', (request) => request.host, { fold: lower }),
  port: ofRequest('integer', (request) => request.port),
  path: ofRequest('text', (request) => request.path, {
    fold: foldCase,
    globs: 'path',
    readings: ({ pathReadings }, isNegative) => (isNegative ? pathReadings.all : pathReadings.loose),
  }),
  header_names: ofRequest('set', (request) => request.headerNames, { fold: headerName }),
  content_type: ofRequest('text', (request) => request.contentType, { fold: lower }),
  body_size: ofRequest('integer', (request) => request.bodySize),
}

const QUERY_PREFIX = 'query.'
const BODY_PREFIX = 'body:'

function findAttribute(name: string): Attribute | undefined {
  if (Object.hasOwn(attributes, name)) return attributes[name]
  if (name.startsWith(QUERY_PREFIX) && name.length > QUERY_PREFIX.length) {
    const parameter = name.slice(QUERY_PREFIX.length)
    return ofRequest('set', ({ query }) => (query === UNKNOWN || query === null ? query : query.named(parameter)))
  }
  if (name.startsWith(BODY_PREFIX)) {
    const tokens = parsePointer(name.slice(BODY_PREFIX.length))
    if (tokens === undefined) return undefined
    return ofRequest('json', ({ body }) => (body === UNKNOWN || body === null ? body : valuesAt(body, tokens)))
  }
  return undefined
}

function operatorOf(condition: Condition): [Operator, unknown] {
  if (Array.isArray(condition) || typeof condition !== 'object') return ['plain', condition]
  const [entry] = Object.entries(condition)
  return entry as [Operator, unknown]
}

/** Names each member of a body's `when` that is no attribute, before its shape is looked at. */
export function checkAttributeNames(body: unknown): RuleRemark[] {
  const when = typeof body === 'object' && body !== null ? (body as Record<string, unknown>).when : undefined
  if (typeof when !== 'object' || when === null || Array.isArray(when)) return []
  return Object.keys(when).flatMap((name) => {
    if (findAttribute(name) !== undefined) return []
    const message = name.startsWith(BODY_PREFIX)
      ? `"${name}": the part after "body:" is no JSON Pointer (RFC 6901).`
      : `"${name}" is no attribute that a rule can look at.`
    return [{ pointer: `/when${pointerOf(name)}`, code: 'unknown_attribute', message }]
  })
}

/** Names each operator and value of a `when` that does not fit its attribute. Pointers start with `base`. */
export function checkWhen(when: When, base: string): RuleRemark[] {
  const remarks: RuleRemark[] = []
  for (const [name, condition] of Object.entries(when)) {
    const pointer = `${base}${pointerOf(name)}`
    const attribute = findAttribute(name)
    if (attribute === undefined) continue
    const [operator, operand] = operatorOf(condition)
    if (!OPERATORS[attribute.type].includes(operator)) {
      const message = `"${name}" cannot be compared with "${operator}"; it takes ${OPERATORS[attribute.type].slice(1).join(', ')}.`
      remarks.push({ pointer: `${pointer}${pointerOf(operator)}`, code: 'operator_not_applicable', message })
      continue
    }
    const at = operator === 'plain' ? pointer : `${pointer}${pointerOf(operator)}`
    if (operator === 'exists') continue
    const isList = Array.isArray(operand)
    const values: readonly unknown[] = isList ? operand : [operand]
    values.forEach((value, i) => {
      const fault = valueFault(name, attribute, value)
      if (fault !== undefined) remarks.push({ pointer: isList ? `${at}/${i}` : at, ...fault })
    })
  }
  return remarks
}

function valueFault(name: string, attribute: Attribute, value: unknown): Omit<RuleRemark, 'pointer'> | undefined {
  switch (attribute.type) {
    case 'json':
      return undefined
    case 'integer':
      if (typeof value === 'number') return undefined
      return { code: 'wrong_type', message: `"${name}" is a number; "${String(value)}" is not.` }
    case 'address': {
      if (typeof value !== 'string') return { code: 'wrong_type', message: `"${name}" is an address or a CIDR.` }
      const range = parseAddressOrCidr(value)
      if (range === 'cidr_too_wide') return { code: range, message: `"${value}" covers every address.` }
      if (range === 'invalid_cidr') {
        return { code: range, message: `"${value}" is no address and no CIDR with all host bits zero.` }
      }
      return undefined
    }
    default:
      if (typeof value === 'string') return undefined
      return { code: 'wrong_type', message: `"${name}" is a text; ${JSON.stringify(value)} is not.` }
  }
}

function parseAddressOrCidr(text: string): IpRange | CidrFault {
  return text.includes('/') ? parseCidr(text) : (parseRange(text) ?? 'invalid_cidr')
}

/** Compiles a `when` that {@link checkWhen} finds no fault in. Conditions on the body are tested last, so it is parsed only if needed. */
export function compileWhen(when: When): CompiledWhen {
  const tests = Object.entries(when)
    .sort(([a], [b]) => Number(a.startsWith(BODY_PREFIX)) - Number(b.startsWith(BODY_PREFIX)))
    .map(([name, condition]) => compileCondition(name, condition))
  if (tests.length === 0) return () => true
  if (tests.length === 1) return tests[0]!
  return (moment) => {
    let undecided: Undecided | undefined
    for (const test of tests) {
      const match = test(moment)
      if (match === false) return false
      if (match !== true) undecided ??= match
    }
    return undecided ?? true
  }
}

function compileCondition(name: string, condition: Condition): CompiledWhen {
  const attribute = findAttribute(name)
  if (attribute === undefined) throw new TypeError(`no attribute "${name}"`)
  const [operator, operand] = operatorOf(condition)
  const { read } = attribute
  const attributeUnknown: Undecided = Object.freeze({ cause: 'attribute_unknown', attribute: name })
  const shapeUnavailable: Undecided = Object.freeze({ cause: 'request_shape_unavailable', attribute: name })
  const undecided = (moment: Moment) =>
    attribute.ofRequest && moment.context.request === UNKNOWN ? shapeUnavailable : attributeUnknown

  if (operator === 'exists') {
    return (moment) => {
      const value = read(moment)
      if (value === UNKNOWN) return undecided(moment)
      return isAbsent(value, attribute.type) !== operand
    }
  }

  const onAbsent = NEGATIVE.has(operator)
  if (attribute.readings !== undefined) {
    const { readings } = attribute
    const test = compileReadingTest(attribute, operator, operand)
    return (moment) => {
      const { request } = moment.context
      if (request === UNKNOWN || read(moment) === UNKNOWN) return undecided(moment)
      const all = readings(request, onAbsent)
      if (all.length === 0) return undecided(moment)
      return all.length === 1 ? test(all[0]!) : all.some(test)
    }
  }
  const test = compileTest(attribute, operator, operand)
  if (attribute.type !== 'set' && attribute.type !== 'json') {
    const { isUncertain } = attribute
    return (moment) => {
      const value = read(moment)
      if (value === null) return onAbsent
      const truth = value === UNKNOWN ? UNKNOWN : test(value)
      if (truth === false && isUncertain?.(moment.context.request as PolicyRequest) === true) return undecided(moment)
      return truth === UNKNOWN ? undecided(moment) : truth
    }
  }
  return (moment) => {
    const members = read(moment) as Fact<readonly unknown[]>
    if (members === UNKNOWN) return undecided(moment)
    if (members === null || members.length === 0) return onAbsent
    if (operator === 'eq' && members.some((member) => member !== members[0])) return false
    let truth: Truth = false
    for (const member of members) {
      const one = test(member)
      if (one === true) return true
      if (one === UNKNOWN) truth = UNKNOWN
    }
    return truth === UNKNOWN ? undecided(moment) : truth
  }
}

/**
 * What an operator says of one reading. Readings are in lower case and folders have no final slash, so a value that is looked for is
 * compared in that form too; what a path must not be outside of is compared as it is written.
 */
function compileReadingTest(attribute: Attribute, operator: Operator, operand: unknown): (reading: string) => boolean {
  if (NEGATIVE.has(operator)) {
    const test = compileTest({ ...attribute, fold: (text) => text }, operator, operand)
    return (reading) => test(reading) === true
  }
  const list = (Array.isArray(operand) ? operand : [operand]) as readonly unknown[]
  const folders = operator === 'prefix' ? [] : list.flatMap((value) => withoutFinalSlash(String(value)) ?? [])
  const [test, ...others] = [operand, ...folders].map((value) => compileTest(attribute, operator, value))
  return (reading) => test!(reading) === true || others.some((other) => other(reading) === true)
}

/** An empty set is absent: it has no member that a condition could look at. */
function isAbsent(value: unknown, type: AttributeType): boolean {
  return value === null || ((type === 'set' || type === 'json') && (value as readonly unknown[]).length === 0)
}

/** What an operator says of one value; of a set, it matches when it matches any member. */
function compileTest(attribute: Attribute, operator: Operator, operand: unknown): Test {
  const fold = attribute.fold ?? ((text: string) => text)
  const list: readonly unknown[] = Array.isArray(operand) ? operand : [operand]
  switch (operator) {
    case 'plain':
    case 'eq':
    case 'in':
    case 'any_in':
      return compileMembership(attribute, list, fold)
    case 'not_in':
    case 'not_subset_of':
      return negate(compileMembership(attribute, list, fold))
    case 'glob':
    case 'not_glob': {
      const matches = compileGlob(fold(String(operand)), attribute.globs ?? 'text')
      const test: Test = (value) => (typeof value === 'string' ? matches(value) : UNKNOWN)
      return operator === 'glob' ? test : negate(test)
    }
    case 'prefix': {
      const prefix = fold(String(operand))
      return (value) => (typeof value === 'string' ? value.startsWith(prefix) : UNKNOWN)
    }
    case 'gt':
      return (value) => (typeof value === 'number' ? value > (operand as number) : UNKNOWN)
    case 'gte':
      return (value) => (typeof value === 'number' ? value >= (operand as number) : UNKNOWN)
    case 'lt':
      return (value) => (typeof value === 'number' ? value < (operand as number) : UNKNOWN)
    case 'lte':
      return (value) => (typeof value === 'number' ? value <= (operand as number) : UNKNOWN)
    case 'exists':
      throw new TypeError('"exists" looks at the attribute, not at a value')
  }
}

function negate(test: Test): Test {
  return (value) => {
    const truth = test(value)
    return truth === UNKNOWN ? UNKNOWN : !truth
  }
}

function compileMembership(attribute: Attribute, list: readonly unknown[], fold: (text: string) => string): Test {
  if (attribute.type === 'address') {
    const ranges = list.map((text) => parseAddressOrCidr(String(text)) as IpRange)
    return (address) => ranges.some((range) => range.contains(address as Address))
  }
  const wanted = new Set(list.map((value) => (typeof value === 'string' ? fold(value) : value)))
  if (attribute.type !== 'json') return (value) => wanted.has(value)
  const types = new Set(list.map(typeName))
  return (value) => {
    if (wanted.has(value)) return true
    // "600" is not 600 for us and may be 600 for the provider; null is no value for both.
    return value === null || types.has(typeName(value)) || onlyNull(types) ? false : UNKNOWN
  }
}

function onlyNull(types: ReadonlySet<string>): boolean {
  return types.size === 1 && types.has('null')
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value
}
