import { type ASTNode, TypeError as CelTypeError, ParseError } from '@marcbachmann/cel-js'
import type { Match } from '../condition.ts'
import { contextDocument, type DocumentAttribute } from '../context-document.ts'
import { UNKNOWN } from '../fact.ts'
import type { Moment } from '../moment.ts'
import { createCelEnvironment, namespaceNames } from './environment.ts'
import { type Evaluate, EvaluationStop, type Frame, fail, failure, overCost, spend, UnknownRead } from './evaluation.ts'
import { type Call, functions } from './functions.ts'
import { compileArithmetic, compileOrder } from './operators.ts'
import { areEqual, boolOf, elementOf, hasKey, int64, isIn, isMap, keysOf, memberOf } from './values.ts'

/** The longest list or map that a macro goes through. */
export const CEL_LIST_LIMIT = 1_000

/** Why an expression cannot be saved; `line` and `column` count from 1. */
export type CelFault = { message: string; line: number; column: number }
/** What an expression says of a request; `failed` when it has an error, costs too much or gives no bool. */
export type CelMatch = Match | 'failed'

export type CompiledCel = {
  /** What it says of the request; of a path that servers read in several ways, the first that is not false. */
  evaluate(moment: Moment): CelMatch
  /** The result when the expression looks at nothing of the request, else undefined. */
  readonly constant: CelMatch | undefined
}

const environment = createCelEnvironment()
const PATH_UNKNOWN = Object.freeze({ cause: 'attribute_unknown', attribute: 'request.path' } as const)

class CompileStop extends Error {
  readonly position: number
  constructor(message: string, position: number) {
    super(message)
    this.position = position
  }
}

/** Where macro variables live while an expression is compiled: name → slot. */
type Scope = { readonly slots: ReadonlyMap<string, number>; readonly sheet: Sheet }
/** What compiling learns about the whole expression. */
type Sheet = { slotCount: number; readsContext: boolean; readsPath: boolean }

/** Compiles an expression, or says why it cannot be saved. */
export function compileCel(expression: string): CompiledCel | CelFault {
  const tree = checkedTree(expression)
  if ('message' in tree) return tree
  const sheet: Sheet = { slotCount: 0, readsContext: false, readsPath: false }
  let root: Evaluate
  try {
    root = compileNode(tree, { slots: new Map(), sheet })
  } catch (error) {
    if (error instanceof CompileStop) return { message: error.message, ...placeOf(expression, error.position) }
    throw error
  }
  const evaluateOn = (moment: Moment, path: string | null): CelMatch => {
    try {
      const result = root({ moment, path, cost: 0, locals: new Array(sheet.slotCount) })
      return typeof result === 'boolean' ? result : 'failed'
    } catch (stop) {
      if (stop instanceof UnknownRead) return stop.undecided
      if (stop instanceof EvaluationStop) return 'failed'
      throw stop
    }
  }
  const evaluate = (moment: Moment): CelMatch => {
    if (!sheet.readsPath || moment.context.request === UNKNOWN) return evaluateOn(moment, null)
    const { all } = moment.context.request.pathReadings
    if (all.length === 0) return PATH_UNKNOWN
    for (const path of all) {
      const match = evaluateOn(moment, path)
      if (match !== false) return match
    }
    return false
  }
  // Without context there is nothing to read a moment for.
  const constant = sheet.readsContext ? undefined : evaluate(undefined as unknown as Moment)
  return Object.freeze({ evaluate, constant })
}

/** The tree of an expression whose types are right and whose result can be a bool. */
function checkedTree(expression: string): ASTNode | CelFault {
  try {
    const parsed = environment.parse(expression)
    const { valid, type, error } = parsed.check()
    if (!valid) return faultOf(error, expression)
    if (type !== 'bool' && type !== 'dyn')
      return { message: `The result is ${type}; it must be bool.`, line: 1, column: 1 }
    // The checker rewrites the tree it checked, so the tree that is compiled is a fresh one.
    return environment.parse(expression).ast
  } catch (error) {
    return faultOf(error, expression)
  }
}

/** True for what {@link compileCel} answers when an expression cannot be saved. */
export function isCelFault(compiled: CompiledCel | CelFault): compiled is CelFault {
  return 'message' in compiled
}

function faultOf(error: unknown, expression: string): CelFault {
  if (error instanceof ParseError || error instanceof CelTypeError) {
    return { message: `${error.summary}.`, ...placeOf(expression, error.range?.start ?? 0) }
  }
  // The checker throws a plain error where it cannot choose between two meanings, as for a comparison with no known type.
  return { message: 'The types in this expression cannot be worked out.', line: 1, column: 1 }
}

function placeOf(expression: string, position: number): { line: number; column: number } {
  const before = expression.slice(0, position).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
}

function compileNode(node: ASTNode, scope: Scope): Evaluate {
  const evaluate = compileOperation(node, scope)
  return (frame) => {
    spend(frame, 1)
    return evaluate(frame)
  }
}

function compileOperation(node: ASTNode, scope: Scope): Evaluate {
  const compile = (child: ASTNode) => compileNode(child, scope)
  switch (node.op) {
    case 'value': {
      const value = node.args
      if (typeof value === 'object' && value !== null)
        throw new CompileStop('uint and bytes have no use here.', node.start)
      return () => value
    }
    case 'id':
      return compileName(node.args, node, scope)
    case '.': {
      const [operand, member] = node.args
      if (operand.op === 'id' && !scope.slots.has(operand.args) && namespaceNames.has(operand.args)) {
        return compileAttribute(`${operand.args}.${member}`, node, scope)
      }
      const object = compile(operand)
      return (frame) => memberOf(object(frame), member)
    }
    case '[]': {
      const [operand, index] = node.args
      const object = compile(operand)
      const key = compile(index)
      return (frame) => elementOf(object(frame), key(frame))
    }
    case '!_': {
      const operand = compile(node.args)
      return (frame) => !boolOf(operand(frame))
    }
    case '-_': {
      const operand = compile(node.args)
      return (frame) => {
        const value = operand(frame)
        if (typeof value === 'bigint') return int64(-value)
        return typeof value === 'number' ? -value : fail()
      }
    }
    case '&&':
      return compileLogic(node.args, false, scope)
    case '||':
      return compileLogic(node.args, true, scope)
    case '?:': {
      const [condition, whenTrue, whenFalse] = node.args.map(compile) as [Evaluate, Evaluate, Evaluate]
      return (frame) => (boolOf(condition(frame)) ? whenTrue(frame) : whenFalse(frame))
    }
    case 'list': {
      const elements = node.args.map(compile)
      return (frame) => elements.map((element) => element(frame))
    }
    case 'map': {
      const entries = node.args.map(([key, value]) => [compile(key), compile(value)] as const)
      return (frame) => {
        const map = new Map<unknown, unknown>()
        for (const [key, value] of entries) {
          const name = key(frame)
          if (map.has(name)) fail()
          map.set(name, value(frame))
        }
        return map
      }
    }
    case 'call': {
      const [name, args] = node.args
      if (name === 'has') return compileHas(args[0]!, scope)
      const call = Object.hasOwn(functions, `${name}/${args.length}`) ? functions[`${name}/${args.length}`] : undefined
      if (call === undefined) throw new CompileStop(`"${name}" may not be used in a rule.`, node.start)
      return compileCall(call(), args.map(compile))
    }
    case 'rcall': {
      const [name, receiver, args] = node.args
      if (isMacro(name)) return compileMacro(name, receiver, args, node, scope)
      const key = `_.${name}/${args.length}`
      const call = Object.hasOwn(functions, key) ? functions[key] : undefined
      if (call === undefined) throw new CompileStop(`"${name}" may not be used in a rule.`, node.start)
      return compileCall(call(), [receiver, ...args].map(compile))
    }
    case '==':
    case '!=': {
      const [left, right] = node.args.map(compile) as [Evaluate, Evaluate]
      const wanted = node.op === '=='
      return (frame) => areEqual(left(frame), right(frame), frame) === wanted
    }
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compileOrder(node.op, node.args.map(compile) as [Evaluate, Evaluate])
    case 'in': {
      const [needle, haystack] = node.args.map(compile) as [Evaluate, Evaluate]
      return (frame) => isIn(needle(frame), haystack(frame), frame)
    }
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return compileArithmetic(node.op, node.args.map(compile) as [Evaluate, Evaluate])
    default:
      throw new CompileStop('Optional access may not be used in a rule.', node.start)
  }
}

function compileName(name: string, node: ASTNode, scope: Scope): Evaluate {
  const slot = scope.slots.get(name)
  if (slot !== undefined) return (frame) => frame.locals[slot]
  if (Object.hasOwn(contextDocument, name)) return compileAttribute(name, node, scope)
  throw new CompileStop(`"${name}" is a group of attributes; name one of them, such as "request.method".`, node.start)
}

function compileAttribute(name: string, node: ASTNode, scope: Scope): Evaluate {
  const attribute = Object.hasOwn(contextDocument, name) ? contextDocument[name] : undefined
  if (attribute === undefined) throw new CompileStop(`"${name}" is no attribute that a rule can look at.`, node.start)
  scope.sheet.readsContext = true
  const attributeUnknown = new UnknownRead(Object.freeze({ cause: 'attribute_unknown', attribute: name }))
  const shapeUnavailable = new UnknownRead(Object.freeze({ cause: 'request_shape_unavailable', attribute: name }))
  const convert = converterOf(attribute)
  const isPath = name === 'request.path'
  if (isPath) scope.sheet.readsPath = true
  return ({ moment, path }) => {
    const { request } = moment.context
    const value = isPath && path !== null ? path : attribute.read(moment)
    if (value === UNKNOWN) throw attribute.ofRequest && request === UNKNOWN ? shapeUnavailable : attributeUnknown
    if (request !== UNKNOWN && attribute.isUncertain?.(request) === true) throw attributeUnknown
    return value === null ? null : convert(value)
  }
}

function converterOf({ type }: DocumentAttribute): (value: unknown) => unknown {
  if (type === 'int') return (value) => BigInt(value as number)
  if (type === 'google.protobuf.Timestamp') return (value) => new Date(value as number)
  return (value) => value
}

/** `&&` and `||` ask both sides: a side that decides alone wins over an error or an unknown on the other (CEL, Logical Operators). */
function compileLogic([first, second]: readonly [ASTNode, ASTNode], decisive: boolean, scope: Scope): Evaluate {
  const left = compileNode(first, scope)
  const right = compileNode(second, scope)
  return (frame) => {
    let stopped: EvaluationStop | undefined
    try {
      if (boolOf(left(frame)) === decisive) return decisive
    } catch (stop) {
      stopped = deferrable(stop)
    }
    if (stopped === undefined) return boolOf(right(frame))
    return decideDespite(stopped, () => boolOf(right(frame)), decisive)
  }
}

/** The stop, when the other side may still decide; spending too much ends everything. */
function deferrable(stop: unknown): EvaluationStop {
  if (stop instanceof EvaluationStop && stop !== overCost) return stop
  throw stop
}

function decideDespite(stopped: EvaluationStop, other: () => boolean, decisive: boolean): boolean {
  try {
    if (other() === decisive) return decisive
  } catch (stop) {
    // Of an error and an unknown the error is told: it denies whatever the rule's effect is.
    if (deferrable(stop) === failure) throw stop
  }
  throw stopped
}

type Macro = 'all' | 'exists' | 'exists_one' | 'filter' | 'map'
function isMacro(name: string): name is Macro {
  return name === 'all' || name === 'exists' || name === 'exists_one' || name === 'filter' || name === 'map'
}

function compileMacro(
  macro: Macro,
  receiver: ASTNode,
  args: readonly ASTNode[],
  node: ASTNode,
  scope: Scope,
): Evaluate {
  const [variable, ...bodies] = args
  if (variable?.op !== 'id') throw new CompileStop(`"${macro}" starts with a variable name.`, node.start)
  if (Object.hasOwn(contextDocument, variable.args) || namespaceNames.has(variable.args)) {
    throw new CompileStop(`"${variable.args}" is the name of an attribute; choose another variable.`, variable.start)
  }
  const slot = scope.sheet.slotCount++
  const inner: Scope = { sheet: scope.sheet, slots: new Map([...scope.slots, [variable.args, slot]]) }
  const list = compileNode(receiver, scope)
  const [body, transform] = bodies.map((each) => compileNode(each, inner))
  const each = (frame: Frame, element: unknown) => {
    frame.locals[slot] = element
    return body!(frame)
  }
  const elements = (frame: Frame): readonly unknown[] => {
    const value = list(frame)
    const found = Array.isArray(value) ? value : isMap(value) ? [...keysOf(value)] : fail()
    return found.length > CEL_LIST_LIMIT ? fail() : found
  }

  switch (macro) {
    case 'all':
      return (frame) => quantify(elements(frame), (element) => boolOf(each(frame, element)), false)
    case 'exists':
      return (frame) => quantify(elements(frame), (element) => boolOf(each(frame, element)), true)
    case 'exists_one':
      return (frame) => elements(frame).filter((element) => boolOf(each(frame, element))).length === 1
    case 'filter':
      return (frame) => elements(frame).filter((element) => boolOf(each(frame, element)))
    case 'map':
      if (transform === undefined) return (frame) => elements(frame).map((element) => each(frame, element))
      return (frame) => {
        const made: unknown[] = []
        for (const element of elements(frame)) if (boolOf(each(frame, element))) made.push(transform(frame))
        return made
      }
  }
}

/** `exists` (decisive true) and `all` (decisive false): one deciding element wins over errors and unknowns of others. */
function quantify(elements: readonly unknown[], test: (element: unknown) => boolean, decisive: boolean): boolean {
  let stopped: EvaluationStop | undefined
  for (const element of elements) {
    try {
      if (test(element) === decisive) return decisive
    } catch (stop) {
      const deferred = deferrable(stop)
      if (stopped === undefined || deferred === failure) stopped = deferred
    }
  }
  if (stopped !== undefined) throw stopped
  return !decisive
}

/** `has(a.b)`: false when `a` is absent or has no member `b`. */
function compileHas(argument: ASTNode, scope: Scope): Evaluate {
  if (argument.op !== '.') throw new CompileStop('"has" takes a member, such as "request.body.amount".', argument.start)
  const [operand, member] = argument.args
  if (operand.op === 'id' && !scope.slots.has(operand.args) && namespaceNames.has(operand.args)) {
    const attribute = compileNode(argument, scope)
    return (frame) => attribute(frame) !== null
  }
  const object = compileNode(operand, scope)
  return (frame) => {
    const value = object(frame)
    if (value === null) return false
    return isMap(value) ? hasKey(value, member) : fail()
  }
}

function compileCall(call: Call, args: readonly Evaluate[]): Evaluate {
  return (frame) =>
    call(
      args.map((arg) => arg(frame)),
      frame,
    )
}
