import { compileGlob } from './glob.ts'
import { withoutFinalSlash } from './path-readings.ts'
import type { PolicyRequest } from './policy-context.ts'

/** Globs over paths, of which one has to fit. */
export type PathList = {
  hasSent(path: string): boolean
  /** As `hasSent`, for a reading: a folder may have lost its final slash. */
  hasReading(path: string): boolean
}

export function compilePathList(globs: readonly string[]): PathList {
  const written = globs.map((glob) => compileGlob(glob, 'path'))
  const folders = globs.flatMap((glob) => withoutFinalSlash(glob) ?? []).map((glob) => compileGlob(glob, 'path'))
  const hasSent = (path: string) => written.some((matches) => matches(path))
  return { hasSent, hasReading: (path) => hasSent(path) || folders.some((matches) => matches(path)) }
}

/** True when the path is in one of the lists as it is sent, and stays in one of them however a server reads it. */
export function isPathInside(
  lists: readonly PathList[],
  { path, pathReadings }: Pick<PolicyRequest, 'path' | 'pathReadings'>,
): boolean {
  if (pathReadings.all.length === 0 || !lists.some((list) => list.hasSent(path))) return false
  return pathReadings.all.every((reading) => lists.some((list) => list.hasReading(reading)))
}
