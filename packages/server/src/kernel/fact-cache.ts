/** What is kept with a value: the subjects of the versions it was read with. */
export type Cached<V> = { value: V; subjects: readonly string[] }

export type FactCache<V> = {
  /** The cached value, or the loaded one. Loads of one name are shared. Undefined is returned and never kept. */
  get(name: string, load: () => Promise<Cached<V> | undefined>): Promise<V | undefined>
  peek(name: string): V | undefined
  /** Drops every value that rests on one of the subjects, and makes loads that are under way not be kept. */
  forget(subjects: Iterable<string>): void
  readonly size: number
}

type Loading<V> = { promise: Promise<V | undefined>; keep: boolean }

/**
 * Facts that decisions rest on, each read in one snapshot with its versions. A stale fact does no harm: the write that carries its
 * versions is refused and says which subject moved, and `forget` drops what rested on it. Least recently used go first.
 */
export function createFactCache<V>(maxEntries: number): FactCache<V> {
  const entries = new Map<string, Cached<V>>()
  const bySubject = new Map<string, Set<string>>()
  const loading = new Map<string, Loading<V>>()

  function drop(name: string): void {
    const entry = entries.get(name)
    if (entry === undefined) return
    entries.delete(name)
    for (const subject of entry.subjects) {
      const names = bySubject.get(subject)
      names?.delete(name)
      if (names?.size === 0) bySubject.delete(subject)
    }
  }

  function keep(name: string, entry: Cached<V>): void {
    drop(name)
    entries.set(name, entry)
    for (const subject of entry.subjects) {
      const names = bySubject.get(subject)
      if (names) names.add(name)
      else bySubject.set(subject, new Set([name]))
    }
    if (entries.size > maxEntries) drop(entries.keys().next().value!)
  }

  return {
    async get(name, load) {
      const entry = entries.get(name)
      if (entry !== undefined) {
        // The order is worth keeping only when something may soon have to go.
        if (entries.size > maxEntries >> 1) {
          entries.delete(name)
          entries.set(name, entry)
        }
        return entry.value
      }
      const pending = loading.get(name)
      if (pending?.keep) return pending.promise
      const mine: Loading<V> = { keep: true, promise: undefined as never }
      mine.promise = (async (): Promise<V | undefined> => {
        try {
          const loaded = await load()
          if (loaded !== undefined && mine.keep) keep(name, loaded)
          return loaded?.value
        } finally {
          if (loading.get(name) === mine) loading.delete(name)
        }
      })()
      loading.set(name, mine)
      return mine.promise
    },
    peek: (name) => entries.get(name)?.value,
    forget(subjects) {
      for (const pending of loading.values()) pending.keep = false
      for (const subject of subjects) for (const name of [...(bySubject.get(subject) ?? [])]) drop(name)
    },
    get size() {
      return entries.size
    },
  }
}
