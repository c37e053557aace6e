import type pg from 'pg'

export type LaneClients = ReturnType<typeof createLaneClients>

/**
 * A few sessions of their own for the lanes, so that an append never queues behind a page of the management API.
 * A session that saw an error other than a refused statement is thrown away.
 */
export function createLaneClients(connect: () => Promise<pg.Client>, size: number) {
  const idle: pg.Client[] = []
  const waiting: ((client: pg.Client | null) => void)[] = []
  let open = 0
  let closed = false

  async function acquire(): Promise<pg.Client> {
    const free = idle.pop()
    if (free) return free
    if (open >= size) {
      const handed = await new Promise<pg.Client | null>((resolve) => waiting.push(resolve))
      if (handed) return handed
    }
    open += 1
    const client = await connect().catch((error: unknown) => {
      open -= 1
      waiting.shift()?.(null)
      throw error
    })
    client.on('error', () => discard(client))
    try {
      await client.query("set lock_timeout = '2s'")
      return client
    } catch (error) {
      discard(client)
      throw error
    }
  }

  const discarded = new WeakSet<pg.Client>()
  function discard(client: pg.Client): void {
    if (discarded.has(client)) return
    discarded.add(client)
    const at = idle.indexOf(client)
    if (at >= 0) idle.splice(at, 1)
    open -= 1
    client.end().catch(() => undefined)
    waiting.shift()?.(null)
  }

  function release(client: pg.Client): void {
    if (discarded.has(client)) return
    const next = closed ? undefined : waiting.shift()
    if (next) next(client)
    else if (closed) discard(client)
    else idle.push(client)
  }

  return {
    /** Runs `use` with a session. `healthy` false: the session is not used again. */
    async withClient<T>(
      use: (client: pg.ClientBase) => Promise<T>,
      healthy: (result: T) => boolean = () => true,
    ): Promise<T> {
      const client = await acquire()
      try {
        const result = await use(client)
        if (healthy(result)) release(client)
        else discard(client)
        return result
      } catch (error) {
        discard(client)
        throw error
      }
    },
    async close(): Promise<void> {
      closed = true
      for (const client of [...idle]) discard(client)
    },
  }
}
