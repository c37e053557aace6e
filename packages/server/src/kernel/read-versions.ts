import type { ReadVersion } from './read-version.ts'

/** A fact has moved: what was decided on it must be decided again. Nothing was written. */
export type Stale = { kind: 'stale'; subjects: readonly string[] }

/** Every version that one decision has read so far. */
export type ReadVersions = { bySubject: Map<string, ReadVersion>; movedSubject: string | null }

export const readVersionsOf = (versions: readonly ReadVersion[]): ReadVersions => {
  const all: ReadVersions = { bySubject: new Map(), movedSubject: null }
  addVersions(all, versions)
  return all
}

/** Two versions of one subject: the older was read before a change. */
export function addVersions(all: ReadVersions, versions: readonly ReadVersion[]): void {
  for (const version of versions) addVersion(all, version)
}

export function addVersion(all: ReadVersions, version: ReadVersion): void {
  const other = all.bySubject.get(version.subject)
  if (other === undefined) all.bySubject.set(version.subject, version)
  else if (other.version !== version.version) all.movedSubject = version.subject
}

/** All versions, each subject once; stale when two of them contradict each other. */
export function joinVersions(all: ReadVersions): readonly ReadVersion[] | Stale {
  if (all.movedSubject !== null) return { kind: 'stale', subjects: [all.movedSubject] }
  return [...all.bySubject.values()]
}

export const isStale = <T extends object>(value: T | Stale): value is Stale =>
  'kind' in value && value.kind === 'stale' && 'subjects' in value
