import { AlterValueError } from './generated/errors.ts'

/**
 * Compact JSON. Numbers that JSON has no form for are refused instead of silently becoming null.
 * @param subject what is encoded, for the error's text
 * @throws {AlterValueError} for NaN, infinities, big integers, cycles and values that have no JSON at all
 */
export function toJsonText(value: unknown, subject: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value, (_key, member: unknown) => {
      if (typeof member === 'number' && !Number.isFinite(member)) throw new RangeError(`${member} is no JSON number`)
      return member
    })
  } catch (cause) {
    throw new AlterValueError(`${subject} cannot be written as JSON: ${(cause as Error).message}`, {}, { cause })
  }
  if (text === undefined) throw new AlterValueError(`${subject} cannot be written as JSON`)
  return text
}

/** The same JSON text in ASCII only, so that it can be a header value. */
export function asciiJson(jsonText: string): string {
  return jsonText.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
