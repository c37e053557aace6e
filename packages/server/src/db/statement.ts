import type { ClientBase, Connection, Submittable } from 'pg'

/** A parameter: bytes in the binary form of their type, other values as text. */
export type Parameter = string | number | Buffer | null

/** What `pg` keeps of a session; its types leave it out. */
type Session = Connection & { parsedStatements: Record<string, string | undefined> }

const SYNC = Buffer.from([0x53, 0, 0, 0, 4])
/** The unnamed portal, all rows. */
const EXECUTE = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0])
const MOST_BYTES_A_UNIT = 3

/**
 * A statement that runs often and answers one text or null. Its messages leave in one write, and the answer is not described: `pg` itself
 * takes twice the CPU for a statement of many parameters (docs/decisions/0014-what-a-call-costs.md).
 */
export function createStatement(name: string, text: string) {
  const parse = parseMessage(name, text)
  return (client: Pick<ClientBase, 'query'>, parameters: readonly Parameter[]): Promise<string | null> =>
    new Promise((resolve, reject) => {
      let answer: string | null = null
      const query: Submittable & Record<string, unknown> & { callback: () => void } = {
        // By these `pg` notes which statements a session has parsed.
        name,
        text,
        submit(connection) {
          const isParsed = (connection as Session).parsedStatements[name] !== undefined
          connection.stream.write(messages(isParsed ? undefined : parse, name, parameters))
        },
        handleDataRow({ fields }: { fields: (string | null)[] }) {
          answer = fields[0] ?? null
        },
        handleCommandComplete: () => undefined,
        handleReadyForQuery() {
          query.callback()
          resolve(answer)
        },
        handleError(error: unknown) {
          query.callback()
          reject(error)
        },
        // `pg` wraps it to end its time limit.
        callback: () => undefined,
      }
      client.query(query)
    })
}

/** PostgreSQL 18, 54.7: Parse, which leaves the types of the parameters to the server. */
function parseMessage(name: string, text: string): Buffer {
  const body = Buffer.from(`${name}\0${text}\0\0\0`)
  const head = Buffer.from([0x50, 0, 0, 0, 0])
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

/** PostgreSQL 18, 54.7: Parse where it is needed, Bind, Execute, Sync. */
function messages(parse: Buffer | undefined, name: string, parameters: readonly Parameter[]): Buffer {
  const texts = parameters.map((value) => (typeof value === 'number' ? String(value) : value))
  let room = (parse?.length ?? 0) + 16 + name.length + 6 * texts.length + EXECUTE.length + SYNC.length
  for (const value of texts) {
    if (value !== null) room += typeof value === 'string' ? value.length * MOST_BYTES_A_UNIT : value.length
  }
  const bytes = Buffer.allocUnsafe(room)
  let at = parse?.copy(bytes) ?? 0
  bytes[at] = 0x42
  const lengthAt = at + 1
  at += 5
  at += bytes.write(`\0${name}\0`, at)
  at = bytes.writeInt16BE(texts.length, at)
  for (const value of texts) at = bytes.writeInt16BE(typeof value === 'string' || value === null ? 0 : 1, at)
  at = bytes.writeInt16BE(texts.length, at)
  for (const value of texts) {
    const length =
      value === null ? -1 : typeof value === 'string' ? bytes.write(value, at + 4) : value.copy(bytes, at + 4)
    bytes.writeInt32BE(length, at)
    at += 4 + Math.max(0, length)
  }
  // The answer comes as text.
  at = bytes.writeInt16BE(0, at)
  bytes.writeInt32BE(at - lengthAt, lengthAt)
  at += EXECUTE.copy(bytes, at)
  at += SYNC.copy(bytes, at)
  return bytes.subarray(0, at)
}
