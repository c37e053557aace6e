import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/*
 * A link between a server and its PostgreSQL that breaks where it hurts most: at a commit, so that the server cannot know what became
 * of it. It reads the frontend's messages (PostgreSQL 18, 54.7): a type byte, a length that counts itself, the rest.
 *
 *   before   the commit never reaches PostgreSQL
 *   after    PostgreSQL commits, and its answer is lost
 *   late     the link breaks first, and PostgreSQL commits some time later
 */
export type Break = 'before' | 'after' | 'late'

export type BreakableLink = AsyncDisposable & {
  /** Folder of the socket to connect to instead of PostgreSQL's own. */
  socketFolder: string
  /** Breaks the connection at the next commits of that kind, one for each given way: of a batch of calls, or of a recorded change. */
  breakNext(commit: 'append' | 'change', ...ways: Break[]): void
  /** From now on no connection that is there passes a byte, and none is closed, as when a firewall forgets it. New ones pass nothing either. */
  silence(): void
  /** New connections pass again; those that were silent stay so. */
  speak(): void
  /** How often it has broken, by `<commit> <way>`. */
  broken(): Readonly<Record<string, number>>
}

const LATE_MS = 400
const SOCKET_NAME = '.s.PGSQL.5432'
const QUERY = 'Q'.charCodeAt(0)
const PARSE = 'P'.charCodeAt(0)
const BIND = 'B'.charCodeAt(0)
const SYNC = 'S'.charCodeAt(0)
/** The last message of an answer: `Z`, length 5, state of the transaction. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5])

export async function startBreakableLink(postgresFolder: string): Promise<BreakableLink> {
  const socketFolder = await mkdtemp(join(tmpdir(), 'vault-link-'))
  const planned: Record<'append' | 'change', Break[]> = { append: [], change: [] }
  const done: Record<string, number> = {}
  const open = new Set<Socket>()

  let silent = false
  const silenced = new WeakSet<Socket>()

  function connect(client: Socket): void {
    if (silent) {
      silenced.add(client)
      open.add(client)
      client.on('error', () => undefined)
      client.on('close', () => open.delete(client))
      return
    }
    const server = createConnection(join(postgresFolder, SOCKET_NAME))
    for (const socket of [client, server]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => open.delete(socket))
    }
    let unread = Buffer.alloc(0)
    let started = false
    let pending: Buffer[] = []
    let appends = false
    let changes = false
    let cutAtAnswer = false
    let broken = false

    server.on('data', (answer: Buffer) => {
      if (broken || silenced.has(client)) return
      if (cutAtAnswer) {
        if (answer.subarray(-6, -1).equals(READY)) cut(client, server)
        return
      }
      client.write(answer)
    })
    server.on('close', () => client.destroy())
    client.on('close', () => {
      if (!broken) server.destroy()
    })

    client.on('data', (sent: Buffer) => {
      if (broken || silenced.has(client)) return
      unread = Buffer.concat([unread, sent])
      for (;;) {
        const head = started ? 1 : 0
        if (unread.length < head + 4) break
        const length = head + unread.readUInt32BE(head)
        if (unread.length < length) break
        const message = unread.subarray(0, length)
        unread = unread.subarray(length)
        const type = started ? message[0] : 0
        started = true
        pending.push(message)
        if (type === PARSE && message.includes('insert into audit_batches')) changes = true
        if (type === BIND) appends = message.includes('append_batch')
        if (type !== SYNC && type !== QUERY && type !== 0) continue
        const whole = Buffer.concat(pending)
        pending = []
        const ends = type === QUERY ? /^(commit|rollback)/i.exec(message.toString('latin1', 5))?.[1] : undefined
        const commit = type === SYNC && appends ? 'append' : ends === 'commit' && changes ? 'change' : undefined
        appends = false
        if (ends !== undefined) changes = false
        const way = commit === undefined ? undefined : planned[commit].shift()
        if (commit === undefined || way === undefined) {
          server.write(whole)
          continue
        }
        done[`${commit} ${way}`] = (done[`${commit} ${way}`] ?? 0) + 1
        if (way === 'before') return cut(client, server)
        if (way === 'after') {
          cutAtAnswer = true
          server.write(whole)
          continue
        }
        broken = true
        client.destroy()
        void delay(LATE_MS)
          .then(() => server.write(whole))
          .then(() => delay(LATE_MS))
          .then(() => server.end())
        return
      }
    })

    function cut(...sockets: Socket[]): void {
      broken = true
      for (const socket of sockets) socket.destroy()
    }
  }

  const listener = createServer(connect).listen(join(socketFolder, SOCKET_NAME))
  await once(listener, 'listening')
  return {
    socketFolder,
    breakNext: (commit, ...ways) => void planned[commit].push(...ways),
    silence() {
      silent = true
      for (const socket of open) silenced.add(socket)
    },
    speak() {
      silent = false
    },
    broken: () => done,
    async [Symbol.asyncDispose]() {
      listener.close()
      for (const socket of open) socket.destroy()
      await once(listener, 'close')
      await rm(socketFolder, { recursive: true, force: true })
    },
  }
}
