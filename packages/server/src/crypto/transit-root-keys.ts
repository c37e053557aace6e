import { readFile } from 'node:fs/promises'
import { VaultError } from '../kernel/vault-error.ts'
import { type DataKeyName, type KeyWrapper, RootKeyError } from './key-wrapper.ts'
import { Secret } from './secret.ts'

/*
 * Root keys in the Transit engine of OpenBao or HashiCorp Vault; they never leave it. Two calls, and no other permission is needed:
 *
 *   POST /v1/<mount>/encrypt/<key>  {plaintext, associated_data} → data.ciphertext "vault:v<version>:<base64>", data.key_version
 *   POST /v1/<mount>/decrypt/<key>  {ciphertext, associated_data} → data.plaintext
 *
 * A wrapped key is the UTF-8 text of the ciphertext. The key must be of an AEAD type (aes256-gcm96, which is the default, or
 * chacha20-poly1305): its name is bound by the associated data.
 */

type Options = {
  address: string
  mount: string
  key: string
  token: Secret | { readonly file: string }
  timeoutMs?: number
}

const TIMEOUT_MS = 5_000
const CIPHERTEXT = /^vault:v(\d{1,9}):[A-Za-z0-9+/]+=*$/
/** The name under which a start tries the service out. */
const PROBE: DataKeyName = { appId: 'alter-vault', dataKeyId: 'probe' }

/** How a call ended that gave no answer. `wrong_input` is a ciphertext that this key does not open. */
type Failure = {
  kind: 'away' | 'sealed' | 'denied' | 'no_key' | 'wrong_input' | 'odd'
  detail: string
  cause?: unknown
}

/** Tries the service out and throws `RootKeyError` when it cannot be used. Later a service that is away is `service_unavailable`. */
export async function openTransitRootKeys(options: Options): Promise<KeyWrapper> {
  const { address, mount, key, timeoutMs = TIMEOUT_MS } = options
  let newestVersion = 0

  async function call(verb: 'encrypt' | 'decrypt', body: object): Promise<Record<string, unknown> | Failure> {
    const token = await readToken(options.token)
    if (!(token instanceof Secret)) return token
    let response: Response
    let text: string
    try {
      response = await fetch(`${address}/v1/${mount}/${verb}/${encodeURIComponent(key)}`, {
        method: 'POST',
        headers: { 'X-Vault-Token': token.reveal(), 'X-Vault-Request': 'true', 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      })
      text = await response.text()
    } catch (error) {
      const late = error instanceof Error && error.name === 'TimeoutError'
      return { kind: 'away', detail: late ? `no answer within ${timeoutMs / 1000} s` : 'no connection', cause: error }
    }
    const parsed = parse(text)
    if (response.ok) {
      const data = parsed?.data
      return typeof data === 'object' && data !== null
        ? (data as Record<string, unknown>)
        : { kind: 'odd', detail: 'the answer has no data' }
    }
    return failureOf(verb, response.status, parsed?.errors)
  }

  async function encrypt(name: DataKeyName, dataKey: Uint8Array): Promise<string | Failure> {
    const data = await call('encrypt', { plaintext: base64(dataKey), associated_data: associatedData(name) })
    if (isFailure(data)) return data
    const { ciphertext } = data
    const version = typeof ciphertext === 'string' ? versionOf(ciphertext) : undefined
    if (version === undefined) return { kind: 'odd', detail: 'the answer has no ciphertext' }
    newestVersion = Math.max(newestVersion, version)
    return ciphertext as string
  }

  async function decrypt(name: DataKeyName, ciphertext: string): Promise<Buffer | Failure> {
    const data = await call('decrypt', { ciphertext, associated_data: associatedData(name) })
    if (isFailure(data)) return data
    return typeof data.plaintext === 'string'
      ? Buffer.from(data.plaintext, 'base64')
      : { kind: 'odd', detail: 'the answer has no plaintext' }
  }

  const shown = `key "${key}" of ${address}/v1/${mount}`
  const refuse = ({ kind, detail, cause }: Failure) => new RootKeyError(`${HINT[kind](shown)} (${detail}).`, cause)

  // Binding a key to its name rests on the associated data: a key of a type that ignores them would not notice another name.
  const probe = await encrypt(PROBE, Buffer.alloc(32))
  if (isFailure(probe)) throw refuse(probe)
  const opened = await decrypt(PROBE, probe)
  if (isFailure(opened)) throw refuse(opened)
  const elsewhere = await decrypt({ ...PROBE, dataKeyId: 'another' }, probe)
  if (!isFailure(elsewhere)) {
    throw new RootKeyError(`The ${shown} does not bind associated data; make one of type aes256-gcm96.`)
  }
  if (elsewhere.kind !== 'wrong_input') throw refuse(elsewhere)

  const unavailable = (failure: Failure): Error =>
    new VaultError('service_unavailable', {
      retryAfterSeconds: 2,
      log: { root_keys: failure.kind, detail: failure.detail },
      cause: refuse(failure),
    })

  return {
    async wrap(name, dataKey) {
      const ciphertext = await encrypt(name, dataKey)
      if (isFailure(ciphertext)) throw unavailable(ciphertext)
      return Buffer.from(ciphertext)
    },
    async unwrap(name, wrapped) {
      const ciphertext = wrapped.toString('utf8')
      const dataKey =
        versionOf(ciphertext) === undefined
          ? ({ kind: 'wrong_input', detail: 'it was not wrapped by a Transit engine' } satisfies Failure)
          : await decrypt(name, ciphertext)
      if (!isFailure(dataKey)) return dataKey
      if (dataKey.kind !== 'wrong_input') throw unavailable(dataKey)
      throw new RootKeyError(
        `The ${shown} does not open the stored key ${name.dataKeyId} (${dataKey.detail}). Is it the key of another installation?`,
      )
    },
    isCurrent: (wrapped) => (versionOf(wrapped.toString('utf8')) ?? 0) >= newestVersion,
    fingerprints: () => [`vault_transit:${mount}/${key}`],
  }
}

const HINT: Record<Failure['kind'], (shown: string) => string> = {
  away: (shown) => `The ${shown} cannot be reached. Check ALTER_TRANSIT_ADDRESS and the service`,
  sealed: (shown) => `The service with the ${shown} is sealed or a standby without a leader. Unseal it`,
  denied: (shown) =>
    `The ${shown} may not be used with this token. It needs "update" on encrypt and decrypt of that key`,
  no_key: (shown) => `There is no ${shown}. Check ALTER_TRANSIT_KEY and ALTER_TRANSIT_MOUNT, or make the key`,
  wrong_input: (shown) => `The ${shown} does not open what it has wrapped`,
  odd: (shown) => `The answer for the ${shown} is not that of a Transit engine for a key of type aes256-gcm96`,
}

function failureOf(verb: 'encrypt' | 'decrypt', status: number, errors: unknown): Failure {
  const detail = [
    `status ${status}`,
    ...(Array.isArray(errors) ? errors : []).map((each) => String(each).trim().slice(0, 200)),
  ].join(': ')
  const said = detail.toLowerCase()
  if (status === 403) return { kind: 'denied', detail }
  if (status === 404 || (status === 400 && said.includes('key not found'))) return { kind: 'no_key', detail }
  if (status === 503 && said.includes('sealed')) return { kind: 'sealed', detail }
  if (status === 400 && verb === 'decrypt') return { kind: 'wrong_input', detail }
  if (status >= 500 || status === 429 || status === 412) return { kind: 'away', detail }
  return { kind: 'odd', detail }
}

const isFailure = (value: unknown): value is Failure =>
  typeof value === 'object' && value !== null && 'kind' in value && 'detail' in value

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** The parts behind their lengths, so that two names never give the same text. */
const associatedData = ({ appId, dataKeyId }: DataKeyName): string =>
  base64(Buffer.from(`alter-vault.v1\n${appId.length}:${appId}\n${dataKeyId.length}:${dataKeyId}`))

function versionOf(ciphertext: string): number | undefined {
  const version = CIPHERTEXT.exec(ciphertext)?.[1]
  return version === undefined ? undefined : Number(version)
}

/** An agent beside the server renews the file. */
async function readToken(token: Options['token']): Promise<Secret | Failure> {
  if (token instanceof Secret) return token
  try {
    const text = (await readFile(token.file, 'utf8')).trim()
    return text === '' ? { kind: 'denied', detail: `"${token.file}" is empty` } : new Secret(text)
  } catch (error) {
    return { kind: 'denied', detail: `"${token.file}" cannot be read`, cause: error }
  }
}

function parse(text: string): { data?: unknown; errors?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
