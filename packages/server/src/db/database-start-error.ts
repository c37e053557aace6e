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
