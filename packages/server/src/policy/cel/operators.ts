import { type Evaluate, type Frame, fail, spend, spendOnText } from './evaluation.ts'
import { DURATION_MS, durationOf, int64, isDuration, isNumeric, timestampOf } from './values.ts'

type Orderable = number | bigint | string
export type OrderOp = '<' | '<=' | '>' | '>='
const orders: Readonly<Record<OrderOp, (a: Orderable, b: Orderable) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}

export function compileOrder(op: OrderOp, [left, right]: readonly [Evaluate, Evaluate]): Evaluate {
  const answer = orders[op]
  return (frame) => {
    const a = left(frame)
    const b = right(frame)
    if (isNumeric(a) && isNumeric(b)) return answer(a, b)
    if (typeof a === 'string' && typeof b === 'string') {
      spendOnText(frame, a)
      return answer(a, b)
    }
    if (typeof a === 'boolean' && typeof b === 'boolean') return answer(Number(a), Number(b))
    if (a instanceof Date && b instanceof Date) return answer(a.getTime(), b.getTime())
    return isDuration(a) && isDuration(b) ? answer(a[DURATION_MS], b[DURATION_MS]) : fail()
  }
}

export type ArithmeticOp = '+' | '-' | '*' | '/' | '%'
export function compileArithmetic(op: ArithmeticOp, [left, right]: readonly [Evaluate, Evaluate]): Evaluate {
  return (frame) => {
    const a = left(frame)
    const b = right(frame)
    if (typeof a === 'bigint' && typeof b === 'bigint') return int64(ofIntegers(op, a, b))
    if (typeof a === 'number' && typeof b === 'number') return ofDoubles(op, a, b)
    if (op === '+') return sum(a, b, frame)
    return op === '-' ? difference(a, b) : fail()
  }
}

function ofIntegers(op: ArithmeticOp, a: bigint, b: bigint): bigint {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return b === 0n ? fail() : a / b
    case '%':
      return b === 0n ? fail() : a % b
  }
}

function ofDoubles(op: ArithmeticOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '%':
      return fail()
  }
}

function sum(a: unknown, b: unknown, frame: Frame): unknown {
  if (typeof a === 'string' && typeof b === 'string') {
    spendOnText(frame, a, b)
    return a + b
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    spend(frame, a.length + b.length)
    return [...a, ...b]
  }
  if (isDuration(a) && isDuration(b)) return durationOf(a[DURATION_MS] + b[DURATION_MS])
  if (a instanceof Date && isDuration(b)) return timestampOf(a.getTime() + b[DURATION_MS])
  return isDuration(a) && b instanceof Date ? timestampOf(b.getTime() + a[DURATION_MS]) : fail()
}

function difference(a: unknown, b: unknown): unknown {
  if (a instanceof Date && b instanceof Date) return durationOf(a.getTime() - b.getTime())
  if (a instanceof Date && isDuration(b)) return timestampOf(a.getTime() - b[DURATION_MS])
  return isDuration(a) && isDuration(b) ? durationOf(a[DURATION_MS] - b[DURATION_MS]) : fail()
}
