import type { RequestView } from '@alter-vault/contracts'

type Parts = Pick<RequestView['url_parts'], 'scheme' | 'host' | 'host_unicode'>

const SCRIPTS = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Armenian',
  'Hebrew',
  'Arabic',
  'Cherokee',
  'Georgian',
  'Thai',
  'Devanagari',
  'Han',
  'Hangul',
  'Kana',
]
const SCRIPT_TESTS = SCRIPTS.map((name) => ({
  name,
  test: name === 'Kana' ? /[\p{Script=Hiragana}\p{Script=Katakana}]/u : new RegExp(`\\p{Script=${name}}`, 'u'),
}))
/* Scripts that one language writes together. */
const TOGETHER = [new Set(['Han', 'Kana']), new Set(['Han', 'Hangul'])]

/** The scripts that one label mixes although no language does; empty when it mixes none. Source: Unicode Technical Standard 39. */
export function mixedScripts(label: string): string[] {
  const found = SCRIPT_TESTS.filter(({ test }) => test.test(label)).map(({ name }) => name)
  if (found.length < 2 || TOGETHER.some((together) => found.every((name) => together.has(name)))) return []
  return found
}

const isLoopback = (host: string) => /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/.test(host)

/** What a reader should know about the place a request goes to, a sentence each. */
export function hostWarnings({ scheme, host, host_unicode }: Parts): string[] {
  const warnings: string[] = []
  if (host.split('.').some((label) => label.startsWith('xn--'))) {
    warnings.push(
      host_unicode
        ? `This host is written in other letters. It displays as “${host_unicode}”, which may imitate another name.`
        : 'This host is written in punycode that stands for no readable name.',
    )
  }
  for (const label of (host_unicode ?? '').split('.')) {
    const scripts = mixedScripts(label)
    if (scripts.length)
      warnings.push(`“${label}” mixes letters of ${scripts.join(' and ')}. Honest names hardly ever do.`)
  }
  // What never leaves the machine of the vault is nothing to look at twice.
  if (isLoopback(host)) return warnings
  if (host.startsWith('[') || /^\d+(\.\d+){3}$/.test(host)) warnings.push('This is a bare address, not a name.')
  if (scheme === 'http') warnings.push('This request is sent without encryption.')
  return warnings
}
