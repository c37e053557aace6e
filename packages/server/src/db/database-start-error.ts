/** What can keep the embedded database from starting. Each has one cause and one next step, both in the message. */
export type DatabaseStartProblem =
  | 'platform_unsupported'
  | 'binaries_missing'
  | 'data_folder_in_use'
  | 'data_folder_unusable'
  | 'data_folder_forbidden'
  | 'other_major_version'
  | 'disk_full'
  | 'user_unknown'
  | 'start_failed'

/** The embedded database did not start. `path` is the file or folder to look at; nothing in it was changed or removed. */
export class DatabaseStartError extends Error {
  readonly problem: DatabaseStartProblem
  readonly path: string

  constructor(problem: DatabaseStartProblem, path: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'DatabaseStartError'
    this.problem = problem
    this.path = path
  }
}

/** The refusal to share a data folder with a running server. */
export function inUse(dataFolder: string, by: string): DatabaseStartError {
  return new DatabaseStartError(
    'data_folder_in_use',
    dataFolder,
    `The database in "${dataFolder}" is in use by ${by}. Stop that server first, or start this one with another data folder.`,
  )
}

/** The refusal after a file operation on `path` failed with `cause`. */
export function forbidden(path: string, cause: unknown): DatabaseStartError {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(path, cause)
  return new DatabaseStartError(
    'data_folder_forbidden',
    path,
    `The data folder "${path}" cannot be made or written (${code}). Give this program's user the right to do so, or choose another data folder.`,
    cause,
  )
}

function diskFull(path: string, cause?: unknown): DatabaseStartError {
  return new DatabaseStartError(
    'disk_full',
    path,
    `The disk that holds "${path}" is full and PostgreSQL cannot start. Make room there and start again; nothing is lost.`,
    cause,
  )
}

/** From PostgreSQL's last words to what the operator should do. */
export function explainLastWords(lines: readonly string[], path: string, cause?: unknown): DatabaseStartError {
  const text = lines.filter((line) => line.trim() !== '').join('\n')
  if (/No space left on device|Disk quota exceeded/.test(text)) return diskFull(path, cause)
  if (
    /lock file "[^"]*" (already exists|is empty)|bogus data in lock file|could not remove old lock file|pre-existing shared memory block/.test(
      text,
    )
  ) {
    return inUse(path, 'another start of this program')
  }
  if (/could not look up effective user ID/.test(text)) {
    return new DatabaseStartError(
      'user_unknown',
      '/etc/passwd',
      `The user that should run PostgreSQL has no entry in "/etc/passwd". Add one, run this program as another user, or set DATABASE_URL.\n${text}`,
      cause,
    )
  }
  return new DatabaseStartError(
    'start_failed',
    path,
    `PostgreSQL did not start on "${path}". Its last words:\n${text === '' ? '(none)' : text}`,
    cause,
  )
}
