import { isIP } from 'node:net'
import { parseRange } from './ip-range.ts'

/** Reads the text of a variable; throws a `ConfigFault` that says what was expected. */
type Read<T> = (text: string) => T

/** One variable: its name, what it means in a sentence, what holds without it, and how it is read. */
export type ConfigField<T> = {
  variable: string
  sentence: string
  /** As the reference shows it; undefined when nothing holds without the variable. */
  shownDefault: string | undefined
  fallback: T
  read: Read<T>
  secret: boolean
}

export type ConfigSection<F extends Record<string, ConfigField<unknown>> = Record<string, ConfigField<unknown>>> = {
  title: string
  fields: F
}

export type SectionValues<S extends ConfigSection> = { -readonly [K in keyof S['fields']]: S['fields'][K]['fallback'] }

/** What is wrong with the text of one variable, as the end of a sentence that begins with its name. */
export class ConfigFault extends Error {
  constructor(expected: string) {
    super(expected)
    this.name = 'ConfigFault'
  }
}

export function defineSection<F extends Record<string, ConfigField<unknown>>>(
  title: string,
  fields: F,
): ConfigSection<F> {
  return { title, fields }
}

type Named = { variable: string; sentence: string }

export function integerField(field: Named & { min: number; max: number; fallback: number }): ConfigField<number> {
  const { min, max, fallback } = field
  return defineField(field, fallback, String(fallback), (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max))
      throw new ConfigFault(`must be an integer from ${min} to ${max}; got "${text}"`)
    return value
  })
}

/** As `integerField`, for a number that follows from others when it is not set. */
export function optionalIntegerField(
  field: Named & { min: number; max: number; shownDefault: string },
): ConfigField<number | undefined> {
  const { read } = integerField({ ...field, fallback: field.min })
  return defineField<number | undefined>(field, undefined, field.shownDefault, read)
}

export function choiceField<const T extends string>(
  field: Named & { choices: readonly T[]; fallback: T },
): ConfigField<T> {
  return defineField<T>(field, field.fallback, field.fallback, (text) => {
    const choice = field.choices.find((each) => each === text)
    if (choice === undefined) throw new ConfigFault(`must be one of ${field.choices.join(', ')}; got "${text}"`)
    return choice
  })
}

/** A path to a file or folder, taken from the working directory when it is relative. */
export function pathField(field: Named & { shownDefault?: string }): ConfigField<string | undefined> {
  return defineField<string | undefined>(field, undefined, field.shownDefault, (text) => {
    if (text.includes('\0')) throw new ConfigFault('must be a path')
    return text
  })
}

/** An address to listen on: an IP address or `localhost`. */
export function addressField(field: Named & { fallback: string }): ConfigField<string> {
  return defineField(field, field.fallback, field.fallback, (text) => {
    if (text !== 'localhost' && isIP(text) === 0)
      throw new ConfigFault(`must be an IP address or "localhost"; got "${text}"`)
    return text
  })
}

/** Addresses and CIDR blocks, separated by commas. */
export function networksField(field: Named): ConfigField<readonly string[]> {
  return defineField<readonly string[]>(field, [], 'none', (text) => {
    const entries = text.split(',').map((entry) => entry.trim())
    for (const entry of entries) {
      if ((parseRange(entry)?.prefix ?? 0) === 0) {
        throw new ConfigFault(`must be addresses or CIDR blocks separated by commas; "${entry}" is neither`)
      }
    }
    return entries
  })
}

/** The origin under which callers reach the server: scheme, host and port, nothing after them. Without a slash at the end. */
export function originField(field: Named & { shownDefault: string }): ConfigField<string | undefined> {
  return defineField<string | undefined>(field, undefined, field.shownDefault, (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
      throw new ConfigFault(`must be a URL with http or https; got "${text}"`)
    }
    if (url.username !== '' || url.password !== '') throw new ConfigFault('must not hold a user or password')
    if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
      throw new ConfigFault(`must end after host and port; got "${text}"`)
    }
    return url.origin
  })
}

/** A field of any type, for folders that know values of their own. */
export function defineField<T>(
  { variable, sentence }: Named,
  fallback: T,
  shownDefault: string | undefined,
  read: Read<T>,
): ConfigField<T> {
  return { variable, sentence, fallback, shownDefault, read, secret: false }
}

/** The values of one section. What is wrong goes to `mistakes`, one sentence per variable; an empty text counts as not set. */
export function readSection<S extends ConfigSection>(
  section: S,
  env: Readonly<Record<string, string | undefined>>,
  mistakes: string[],
): SectionValues<S> {
  const values: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(section.fields)) {
    const text = env[field.variable]?.trim() ?? ''
    values[name] = field.fallback
    if (text === '') continue
    try {
      values[name] = field.read(text)
    } catch (error) {
      if (!(error instanceof ConfigFault)) throw error
      mistakes.push(`${field.variable} ${error.message}`)
    }
  }
  return values as SectionValues<S>
}
