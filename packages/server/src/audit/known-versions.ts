import type { ReadVersion } from '../kernel/read-version.ts'

const MAX_VERSIONS = 10_000

/**
 * The versions that held under the app's newest mark, as far as this process has seen them checked. While the mark is the app's no
 * fence of it has moved, so they hold still, and the database need not look at them again.
 */
export function createKnownVersions() {
  let mark: string | null = null
  const versions = new Map<string, number>()
  return {
    /** The mark under which all of `fences` are known to hold, or null. */
    markOf: (fences: readonly ReadVersion[]): string | null =>
      fences.every(({ subject, version }) => versions.get(subject) === version) ? mark : null,
    /** All of `fences` hold under `under`. */
    learn(under: string, fences: readonly ReadVersion[]): void {
      if (under !== mark || versions.size > MAX_VERSIONS) versions.clear()
      mark = under
      for (const { subject, version } of fences) versions.set(subject, version)
    },
  }
}
