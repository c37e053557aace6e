import { describe, expect, it } from 'vitest'
import { ConfigError, configSections, readConfig } from './config.ts'

const dev = (env: Record<string, string> = {}) => readConfig(env, { mode: 'dev', workingDir: '/srv/vault' })
const serve = (env: Record<string, string> = {}) => readConfig(env, { mode: 'serve', workingDir: '/srv/vault' })
const mistakes = (read: () => unknown): readonly string[] => {
  try {
    read()
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
  return []
}
const complete = {
  ALTER_PUBLIC_URL: 'https://vault.example/',
  ALTER_ROOT_KEY_FILE: 'keys/root-keys.json',
  DATABASE_URL: 'postgresql://vault:hunter2@db/vault',
}

describe('development', () => {
  it('needs no variable at all', () => {
    expect(dev()).toMatchObject({
      mode: 'dev',
      http: { host: '127.0.0.1', port: 8787, adminPort: 8788, publicUrl: 'http://localhost:8787', trustedProxies: [] },
      database: { url: undefined, dataDir: '/srv/vault/.alter' },
      rootKeys: { kind: 'file', path: '/srv/vault/.alter/root-keys.json' },
      log: { level: 'info' },
    })
  })

  it('is not reached from elsewhere', () => {
    expect(mistakes(() => dev({ ALTER_HOST: '0.0.0.0' }))).toEqual([
      expect.stringContaining('ALTER_HOST must be a loopback'),
    ])
    expect(dev({ ALTER_HOST: '::1' }).http.host).toBe('::1')
  })
})

describe('serve', () => {
  it('starts with everything said', () => {
    const config = serve(complete)
    expect(config.http.publicUrl).toBe('https://vault.example')
    expect(config.rootKeys).toEqual({ kind: 'file', path: '/srv/vault/keys/root-keys.json' })
    expect(config.database.url?.reveal()).toBe(complete.DATABASE_URL)
    expect(config.database.dataDir).toBeUndefined()
    expect(JSON.stringify(config)).not.toContain('hunter2')
  })

  it('lists everything that is missing at once', () => {
    expect(mistakes(() => serve()).map((each) => each.split(' ')[0])).toEqual([
      'ALTER_PUBLIC_URL',
      'ALTER_ROOT_KEY_FILE',
      'Neither',
    ])
  })

  it.each([
    ['http://vault.example', 1],
    ['http://127.0.0.1:8787', 0],
    ['http://localhost:8787', 0],
    ['https://vault.example', 0],
    ['http://127.0.0.1.nip.io', 1],
  ])('takes %s as its public address, or not', (url, count) => {
    expect(mistakes(() => serve({ ...complete, ALTER_PUBLIC_URL: url }))).toHaveLength(count)
  })
})

describe('root keys in a service', () => {
  const transit = {
    ALTER_PUBLIC_URL: 'https://vault.example',
    DATABASE_URL: 'postgresql://db/vault',
    ALTER_ROOT_KEYS: 'vault_transit',
    ALTER_TRANSIT_ADDRESS: 'https://bao.example:8200/',
  }

  it('are named by address, key and a token, which is not shown', () => {
    const config = serve({ ...transit, ALTER_TRANSIT_TOKEN: 'hvs.secret' })
    expect(config.rootKeys).toMatchObject({
      kind: 'vault_transit',
      address: 'https://bao.example:8200',
      mount: 'transit',
      key: 'alter-vault',
    })
    expect(JSON.stringify(config)).not.toContain('hvs.secret')
    expect(serve({ ...transit, ALTER_TRANSIT_TOKEN_FILE: 'run/token' }).rootKeys).toMatchObject({
      token: { file: '/srv/vault/run/token' },
    })
  })

  it.each([
    [{}, 'One of ALTER_TRANSIT_TOKEN and ALTER_TRANSIT_TOKEN_FILE must be set, and not both'],
    [
      { ALTER_TRANSIT_TOKEN: 't', ALTER_TRANSIT_TOKEN_FILE: 'f' },
      'One of ALTER_TRANSIT_TOKEN and ALTER_TRANSIT_TOKEN_FILE must be set, and not both',
    ],
    [
      { ALTER_TRANSIT_TOKEN: 't', ALTER_TRANSIT_ADDRESS: '' },
      'ALTER_TRANSIT_ADDRESS is not set; say where the Transit engine is',
    ],
    [
      { ALTER_TRANSIT_TOKEN: 't', ALTER_TRANSIT_ADDRESS: 'http://bao.example' },
      'ALTER_TRANSIT_ADDRESS must be a URL with https, or with http on this machine',
    ],
    [
      { ALTER_TRANSIT_TOKEN: 't', ALTER_TRANSIT_ADDRESS: 'https://bao.example/v1' },
      'ALTER_TRANSIT_ADDRESS must end after host and port and hold no user',
    ],
    [{ ALTER_TRANSIT_TOKEN: 't', ALTER_TRANSIT_KEY: '../sys' }, 'ALTER_TRANSIT_KEY must be a name; got "../sys"'],
    [
      { ALTER_TRANSIT_TOKEN: 't', ALTER_ROOT_KEY_FILE: '/etc/keys' },
      'ALTER_ROOT_KEY_FILE is set, but ALTER_ROOT_KEYS is vault_transit',
    ],
    [{ ALTER_ROOT_KEYS: 'aws_kms' }, 'ALTER_ROOT_KEYS must be one of file, vault_transit; got "aws_kms"'],
  ])('with %j are refused', (over, mistake) => {
    expect(mistakes(() => serve({ ...transit, ...over }))).toContain(mistake)
  })

  it('are not configured beside a file', () => {
    expect(mistakes(() => dev({ ALTER_TRANSIT_KEY: 'x' }))).toEqual([
      'ALTER_TRANSIT_KEY is set, but ALTER_ROOT_KEYS is not vault_transit',
    ])
  })
})

describe('a mistake', () => {
  it.each([
    ['ALTER_PORT', 'eighty', 'ALTER_PORT must be an integer from 0 to 65535; got "eighty"'],
    ['ALTER_PORT', '65536', 'ALTER_PORT must be an integer from 0 to 65535; got "65536"'],
    ['ALTER_ADMIN_PORT', '8787', 'ALTER_ADMIN_PORT must differ from ALTER_PORT; both are 8787'],
    ['ALTER_LOG_LEVEL', 'loud', 'ALTER_LOG_LEVEL must be one of trace, debug, info, warn, error, silent; got "loud"'],
    [
      'ALTER_TRUSTED_PROXIES',
      '10.0.0.0/8, all',
      'ALTER_TRUSTED_PROXIES must be addresses or CIDR blocks separated by commas; "all" is neither',
    ],
    [
      'ALTER_TRUSTED_PROXIES',
      '0.0.0.0/0',
      'ALTER_TRUSTED_PROXIES must be addresses or CIDR blocks separated by commas; "0.0.0.0/0" is neither',
    ],
    [
      'ALTER_PUBLIC_URL',
      'https://vault.example/path',
      'ALTER_PUBLIC_URL must end after host and port; got "https://vault.example/path"',
    ],
    [
      'ALTER_PUBLIC_URL',
      'ftp://vault.example',
      'ALTER_PUBLIC_URL must be a URL with http or https; got "ftp://vault.example"',
    ],
    ['ALTER_PROT', '1', 'ALTER_PROT is not a known variable; the closest one is ALTER_PORT'],
    ['ALTER_MODE', 'dev', 'ALTER_MODE is not a known variable'],
    ['ALTER_SOMETHING_ELSE', '1', 'ALTER_SOMETHING_ELSE is not a known variable'],
    [
      'DATABASE_MIGRATION_URL',
      'postgres://x/y',
      'DATABASE_MIGRATION_URL is set without DATABASE_URL; the embedded PostgreSQL migrates itself',
    ],
  ])('in %s=%s is named', (variable, text, mistake) => {
    expect(mistakes(() => dev({ [variable]: text }))).toEqual([mistake])
  })

  it('never quotes a connection string', () => {
    expect(mistakes(() => dev({ DATABASE_URL: 'mysql://root:hunter2@db' }))).toEqual([
      'DATABASE_URL must be a connection string that begins with "postgresql://"',
    ])
  })

  it('stands beside every other one', () => {
    const found = mistakes(() =>
      serve({ ALTER_PORT: 'x', ALTER_LOG_LEVEL: 'y', ALTER_TYPO_HERE: 'z', DATABASE_URL: 'q' }),
    )
    expect(found).toHaveLength(6)
  })
})

it('knows the variables of clients and ignores empty ones', () => {
  expect(mistakes(() => dev({ ALTER_BASE_URL: 'x', ALTER_PAT: 'y', ALTER_PORT: '', DATABASE_URL: ' ' }))).toEqual([])
})

it('cannot be changed', () => {
  const config = dev()
  expect(() => Object.assign(config.http, { port: 1 })).toThrow(TypeError)
  expect(() => (config.http.trustedProxies as string[]).push('x')).toThrow(TypeError)
})

it('has a sentence for every variable, and no variable twice', () => {
  const fields = configSections.flatMap((section) => Object.values(section.fields))
  expect(new Set(fields.map(({ variable }) => variable)).size).toBe(fields.length)
  for (const { sentence } of fields) expect(sentence).toMatch(/^[A-Z`].*\.$/)
})
