import { describe, expect, it } from 'vitest'
import { ConfigError } from './config.ts'
import { KeyFileError } from './crypto/key-file.ts'
import { RootKeyError } from './crypto/key-wrapper.ts'
import { VaultError } from './kernel/vault-error.ts'
import { describeKnownMistake, KnownMistake } from './known-mistake.ts'

describe('a known mistake', () => {
  it('is told by its sentence', () => {
    expect(describeKnownMistake(new ConfigError(['ALTER_PORT must be an integer']))).toBe(
      'The configuration has a mistake:\n  - ALTER_PORT must be an integer.',
    )
    expect(describeKnownMistake(new KnownMistake('The wallet is not built.'))).toBe('The wallet is not built.')
    expect(describeKnownMistake(new KeyFileError('The key file has mode 0644.'))).toBe('The key file has mode 0644.')
    const away = new RootKeyError('The key service is sealed.')
    expect(describeKnownMistake(away)).toBe('The key service is sealed.')
    expect(describeKnownMistake(new VaultError('service_unavailable', { cause: away }))).toBe(away.message)
  })

  it.each([
    [{ code: 'EADDRINUSE', address: '127.0.0.1', port: 8787 }, '127.0.0.1:8787 is taken by another program'],
    [{ code: 'EADDRNOTAVAIL', address: '192.0.2.1', port: 8787 }, '192.0.2.1:8787 is not an address of this machine'],
    [{ code: 'EACCES', address: '127.0.0.1', port: 80 }, 'may not listen on 127.0.0.1:80'],
    [{ code: 'EACCES', path: '/etc/x' }, 'may not read or write "/etc/x"'],
    [{ code: 'ENOENT', path: '/nowhere' }, '"/nowhere" does not exist'],
  ])('%j is translated', (error, sentence) => {
    expect(describeKnownMistake(Object.assign(new Error('raw'), error))).toContain(sentence)
  })

  it('is not what anything else is', () => {
    expect(describeKnownMistake(new TypeError('x is not a function'))).toBeUndefined()
    expect(describeKnownMistake('text')).toBeUndefined()
  })
})
